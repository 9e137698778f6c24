"""The last minute of every person's keypoints, kept for plotting; knows no window toolkit.

Values are those that the file gets: smoothed keypoints in frame pixels, raw ones beside them, velocities in
pixels per second, and joint angles computed from the same keypoints.
"""

import threading
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Self

import numpy as np
from numpy.typing import NDArray

from engine.skeleton import Skeleton
from engine.structures import Result
from engine.tracking.angles import interior_angles, joint_triples

Kind = Literal["x", "y", "speed", "angle"]
KINDS: tuple[Kind, ...] = ("x", "y", "speed", "angle")
UNITS: Mapping[Kind, str] = {"x": "px", "y": "px", "speed": "px/s", "angle": "°"}

SPAN_S = 60.0
"""Seconds that are kept."""
MAX_ROWS = 60_000
"""People times frames that are kept at most: 25 MB with 17 keypoints."""
CHUNK_ROWS = 512
GAP_S = 0.5
"""A line is broken where a person was gone for longer than this, and than a few frames."""
GAP_FRAMES = 4

Array = NDArray[np.float64]
_CHANNELS = {"x": 0, "y": 1, "raw_x": 2, "raw_y": 3, "speed_x": 4, "speed_y": 5}


@dataclass(frozen=True, slots=True)
class Quantity:
    """What one plot shows: `name` is a keypoint's, or an angle's of `engine.tracking.angles`."""

    kind: Kind
    name: str

    @property
    def unit(self) -> str:
        """Its unit."""
        return UNITS[self.kind]

    @property
    def has_raw(self) -> bool:
        """Whether there is a raw form beside the smoothed one."""
        return self.kind != "speed"

    def column(self, *, raw: bool = False) -> str:
        """Return the name of its column in a CSV file; positions are called as in recordings."""
        unit = {"x": "", "y": "", "speed": "_px_per_s", "angle": "_deg"}[self.kind]
        return f"{self.name}_{'raw_' if raw else ''}{self.kind}{unit}"

    def __str__(self) -> str:
        return f"{self.kind}:{self.name}"

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return what `str` wrote.

        Raises:
            ValueError: it is something else.
        """
        for kind in KINDS:
            if text.startswith(f"{kind}:") and len(text) > len(kind) + 1:
                return cls(kind, text[len(kind) + 1 :])
        raise ValueError(f"a plotted quantity is written like speed:left_wrist, got {text!r}")


@dataclass(frozen=True, slots=True, eq=False)
class Table:
    """Rows of people through time, one per person and frame, in order of time.

    frames (n,) int64; times (n,) seconds of the source; track_ids (n,) int64; columns: quantity and whether
    raw to (n,) values in the quantity's unit, NaN where missing.
    """

    frames: NDArray[np.int64]
    times: Array
    track_ids: NDArray[np.int64]
    columns: Mapping[tuple[Quantity, bool], Array]

    def rows_of(self, track_id: int) -> NDArray[np.intp]:
        """Return the positions of one person's rows."""
        return np.flatnonzero(self.track_ids == track_id)

    def people(self) -> list[int]:
        """Return the numbers of everybody in it, sorted."""
        return sorted(set(self.track_ids.tolist()))


