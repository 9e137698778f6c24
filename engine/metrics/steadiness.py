"""How steady a live view is and what that costs: trembling and lag of the last seconds.

There is no truth in a live view. Jitter is that about a short trend (`jitter.rms_jitter`), smoothed against
raw; lag is that of the smoothed keypoints behind the raw ones, which a filter that looks both ways has freed
of their trembling.
"""

import threading
from collections import deque
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from engine.metrics.jitter import TREND_FRAMES, lag_s, rms_jitter
from engine.structures import SEEN_STATES, Result, TrackedPerson

Array = NDArray[np.float64]

MAX_FRAMES = 360
"""Frames remembered at most, whatever the frame rate."""
JITTER_FRAMES = 120
"""Frames, the newest, that jitter is measured on at most."""
MAX_PEOPLE = 2
"""So many people are measured, those who are there longest."""
MIN_FRAMES = 2 * TREND_FRAMES
"""Fewer frames tell nothing."""
GAP_STEPS = 1.75
"""A longer step, in median ones, is a gap: no trend is laid across it."""
LAG_RATE = 15.0
"""Frames per second that lag is measured on at most: a tenth of its step is fine enough."""
MAX_LAG_S = 0.15
"""A longer lag is told as this one; the steadiest smoothing lags half as much."""
LAG_KEYPOINTS = 3
"""Lag is measured on so many keypoints, those that move most."""
MIN_MOTION, MIN_SPREAD_PX = 8.0, 4.0
"""A keypoint moves enough to tell its lag if its spread is so many times the raw jitter, and so many px."""
MAX_HOLE_FRAMES = 5
"""A longer hole in a keypoint's measurements is not bridged to measure its lag."""
SMOOTH_FRAMES, SMOOTH_ORDER = 7, 2
NAN = float("nan")

Seen = tuple[float, tuple[TrackedPerson, ...]]
Paths = tuple[Array, Array, Array]
"""(T,) seconds; smoothed and raw keypoints (T, N, 2) frame px, NaN where not measured."""


@dataclass(frozen=True, slots=True)
class Steadiness:
    """What smoothing does; each is NaN where too little was seen to tell.

    jitter_px: RMS jitter of the smoothed keypoints; jitter_share: that over the raw ones'. lag_ms: how late
    the smoothed keypoints are behind the raw ones, NaN also where nothing moves enough to tell.
    """

    jitter_px: float = NAN
    jitter_share: float = NAN
    lag_ms: float = NAN


class SteadinessMeter:
    """Watches results go by; ask it whenever numbers are to be shown, from any thread.

    Args:
        window_s: seconds of the source that are looked back on.
    """

    def __init__(self, window_s: float = 3.0) -> None:
        self._window_s = window_s
        self._lock = threading.Lock()
        self._seen: deque[Seen] = deque(maxlen=MAX_FRAMES)

    def add(self, result: Result) -> None:
        """Count one more frame; one that is not later than the last one, as after a seek, begins anew."""
        time_s = result.frame.time_s
        with self._lock:
            if self._seen and time_s <= self._seen[-1][0]:
                self._seen.clear()
            self._seen.append((time_s, result.people))
            while self._seen[0][0] < time_s - self._window_s:
                self._seen.popleft()

    def reset(self) -> None:
        """Forget everything."""
        with self._lock:
            self._seen.clear()

    def measure(self) -> Steadiness:
        """Return how steady the last seconds were; takes some milliseconds, so not in a window's thread."""
        time_s, smoothed, raw = paths = self._longest()
        after, before = _jitter(time_s, smoothed), _jitter(time_s, raw)
        share = after / before if before > 1e-6 else NAN
        return Steadiness(after, share, _lag_ms(paths, before))

    def _longest(self) -> Paths:
        """Return the paths of the keypoints of those who are there longest; N may be 0."""
        with self._lock:
            seen = list(self._seen)
        shape = next((people[0].keypoints.shape for _, people in reversed(seen) if people), (0, 2))
        found: dict[int, list[tuple[int, TrackedPerson]]] = {}
        for frame, (_, people) in enumerate(seen):
            for person in people:
                if person.keypoints.shape == shape:
                    found.setdefault(person.track_id, []).append((frame, person))
        longest = sorted(found.values(), key=len, reverse=True)[:MAX_PEOPLE]
        longest = [sightings for sightings in longest if len(sightings) >= MIN_FRAMES]
        values = np.full((2, len(seen), len(longest), *shape), np.nan)
        for place, sightings in enumerate(longest):
            frames = [frame for frame, _ in sightings]
            measured = np.isin([person.state for _, person in sightings], SEEN_STATES)
            smoothed = np.array([person.keypoints for _, person in sightings], np.float64)
            raw = np.array([person.raw_keypoints for _, person in sightings], np.float64)
            values[0, frames, place] = np.where(measured[..., None], smoothed, np.nan)
            values[1, frames, place] = np.where(measured[..., None], raw, np.nan)
        flat = values.reshape(2, len(seen), len(longest) * shape[0], 2)
        return np.array([time_s for time_s, _ in seen]), flat[0], flat[1]


