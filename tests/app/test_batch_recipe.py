from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from app import batch_recipe
from app.batch_item import QueueOptions
from app.batch_recipe import Workbench
from app.batch_task import Recipe, Task
from app.inputs import TrackInput
from app.outputs import output_paths
from app.recording import WriteOptions
from engine.settings import EstimatorSettings, TrackSettings


@pytest.fixture
def options(top_down_file: Path, bottom_up_file: Path) -> QueueOptions:
    names = {"top_down_model": str(top_down_file), "bottom_up_model": str(bottom_up_file)}
    return QueueOptions(settings=TrackSettings(estimator=EstimatorSettings(threads=1, **names)))


@pytest.fixture
def task(tmp_path: Path) -> Task:
    item = TrackInput(tmp_path / "clip.mp4", "clip.mp4", "clip")
    return Task(1, item, output_paths(item, tmp_path, video=False), replace=False)


def test_what_is_asked_of_the_second_pass_counts_only_where_there_is_one(options: QueueOptions):
    asked = replace(options, fill_gap_s=0.25, min_track_s=2.0)
    assert asked.asked_settings is options.settings
    twice = replace(asked, write=WriteOptions(offline=True)).asked_settings.tracker.smoothing
    assert (twice.fill_gap_s, twice.min_track_s) == (0.25, 2.0)
    assert twice.method == options.settings.tracker.smoothing.method


@pytest.fixture
def chosen(monkeypatch: pytest.MonkeyPatch) -> list[TrackSettings]:
    """The settings that something was chosen for; the first input cannot be measured."""
    asked: list[TrackSettings] = []

    def choose(recipe: Recipe, _tasks: object, _jobs: int) -> tuple[Recipe, None]:
        asked.append(recipe.asked)
        return (replace(recipe, choice={"mode": "top-down"}) if len(asked) > 1 else recipe), None

    monkeypatch.setattr(batch_recipe, "with_choice", choose)
    return asked


def test_what_was_chosen_holds_while_the_settings_stay(
    options: QueueOptions, task: Task, chosen: list[TrackSettings]
):
    bench = Workbench()
    unmeasured, _ = bench.open(bench.recipe(options), task)
    first, models = bench.open(bench.recipe(options), task)
    second, same = bench.open(bench.recipe(replace(options, plots=True)), task)
    assert unmeasured.choice == {} and first.choice == second.choice == {"mode": "top-down"}
    assert models is same and len(chosen) == 2
    assert not first.after and second.after
    other = replace(options, write=WriteOptions(offline=True), fill_gap_s=0.2)
    assert bench.open(bench.recipe(other), task)[1] is not models


def test_a_choice_of_an_earlier_run_is_followed(
    options: QueueOptions, task: Task, chosen: list[TrackSettings]
):
    bench = Workbench()
    recipe = bench.recipe(options)
    bench.note_earlier(recipe, {})
    bench.note_earlier(recipe, {"mode": "top-down", "find_interval_s": 0.4})
    bench.note_earlier(recipe, {"mode": "bottom-up"})
    followed, _ = bench.open(recipe, task)
    assert followed.settings.estimator.mode == "top-down" and not chosen
    assert followed.settings.estimator.find_interval_s == 0.4


def test_a_request_is_made_once(options: QueueOptions, monkeypatch: pytest.MonkeyPatch):
    bench = Workbench()
    first = bench.recipe(options)
    make: Callable[..., object] = pytest.fail
    monkeypatch.setattr(batch_recipe, "ask_recipe", make)
    assert bench.recipe(replace(options)) is first
