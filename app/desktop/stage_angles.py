"""Paint joint angles: an arc at each joint, and its degrees beside it where there is room."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from PySide6.QtCore import QPointF, QRectF, QSizeF, Qt
from PySide6.QtGui import QFont, QFontMetricsF, QPainter, QPainterPath, QPen

from app.desktop.stage_colours import LIGHT, OUTLINE, lighter, with_alpha
from app.desktop.stage_labels import sized_font
from app.desktop.stage_mapping import StageMap
from app.desktop.stage_pen import Pen
from app.desktop.stage_plates import Plate, paint_ready_plate, text_width
from engine.skeleton import Skeleton
from engine.structures import TrackedPerson
from engine.tracking.angles import interior_angles, joint_triples

MIN_SIZE = 100.0
"""People smaller than this (px of the screen) have no room for angles."""
MIN_ARM = 10.0
"""Nor have joints with a limb shorter than this."""
_GROUND = with_alpha(OUTLINE, 0.68).rgba()


class _Arc(NamedTuple):
    """One angle. x, y, radius: view px; start, sweep: degrees, anticlockwise from the right as Qt has them.

    across, down: unit vector from the joint to the middle of the arc, y down. outward: whether that points
    away from the body's middle.
    """

    x: float
    y: float
    radius: float
    start: float
    sweep: float
    degrees: float
    across: float
    down: float
    outward: bool


def paint_angles(
    painter: QPainter,
    people: Sequence[tuple[TrackedPerson, Pen, float]],
    skeleton: Skeleton,
    place: StageMap,
    taken: list[QRectF],
) -> None:
    """Paint the angles of everybody, all arcs before all degrees.

    Args:
        painter: antialiased.
        people: each with its pen and opacity, who is in front first.
        skeleton: of their keypoints.
        place: where the frame lies.
        taken: what degrees may not cover, view px; they are added. Degrees without room are left out.
    """
    found = _find_arcs([person for person, _, _ in people], [pen for _, pen, _ in people], skeleton, place)
    for arcs, (_, pen, opacity) in zip(found, people):
        painter.setOpacity(opacity)
        _paint_arcs(painter, arcs, pen)
    for arcs, (_, pen, opacity) in zip(found, people):
        painter.setOpacity(opacity)
        font = sized_font(painter, max(round(10 * pen.unit), round(pen.text * 0.65)), QFont.Weight.Medium)
        height, name = QFontMetricsF(font).height() + pen.unit, font.toString()
        for arc in arcs:
            _paint_degrees(painter, arc, pen, name, height, taken)


def _find_arcs(
    people: Sequence[TrackedPerson], pens: Sequence[Pen], skeleton: Skeleton, place: StageMap
) -> list[list[_Arc]]:
    """Find the arcs of everybody (P people, A angles) at once."""
    triples = np.array(list(joint_triples(skeleton).values()), np.intp)
    if not people or not triples.size:
        return [[] for _ in people]
    keypoints = np.stack([person.keypoints for person in people])
    degrees, points = interior_angles(keypoints, triples), place.to_view(keypoints)
    unit = np.array([pen.unit for pen in pens])[:, None]
    joints = points[:, triples[:, 1]]
    arms = points[:, triples[:, ::2]] - joints[:, :, None]
    shortest = np.hypot(arms[..., 0], arms[..., 1]).min(axis=-1)
    # An angle is known only where all lengths are, so that nothing is compared with NaN.
    shown = np.isfinite(degrees) & (np.nan_to_num(shortest) >= MIN_ARM * unit)
    shown &= np.array([pen.size >= MIN_SIZE * pen.unit for pen in pens])[:, None]
    ends = np.degrees(np.arctan2(-arms[..., 1], arms[..., 0]))
    start, sweep = ends[..., 0], (ends[..., 1] - ends[..., 0] + 180) % 360 - 180
    bisector = np.radians(start + sweep / 2)
    towards = np.stack([np.cos(bisector), -np.sin(bisector)], axis=-1)
    known = np.isfinite(points).all(axis=-1, keepdims=True)
    middle = np.where(known, points, 0.0).sum(axis=1) / np.maximum(known.sum(axis=1), 1)
    values = (
        joints[..., 0],
        joints[..., 1],
        np.clip(0.26 * shortest, 7 * unit, 26 * unit),
        start,
        sweep,
        degrees,
        towards[..., 0],
        towards[..., 1],
    )
    outward = ((joints - middle[:, None]) * towards).sum(axis=-1) >= 0
    table = np.stack(values, axis=-1)
    return [
        [_Arc._make((*numbers, out)) for numbers, out in zip(rows[seen].tolist(), outs[seen].tolist())]
        for rows, outs, seen in zip(table, outward, shown)
    ]


def _paint_arcs(painter: QPainter, arcs: Sequence[_Arc], pen: Pen) -> None:
    """Paint the arcs of one person: their ground as one path, so that it is as faint where two meet."""
    pies = QPainterPath()
    pies.setFillRule(Qt.FillRule.WindingFill)
    bows = []
    for arc in arcs:
        circle = QRectF(arc.x - arc.radius, arc.y - arc.radius, 2 * arc.radius, 2 * arc.radius)
        pies.moveTo(arc.x, arc.y)
        pies.arcTo(circle, arc.start, arc.sweep)
        pies.closeSubpath()
        bows.append((circle, round(16 * arc.start), round(16 * arc.sweep)))
    tint = lighter(pen.colour, 0.4)
    painter.fillPath(pies, with_alpha(tint, 0.3))
    # One after the other: a path of all of them takes twice the time.
    for stroke in (QPen(with_alpha(OUTLINE, 0.7), 3.2 * pen.unit), QPen(tint, 1.6 * pen.unit)):
        painter.setPen(stroke)
        for bow in bows:
            painter.drawArc(*bow)


def _paint_degrees(
    painter: QPainter, arc: _Arc, pen: Pen, font: str, height: float, taken: list[QRectF]
) -> None:
    """Paint degrees on a small dark plate: on the side away from the body, else on the other, else not."""
    text = f"{arc.degrees:.0f}°"
    size = QSizeF(text_width(text, font) + 8 * pen.unit, height)
    joint = pen.radius + pen.rim
    sides = [(arc.across, arc.down, max(arc.radius, joint)), (-arc.across, -arc.down, joint)]
    for across, down, clear in sides if arc.outward else sides[::-1]:
        plate = _plate_beside(arc, across, down, clear + 3 * pen.unit, size)
        if any(map(plate.intersects, taken)):
            continue
        taken.append(plate)
        look = Plate(
            text,
            font,
            size.width(),
            height,
            radius=height / 3,
            fill=_GROUND,
            ink=LIGHT.rgba(),
            ratio=painter.deviceTransform().m11(),
        )
        paint_ready_plate(painter, plate.left(), plate.top(), look)
        return


def _plate_beside(arc: _Arc, across: float, down: float, clear: float, size: QSizeF) -> QRectF:
    """Return where a plate goes that keeps clear of a joint, in the direction given, on whole pixels."""
    reach = clear + abs(across) * size.width() / 2 + abs(down) * size.height() / 2
    left = round(arc.x + across * reach - size.width() / 2)
    return QRectF(QPointF(left, round(arc.y + down * reach - size.height() / 2)), size)
