"""The second pass over a recording: keypoints smoothed with what came after, gaps filled, ghosts dropped.

Each track is filtered once more with the live filters, forwards and backwards in time. What both call
exchanged is. A Rauch–Tung–Striebel smoother (`engine.tracking.rts`) with the same model and noises lays a
path through what neither calls an outlier; what the path passes near is taken back, and the smoother goes
over it once more. It has no lag, since past and future count alike. Nothing begins afresh but after a gap
too long to fill: what leaps and comes back is nearly always another limb, or another person's. What comes and
goes without a leap, as a punch does, is believed.

A frames on a track's axis: those it was recorded in, and those of gaps short enough to be filled.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from engine.settings import SmoothingSettings
from engine.skeleton import Skeleton
from engine.structures import KeypointState
from engine.tracking.kalman import (
    INITIAL_SPEED,
    MAX_SURPRISE,
    Array,
    KeypointFilters,
    Mask,
    measurement_variance,
    process_density,
)
from engine.tracking.observed import MIN_SIZE, pose_boxes
from engine.tracking.recorded import RecordedTrack, Recording, SmoothedTrack
from engine.tracking.rts import filter_forwards, smooth_backwards
from engine.tracking.swaps import partners

WINDOW_FRAMES, OVERLAP_FRAMES = 10_000, 300
"""A longer track is smoothed in windows, so that hours need no more memory than minutes. What a window sees
beyond its ends outlasts any memory of the filters by far."""
SIZE_S = 0.5
"""A person's size is averaged over so long."""

NEAR = 3.0
"""What was doubted is taken back where the path passes within so many standard deviations."""

Advance = Callable[[float], None]
"""Is told the share that is done, 0 to 1."""


@dataclass(frozen=True, slots=True, eq=False)
class _Axis:
    """A track on its axis: rows (A,) of the recorded track or -1, frames (A,), time_s (A,), sizes (A,) px."""

    rows: NDArray[np.int32]
    frames: NDArray[np.int32]
    time_s: Array
    sizes: Array
    measured: Array
    scores: Array
    seen: Mask


@dataclass(frozen=True, slots=True, eq=False)
class _Judged:
    """What the live filters say of (A, K) measurements in one direction of time."""

    outlier: Mask
    swapped: Mask
    surprise: Array


@dataclass(frozen=True, slots=True, eq=False)
class _Paths:
    """What the smoother needs of (A, K) keypoints, left and right mended: see `filter_forwards`."""

    time_s: Array
    measured: Array
    variance: Array
    density: Array
    start_variance: Array


def smooth_offline(
    recording: Recording,
    settings: SmoothingSettings,
    skeleton: Skeleton,
    *,
    advance: Advance | None = None,
) -> tuple[SmoothedTrack, ...]:
    """Smooth all tracks of a recording with knowledge of the whole of it.

    States afterwards: MEASURED and SWAPPED as live; OUTLIER and FILLED lie on the path between two
    measurements at most `fill_gap_s` apart; everything else is MISSING, so nothing is predicted. Rows in
    which nothing is left are dropped, frames in a gap that was filled get rows of their own.

    Args:
        recording: of a live pass with any method of smoothing.
        settings: the noises, as live; `fill_gap_s` and `min_track_s`. The method has no say.
        skeleton: of the people.
        advance: is called after each track, and after each window of a long one.

    Returns:
        the tracks that are left, by id.
    """
    smoothed = []
    lengths_s, progress = recording.frame_lengths_s(), _Progress(recording.tracks, advance)
    for track in recording.tracks:
        if not _is_ghost(track, recording.times_s, lengths_s, settings):
            whole = _smooth_track(track, recording, settings, skeleton, progress)
            if len(whole):
                smoothed.append(whole)
        progress.finish(track)
    return tuple(smoothed)


