"""One plot: a header that says what it shows, and the lines of everybody through time."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyqtgraph as pg
from PySide6.QtCore import QEvent, QPointF, QSize, Qt, Signal
from PySide6.QtGui import QColor, QFont, QPaintEvent, QPalette
from PySide6.QtWidgets import QFrame, QHBoxLayout, QLabel, QSizePolicy, QToolButton, QVBoxLayout, QWidget

from app.desktop.icons import icon
from app.desktop.plots_axis import PlotAxis, TimeAxis
from app.desktop.plots_data import Array, Kind, Quantity, Table, break_gaps, thin_out
from app.desktop.plots_words import quantity_title, quantity_unit
from app.desktop.stage_colours import OverlayPalette, person_colour
from app.desktop.theme import is_dark

MIN_SPANS: Mapping[Kind, float] = {"x": 20.0, "y": 20.0, "speed": 40.0, "angle": 10.0}
"""What the value axis shows at least, so that a person at rest does not look like an earthquake."""
MIN_HEIGHT = 132

_AXIS_WIDTH, _AXIS_HEIGHT = 44, 22
_LINE_PX, _THIN_PX, _RAW_PX = 1.6, 1.0, 1.0
_MAX_POINTS = 900
"""Of one line; more are thinned out."""
_MAX_LIGHTNESS, _MIN_LIGHTNESS = 0.46, 0.46
"""Of a line on a light and on a dark ground; green is bright enough on a dark one at any lightness."""
_BRIGHT_GREEN = 140


@dataclass(frozen=True, slots=True)
class Look:
    """How people are shown: whose colours, and their names."""

    palette: OverlayPalette = "colour-blind"
    names: Mapping[int, str] | None = None


def line_colour(track_id: int, ground: QPalette, people: OverlayPalette) -> QColor:
    """Return a person's colour, dark enough for a light ground and light enough for a dark one."""
    colour = person_colour(track_id, people)
    before = colour.lightnessF()
    lightness = max(before, _MIN_LIGHTNESS) if is_dark(ground) else min(before, _MAX_LIGHTNESS)
    if lightness == before or (is_dark(ground) and colour.green() > _BRIGHT_GREEN):
        return colour
    return QColor.fromHslF(max(colour.hslHueF(), 0.0), colour.hslSaturationF(), lightness)


