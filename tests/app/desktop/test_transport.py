import math

import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QComboBox, QLabel, QToolButton
from pytestqt.qtbot import QtBot

from app.desktop.theme import make_palette
from app.desktop.transport import SPEEDS, TransportBar

LEFT = Qt.MouseButton.LeftButton


@pytest.fixture
def bar(qtbot: QtBot) -> TransportBar:
    widget = TransportBar()
    qtbot.addWidget(widget)
    widget.resize(900, widget.sizeHint().height())
    widget.show()
    return widget


def button(bar: TransportBar, name: str) -> QToolButton:
    (found,) = [b for b in bar.findChildren(QToolButton) if b.accessibleName() == name]
    return found


def test_play_becomes_pause_while_playing_and_both_ask_the_same(bar: TransportBar, qtbot: QtBot):
    with qtbot.waitSignal(bar.play_toggled):
        qtbot.mouseClick(button(bar, "Play"), LEFT)
    assert not bar.playing, "the session says whether it plays"
    bar.set_playing(True)
    with qtbot.waitSignal(bar.play_toggled):
        qtbot.keyClick(button(bar, "Pause"), Qt.Key.Key_Space)


@pytest.mark.parametrize(("name", "step"), [("One frame back", -1), ("One frame on", 1)])
def test_step_buttons_go_one_frame(bar: TransportBar, qtbot: QtBot, name: str, step: int):
    with qtbot.waitSignal(bar.stepped) as signal:
        qtbot.mouseClick(button(bar, name), LEFT)
    assert signal.args == [step]


def test_loop_tells_its_new_state_only_when_clicked(bar: TransportBar, qtbot: QtBot):
    states: list[bool] = []
    bar.loop_changed.connect(states.append)
    bar.set_loop(True)
    assert bar.loop and not states
    qtbot.mouseClick(button(bar, "Begin anew at the end"), LEFT)
    qtbot.mouseClick(button(bar, "Begin anew at the end"), LEFT)
    assert states == [False, True]


def test_speed_is_chosen_by_key_and_fastest_is_infinite(bar: TransportBar, qtbot: QtBot):
    chosen: list[float] = []
    bar.speed_changed.connect(chosen.append)
    assert bar.speed == 1.0
    box = bar.findChild(QComboBox)
    qtbot.keyClick(box, Qt.Key.Key_Down)
    qtbot.keyClick(box, Qt.Key.Key_End)
    assert chosen == [2.0, math.inf]
    assert bar.speed == math.inf
    assert box.currentText() == "Fastest"


@pytest.mark.parametrize("speed", SPEEDS)
def test_a_speed_from_outside_is_shown_and_not_told_back(bar: TransportBar, speed: float):
    chosen: list[float] = []
    bar.speed_changed.connect(chosen.append)
    bar.set_speed(speed)
    assert bar.speed == speed
    assert not chosen


def test_a_speed_that_is_not_offered_is_refused(bar: TransportBar):
    with pytest.raises(ValueError):
        bar.set_speed(3.0)


def test_the_time_is_shown_beside_the_length(bar: TransportBar):
    bar.set_time(7.25, 12.6)
    assert bar.time_text == "0:07.2 / 0:12.6"
    assert bar.timeline.position_s == 7.25
    bar.set_time(8.0, None)
    assert bar.time_text == "0:08.0 / –"


@pytest.mark.parametrize("duration_s", [None, 0.0, math.nan])
def test_a_stream_of_unknown_length_runs_on(bar: TransportBar, duration_s: float | None):
    bar.set_time(3.0, duration_s)
    bar.set_time(4.0, duration_s)
    assert bar.time_text == "0:04.0 / –"
    assert bar.timeline.position_s == 4.0


def test_running_time_keeps_what_the_time_line_saw_and_moves_nothing(bar: TransportBar):
    bar.set_time(0.0, 12.6)
    bar.timeline.add_people(0.0, 2)
    label = next(found for found in bar.findChildren(QLabel) if found.text() == bar.time_text)
    bar.grab()
    places = set()
    for tenth in range(0, 126, 7):
        bar.set_time(tenth / 10, 12.6)
        bar.grab()
        places.add((label.geometry().getRect(), bar.timeline.geometry().getRect()))
    assert len(places) == 1
    assert bar.timeline.people_at(0.0) == 2


def test_the_time_line_seeks_through_the_bar(bar: TransportBar, qtbot: QtBot):
    bar.set_time(0.0, 10.0)
    with qtbot.waitSignal(bar.sought) as signal:
        qtbot.keyClick(bar.timeline, Qt.Key.Key_Right)
    assert signal.args == [1.0]


def test_a_live_source_has_a_state_instead_of_file_controls(bar: TransportBar, qtbot: QtBot):
    bar.set_live(True)
    bar.set_state("Streaming", "good")
    assert bar.live and bar.state_text == "Streaming"
    assert not bar.timeline.isVisible()
    assert not button(bar, "Play").isVisible()
    with qtbot.waitSignal(bar.mirrored_changed) as signal:
        qtbot.mouseClick(button(bar, "Mirrored"), LEFT)
    assert signal.args == [True] and bar.mirrored
    bar.set_live(False)
    assert bar.timeline.isVisible()
    assert not button(bar, "Mirrored").isVisible()


def test_the_live_chip_is_coloured_by_the_state_and_the_theme(bar: TransportBar):
    bar.set_live(True)
    chip = next(label for label in bar.findChildren(QLabel) if label.text() == "LIVE")
    colours = set()
    for theme in ("light", "dark"):
        bar.setPalette(make_palette(theme))
        for role in ("good", "warning"):
            bar.set_state("", role)
            colours.add(chip.grab().toImage().pixelColor(4, chip.height() // 2).name())
    assert len(colours) == 4


def test_every_control_can_be_reached_and_explains_itself(bar: TransportBar):
    for control in [*bar.findChildren(QToolButton), *bar.findChildren(QComboBox)]:
        assert control.toolTip()
        assert control.accessibleName()
        assert control.focusPolicy() & Qt.FocusPolicy.TabFocus
