"""Our CSV and its sidecar, read back: what every format that is written afterwards is made from."""

import csv
from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import ValidationError

from engine.errors import SourceError, UsageError
from engine.sinks.results_rows import NOBODY, Layout, RowBlock, concatenate, find_torn_line, read_blocks
from engine.sinks.sidecar import Sidecar
from engine.skeleton import Skeleton
from engine.structures import TrackedPerson

LONG_SUFFIX = ".long"
"""What stands before ``.csv`` where a long file lies beside the wide one."""
FORMAT, FORMAT_VERSION = "steadypose-track", 1


@dataclass(frozen=True, slots=True, eq=False)
class FramePeople:
    """A frame as it stands in a file: when, and who; without its picture.

    index: position in the source; time_s: seconds; wall_time: seconds since the epoch, live sources only.
    """

    index: int
    time_s: float
    wall_time: float | None
    people: tuple[TrackedPerson, ...]


@dataclass(frozen=True, slots=True, eq=False)
class ResultsFile:
    """A CSV, wide or long, with what its sidecar says; none of its rows is held.

    only: ids of the tracks that are given out, None for all. warnings: sentences for people, known from the
    beginning.
    """

    path: Path
    sidecar_path: Path
    sidecar: Sidecar
    layout: Layout
    only: frozenset[int] | None = None
    warnings: tuple[str, ...] = ()

    @classmethod
    def open(cls, path: Path) -> "ResultsFile":
        """Open a CSV that `steadypose track` or `live` wrote, ``clip.csv`` with ``clip.json`` beside it.

        Raises:
            SourceError: it is missing, was not written by this program, was changed since, or is of a version
                that cannot be read.
        """
        if path.suffix == ".json" and path.is_file():
            raise SourceError(f"{path} is no CSV; give the CSV that lies beside it")
        header = _read_header(path)
        sidecar_path = find_sidecar(path)
        sidecar = _read_sidecar(sidecar_path)
        layout = _find_layout(header, sidecar.skeleton, path)
        return cls(path, sidecar_path, sidecar, layout, None, tuple(_warnings(path, sidecar, layout)))

    def select(self, track_ids: Collection[int]) -> "ResultsFile":
        """Return the same file of which only some tracks are given out.

        Raises:
            UsageError: one of them is not in the file.
            SourceError: a row is damaged or was edited.
        """
        known = self.track_ids()
        for track_id in track_ids:
            if track_id not in known:
                has = f"it has {', '.join(map(str, known))}" if known else "there is nobody in it"
                raise UsageError(f"{self.path} has no track {track_id}; {has}")
        return replace(self, only=frozenset(track_ids))

    @property
    def name(self) -> str:
        """What files of other formats are called, without a suffix: ``clip`` of ``clip.long.csv`` too."""
        return self.path.stem.removesuffix(LONG_SUFFIX) if self.layout.long else self.path.stem

    @property
    def skeleton(self) -> Skeleton:
        """Of the people."""
        return self.sidecar.skeleton

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) of the frames, px."""
        return self.sidecar.source.height, self.sidecar.source.width

    @property
    def fps(self) -> float | None:
        """Mean frames per second as the source states them, None where it does not."""
        return self.sidecar.source.fps

    @property
    def live(self) -> bool:
        """Whether the source was a camera or a stream."""
        return self.layout.wall_time

    def span(self, first: int, last: int) -> range:
        """Return the positions in the source that were tracked, frames without rows included.

        Args:
            first: frame of the first row.
            last: frame of the last row.
        """
        if self.live:
            return range(first, last + 1)
        return range(max(last + 1, self.sidecar.frames_read + self.sidecar.frames_dropped))

    def blocks(self) -> Iterator[RowBlock]:
        """Read the rows, some thousand at a time, from the beginning at each call.

        Raises:
            SourceError: a row is damaged or was edited.
        """
        for block in read_blocks(self.path, self.skeleton, self.layout):
            if self.only is None:
                yield block
                continue
            rows = np.isin(block.track_ids, [*self.only, NOBODY])
            if rows.any():
                yield block.take(rows)

    def load(self) -> RowBlock:
        """Read all rows at once, some 0.3 kB for each with 17 keypoints.

        Raises:
            SourceError: a row is damaged or was edited.
        """
        blocks = list(self.blocks())
        return concatenate(blocks) if blocks else _no_rows(self.skeleton.count, self.layout)

    def frames(self) -> Iterator[FramePeople]:
        """Read frame by frame those that have rows, from the beginning at each call.

        Of `TrackedPerson`, `velocity` is NaN, as no file has it, and `age_s` counts from the track's first
        row; `bbox` and `score` are NaN where the file is long.

        Raises:
            SourceError: a row is damaged or was edited.
        """
        began_s: dict[int, float] = {}
        for block in self.blocks():
            borders = np.flatnonzero(np.diff(block.frames)) + 1
            people = _people(block, began_s)
            for first, end in zip([0, *borders], [*borders, len(block)]):
                wall_time = np.nan if block.wall_times is None else block.wall_times[first]
                yield FramePeople(
                    int(block.frames[first]),
                    float(block.times_s[first]),
                    None if np.isnan(wall_time) else float(wall_time),
                    tuple(person for person in people[first:end] if person.track_id != NOBODY),
                )

    def track_ids(self) -> list[int]:
        """Return the ids of the people in the file, ascending; reads the whole file.

        Raises:
            SourceError: a row is damaged or was edited.
        """
        found: set[int] = set()
        for block in self.blocks():
            found.update(block.track_ids.tolist())
        return sorted(found - {NOBODY})


def find_sidecar(path: Path) -> Path:
    """Return the sidecar of a CSV: its own name with ``.json``, of ``clip.long.csv`` else ``clip.json``.

    Raises:
        SourceError: there is none.
    """
    stems = [path.stem] + ([path.stem.removesuffix(LONG_SUFFIX)] if path.stem.endswith(LONG_SUFFIX) else [])
    for stem in stems:
        sidecar = path.with_name(f"{stem}.json")
        if sidecar.is_file():
            return sidecar
    raise SourceError(
        f"{path} has no sidecar {stems[-1]}.json beside it, which tells its skeleton and source; "
        "keep both files together, and give the CSV that was tracked, none that was made of it"
    )


def _read_header(path: Path) -> list[str]:
    try:
        with path.open(newline="", encoding="utf-8-sig") as stream:
            header = next(csv.reader(stream), None)
    except (UnicodeDecodeError, csv.Error) as error:
        raise SourceError(
            f"{path} is no CSV of this program: {error}; give a CSV that it wrote, such as clip.csv"
        ) from error
    except FileNotFoundError as error:
        raise SourceError(f"{path} does not exist") from error
    except OSError as error:
        raise SourceError(f"{path} cannot be read: {error.strerror or error}") from error
    if header is None:
        raise SourceError(f"{path} is empty: not even its header was written")
    return header


def _read_sidecar(path: Path) -> Sidecar:
    try:
        text = path.read_text(encoding="utf-8")
        return Sidecar.model_validate_json(text)
    except UnicodeDecodeError as error:
        raise SourceError(f"{path} is no sidecar of this program: {error}") from error
    except OSError as error:
        raise SourceError(f"{path} cannot be read: {error.strerror or error}") from error
    except ValidationError as error:
        raise SourceError(_say_invalid(path, error)) from error


def _say_invalid(path: Path, error: ValidationError) -> str:
    """Say in a sentence what is wrong with a sidecar."""
    problems: dict[str, Any] = {".".join(map(str, item["loc"])): item for item in error.errors()}
    if "format" in problems or any(item["type"] == "model_type" for item in problems.values()):
        return f"{path} is no sidecar of this program: its `format` is not {FORMAT!r}"
    if any(item["type"] == "json_invalid" for item in problems.values()):
        return f"{path} is damaged: it is no JSON; restore it, or track the source again"
    if "format_version" in problems:
        version = problems["format_version"]["input"]
        return (
            f"{path} has the format version {version}; this program reads {FORMAT_VERSION}: "
            "use the version that wrote it, or track the source again"
        )
    name, problem = next(iter(problems.items()))
    if problem["type"] == "extra_forbidden":
        return f"{path}: this version does not know the field `{name}`; a newer one may have written it"
    return f"{path}: `{name}` is wrong ({problem['msg']}); the file was changed, or another version wrote it"


def _find_layout(header: list[str], skeleton: Skeleton, path: Path) -> Layout:
    """Return the layout whose columns a header names."""
    layout = Layout(
        long="keypoint" in header,
        raw="raw_x" in header or any(f"{name}_raw_x" in header for name in skeleton.keypoints[:1]),
        wall_time="wall_time" in header,
    )
    expected = layout.columns(skeleton)
    if header == expected:
        return layout
    if len(header) == 1 and any(mark in header[0] for mark in ";\t"):
        raise SourceError(
            f"{path} was saved again by another program, with other separators than commas; use the file as "
            "it was written"
        )
    place = next((place for place, names in enumerate(zip(header, expected)) if names[0] != names[1]), None)
    if place is None:
        place = min(len(header), len(expected))
    found, wanted = (repr(names[place]) if place < len(names) else "nothing" for names in (header, expected))
    raise SourceError(
        f"{path}: column {place + 1} is {found}, but with the skeleton {skeleton.name!r} of its sidecar it "
        f"must be {wanted}; the file is not from this program, or was changed"
    )


def _warnings(path: Path, sidecar: Sidecar, layout: Layout) -> Iterator[str]:
    if sidecar.status == "recording":
        yield f"{path} is still being written, or writing it was ended by force; the rows up to now are used"
    elif sidecar.status != "complete":
        yield f"{path} is not the whole source: tracking it was {sidecar.status}"
    if find_torn_line(path):
        yield f"{path} ends in the middle of a line, which is left out"
    if layout.long:
        yield f"{path} is long, without boxes and scores of people: where needed the keypoints give them"


def _no_rows(count: int, layout: Layout) -> RowBlock:
    def empty(*shape: int) -> Any:
        return np.empty((0, *shape), np.float32)

    return RowBlock(
        np.empty(0, np.int64),
        np.empty(0),
        np.empty(0) if layout.wall_time else None,
        np.empty(0, np.int64),
        empty(),
        empty(4),
        empty(count, 2),
        empty(count),
        np.empty((0, count), np.int8),
        empty(count, 2) if layout.raw else None,
    )


def _people(block: RowBlock, began_s: dict[int, float]) -> list[TrackedPerson]:
    """Return one person for each row; began_s: first time of each track, which is added to."""
    unknown = np.full((block.keypoints.shape[1], 2), np.nan, np.float32)
    unknown.flags.writeable = False
    people = []
    rows = zip(block.track_ids.tolist(), block.times_s.tolist(), block.scores.tolist())
    for row, (track_id, time_s, score) in enumerate(rows):
        people.append(
            TrackedPerson(
                track_id=track_id,
                keypoints=block.keypoints[row],
                raw_keypoints=unknown if block.raw_keypoints is None else block.raw_keypoints[row],
                velocity=unknown,
                scores=block.keypoint_scores[row],
                state=block.states[row],
                bbox=block.boxes[row],
                score=score,
                age_s=time_s - began_s.setdefault(track_id, time_s),
            )
        )
    return people
