"""Settings and models changed under a session that plays, by somebody in a hurry."""

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

import pytest

from engine import live
from engine.errors import ModelFileError
from engine.estimator import open_estimator
from engine.live_player import OUTSIDE
from engine.live_values import SourceRequest
from engine.settings import EstimatorSettings, TrackSettings
from engine.skeleton import Skeleton

Watcher: TypeAlias = Any
Sink: TypeAlias = Any
Begin = Callable[..., Any]


def with_estimator(settings: TrackSettings, **changes: object) -> TrackSettings:
    return settings.model_copy(update={"estimator": settings.estimator.model_copy(update=changes)})


@pytest.fixture
def looping(playing: Watcher) -> Watcher:
    """24 pictures that go round and round."""
    playing.session.set_loop(True)
    return playing


def test_two_hundred_changes_in_a_moment_leave_the_last_and_no_gap(
    playing: Watcher, settings: TrackSettings
) -> None:
    for number in range(200):
        playing.session.change_settings(with_estimator(settings, min_person_score=0.1 + number / 1000))
    playing.until_state("ended")
    assert playing.indices == list(range(24))
    tracker = playing.session._player.tracker
    assert tracker.settings.estimator.min_person_score == pytest.approx(0.299)
    assert playing.session.status.settings == tracker.settings


