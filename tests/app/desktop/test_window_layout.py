from collections.abc import Iterator
from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QLabel, QMainWindow, QTabWidget, QToolBar
from pytestqt.qtbot import QtBot

from app.desktop.preferences import Preferences
from app.desktop.window_layout import WindowLayout

NAMES = ("settings", "people", "numbers", "models", "plots")


class Window(QMainWindow):
    """A window with empty panels."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.tabs = QTabWidget()
        self.tabs.addTab(QLabel("live"), "Live")
        self.tabs.addTab(QLabel("batch"), "Batch")
        self.setCentralWidget(self.tabs)
        panels = {name: (name.title(), QLabel(name)) for name in NAMES}
        self.preferences = Preferences(path)
        self.layout_of = WindowLayout(self, self.tabs, panels, self.preferences)
        self.bar = QToolBar("Tools")
        self.bar.setObjectName("tools")
        self.addToolBar(self.bar)
        self.menuBar().addMenu("File")
        self.statusBar()
        self.layout_of.restore()
        self.show()

    def shown(self) -> list[str]:
        return [name for name, dock in self.layout_of.docks.items() if not dock.isHidden()]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "settings.ini"


@pytest.fixture
def window(qtbot: QtBot, path: Path) -> Iterator[Window]:
    made = Window(path)
    qtbot.addWidget(made)
    return made


def test_at_first_settings_are_in_front_and_plots_and_models_away(window: Window) -> None:
    assert window.shown() == ["settings", "people", "numbers"]
    assert window.layout_of.docks["settings"].widget().isVisible()
    assert window.dockWidgetArea(window.layout_of.docks["plots"]) == Qt.DockWidgetArea.BottomDockWidgetArea


def test_a_panel_is_brought_to_the_front(window: Window, qtbot: QtBot) -> None:
    window.layout_of.show_dock("models")
    qtbot.waitUntil(lambda: not window.layout_of.docks["models"].visibleRegion().isEmpty())


def test_plots_are_away_while_the_batch_tab_is_in_front(window: Window) -> None:
    window.layout_of.show_dock("plots")
    window.tabs.setCurrentIndex(1)
    assert "plots" not in window.shown()
    window.tabs.setCurrentIndex(0)
    assert "plots" in window.shown()


def test_plots_that_were_closed_stay_closed(window: Window) -> None:
    window.tabs.setCurrentIndex(1)
    window.tabs.setCurrentIndex(0)
    assert "plots" not in window.shown()


def test_the_layout_is_there_again_at_the_next_start(window: Window, path: Path, qtbot: QtBot) -> None:
    window.resize(720, 560)
    window.layout_of.docks["people"].hide()
    window.layout_of.show_dock("plots")
    window.layout_of.docks["numbers"].setFloating(True)
    window.tabs.setCurrentIndex(1)
    window.layout_of.remember()
    assert "plots" not in window.shown(), "remembering changes nothing"
    window.preferences.sync()
    again = Window(path)
    qtbot.addWidget(again)
    assert (again.width(), again.height()) == (720, 560)
    assert again.shown() == ["settings", "numbers", "plots"]
    assert again.layout_of.docks["numbers"].isFloating()


def test_all_panels_can_be_put_back(window: Window) -> None:
    docks = window.layout_of.docks
    docks["settings"].hide()
    docks["people"].setFloating(True)
    window.addDockWidget(Qt.DockWidgetArea.LeftDockWidgetArea, docks["numbers"])
    window.layout_of.show_dock("models")
    window.layout_of.reset()
    assert window.shown() == ["settings", "people", "numbers"]
    assert not any(dock.isFloating() for dock in docks.values())
    right = Qt.DockWidgetArea.RightDockWidgetArea
    assert {window.dockWidgetArea(docks[name]) for name in NAMES if name != "plots"} == {right}


def test_the_full_screen_shows_the_picture_alone_and_gives_everything_back(window: Window) -> None:
    window.layout_of.show_dock("plots")
    before = window.shown()
    window.layout_of.set_fullscreen(True)
    assert window.isFullScreen()
    assert window.shown() == []
    bars = (window.menuBar(), window.statusBar(), window.bar, window.tabs.tabBar())
    assert not any(bar.isVisible() for bar in bars)
    window.layout_of.set_fullscreen(False)
    assert not window.isFullScreen()
    assert window.shown() == before
    assert all(bar.isVisible() for bar in bars)


def test_a_window_that_filled_the_screen_does_so_after_the_full_screen(window: Window) -> None:
    window.showMaximized()
    window.layout_of.set_fullscreen(True)
    window.layout_of.set_fullscreen(False)
    assert window.isMaximized()


def test_closing_on_the_full_screen_keeps_the_layout_from_before(
    window: Window, path: Path, qtbot: QtBot
) -> None:
    window.layout_of.show_dock("plots")
    window.layout_of.set_fullscreen(True)
    window.layout_of.remember()
    window.preferences.sync()
    again = Window(path)
    qtbot.addWidget(again)
    assert not again.isFullScreen()
    assert again.shown() == ["settings", "people", "numbers", "plots"]
    assert again.menuBar().isVisible()


@pytest.mark.parametrize("damage", [b"", b"nonsense"])
def test_a_layout_that_cannot_be_read_is_left_aside(path: Path, qtbot: QtBot, damage: bytes) -> None:
    preferences = Preferences(path)
    preferences.set_bytes("geometry", damage)
    preferences.set_bytes("state", damage)
    preferences.sync()
    window = Window(path)
    qtbot.addWidget(window)
    assert window.shown() == ["settings", "people", "numbers"]
