import math

import numpy as np
import pytest
from PySide6.QtCore import QPoint, Qt
from PySide6.QtGui import QImage, QKeySequence, QShortcut
from PySide6.QtWidgets import QVBoxLayout, QWidget
from pytestqt.qtbot import QtBot

from app.desktop.theme import make_palette, status_colour
from app.desktop.timeline import Timeline

LEFT = Qt.MouseButton.LeftButton


@pytest.fixture
def timeline(qtbot: QtBot) -> Timeline:
    """A time line of 10 s, 416 px wide: 40 px a second from 8 px on."""
    widget = Timeline()
    qtbot.addWidget(widget)
    widget.resize(416, widget.sizeHint().height())
    widget.set_duration(10.0)
    widget.show()
    return widget


@pytest.fixture
def sought(timeline: Timeline) -> list[float]:
    """Every time that the time line asked for."""
    times: list[float] = []
    timeline.sought.connect(times.append)
    return times


def at(timeline: Timeline, seconds: float) -> QPoint:
    return QPoint(round(timeline.x_of(seconds)), 26)


def picture(timeline: Timeline) -> np.ndarray:
    """(H, W, 3) uint8 RGB."""
    image = timeline.grab().toImage().convertToFormat(QImage.Format.Format_RGB888)
    rows = np.frombuffer(image.constBits(), np.uint8).reshape(image.height(), image.bytesPerLine()).copy()
    return rows[:, : image.width() * 3].reshape(image.height(), image.width(), 3)


def bar_height(timeline: Timeline, seconds: float) -> int:
    colour = status_colour("accent", timeline.palette())
    timeline.clearFocus()  # The frame of who has the focus may be of the same colour.
    column = picture(timeline)[:, round(timeline.x_of(seconds))]
    return int((column == [colour.red(), colour.green(), colour.blue()]).all(axis=1).sum())


def test_a_click_seeks_once_to_the_time_under_the_mouse(
    timeline: Timeline, sought: list[float], qtbot: QtBot
):
    qtbot.mouseClick(timeline, LEFT, pos=at(timeline, 4.0))
    assert sought == [pytest.approx(4.0, abs=0.02)]
    assert timeline.position_s == sought[0]
    assert not timeline.dragging


def test_a_drag_asks_now_and_then_and_once_more_on_release(
    timeline: Timeline, sought: list[float], qtbot: QtBot
):
    dragging = []
    timeline.sought.connect(lambda: dragging.append(timeline.dragging))
    qtbot.mousePress(timeline, LEFT, pos=at(timeline, 1.0))
    assert timeline.dragging
    for step in range(100):
        qtbot.mouseMove(timeline, at(timeline, 1.0 + step * 0.05))
    assert len(sought) < 20
    qtbot.waitUntil(lambda: sought[-1:] == [pytest.approx(5.95, abs=0.03)], timeout=1000)
    qtbot.mouseRelease(timeline, LEFT, pos=at(timeline, 6.0))
    assert sought[-1] == pytest.approx(6.0, abs=0.02)
    assert dragging[-1] is False and all(dragging[:-1])


def test_a_playhead_that_is_held_does_not_follow_the_file(timeline: Timeline, qtbot: QtBot):
    qtbot.mousePress(timeline, LEFT, pos=at(timeline, 8.0))
    timeline.set_position(2.0)
    assert timeline.position_s == pytest.approx(8.0, abs=0.02)
    qtbot.mouseRelease(timeline, LEFT, pos=at(timeline, 8.0))
    timeline.set_position(2.0)
    assert timeline.position_s == 2.0


def test_a_drag_out_of_the_widget_stays_within_the_file(
    timeline: Timeline, sought: list[float], qtbot: QtBot
):
    qtbot.mousePress(timeline, LEFT, pos=at(timeline, 5.0))
    qtbot.mouseRelease(timeline, LEFT, pos=QPoint(-500, 26))
    qtbot.mousePress(timeline, LEFT, pos=at(timeline, 5.0))
    qtbot.mouseRelease(timeline, LEFT, pos=QPoint(5000, 26))
    assert sought == [0.0, 10.0]


def test_another_mouse_button_seeks_nothing(timeline: Timeline, sought: list[float], qtbot: QtBot):
    qtbot.mouseClick(timeline, Qt.MouseButton.RightButton, pos=at(timeline, 4.0))
    assert not sought


def test_keys_seek_by_a_second_by_five_and_to_both_ends(
    timeline: Timeline, sought: list[float], qtbot: QtBot
):
    timeline.set_position(3.0)
    keys = ("Right", "Right", "Left", "PageUp", "PageDown", "PageDown", "End", "Home")
    for key in keys:
        qtbot.keyClick(timeline, getattr(Qt.Key, f"Key_{key}"))
    assert sought == [4.0, 5.0, 4.0, 9.0, 4.0, 0.0, 10.0, 0.0]


def test_the_end_is_the_last_picture_and_not_behind_it(timeline: Timeline, sought: list[float], qtbot: QtBot):
    timeline.set_duration(10.0, frame_s=0.5)
    qtbot.keyClick(timeline, Qt.Key.Key_End)
    qtbot.mouseClick(timeline, LEFT, pos=at(timeline, 9.9))
    assert sought == [9.5, 9.5]


