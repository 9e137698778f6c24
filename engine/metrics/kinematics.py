"""How people move: places, velocities, path lengths and ranges of motion from the keypoints of a track.

Times are real ones: a dropped frame changes nothing, and nothing is made up where a person was not seen.
Legend: T frames of one track, ascending in time; K keypoints; D dimensions.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import ArrayLike, NDArray

from engine.skeleton import Skeleton

Array = NDArray[np.float64]
Index = NDArray[np.intp]

GAP_S = 0.25
"""Known moments further apart than this are not joined ..."""
GAP_STEPS = 2.5
"""... unless the usual step between frames times this is longer, as in slow recordings."""
RULER_SHARE = 0.02
"""Shortest move that counts towards a path, as a share of the person's height in the picture."""
SPEED_HALF_SPAN_S = 0.1
"""Speeds of people are means over twice this, so that a frame's noise is no peak."""
FACING_HALF_SPAN_S, FACING_HELD_S = 0.5, 1.0
FACING_TRUNKS_PER_S = 0.8
"""Who moves across the picture by fewer trunk lengths in a second (about 0.4 m/s) walks nowhere."""
HEIGHT_PERCENTILE = 95.0
"""Of the vertical extents of a person, the one that is taken for upright."""


def usual_step_s(times_s: ArrayLike) -> float:
    """Return the median step of (T,) ascending times, NaN with fewer than two different ones."""
    steps = np.diff(np.unique(np.asarray(times_s, np.float64)))
    return float(np.median(steps)) if steps.size else float("nan")


def gap_limit_s(step_s: float) -> float:
    """Return how far apart known moments may be to belong together; step_s: `usual_step_s`."""
    return max(GAP_S, GAP_STEPS * step_s) if np.isfinite(step_s) else GAP_S


def stretches(known: ArrayLike, times_s: ArrayLike, *, gap_s: float) -> Iterator[Index]:
    """Yield the runs of known moments, each as ascending indices, at least one.

    Args:
        known: (T,) bool.
        times_s: (T,) ascending.
        gap_s: known moments further apart are in different runs.
    """
    times = np.asarray(times_s, np.float64)
    index = np.flatnonzero(np.asarray(known, bool))
    for run in np.split(index, np.flatnonzero(np.diff(times[index]) > gap_s) + 1):
        if run.size:
            yield run


def velocities(points: ArrayLike, times_s: ArrayLike, *, gap_s: float, half_span_s: float = 0.0) -> Array:
    """Return velocities by central differences.

    ``(p[b] - p[a]) / (t[b] - t[a])`` where a and b are the nearest frames before and after at least
    `half_span_s` away, within the run of known frames; at an end of it the difference is one-sided.

    Args:
        points: (T, D) smoothed places, NaN where not known.
        times_s: (T,) seconds, ascending.
        gap_s: frames further apart are not joined.
        half_span_s: 0 takes the frames next to each.

    Returns:
        (T, D) units per second; NaN where not known, and of a frame that stands alone.
    """
    places, times = np.asarray(points, np.float64), np.asarray(times_s, np.float64)
    result = np.full(places.shape, np.nan)
    for run in stretches(np.isfinite(places).all(axis=1), times, gap_s=gap_s):
        moments, order = times[run], np.arange(run.size)
        # A rounding error must not make a span longer by a whole frame.
        span = half_span_s - 1e-9
        before = np.minimum(np.searchsorted(moments, moments - span, side="right") - 1, order - 1)
        after = np.maximum(np.searchsorted(moments, moments + span, side="left"), order + 1)
        before, after = np.maximum(before, 0), np.minimum(after, run.size - 1)
        elapsed = moments[after] - moments[before]
        moved = places[run[after]] - places[run[before]]
        result[run] = np.where(
            elapsed[:, None] > 0, moved / np.where(elapsed > 0, elapsed, 1)[:, None], np.nan
        )
    return result


def speeds(points: ArrayLike, times_s: ArrayLike, *, gap_s: float) -> Array:
    """Return (T,) speeds of a person's (T, D) places, means over `SPEED_HALF_SPAN_S` to both sides."""
    velocity = velocities(points, times_s, gap_s=gap_s, half_span_s=SPEED_HALF_SPAN_S)
    return np.asarray(np.linalg.norm(velocity, axis=1))


def path_length(
    points: ArrayLike, times_s: ArrayLike, *, gap_s: float, ruler: float = 0.0
) -> tuple[float, float]:
    """Return the length of a path, and the seconds in which it was gone.

    It is measured with a ruler: a move counts once the place is at least `ruler` away from where the last one
    that counted ended. Else noise makes a path: 0.5 px of it, 30 times a second, adds up to 90 000 px in an
    hour of standing still. What is left at the end of a run counts if anything before it did.

    Args:
        points: (T, D) places, NaN where not known.
        times_s: (T,) seconds, ascending.
        gap_s: what happens between frames further apart counts neither as way nor as time.
        ruler: in units of the points; 0 adds up every step.

    Returns:
        length in units of the points, and seconds; both 0 where nothing is known.
    """
    places, times = np.asarray(points, np.float64), np.asarray(times_s, np.float64)
    length = seconds = 0.0
    for run in stretches(np.isfinite(places).all(axis=1), times, gap_s=gap_s):
        seconds += float(times[run[-1]] - times[run[0]])
        length += _ruled_length(places[run], ruler)
    return length, seconds