class SeriesStore:
    """Keeps `SPAN_S` seconds up to the newest result; all methods may be called from any thread.

    A result earlier than the newest one, as after a seek, takes everything from its time on away.

    Args:
        span_s: seconds that are kept.
        max_rows: people times frames that are kept at most; the oldest go first.
    """

    def __init__(self, span_s: float = SPAN_S, max_rows: int = MAX_ROWS) -> None:
        self._span_s, self._max_rows = span_s, max_rows
        self._lock = threading.Lock()
        self._skeleton: Skeleton | None = None
        self._triples: dict[str, tuple[int, int, int]] = {}
        self._chunks: deque[_Chunk] = deque()
        self._newest_s: float | None = None
        self.version = 0

    @property
    def skeleton(self) -> Skeleton | None:
        """Of the keypoints that are kept."""
        return self._skeleton

    @property
    def newest_s(self) -> float | None:
        """Time of the newest result, with people or without; None where there is none."""
        return self._newest_s

    def set_skeleton(self, skeleton: Skeleton) -> None:
        """Take results of this skeleton from now on; those of another are forgotten."""
        with self._lock:
            if self._skeleton != skeleton:
                self._clear()
            self._skeleton, self._triples = skeleton, joint_triples(skeleton)

    def reset(self) -> None:
        """Forget all results."""
        with self._lock:
            self._clear()

    def add_result(self, result: Result) -> None:
        """Keep a result's people; one whose keypoints are not the skeleton's is passed over."""
        with self._lock:
            now, skeleton = result.frame.time_s, self._skeleton
            if skeleton is None or any(len(person.keypoints) != skeleton.count for person in result.people):
                return
            if self._newest_s is not None and now <= self._newest_s:
                self._forget_from(now)
            for person in result.people:
                if not self._chunks or self._chunks[-1].used == CHUNK_ROWS:
                    self._chunks.append(_Chunk(skeleton.count))
                chunk = self._chunks[-1]
                row = chunk.used
                chunk.frames[row], chunk.times[row] = result.frame.index, now
                chunk.track_ids[row] = person.track_id
                chunk.values[0:2, :, row] = person.keypoints.T
                chunk.values[2:4, :, row] = person.raw_keypoints.T
                chunk.values[4:6, :, row] = person.velocity.T
                chunk.used += 1
            while self._chunks and (
                len(self._chunks) * CHUNK_ROWS > self._max_rows
                or self._chunks[0].times[self._chunks[0].used - 1] < now - self._span_s
            ):
                self._chunks.popleft()
            self._newest_s = now
            self.version += 1

    def copy(self) -> "SeriesStore":
        """Return a store with the same content that goes its own way."""
        other = SeriesStore(self._span_s, self._max_rows)
        with self._lock:
            other._skeleton, other._triples = self._skeleton, self._triples
            other._newest_s, other.version = self._newest_s, self.version
            other._chunks = deque(chunk.copy() for chunk in self._chunks)
        return other

    def read(
        self,
        quantities: Sequence[Quantity],
        *,
        raw: bool = False,
        since_s: float = -np.inf,
        until_s: float = np.inf,
    ) -> Table:
        """Return what is kept of some quantities.

        Args:
            quantities: those that the skeleton lacks are left out.
            raw: the raw form too, where there is one.
            since_s: from this time of the source on.
            until_s: up to this time.
        """
        with self._lock:
            spans = [(chunk, *chunk.span(since_s, until_s)) for chunk in self._chunks]
            spans = [span for span in spans if span[1] < span[2]]
            columns: dict[tuple[Quantity, bool], Array] = {}
            for quantity in quantities:
                for is_raw in (False, True) if raw and quantity.has_raw else (False,):
                    values = self._column(spans, quantity, "raw_" if is_raw else "")
                    if values is not None:
                        columns[quantity, is_raw] = values
            return Table(
                _join([chunk.frames[first:last] for chunk, first, last in spans], np.int64),
                _join([chunk.times[first:last] for chunk, first, last in spans], np.float64),
                _join([chunk.track_ids[first:last] for chunk, first, last in spans], np.int64),
                columns,
            )

    def _column(
        self, spans: Sequence[tuple["_Chunk", int, int]], quantity: Quantity, prefix: str
    ) -> Array | None:
        def pick(channel: str, keypoint: int) -> Array:
            index = _CHANNELS[channel]
            return _join([c.values[index, keypoint, first:last] for c, first, last in spans], np.float64)

        if quantity.kind == "angle":
            triple = self._triples.get(quantity.name)
            if triple is None:
                return None
            corners = [
                np.stack([pick(f"{prefix}x", keypoint), pick(f"{prefix}y", keypoint)], axis=-1)
                for keypoint in triple
            ]
            return interior_angles(np.stack(corners, axis=-2), [(0, 1, 2)])[:, 0]
        if self._skeleton is None or quantity.name not in self._skeleton.keypoints:
            return None
        keypoint = self._skeleton.keypoints.index(quantity.name)
        if quantity.kind == "speed":
            speed = np.hypot(pick("speed_x", keypoint), pick("speed_y", keypoint))
            return np.where(np.isfinite(pick("x", keypoint)), speed, np.nan)
        return pick(f"{prefix}{quantity.kind}", keypoint)

    def _forget_from(self, time_s: float) -> None:
        while self._chunks and self._chunks[-1].times[0] >= time_s:
            self._chunks.pop()
        if self._chunks:
            last = self._chunks[-1]
            last.used = int(np.searchsorted(last.times[: last.used], time_s))

    def _clear(self) -> None:
        self._chunks.clear()
        self._newest_s = None
        self.version += 1


