"""Live plots of keypoints and joint angles, per person, from the same values that a recording gets.

Importing this module loads pyqtgraph, which takes its time: the window imports it when the plots are first
shown. `app.desktop.plots_data.SeriesStore` can collect results before that and be handed over.
"""

import logging
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from PySide6.QtCore import QEvent, Qt, QTimer, Signal
from PySide6.QtGui import QHideEvent, QShowEvent
from PySide6.QtWidgets import QFileDialog, QLabel, QSizePolicy, QVBoxLayout, QWidget

from app.desktop.plots_bar import PlotsBar
from app.desktop.plots_data import Quantity, SeriesStore, Table
from app.desktop.plots_export import write_series
from app.desktop.plots_pace import Pace
from app.desktop.plots_stack import PlotStack
from app.desktop.plots_view import Look, PlotCard, line_colour
from app.desktop.stage_colours import OverlayPalette
from engine.errors import SinkError
from engine.skeleton import Skeleton
from engine.structures import Result
from engine.tracking.angles import joint_triples

LOGGER = logging.getLogger(__name__)

MAX_PLOTS = 4
PACE_S = 1 / 15, 0.5
"""Of each plot, shortest and longest time between two drawings, s."""
SHARE = 0.2
"""Of the window's time that drawing plots may take: the video comes first."""
_THIN_POINTS = (3600, 2400)
"""Lines become thin above the first number of points in all plots, and wide again below the second."""
FIRST_PLOTS = (Quantity("angle", "left_knee"), Quantity("y", "left_wrist"))
"""Shown at first, where the skeleton has them."""


