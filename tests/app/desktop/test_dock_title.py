"""The slim title bars of panels."""

from collections.abc import Iterator

import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QDockWidget, QLabel, QMainWindow
from pytestqt.qtbot import QtBot

from app.desktop.dock_title import DockTitle

RIGHT = Qt.DockWidgetArea.RightDockWidgetArea
LEFT_BUTTON = Qt.MouseButton.LeftButton


@pytest.fixture
def docks(qtbot: QtBot) -> Iterator[list[QDockWidget]]:
    """Two panels, one behind the other, and a third one below them."""
    window = QMainWindow()
    qtbot.addWidget(window)
    docks = []
    for name in ("People", "Numbers", "Plots"):
        dock = QDockWidget(name, window)
        dock.setWidget(QLabel(name))
        dock.setTitleBarWidget(DockTitle(dock))
        window.addDockWidget(RIGHT if name != "Plots" else Qt.DockWidgetArea.BottomDockWidgetArea, dock)
        docks.append(dock)
    window.tabifyDockWidget(docks[0], docks[1])
    window.resize(600, 400)
    window.show()
    qtbot.waitExposed(window)
    yield docks
    window.close()


def bar(dock: QDockWidget) -> DockTitle:
    title = dock.titleBarWidget()
    assert isinstance(title, DockTitle)
    return title


def test_a_panel_behind_tabs_does_not_repeat_its_name(docks: list[QDockWidget], qtbot: QtBot):
    qtbot.waitUntil(lambda: not bar(docks[1]).title.isVisible())
    assert bar(docks[2]).title.isVisible() and bar(docks[2]).title.text() == "Plots"


def test_a_panel_left_alone_says_its_name(docks: list[QDockWidget], qtbot: QtBot):
    qtbot.waitUntil(lambda: bar(docks[0]).title.isHidden())
    docks[1].hide()
    qtbot.waitUntil(lambda: not bar(docks[0]).title.isHidden())


def test_a_panel_floats_and_comes_back(docks: list[QDockWidget], qtbot: QtBot):
    qtbot.mouseClick(bar(docks[1]).float_button, LEFT_BUTTON)
    assert docks[1].isFloating()
    qtbot.waitUntil(bar(docks[1]).title.isVisible)
    qtbot.mouseClick(bar(docks[1]).float_button, LEFT_BUTTON)
    assert not docks[1].isFloating()


def test_a_panel_is_hidden_by_its_cross(docks: list[QDockWidget], qtbot: QtBot):
    qtbot.mouseClick(bar(docks[2]).close_button, LEFT_BUTTON)
    assert docks[2].isHidden()
    assert bar(docks[2]).close_button.accessibleName() == "Hide Plots"


def test_a_panel_comes_to_the_front_when_the_focus_goes_into_it(docks: list[QDockWidget], qtbot: QtBot):
    docks[1].raise_()
    window = docks[0].window()
    window.activateWindow()
    qtbot.waitActive(window)
    qtbot.waitUntil(lambda: docks[0].visibleRegion().isEmpty())
    field = bar(docks[0]).close_button
    field.setFocus(Qt.FocusReason.TabFocusReason)
    qtbot.waitUntil(lambda: not docks[0].visibleRegion().isEmpty())
    assert docks[1].visibleRegion().isEmpty()
