from collections.abc import Iterator

import pytest
from PySide6.QtCore import QEvent, Qt
from PySide6.QtGui import QCursor
from PySide6.QtWidgets import QLabel, QPushButton, QToolButton, QVBoxLayout, QWidget
from pytestqt.qtbot import QtBot

from app.desktop.notices import MOST_NOTICES, NoticeBar
from app.desktop.theme import make_palette

LEFT = Qt.MouseButton.LeftButton


@pytest.fixture
def bar(qtbot: QtBot) -> Iterator[NoticeBar]:
    # Where another test left the mouse it may be over a notice, which then stays.
    QCursor.setPos(10_000, 10_000)
    window, widget = QWidget(), NoticeBar()
    qtbot.addWidget(window)
    column = QVBoxLayout(window)
    column.addWidget(widget)
    column.addStretch(1)
    window.resize(600, 300)
    window.show()
    yield widget
    window.close()


def closers(bar: NoticeBar) -> list[QToolButton]:
    return [b for b in bar.findChildren(QToolButton) if b.accessibleName() == "Close" and b.isVisible()]


def test_an_empty_bar_takes_no_room(bar: NoticeBar):
    assert not bar.isVisible()
    bar.show_notice("The camera is back", "good")
    assert bar.isVisible()
    bar.clear()
    assert not bar.isVisible() and bar.texts == []


def test_a_notice_is_closed_by_its_cross(bar: NoticeBar, qtbot: QtBot):
    bar.show_notice("The disk is full", "bad", key="disk")
    with qtbot.waitSignal(bar.dismissed) as signal:
        qtbot.mouseClick(closers(bar)[0], LEFT)
    assert signal.args == ["disk"]
    assert not bar.isVisible()


def test_the_button_of_a_notice_tells_its_key_and_the_notice_goes(bar: NoticeBar, qtbot: QtBot):
    bar.show_notice("Take 3 is recorded", "good", "&Open folder", key="take-3")
    (button,) = [b for b in bar.findChildren(QPushButton) if b.isVisible()]
    with qtbot.waitSignal(bar.action_triggered) as signal:
        qtbot.keyClick(button, Qt.Key.Key_Space)
    assert signal.args == ["take-3"]
    assert bar.keys == []


def test_the_same_key_replaces_in_its_place(bar: NoticeBar):
    bar.show_notice("Retry in 3 s", "warning", key="camera")
    bar.show_notice("Other", "accent")
    bar.show_notice("Retry in 2 s", "warning", key="camera")
    assert bar.texts == ["Retry in 2 s", "Other"]


def test_the_same_text_is_not_said_twice(bar: NoticeBar):
    for _ in range(5):
        key = bar.show_notice("The camera is gone", "warning")
    assert bar.texts == ["The camera is gone"]
    bar.dismiss(key)
    bar.dismiss("never shown")
    assert bar.texts == []


def test_a_notice_goes_when_its_time_is_over(bar: NoticeBar, qtbot: QtBot):
    dismissed: list[str] = []
    bar.dismissed.connect(dismissed.append)
    bar.show_notice("Copied", "good", timeout_s=0.05, key="copied")
    bar.show_notice("Stays", "accent")
    qtbot.waitUntil(lambda: dismissed == ["copied"], timeout=2000)
    assert bar.texts == ["Stays"]


def test_a_replaced_notice_takes_its_time_along(bar: NoticeBar, qtbot: QtBot):
    bar.show_notice("Short", "good", timeout_s=0.05, key="one")
    bar.show_notice("Long", "good", key="one")
    qtbot.wait(150)
    assert bar.texts == ["Long"]


def test_a_notice_under_the_mouse_stays_until_it_is_left(bar: NoticeBar, qtbot: QtBot):
    bar.show_notice("Read me", "good", timeout_s=0.05)
    notice = closers(bar)[0].parentWidget()
    notice.enterEvent(None)
    qtbot.wait(150)
    assert bar.texts == ["Read me"]
    with qtbot.waitSignal(bar.dismissed, timeout=2000):
        notice.leaveEvent(QEvent(QEvent.Type.Leave))


def test_of_many_notices_those_that_would_go_anyway_make_room(bar: NoticeBar):
    bar.show_notice("Lasting", "bad")
    bar.show_notice("Fleeting", "good", timeout_s=60)
    bar.show_notice("Second", "bad")
    bar.show_notice("Third", "bad")
    assert bar.texts == ["Lasting", "Second", "Third"]
    bar.show_notice("Newest", "good", timeout_s=60)
    assert bar.texts == ["Second", "Third", "Newest"]
    assert len(bar.keys) == MOST_NOTICES


def test_a_long_notice_wraps_and_is_not_cut(bar: NoticeBar, qtbot: QtBot):
    bar.window().resize(400, 300)
    bar.show_notice("word " * 60, "warning", "Do something")
    qtbot.wait(50)
    (label,) = [found for found in bar.findChildren(QLabel) if found.text()]
    assert label.height() >= label.heightForWidth(label.width())
    assert bar.height() <= bar.layout().heightForWidth(bar.width()), "no more than it needs"


def test_a_role_has_its_colour_in_each_theme(bar: NoticeBar):
    colours = set()
    for theme in ("light", "dark"):
        bar.setPalette(make_palette(theme))
        for role in ("good", "warning", "bad", "accent"):
            bar.show_notice("Same", role)
            notice = closers(bar)[-1].parentWidget()
            colours.add(notice.grab().toImage().pixelColor(2, 14).name())
    assert len(colours) == 8
