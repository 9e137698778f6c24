"""Paint one person's limbs and keypoints: faint where the score is low, hollow where only predicted."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QLineF, QPointF, Qt
from PySide6.QtGui import QPainter, QPainterPath, QPen

from app.desktop.stage_colours import LIGHT, OUTLINE, lighter
from app.desktop.stage_mapping import StageMap
from app.desktop.stage_pen import Pen
from engine.sinks.drawing import OPACITIES, PREDICTED_FADE
from engine.skeleton import Skeleton
from engine.structures import SEEN_STATES, Float, KeypointState, TrackedPerson


def paint_person(
    painter: QPainter,
    person: TrackedPerson,
    skeleton: Skeleton,
    place: StageMap,
    pen: Pen,
    *,
    opacity: float = 1.0,
    limbs: bool = True,
    keypoints: bool = True,
    raw: bool = False,
) -> None:
    """Paint limbs, then keypoints, the fainter ones first; then where the keypoints were before smoothing."""
    points = place.to_view(person.keypoints)
    limit = 8.0 * max(place.bounds[2:])
    shown = (person.state != KeypointState.MISSING) & (np.abs(points) < limit).all(axis=1)
    predicted = ~np.isin(person.state, SEEN_STATES)
    steps = _opacity_steps(np.where(predicted, PREDICTED_FADE, 1.0) * person.scores)
    where = [QPointF(x, y) for x, y in np.where(shown[:, None], points, 0.0).tolist()]
    seen, faint, hollow = shown.tolist(), steps.tolist(), predicted.tolist()
    if limbs:
        lines: list[list[QLineF]] = [[] for _ in OPACITIES]
        for first, second in skeleton.limbs:
            if seen[first] and seen[second]:
                lines[min(faint[first], faint[second])].append(QLineF(where[first], where[second]))
        for share, lines_now in zip(OPACITIES, lines):
            _paint_limbs(painter, lines_now, pen, opacity, share, round_ends=not keypoints)
    if keypoints:
        dots: dict[tuple[int, bool], list[QPointF]] = {}
        for index, at in enumerate(where):
            if seen[index]:
                dots.setdefault((faint[index], hollow[index]), []).append(at)
        for step, share in enumerate(OPACITIES):
            for is_hollow in (True, False):
                dots_now = dots.get((step, is_hollow), ())
                _paint_keypoints(painter, dots_now, pen, opacity, share, hollow=is_hollow)
    painter.setOpacity(opacity)
    if raw:
        _paint_raw(painter, points, place.to_view(person.raw_keypoints), shown, pen)


def _opacity_steps(scores: Float) -> NDArray[np.int64]:
    """Return for each score the index of its opacity; full from 0.5 on, as heatmaps seldom reach 1."""
    return np.searchsorted(OPACITIES[:-1], 0.1 + np.where(np.isfinite(scores), scores, 0.0) * 1.42)


def _paint_limbs(
    painter: QPainter,
    lines: Sequence[QLineF],
    pen: Pen,
    opacity: float,
    share: float,
    *,
    round_ends: bool,
) -> None:
    """Paint limbs of one opacity: under keypoints as bare lines, which take a quarter of the time."""
    if not lines:
        return
    # A faint limb's outline is fainter still, or it would show through.
    for width, colour, alpha in (
        (pen.limb + 2 * pen.rim, OUTLINE, share * share),
        (pen.limb, pen.colour, share),
    ):
        painter.setOpacity(opacity * alpha)
        stroke = QPen(colour, width)
        if not round_ends:
            stroke.setCapStyle(Qt.PenCapStyle.FlatCap)
            painter.setPen(stroke)
            painter.drawLines(lines)
            continue
        # As one path, faint limbs do not darken each other where they meet.
        path = QPainterPath()
        for line in lines:
            path.moveTo(line.p1())
            path.lineTo(line.p2())
        stroke.setCapStyle(Qt.PenCapStyle.RoundCap)
        painter.strokePath(path, stroke)


def _paint_keypoints(
    painter: QPainter, places: Sequence[QPointF], pen: Pen, opacity: float, share: float, *, hollow: bool
) -> None:
    if not places:
        return
    painter.setPen(Qt.PenStyle.NoPen)
    painter.setBrush(OUTLINE)
    # The dark disc hides the limb that ends here; a hollow keypoint shows it.
    painter.setOpacity(opacity * max(share, 0.55 if hollow else 0.0))
    outer = pen.radius + pen.rim
    for place in places:
        painter.drawEllipse(place, outer, outer)
    painter.setOpacity(opacity * max(share, 0.7 if hollow else 0.0))
    inner = pen.radius
    if hollow:
        ring = max(1.2 * pen.unit, pen.radius / 3)
        painter.setBrush(Qt.BrushStyle.NoBrush)
        painter.setPen(QPen(lighter(pen.colour), ring))
        inner -= ring / 2
    else:
        painter.setBrush(lighter(pen.colour))
    for place in places:
        painter.drawEllipse(place, inner, inner)


def _paint_raw(
    painter: QPainter,
    points: NDArray[np.float64],
    raw: NDArray[np.float64],
    shown: NDArray[np.bool_],
    pen: Pen,
) -> None:
    """Paint raw keypoints as small crosses, each tied to its smoothed one."""
    crosses, ties = QPainterPath(), QPainterPath()
    arm = max(2.5 * pen.unit, 0.8 * pen.radius)
    for (x, y), (raw_x, raw_y), tied in zip(points.tolist(), raw.tolist(), shown.tolist()):
        if not np.isfinite(raw_x + raw_y):
            continue
        crosses.moveTo(raw_x - arm, raw_y - arm)
        crosses.lineTo(raw_x + arm, raw_y + arm)
        crosses.moveTo(raw_x + arm, raw_y - arm)
        crosses.lineTo(raw_x - arm, raw_y + arm)
        if tied:
            ties.moveTo(x, y)
            ties.lineTo(raw_x, raw_y)
    painter.strokePath(ties, QPen(LIGHT, 1.0 * pen.unit))
    painter.strokePath(crosses, QPen(OUTLINE, 3.0 * pen.unit))
    painter.strokePath(crosses, QPen(LIGHT, 1.3 * pen.unit))