class _Progress:
    """How far a recording is smoothed, by the rows of its tracks."""

    def __init__(self, tracks: Sequence[RecordedTrack], advance: Advance | None) -> None:
        self._rows, self._done, self._advance = sum(map(len, tracks)), 0, advance

    def within(self, track: RecordedTrack, share: float) -> None:
        """Tell that so much of a track is done, besides those that are finished."""
        if self._advance:
            self._advance((self._done + share * len(track)) / self._rows)

    def finish(self, track: RecordedTrack) -> None:
        """Tell that a track is done."""
        self.within(track, 1.0)
        self._done += len(track)


def _is_ghost(track: RecordedTrack, times_s: Array, lengths_s: Array, settings: SmoothingSettings) -> bool:
    """Whether a track was seen for too short a time, and neither begins nor ends with the recording.

    Only rows in which the person was detected count, each for the length of its frame.

    Args:
        track: that is judged.
        times_s: (F,) of all frames of the recording, seconds.
        lengths_s: (F,) of `Recording.frame_lengths_s`.
        settings: `min_track_s`.
    """
    known: Mask = np.asarray(np.isfinite(track.raw_keypoints).all(axis=-1))
    seen = track.frames[known.any(axis=1)]
    if len(seen) == 0:
        return True
    seen_s = float(lengths_s[seen].sum())
    cut = track.born_s <= times_s[0] + 1e-6 or seen[-1] == len(times_s) - 1
    return seen_s < settings.min_track_s - 1e-9 and not cut


def _smooth_track(
    track: RecordedTrack,
    recording: Recording,
    settings: SmoothingSettings,
    skeleton: Skeleton,
    progress: _Progress,
) -> SmoothedTrack:
    axis = _lay_out(track, recording, settings)
    frames, count = axis.seen.shape
    keypoints, velocity = np.empty((2, frames, count, 2), np.float32)
    states = np.empty((frames, count), np.int8)
    for begin in range(0, frames, WINDOW_FRAMES):
        low = max(begin - OVERLAP_FRAMES, 0)
        inner = slice(begin, min(begin + WINDOW_FRAMES, frames))
        window = slice(low, min(begin + WINDOW_FRAMES + OVERLAP_FRAMES, frames))
        part = slice(inner.start - low, inner.stop - low)
        values = _smooth_window(axis, window, settings, skeleton)
        keypoints[inner], velocity[inner], states[inner] = (value[part] for value in values)
        progress.within(track, inner.stop / frames)
    shown = states != KeypointState.MISSING
    kept = np.flatnonzero(shown.any(axis=1))
    boxes = pose_boxes(keypoints[kept].astype(np.float64), shown[kept]).astype(np.float32)
    return SmoothedTrack(
        track, axis.rows[kept], axis.frames[kept], keypoints[kept], velocity[kept], states[kept], boxes
    )


def _lay_out(track: RecordedTrack, recording: Recording, settings: SmoothingSettings) -> _Axis:
    """Put a track on the frames it was recorded in and those of gaps that may be filled."""
    known: Mask = np.asarray(np.isfinite(track.raw_keypoints).all(axis=-1))
    seen_at, times = np.flatnonzero(known.any(axis=1)), recording.times_s
    inside: Mask = np.zeros(len(times), bool)
    inside[track.frames] = True
    for before, after in pairwise(track.frames[seen_at].tolist()):
        if after - before > 1 and times[after] - times[before] <= settings.fill_gap_s + 1e-9:
            inside[before:after] = True
    frames = np.flatnonzero(inside).astype(np.int32)
    rows = np.full(len(frames), -1, np.int32)
    rows[np.searchsorted(frames, track.frames)] = np.arange(len(track), dtype=np.int32)
    there = rows >= 0
    measured = np.where(there[:, None, None], track.raw_keypoints[rows], np.nan)
    scores = np.where(there[:, None], track.keypoint_scores[rows], 0.0)
    seen = np.isfinite(measured).all(axis=-1) & (scores >= settings.min_keypoint_score) & (scores > 0)
    time_s = times[frames]
    return _Axis(rows, frames, time_s, _sizes(track, rows, time_s), measured, scores, seen)


