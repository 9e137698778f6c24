from pathlib import Path
from typing import Any

import pytest
from PySide6.QtCore import QPoint, Qt
from PySide6.QtWidgets import QComboBox, QPushButton

from app.desktop.playback_control import retry_may_help
from app.desktop.transport import SPEEDS
from engine.live_values import SourceRequest

KEYS, SHIFT = Qt.Key, Qt.KeyboardModifier.ShiftModifier


@pytest.fixture
def still(desk: Any, long_clip: Path) -> Any:
    """The window with a clip that was paused at its frame 30."""
    desk.open(long_clip)
    desk.pause_at(30)
    return desk


def test_a_file_is_played_with_its_people_painted_and_shown_on_the_time_line(desk: Any, clip: Path) -> None:
    desk.open(clip)
    assert desk.page.stack.currentWidget() is desk.page.view
    desk.until_state("ended")
    assert [live.result.frame.index for live in desk.shown] == list(range(24)), "every frame was looked at"
    assert desk.page.transport.time_text.startswith("0:00.7")
    assert desk.page.transport.timeline.people_at(0.6) == 2


def test_space_pauses_and_plays_on(desk: Any, long_clip: Path) -> None:
    desk.open(long_clip)
    desk.press(KEYS.Key_Space)
    desk.until_state("paused")
    assert not desk.page.transport.playing
    desk.press(KEYS.Key_Space)
    desk.until(lambda: desk.session.status.state == "playing")
    desk.until(lambda: desk.index > 60)
    assert desk.page.transport.playing


def test_arrows_step_one_frame_and_the_same_people_stay(still: Any) -> None:
    at, people = still.index, still.people
    still.press(KEYS.Key_Right)
    still.until(lambda: still.index == at + 1)
    still.press(KEYS.Key_Left)
    still.until(lambda: still.index == at)
    assert still.people == people


def test_shift_and_arrows_skip_and_home_goes_to_the_start(still: Any) -> None:
    still.press(KEYS.Key_Right, SHIFT)
    still.until(lambda: still.index == 119)
    still.press(KEYS.Key_Home)
    still.until(lambda: still.index == 0)
    assert still.session.status.state == "paused"


