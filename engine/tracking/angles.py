"""Joint angles: how far elbows, knees, shoulders and hips are bent in the picture.

An angle is the interior one between the two segments that meet at a joint, in the image plane, 0 to 180
degrees and without a sign: 180 is straight, 0 folded back upon itself. A shoulder's is between the trunk and
the upper arm, so an arm that hangs has about 0 and one held overhead about 180; a hip's is between the trunk
and the thigh, about 180 standing. What leaves the image plane is foreshortened: these are angles of the
picture, not of the body. ``docs/angles.md`` has the whole convention with drawings, and
`engine.tracking.segment_angles` the angles that have a sign.
"""

from collections.abc import Mapping
from functools import cache

import numpy as np
from numpy.typing import ArrayLike, NDArray

from engine.skeleton import Skeleton

Array = NDArray[np.float64]

SEGMENTS: Mapping[str, tuple[str, str, str]] = {
    "elbow": ("shoulder", "elbow", "wrist"),
    "shoulder": ("hip", "shoulder", "elbow"),
    "hip": ("shoulder", "hip", "knee"),
    "knee": ("hip", "knee", "ankle"),
}
"""Joint to the keypoints of its angle, the vertex in the middle."""

ANGLES: tuple[str, ...] = tuple(f"{side}_{joint}" for joint in SEGMENTS for side in ("left", "right"))
"""Names of all angles, such as ``left_elbow``; a skeleton has those whose three keypoints it has."""

NO_LENGTH_PX = 1e-6
"""A segment shorter than this has no direction."""


def joint_triples(skeleton: Skeleton) -> dict[str, tuple[int, int, int]]:
    """Return the angles that a skeleton has, each with three keypoint indices, the vertex in the middle."""
    return dict(_triples_of(skeleton.keypoints))


@cache
def _triples_of(keypoints: tuple[str, ...]) -> Mapping[str, tuple[int, int, int]]:
    index = {name: position for position, name in enumerate(keypoints)}
    triples = {}
    for angle in ANGLES:
        side, joint = angle.split("_")
        names = [f"{side}_{part}" for part in SEGMENTS[joint]]
        if all(name in index for name in names):
            first, vertex, last = (index[name] for name in names)
            triples[angle] = (first, vertex, last)
    return triples


def joint_angles(keypoints: ArrayLike, skeleton: Skeleton) -> dict[str, float]:
    """Return the joint angles of one person.

    Args:
        keypoints: (K, 2) px of any undistorted space, NaN where missing.
        skeleton: of the keypoints.

    Returns:
        name of `ANGLES` to degrees in [0, 180], NaN where a keypoint is missing or a segment has no length;
        without the angles that the skeleton lacks.

    Raises:
        ValueError: `keypoints` has another shape.
    """
    points = np.asarray(keypoints, np.float64)
    if points.shape != (skeleton.count, 2):
        raise ValueError(
            f"keypoints must have shape ({skeleton.count}, 2) for skeleton {skeleton.name!r}, "
            f"got {points.shape}"
        )
    triples = joint_triples(skeleton)
    angles = interior_angles(points, list(triples.values()))
    return dict(zip(triples, angles.tolist(), strict=True))


def interior_angles(keypoints: ArrayLike, triples: ArrayLike) -> Array:
    """Return the angles of many poses at once.

    Args:
        keypoints: (..., K, 2) px, NaN where missing.
        triples: (A, 3) keypoint indices, the vertex in the middle; A may be 0.

    Returns:
        (..., A) degrees in [0, 180]; NaN as in `joint_angles`.
    """
    index = np.asarray(triples, np.intp).reshape(-1, 3)
    corners = np.asarray(keypoints, np.float64)[..., index, :]
    first, last = corners[..., 0, :] - corners[..., 1, :], corners[..., 2, :] - corners[..., 1, :]
    across = first[..., 0] * last[..., 1] - first[..., 1] * last[..., 0]
    along = (first * last).sum(axis=-1)
    short = np.minimum(np.hypot(*np.moveaxis(first, -1, 0)), np.hypot(*np.moveaxis(last, -1, 0)))
    degrees = np.degrees(np.arctan2(np.abs(across), along))
    return np.where(short > NO_LENGTH_PX, degrees, np.nan)
