"""Angles with a sign: segments against the vertical, and flexion of joints of people seen from the side.

The convention, with drawings, is in ``docs/angles.md``. A segment's angle is signed by the picture: positive
where it points or leans to the right. Flexion is signed by the body: positive where a joint bends the way it
bends in walking, for which the direction the person faces in the picture must be known. The angles without a
sign are in `engine.tracking.angles`. Legend: T frames, K keypoints.
"""

from collections.abc import Mapping

import numpy as np
from numpy.typing import ArrayLike, NDArray

from engine.skeleton import Skeleton
from engine.tracking.angles import ANGLES, NO_LENGTH_PX, interior_angles, joint_triples

Array = NDArray[np.float64]

DOWNWARD: Mapping[str, tuple[str, str]] = {"thigh": ("hip", "knee"), "shank": ("knee", "ankle")}
"""Segment to its upper and lower keypoint."""
TRUNK_LEAN = "trunk_lean"
SEGMENT_ANGLES: tuple[str, ...] = (
    TRUNK_LEAN,
    *(f"{side}_{segment}" for segment in DOWNWARD for side in ("left", "right")),
)
"""Names of the angles against the vertical."""
FLEXIONS: tuple[str, ...] = tuple(f"{angle}_flexion" for angle in ANGLES)
"""Names of the flexions, such as ``left_knee_flexion``."""
BODY_ANGLES: tuple[str, ...] = (*ANGLES, *SEGMENT_ANGLES, *FLEXIONS)
"""Names of all angles, in the order of files."""
TRUNK = ("left_shoulder", "right_shoulder", "left_hip", "right_hip")


def segment_angles(keypoints: ArrayLike, skeleton: Skeleton) -> dict[str, Array]:
    """Return angles of segments against the vertical of the picture.

    Of a segment from its upper keypoint u to its lower one w it is ``atan2(w.x - u.x, w.y - u.y)``, 0 hanging
    straight down. The trunk is from the middle of the hips h to the middle of the shoulders s and has
    ``atan2(s.x - h.x, h.y - s.y)``, 0 upright.

    Args:
        keypoints: (..., K, 2) px of any undistorted space, NaN where missing.
        skeleton: of the keypoints.

    Returns:
        name of `SEGMENT_ANGLES` to (...) degrees in (-180, 180], positive to the right of the picture, NaN
        where a keypoint is missing or a segment has no length; without those that the skeleton lacks.
    """
    points = np.asarray(keypoints, np.float64)
    index = {name: position for position, name in enumerate(skeleton.keypoints)}
    angles = {}
    if all(name in index for name in TRUNK):
        corners = points[..., [index[name] for name in TRUNK], :]
        up = corners[..., :2, :].mean(axis=-2) - corners[..., 2:, :].mean(axis=-2)
        angles[TRUNK_LEAN] = _signed(up[..., 0], -up[..., 1], up)
    for segment, parts in DOWNWARD.items():
        for side in ("left", "right"):
            upper, lower = (index.get(f"{side}_{part}") for part in parts)
            if upper is not None and lower is not None:
                down = points[..., lower, :] - points[..., upper, :]
                angles[f"{side}_{segment}"] = _signed(down[..., 0], down[..., 1], down)
    return angles