def _ruled_length(places: Array, ruler: float) -> float:
    if ruler <= 0:
        return float(np.linalg.norm(np.diff(places, axis=0), axis=1).sum())
    length, anchor = 0.0, places[0]
    first = 1
    while first < len(places):
        away = np.linalg.norm(places[first:] - anchor, axis=1)
        far = np.flatnonzero(away >= ruler)
        if not far.size:
            return length + (float(away[-1]) if length else 0.0)
        length += float(away[far[0]])
        first += int(far[0])
        anchor = places[first]
        first += 1
    return length


def range_of_motion(degrees: ArrayLike) -> tuple[float, float, float]:
    """Return the least, the greatest and their difference of (T,) angles, NaN where none is known."""
    known = np.asarray(degrees, np.float64)
    known = known[np.isfinite(known)]
    if not known.size:
        return (float("nan"),) * 3
    least, greatest = float(known.min()), float(known.max())
    return least, greatest, greatest - least


def body_places(keypoints: ArrayLike, skeleton: Skeleton) -> Array:
    """Return where a person is: (T, 2) px of the middle of the hips, NaN where one of them is missing.

    Of a skeleton without hips it is the centre of the smallest box around the keypoints that are known.

    Args:
        keypoints: (T, K, 2) px, NaN where missing.
        skeleton: of the keypoints.
    """
    points = np.asarray(keypoints, np.float64)
    hips = _places(skeleton, "left_hip", "right_hip")
    if hips:
        return np.asarray(points[:, hips].mean(axis=1))
    low, high = _box(points)
    return (low + high) / 2


def body_height_px(keypoints: ArrayLike) -> float:
    """Return the `HEIGHT_PERCENTILE` of the vertical extents of (T, K, 2) keypoints, px; NaN where none."""
    low, high = _box(np.asarray(keypoints, np.float64))
    extents = (high - low)[:, 1]
    extents = extents[np.isfinite(extents)]
    return float(np.percentile(extents, HEIGHT_PERCENTILE)) if extents.size else float("nan")


def find_facing(keypoints: ArrayLike, times_s: ArrayLike, skeleton: Skeleton, *, gap_s: float) -> Array:
    """Return which way a person faces in the picture, from the direction of walking.

    Known where the middle of the hips moves, as a mean over `FACING_HALF_SPAN_S` to both sides, further
    sideways than up or down and at least `FACING_TRUNKS_PER_S` trunk lengths a second, and up to
    `FACING_HELD_S` from there. Who walks backwards is taken for facing the other way.

    Args:
        keypoints: (T, K, 2) px, NaN where missing.
        times_s: (T,) seconds, ascending.
        skeleton: of the keypoints.
        gap_s: frames further apart are not joined.

    Returns:
        (T,) 1 facing the right of the picture, -1 the left, NaN where not known.
    """
    points, times = np.asarray(keypoints, np.float64), np.asarray(times_s, np.float64)
    facing = np.full(times.shape, np.nan)
    shoulders, hips = (_places(skeleton, f"left_{part}", f"right_{part}") for part in ("shoulder", "hip"))
    if not shoulders or not hips or not times.size:
        return facing
    places = points[:, hips].mean(axis=1)
    trunks = np.linalg.norm(points[:, shoulders].mean(axis=1) - places, axis=1)
    trunks = trunks[np.isfinite(trunks)]
    if not trunks.size:
        return facing
    velocity = velocities(places, times, gap_s=gap_s, half_span_s=FACING_HALF_SPAN_S)
    sideways = np.abs(velocity[:, 0])
    enough = (sideways >= FACING_TRUNKS_PER_S * np.median(trunks)) & (sideways > np.abs(velocity[:, 1]))
    walking = np.flatnonzero(enough)
    if not walking.size:
        return facing
    after = np.minimum(np.searchsorted(times[walking], times), walking.size - 1)
    before = np.maximum(after - 1, 0)
    nearer = np.abs(times[walking[before]] - times) < np.abs(times[walking[after]] - times)
    nearest = walking[np.where(nearer, before, after)]
    near = np.abs(times[nearest] - times) <= FACING_HELD_S
    return np.where(near, np.sign(velocity[nearest, 0]), np.nan)


def _places(skeleton: Skeleton, *names: str) -> list[int]:
    """Return the indices of keypoints, nothing where one is not in the skeleton."""
    known = skeleton.keypoints
    return [known.index(name) for name in names] if all(name in known for name in names) else []


def _box(points: Array) -> tuple[Array, Array]:
    """Return (T, 2) least and greatest x, y of the known ones of (T, K, 2) keypoints, NaN where none is."""
    known = np.isfinite(points).all(axis=-1, keepdims=True)
    low = np.where(known, points, np.inf).min(axis=1, initial=np.inf)
    high = np.where(known, points, -np.inf).max(axis=1, initial=-np.inf)
    some = np.any(known, axis=1)
    return np.where(some, low, np.nan), np.where(some, high, np.nan)
