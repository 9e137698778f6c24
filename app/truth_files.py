"""The one reader of truth: who really was where, from whatever form it was written down in.

A CSV of a rendered clip (``NAME_x``, ``NAME_y``, ``NAME_visibility``), a CSV that this program wrote, COCO
keypoints with track ids, or PoseTrack18. Frames are numbered by position in the source.
"""

import csv
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from app.truth import MIN_VISIBLE, TruePerson
from app.truth_labels import read_labels
from app.truth_sequence import TruthSequence, find_skeleton, sequence_name
from engine.errors import SourceError
from engine.sinks.people import known_boxes
from engine.sinks.results_file import ResultsFile
from engine.sinks.results_rows import NOBODY
from engine.skeleton import Skeleton
from engine.structures import SEEN_STATES, Float, KeypointState

VISIBILITY = "_visibility"
"""End of the column that a rendered truth has for each keypoint."""
FRAME_COLUMNS = ("frame", "track_id", "bbox_x1", "bbox_y1", "bbox_x2", "bbox_y2")


def open_truth(path: Path) -> list[TruthSequence]:
    """Read the truth of one source or of several.

    Args:
        path: a CSV, a JSON file, or a folder of them.

    Raises:
        SourceError: it is missing, damaged, or of none of the known forms.
    """
    if path.is_dir():
        return _open_folder(path)
    if not path.is_file():
        raise SourceError(f"the truth {path} does not exist")
    if path.suffix.lower() not in (".csv", ".json"):
        raise SourceError(
            f"the truth must be a CSV, a COCO or PoseTrack JSON, or a folder of them, got {path}"
        )
    sequences = read_labels(path) if path.suffix.lower() == ".json" else [_open_table(path)]
    for sequence in sequences:
        _check_ids(sequence)
    return sequences


def read_truth(path: Path, skeleton: Skeleton) -> dict[int, list[TruePerson]]:
    """Read the truth of a rendered clip: frame index to the people in it.

    Raises:
        SourceError: the file is missing, lacks a keypoint of `skeleton`, or has a damaged line.
    """
    if not path.is_file():
        raise SourceError(f"the truth of the demo clip, {path}, is missing; install the package again")
    frames: dict[int, list[TruePerson]] = {}
    with path.open(newline="", encoding="utf-8-sig") as stream:
        lines = csv.DictReader(stream)
        known = set(lines.fieldnames or ())
        wanted = [f"{name}{end}" for name in skeleton.keypoints for end in ("_x", "_y", VISIBILITY)]
        for column in (*FRAME_COLUMNS, *wanted):
            if column not in known:
                raise SourceError(
                    f"{path} has no column {column!r}; it does not fit skeleton {skeleton.name!r}"
                )
        for row in lines:
            try:
                frames.setdefault(int(row["frame"]), []).append(_true_person(row, skeleton))
            except (TypeError, ValueError) as error:
                raise SourceError(f"{path}: line {lines.line_num} is damaged: {error}") from error
    return frames


def _open_folder(folder: Path) -> list[TruthSequence]:
    tables = sorted(folder.glob("*.csv"))
    sidecars = {table.with_suffix(".json") for table in tables}
    labels = [path for path in sorted(folder.glob("*.json")) if path not in sidecars]
    if not tables and not labels:
        raise SourceError(f"the folder {folder} holds no truth: neither CSV nor JSON")
    found: dict[str, TruthSequence] = {}
    for sequence in (sequence for path in (*tables, *labels) for sequence in open_truth(path)):
        other = found.setdefault(sequence.name, sequence)
        if other is not sequence:
            raise SourceError(
                f"{other.path} and {sequence.path} both hold the truth of {sequence.name!r}; give one of them"
            )
    return list(found.values())


def _read_header(path: Path) -> list[str]:
    try:
        with path.open(newline="", encoding="utf-8-sig") as stream:
            return next(csv.reader(stream), [])
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise SourceError(f"the truth {path} cannot be read: {error}") from error


def _check_ids(sequence: TruthSequence) -> None:
    """Refuse a truth in which somebody is in two places at once."""
    for frame, people in sequence.people.items():
        ids = [person.track_id for person in people]
        if len(set(ids)) < len(ids):
            twice = next(identity for identity in ids if ids.count(identity) > 1)
            raise SourceError(
                f"{sequence.path} has track {twice} of {sequence.name!r} more than once in frame {frame}; "
                "each person needs an id of their own"
            )


def _open_table(path: Path) -> TruthSequence:
    names = [name.removesuffix(VISIBILITY) for name in _read_header(path) if name.endswith(VISIBILITY)]
    return _open_rendered(path, names) if names else _open_results(path)


def _open_rendered(path: Path, names: Sequence[str]) -> TruthSequence:
    name = sequence_name(path.stem)
    skeleton = find_skeleton(names, name)
    people = read_truth(path, skeleton)
    extent = range(max(people, default=-1) + 1)
    return TruthSequence(name, path, skeleton, people, extent, extent, min_visible=MIN_VISIBLE)


def _open_results(path: Path) -> TruthSequence:
    """Take a recording for the truth; every keypoint that it has a place for counts."""
    results = ResultsFile.open(path)
    people: dict[int, list[TruePerson]] = {}
    rows = results.load()
    boxes = known_boxes(rows).astype(np.float32)
    seen = np.isin(rows.states, SEEN_STATES)
    visibility = np.where(seen, 2, np.where(rows.states == KeypointState.MISSING, 0, 1))
    for row, (frame, track_id) in enumerate(zip(rows.frames.tolist(), rows.track_ids.tolist(), strict=True)):
        if track_id != NOBODY:
            person = TruePerson(track_id, rows.keypoints[row], visibility[row], boxes[row])
            people.setdefault(frame, []).append(person)
    first, last = (int(rows.frames[0]), int(rows.frames[-1])) if len(rows) else (0, -1)
    extent = results.span(first, last)
    return TruthSequence(sequence_name(results.name), path, results.skeleton, people, extent, extent)


def _true_person(row: dict[str, str], skeleton: Skeleton) -> TruePerson:
    points = [[float(row[f"{name}_x"]), float(row[f"{name}_y"])] for name in skeleton.keypoints]
    return TruePerson(
        track_id=int(row["track_id"]),
        keypoints=np.asarray(points, np.float32),
        visibility=np.asarray([int(row[f"{name}{VISIBILITY}"]) for name in skeleton.keypoints]),
        bbox=_floats(row[f"bbox_{side}"] for side in ("x1", "y1", "x2", "y2")),
    )


def _floats(texts: Iterable[str]) -> Float:
    return np.asarray([float(text) if text else np.nan for text in texts], np.float32)
