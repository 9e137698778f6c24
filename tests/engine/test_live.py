import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

import pytest

from engine.errors import ModelFileError
from engine.estimator import open_estimator
from engine.live_values import SourceRequest
from engine.settings import EstimatorSettings, TrackSettings

PATIENCE_S = 20.0
Watcher: TypeAlias = Any
Sink: TypeAlias = Any
Begin = Callable[..., Any]


def test_a_file_is_played_to_its_end_and_every_frame_shown_once(playing: Watcher) -> None:
    playing.until_state("ended")
    assert playing.indices == list(range(24))
    assert len(playing.last.result.people) == 2
    assert not playing.session.status.playing


def test_a_file_is_played_at_its_own_pace(watcher: Watcher, marker_folder: Path) -> None:
    watcher.session.open(SourceRequest(marker_folder, "frames", fps=12.0))
    watcher.until_state("ended")
    begin, end = watcher.results[0].captured_s, watcher.last.captured_s
    assert end - begin >= 0.9 * 23 / 12


def test_pausing_stays_and_stepping_goes_one_frame_on(playing: Watcher) -> None:
    playing.session.pause()
    playing.until_state("paused")
    playing.until(lambda: playing.session.take_results() == [])
    at = playing.session.status.position_s
    playing.session.step(1)
    playing.until(lambda: playing.session.status.position_s > at)
    assert playing.session.status.position_s == pytest.approx(at + 1 / 30)


def test_stepping_back_shows_what_was_shown_with_the_same_people(playing: Watcher) -> None:
    playing.until(lambda: len(playing.results) >= 12)
    playing.session.pause()
    playing.until_state("paused")
    time.sleep(0.2)
    playing.until(lambda: True)
    shown = {live.result.frame.index: live for live in playing.results}
    at = playing.indices[-1]
    playing.session.step(-3)
    playing.until(lambda: playing.indices[-1] == at - 3)
    assert playing.last.result is shown[at - 3].result
    playing.session.play()
    playing.until_state("ended")
    place = len(playing.indices) - 1 - playing.indices[::-1].index(at - 3)
    assert playing.indices[place:] == list(range(at - 3, 24))


def test_results_shown_again_are_not_written_again(playing: Watcher, sink: Sink) -> None:
    playing.session.pause()
    playing.until_state("paused")
    time.sleep(0.2)
    playing.session.add_sink(sink)
    playing.session.step(-1)
    playing.until(lambda: True)
    playing.session.play()
    playing.until_state("ended")
    assert sink.written == sorted(set(sink.written))
    assert sink.written[-1] == 23


def test_seeking_shows_the_frame_at_that_time_with_people_on_it(playing: Watcher) -> None:
    playing.session.pause()
    playing.session.seek(0.6)
    playing.until(lambda: playing.session.status.position_s == pytest.approx(0.6))
    assert playing.last.result.frame.index == 18
    assert len(playing.last.result.people) == 2
    assert playing.session.status.state == "paused"


def test_seeking_back_meets_people_anew(playing: Watcher) -> None:
    playing.until_state("ended")
    before = playing.last.sequence
    playing.session.seek(0.3)
    playing.until(lambda: playing.session.status.position_s == pytest.approx(0.3))
    assert playing.last.sequence > before
    assert playing.session.status.state == "paused"


def test_playing_at_the_end_begins_again(playing: Watcher) -> None:
    playing.until_state("ended")
    playing.results.clear()
    playing.session.play()
    playing.until_state("ended")
    assert playing.indices == list(range(24))


def test_a_loop_goes_round(watcher: Watcher, marker_folder: Path) -> None:
    watcher.session.set_loop(True)
    watcher.session.set_speed(float("inf"))
    watcher.session.open(SourceRequest(marker_folder, "frames"))
    watcher.until(lambda: watcher.indices.count(5) >= 2)


def test_settings_change_while_playing_and_ids_stay(playing: Watcher, settings: TrackSettings) -> None:
    playing.until(lambda: any(live.result.people for live in playing.results))
    ids = {person.track_id for person in playing.last.result.people}
    smoothing = settings.tracker.smoothing.model_copy(update={"method": "none"})
    tracker = settings.tracker.model_copy(update={"smoothing": smoothing})
    playing.session.change_settings(settings.model_copy(update={"tracker": tracker}))
    playing.until_state("ended")
    assert {person.track_id for person in playing.last.result.people} >= ids
    person = playing.last.result.people[0]
    assert person.keypoints == pytest.approx(person.raw_keypoints)