def _sizes(track: RecordedTrack, rows: NDArray[np.int32], time_s: Array) -> Array:
    """Return (A,) person sizes, averaged over `SIZE_S` around each frame."""
    boxes = track.boxes.astype(np.float64)
    sizes = np.sqrt(np.maximum(boxes[:, 2:] - boxes[:, :2], 0.0).prod(axis=1))
    there = (rows >= 0) & np.isfinite(sizes[rows])
    if not there.any():
        return np.full(len(rows), MIN_SIZE)
    sizes = np.interp(time_s, time_s[there], sizes[rows[there]])
    total = np.concatenate([[0.0], np.cumsum(sizes)])
    low = np.searchsorted(time_s, time_s - SIZE_S / 2, side="left")
    high = np.searchsorted(time_s, time_s + SIZE_S / 2, side="right")
    return np.asarray(np.maximum((total[high] - total[low]) / (high - low), MIN_SIZE), np.float64)


def _smooth_window(
    axis: _Axis, window: slice, settings: SmoothingSettings, skeleton: Skeleton
) -> tuple[Array, Array, NDArray[np.int8]]:
    """Return keypoints, velocities (A, K, 2) and states (A, K) of some frames."""
    time_s, sizes, seen = axis.time_s[window], axis.sizes[window], axis.seen[window]
    measured, scores = axis.measured[window], axis.scores[window]
    forwards = _judge(time_s, measured, scores, seen, sizes, settings, skeleton)
    backwards = _judge(
        -time_s[::-1], measured[::-1], scores[::-1], seen[::-1], sizes[::-1], settings, skeleton
    )
    swapped = forwards.swapped & backwards.swapped[::-1]
    # A step is as agile as the filter that enters it is surprised, from either side.
    surprise = backwards.surprise[::-1].copy()
    surprise[1:] = np.maximum(surprise[1:], forwards.surprise[:-1])
    partner = partners(skeleton.count, skeleton.flip_pairs)
    own = np.where(swapped[..., None], measured[:, partner], measured)
    variance = measurement_variance(settings, sizes, np.where(swapped, scores[:, partner], scores))
    doubted = (forwards.outlier | backwards.outlier[::-1]) & ~swapped
    real = _smooth_runs(time_s, own, variance, seen, doubted)
    doubted &= ~real
    around = np.pad(real, ((2, 2), (0, 0)))
    around = np.any([around[shift : shift + len(real)] for shift in range(5)], axis=0)
    surprise = np.where(around, MAX_SURPRISE, surprise)
    paths = _Paths(
        time_s, own, variance, process_density(settings, sizes, surprise), (INITIAL_SPEED * sizes) ** 2
    )
    trusted = seen & ~doubted
    position, _, spread = _smooth_paths(paths, trusted, settings)
    since, until = _gaps(time_s, trusted)
    distance = ((paths.measured - position) ** 2).sum(axis=-1)
    # Where no trusted measurement is near on both sides, there is no path to be far from.
    fits = (distance <= NEAR**2 * (paths.variance + spread)) | (since + until > settings.fill_gap_s + 1e-9)
    used = trusted | (seen & doubted & fits)
    position, velocity, _ = _smooth_paths(paths, used, settings)
    exchanged = swapped[..., None]
    position = np.where(exchanged, position[:, partner], position)
    velocity = np.where(exchanged, velocity[:, partner], velocity)
    since, until = _gaps(time_s, used)
    between = since + until <= settings.fill_gap_s + 1e-9
    unseen = np.where(seen, KeypointState.OUTLIER, KeypointState.FILLED)
    states = np.where(between, unseen, KeypointState.MISSING)
    states = np.where(used, np.where(swapped, KeypointState.SWAPPED, KeypointState.MEASURED), states)
    missing = (states == KeypointState.MISSING)[..., None]
    return np.where(missing, np.nan, position), np.where(missing, np.nan, velocity), states.astype(np.int8)


