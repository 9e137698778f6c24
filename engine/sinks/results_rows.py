"""The rows of our CSV as arrays, block by block, so that hours of recording need no more memory than seconds.

A block ends where a frame ends. Every field is checked: a file that was edited is refused with its line.
Legend: R rows, one person in one frame each; K keypoints.
"""

import csv
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.errors import SourceError
from engine.sinks.csv_file import STATE_NAMES, column_names
from engine.skeleton import Skeleton
from engine.structures import Float, KeypointState

NOBODY = -1
"""Track id of the row of a frame without people (`--keep-empty`)."""
BLOCK_ROWS = 4096
"""Lines of the file that are taken at a time."""
MOST_DIGITS = 18
"""Of a whole number that surely fits into 64 bits."""
_STATES = {name: state for state, name in STATE_NAMES.items()}
_MEND = "export the results again, or restore the file as it was written"

Row = list[str]


@dataclass(frozen=True, slots=True)
class Layout:
    """Which columns a file has; see `engine.sinks.csv_file.column_names`."""

    long: bool = False
    raw: bool = False
    wall_time: bool = False

    def columns(self, skeleton: Skeleton) -> list[str]:
        """Return the names in the header row."""
        return column_names(skeleton, raw=self.raw, long=self.long, wall_time=self.wall_time)


@dataclass(frozen=True, slots=True, eq=False)
class RowBlock:
    """Some rows, in the order of the file: frames ascend, and no frame is in two blocks.

    frames: (R,) int64 positions in the source. times_s: (R,) float64 seconds. wall_times: (R,) float64
    seconds since the epoch, None where the file has none. track_ids: (R,) int64, `NOBODY` for a frame without
    people. scores: (R,) float32 of the people, and boxes: (R, 4) float32 xyxy px, both NaN where the file is
    long and has neither. keypoints: (R, K, 2) float32 px, NaN where missing; keypoint_scores: (R, K) float32
    in [0, 1]; states: (R, K) int8 of `KeypointState`. raw_keypoints: (R, K, 2) float32 px, None where the
    file has none.
    """

    frames: NDArray[np.int64]
    times_s: NDArray[np.float64]
    wall_times: NDArray[np.float64] | None
    track_ids: NDArray[np.int64]
    scores: Float
    boxes: Float
    keypoints: Float
    keypoint_scores: Float
    states: NDArray[np.int8]
    raw_keypoints: Float | None

    def __len__(self) -> int:
        return len(self.frames)

    def take(self, rows: NDArray[np.bool_] | NDArray[np.int64] | slice) -> "RowBlock":
        """Return some of the rows."""
        columns = ((name, getattr(self, name)) for name in RowBlock.__slots__)
        chosen: dict[str, Any] = {name: None if v is None else v[rows] for name, v in columns}
        return RowBlock(**chosen)

    def people(self) -> "RowBlock":
        """Return the rows of people, without those of frames of nobody."""
        return self.take(self.track_ids != NOBODY)

    def by_track(self) -> Iterator[tuple[int, "RowBlock"]]:
        """Return each track's id and its rows, by ascending id."""
        people = self.people()
        for track_id in np.unique(people.track_ids).tolist():
            yield track_id, people.take(people.track_ids == track_id)


def concatenate(blocks: Sequence[RowBlock]) -> RowBlock:
    """Return blocks of one file, at least one, as a single one."""
    columns = ((name, [getattr(block, name) for block in blocks]) for name in RowBlock.__slots__)
    joined: dict[str, Any] = {name: None if v[0] is None else np.concatenate(v) for name, v in columns}
    return RowBlock(**joined)


def read_blocks(path: Path, skeleton: Skeleton, layout: Layout) -> Iterator[RowBlock]:
    """Read the rows of a CSV whose header is that of `layout`.

    Raises:
        SourceError: the file cannot be read, or a row is not as this program writes it; its line is named.
    """
    reader = _Reader(path, skeleton, layout)
    try:
        with path.open(newline="", encoding="utf-8-sig") as stream:
            lines = csv.reader(stream)
            next(lines, None)
            yield from reader.read(lines)
    except (UnicodeDecodeError, csv.Error) as error:
        raise SourceError(f"{path} is no CSV of this program: {error}") from error
    except OSError as error:
        raise SourceError(f"{path} cannot be read: {error.strerror or error}") from error


def find_torn_line(path: Path) -> bool:
    """Return whether the file ends in the middle of a line, as after a power cut.

    Raises:
        SourceError: the file cannot be read.
    """
    try:
        with path.open("rb") as stream:
            size = stream.seek(0, 2)
            stream.seek(max(0, size - 1))
            return stream.read(1) not in (b"\n", b"")
    except OSError as error:
        raise SourceError(f"{path} cannot be read: {error.strerror or error}") from error