def test_focused_keys_win_over_the_shortcuts_of_the_window(qtbot: QtBot):
    window, timeline, fired = QWidget(), Timeline(), []
    qtbot.addWidget(window)
    QVBoxLayout(window).addWidget(timeline)
    for key in ("Right", "Ctrl+Right", "Space"):
        shortcut = QShortcut(QKeySequence(key), window)
        shortcut.activated.connect(lambda key=key: fired.append(key))
    timeline.set_duration(10.0)
    with qtbot.waitActive(window):
        window.show()
        window.activateWindow()
    timeline.setFocus()
    qtbot.keyClick(timeline, Qt.Key.Key_Right)
    assert timeline.position_s == 1.0
    qtbot.keyClick(timeline, Qt.Key.Key_Right, Qt.KeyboardModifier.ControlModifier)
    qtbot.keyClick(timeline, Qt.Key.Key_Space)
    assert fired == ["Ctrl+Right", "Space"]
    assert timeline.position_s == 1.0


@pytest.mark.parametrize("duration_s", [None, 0.0, math.nan, math.inf])
def test_a_file_of_unknown_length_cannot_be_sought(
    duration_s: float | None, timeline: Timeline, sought: list[float], qtbot: QtBot
):
    timeline.set_duration(duration_s)
    timeline.add_people(1.0, 2)
    timeline.set_position(5.0)
    qtbot.mouseClick(timeline, LEFT, pos=QPoint(100, 26))
    qtbot.keyClick(timeline, Qt.Key.Key_Right)
    assert not sought
    assert timeline.duration_s is None
    assert timeline.people_at(1.0) is None
    assert timeline.accessibleDescription() == "The length is not known: nothing can be sought"
    assert not timeline.grab().isNull()


def test_the_most_people_of_a_time_are_kept(timeline: Timeline):
    timeline.add_people(3.0, 2)
    timeline.add_people(3.0, 5)
    timeline.add_people(3.0, 1)
    assert timeline.people_at(3.0) == 5
    assert timeline.people_at(6.0) is None


def test_playing_leaves_no_holes_and_a_jump_leaves_one(timeline: Timeline):
    for index in range(60):
        timeline.add_people(index / 30, 1)
    timeline.add_people(4.0, 3)
    assert {timeline.people_at(time_s) for time_s in np.arange(0, 1.95, 0.01)} == {1}
    assert timeline.people_at(3.0) is None
    assert timeline.people_at(4.0) == 3


def test_slow_pictures_fill_the_time_they_are_shown(timeline: Timeline):
    timeline.set_duration(10.0, frame_s=1.0)
    for index in range(5):
        timeline.add_people(float(index), index)
    assert [timeline.people_at(index + 0.5) for index in range(6)] == [0, 1, 2, 3, 4, None]


def test_times_outside_the_file_are_passed_over(timeline: Timeline):
    timeline.add_people(-1.0, 4)
    timeline.add_people(99.0, 4)
    assert timeline.people_at(0.0) is None
    assert timeline.people_at(10.0) is None


def test_more_people_make_a_higher_bar(timeline: Timeline):
    timeline.add_people(2.0, 1)
    timeline.add_people(4.0, 2)
    timeline.add_people(6.0, 4)
    heights = [bar_height(timeline, seconds) for seconds in (2.0, 4.0, 6.0, 8.0)]
    assert heights[0] < heights[1] < heights[2]
    assert heights[3] == 0


def test_nobody_looks_other_than_not_looked_at(timeline: Timeline):
    for index in range(60):
        timeline.add_people(2.0 + index / 30, 0)
    image = picture(timeline)
    strip = image[20:36]
    seen = strip[:, round(timeline.x_of(3.0))]
    unseen = strip[:, round(timeline.x_of(7.0))]
    assert (seen == seen[0]).all()
    assert not (unseen == unseen[0]).all()


def test_a_marker_shows_a_flag(timeline: Timeline):
    before = picture(timeline)
    timeline.add_marker(5.0)
    timeline.add_marker(500.0)
    changed = np.flatnonzero((picture(timeline) != before).any(axis=(0, 2)))
    assert len(changed)
    assert abs(changed.min() - timeline.x_of(5.0)) < 3
    assert changed.max() - changed.min() < 14


def test_under_the_mouse_its_time_and_people_are_shown(timeline: Timeline, qtbot: QtBot):
    timeline.add_people(7.5, 2)
    before = picture(timeline)
    qtbot.mouseMove(timeline, at(timeline, 7.5))
    qtbot.wait(20)
    changed = (picture(timeline) != before).any(axis=2)
    assert changed[:14, 260:].any()
    qtbot.mouseMove(timeline, at(timeline, 7.6))
    timeline.leaveEvent(None)
    assert not (picture(timeline) != before).any()


def test_another_file_starts_afresh(timeline: Timeline):
    timeline.add_people(3.0, 2)
    timeline.set_position(4.0)
    timeline.reset()
    assert timeline.duration_s is None
    timeline.set_duration(20.0)
    assert timeline.people_at(3.0) is None
    assert timeline.position_s == 0.0


def test_a_screen_reader_hears_the_time(timeline: Timeline):
    timeline.set_position(7.25)
    assert timeline.accessibleName() == "Time line"
    assert timeline.accessibleDescription() == "0:07.2 of 0:10.0"


def test_a_change_of_theme_recolours_it(timeline: Timeline):
    for index in range(60):
        timeline.add_people(4.0 + index / 30, 0)
    grounds = set()
    for theme in ("light", "dark"):
        timeline.setPalette(make_palette(theme))
        grounds.add(tuple(picture(timeline)[24, round(timeline.x_of(5.0))].tolist()))
    assert grounds == {(255, 255, 255), (22, 24, 28)}