def flexion_angles(keypoints: ArrayLike, facing: ArrayLike, skeleton: Skeleton) -> dict[str, Array]:
    """Return how far joints are flexed in people seen from the side.

    With the angles of segments as `segment_angles` has them, f = 1 facing right and -1 facing left:
    hip ``f (thigh - trunk)``, knee ``f (thigh - shank)``, shoulder ``f (upper arm - trunk)``, elbow
    ``f (forearm - upper arm)``, where the trunk is from the shoulder of that side down to its hip. 0 is
    standing upright with hanging arms; positive are a thigh or an upper arm ahead of the trunk, a shank
    behind the thigh, a forearm ahead of the upper arm.

    Args:
        keypoints: (..., K, 2) px of any undistorted space, NaN where missing.
        facing: (...) 1 where the person faces the right of the picture, -1 the left, NaN where not known.
        skeleton: of the keypoints.

    Returns:
        name of `FLEXIONS` to (...) degrees in (-180, 180], NaN where a keypoint or `facing` is missing or a
        segment has no length; without those that the skeleton lacks.
    """
    points, sign = np.asarray(keypoints, np.float64), np.asarray(facing, np.float64)
    angles = {}
    for name, (first, vertex, last) in joint_triples(skeleton).items():
        joint = name.split("_")[1]
        near, far = (
            points[..., vertex, :] - points[..., first, :],
            points[..., last, :] - points[..., vertex, :],
        )
        # The angle of a shoulder names the trunk from the hip up; as a segment it points down.
        near = -near if joint == "shoulder" else near
        # atan2 of x over y turns from down to the right, against the sense of the picture's cross product.
        turn = (near[..., 1] * far[..., 0] - near[..., 0] * far[..., 1]) * sign
        turn = -turn if joint == "knee" else turn
        known = np.where(np.isfinite(sign), (near * far).sum(axis=-1), np.nan)
        angles[f"{name}_flexion"] = _signed(turn, known, near, far)
    return angles


def body_angles(
    keypoints: ArrayLike, times_s: ArrayLike, facing: ArrayLike, skeleton: Skeleton, *, gap_s: float
) -> dict[str, Array]:
    """Return every angle of one person through time, those with a sign unwrapped.

    Args:
        keypoints: (T, K, 2) px of any undistorted space, NaN where missing.
        times_s: (T,) ascending.
        facing: (T,) as in `flexion_angles`.
        skeleton: of the keypoints.
        gap_s: as in `unwrap_degrees`.

    Returns:
        name of `BODY_ANGLES` to (T,) degrees, in that order; without those that the skeleton lacks.
    """
    triples = joint_triples(skeleton)
    interior = interior_angles(keypoints, list(triples.values()))
    angles = {name: interior[:, column] for column, name in enumerate(triples)}
    signed = segment_angles(keypoints, skeleton) | flexion_angles(keypoints, facing, skeleton)
    return angles | {name: unwrap_degrees(values, times_s, gap_s=gap_s) for name, values in signed.items()}


def angle_names(skeleton: Skeleton) -> list[str]:
    """Return those of `BODY_ANGLES` that a skeleton has."""
    nobody = np.empty((0, skeleton.count, 2))
    return list(body_angles(nobody, nobody[:, 0, 0], nobody[:, 0, 0], skeleton, gap_s=0.0))


def unwrap_degrees(degrees: ArrayLike, times_s: ArrayLike, *, gap_s: float) -> Array:
    """Return an angle through time without the jumps between 180 and -180.

    Whole turns are added so that successive known values differ by at most 180 degrees. After a gap the turns
    are unknown and counting begins anew; each part between gaps is moved by whole turns so that its median
    lies in (-180, 180].

    Args:
        degrees: (T,) NaN where not known.
        times_s: (T,) ascending.
        gap_s: known values further apart than this are not joined.

    Returns:
        (T,) degrees, NaN as in `degrees`.
    """
    values, times = np.array(degrees, np.float64), np.asarray(times_s, np.float64)
    known = np.flatnonzero(np.isfinite(values))
    for part in np.split(known, np.flatnonzero(np.diff(times[known]) > gap_s) + 1):
        if part.size:
            turned = np.unwrap(values[part], period=360.0)
            values[part] = turned + 360.0 * np.floor((180.0 - np.median(turned)) / 360.0)
    return values


def _signed(across: Array, along: Array, *segments: Array) -> Array:
    """Return ``atan2(across, along)``, degrees in (-180, 180], NaN where a (..., 2) segment has no length."""
    degrees = np.degrees(np.arctan2(across, along))
    long = np.all([np.hypot(part[..., 0], part[..., 1]) > NO_LENGTH_PX for part in segments], axis=0)
    return np.where(long, np.where(degrees == -180.0, 180.0, degrees), np.nan)