class PlotCard(QFrame):
    """A plot with its header.

    Signals:
        remove_wanted: the user does not want this plot any more. range_changed: the stretch of time was moved
        by hand. pointed: the pointer is at this time of the source, NaN where it left.
    """

    remove_wanted = Signal()
    range_changed = Signal()
    pointed = Signal(float)

    def __init__(self, quantity: Quantity, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.quantity = quantity
        self._look = Look()
        self._curves: dict[tuple[int, bool], pg.PlotCurveItem] = {}
        self._values: tuple[float, float] | None = None
        self._thin = False
        self._drawn: tuple[Table, Mapping[int, np.ndarray]] | None = None
        self.setFrameShape(QFrame.Shape.StyledPanel)
        self.setAutoFillBackground(True)
        self.setBackgroundRole(QPalette.ColorRole.Base)
        self.setMinimumHeight(MIN_HEIGHT)
        self.setAccessibleName(quantity_title(quantity))
        self._plot = _Plot(axisItems={"bottom": TimeAxis("bottom"), "left": PlotAxis("left")})
        self._plot.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self._plot.setFrameShape(QFrame.Shape.NoFrame)
        self._plot.setMinimumSize(0, 0)
        self._item = self._plot.getPlotItem()
        self._item.setMenuEnabled(False)
        self._item.hideButtons()
        self._item.getViewBox().setDefaultPadding(0)
        self._item.setMouseEnabled(x=False, y=False)
        self._item.getAxis("left").setWidth(_AXIS_WIDTH)
        self._item.invertY(quantity.kind == "y")
        self._item.getViewBox().sigRangeChangedManually.connect(lambda _mask: self.range_changed.emit())
        self._cursor = pg.InfiniteLine(angle=90)
        self._cursor.hide()
        self._item.addItem(self._cursor, ignoreBounds=True)
        self._plot.scene().sigMouseMoved.connect(self._point)
        self._empty = QLabel(self.tr("Nobody to be seen"), self._plot)
        self._empty.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self._empty.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
        overlay = QVBoxLayout(self._plot)
        overlay.setContentsMargins(_AXIS_WIDTH, 0, 0, _AXIS_HEIGHT)
        overlay.addWidget(self._empty)
        column = QVBoxLayout(self)
        column.setContentsMargins(8, 4, 4, 4)
        column.setSpacing(2)
        column.addLayout(self._make_header())
        column.addWidget(self._plot, 1)
        self._apply_palette()

    @property
    def view_box(self) -> pg.ViewBox:
        """What is linked with other plots."""
        return self._item.getViewBox()

    @property
    def time_range(self) -> tuple[float, float]:
        """The stretch of time that is shown, s."""
        first, last = self.view_box.viewRange()[0]
        return float(first), float(last)

    def set_look(self, look: Look) -> None:
        """Show people in these colours, under these names."""
        self._look = look
        self._style_curves()

    def set_thin(self, thin: bool) -> None:
        """Draw lines of one pixel, which are painted twice as fast as wider ones."""
        if thin != self._thin:
            self._thin = thin
            self._style_curves()

    def set_bottom(self, bottom: bool) -> None:
        """Write times along the axis, as the lowest of several plots does."""
        axis = self._item.getAxis("bottom")
        axis.setStyle(showValues=bottom)
        axis.setHeight(_AXIS_HEIGHT if bottom else 6)

    def set_movable(self, movable: bool) -> None:
        """Let the mouse move and stretch the time axis."""
        self._item.setMouseEnabled(x=movable, y=False)
        self._plot.setCursor(Qt.CursorShape.OpenHandCursor if movable else Qt.CursorShape.ArrowCursor)

    @property
    def painted_s(self) -> float:
        """Seconds that painting the plot took, of all times together."""
        return self._plot.painted_s

    def set_time_range(self, first_s: float, last_s: float) -> None:
        """Show a stretch of time."""
        self._item.setXRange(first_s, last_s, padding=0)

    def draw(self, table: Table, rows: Mapping[int, np.ndarray], *, raw: bool) -> None:
        """Draw people.

        Args:
            table: what is known of the stretch of time that is shown.
            rows: person to their rows in it; others are not drawn.
            raw: with a thin dotted line of the raw values.
        """
        self._drawn = table, rows
        drawn: set[tuple[int, bool]] = set()
        low, high = np.inf, -np.inf
        for is_raw in (True, False) if raw else (False,):
            column = table.columns.get((self.quantity, is_raw))
            if column is None:
                continue
            for track_id, positions in rows.items():
                values = column[positions]
                finite = values[np.isfinite(values)]
                if not finite.size:
                    continue
                times, values = thin_out(*break_gaps(table.times[positions], values), _MAX_POINTS)
                self._curve(track_id, is_raw).setData(times, values, connect="finite")
                drawn.add((track_id, is_raw))
                if not is_raw:
                    low, high = min(low, float(finite.min())), max(high, float(finite.max()))
        for key in set(self._curves) - drawn:
            self._item.removeItem(self._curves.pop(key))
        self._empty.setVisible(not drawn)
        self._item.getAxis("left").set_written(bool(drawn))
        if low <= high:
            self._set_value_range(low, high)
        # Left to the painting, new ranges would ask for a second one.
        self._plot.scene().prepareForPaint()

    def show_cursor(self, time_s: float) -> None:
        """Mark a time and write everybody's value there into the header; NaN takes both away."""
        shown = bool(np.isfinite(time_s)) and self._drawn is not None
        self._cursor.setVisible(shown)
        if self._drawn is None or not shown:
            self._readout.setText("")
            return
        self._cursor.setValue(time_s)
        table, rows = self._drawn
        column = table.columns.get((self.quantity, False))
        parts = []
        for track_id, positions in rows.items():
            if column is None:
                break
            value = _value_at(table.times[positions], column[positions], time_s)
            if np.isfinite(value):
                colour = line_colour(track_id, self.palette(), self._look.palette).name()
                parts.append(f'<span style="color:{colour}">●</span> {value:.0f}')
        self._readout.setText("&nbsp; ".join(parts[:6]))

    def changeEvent(self, event: QEvent) -> None:
        """Take the colours of a new theme."""
        super().changeEvent(event)
        if event.type() in (QEvent.Type.PaletteChange, QEvent.Type.StyleChange) and hasattr(self, "_remove"):
            self._apply_palette()

    def leaveEvent(self, event: QEvent) -> None:
        """Take the mark away."""
        super().leaveEvent(event)
        self.pointed.emit(float("nan"))

    def _make_header(self) -> QHBoxLayout:
        title = QLabel(quantity_title(self.quantity))
        font = QFont(title.font())
        font.setWeight(QFont.Weight.DemiBold)
        title.setFont(font)
        title.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        title.setMinimumWidth(min(title.sizeHint().width(), 140))
        self._unit = QLabel(quantity_unit(self.quantity))
        self._readout = QLabel()
        self._readout.setTextFormat(Qt.TextFormat.RichText)
        self._readout.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        self._readout.setAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
        self._remove = QToolButton()
        self._remove.setIcon(icon("close"))
        self._remove.setIconSize(QSize(14, 14))
        self._remove.setAutoRaise(True)
        self._remove.setToolTip(self.tr("Remove this plot"))
        self._remove.setAccessibleName(self.tr("Remove the plot of {0}").format(title.text()))
        self._remove.clicked.connect(self.remove_wanted)
        row = QHBoxLayout()
        row.setSpacing(8)
        title.setSizePolicy(QSizePolicy.Policy.Maximum, QSizePolicy.Policy.Preferred)
        row.addWidget(title)
        row.addWidget(self._unit)
        row.addWidget(self._readout, 1)
        row.addWidget(self._remove)
        return row

    def _curve(self, track_id: int, is_raw: bool) -> pg.PlotCurveItem:
        curve = self._curves.get((track_id, is_raw))
        if curve is None:
            curve = pg.PlotCurveItem(antialias=True)
            # A path takes six times as long, for joints that nobody sees at this width.
            curve.setSegmentedLineMode("on")
            curve.setZValue(1 if is_raw else 2)
            self._curves[track_id, is_raw] = curve
            self._style_curve(track_id, is_raw)
            self._item.addItem(curve, ignoreBounds=True)
        return curve

    def _style_curve(self, track_id: int, is_raw: bool) -> None:
        colour = line_colour(track_id, self.palette(), self._look.palette)
        if is_raw:
            colour.setAlphaF(0.75)
            pen = pg.mkPen(colour, width=_RAW_PX, style=Qt.PenStyle.DotLine)
        else:
            pen = pg.mkPen(colour, width=_THIN_PX if self._thin else _LINE_PX)
            # Wider caps would show as knots where the segments overlap.
            pen.setCapStyle(Qt.PenCapStyle.FlatCap)
        self._curves[track_id, is_raw].setPen(pen)

    def _style_curves(self) -> None:
        for track_id, is_raw in self._curves:
            self._style_curve(track_id, is_raw)

    def _apply_palette(self) -> None:
        palette = self.palette()
        ground, text = palette.color(QPalette.ColorRole.Base), palette.color(QPalette.ColorRole.Text)
        muted = palette.color(QPalette.ColorRole.PlaceholderText)
        self._plot.setBackground(ground)
        line = QColor(text)
        line.setAlphaF(0.22)
        font = QFont(self.font())
        font.setPointSizeF(max(font.pointSizeF() * 0.85, 7.0))
        for name in ("left", "bottom"):
            axis = self._item.getAxis(name)
            axis.setPen(pg.mkPen(line))
            axis.setTextPen(pg.mkPen(muted))
            axis.setTickFont(font)
            axis.setStyle(tickLength=-4, tickTextOffset=6, maxTickLevel=1 if name == "left" else 0)
            axis.setGrid(40 if name == "left" else False)
        self._cursor.setPen(pg.mkPen(muted, width=1))
        for label in (self._unit, self._empty):
            colours = label.palette()
            for role in (QPalette.ColorRole.WindowText, QPalette.ColorRole.Text):
                colours.setColor(role, muted)
            label.setPalette(colours)
        self._style_curves()

    def _set_value_range(self, low: float, high: float) -> None:
        """Follow the values calmly: the axis moves where they leave it or fill less than half of it."""
        span = max(high - low, MIN_SPANS[self.quantity.kind])
        now = self._values
        if now and now[0] <= low and high <= now[1] and now[1] - now[0] <= 2.2 * span:
            return
        middle, half = (low + high) / 2, 0.58 * span
        first, last = middle - half, middle + half
        if self.quantity.kind == "angle":
            first, last = max(first, -2.0), min(last, 182.0)
        if self.quantity.kind == "speed":
            first = min(max(first, -0.04 * span), low)
        self._values = (first, last)
        self._item.setYRange(first, last, padding=0)

    def _point(self, place: QPointF) -> None:
        inside = self.view_box.sceneBoundingRect().contains(place)
        self.pointed.emit(float(self.view_box.mapSceneToView(place).x()) if inside else float("nan"))


class _Plot(pg.PlotWidget):
    """A plot that knows how long painting it takes."""

    def __init__(self, **options: Any) -> None:
        self.painted_s = 0.0
        super().__init__(**options)

    def paintEvent(self, event: QPaintEvent) -> None:
        began_s = time.perf_counter()
        super().paintEvent(event)
        self.painted_s += time.perf_counter() - began_s


def _value_at(times: Array, values: Array, time_s: float) -> float:
    """Return the value nearest in time, NaN where there is none within a fifth of a second."""
    if not len(times):
        return float("nan")
    nearest = int(np.abs(times - time_s).argmin())
    return float(values[nearest]) if abs(times[nearest] - time_s) < 0.2 else float("nan")
