"""Who lies under the mouse. No Qt in here."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from app.desktop.stage_mapping import StageMap
from engine.skeleton import Skeleton
from engine.structures import TrackedPerson

REACH = 10.0
"""View px around a limb or a keypoint that belong to it."""


def person_at(
    people: Sequence[TrackedPerson], skeleton: Skeleton, place: StageMap, x: float, y: float
) -> int | None:
    """Return the track id of who is shown at view px (x, y), None where nobody is.

    Where boxes overlap, the limbs decide: who has one nearest, within `REACH`; else the smallest box around
    the place.
    """
    here = np.array([x, y])
    near = [(_distance(person, skeleton, place, here), person.track_id) for person in people]
    distance, track_id = min(near, default=(np.inf, 0))
    if distance <= REACH:
        return track_id
    around = []
    for person in people:
        left, top, width, height = place.box_to_view(person.bbox)
        if left <= x <= left + width and top <= y <= top + height:
            around.append((width * height, person.track_id))
    return min(around)[1] if around else None


def _distance(person: TrackedPerson, skeleton: Skeleton, place: StageMap, here: NDArray[np.float64]) -> float:
    """Return view px from a place to the nearest keypoint or limb, infinite where none is known."""
    points = place.to_view(person.keypoints)
    limbs = np.array([(index, index) for index in range(len(points))] + list(skeleton.limbs))
    starts, ends = points[limbs[:, 0]], points[limbs[:, 1]]
    known = np.isfinite(starts).all(axis=1) & np.isfinite(ends).all(axis=1)
    if not known.any():
        return float("inf")
    starts, along = starts[known], (ends - starts)[known]
    length = np.maximum((along**2).sum(axis=1), 1e-9)
    share = np.clip(((here - starts) * along).sum(axis=1) / length, 0.0, 1.0)
    return float(np.hypot(*(starts + share[:, None] * along - here).T).min())