class _Reader:
    """Turns lines into blocks and remembers where it is."""

    def __init__(self, path: Path, skeleton: Skeleton, layout: Layout) -> None:
        self._path, self._skeleton, self._layout = path, skeleton, layout
        self._width = len(layout.columns(skeleton))
        self._torn = find_torn_line(path)
        self._last_frame = -1
        self._line = 2

    def read(self, lines: Iterator[Row]) -> Iterator[RowBlock]:
        waiting: list[Row] = []
        while chunk := list(islice(lines, BLOCK_ROWS)):
            waiting += chunk
            # The last frame of a chunk may go on in the next one.
            cut = len(waiting)
            while cut and waiting[cut - 1][:1] == waiting[-1][:1]:
                cut -= 1
            if cut:
                yield self._parse(waiting[:cut])
                waiting = waiting[cut:]
        if waiting and self._torn:
            waiting.pop()
            if self._layout.long:
                waiting = waiting[: len(waiting) - len(waiting) % self._skeleton.count]
        if waiting:
            yield self._parse(waiting)

    def _parse(self, rows: list[Row]) -> RowBlock:
        for place, row in enumerate(rows):
            if len(row) != self._width:
                raise self._error(place, f"has {len(row)} fields instead of {self._width}")
        columns = list(zip(*rows))
        if self._layout.long:
            block, places = self._parse_long(columns)
        else:
            block, places = self._parse_wide(columns), np.arange(len(rows))
        self._check_order(block, places)
        self._line += len(rows)
        return block

    def _parse_wide(self, columns: list[tuple[str, ...]]) -> RowBlock:
        first = 4 if self._layout.wall_time else 3
        frames, times_s, wall_times, track_ids = self._parse_start(columns)
        person = np.stack([self._numbers(columns, first + k) for k in range(5)], axis=1).astype(np.float32)
        step = 6 if self._layout.raw else 4
        places = range(first + 5, self._width, step)
        empty = track_ids == NOBODY
        return RowBlock(
            frames, times_s, wall_times, track_ids, person[:, 0], person[:, 1:],
            *self._parse_keypoints(columns, places, empty),
        )  # fmt: skip

    def _parse_keypoints(
        self, columns: list[tuple[str, ...]], places: Sequence[int], empty: NDArray[np.bool_]
    ) -> tuple[Float, Float, NDArray[np.int8], Float | None]:
        """Return (R, K, 2) keypoints, (R, K) scores and states, (R, K, 2) raw keypoints."""
        shape = (len(empty), len(places))
        keypoints, scores = np.empty((*shape, 2), np.float32), np.empty(shape, np.float32)
        states, raw = np.empty(shape, np.int8), np.empty((*shape, 2), np.float32)
        for k, place in enumerate(places):
            keypoints[:, k, 0] = self._numbers(columns, place)
            keypoints[:, k, 1] = self._numbers(columns, place + 1)
            scores[:, k] = self._numbers(columns, place + 2)
            states[:, k] = self._states(columns, place + 3, empty)
            if self._layout.raw:
                raw[:, k, 0] = self._numbers(columns, place + 4)
                raw[:, k, 1] = self._numbers(columns, place + 5)
        return keypoints, scores, states, raw if self._layout.raw else None

    def _parse_long(self, columns: list[tuple[str, ...]]) -> tuple[RowBlock, NDArray[np.int64]]:
        """Gather K lines into one row, and return also where each begins; a frame of nobody is one line."""
        frames, times_s, wall_times, track_ids = self._parse_start(columns)
        place = 4 if self._layout.wall_time else 3
        empty = track_ids == NOBODY
        starts = self._person_starts(columns[place], track_ids, frames)
        keypoints, scores, states, raw = self._parse_keypoints(columns, [place + 1], empty)
        # The line of a frame without people is repeated to the length of a person, to be gathered alike.
        steps = np.where(empty[starts], 0, 1)[:, None] * np.arange(self._skeleton.count)
        lines = starts[:, None] + steps
        block = RowBlock(
            frames[starts],
            times_s[starts],
            None if wall_times is None else wall_times[starts],
            track_ids[starts],
            np.full(len(starts), np.nan, np.float32),
            np.full((len(starts), 4), np.nan, np.float32),
            keypoints[:, 0][lines],
            scores[:, 0][lines],
            states[:, 0][lines],
            None if raw is None else raw[:, 0][lines],
        )
        return block, starts

    def _person_starts(
        self, names: tuple[str, ...], track_ids: NDArray[np.int64], frames: NDArray[np.int64]
    ) -> NDArray[np.int64]:
        """Return where each person begins; all keypoints must follow, in the skeleton's order."""
        count, place, starts = self._skeleton.count, 0, []
        while place < len(names):
            starts.append(place)
            if track_ids[place] == NOBODY:
                place += 1
                continue
            end = place + count
            same = (track_ids[place:end] == track_ids[place]) & (frames[place:end] == frames[place])
            if names[place:end] != self._skeleton.keypoints or not same.all():
                raise self._error(
                    place, f"must begin a person of {count} lines, one for each keypoint in order"
                )
            place = end
        return np.array(starts, np.int64)

    def _parse_start(
        self, columns: list[tuple[str, ...]]
    ) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.float64] | None, NDArray[np.int64]]:
        wall_times = None
        frames = self._whole_numbers(columns[0], "frame")
        times_s = self._numbers(columns, 1)
        if not np.isfinite(times_s).all():
            raise self._error(int(np.flatnonzero(~np.isfinite(times_s))[0]), "has no time_s")
        if self._layout.wall_time:
            wall_times = np.array([self._wall_time(place, text) for place, text in enumerate(columns[2])])
        ids = columns[3 if self._layout.wall_time else 2]
        numbers = self._whole_numbers([text or "0" for text in ids], "track_id")
        track_ids = np.where([text == "" for text in ids], NOBODY, numbers)
        return frames, times_s, wall_times, track_ids

    def _numbers(self, columns: list[tuple[str, ...]], column: int) -> NDArray[np.float64]:
        """Return a column of numbers, NaN where a field is empty."""
        texts = columns[column]
        try:
            numbers = np.array([float(text) if text else math.nan for text in texts])
        except ValueError:
            bad = next(place for place, text in enumerate(texts) if not _is_number(text))
        else:
            if not np.isinf(numbers).any():
                return numbers
            bad = int(np.flatnonzero(np.isinf(numbers))[0])
        name = self._layout.columns(self._skeleton)[column]
        raise self._error(bad, f"has {texts[bad]!r} as {name}, which is no number")

    def _whole_numbers(self, texts: Sequence[str], name: str) -> NDArray[np.int64]:
        bad = next((place for place, text in enumerate(texts) if not _is_count(text)), None)
        if bad is not None:
            raise self._error(bad, f"has {texts[bad]!r} as {name}, which is no whole number from 0")
        return np.array([int(text) for text in texts], np.int64)

    def _states(
        self, columns: list[tuple[str, ...]], column: int, empty: NDArray[np.bool_]
    ) -> NDArray[np.int8]:
        texts = columns[column]
        states = np.array([_STATES.get(text, -1) for text in texts], np.int8)
        states[empty] = KeypointState.MISSING
        if (states < 0).any():
            place = int(np.flatnonzero(states < 0)[0])
            known = ", ".join(_STATES)
            raise self._error(place, f"has the state {texts[place]!r}, which is none of {known}")
        return states

    def _wall_time(self, place: int, text: str) -> float:
        try:
            return datetime.fromisoformat(text).timestamp() if text else math.nan
        except ValueError:
            raise self._error(place, f"has {text!r} as wall_time, which is no time") from None

    def _check_order(self, block: RowBlock, places: NDArray[np.int64]) -> None:
        """Refuse frames out of order and tracks that are twice in one; places: (R,) lines of the rows."""
        steps = np.diff(block.frames, prepend=self._last_frame)
        if (steps < 0).any():
            row = int(np.flatnonzero(steps < 0)[0])
            before = block.frames[row - 1] if row else self._last_frame
            raise self._error(int(places[row]), f"has frame {block.frames[row]} after frame {before}")
        order = np.lexsort((block.track_ids, block.frames))
        frames, ids = block.frames[order], block.track_ids[order]
        twice = np.flatnonzero((np.diff(frames) == 0) & (np.diff(ids) == 0))
        if twice.size:
            row = int(order[twice[0] + 1])
            raise self._error(
                int(places[row]), f"has track {block.track_ids[row]} a second time in its frame"
            )
        self._last_frame = int(block.frames[-1])

    def _error(self, place: int, what: str) -> SourceError:
        return SourceError(
            f"{self._path}: line {self._line + place} {what}; the file was changed since: {_MEND}"
        )


def _is_count(text: str) -> bool:
    """Return whether a field is a whole number from 0 that fits into 64 bits."""
    return text.isdecimal() and len(text) <= MOST_DIGITS


def _is_number(text: str) -> bool:
    try:
        float(text or "nan")
    except ValueError:
        return False
    return True
