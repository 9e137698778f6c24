"""One person's keypoints on even steps of time: what formats with a fixed frame rate are made from.

A constant rate is kept as it is, frame by frame. A varying one (phones, cameras, streams) is brought to even
steps of its mean rate, or of the stated one where that is near, and a warning says so.
"""

import logging
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engine.errors import UsageError
from engine.sinks.results_file import ResultsFile
from engine.sinks.results_rows import RowBlock

LOGGER = logging.getLogger(__name__)

Array = NDArray[np.float64]

UNEVEN_STEPS, UNEVEN_S = 0.25, 0.002
"""Frames of a constant rate lie this near to even steps, whichever is less; containers round to 1 ms."""
BRIDGED_STEPS = 2.5
"""Neighbours further apart than this many steps are not interpolated between: there is a gap."""
NEAR_RATE = 0.01
"""Part by which the mean rate may differ from the stated one, which is then taken: a clip of a constant rate
that lacks some frames keeps the others where they were."""
SAME_PLACE = 1e-3
"""Part of the way from one frame to the next that is no way at all."""
LONE_RATE_HZ = 30.0
"""Of a recording with a single frame whose source states no rate."""


@dataclass(frozen=True, slots=True)
class Pace:
    """Even steps of time: step n is at `start_s` + n / `rate_hz`.

    even: the frames themselves have that pace, frame n at step n.
    """

    rate_hz: float
    start_s: float
    even: bool


@dataclass(frozen=True, slots=True, eq=False)
class TrackSeries:
    """One person from their first frame to their last, without a step left out.

    first_step: number of the first step of `pace`; of an even pace the position in the source. keypoints:
    (T, K, 2) float64 frame px, NaN where missing.
    """

    track_id: int
    pace: Pace
    first_step: int
    keypoints: Array

    def __len__(self) -> int:
        return len(self.keypoints)

    @property
    def steps(self) -> NDArray[np.int64]:
        """(T,) numbers of the steps."""
        return np.arange(self.first_step, self.first_step + len(self))

    @property
    def times_s(self) -> Array:
        """(T,) seconds on the clock of the recording."""
        return self.pace.start_s + self.steps / self.pace.rate_hz


def read_series(results: ResultsFile, format_name: str) -> Iterator[TrackSeries]:
    """Read the people of a file on even steps, by ascending id.

    Args:
        results: what to read.
        format_name: that needs even steps, for the messages.

    Raises:
        SourceError: a row is damaged or was edited.
        UsageError: the frames are independent pictures, or of times that do not ascend.
    """
    if results.sidecar.source.stills:
        raise UsageError(
            f"{format_name} needs a frame rate, which independent pictures do not have; use a format such as "
            "csv, coco or sleap"
        )
    block = results.load()
    if not len(block):
        return
    pace = find_pace(block.frames, block.times_s, results.fps)
    if pace is None:
        raise UsageError(
            f"{results.path} has frames whose times do not ascend, and {format_name} needs a frame rate; "
            "use a format such as csv, coco or sleap"
        )
    if not pace.even:
        LOGGER.warning(
            "%s has a varying frame rate, and %s needs a fixed one: keypoints are interpolated linearly to "
            "%.3f Hz; csv keeps the frames as they were",
            results.path, format_name, pace.rate_hz,
        )  # fmt: skip
    for track_id, rows in block.by_track():
        yield _place(rows, track_id, pace) if pace.even else _interpolate(rows, track_id, pace)


def find_pace(frames: NDArray[np.int64], times_s: Array, stated_hz: float | None) -> Pace | None:
    """Return the even steps that frames have, or those of a rate near their mean where they have none.

    Args:
        frames: (R,) positions in the source, ascending, at least one; repeated where several people are.
        times_s: (R,) seconds.
        stated_hz: what the source states, which is taken where it explains the times.

    Returns:
        None where the times do not ascend.
    """
    frames, first = np.unique(frames, return_index=True)
    times_s = times_s[first]
    if len(frames) == 1:
        rate_hz = stated_hz or LONE_RATE_HZ
        return Pace(rate_hz, float(times_s[0] - frames[0] / rate_hz), True)
    if (np.diff(times_s) <= 0).any():
        return None
    slope_s = float(np.polyfit(frames - frames.mean(), times_s, 1)[0])
    for rate_hz in filter(None, (stated_hz, 1 / slope_s)):
        starts_s = times_s - frames / rate_hz
        start_s = float(starts_s.min() + starts_s.max()) / 2
        if np.abs(starts_s - start_s).max() <= min(UNEVEN_STEPS / rate_hz, UNEVEN_S):
            return Pace(rate_hz, start_s, True)
    rate_hz = _mean_rate(np.diff(frames), np.diff(times_s))
    if stated_hz is not None and abs(rate_hz / stated_hz - 1) < NEAR_RATE:
        rate_hz = stated_hz
    return Pace(rate_hz, float(times_s[0] - frames[0] / rate_hz), False)


def _mean_rate(frames: NDArray[np.int64], times_s: Array) -> float:
    """Return frames per second over steps of so many frames and seconds; pauses are left out."""
    steps_s = times_s / frames
    usual = steps_s <= BRIDGED_STEPS * np.median(steps_s)
    return float(frames[usual].sum() / times_s[usual].sum())


def _place(rows: RowBlock, track_id: int, pace: Pace) -> TrackSeries:
    """Put the rows of one person where their frames are."""
    first = int(rows.frames[0])
    keypoints = np.full((int(rows.frames[-1]) - first + 1, *rows.keypoints.shape[1:]), np.nan)
    keypoints[rows.frames - first] = rows.keypoints
    return TrackSeries(track_id, pace, first, keypoints)


def _interpolate(rows: RowBlock, track_id: int, pace: Pace) -> TrackSeries:
    """Return one person on steps that lie between the frames.

    A keypoint that is missing in one of the two neighbours of a step is missing there.
    """
    ends = (rows.times_s[[0, -1]] - pace.start_s) * pace.rate_hz
    first, last = np.rint(ends).astype(int)
    # The ends may lie up to half a step outside of the frames; they take the nearest one.
    places_s = np.clip(
        pace.start_s + np.arange(first, last + 1) / pace.rate_hz, rows.times_s[0], rows.times_s[-1]
    )
    after = np.searchsorted(rows.times_s, places_s)
    before = np.maximum(after - 1, 0)
    way_s = rows.times_s[after] - rows.times_s[before]
    part = np.where(way_s > 0, (places_s - rows.times_s[before]) / np.where(way_s > 0, way_s, 1), 1.0)
    points = rows.keypoints.astype(np.float64)
    keypoints = points[before] + part[:, None, None] * (points[after] - points[before])
    keypoints[way_s * pace.rate_hz > BRIDGED_STEPS] = np.nan
    keypoints[part < SAME_PLACE] = points[before[part < SAME_PLACE]]
    keypoints[part > 1 - SAME_PLACE] = points[after[part > 1 - SAME_PLACE]]
    return TrackSeries(track_id, pace, int(first), keypoints)
