"""How true the motion of tracked people is: error, jitter and lag of matched people against the truth.

Everything that a file gives counts, predicted and filled keypoints too; the measures are those of
`engine.metrics.jitter`. Legend: K keypoints, T frames from a person's first match to the last.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engine.metrics.jitter import lag_s, rms_error, rms_jitter
from engine.structures import TrackedPerson

Array = NDArray[np.float64]

LAG_FRAMES = 300
"""Lag is measured on pieces of so many frames,"""
MAX_LAG_PIECES = 20
"""and on so many pieces of each person at most, evenly spread."""
SEPARATOR = np.full((2, 2), np.nan)
"""Between two paths laid end to end: no second difference reaches from one into the other."""


@dataclass(frozen=True, slots=True)
class MotionFigures:
    """Over the labelled visible keypoints of matched people; NaN where nothing can be said.

    error_px: root mean square distance from the truth (`rms_error`); jitter_px: root mean square second
    difference of the error, over √6 (`rms_jitter`); lag_ms: median over people of how late the keypoints come
    (`lag_s`). raw_: the same of the keypoints before smoothing, where the file has them.
    """

    error_px: float
    jitter_px: float
    lag_ms: float
    raw_error_px: float
    raw_jitter_px: float
    raw_lag_ms: float


@dataclass(frozen=True, slots=True, eq=False)
class MotionPaths:
    """All paths of a sequence laid end to end, and the lags of their pieces.

    true, smoothed, raw: (P, 1, 2) px, NaN where not known; lags_s, raw_lags_s: one for each piece.
    """

    true: Array
    smoothed: Array
    raw: Array
    lags_s: tuple[float, ...]
    raw_lags_s: tuple[float, ...]


class MotionMeter:
    """Collects the matched people of one sequence."""

    def __init__(self) -> None:
        self._sightings: dict[int, list[tuple[int, float, Array]]] = {}

    def add(self, frame: int, time_s: float, truth_id: int, truth: Array, person: TrackedPerson) -> None:
        """Count one matched person.

        Args:
            frame: position in the source, later than that of the same person's last match.
            time_s: seconds of that frame.
            truth_id: whom they match.
            truth: (K, 2) px, NaN where a keypoint is not visible.
            person: as tracked.
        """
        points = np.stack([truth, person.keypoints, person.raw_keypoints]).astype(np.float64)
        self._sightings.setdefault(truth_id, []).append((frame, time_s, points))

    def paths(self) -> MotionPaths:
        """Return the paths of everybody so far."""
        laid: list[Array] = [np.empty((3, 0, 2))]
        lags: list[tuple[float, float]] = []
        for sightings in self._sightings.values():
            time_s, points = _path(sightings)
            ends = np.concatenate([points, np.broadcast_to(SEPARATOR[:, None], (3, 2, *points.shape[2:]))], 1)
            laid.append(ends.transpose(0, 2, 1, 3).reshape(3, -1, 2))
            lags += [_lags(time_s[piece], points[:, piece]) for piece in _pieces(len(time_s))]
        true, smoothed, raw = np.concatenate(laid, axis=1)[:, :, None]
        return MotionPaths(true, smoothed, raw, tuple(lag for lag, _ in lags), tuple(lag for _, lag in lags))


def motion_figures(paths: Sequence[MotionPaths]) -> MotionFigures:
    """Return the figures of one or several sequences; root mean squares are those of all frames together."""
    true, smoothed, raw = (
        np.concatenate([getattr(part, name) for part in paths]) for name in ("true", "smoothed", "raw")
    )
    return MotionFigures(
        error_px=rms_error(smoothed, true),
        jitter_px=float(rms_jitter(smoothed, true)),
        lag_ms=_median_ms([lag for part in paths for lag in part.lags_s]),
        raw_error_px=rms_error(raw, true),
        raw_jitter_px=float(rms_jitter(raw, true)),
        raw_lag_ms=_median_ms([lag for part in paths for lag in part.raw_lags_s]),
    )


def _path(sightings: Sequence[tuple[int, float, Array]]) -> tuple[Array, Array]:
    """Return (T,) seconds and (3, T, K, 2) true, smoothed and raw keypoints, NaN where unmatched."""
    frames = np.array([frame for frame, _, _ in sightings])
    every = np.arange(frames[0], frames[-1] + 1)
    time_s = np.interp(every, frames, [time_s for _, time_s, _ in sightings])
    points = np.full((3, len(every), *sightings[0][2].shape[1:]), np.nan)
    points[:, frames - frames[0]] = np.stack([values for _, _, values in sightings], axis=1)
    return time_s, points


def _pieces(length: int) -> list[slice]:
    starts = np.arange(0, length, LAG_FRAMES)
    chosen = np.unique(np.linspace(0, len(starts) - 1, min(len(starts), MAX_LAG_PIECES)).round().astype(int))
    return [slice(start, start + LAG_FRAMES) for start in starts[chosen].tolist()]


def _lags(time_s: Array, points: Array) -> tuple[float, float]:
    """Return the lag of the smoothed and of the raw keypoints of a piece, NaN where it cannot be told."""
    true, smoothed, raw = points
    if (np.diff(time_s) <= 0).any():
        return np.nan, np.nan
    raw_lag_s = lag_s(raw, true, time_s) if np.isfinite(raw).any() else np.nan
    return lag_s(smoothed, true, time_s), raw_lag_s


def _median_ms(lags_s: Sequence[float]) -> float:
    known = [lag for lag in lags_s if np.isfinite(lag)]
    return 1e3 * float(np.median(known)) if known else float("nan")
