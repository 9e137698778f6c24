"""How many metres a pixel has where people are: from two points of a known distance, or a known body height.

One number for the whole picture: right in one plane parallel to the picture, and wrong in proportion for
whoever stands nearer to the camera or further away.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from engine.errors import UsageError
from engine.skeleton import Skeleton
from engine.structures import SEEN_STATES

POINT_ERROR_PX = 1.0
"""How exactly a point in a frame can be told, in each direction."""
EYES_TO_ANKLES, CROWN_TO_ANKLES = 0.936 - 0.039, 1 - 0.039
"""Shares of the body height, by Drillis and Contini 1966 (Winter 2009, fig. 4.1)."""
PROPORTION_ERROR = 0.025
"""Relative error of those shares: people differ, wear shoes, and networks have their own idea of an ankle."""
UPRIGHT_PERCENTILE = 95.0
FEWEST_FRAMES = 5
BODY_HEIGHTS_M = (0.4, 2.8)
"""Shorter and taller people are taken for an error of units."""


@dataclass(frozen=True, slots=True)
class Scale:
    """How long a pixel is.

    metres_per_px: of the frame. error: relative, one standard deviation. source: where it is from, in words.
    """

    metres_per_px: float
    error: float
    source: str


def scale_by_points(
    first: Sequence[float], second: Sequence[float], metres: float, *, size: tuple[int, int] | None = None
) -> Scale:
    """Return the scale by which two points of the frame have a distance.

    ``metres_per_px = metres / d`` with d px between the points; relative error ``sqrt(2) / d``, as each point
    is off by 1 px.

    Args:
        first: x, y in frame px.
        second: the same.
        metres: between them.
        size: (height, width) of the frame, in which they must lie; None does not ask.

    Raises:
        UsageError: they are the same point or outside of the frame, or the distance is not positive.
    """
    if not (math.isfinite(metres) and metres > 0):
        raise UsageError(
            f"the distance of the two points of the scale must be above 0 metres, got {metres:g}"
        )
    distance = math.dist(first, second)
    if not distance >= 2 * POINT_ERROR_PX:
        raise UsageError(
            f"the two points of the scale must be at least {2 * POINT_ERROR_PX:g} px apart, "
            f"got {distance:.3g} px; take two that are far from each other"
        )
    if size is not None:
        height, width = size
        for x, y in (first, second):
            if not (-0.5 <= x <= width - 0.5 and -0.5 <= y <= height - 0.5):
                raise UsageError(
                    f"the point {x:g},{y:g} of the scale is outside of the frame of {width} x {height} px; "
                    "give pixels of the video itself"
                )
    source = f"two points {distance:.1f} px apart that are {metres:g} m apart"
    return Scale(metres / distance, math.sqrt(2) * POINT_ERROR_PX / distance, source)


def scale_by_height(
    keypoints: ArrayLike, states: ArrayLike, skeleton: Skeleton, height_m: float, *, label: str = "the person"
) -> Scale:
    """Return the scale by which one person, upright in part of the frames, has a known height.

    ``metres_per_px = share * height_m / e95``. Of each frame e is how far the lower ankle is below the higher
    eye (below the crown, where the skeleton has it), e95 the 95th percentile of all frames: bent knees and
    lowered heads make e shorter, hardly anything makes it longer. share is 0.897 from eyes, 0.961 from the
    crown. The relative error is ``sqrt(0.025^2 + ((e95 - e50) / (2 e95))^2)``: proportions of bodies, and how
    much the person's size in the picture changed.

    Args:
        keypoints: (T, K, 2) frame px of one track.
        states: (T, K) of `KeypointState`; only what was seen counts.
        skeleton: of the keypoints.
        height_m: of the person, with shoes.
        label: of the person, for errors.

    Raises:
        UsageError: no such height, a skeleton without eyes or ankles, or a person whose eyes and ankles are
            seen in fewer than five frames or on one level.
    """
    low, high = BODY_HEIGHTS_M
    if not low <= height_m <= high:
        raise UsageError(
            f"the height of {label} must be {low:g} to {high:g} metres, got {height_m:g}; give metres"
        )
    crown, eyes, ankles = (
        [name for name in names if name in skeleton.keypoints]
        for names in (("head_top",), ("left_eye", "right_eye"), ("left_ankle", "right_ankle"))
    )
    tops, share = (crown, CROWN_TO_ANKLES) if crown else (eyes, EYES_TO_ANKLES)
    if not tops or not ankles:
        raise UsageError(
            f"a scale by body height needs eyes or the top of the head, and ankles, which the skeleton "
            f"{skeleton.name!r} has not; use two points"
        )
    extents = _extents(keypoints, states, skeleton, tops, ankles)
    if len(extents) < FEWEST_FRAMES:
        raise UsageError(
            f"eyes and ankles of {label} are seen together in {len(extents)} frames, and a scale by body "
            f"height needs {FEWEST_FRAMES}; take another person, or two points"
        )
    upright, usual = np.percentile(extents, [UPRIGHT_PERCENTILE, 50.0]).tolist()
    if upright < 2 * POINT_ERROR_PX:
        raise UsageError(f"eyes and ankles of {label} are on one level: nobody upright; use two points")
    error = math.hypot(PROPORTION_ERROR, (upright - usual) / (2 * upright))
    source = f"{label}, {height_m:g} m tall, {upright / share:.0f} px in the picture"
    return Scale(share * height_m / upright, error, source)


def _extents(
    keypoints: ArrayLike, states: ArrayLike, skeleton: Skeleton, tops: Sequence[str], ankles: Sequence[str]
) -> NDArray[np.float64]:
    """Return px from the highest of `tops` down to the lowest of `ankles`, of frames where they are seen."""
    heights = np.asarray(keypoints, np.float64)[..., 1]
    heights = np.where(np.isin(states, SEEN_STATES), heights, np.nan)
    top, ankle = (heights[:, [skeleton.keypoints.index(name) for name in names]] for names in (tops, ankles))
    both = np.isfinite(top).any(axis=1) & np.isfinite(ankle).all(axis=1)
    return np.asarray(np.nanmax(ankle[both], axis=1) - np.nanmin(top[both], axis=1))
