"""A menu whose entries are ticked one after another: it stays open until somebody clicks elsewhere."""

from PySide6.QtCore import QEvent, QObject, Qt, Signal
from PySide6.QtGui import QAction, QKeyEvent
from PySide6.QtWidgets import QMenu, QWidget


class TickMenu(QMenu):
    """Entries that are known by names, ticked by mouse or space bar without closing the menu.

    Signals:
        changed: somebody ticked something.
    """

    changed = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setToolTipsVisible(True)
        self._switches: dict[str, QAction] = {}
        self.installEventFilter(self)

    @property
    def switches(self) -> dict[str, QAction]:
        """The entries by their names, in their order."""
        return self._switches

    def switch(self, name: str) -> QAction:
        """Return an entry."""
        return self._switches[name]

    def add_switch(self, name: str, text: str, tip: str) -> QAction:
        """Add an entry at the end and return it."""
        switch = self.addAction(text)
        switch.setCheckable(True)
        switch.setToolTip(tip)
        switch.triggered.connect(self.changed)
        self._switches[name] = switch
        return switch

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Tick without closing."""
        entry = self.activeAction()
        released = event.type() == QEvent.Type.MouseButtonRelease
        spaced = isinstance(event, QKeyEvent) and (
            event.type() == QEvent.Type.KeyPress and event.key() == Qt.Key.Key_Space
        )
        if watched is self and (released or spaced) and entry is not None and entry.isCheckable():
            entry.trigger()
            return True
        return super().eventFilter(watched, event)