def test_a_setting_changed_at_a_still_picture_shows(playing: Watcher, settings: TrackSettings) -> None:
    playing.until(lambda: any(live.result.people for live in playing.results))
    playing.session.pause()
    playing.until_state("paused")
    everybody = {"region": (0.0, 0.0, 1.0, 1.0)}
    estimator = settings.estimator.model_copy(update=everybody)
    playing.session.change_settings(settings.model_copy(update={"estimator": estimator}))
    playing.until(lambda: playing.last.result.people == ())


def test_other_models_are_opened_while_the_ones_in_hand_go_on(
    watch: Begin, settings: TrackSettings, marker_folder: Path
) -> None:
    let_go, opened = threading.Event(), []

    def slow(wanted: EstimatorSettings) -> Any:
        if wanted.mode == "bottom-up":
            let_go.wait(PATIENCE_S)
        opened.append(wanted.mode)
        return open_estimator(wanted)

    watcher = watch(opener=slow)
    try:
        watcher.session.set_loop(True)
        watcher.session.open(SourceRequest(marker_folder, "frames"))
        watcher.until(lambda: watcher.results)
        other = settings.estimator.model_copy(update={"mode": "bottom-up"})
        watcher.session.change_settings(settings.model_copy(update={"estimator": other}))
        count = len(watcher.results)
        watcher.until(lambda: len(watcher.results) > count + 5)
        assert watcher.session.status.loading == settings.estimator.bottom_up_model
        assert watcher.session.numbers().mode == "top-down"
        let_go.set()
        watcher.until(lambda: watcher.session.status.loading is None)
        watcher.until(lambda: watcher.session.numbers().mode == "bottom-up")
        assert opened == ["top-down", "bottom-up"]
    finally:
        let_go.set()


def test_giving_up_a_load_keeps_the_models_and_takes_the_setting_back(
    watch: Begin, settings: TrackSettings, marker_folder: Path
) -> None:
    let_go = threading.Event()

    def slow(wanted: EstimatorSettings) -> Any:
        if wanted.mode == "bottom-up":
            let_go.wait(PATIENCE_S)
        return open_estimator(wanted)

    watcher = watch(opener=slow)
    try:
        watcher.session.open(SourceRequest(marker_folder, "frames"))
        watcher.until(lambda: watcher.results)
        other = settings.estimator.model_copy(update={"mode": "bottom-up"})
        watcher.session.change_settings(settings.model_copy(update={"estimator": other}))
        watcher.session.cancel_loading()
        assert watcher.session.status.settings.estimator.mode == "top-down"
        assert watcher.session.status.loading is None
        let_go.set()
        watcher.until_state("ended")
        assert watcher.session.numbers().mode == "top-down"
    finally:
        let_go.set()


def test_a_model_that_cannot_be_had_is_told_and_the_one_in_hand_stays(
    playing: Watcher, settings: TrackSettings
) -> None:
    other = settings.estimator.model_copy(update={"top_down_model": "no-such-model"})
    playing.session.change_settings(settings.model_copy(update={"estimator": other}))
    playing.until(lambda: any("no-such-model" in text for text in playing.told))
    assert playing.session.status.settings.estimator.top_down_model == settings.estimator.top_down_model
    playing.until_state("ended")


def test_without_any_model_the_session_says_why_and_recovers(
    watch: Begin, marker_folder: Path, settings: TrackSettings
) -> None:
    def fails(wanted: EstimatorSettings) -> Any:
        if wanted.top_down_model == "broken":
            raise ModelFileError("broken is no model; choose another")
        return open_estimator(wanted)

    broken = settings.estimator.model_copy(update={"top_down_model": "broken"})
    watcher = watch(settings.model_copy(update={"estimator": broken}), opener=fails)
    watcher.until_state("failed")
    assert watcher.session.status.message == "broken is no model; choose another"
    watcher.session.change_settings(settings)
    watcher.session.open(SourceRequest(marker_folder, "frames"))
    watcher.until_state("ended")
    assert len(watcher.last.result.people) == 2


