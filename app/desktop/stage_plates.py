"""Rounded plates with a text on them, painted once and kept: a number stays the same for many frames."""

from dataclasses import dataclass
from functools import lru_cache

from PySide6.QtCore import QPointF, QRectF, Qt
from PySide6.QtGui import QColor, QFont, QFontMetricsF, QImage, QPainter, QPen

KEPT = 512


@dataclass(frozen=True, slots=True)
class Plate:
    """How a plate looks, in view px but `ratio`, which is physical px per view px.

    font: as of `QFont.toString`. radius: of the corners. fill, ink, rim: ARGB of ground, text and border;
    line: width of the border, half of it outside, 0 for none.
    """

    text: str
    font: str
    width: float
    height: float
    radius: float
    fill: int
    ink: int
    rim: int = 0
    line: float = 0.0
    ratio: float = 1.0


def paint_ready_plate(painter: QPainter, left: float, top: float, plate: Plate) -> None:
    """Paint a plate whose left top corner, without its border, lies at whole view px."""
    margin = _margin(plate)
    painter.drawImage(QPointF(left - margin, top - margin), _picture(plate))


@lru_cache(maxsize=KEPT)
def text_width(text: str, font: str) -> float:
    """Return how wide a text is, view px; `font` as of `QFont.toString`."""
    return QFontMetricsF(_font(font)).horizontalAdvance(text)


@lru_cache(maxsize=KEPT)
def _picture(plate: Plate) -> QImage:
    margin = _margin(plate)
    wide, high = (-int(-(side + 2 * margin) * plate.ratio // 1) for side in (plate.width, plate.height))
    picture = QImage(wide, high, QImage.Format.Format_ARGB32_Premultiplied)
    picture.setDevicePixelRatio(plate.ratio)
    picture.fill(Qt.GlobalColor.transparent)
    with QPainter(picture) as painter:
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        rect = QRectF(margin, margin, plate.width, plate.height)
        rim = QPen(QColor.fromRgba(plate.rim), plate.line)
        painter.setPen(rim if plate.line else QPen(Qt.PenStyle.NoPen))
        painter.setBrush(QColor.fromRgba(plate.fill))
        painter.drawRoundedRect(rect, plate.radius, plate.radius)
        painter.setFont(_font(plate.font))
        painter.setPen(QColor.fromRgba(plate.ink))
        painter.drawText(rect, Qt.AlignmentFlag.AlignCenter, plate.text)
    return picture


def _margin(plate: Plate) -> int:
    """Return whole view px around a plate that its border needs."""
    return -int(-plate.line // 2)


def _font(text: str) -> QFont:
    font = QFont()
    font.fromString(text)
    return font
