"""How texts and numbers are written in the window: times, counts, and digits that stand still as they run."""

import math

from PySide6.QtCore import QCoreApplication
from PySide6.QtGui import QFont

UNKNOWN = "–"


def format_time(seconds: float | None) -> str:
    """Return a time to the tenth of a second, cut and not rounded: 0:07.2, 1:02:03.4; "–" for None or NaN."""
    if seconds is None or not math.isfinite(seconds):
        return UNKNOWN
    whole, tenth = divmod(int(max(seconds, 0.0) * 10 + 1e-6), 10)
    minutes, second = divmod(whole, 60)
    hours, minute = divmod(minutes, 60)
    clock = f"{hours}:{minute:02d}:{second:02d}" if hours else f"{minute}:{second:02d}"
    return f"{clock}.{tenth}"


def format_number(value: float, digits: int = 1) -> str:
    """Return a number with so many digits after the point; "–" where it is NaN or infinite."""
    return f"{value:.{digits}f}" if math.isfinite(value) else UNKNOWN


def people_text(count: int | None) -> str:
    """Return a count of people in words; None is a time that was not looked at yet."""
    if count is None:
        return QCoreApplication.translate("Figures", "not seen yet")
    if count == 0:
        return QCoreApplication.translate("Figures", "nobody")
    if count == 1:
        return QCoreApplication.translate("Figures", "1 person")
    return QCoreApplication.translate("Figures", "{0} people").format(count)


def tabular(font: QFont) -> QFont:
    """Return the font with digits of one width, so that running numbers stand still."""
    font = QFont(font)
    font.setFeature(QFont.Tag("tnum"), 1)
    return font


def scaled(font: QFont, factor: float) -> QFont:
    """Return the font larger or smaller by a factor, whether its size is set in points or in pixels."""
    font = QFont(font)
    if font.pointSizeF() > 0:
        font.setPointSizeF(font.pointSizeF() * factor)
    else:
        font.setPixelSize(max(round(font.pixelSize() * factor), 1))
    return font
