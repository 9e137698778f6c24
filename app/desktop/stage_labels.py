"""What is painted around a person: the box, and the plate with the id and name."""

import math

import numpy as np
from PySide6.QtCore import QRectF, Qt
from PySide6.QtGui import QColor, QFont, QPainter, QPainterPath, QPen

from app.desktop.stage_colours import LIGHT, OUTLINE, text_colour, with_alpha
from app.desktop.stage_mapping import StageMap
from app.desktop.stage_pen import Pen
from app.desktop.stage_plates import Plate, paint_ready_plate, text_width
from engine.structures import TrackedPerson


def paint_box(painter: QPainter, person: TrackedPerson, place: StageMap, pen: Pen, *, filled: bool) -> None:
    """Paint a person's box; `filled` lights it up as whom the mouse points at."""
    rect = _box(person, place)
    if rect is None:
        return
    if filled:
        painter.fillRect(rect, with_alpha(pen.colour, 0.16))
    # On whole physical pixels: crisp, and a fifth of the time of stroking a large path.
    ratio = painter.deviceTransform().m11()
    width = max(1, round((2.0 if filled else 1.5) * pen.unit * ratio))
    rim = max(1, round(pen.unit * ratio))
    painter.setRenderHint(QPainter.RenderHint.Antialiasing, False)
    for line, colour in ((width + 2 * rim, with_alpha(OUTLINE, 0.6)), (width, pen.colour)):
        _fill_sides(painter, rect, line, colour, ratio)
    painter.setRenderHint(QPainter.RenderHint.Antialiasing, True)


def _fill_sides(painter: QPainter, rect: QRectF, width: int, colour: QColor, ratio: float) -> None:
    """Paint a line of physical px along a rectangle in view px, as four bars that do not overlap."""
    half = width // 2
    left, top = round(rect.left() * ratio) - half, round(rect.top() * ratio) - half
    right, bottom = round(rect.right() * ratio) - half, round(rect.bottom() * ratio) - half
    across, down = right - left + width, max(0, bottom - top - width)
    for x, y, wide, high in (
        (left, top, across, width),
        (left, bottom, across, width),
        (left, top + width, width, down),
        (right, top + width, width, down),
    ):
        painter.fillRect(QRectF(x / ratio, y / ratio, wide / ratio, high / ratio), colour)


def paint_followed_box(painter: QPainter, person: TrackedPerson, place: StageMap, pen: Pen) -> None:
    """Paint the corners of a box around the person who is followed."""
    rect = _box(person, place)
    if rect is None:
        return
    arm = min(rect.width(), rect.height(), 88 * pen.unit) / 4
    path = QPainterPath()
    for corner, to_x, to_y in (
        (rect.topLeft(), 1, 1),
        (rect.topRight(), -1, 1),
        (rect.bottomLeft(), 1, -1),
        (rect.bottomRight(), -1, -1),
    ):
        path.moveTo(corner.x(), corner.y() + to_y * arm)
        path.lineTo(corner)
        path.lineTo(corner.x() + to_x * arm, corner.y())
    for width, colour in ((5.0, with_alpha(OUTLINE, 0.6)), (2.5, pen.colour)):
        stroke = QPen(colour, width * pen.unit)
        stroke.setCapStyle(Qt.PenCapStyle.RoundCap)
        stroke.setJoinStyle(Qt.PenJoinStyle.RoundJoin)
        painter.strokePath(path, stroke)


def paint_plate(
    painter: QPainter,
    person: TrackedPerson,
    place: StageMap,
    pen: Pen,
    text: str,
    taken: list[QRectF],
    *,
    ringed: bool,
) -> None:
    """Paint a rounded plate with a text above a person's box, inside what is seen of the frame.

    It stands above whatever of `taken` would be in its way, where there is room, and is added to it.
    """
    rect = _box(person, place)
    seen = QRectF(*place.bounds).intersected(QRectF(painter.window()))
    if rect is None or not rect.intersects(seen):
        return
    font = sized_font(painter, pen.text, QFont.Weight.DemiBold).toString()
    height = round(pen.text * 1.5)
    width = max(height, math.ceil(text_width(text, font) + pen.text * 0.9))
    # On whole pixels, so that letters do not tremble with the box.
    left = round(min(max(rect.center().x() - width / 2, seen.left() + 2), seen.right() - width - 2))
    top = round(min(max(rect.top() - height - 4 * pen.unit, seen.top() + 2), seen.bottom() - height - 2))
    plate = QRectF(left, top, width, height)
    while in_way := [other.top() for other in taken if plate.intersects(other)]:
        if min(in_way) - 2 - height < seen.top():
            break
        plate.moveBottom(min(in_way) - 2)
    taken.append(plate)
    line, rim = (2.0 * pen.unit, LIGHT) if ringed else (1.0 * pen.unit, with_alpha(OUTLINE, 0.7))
    look = Plate(
        text,
        font,
        width,
        height,
        radius=height / 2,
        fill=pen.colour.rgba(),
        ink=text_colour(pen.colour).rgba(),
        rim=rim.rgba(),
        line=line,
        ratio=painter.deviceTransform().m11(),
    )
    paint_ready_plate(painter, plate.left(), plate.top(), look)


def _box(person: TrackedPerson, place: StageMap) -> QRectF | None:
    if not np.isfinite(person.bbox).all():
        return None
    return QRectF(*place.box_to_view(person.bbox))


def sized_font(painter: QPainter, pixels: int, weight: QFont.Weight) -> QFont:
    """Return the painter's font in another size and weight."""
    font = QFont(painter.font())
    font.setPixelSize(max(pixels, 1))
    font.setWeight(weight)
    return font
