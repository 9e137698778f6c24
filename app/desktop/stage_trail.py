"""Paint a trail, fading with age."""

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QPointF, Qt
from PySide6.QtGui import QColor, QPainter, QPainterPath, QPen

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
    for step in range(TRAIL_STEPS - 1, -1, -1):
        at = np.flatnonzero(steps == step)
        # One point more at the newer end ties the steps together.
        line = points[at[0] : at[-1] + 2].tolist() if at.size else []
        if len(line) < 2:
            continue
        path = QPainterPath(QPointF(*line[0]))
        for x, y in line[1:]:
            path.lineTo(x, y)
        strength = 1 - (step + 0.5) / TRAIL_STEPS
        width = (1.2 + 2.4 * strength) * scale
        for wider, tint, alpha in ((1.8 * scale, OUTLINE, 0.5), (0.0, colour, 1.0)):
            pen = QPen(with_alpha(tint, strength * alpha), width + wider)
            pen.setCapStyle(Qt.PenCapStyle.FlatCap)
            painter.strokePath(path, pen)


def _spread(points: NDArray[np.float64], distance: float) -> list[int]:
    """Return the indices of points at least so far from the one before; who stands leaves no tangle."""
    kept, (last_x, last_y) = [0], points[0].tolist()
    for index, (x, y) in enumerate(points.tolist()):
        if abs(x - last_x) + abs(y - last_y) >= distance:
            kept.append(index)
            last_x, last_y = x, y
    return kept
