"""Playing, stepping and jumping, as somebody impatient does it."""

import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any, TypeAlias

import cv2
import numpy as np
import pytest

from engine.live_values import SourceRequest

Watcher: TypeAlias = Any
Sink: TypeAlias = Any


@pytest.fixture
def paused(playing: Watcher) -> Watcher:
    """24 pictures, stopped somewhere after the start."""
    playing.until(lambda: len(playing.results) >= 8)
    playing.session.pause()
    playing.until_state("paused")
    playing.until_still()
    return playing


def position(watcher: Watcher) -> float:
    return float(watcher.session.status.position_s)


def test_of_many_places_sought_the_last_is_shown(paused: Watcher) -> None:
    for number in range(100):
        paused.session.seek((number * 7 % 23) / 30)
    paused.session.seek(20 / 30)
    paused.until(lambda: position(paused) == pytest.approx(20 / 30))
    paused.until_still()
    assert paused.indices[-1] == 20
    assert len(paused.last.result.people) == 2


def test_while_one_place_after_another_is_sought_pictures_are_shown(playing: Watcher) -> None:
    count = len(playing.results)
    playing.session.pause()
    begin = time.monotonic()
    while len(playing.results) < count + 3:
        playing.session.seek(0.4 + time.monotonic() % 0.3)
        time.sleep(0.005)
        playing.look()
        assert time.monotonic() - begin < 15


def test_every_step_counts_however_fast_they_come(paused: Watcher) -> None:
    at = paused.indices[-1]
    for _ in range(10):
        paused.session.step(1)
    paused.until(lambda: paused.indices[-1] == at + 10)
    for _ in range(7):
        paused.session.step(-1)
    paused.until(lambda: paused.indices[-1] == at + 3)
    for number in range(30):
        paused.session.step(1 if number % 2 else -1)
    paused.until_still()
    assert paused.indices[-1] == at + 3


def test_steps_forth_begin_where_one_stepped_back_to(paused: Watcher) -> None:
    at = paused.indices[-1]
    paused.session.step(-2)
    paused.until(lambda: paused.indices[-1] == at - 2)
    paused.session.step(5)
    paused.until(lambda: paused.indices[-1] == at + 3)


def test_steps_after_a_place_that_was_sought_begin_there(paused: Watcher) -> None:
    paused.session.seek(0.3)
    paused.session.step(2)
    paused.until(lambda: position(paused) == pytest.approx(11 / 30))


def test_one_can_step_back_beyond_what_was_shown_after_a_jump(paused: Watcher) -> None:
    paused.session.seek(0.7)
    paused.until(lambda: position(paused) == pytest.approx(0.7))
    for number in range(1, 20):
        paused.session.step(-1)
        paused.until(lambda number=number: position(paused) == pytest.approx((21 - number) / 30))
        assert len(paused.last.result.people) == (2 if number < 12 else len(paused.last.result.people))
    paused.session.step(-50)
    paused.until(lambda: position(paused) == 0.0)


def test_one_can_step_back_in_a_video_whose_frames_come_unevenly(
    watcher: Watcher, write_uneven: Callable[[list[int]], Path]
) -> None:
    path = write_uneven([0, 1, 2, 3, 60, 61, 62, 120, 121])
    watcher.session.open(SourceRequest(path, "uneven"), paused=True)
    watcher.until_state("paused")
    watcher.session.seek(121 / 30)
    watcher.until(lambda: position(watcher) == pytest.approx(121 / 30))
    for number in (120, 62, 61, 60, 3, 2):
        watcher.session.step(-1)
        watcher.until(lambda number=number: position(watcher) == pytest.approx(number / 30))


def test_independent_pictures_are_shown_stepped_and_sought_one_by_one(
    watcher: Watcher, tmp_path: Path, marker_image: Callable[..., np.ndarray], marker_person: Any
) -> None:
    for number in range(5):
        size = (300 + 20 * number, 400)
        cv2.imwrite(str(tmp_path / f"{number}.png"), marker_image(size, [marker_person(100, 40, 200)]))
    watcher.session.set_speed(float("inf"))
    watcher.session.open(SourceRequest(tmp_path, "stills", stills=True))
    watcher.until_state("ended")
    assert watcher.indices == [0, 1, 2, 3, 4]
    assert [len(live.result.people) for live in watcher.results] == [1] * 5
    watcher.session.seek(1.0)
    watcher.until(lambda: watcher.indices[-1] == 1)
    watcher.session.step(-1)
    watcher.until(lambda: watcher.indices[-1] == 0)
    watcher.session.step(3)
    watcher.until(lambda: watcher.indices[-1] == 3)
    watcher.session.step(-1)
    watcher.until(lambda: watcher.indices[-1] == 2)


