"""Paint a trail, fading with age."""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QPointF, Qt
from PySide6.QtGui import QColor, QPainter, QPen

from app.desktop.stage_colours import OUTLINE, with_alpha
from engine.structures import Float

TRAIL_STEPS = 5
"""Steps in which a trail fades."""


def paint_trail(
    painter: QPainter, points: NDArray[np.float64], ages: Float, colour: QColor, scale: float
) -> None:
    """Paint one unbroken piece of a trail.

    Args:
        painter: antialiased.
        points: (M, 2) view px, oldest first.
        ages: (M,) in [0, 1], 0 is now.
        colour: of the person.
        scale: of the widths.
    """
    kept = _spread(points, 2.5 * scale)
    points, ages = points[kept], ages[kept]
    steps = np.clip((ages * TRAIL_STEPS).astype(int), 0, TRAIL_STEPS - 1)
    places = [QPointF(x, y) for x, y in points.tolist()]
    for step, pens in enumerate(_pens(colour.rgb(), scale)):
        at = np.flatnonzero(steps == TRAIL_STEPS - 1 - step)
        # One point more at the newer end ties the steps together.
        line = places[at[0] : at[-1] + 2] if at.size else []
        if len(line) > 1:
            for pen in pens:
                painter.setPen(pen)
                painter.drawPolyline(line)


@lru_cache(maxsize=64)
def _pens(rgb: int, scale: float) -> list[tuple[QPen, QPen]]:
    """Return the pens of each step, the oldest first: of the outline and of the trail."""
    pens = []
    for step in range(TRAIL_STEPS):
        strength = (step + 0.5) / TRAIL_STEPS
        width = (1.2 + 2.4 * strength) * scale
        outline = QPen(with_alpha(OUTLINE, strength * 0.5), width + 1.8 * scale)
        line = QPen(with_alpha(QColor.fromRgb(rgb), strength), width)
        for pen in (outline, line):
            pen.setCapStyle(Qt.PenCapStyle.FlatCap)
        pens.append((outline, line))
    return pens


def _spread(points: NDArray[np.float64], distance: float) -> list[int]:
    """Return the indices of points at least so far from the one before; who stands leaves no tangle."""
    kept, (last_x, last_y) = [0], points[0].tolist()
    for index, (x, y) in enumerate(points.tolist()):
        if abs(x - last_x) + abs(y - last_y) >= distance:
            kept.append(index)
            last_x, last_y = x, y
    return kept
