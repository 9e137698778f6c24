"""Where the window's panels stand: at first, while the batch tab is in front, on the full screen, at the next
start."""

from collections.abc import Mapping

from PySide6.QtCore import QByteArray, QObject, Qt
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QDockWidget, QMainWindow, QTabWidget, QToolBar, QWidget

from app.desktop.dock_title import DockTitle
from app.desktop.preferences import Preferences

LAYOUT_VERSION = 1
DEFAULT_SIZE = (1360, 860)
RIGHT_PX, PLOTS_PX = 340, 260
"""First width of the panels on the right, and height of the plots."""
PLOTS = "plots"
"""The panel below the stage; all others are on the right, one behind the other."""
SHOWN_FIRST = ("settings", "people", "numbers")


class WindowLayout(QObject):
    """Puts panels into a window and keeps their places.

    docks: by name.

    Args:
        window: to be laid out; its central widget is `tabs`.
        tabs: of which only the first has use for the plots.
        panels: name to title and widget.
        preferences: where the layout is remembered.
    """

    def __init__(
        self,
        window: QMainWindow,
        tabs: QTabWidget,
        panels: Mapping[str, tuple[str, QWidget]],
        preferences: Preferences,
    ) -> None:
        super().__init__(window)
        self._window, self._tabs, self._preferences = window, tabs, preferences
        self._plots_away = False
        self._before = QByteArray()
        self._was_maximised = False
        self.docks: dict[str, QDockWidget] = {}
        for name, (title, widget) in panels.items():
            dock = QDockWidget(title, window)
            dock.setObjectName(name)
            dock.setWidget(widget)
            dock.setTitleBarWidget(DockTitle(dock))
            self.docks[name] = dock
        window.setDockNestingEnabled(True)
        window.setTabPosition(Qt.DockWidgetArea.RightDockWidgetArea, QTabWidget.TabPosition.North)
        window.setCorner(Qt.Corner.BottomRightCorner, Qt.DockWidgetArea.RightDockWidgetArea)
        self.reset()
        tabs.currentChanged.connect(self._show_tab)

    def reset(self) -> None:
        """Put all panels where they are at first."""
        right, bottom = Qt.DockWidgetArea.RightDockWidgetArea, Qt.DockWidgetArea.BottomDockWidgetArea
        first: QDockWidget | None = None
        for name, dock in self.docks.items():
            dock.setFloating(False)
            self._window.addDockWidget(bottom if name == PLOTS else right, dock)
            if name != PLOTS:
                if first is not None:
                    self._window.tabifyDockWidget(first, dock)
                first = first or dock
            dock.setVisible(name in SHOWN_FIRST)
        assert first is not None
        first.raise_()
        self._window.resizeDocks([first], [RIGHT_PX], Qt.Orientation.Horizontal)
        self._window.resizeDocks([self.docks[PLOTS]], [PLOTS_PX], Qt.Orientation.Vertical)
        self._plots_away = False

    def show_dock(self, name: str) -> None:
        """Bring a panel to the front."""
        self.docks[name].show()
        self.docks[name].raise_()

    def restore(self) -> None:
        """Make the window as it was left."""
        geometry, state = self._preferences.bytes("geometry"), self._preferences.bytes("state")
        if geometry.isEmpty() or not self._window.restoreGeometry(geometry):
            available = QGuiApplication.primaryScreen().availableGeometry()
            width, height = DEFAULT_SIZE
            self._window.resize(min(width, available.width()), min(height, available.height()))
        if not state.isEmpty():
            self._window.restoreState(state, LAYOUT_VERSION)

    def remember(self) -> None:
        """Keep the layout for the next start; that of the full screen is not kept."""
        if self._window.isFullScreen():
            return
        if self._plots_away:
            self.docks[PLOTS].show()
        self._preferences.set_bytes("geometry", self._window.saveGeometry())
        self._preferences.set_bytes("state", self._window.saveState(LAYOUT_VERSION))
        if self._plots_away:
            self.docks[PLOTS].hide()

    def set_fullscreen(self, on: bool) -> None:
        """Give the picture the whole screen, or go back to how it was before."""
        window = self._window
        bars = window.findChildren(QToolBar, options=Qt.FindChildOption.FindDirectChildrenOnly)
        if on:
            self.remember()
            self._before, self._was_maximised = window.saveState(LAYOUT_VERSION), window.isMaximized()
            for dock in self.docks.values():
                dock.hide()
        for part in (window.menuBar(), window.statusBar(), self._tabs.tabBar(), *bars):
            part.setVisible(not on)
        if on:
            window.showFullScreen()
            return
        if self._was_maximised:
            window.showMaximized()
        else:
            window.showNormal()
        window.restoreState(self._before, LAYOUT_VERSION)

    def _show_tab(self, index: int) -> None:
        if self._window.isFullScreen():
            return
        plots = self.docks[PLOTS]
        if index != 0:
            self._plots_away = not plots.isHidden() and not plots.isFloating()
            if self._plots_away:
                plots.hide()
        elif self._plots_away:
            self._plots_away = False
            plots.show()
