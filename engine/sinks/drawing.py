"""Draw tracked people: limbs, keypoints and numbers, in colours that the colour-blind can tell apart."""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from engine.skeleton import Skeleton
from engine.structures import SEEN_STATES, Float, Image, KeypointState, TrackedPerson

Colour = tuple[int, int, int]

# Okabe and Ito 2008, without black; BGR, in an order that keeps neighbours far apart.
PALETTE: tuple[Colour, ...] = (
    (233, 180, 86), (0, 159, 230), (115, 158, 0), (167, 121, 204),
    (66, 228, 240), (178, 114, 0), (0, 94, 213),
)  # fmt: skip
OUTLINE: Colour = (24, 24, 24)
SHIFT = 4
"""Bits of a fraction of a pixel in OpenCV's drawing coordinates."""
OPACITIES = (0.3, 0.55, 0.8, 1.0)
"""Steps in which people and limbs of low score fade; each costs one blending of the person's region."""

PREDICTED_FADE = 0.35
"""What a predicted keypoint's score counts for here."""


@dataclass(frozen=True, slots=True)
class _Pen:
    """Sizes of one person's drawing, px; `colour` BGR."""

    colour: Colour
    limb: int
    outline: int
    radius: float
    font_px: int


def track_colour(track_id: int) -> Colour:
    """Return the BGR colour of a track, the same for ever."""
    return PALETTE[track_id % len(PALETTE)]


def draw_people(image: Image, people: Sequence[TrackedPerson], skeleton: Skeleton) -> Image:
    """Draw people over a copy of a frame.

    Line width, keypoints and numbers grow with the person. Weak keypoints fade, predicted ones are hollow
    and their limbs faint, missing ones are left out. Who stands lower in the frame is drawn later, thus in
    front.

    Args:
        image: (H, W, 3) uint8 BGR.
        people: with K keypoints each, frame px.
        skeleton: whose limbs are drawn.

    Returns:
        (H, W, 3) uint8 BGR.

    Raises:
        ValueError: a person has another number of keypoints than the skeleton.
    """
    canvas = image.copy()
    in_depth = sorted(people, key=lambda person: float(np.nan_to_num(person.bbox[3], nan=0.0)))
    for person in in_depth:
        if person.keypoints.shape != (skeleton.count, 2):
            raise ValueError(
                f"keypoints must have shape ({skeleton.count}, 2) for skeleton {skeleton.name!r}, "
                f"got {person.keypoints.shape}"
            )
        _draw_person(canvas, person, skeleton, _choose_pen(person, image.shape[0]))
    for person in in_depth:
        _draw_label(canvas, person, _choose_pen(person, image.shape[0]))
    return canvas


def _choose_pen(person: TrackedPerson, frame_height: int) -> _Pen:
    width, height = (person.bbox[2:] - person.bbox[:2]).tolist()
    area = width * height
    size = area**0.5 if np.isfinite(area) and area > 0 else frame_height / 4
    limb = int(np.clip(round(size / 50), 2, 10))
    return _Pen(
        colour=track_colour(person.track_id),
        limb=limb,
        outline=limb + (2 if limb < 6 else 4),
        radius=float(np.clip(size / 55, 2.2, 10)),
        font_px=int(np.clip(round(size / 10), 13, 30)),
    )


def _draw_person(canvas: Image, person: TrackedPerson, skeleton: Skeleton, pen: _Pen) -> None:
    """Draw limbs, then keypoints, the fainter ones first and blended in."""
    limit = 4.0 * max(canvas.shape[:2])
    shown = (person.state != KeypointState.MISSING) & (np.abs(person.keypoints) < limit).all(axis=1)
    if not shown.any():
        return
    predicted = ~np.isin(person.state, SEEN_STATES)
    steps = _opacity_steps(np.where(predicted, PREDICTED_FADE, 1.0) * person.scores)
    limbs = [(first, second) for first, second in skeleton.limbs if shown[first] and shown[second]]
    region = _region(person.keypoints[shown], pen, canvas.shape)
    if region is None:
        return
    for step, opacity in enumerate(OPACITIES):
        limbs_now = [pair for pair in limbs if min(steps[pair[0]], steps[pair[1]]) == step]
        points_now = np.flatnonzero(shown & (steps == step))
        if not limbs_now and not points_now.size:
            continue
        view = canvas[region]
        layer = view if opacity == 1 else view.copy()
        points = person.keypoints - np.array([region[1].start, region[0].start], np.float32)
        _draw_limbs(layer, points, limbs_now, pen)
        _draw_keypoints(layer, points, points_now.tolist(), predicted.tolist(), pen)
        if layer is not view:
            cv2.addWeighted(layer, opacity, view, 1 - opacity, 0, dst=view)


