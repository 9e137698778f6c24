"""Read people's own keypoints: a folder of pictures and one CSV with a row for each person.

Header: ``image``, ``person`` (may be left out where every picture has one), ``NAME_x,NAME_y`` and, as one
likes, ``NAME_v`` for each keypoint of the skeleton in any order, and ``bbox_x1,bbox_y1,bbox_x2,bbox_y2``.
Coordinates are image px, the centre of the top-left pixel is (0, 0); an empty cell is no label.
"""

import csv
import math
from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

import numpy as np

from engine.errors import UsageError
from engine.geometry import pose_bbox
from engine.skeleton import Skeleton
from train.data.labels import ImageLabel, PersonLabel, mean_area

BBOX_COLUMNS = ("bbox_x1", "bbox_y1", "bbox_x2", "bbox_y2")
MAX_REPORTED = 5
Row = dict[str, str]


@dataclass(frozen=True, slots=True)
class Columns:
    """What a header offers beside image, x and y."""

    person: bool
    visibility: frozenset[str]
    bbox: bool


def load_folder(
    annotations: Path, images: Path, skeleton: Skeleton, *, image_ids: Iterable[int | str] | None = None
) -> list[ImageLabel]:
    """Read a CSV of labelled pictures.

    Args:
        annotations: the CSV file, comma-separated, UTF-8.
        images: folder that the column ``image`` is relative to.
        skeleton: its keypoints must be those of the header.
        image_ids: keep only these images, by file name or place from 1; None keeps all.

    Returns:
        Images in the order in which they first occur, numbered from 1; `annotation_id` is the line in the
        file. A row without any coordinates makes a picture without people. A person's box, where none is
        given, is the extent of the keypoints with a margin of a tenth; the area is 0.53 of it.

    Raises:
        UsageError: the file is missing, a column is missing or unknown, or cells are wrong; lines are named.
    """
    columns, rows = _read_rows(annotations, skeleton)
    problems: list[str] = []
    by_image: dict[str, list[PersonLabel]] = {}
    seen: set[tuple[str, str]] = set()
    for line, row in rows:
        name = row["image"].strip()
        if not name:
            problems.append(f"line {line}: the column image is empty")
            continue
        who = (name, row["person"].strip() if columns.person else "")
        if who in seen:
            reason = f"person {who[1]!r} of {name} again" if columns.person else f"{name} again"
            problems.append(f"line {line}: {reason}; several people of a picture differ in the column person")
        seen.add(who)
        person = _read_person(row, line, columns, skeleton, problems)
        people = by_image.setdefault(name, [])
        if person is not None:
            people.append(person)
    if problems:
        more = f"; and {len(problems) - MAX_REPORTED} more" if len(problems) > MAX_REPORTED else ""
        raise UsageError(f"{annotations}: " + "; ".join(problems[:MAX_REPORTED]) + more)
    wanted = None if image_ids is None else set(image_ids)
    return [
        ImageLabel(
            image_id=number,
            path=images / name,
            source="folder",
            people=tuple(people),
            ignore_bboxes=np.zeros((0, 4), np.float32),
        )
        for number, (name, people) in enumerate(by_image.items(), start=1)
        if wanted is None or number in wanted or name in wanted
    ]


def _read_rows(path: Path, skeleton: Skeleton) -> tuple[Columns, list[tuple[int, Row]]]:
    if not path.is_file():
        raise UsageError(f"annotation file {path} does not exist; give the CSV of the folder")
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            reader = csv.reader(stream, strict=True)
            header = [cell.strip() for cell in next(reader, [])]
            columns = check_header(header, skeleton, path)
            rows = []
            for cells in reader:
                if not any(cell.strip() for cell in cells):
                    continue
                if len(cells) != len(header):
                    raise UsageError(
                        f"{path}, line {reader.line_num}: {len(cells)} cells, the header has {len(header)}"
                    )
                rows.append((reader.line_num, dict(zip(header, cells))))
    except (csv.Error, UnicodeDecodeError) as error:
        raise UsageError(f"{path} is no comma-separated UTF-8 text: {error}") from error
    return columns, rows