def _jitter(time_s: Array, keypoints: Array) -> float:
    """Return the RMS jitter of the newest of (T, N, 2) keypoints, px."""
    time_s, keypoints = time_s[-JITTER_FRAMES:], keypoints[-JITTER_FRAMES:]
    if len(time_s) < MIN_FRAMES:
        return NAN
    cells = _even_cells(time_s)
    row = np.full((cells[-1] + 1, *keypoints.shape[1:]), np.nan)
    row[cells] = keypoints
    return rms_jitter(row)


def _lag_ms(paths: Paths, jitter_px: float) -> float:
    """Return the lag of the smoothed keypoints; `jitter_px` is that of the raw ones."""
    time_s, smoothed, raw = paths
    movers = _movers(raw, jitter_px)
    if not movers:
        return NAN
    truth = np.stack([_steady(raw[:, index]) for index in movers], axis=1)
    step = max(1, round(1 / (LAG_RATE * float(np.median(np.diff(time_s))))))
    return 1000.0 * lag_s(smoothed[::step, movers], truth[::step], time_s[::step], max_lag_s=MAX_LAG_S)


def _even_cells(time_s: Array) -> NDArray[np.intp]:
    """Place (T,) frames in a row of even cells: a small unevenness is none, a gap leaves cells empty."""
    steps = np.diff(time_s)
    lengths = steps / np.median(steps)
    jumps = np.where(lengths < GAP_STEPS, 1, np.minimum(np.round(lengths), TREND_FRAMES))
    return np.concatenate([[0], np.cumsum(jumps)]).astype(np.intp)


def _movers(raw: Array, jitter_px: float) -> list[int]:
    """Indices of the keypoints of (T, N, 2) that move most, of those that move enough to tell their lag."""
    known: NDArray[np.bool_] = np.asarray(np.isfinite(raw).all(axis=-1))
    usable = np.flatnonzero(known.sum(axis=0) >= max(MIN_FRAMES, len(raw) // 2))
    spread = np.sqrt(np.nanvar(raw[:, usable], axis=0).sum(axis=-1))
    least = max(MIN_SPREAD_PX, MIN_MOTION * jitter_px) if np.isfinite(jitter_px) else np.inf
    order = np.argsort(-spread, kind="stable")[:LAG_KEYPOINTS]
    return [int(usable[index]) for index in order if spread[index] > least]


def _steady(path: Array) -> Array:
    """Smooth a (T, 2) path without delay, short holes bridged; NaN in long ones."""
    known: NDArray[np.bool_] = np.asarray(np.isfinite(path).all(axis=-1))
    frames = np.arange(len(path))
    bridged = np.stack([np.interp(frames, frames[known], path[known, axis]) for axis in (0, 1)], axis=-1)
    smooth = _fitted(bridged)
    before = np.maximum.accumulate(np.where(known, frames, -len(path)))
    after = np.minimum.accumulate(np.where(known, frames, 2 * len(path))[::-1])[::-1]
    return np.where((after - before > MAX_HOLE_FRAMES + 1)[:, None], np.nan, smooth)


def _fitted(path: Array) -> Array:
    """Replace each of a (T, 2) path's points by a parabola fitted to the frames around it, T ≥ 7.

    The first and the last three lie on the parabola of the first and last seven (Savitzky and Golay 1964).
    """
    weights, half = _fit_weights(), SMOOTH_FRAMES // 2
    smooth = np.empty_like(path)
    windows = np.lib.stride_tricks.sliding_window_view(path, SMOOTH_FRAMES, axis=0)
    smooth[half:-half] = windows @ weights[half]
    smooth[:half] = weights[:half] @ path[:SMOOTH_FRAMES]
    smooth[-half:] = weights[-half:] @ path[-SMOOTH_FRAMES:]
    return smooth


@cache
def _fit_weights() -> Array:
    """(SMOOTH_FRAMES, SMOOTH_FRAMES): each row gives the fitted value at one frame."""
    half = SMOOTH_FRAMES // 2
    powers = np.vander(np.arange(-half, half + 1.0), SMOOTH_ORDER + 1, increasing=True)
    return np.asarray(powers @ np.linalg.pinv(powers), np.float64)
