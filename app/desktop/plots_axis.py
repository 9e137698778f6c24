"""The axes of the plots: seconds and plain numbers, and grid lines that cost next to nothing."""

from collections.abc import Iterable, Sequence

import pyqtgraph as pg
from PySide6.QtCore import QPointF, QRectF, Qt
from PySide6.QtGui import QPainter, QPen

Line = tuple[QPen, QPointF, QPointF]
Text = tuple[QRectF, Qt.AlignmentFlag, str]


class PlotAxis(pg.AxisItem):
    """An axis of plain numbers, without powers of ten, whose lines are filled bars of a physical pixel.

    Qt blends a translucent line dot by dot, which takes twenty times as long as filling it.
    """

    def __init__(self, side: str) -> None:
        super().__init__(side)
        self.enableAutoSIPrefix(False)

    def set_written(self, written: bool) -> None:
        """Write values along the axis, or none; it is drawn anew only if that changes."""
        if self.style["showValues"] != written:
            self.setStyle(showValues=written)

    def drawPicture(
        self, painter: QPainter, axis: Line, ticks: Iterable[Line], texts: Sequence[Text]
    ) -> None:
        """Draw what the axis has worked out, see `pyqtgraph.AxisItem`; texts as that one does."""
        view = self.getViewWidget()
        width = 1.0 if view is None else 1.0 / view.devicePixelRatioF()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing, False)
        for pen, first, last in (axis, *ticks):
            painter.fillRect(_bar(first, last, width), pen.color())
        super().drawPicture(painter, (QPen(Qt.PenStyle.NoPen), *axis[1:]), (), texts)


class TimeAxis(PlotAxis):
    """Seconds of the source, from a minute on as m:ss."""

    def tickStrings(self, values: Sequence[float], scale: float, spacing: float) -> list[str]:
        """Return what is written at these times."""
        digits = 0 if spacing >= 1 else 1 if spacing >= 0.1 else 2
        return [_clock(value, digits) for value in values]


def _bar(first: QPointF, last: QPointF, width: float) -> QRectF:
    """Return a bar along an upright or level line."""
    bar = QRectF(first, last).normalized()
    return bar.adjusted(0, 0, 0 if bar.width() else width, 0 if bar.height() else width)


def _clock(seconds: float, digits: int) -> str:
    if seconds < 60:
        return f"{seconds:.{digits}f} s"
    minutes, rest = divmod(seconds, 60)
    hours, minutes = divmod(int(minutes), 60)
    width = 2 if digits == 0 else 3 + digits
    tail = f"{minutes:02d}:{rest:0{width}.{digits}f}" if hours else f"{minutes}:{rest:0{width}.{digits}f}"
    return f"{hours}:{tail}" if hours else tail
