"""The region of interest: from a rubber band to frame pixels, and how it looks."""

from PySide6.QtCore import QPointF, QRectF, Qt
from PySide6.QtGui import QColor, QFont, QPainter, QPainterPath, QPen

from app.desktop.stage_colours import LIGHT, OUTLINE, with_alpha
from app.desktop.stage_mapping import StageMap

Region = tuple[float, float, float, float]
"""xyxy, frame px."""

MIN_SIDE = 8.0
"""View px: a smaller rubber band is a slip of the hand."""
_SHADE = QColor(0, 0, 0, 120)


def region_of(place: StageMap, first: QPointF, second: QPointF) -> Region | None:
    """Return the region between two places in the view, cut to the frame; None where it is too small."""
    if min(abs(first.x() - second.x()), abs(first.y() - second.y())) < MIN_SIDE:
        return None
    xs, ys = zip(place.to_frame(first.x(), first.y()), place.to_frame(second.x(), second.y()))
    left, right = (round(min(max(x, 0.0), place.width - 1.0), 1) for x in sorted(xs))
    top, bottom = (round(min(max(y, 0.0), place.height - 1.0), 1) for y in sorted(ys))
    return (left, top, right, bottom) if right > left and bottom > top else None


def paint_region(painter: QPainter, rect: QRectF, frame: QRectF) -> None:
    """Paint a light line around a region and dim the frame outside it; both in view px."""
    painter.save()
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    outside = QPainterPath()
    outside.addRect(frame)
    inside = QPainterPath()
    inside.addRect(rect)
    painter.fillPath(outside.subtracted(inside), _SHADE)
    painter.setBrush(Qt.BrushStyle.NoBrush)
    for width, colour in ((3.5, with_alpha(OUTLINE, 0.6)), (1.5, LIGHT)):
        painter.setPen(QPen(colour, width, Qt.PenStyle.SolidLine, Qt.PenCapStyle.FlatCap))
        painter.drawRect(rect)
    painter.restore()


def paint_band(painter: QPainter, rect: QRectF, frame: QRectF, text: str) -> None:
    """Paint a rubber band with its size beside it; all in view px."""
    painter.save()
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    rect = rect.intersected(frame)
    painter.fillRect(rect, with_alpha(LIGHT, 0.12))
    for style, width, colour in (
        (Qt.PenStyle.SolidLine, 3.0, with_alpha(OUTLINE, 0.6)),
        (Qt.PenStyle.DashLine, 1.5, LIGHT),
    ):
        painter.setPen(QPen(colour, width, style, Qt.PenCapStyle.FlatCap))
        painter.drawRect(rect)
    font = QFont(painter.font())
    font.setPixelSize(12)
    painter.setFont(font)
    plate = QRectF(painter.fontMetrics().boundingRect(text)).adjusted(-8, -3, 8, 3)
    below = rect.bottom() + 8 + plate.height() <= frame.bottom()
    top = rect.bottom() + 8 if below else rect.bottom() - 8 - plate.height()
    plate.moveTo(round(rect.center().x() - plate.width() / 2), round(top))
    painter.setPen(Qt.PenStyle.NoPen)
    painter.setBrush(with_alpha(OUTLINE, 0.75))
    painter.drawRoundedRect(plate, plate.height() / 2, plate.height() / 2)
    painter.setPen(LIGHT)
    painter.drawText(plate, Qt.AlignmentFlag.AlignCenter, text)
    painter.restore()