def test_two_skips_at_once_go_twice_as_far(still: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.desktop.playback_control.SKIP_S", 1.0)
    begin_s = still.page.transport.timeline.position_s
    still.actions["skip_on"].trigger()
    still.actions["skip_on"].trigger()
    wanted_s = begin_s + 2.0
    still.until(lambda: still.painted.result.frame.time_s == pytest.approx(wanted_s, abs=0.02))


def test_a_click_on_the_time_line_seeks_there(still: Any, qtbot: Any) -> None:
    timeline = still.page.transport.timeline
    place = QPoint(round(timeline.x_of(3.0)), timeline.height() - 8)
    qtbot.mouseClick(timeline, Qt.MouseButton.LeftButton, pos=place)
    still.until(lambda: still.painted.result.frame.time_s == pytest.approx(3.0, abs=0.06))
    still.until(lambda: len(still.people) == 2)


def test_brackets_change_the_speed_within_what_there_is(still: Any) -> None:
    for _ in SPEEDS:
        still.press(KEYS.Key_BracketRight)
    assert still.page.transport.speed == SPEEDS[-1]
    for _ in SPEEDS:
        still.press(KEYS.Key_BracketLeft)
    assert still.page.transport.speed == SPEEDS[0]


def test_a_looped_file_begins_again(desk: Any, clip: Path) -> None:
    desk.open(clip)
    desk.press(KEYS.Key_L)
    assert desk.page.transport.loop
    desk.until(lambda: len({live.sequence for live in desk.shown}) >= 2)
    assert desk.session.status.state == "playing"
    desk.press(KEYS.Key_L)
    desk.until_state("ended")


def test_speed_and_loop_chosen_before_a_source_hold_for_it(desk: Any, clip: Path) -> None:
    desk.press(KEYS.Key_L)
    desk.press(KEYS.Key_BracketRight)
    desk.press(KEYS.Key_BracketRight)
    desk.open(clip)
    desk.until(lambda: len({live.sequence for live in desk.shown}) >= 2)
    assert desk.page.transport.loop
    assert desk.page.transport.speed == 4.0
    assert desk.session.live._player.clock.speed == 4.0


def test_the_speed_box_sets_the_pace(still: Any, qtbot: Any) -> None:
    box = still.find(QComboBox, "Speed")
    qtbot.keyClick(box, KEYS.Key_End)
    assert still.page.transport.speed == SPEEDS[-1]
    still.press(KEYS.Key_Home)
    still.session.live.play()
    still.until_state("ended")


def test_a_file_that_ended_plays_from_its_start_again(desk: Any, clip: Path) -> None:
    desk.open(clip)
    desk.until_state("ended")
    desk.press(KEYS.Key_Space)
    desk.until_state("playing")
    desk.until(lambda: desk.index < 12)


def test_what_cannot_be_opened_is_told_and_tried_again(desk: Any, tmp_path: Path, write_clip: Any) -> None:
    late = tmp_path / "late.mp4"
    desk.window.sources.open_text(str(late))
    desk.until_state("failed")
    assert desk.page.stack.currentWidget() is desk.page.error
    assert "late.mp4" in desk.page.error.text
    write_clip(late)
    desk.qtbot.mouseClick(desk.find(QPushButton, "Retry"), Qt.MouseButton.LeftButton)
    desk.until(lambda: desk.people)


def test_a_corrupt_file_leads_back_to_the_choice_of_sources(desk: Any, tmp_path: Path) -> None:
    corrupt = tmp_path / "corrupt.mp4"
    corrupt.write_bytes(b"this is no video" * 100)
    desk.window.sources.open_text(str(corrupt))
    desk.until_state("failed")
    assert "corrupt.mp4" in desk.page.error.text
    desk.qtbot.mouseClick(desk.find(QPushButton, "Choose another source"), Qt.MouseButton.LeftButton)
    desk.until(lambda: desk.page.stack.currentWidget() is desk.page.welcome)


def test_a_file_after_a_broken_one_plays(desk: Any, tmp_path: Path, clip: Path) -> None:
    (tmp_path / "empty.mp4").write_bytes(b"")
    desk.window.sources.open_text(str(tmp_path / "empty.mp4"))
    desk.until_state("failed")
    desk.open(clip)


def test_an_address_that_is_not_understood_offers_no_retry_and_shows_no_password(desk: Any) -> None:
    desk.window.sources.open_text("gopher://somebody:secret@host/film")
    desk.until_state("failed")
    assert "secret" not in desk.page.error.text
    assert "unknown kind" in desk.page.error.text
    assert not [b for b in desk.window.findChildren(QPushButton) if b.text() == "Re&try" and b.isVisible()]


@pytest.mark.parametrize(
    ("spec", "helps"),
    [
        ("notes.txt", False),
        ("clip.mp4", True),
        ("pictures.v2", True),
        ("0", True),
        ("rtsp://host/1", True),
        ("gopher://host", False),
    ],
)
def test_retrying_is_offered_where_it_may_help(spec: str, helps: bool) -> None:
    assert retry_may_help(SourceRequest(spec, "x")) is helps


def test_waiting_for_a_source_can_be_given_up(desk: Any, mjpeg_server: Any) -> None:
    mjpeg_server.silent = True
    desk.window.sources.open_text(mjpeg_server.address)
    desk.until(lambda: desk.page.stack.currentWidget() is desk.page.loading)
    desk.qtbot.mouseClick(desk.find(QPushButton, "Cancel", desk.page.loading), Qt.MouseButton.LeftButton)
    desk.until(lambda: desk.page.stack.currentWidget() is desk.page.welcome)
    mjpeg_server.stop()


def test_a_stream_that_goes_is_told_of_and_comes_back(desk: Any, mjpeg_server: Any) -> None:
    desk.open(mjpeg_server.address)
    assert desk.page.transport.live
    assert desk.page.transport.state_text.startswith(f"{mjpeg_server.address} · ")
    assert not desk.actions["to_start"].isEnabled()
    mjpeg_server.stop()
    desk.until_state("reconnecting")
    assert "trying again" in desk.page.transport.state_text
    assert desk.page.stack.currentWidget() is desk.page.view, "the last picture stays"
    mjpeg_server.start()
    desk.until_state("playing")
    desk.until(lambda: desk.told_of("is back"))


def test_another_source_empties_the_time_line(still: Any, marker_folder: Path) -> None:
    assert still.page.transport.timeline.people_at(0.1) is not None
    still.window.sources.open_text(str(marker_folder))
    still.until(lambda: still.session.status.request.label == "frames")
    still.until_state("playing", "ended")
    still.until(lambda: still.painted)
    assert still.page.transport.timeline.duration_s == pytest.approx(0.8)
