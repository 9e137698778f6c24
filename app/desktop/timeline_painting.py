"""How the time line looks: ground, people, flags, playhead and labels, painted from plain values."""

import numpy as np
from PySide6.QtCore import QPointF, QRectF, Qt
from PySide6.QtGui import QBrush, QColor, QFontMetricsF, QPainter, QPalette, QPen, QPolygonF

from app.desktop.theme import status_colour

UNVISITED = -1
"""In the place of a count: nothing was looked at yet."""

_KNOB = 4.5
_FLAG = 7.0
_CORNER = 4.0


def paint_ground(painter: QPainter, strip: QRectF, palette: QPalette, *, focused: bool) -> None:
    """Paint the empty strip and its frame, which shows the keyboard's focus."""
    role = QPalette.ColorRole.Highlight if focused else QPalette.ColorRole.Mid
    painter.setPen(QPen(palette.color(role), 2.0 if focused else 1.0))
    painter.setBrush(palette.color(QPalette.ColorRole.Base))
    painter.drawRoundedRect(strip.adjusted(-1.5, -1.5, 1.5, 1.5), _CORNER, _CORNER)


def paint_people(painter: QPainter, strip: QRectF, columns: np.ndarray, palette: QPalette) -> None:
    """Paint a bar per column as high as it has people; what was not looked at is hatched.

    Args:
        painter: of the widget.
        strip: where, widget px.
        columns: (C,) int, most people of each column, `UNVISITED` where nothing was looked at.
        palette: the widget's.
    """
    most = max(int(columns.max()), 2)
    accent = status_colour("accent", palette)
    hatch = QColor(palette.color(QPalette.ColorRole.PlaceholderText))
    hatch.setAlphaF(0.4)
    ends = (np.flatnonzero(np.diff(columns)) + 1).tolist()
    step = strip.width() / len(columns)
    painter.save()
    painter.setRenderHint(QPainter.RenderHint.Antialiasing, on=False)
    for first, end in zip([0, *ends], [*ends, len(columns)]):
        count = int(columns[first])
        left, width = strip.left() + first * step, (end - first) * step
        if count == UNVISITED:
            area = QRectF(left, strip.top(), width, strip.height())
            painter.fillRect(area, QBrush(hatch, Qt.BrushStyle.BDiagPattern))
        else:
            height = 1.0 if count == 0 else max((strip.height() - 3) * count / most, 3.0)
            painter.fillRect(QRectF(left, strip.bottom() - height, width, height), accent)
    painter.restore()


def paint_flag(painter: QPainter, strip: QRectF, x: float, palette: QPalette) -> None:
    """Paint the small flag of a marker: a pole over the strip and a pennant at its top."""
    colour = status_colour("record", palette)
    painter.setPen(QPen(colour, 1.5))
    painter.drawLine(QPointF(x, strip.top()), QPointF(x, strip.bottom()))
    painter.setPen(QPen(palette.color(QPalette.ColorRole.Base), 1))
    painter.setBrush(colour)
    top = strip.top() - 0.5
    corners = [QPointF(x, top), QPointF(x + _FLAG + 1, top + _FLAG / 2), QPointF(x, top + _FLAG)]
    painter.drawPolygon(QPolygonF(corners))


def paint_playhead(painter: QPainter, strip: QRectF, x: float, palette: QPalette) -> None:
    """Paint the playhead: a line with a light edge and a knob to take hold of."""
    colour = palette.color(QPalette.ColorRole.WindowText)
    foot = QPointF(x, strip.bottom() + 2)
    painter.setPen(QPen(palette.color(QPalette.ColorRole.Base), 4, c=Qt.PenCapStyle.FlatCap))
    painter.drawLine(QPointF(x, strip.top()), QPointF(x, strip.bottom()))
    painter.setPen(QPen(colour, 2, c=Qt.PenCapStyle.FlatCap))
    painter.drawLine(QPointF(x, strip.top() - 2), foot)
    painter.setPen(QPen(palette.color(QPalette.ColorRole.Window), 1.5))
    painter.setBrush(colour)
    painter.drawEllipse(foot, _KNOB, _KNOB)


def paint_hover(painter: QPainter, strip: QRectF, x: float, palette: QPalette) -> None:
    """Paint a thin line under the mouse."""
    painter.setPen(QPen(palette.color(QPalette.ColorRole.WindowText), 1, Qt.PenStyle.DotLine))
    painter.drawLine(QPointF(x, strip.top()), QPointF(x, strip.bottom()))


def label_box(x: float, text: str, metrics: QFontMetricsF, width: float, height: float) -> QRectF:
    """Return where a label goes that stands over `x` and stays inside a widget of that width."""
    wide = metrics.horizontalAdvance(text) + 2
    left = min(max(x - wide / 2, 0.0), max(width - wide, 0.0))
    return QRectF(left, 0.0, wide, height)