class _Chunk:
    """Room for `CHUNK_ROWS` rows; values (6, K, rows): x, y, raw x, raw y, velocity x, y."""

    def __init__(self, keypoints: int) -> None:
        self.used = 0
        self.frames = np.empty(CHUNK_ROWS, np.int64)
        self.times = np.empty(CHUNK_ROWS)
        self.track_ids = np.empty(CHUNK_ROWS, np.int64)
        self.values = np.empty((len(_CHANNELS), keypoints, CHUNK_ROWS), np.float32)

    def span(self, since_s: float, until_s: float) -> tuple[int, int]:
        """Return the first row of a stretch of time and the one after its last."""
        times = self.times[: self.used]
        return int(np.searchsorted(times, since_s)), int(np.searchsorted(times, until_s, side="right"))

    def copy(self) -> "_Chunk":
        """Return a copy that shares nothing."""
        other = _Chunk(self.values.shape[1])
        other.used = self.used
        for name in ("frames", "times", "track_ids", "values"):
            getattr(other, name)[...] = getattr(self, name)
        return other


def break_gaps(times: Array, values: Array) -> tuple[Array, Array]:
    """Put a NaN where a person was gone, so that no line is drawn across.

    Args:
        times: (n,) seconds, rising.
        values: (n,).

    Returns:
        Times and values with one more entry for each gap.
    """
    if len(times) < 2:
        return times, values
    steps = np.diff(times)
    if steps.max() <= GAP_S:
        return times, values
    gaps = np.flatnonzero(steps > max(GAP_S, GAP_FRAMES * float(np.median(steps)))) + 1
    if not gaps.size:
        return times, values
    return np.insert(times, gaps, times[gaps - 1]), np.insert(values, gaps, np.nan)


def thin_out(times: Array, values: Array, limit: int) -> tuple[Array, Array]:
    """Keep the lowest and the highest of each few values, so that a line looks the same with fewer points.

    Args:
        times: (n,) seconds, rising.
        values: (n,), NaN where missing.
        limit: about how many points may stay.

    Returns:
        Times and values, unchanged where there are no more than `limit`.
    """
    if len(times) <= limit:
        return times, values
    size = -(-2 * len(times) // limit)
    buckets = -(-len(times) // size)
    padded = np.full(buckets * size, np.nan)
    padded[: len(values)] = values
    table = padded.reshape(buckets, size)
    lowest = np.where(np.isnan(table), np.inf, table).argmin(axis=1)
    highest = np.where(np.isnan(table), -np.inf, table).argmax(axis=1)
    ends = np.sort(np.stack([lowest, highest], axis=1), axis=1) + size * np.arange(buckets)[:, None]
    kept = np.unique(np.minimum(ends, len(times) - 1))
    return times[kept], values[kept]


def _join(parts: Sequence[NDArray], dtype: type) -> NDArray:
    return np.concatenate(parts).astype(dtype, copy=False) if parts else np.empty(0, dtype)