class PlotsPanel(QWidget):
    """Up to four stacked plots with one time axis.

    Args:
        store: results that were collected before.
        quantities: what is plotted at first, where the skeleton has it.

    Signals:
        told: a sentence for the status line: a file was written, or why not. changed: other plots, or shown
        in another way; `quantities`, `span_s` and `raw` say how.
    """

    told = Signal(str)
    changed = Signal()
    _export_ended = Signal()

    def __init__(
        self,
        store: SeriesStore | None = None,
        quantities: Sequence[Quantity] = FIRST_PLOTS,
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self._pending = list(quantities[:MAX_PLOTS])
        self._store = store or SeriesStore()
        self._frozen: SeriesStore | None = None
        self._names: dict[int, str] = {}
        self._palette: OverlayPalette = "colour-blind"
        self._drawn_version = -1
        self._pace = Pace(PACE_S[0], SHARE, PACE_S[1])
        self._painted_s = 0.0
        self._due: list[PlotCard] = []
        self._due_range = 0.0, 0.0
        self._legend_of: tuple[list[int], frozenset[int] | None] | None = None
        self._exporter: threading.Thread | None = None
        self._export_message = ""
        self._export_ended.connect(self._end_export)
        self._thin = False
        self._bar = PlotsBar()
        self._bar.add_wanted.connect(self.add_plot)
        self._bar.span_changed.connect(lambda _span: self._apply_view())
        self._bar.raw_changed.connect(lambda _raw: self._apply_view())
        self._bar.people_changed.connect(self.redraw)
        self._bar.paused_changed.connect(self._set_paused)
        self._bar.export_wanted.connect(self._ask_export)
        self._legend = QLabel()
        self._legend.setTextFormat(Qt.TextFormat.RichText)
        self._legend.setWordWrap(True)
        self._legend.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        self._legend.setAccessibleName(self.tr("People in the plots"))
        self._stack = PlotStack()
        self._build()
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setTimerType(Qt.TimerType.PreciseTimer)
        self._timer.timeout.connect(self._draw_next)
        if self._store.skeleton is not None:
            self.set_skeleton(self._store.skeleton)
        self._bar.set_full(False)

    @property
    def store(self) -> SeriesStore:
        """What is plotted; results may be added to it from any thread instead of through `add_result`."""
        return self._store

    @property
    def quantities(self) -> tuple[Quantity, ...]:
        """What is plotted, from top to bottom."""
        return (*(card.quantity for card in self._cards), *self._pending)

    @property
    def span_s(self) -> float:
        """How long a stretch of time is shown, s."""
        return self._bar.span_s

    @property
    def raw(self) -> bool:
        """Whether raw values are shown too."""
        return self._bar.raw

    @property
    def paused(self) -> bool:
        """Whether the plots stand still."""
        return self._bar.paused

    def add_result(self, result: Result) -> None:
        """Take a result into the plots; they are redrawn when it is time."""
        self._store.add_result(result)

    def set_skeleton(self, skeleton: Skeleton) -> None:
        """Offer this skeleton's keypoints and angles; plots of what it lacks go."""
        self._store.set_skeleton(skeleton)
        self._bar.set_skeleton(skeleton)
        self._stack.set_waiting(False)
        known = _known(skeleton)
        self.set_plots([quantity for quantity in self.quantities if quantity in known])

    def reset(self) -> None:
        """Forget all values, as for another source."""
        self._store.reset()
        self._bar.set_paused(False)
        self.redraw()

    def show_person_names(self, names: Mapping[int, str]) -> None:
        """Call people by these names; others by their number."""
        self._names = dict(names)
        self._apply_look()

    def set_person_palette(self, palette: OverlayPalette) -> None:
        """Show people in the colours that they have on the stage."""
        self._palette = palette
        self._apply_look()

    def show_people(self, track_ids: Sequence[int] | None) -> None:
        """Show only these people; None for everybody."""
        self._bar.choose_people(track_ids)

    def set_view(self, span_s: float, *, raw: bool) -> None:
        """Show so many seconds, with raw values or without."""
        self._bar.set_span(span_s)
        self._bar.set_raw(raw)

    def set_paused(self, paused: bool) -> None:
        """Hold the plots still, or let them run."""
        self._bar.set_paused(paused)

    def set_plots(self, quantities: Sequence[Quantity]) -> None:
        """Show these plots and no others, at most `MAX_PLOTS`."""
        while self._cards:
            self._stack.remove(self._cards[-1])
        self._pending = list(quantities[:MAX_PLOTS])
        self._put_next()

    def add_plot(self, quantity: Quantity) -> None:
        """Add a plot below the others; one that is there already is not shown twice."""
        if quantity not in self.quantities and len(self.quantities) < MAX_PLOTS:
            self._put_card(quantity)
            self._update_cards()
            self._stack.show_last()

    def remove_plot(self, quantity: Quantity) -> None:
        """Take a plot away."""
        self._pending = [other for other in self._pending if other != quantity]
        for card in [card for card in self._cards if card.quantity == quantity]:
            self._stack.remove(card)
        self._update_cards()

    def export(self, path: Path) -> None:
        """Write the values that are shown to a CSV file, in a thread; `told` says how it went."""
        if self._exporter is not None:
            return
        first, last = self._time_range()
        table = self._shown_store.read(self.quantities, raw=self.raw, since_s=first, until_s=last)
        chosen = None if self._bar.chosen is None else sorted(self._bar.chosen)
        self._exporter = threading.Thread(
            target=self._write, args=(path, table, chosen), name="export plots", daemon=True
        )
        self._exporter.start()

    def close_threads(self) -> None:
        """Wait until a file that is being written is whole."""
        if self._exporter is not None:
            self._exporter.join()
            self._exporter = None

    def redraw(self) -> None:
        """Draw what is known now, all plots at once."""
        self._begin_round()
        while self._due:
            self._draw_card(self._due.pop(0))

    def showEvent(self, event: QShowEvent) -> None:
        """Draw from now on."""
        super().showEvent(event)
        self.redraw()
        self._timer.start(0)

    def hideEvent(self, event: QHideEvent) -> None:
        """Cost nothing while nobody looks."""
        super().hideEvent(event)
        self._timer.stop()

    def changeEvent(self, event: QEvent) -> None:
        """Write the legend in the colours of a new theme."""
        super().changeEvent(event)
        if event.type() in (QEvent.Type.PaletteChange, QEvent.Type.StyleChange) and hasattr(self, "_timer"):
            self._update_people()

    @property
    def _cards(self) -> list[PlotCard]:
        return self._stack.cards

    @property
    def _shown_store(self) -> SeriesStore:
        return self._frozen or self._store

    def _build(self) -> None:
        column = QVBoxLayout(self)
        column.setContentsMargins(8, 8, 8, 8)
        column.setSpacing(8)
        column.addWidget(self._bar)
        column.addWidget(self._legend)
        column.addWidget(self._stack, 1)

    def _put_card(self, quantity: Quantity) -> None:
        card = PlotCard(quantity)
        card.remove_wanted.connect(lambda: self.remove_plot(quantity))
        card.range_changed.connect(self.redraw)
        card.pointed.connect(self._point)
        card.set_look(Look(self._palette, self._names))
        card.set_movable(self.paused)
        self._stack.add(card)

    def _put_next(self) -> None:
        """Make one of the plots that are still to come; each in a turn of its own, as one takes 15 ms."""
        if self._pending:
            self._put_card(self._pending.pop(0))
        self._update_cards()
        if self._pending:
            QTimer.singleShot(0, self, self._put_next)

    def _update_cards(self) -> None:
        self._stack.arrange()
        self._bar.set_full(len(self._cards) >= MAX_PLOTS)
        self.redraw()
        self.changed.emit()

    def _time_range(self) -> tuple[float, float]:
        """Return the stretch of time to show: by hand while paused, else up to the newest result."""
        if self.paused and self._cards:
            return self._cards[0].time_range
        newest = self._shown_store.newest_s or 0.0
        first = max(newest - self.span_s, 0.0)
        return first, first + self.span_s

    def _draw_next(self) -> None:
        """Draw one plot, when it is time; the next one in another turn, so that nothing waits for all."""
        now_s, parts = time.perf_counter(), max(1, len(self._cards))
        painted_s = sum(card.painted_s for card in self._cards)
        self._pace.spend(max(0.0, painted_s - self._painted_s))
        self._painted_s = painted_s
        wait_s = self._pace.wait_s(now_s, parts)
        if wait_s == 0:
            if not self._due and self._shown_store.version != self._drawn_version:
                self._begin_round()
            if self._due:
                self._pace.begin(now_s)
                self._draw_card(self._due.pop(0))
                self._pace.spend(time.perf_counter() - now_s)
            wait_s = PACE_S[0] / parts
        self._timer.start(max(1, round(wait_s * 1000)))

    def _begin_round(self) -> None:
        """Let every plot be drawn once, all of them with what is known now."""
        self._drawn_version = self._shown_store.version
        self._due = list(self._cards)
        self._due_range = self._time_range()
        if not self._due:
            self._show_people(self._shown_store.read([]).people())
            self._bar.set_exportable(False)

    def _draw_card(self, card: PlotCard) -> None:
        first, last = self._due_range
        table = self._shown_store.read([card.quantity], raw=self.raw, since_s=first, until_s=last)
        people, chosen = table.people(), self._bar.chosen
        self._show_people(people)
        rows = {person: table.rows_of(person) for person in people if chosen is None or person in chosen}
        self._thin = len(self._cards) * sum(map(len, rows.values())) > _THIN_POINTS[self._thin]
        if not self.paused:
            card.set_time_range(first, last)
        card.set_thin(self._thin)
        card.draw(table, rows, raw=self.raw)
        self._bar.set_exportable(bool(rows))

    def _show_people(self, people: list[int]) -> None:
        if (people, self._bar.chosen) != self._legend_of:
            self._legend_of = people, self._bar.chosen
            self._update_people()

    def _set_paused(self, paused: bool) -> None:
        self._frozen = self._store.copy() if paused else None
        self._stack.set_linked(paused)
        for card in self._cards:
            card.set_movable(paused)
        self.redraw()

    def _apply_view(self) -> None:
        if self.paused and self._cards:
            _, last = self._cards[0].time_range
            self._cards[0].set_time_range(last - self.span_s, last)
        self.redraw()
        self.changed.emit()

    def _apply_look(self) -> None:
        for card in self._cards:
            card.set_look(Look(self._palette, self._names))
        self._update_people()

    def _update_people(self) -> None:
        people = [
            (person, self._name(person), line_colour(person, self.palette(), self._palette))
            for person in (self._legend_of[0] if self._legend_of else [])
        ]
        self._bar.set_people(people)
        chosen = self._bar.chosen
        parts = [
            f'<span style="color:{colour.name()}">●</span>&nbsp;{_html(name)}'
            for person, name, colour in people
            if chosen is None or person in chosen
        ]
        self._legend.setText(" &nbsp; ".join(parts))
        self._legend.setVisible(bool(parts))

    def _name(self, track_id: int) -> str:
        return self._names.get(track_id) or self.tr("Person {0}").format(track_id)

    def _point(self, time_s: float) -> None:
        for card in self._cards:
            card.show_cursor(time_s)

    def _ask_export(self) -> None:
        self._bar.set_paused(True)
        dialog = QFileDialog(self, self.tr("Export plots as CSV"), "plots.csv", self.tr("CSV files (*.csv)"))
        dialog.setAcceptMode(QFileDialog.AcceptMode.AcceptSave)
        dialog.setDefaultSuffix("csv")
        dialog.setModal(False)
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        dialog.fileSelected.connect(lambda name: self.export(Path(name)))
        dialog.show()

    def _write(self, path: Path, table: Table, chosen: Sequence[int] | None) -> None:
        try:
            rows = write_series(path, table, chosen)
            self._export_message = self.tr("{0} rows written to {1}").format(rows, path)
        except SinkError as error:
            self._export_message = str(error)
        except Exception as error:
            LOGGER.exception("while exporting plots to %s", path)
            self._export_message = self.tr("The plots could not be written: {0}").format(error)
        self._export_ended.emit()

    def _end_export(self) -> None:
        self.close_threads()
        self.told.emit(self._export_message)


def _known(skeleton: Skeleton) -> set[Quantity]:
    angles = {Quantity("angle", name) for name in joint_triples(skeleton)}
    return angles | {Quantity(kind, name) for kind in ("x", "y", "speed") for name in skeleton.keypoints}


def _html(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(" ", "&nbsp;")