@pytest.mark.parametrize("stills", [False, True])
def test_a_single_picture_goes_round_no_loop(
    watcher: Watcher, tmp_path: Path, marker_image: Callable[..., np.ndarray], stills: bool
) -> None:
    cv2.imwrite(str(tmp_path / "one.png"), marker_image((200, 200), []))
    watcher.session.set_loop(True)
    watcher.session.open(SourceRequest(tmp_path, "one", stills=stills))
    watcher.until_state("ended")
    watcher.session.play()
    watcher.until(lambda: len(watcher.results) == 2)
    watcher.until_state("ended")
    watcher.until_still()
    assert watcher.indices == [0, 0]


def test_a_loop_shows_the_last_frame_for_its_time(watcher: Watcher, marker_folder: Path) -> None:
    watcher.session.open(SourceRequest(marker_folder, "frames", fps=60.0))
    watcher.session.set_loop(True)
    watcher.until(lambda: watcher.indices.count(0) >= 3)
    first = [live.done_s for live in watcher.results if live.result.frame.index == 0]
    assert min(after - before for before, after in pairwise(first[1:])) >= 0.9 * 24 / 60


def test_a_file_that_lacks_its_end_says_so_once_however_often_it_goes_round(
    watcher: Watcher, tmp_path: Path, marker_folder: Path
) -> None:
    for file in sorted(marker_folder.iterdir())[:6]:
        (tmp_path / file.name).write_bytes(file.read_bytes())
    (tmp_path / "0006.png").write_bytes(b"no picture")
    watcher.session.set_loop(True)
    watcher.session.set_speed(float("inf"))
    watcher.session.open(SourceRequest(tmp_path, "frames"))
    watcher.until(lambda: watcher.indices.count(5) >= 4)
    assert len([text for text in watcher.told if "0006.png" in text]) == 1
    assert watcher.session.numbers().dropped["unreadable"] <= 1


def test_a_result_shown_again_is_as_new_as_it_is_shown(paused: Watcher) -> None:
    before = time.monotonic()
    paused.session.step(-1)
    paused.until_still()
    assert paused.last.captured_s >= before


def test_the_speed_may_be_set_before_anything_is_opened(watcher: Watcher, marker_folder: Path) -> None:
    watcher.session.set_speed(4.0)
    watcher.session.open(SourceRequest(marker_folder, "frames", fps=12.0))
    watcher.until_state("ended")
    assert watcher.indices == list(range(24))
    assert watcher.last.captured_s - watcher.results[0].captured_s < 1.7


def test_what_a_live_source_drops_while_somebody_pauses_is_no_loss(
    watcher: Watcher, mjpeg_server: Any
) -> None:
    watcher.session.open(SourceRequest(mjpeg_server.address, "camera"))
    watcher.until(lambda: len(watcher.results) >= 5)
    watcher.session.pause()
    watcher.until_state("paused")
    watcher.until_still()
    before = watcher.session.numbers().dropped["newer frame came first"]
    skipped, index = watcher.session._player.source.frames_dropped, watcher.indices[-1]
    time.sleep(1.0)
    watcher.session.step(1)
    watcher.until(lambda: watcher.indices[-1] > index)
    time.sleep(0.5)
    watcher.session.play()
    watcher.until(lambda: watcher.indices[-1] > index + 20)
    assert watcher.session._player.source.frames_dropped - skipped >= 10
    assert watcher.session.numbers().dropped["newer frame came first"] - before <= 5


def test_every_step_of_a_slow_camera_shows_a_frame(watcher: Watcher, mjpeg_server: Any) -> None:
    mjpeg_server.pause_s = 0.4
    watcher.session.open(SourceRequest(mjpeg_server.address, "camera"))
    watcher.until(lambda: watcher.results)
    watcher.session.pause()
    watcher.until_still()
    for _ in range(3):
        index = watcher.indices[-1]
        watcher.session.step(1)
        watcher.until(lambda index=index: watcher.indices[-1] > index)


def test_a_lost_source_that_was_paused_is_told_when_it_is_played(watcher: Watcher, mjpeg_server: Any) -> None:
    watcher.session.open(SourceRequest(mjpeg_server.address, "camera"))
    watcher.until(lambda: len(watcher.results) >= 3)
    mjpeg_server.stop()
    watcher.until_state("reconnecting")
    assert "trying again" in watcher.session.status.message
    watcher.session.pause()
    watcher.until_state("paused")
    watcher.until_still()
    assert watcher.session.status.state == "paused"
    watcher.session.play()
    watcher.until_state("reconnecting")
    mjpeg_server.start()
    watcher.until_state("playing")


def test_whoever_hears_that_a_source_was_lost_finds_the_session_reconnecting(
    watcher: Watcher, mjpeg_server: Any
) -> None:
    states: list[str] = []

    class Asker:
        def write(self, live: object) -> None:
            pass

        def break_off(self, reason: str, *, lost: bool) -> None:
            if lost:
                states.append(watcher.session.status.state)

    watcher.session.add_sink(Asker())
    watcher.session.open(SourceRequest(mjpeg_server.address, "camera"))
    watcher.until(lambda: len(watcher.results) >= 3)
    mjpeg_server.stop()
    watcher.until(lambda: states)
    assert states == ["reconnecting"]