def test_a_source_that_cannot_be_opened_is_told_and_the_next_one_plays(
    watcher: Watcher, marker_folder: Path, tmp_path: Path
) -> None:
    watcher.session.open(SourceRequest(tmp_path / "none.mp4", "none.mp4"))
    watcher.until_state("failed")
    assert "no such file" in watcher.session.status.message
    watcher.session.open(SourceRequest(marker_folder, "frames"))
    watcher.until_state("ended")
    assert watcher.indices == list(range(24))


def test_closing_the_source_empties_the_session(playing: Watcher) -> None:
    playing.session.close_source()
    playing.until_state("empty")
    playing.until(lambda: playing.session.status.info is None)
    assert playing.session.status.request is None


def test_ignored_people_are_neither_shown_nor_written(playing: Watcher) -> None:
    playing.until(lambda: len(playing.last.result.people) == 2)
    gone = playing.last.result.people[0].track_id
    playing.session.ignore({gone})
    playing.until_state("ended")
    assert [person.track_id for person in playing.last.result.people] != []
    assert gone not in [person.track_id for person in playing.last.result.people]


def test_sinks_learn_that_frames_break_off(playing: Watcher, sink: Sink, marker_folder: Path) -> None:
    playing.session.add_sink(sink)
    playing.session.seek(0.1)
    playing.until(lambda: sink.breaks)
    assert sink.breaks[0] == ("the playing position was changed", False)
    playing.session.open(SourceRequest(marker_folder, "frames"))
    playing.until(lambda: len(sink.breaks) >= 2)
    assert ("another source was opened", False) in sink.breaks


def test_a_heatmap_comes_only_where_it_is_wanted(playing: Watcher) -> None:
    assert playing.last.result.heatmap is None
    playing.session.set_heatmap_wanted(True)
    playing.until(lambda: playing.last.result.heatmap is not None)
    heatmap = playing.last.result.heatmap
    assert heatmap is not None and 0.5 < heatmap.max() <= 1.0


def test_a_camera_pulled_away_is_waited_for_and_comes_back(
    watcher: Watcher, sink: Sink, mjpeg_server: Any
) -> None:
    watcher.session.add_sink(sink)
    watcher.session.open(SourceRequest(mjpeg_server.address, "camera"))
    watcher.until(lambda: len(watcher.results) >= 5)
    assert watcher.session.status.state == "playing"
    mjpeg_server.stop()
    watcher.until_state("reconnecting")
    assert sink.breaks[-1][1] is True
    count = len(watcher.results)
    mjpeg_server.start()
    watcher.until_state("playing")
    watcher.until(lambda: len(watcher.results) > count + 3)
    assert any("back" in text for text in watcher.told)


def test_a_camera_can_be_frozen_and_let_go_on(watcher: Watcher, mjpeg_server: Any) -> None:
    watcher.session.open(SourceRequest(mjpeg_server.address, "camera"))
    watcher.until(lambda: len(watcher.results) >= 3)
    watcher.session.pause()
    watcher.until_state("paused")
    time.sleep(0.3)
    watcher.until(lambda: True)
    count = len(watcher.results)
    time.sleep(0.3)
    watcher.until(lambda: True)
    assert len(watcher.results) == count
    watcher.session.play()
    watcher.until(lambda: len(watcher.results) > count)
    assert time.monotonic() - watcher.last.captured_s < 2.0


def test_latency_counts_from_capture(watcher: Watcher, mjpeg_server: Any) -> None:
    watcher.session.open(SourceRequest(mjpeg_server.address, "camera"))
    watcher.until(lambda: len(watcher.results) >= 3)
    for live in watcher.results:
        assert live.captured_s <= live.done_s <= time.monotonic()


def test_closing_leaves_no_thread(watch: Begin, settings: TrackSettings, marker_folder: Path) -> None:
    before = set(threading.enumerate())
    watcher = watch(settings)
    watcher.session.open(SourceRequest(marker_folder, "frames"))
    watcher.until(lambda: watcher.results)
    watcher.session.close()
    assert [thread for thread in threading.enumerate() if thread not in before and not thread.daemon] == []
    assert not any(t.name in ("follow people", "open source", "load models") for t in threading.enumerate())
