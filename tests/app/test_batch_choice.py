from dataclasses import replace
from pathlib import Path

import pytest

from app import batch_choice
from app.batch_choice import WORTH_BYTES, choose_jobs, with_choice, with_earlier
from app.batch_task import Recipe
from app.recording import WriteOptions
from app.resume import Request
from engine.settings import EstimatorSettings, TrackSettings


@pytest.fixture(autouse=True)
def _four_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batch_choice, "count_cores", lambda: 4)


def recipe(**estimator: object) -> Recipe:
    settings = TrackSettings(estimator=EstimatorSettings(runtime="openvino", **estimator))
    return Recipe(settings, settings, Request("", {}, {}, {}), WriteOptions())


@pytest.mark.parametrize(
    ("asked", "sizes", "jobs"),
    [
        (0, [10 * WORTH_BYTES] * 20, 4),
        (0, [10 * WORTH_BYTES] * 3, 3),
        (0, [WORTH_BYTES // 10] * 20, 2),
        (0, [1000] * 20, 1),
        (0, [10 * WORTH_BYTES], 1),
        (6, [1000] * 20, 6),
        (6, [1000] * 2, 2),
    ],
)
def test_inputs_at_once_suit_cores_and_work_unless_a_number_is_given(asked: int, sizes: list[int], jobs: int):
    assert choose_jobs(asked, recipe(), sizes) == jobs


def test_given_threads_leave_room_for_fewer_processes():
    assert choose_jobs(0, recipe(threads=2), [10 * WORTH_BYTES] * 20) == 2


def test_a_gpu_is_left_to_one_process():
    gpu = recipe()
    estimator = gpu.asked.estimator.model_copy(update={"runtime": "tensorrt"})
    asked = gpu.asked.model_copy(update={"estimator": estimator})
    assert choose_jobs(0, replace(gpu, asked=asked), [10 * WORTH_BYTES] * 20) == 1


@pytest.mark.parametrize(("given", "jobs", "threads"), [(0, 2, 2), (0, 1, 0), (3, 2, 3)])
def test_processes_share_the_cores_unless_threads_are_given(given: int, jobs: int, threads: int):
    chosen, pipeline = with_choice(recipe(mode="bottom-up", threads=given), [], jobs)
    assert pipeline is None
    assert chosen.settings.estimator.threads == chosen.choice["threads"] == threads
    assert chosen.asked.estimator.threads == given


def test_an_earlier_choice_is_followed_without_measuring():
    earlier = {"mode": "top-down", "find_interval_s": 0.35, "finder_short_side": 192, "threads": 2, "x": 1}
    chosen = with_earlier(recipe(), earlier)
    estimator = chosen.settings.estimator
    assert (estimator.mode, estimator.find_interval_s, estimator.finder_short_side, estimator.threads) == (
        "top-down",
        0.35,
        192,
        2,
    )
    assert chosen.choice == earlier and chosen.asked.estimator.mode == "auto"


def test_a_batch_of_inputs_that_cannot_be_opened_chooses_nothing(tmp_path: Path):
    chosen, pipeline = with_choice(recipe(), [], 1)
    assert pipeline is None and chosen == recipe()
