"""Paint tracked people over their frame: limbs, keypoints, boxes, ids, trails, angles, raw keypoints.

Pure painting into whatever painter is given, in view pixels: a `StageMap` says where frame pixels lie. What
is painted grows with the person as seen in the view, so that it is as fine on a small window as on a large
one; the painter's own scale makes it sharp on dense displays.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from PySide6.QtCore import QRectF, Qt
from PySide6.QtGui import QPainter

from app.desktop.stage_angles import paint_angles
from app.desktop.stage_colours import OverlayPalette, heatmap_image, person_colour
from app.desktop.stage_labels import paint_box, paint_followed_box, paint_plate
from app.desktop.stage_mapping import StageMap
from app.desktop.stage_pen import Pen, choose_pen
from app.desktop.stage_person import paint_person
from app.desktop.stage_trail import paint_trail
from engine.skeleton import Skeleton
from engine.structures import Float, TrackedPerson

DIMMED = 0.35
"""Opacity of the others while one person is followed."""

Paths = Mapping[int, Sequence[tuple[Float, Float]]]
"""As of `Trails.paths`."""


@dataclass(frozen=True, slots=True)
class OverlayOptions:
    """What is painted over the video.

    raw: keypoints as decoded, tied to the smoothed ones. names: on the plates of the ids. trail_s: seconds
    of source time; trail_of: name of a keypoint, empty is the middle of the hips. line_scale: of all widths
    and dots, 1 is usual.
    """

    limbs: bool = True
    keypoints: bool = True
    boxes: bool = False
    ids: bool = True
    names: bool = True
    trails: bool = False
    angles: bool = False
    raw: bool = False
    heatmap: bool = False
    trail_s: float = 2.0
    trail_of: str = ""
    palette: OverlayPalette = "colour-blind"
    line_scale: float = 1.0


@dataclass(frozen=True, slots=True)
class Attention:
    """Whom the user has named, ignored, followed and points at; all by track id."""

    names: Mapping[int, str] = field(default_factory=dict)
    ignored: frozenset[int] = frozenset()
    followed: int | None = None
    hovered: int | None = None

    def opacity(self, track_id: int) -> float:
        """Return how opaque a person is painted: all alike, but the others fainter than who is followed."""
        return 1.0 if self.followed in (None, track_id) or track_id == self.hovered else DIMMED


def shown_people(people: Iterable[TrackedPerson], attention: Attention) -> list[TrackedPerson]:
    """Return those who are painted, the nearest last: who stands lower in the frame is in front."""
    shown = [person for person in people if person.track_id not in attention.ignored]
    return sorted(
        shown,
        key=lambda person: (
            person.track_id == attention.followed,
            float(np.nan_to_num(person.bbox[3], nan=0.0)),
        ),
    )


def paint_people(
    painter: QPainter,
    people: Sequence[TrackedPerson],
    skeleton: Skeleton,
    options: OverlayOptions,
    place: StageMap,
    *,
    attention: Attention | None = None,
    unit: float = 1.0,
) -> None:
    """Paint people in view pixels.

    Args:
        painter: of a widget or a picture; its state is the same afterwards.
        people: with K keypoints each, frame px.
        skeleton: of K keypoints.
        options: what to paint; trails and heatmap have their own functions.
        place: where the frame lies.
        attention: whom the user marked; nobody where None.
        unit: see `choose_pen`.

    Raises:
        ValueError: a person has another number of keypoints than the skeleton.
    """
    attention = attention or Attention()
    shown = shown_people(people, attention)
    pens = [
        choose_pen(person, place, palette=options.palette, line_scale=options.line_scale, unit=unit)
        for person in shown
    ]
    painter.save()
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    for person, pen in zip(shown, pens):
        if person.keypoints.shape != (skeleton.count, 2):
            raise ValueError(
                f"keypoints must have shape ({skeleton.count}, 2) for skeleton {skeleton.name!r}, "
                f"got {person.keypoints.shape}"
            )
        opacity = attention.opacity(person.track_id)
        painter.setOpacity(opacity)
        if options.boxes or person.track_id == attention.hovered:
            paint_box(painter, person, place, pen, filled=person.track_id == attention.hovered)
        elif person.track_id == attention.followed:
            paint_followed_box(painter, person, place, pen)
        paint_person(
            painter,
            person,
            skeleton,
            place,
            pen,
            opacity=opacity,
            limbs=options.limbs,
            keypoints=options.keypoints,
            raw=options.raw,
        )
    _paint_texts(painter, shown, pens, skeleton, options, place, attention)
    painter.restore()


def paint_trails(
    painter: QPainter,
    paths: Paths,
    options: OverlayOptions,
    place: StageMap,
    *,
    attention: Attention | None = None,
    unit: float = 1.0,
) -> None:
    """Paint where people have been, fading with age; arguments as of `paint_people`."""
    attention = attention or Attention()
    painter.save()
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    painter.setBrush(Qt.BrushStyle.NoBrush)
    for track_id, pieces in paths.items():
        if track_id in attention.ignored:
            continue
        painter.setOpacity(attention.opacity(track_id))
        colour = person_colour(track_id, options.palette)
        for points, ages in pieces:
            paint_trail(painter, place.to_view(points), ages, colour, options.line_scale * unit)
    painter.restore()


def paint_heatmap(painter: QPainter, heatmap: Float, place: StageMap) -> None:
    """Paint an (h, w) heatmap in [0, 1] over the whole frame, translucent."""
    painter.save()
    painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform)
    image = heatmap_image(heatmap)
    if place.mirrored:
        image = image.flipped(Qt.Orientation.Horizontal)
    painter.drawImage(QRectF(*place.bounds), image)
    painter.restore()


def _paint_texts(
    painter: QPainter,
    people: Sequence[TrackedPerson],
    pens: Sequence[Pen],
    skeleton: Skeleton,
    options: OverlayOptions,
    place: StageMap,
    attention: Attention,
) -> None:
    """Paint angles and plates over everybody, so that nobody's limbs cross them."""
    taken: list[QRectF] = []
    # Who is in front is asked first for a place.
    in_front = list(zip(people, pens))[::-1]
    for person, pen in in_front if options.ids else ():
        painter.setOpacity(attention.opacity(person.track_id))
        name = attention.names.get(person.track_id, "") if options.names else ""
        followed = person.track_id == attention.followed
        paint_plate(painter, person, place, pen, f"{person.track_id} {name}".rstrip(), taken, ringed=followed)
    if options.angles:
        faded = [(person, pen, attention.opacity(person.track_id)) for person, pen in in_front]
        paint_angles(painter, faded, skeleton, place, taken)
