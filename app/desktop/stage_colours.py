"""The colours painted over a video: one per person in three palettes, readable texts, and the heatmap's.

These lie on a picture and not on the window, so they do not follow the theme.
"""

from functools import cache, lru_cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PySide6.QtGui import QColor, QImage

from engine.sinks.drawing import track_colour
from engine.structures import Float

OverlayPalette = Literal["colour-blind", "vivid", "high-contrast"]

GROUND = QColor(17, 18, 20)
"""Around the video: dark and neutral in every theme, so that it takes nothing from the picture."""
OUTLINE = QColor(16, 16, 16)
LIGHT = QColor(250, 250, 250)

_VIVID = (
    "#36c5ff", "#ff9f1c", "#4ade80", "#ff5fa2", "#ffe14d", "#8b7bff", "#ff6b4a", "#2de2c5", "#d07bff",
    "#b8e04a",
)  # fmt: skip
_HIGH_CONTRAST = ("#ffff00", "#00ffff", "#ff66ff", "#ffffff", "#66ff66", "#ffb000")
_HEAT = ((0.0, "#1b0c41"), (0.25, "#781c6d"), (0.5, "#cf4446"), (0.75, "#fb9b06"), (1.0, "#fcffa4"))
_HEAT_OPACITY = 0.8
_HEAT_FULL = 0.35
"""Heat from which on the map is as dense as it gets; scores of 0.5 are already sure."""


def person_colour(track_id: int, palette: OverlayPalette) -> QColor:
    """Return the colour of a track, the same for ever; `colour-blind` is that of annotated videos."""
    if palette == "colour-blind":
        blue, green, red = track_colour(track_id)
        return QColor(red, green, blue)
    names = _VIVID if palette == "vivid" else _HIGH_CONTRAST
    return QColor(names[track_id % len(names)])


def text_colour(ground: QColor) -> QColor:
    """Return dark or light, whichever reads better on a ground."""
    bright = 0.299 * ground.red() + 0.587 * ground.green() + 0.114 * ground.blue() > 115
    return OUTLINE if bright else LIGHT


def lighter(colour: QColor, share: float = 0.55) -> QColor:
    """Return a colour moved towards white by a share."""
    return QColor.fromRgb(_lighter(colour.rgb(), share))


@lru_cache(maxsize=256)
def _lighter(rgb: int, share: float) -> int:
    red, green, blue = (round((1 - share) * value + share * 255) for value in _rgb(QColor.fromRgb(rgb)))
    return QColor(red, green, blue).rgb()


def _rgb(colour: QColor) -> tuple[int, int, int]:
    return colour.red(), colour.green(), colour.blue()


def with_alpha(colour: QColor, alpha: float) -> QColor:
    """Return a colour with an opacity in [0, 1]."""
    faded = QColor(colour)
    faded.setAlphaF(min(max(alpha, 0.0), 1.0))
    return faded


def heatmap_image(heatmap: Float) -> QImage:
    """Return a translucent picture of a heatmap: clear where nothing is, from violet to yellow where much is.

    Args:
        heatmap: (h, w) float32 in [0, 1]; NaN counts as 0.
    """
    levels = (np.clip(np.nan_to_num(heatmap), 0.0, 1.0) * 255).astype(np.uint8)
    pixels = _heat_colours()[levels]
    height, width = levels.shape
    image = QImage(pixels.data, width, height, width * 4, QImage.Format.Format_ARGB32_Premultiplied)
    return image.copy()


@cache
def _heat_colours() -> NDArray[np.uint32]:
    """(256,) uint32 premultiplied ARGB of each level."""
    level = np.linspace(0.0, 1.0, 256)
    stops = [stop for stop, _ in _HEAT]
    channels = np.array([_rgb(QColor(name)) for _, name in _HEAT], np.float64)
    alpha = _HEAT_OPACITY * np.clip((level - 0.03) / _HEAT_FULL, 0.0, 1.0)
    packed = np.round(alpha * 255).astype(np.uint32) << 24
    for channel, shift in enumerate((16, 8, 0)):
        value = np.interp(level, stops, channels[:, channel]) * alpha
        packed |= np.round(value).astype(np.uint32) << shift
    return packed.astype(np.uint32)
