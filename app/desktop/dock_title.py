"""The slim title bar of a panel: its name only where no tab says it already, and two small buttons."""

from PySide6.QtCore import QEvent, Qt
from PySide6.QtWidgets import (
    QApplication,
    QDockWidget,
    QHBoxLayout,
    QLabel,
    QMainWindow,
    QSizePolicy,
    QWidget,
)

from app.desktop.icon_button import IconButton

_BUTTON_PX = 24


class DockTitle(QWidget):
    """Takes the place of a dock's own title bar; drag it to move the dock, double-click it to let it float.

    Args:
        dock: the panel; it owns the bar once it is given to `QDockWidget.setTitleBarWidget`.
    """

    def __init__(self, dock: QDockWidget) -> None:
        super().__init__(dock)
        self._dock = dock
        name = dock.windowTitle()
        self.title = QLabel(name)
        self.title.setTextFormat(Qt.TextFormat.PlainText)
        font = self.title.font()
        font.setBold(True)
        self.title.setFont(font)
        self.title.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        self.float_button = IconButton(
            "open",
            self.tr("Make this panel a window of its own, or put it back"),
            name=self.tr("Float {0}").format(name),
            size_px=_BUTTON_PX,
        )
        self.float_button.clicked.connect(lambda: dock.setFloating(not dock.isFloating()))
        self.close_button = IconButton(
            "close",
            self.tr("Hide this panel; View, Panels shows it again"),
            name=self.tr("Hide {0}").format(name),
            size_px=_BUTTON_PX,
        )
        self.close_button.clicked.connect(dock.close)
        row = QHBoxLayout(self)
        row.setContentsMargins(8, 2, 4, 0)
        row.setSpacing(0)
        row.addWidget(self.title, 1)
        row.addStretch(1)
        row.addWidget(self.float_button)
        row.addWidget(self.close_button)
        dock.topLevelChanged.connect(self._look_around)
        dock.dockLocationChanged.connect(self._look_around)
        dock.visibilityChanged.connect(self._look_around)
        application = QApplication.instance()
        if isinstance(application, QApplication):
            application.focusChanged.connect(self._follow_focus)

    def event(self, event: QEvent) -> bool:
        """Look again at what is around once the bar is shown."""
        if event.type() == QEvent.Type.Show:
            self._show_title()
        return super().event(event)

    def _follow_focus(self, _old: QWidget | None, new: QWidget | None) -> None:
        """Bring the panel to the front when Tab goes into it, which it does behind tabs too."""
        if new is not None and self._dock.isAncestorOf(new) and self._dock.visibleRegion().isEmpty():
            self._dock.raise_()

    def _look_around(self) -> None:
        """Let the bars of all panels look whether there are tabs beside them."""
        window = self._dock.parentWidget()
        for bar in window.findChildren(DockTitle) if window is not None else ():
            bar._show_title()

    def _show_title(self) -> None:
        window = self._dock.parentWidget()
        beside = window.tabifiedDockWidgets(self._dock) if isinstance(window, QMainWindow) else []
        tabbed = not self._dock.isFloating() and any(not dock.isHidden() for dock in beside)
        self.title.setVisible(not tabbed)