def check_header(header: list[str], skeleton: Skeleton, path: Path) -> Columns:
    """Compare a header with what the skeleton needs.

    Raises:
        UsageError: columns are missing, unknown or there twice; the nearest known ones are suggested.
    """
    if {"frame", "track_id"} <= set(header):
        raise UsageError(
            f"{path} is what `steadypose track` writes: its rows are frames of a video, without picture "
            "files; save the frames as pictures and put their names into a column image"
        )
    if len(header) == 1 and (";" in header[0] or "\t" in header[0]):
        raise UsageError(f"{path} is separated by semicolons or tabs; save it separated by commas")
    needed = ["image", *(f"{name}_{axis}" for name in skeleton.keypoints for axis in "xy")]
    optional = ["person", *(f"{name}_v" for name in skeleton.keypoints), *BBOX_COLUMNS]
    if any(name in header for name in BBOX_COLUMNS):
        needed += BBOX_COLUMNS
    missing = [name for name in needed if name not in header]
    unknown = [name for name in header if name not in needed and name not in optional]
    twice = sorted({name for name in header if header.count(name) > 1})
    problems = []
    if missing:
        problems.append(f"columns are missing for skeleton {skeleton.name!r}: {', '.join(missing)}")
    for name in unknown:
        near = get_close_matches(name, missing or optional, n=1, cutoff=0.6)
        problems.append(f"column {name!r} is unknown" + (f", did you mean {near[0]}?" if near else ""))
    if twice:
        problems.append(f"columns are there twice: {', '.join(twice)}")
    if problems:
        raise UsageError(f"{path}: " + "; ".join(problems))
    return Columns(
        person="person" in header,
        visibility=frozenset(name for name in skeleton.keypoints if f"{name}_v" in header),
        bbox="bbox_x1" in header,
    )


def _read_person(
    row: Row, line: int, columns: Columns, skeleton: Skeleton, problems: list[str]
) -> PersonLabel | None:
    keypoints = np.zeros((skeleton.count, 2), np.float32)
    visibility = np.zeros(skeleton.count, np.int64)
    for index, name in enumerate(skeleton.keypoints):
        x, y = (_read_number(row, f"{name}_{axis}", line, problems) for axis in "xy")
        given = row[f"{name}_v"].strip() if name in columns.visibility else ""
        if given not in ("", "0", "1", "2"):
            problems.append(f"line {line}, {name}_v: expected 0, 1, 2 or nothing, got {given!r}")
        elif (x is None) != (y is None):
            problems.append(f"line {line}: {name} has only one of x and y")
        elif x is None or y is None:
            if given in ("1", "2"):
                problems.append(f"line {line}: {name}_v is {given} but x and y are empty")
        else:
            keypoints[index] = x, y
            visibility[index] = int(given or 2)
    corners = [_read_number(row, name, line, problems) for name in BBOX_COLUMNS] if columns.bbox else []
    numbers = [value for value in corners if value is not None]
    if numbers and len(numbers) < 4:
        problems.append(f"line {line}: the box has only {len(numbers)} of its 4 numbers")
    elif numbers and not (numbers[2] > numbers[0] and numbers[3] > numbers[1]):
        problems.append(f"line {line}: bbox_x2 and bbox_y2 must be greater than bbox_x1 and bbox_y1")
    if not visibility.any():
        return None
    bbox = numbers if len(numbers) == 4 else pose_bbox(keypoints, visibility > 0)
    box = np.array(bbox, np.float32)
    return PersonLabel(
        annotation_id=line,
        keypoints=keypoints,
        visibility=visibility,
        weights=(visibility > 0).astype(np.float32),
        bbox=box,
        area=mean_area(box),
    )


def _read_number(row: Row, column: str, line: int, problems: list[str]) -> float | None:
    text = row[column].strip()
    if not text:
        return None
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        problems.append(f"line {line}, {column}: expected a number or nothing, got {text!r}")
        return 0.0
    return value
