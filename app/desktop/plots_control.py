"""Feeds the plots; their panel is made when it is first seen, as the plotting library loads slowly."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, Signal
from PySide6.QtGui import QShowEvent
from PySide6.QtWidgets import QVBoxLayout, QWidget

from app.desktop.plots_data import SeriesStore
from app.desktop.preferences import Preferences
from app.desktop.session import Session
from engine.live_values import LiveResult

if TYPE_CHECKING:
    from app.desktop.plots import PlotsPanel


class PlotsControl(QObject):
    """Collects results from the start, so that the plots have a past when they are opened.

    holder: the widget that the panel appears in.

    Signals:
        told: (role, sentence).
    """

    told = Signal(str, str)

    def __init__(self, session: Session, preferences: Preferences, parent: QObject) -> None:
        super().__init__(parent)
        self._session, self._preferences = session, preferences
        self._names: Mapping[int, str] = {}
        self._sequence = -1
        self.store = SeriesStore()
        self.panel: PlotsPanel | None = None
        self.holder = _Holder(self._make_panel)
        session.result_followed.connect(self._add)

    def set_names(self, names: Mapping[int, str]) -> None:
        """Show people by these names."""
        self._names = dict(names)
        if self.panel is not None:
            self.panel.show_person_names(self._names)

    def close(self) -> None:
        """Wait until nothing is written any more."""
        if self.panel is not None:
            self.panel.close_threads()

    def _add(self, live: LiveResult) -> None:
        if live.sequence != self._sequence:
            self._sequence = live.sequence
            skeleton = self._session.live.skeleton
            if self.panel is not None:
                self.panel.reset()
            else:
                self.store.reset()
            if skeleton is not None and skeleton != self.store.skeleton:
                if self.panel is not None:
                    self.panel.set_skeleton(skeleton)
                else:
                    self.store.set_skeleton(skeleton)
        self.store.add_result(live.result)

    def _make_panel(self) -> QWidget:
        from app.desktop.plots import PlotsPanel

        self.panel = PlotsPanel(self.store)
        self.panel.told.connect(lambda text: self.told.emit("accent", text))
        self.panel.show_person_names(self._names)
        return self.panel


class _Holder(QWidget):
    def __init__(self, make: Callable[[], QWidget]) -> None:
        super().__init__()
        self._make = make
        self._column = QVBoxLayout(self)
        self._column.setContentsMargins(0, 0, 0, 0)
        self.setMinimumHeight(160)

    def showEvent(self, event: QShowEvent) -> None:
        """Make the panel the first time."""
        if self._column.count() == 0:
            self._column.addWidget(self._make())
        super().showEvent(event)