def test_many_models_asked_for_in_a_moment_are_not_all_opened(
    watch: Begin, settings: TrackSettings, marker_folder: Path
) -> None:
    opened: list[int] = []

    def note(wanted: EstimatorSettings) -> Any:
        opened.append(wanted.threads)
        time.sleep(0.05)
        return open_estimator(wanted)

    watcher = watch(opener=note)
    watcher.session.set_loop(True)
    watcher.session.open(SourceRequest(marker_folder, "frames"))
    watcher.until(lambda: watcher.results)
    for number in range(100):
        watcher.session.change_settings(with_estimator(settings, threads=1 + number % 2 + number // 50))
    watcher.session.change_settings(with_estimator(settings, threads=2))
    watcher.until(lambda: watcher.session.status.loading is None)
    # The models are put in place a moment after they were taken.
    watcher.until(lambda: watcher.session._player.tracker.settings.estimator.threads == 2)
    assert len(opened) <= 4


def test_a_model_changed_as_one_seeks_is_in_use_at_the_place_sought(
    playing: Watcher, settings: TrackSettings
) -> None:
    playing.session.pause()
    playing.session.change_settings(with_estimator(settings, mode="bottom-up"))
    for number in range(20):
        playing.session.seek(number / 30)
        time.sleep(0.01)
    playing.until(lambda: playing.session.numbers().mode == "bottom-up")
    playing.until(lambda: playing.session.status.position_s == pytest.approx(19 / 30))
    playing.until_still()
    assert playing.indices[-1] == 19
    assert len(playing.last.result.people) == 2


def test_models_with_other_keypoints_meet_people_anew_and_end_the_take(
    looping: Watcher, settings: TrackSettings, sink: Sink, tmp_path: Path, write_marker_model: Any
) -> None:
    other = Skeleton(
        name="others6",
        keypoints=("a", "b", "c", "d", "e", "f"),
        limbs=(),
        flip_pairs=(),
        oks_sigmas=(0.1,) * 6,
    )
    file = write_marker_model(tmp_path / "others.onnx", "bottom-up", skeleton=other)
    before = looping.last.sequence
    looping.session.add_sink(sink)
    looping.session.change_settings(with_estimator(settings, mode="bottom-up", bottom_up_model=str(file)))
    looping.until(lambda: looping.session.skeleton.name == "others6")
    looping.until(lambda: looping.last.sequence > before and looping.last.result.people)
    assert ("the models in use have other keypoints now", False) in sink.breaks
    looping.session.pause()
    looping.until_still()
    looping.session.step(-1)
    looping.until_still()
    assert looping.session.status.state == "paused"


def test_what_the_models_in_hand_cannot_do_is_told_and_taken_back(
    looping: Watcher, settings: TrackSettings, tmp_path: Path, write_marker_model: Any
) -> None:
    shape: list[object] = ["n", 3, 192, 192]
    file = write_marker_model(tmp_path / "fixed.onnx", "bottom-up", dynamic_size=False, input_shape=shape)
    fixed = with_estimator(settings, mode="bottom-up", bottom_up_model=str(file))
    looping.session.change_settings(fixed)
    looping.until(lambda: looping.session.numbers().mode == "bottom-up")
    looping.session.change_settings(with_estimator(fixed, finder_short_side=320))
    looping.until(lambda: looping.told)
    looping.until(lambda: looping.session.status.settings.estimator.finder_short_side is None)
    count = len(looping.results)
    looping.until(lambda: len(looping.results) > count + 3)
    assert len(looping.told) == 1


def test_models_that_cannot_do_what_is_wanted_of_them_are_not_taken(
    looping: Watcher, settings: TrackSettings, tmp_path: Path, write_marker_model: Any
) -> None:
    shape: list[object] = ["n", 3, 192, 192]
    file = write_marker_model(tmp_path / "fixed.onnx", "bottom-up", dynamic_size=False, input_shape=shape)
    looping.session.change_settings(
        with_estimator(settings, mode="bottom-up", bottom_up_model=str(file), finder_short_side=320)
    )
    looping.until(lambda: looping.told)
    assert looping.session.numbers().mode == "top-down"
    count = len(looping.results)
    looping.until(lambda: len(looping.results) > count + 3)


def test_models_that_cannot_be_had_are_told_though_a_source_opens_meanwhile(
    watch: Begin, settings: TrackSettings, mjpeg_server: Any
) -> None:
    watcher = watch(with_estimator(settings, top_down_model="no-such-model"))
    watcher.session.open(SourceRequest(mjpeg_server.address, "camera"))
    watcher.until_state("failed")
    assert "no-such-model" in watcher.session.status.message
    watcher.until_still()
    assert watcher.session.status.state == "failed"
    assert watcher.session.status.info is None


def test_a_source_that_waited_for_models_begins_when_others_are_chosen(
    watch: Begin, settings: TrackSettings, marker_folder: Path
) -> None:
    watcher = watch(with_estimator(settings, top_down_model="no-such-model"))
    watcher.session.open(SourceRequest(marker_folder, "frames"))
    watcher.until_state("failed")
    watcher.session.change_settings(settings)
    watcher.until_state("ended")
    assert watcher.indices == list(range(24))


def test_opening_a_source_tries_models_again_that_could_not_be_had(watch: Begin, marker_folder: Path) -> None:
    there = threading.Event()

    def sometimes(wanted: EstimatorSettings) -> Any:
        if not there.is_set():
            raise ModelFileError("the model is not there yet; download it")
        return open_estimator(wanted)

    watcher = watch(opener=sometimes)
    watcher.until_state("failed")
    there.set()
    watcher.session.open(SourceRequest(marker_folder, "frames"))
    watcher.until_state("ended")
    assert watcher.indices == list(range(24))


def test_giving_up_the_only_models_is_told(watch: Begin, marker_folder: Path) -> None:
    let_go = threading.Event()

    def slow(wanted: EstimatorSettings) -> Any:
        let_go.wait(10)
        return open_estimator(wanted)

    watcher = watch(opener=slow)
    watcher.session.open(SourceRequest(marker_folder, "frames"))
    watcher.session.cancel_loading()
    watcher.until_state("failed")
    assert "given up" in watcher.session.status.message
    let_go.set()
    watcher.session.open(watcher.session.status.request)
    watcher.until_state("ended")


def test_closing_waits_only_so_long_for_models_that_are_opening(
    watch: Begin, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "LOAD_JOIN_S", 0.1)
    began, let_go, thrown = threading.Event(), threading.Event(), []

    def slow(wanted: EstimatorSettings) -> Any:
        began.set()
        let_go.wait(10)
        estimator = open_estimator(wanted)
        thrown.append(estimator)
        return estimator

    watcher = watch(opener=slow)
    assert began.wait(10)
    begin = time.monotonic()
    watcher.session.close()
    assert time.monotonic() - begin < 5
    let_go.set()
    for thread in watcher.session._settings._loader._threads:
        thread.join(10)
    assert thrown


def test_a_region_outside_the_frame_holds_nobody_which_is_told_until_it_is_changed(
    looping: Watcher, settings: TrackSettings
) -> None:
    looping.session.change_settings(with_estimator(settings, region=(5000.0, 5000.0, 6000.0, 6000.0)))
    looping.until(lambda: looping.last.result.people == ())
    looping.until(lambda: looping.told)
    assert [text for text in looping.told if "region" in text] == [OUTSIDE]
    looping.session.change_settings(settings)
    looping.until(lambda: len(looping.last.result.people) == 2)
    assert looping.session.status.state == "playing"


def test_a_heatmap_wanted_of_a_still_picture_is_shown(playing: Watcher) -> None:
    playing.until(lambda: len(playing.results) >= 5)
    playing.session.pause()
    playing.until_still()
    assert playing.last.result.heatmap is None
    playing.session.set_heatmap_wanted(True)
    playing.until(lambda: playing.last.result.heatmap is not None)


def test_who_is_ignored_at_a_still_picture_is_left_out_and_comes_back(playing: Watcher) -> None:
    playing.until(lambda: len(playing.last.result.people) == 2)
    playing.session.pause()
    playing.until_still()
    first, second = playing.last.result.people
    playing.session.ignore({second.track_id})
    playing.until(lambda: [person.track_id for person in playing.last.result.people] == [first.track_id])
    playing.session.ignore(())
    playing.until(lambda: len(playing.last.result.people) == 2)