def _smooth_runs(time_s: Array, measured: Array, variance: Array, seen: Mask, doubted: Mask) -> Mask:
    """Return which doubted measurements belong to a motion that is only fast.

    A leap has a kink where it begins and where it ends: a measurement far from the line between the one
    before and the one after. A run of doubted measurements without any is a motion, such as a punch.
    """
    real = np.zeros_like(doubted)
    if len(time_s) < 3 or not doubted.any():
        return real
    share = ((time_s[1:-1] - time_s[:-2]) / (time_s[2:] - time_s[:-2]))[:, None, None]
    away = measured[1:-1] - (1 - share) * measured[:-2] - share * measured[2:]
    share = share[..., 0]
    noise = variance[1:-1] + (1 - share) ** 2 * variance[:-2] + share**2 * variance[2:]
    straight = np.zeros_like(doubted)
    straight[1:-1] = ((away**2).sum(axis=-1) <= NEAR**2 * noise) & seen[1:-1] & seen[:-2] & seen[2:]
    for keypoint in np.flatnonzero(doubted.any(axis=0)):
        edges = np.flatnonzero(np.diff(doubted[:, keypoint], prepend=False, append=False))
        for begin, end in zip(edges[::2], edges[1::2]):
            real[begin:end, keypoint] = straight[max(begin - 1, 0) : end + 1, keypoint].all()
    return real


def _smooth_paths(paths: _Paths, used: Mask, settings: SmoothingSettings) -> tuple[Array, Array, Array]:
    """Return positions, velocities (A, K, 2), and the variance (A, K) of each place before it is measured."""
    since, _ = _gaps(paths.time_s, used)
    before = np.concatenate([np.full((1, used.shape[1]), np.inf), since[:-1]])
    gap = before + np.diff(paths.time_s, prepend=paths.time_s[0])[:, None]
    filtered = filter_forwards(
        paths.time_s, paths.measured, paths.variance, paths.density, used,
        used & (gap > settings.fill_gap_s + 1e-9),
        start_variance=paths.start_variance,
    )  # fmt: skip
    return *smooth_backwards(paths.time_s, filtered), filtered.expected_covariance[:, 0]


def _judge(
    time_s: Array,
    measured: Array,
    scores: Array,
    seen: Mask,
    sizes: Array,
    settings: SmoothingSettings,
    skeleton: Skeleton,
) -> _Judged:
    """Run the live filters over a track; `time_s` ascends."""
    frames, count = seen.shape
    filters = KeypointFilters(count, settings, skeleton.flip_pairs)
    filters.add(1)
    states, surprise = np.empty((frames, count), np.int8), np.empty((frames, count))
    steps = np.diff(time_s, prepend=time_s[0] - 1.0)
    for index in range(frames):
        states[index] = filters.step(
            float(steps[index]),
            measured[None, index],
            scores[None, index],
            seen[None, index],
            sizes[index, None],
        )[0][0]
        surprise[index] = filters.surprise[0]
    # A rejected measurement of a keypoint that has gone missing meanwhile is one all the same.
    used = (states == KeypointState.MEASURED) | (states == KeypointState.SWAPPED)
    return _Judged(seen & ~used, states == KeypointState.SWAPPED, surprise)


def _gaps(time_s: Array, used: Mask) -> tuple[Array, Array]:
    """Return (A, K) seconds since the last used measurement and until the next, infinite for none."""
    at = np.where(used, time_s[:, None], -np.inf)
    since = time_s[:, None] - np.maximum.accumulate(at, axis=0)
    at = np.where(used, time_s[:, None], np.inf)
    until = np.minimum.accumulate(at[::-1], axis=0)[::-1] - time_s[:, None]
    return since, until