def _opacity_steps(scores: Float) -> NDArray[np.int64]:
    """Return for each score the index of its opacity; full from 0.5 on, as heatmaps seldom reach 1."""
    return np.searchsorted(OPACITIES[:-1], 0.1 + np.nan_to_num(scores) * 1.4)


def _region(keypoints: Float, pen: _Pen, shape: Sequence[int]) -> tuple[slice, slice] | None:
    """Return the rows and columns that the drawing can touch, None where they lie outside the frame."""
    margin = pen.outline + pen.radius + 3
    left, top = np.floor(keypoints.min(axis=0) - margin).astype(int).tolist()
    right, bottom = np.ceil(keypoints.max(axis=0) + margin).astype(int).tolist()
    rows = slice(max(top, 0), min(bottom, shape[0]))
    columns = slice(max(left, 0), min(right, shape[1]))
    return (rows, columns) if rows.start < rows.stop and columns.start < columns.stop else None


def _fixed(point: Float) -> tuple[int, int]:
    x, y = (point * (1 << SHIFT)).round().astype(int).tolist()
    return x, y


def _draw_limbs(layer: Image, points: Float, limbs: Sequence[tuple[int, int]], pen: _Pen) -> None:
    for width, colour in ((pen.outline, OUTLINE), (pen.limb, pen.colour)):
        for first, second in limbs:
            cv2.line(layer, _fixed(points[first]), _fixed(points[second]), colour, width, cv2.LINE_AA, SHIFT)


def _draw_keypoints(
    layer: Image, points: Float, indices: Sequence[int], predicted: Sequence[bool], pen: _Pen
) -> None:
    radius = round(pen.radius * (1 << SHIFT))
    rim = round(1.2 * (1 << SHIFT))
    for index in indices:
        centre = _fixed(points[index])
        # A hollow one is dark inside: the limb that ends there would fill it with its own colour.
        width = max(1, round(pen.radius / 4)) if predicted[index] else cv2.FILLED
        cv2.circle(layer, centre, radius + rim, OUTLINE, cv2.FILLED, cv2.LINE_AA, SHIFT)
        cv2.circle(layer, centre, radius, _lighter(pen.colour), width, cv2.LINE_AA, SHIFT)


def _lighter(colour: Colour) -> Colour:
    blue, green, red = (round(0.45 * value + 0.55 * 255) for value in colour)
    return blue, green, red


def _draw_label(canvas: Image, person: TrackedPerson, pen: _Pen) -> None:
    """Draw the track's number on a plate above the person's box, inside the frame."""
    if not np.isfinite(person.bbox).all():
        return
    height, width = canvas.shape[:2]
    left, top, right, bottom = person.bbox.tolist()
    if right < 0 or bottom < 0 or left >= width or top >= height:
        return
    text, font = str(person.track_id), cv2.FontFace("sans")
    box = cv2.getTextSize((width, height), text, (0, 0), font, pen.font_px, 600)
    plate_height = round(pen.font_px * 1.25)
    plate_width = max(plate_height, round(box[2] + pen.font_px * 0.7))
    x = int(np.clip((left + right - plate_width) / 2, 0, max(0, width - plate_width)))
    y = int(np.clip(top - plate_height - pen.radius, 0, max(0, height - plate_height)))
    _draw_plate(canvas, (x, y), (plate_width, plate_height), pen.colour)
    bright = 0.114 * pen.colour[0] + 0.587 * pen.colour[1] + 0.299 * pen.colour[2] > 115
    origin = (x + (plate_width - box[2]) // 2 - box[0], y + (plate_height - box[3]) // 2 - box[1])
    cv2.putText(canvas, text, origin, OUTLINE if bright else (255, 255, 255), font, pen.font_px, 600)


def _draw_plate(canvas: Image, corner: tuple[int, int], size: tuple[int, int], colour: Colour) -> None:
    """Draw a bar with round ends: a thick line from one end's centre to the other's."""
    radius = size[1] / 2
    middle = corner[1] + radius - 0.5
    first = np.array([corner[0] + radius - 0.5, middle], np.float32)
    second = np.array([corner[0] + size[0] - radius - 0.5, middle], np.float32)
    cv2.line(canvas, _fixed(first), _fixed(second), OUTLINE, size[1] + 2, cv2.LINE_AA, SHIFT)
    cv2.line(canvas, _fixed(first), _fixed(second), colour, size[1] - 1, cv2.LINE_AA, SHIFT)
