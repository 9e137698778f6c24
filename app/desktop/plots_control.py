"""Feeds the plots, and remembers which ones there are."""

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, Signal
from PySide6.QtWidgets import QWidget

from app.desktop.plots_data import Quantity, SeriesStore
from app.desktop.plots_holder import PlotsHolder
from app.desktop.preferences import Preferences
from app.desktop.session import Session
from app.desktop.stage_colours import OverlayPalette
from engine.live_values import LiveResult
from engine.skeleton import Skeleton

if TYPE_CHECKING:
    from app.desktop.plots import PlotsPanel

LOGGER = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class PlotsMemory:
    """What is remembered of the plots: what they show, None for those of a first start, and how."""

    quantities: tuple[str, ...] | None = None
    span_s: float = 10.0
    raw: bool = False


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
        self._palette: OverlayPalette = "colour-blind"
        self._sequence = -1
        self._skeleton: Skeleton | None = None
        self.store = SeriesStore()
        self.panel: PlotsPanel | None = None
        self.holder = PlotsHolder(self._make_panel)
        session.result_followed.connect(self._add)

    def set_names(self, names: Mapping[int, str]) -> None:
        """Show people by these names."""
        self._names = dict(names)
        if self.panel is not None:
            self.panel.show_person_names(self._names)

    def set_palette(self, palette: OverlayPalette) -> None:
        """Show people in the colours that they have on the stage."""
        self._palette = palette
        if self.panel is not None:
            self.panel.set_person_palette(palette)

    def close(self) -> None:
        """Wait until nothing is loaded or written any more."""
        self.holder.close_threads()
        if self.panel is not None:
            self.panel.close_threads()

    def _add(self, live: LiveResult) -> None:
        if live.sequence != self._sequence:
            self._sequence = live.sequence
            if self.panel is not None:
                self.panel.reset()
            else:
                self.store.reset()
        skeleton = self._session.live.skeleton
        if skeleton is not None and skeleton is not self._skeleton:
            self._skeleton = skeleton
            if self.panel is not None:
                self.panel.set_skeleton(skeleton)
            else:
                self.store.set_skeleton(skeleton)
        self.store.add_result(live.result)

    def _make_panel(self) -> QWidget:
        from app.desktop.plots import FIRST_PLOTS, PlotsPanel

        memory = self._preferences.get("plots", PlotsMemory, PlotsMemory())
        first = FIRST_PLOTS if memory.quantities is None else _parse(memory.quantities)
        self.panel = PlotsPanel(self.store, first)
        self.panel.told.connect(lambda text: self.told.emit("accent", text))
        self.panel.show_person_names(self._names)
        self.panel.set_person_palette(self._palette)
        self.panel.set_view(memory.span_s, raw=memory.raw)
        self.panel.changed.connect(self._remember)
        return self.panel

    def _remember(self) -> None:
        if self.panel is not None and self.panel.store.skeleton is not None:
            names = tuple(str(quantity) for quantity in self.panel.quantities)
            memory = PlotsMemory(names, self.panel.span_s, self.panel.raw)
            self._preferences.set("plots", memory)


def _parse(texts: Iterable[str]) -> list[Quantity]:
    quantities = []
    for text in texts:
        try:
            quantities.append(Quantity.parse(text))
        except ValueError as error:
            LOGGER.warning("a remembered plot is left out: %s", error)
    return quantities
