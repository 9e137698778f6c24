"""The tables of a report as CSV: one row per person, and one per person and frame."""

import csv
import math
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from app.report.content import Report
from engine.metrics.people import PersonSummary
from engine.sinks.atomic import whole_file
from engine.tracking.segment_angles import angle_names

PEOPLE_SUFFIX, ANGLES_SUFFIX = ".people.csv", ".angles.csv"
REPORT_SUFFIXES = (
    PEOPLE_SUFFIX, ANGLES_SUFFIX, ".timeline.png", ".trajectories.png", ".speed.png", ".track*.angles.png",
    ".report.html",
)  # fmt: skip
"""What follows the name of a recording in the files of a report with plots; ``*`` is a track's number."""
FACING_NAMES = {1.0: "right", -1.0: "left"}


def write_people(path: Path, report: Report) -> None:
    """Write one row for each person, by ascending id; what is not known is empty.

    Raises:
        SinkError: the file cannot be written.
    """
    unit, names = report.unit, _angle_names(report)
    header = [
        "track_id", "name", "frames", "visible_s", "first_s", "last_s", "first_frame", "last_frame",
        f"distance_{unit}", f"mean_speed_{unit}_per_s", f"peak_speed_{unit}_per_s", "height_px",
        "share_measured", "share_filled", "share_predicted", "share_missing",
    ]  # fmt: skip
    header += [f"{name}_{part}_deg" for name in names for part in ("min", "max", "range")]
    _write(path, header, (_person_row(report, person, names) for person in report.summaries))


def _person_row(report: Report, person: PersonSummary, names: Sequence[str]) -> list[str]:
    digits = 3 if report.scale else 1
    row = [str(person.track_id), report.results.sidecar.names.get(person.track_id, ""), str(person.frames)]
    row += [_number(value, 3) for value in (person.visible_s, person.first_s, person.last_s)]
    row += [str(person.first_frame), str(person.last_frame)]
    lengths = (person.distance_px, person.mean_speed, person.peak_speed)
    row += [_number(value * report.metre, digits) for value in lengths]
    row.append(_number(person.height_px, 1))
    shares = (person.measured, person.filled, person.predicted, person.missing)
    row += [_number(value, 4) for value in shares]
    return row + [_number(value, 1) for name in names for value in person.ranges[name]]


def write_angles(path: Path, report: Report) -> None:
    """Write one row for each row of the recording, in its order of frames; what is not known is empty.

    Raises:
        SinkError: the file cannot be written.
    """
    names = _angle_names(report)
    header = ["frame", "time_s", "track_id", "facing", *(f"{name}_deg" for name in names)]
    _write(path, header, _angle_rows(report, names))


def _angle_rows(report: Report, names: Sequence[str]) -> Iterable[list[str]]:
    """Yield the rows of everybody, by frame and then by person."""
    if not report.people:
        return
    frames = np.concatenate([person.frames for person in report.people])
    owners = np.repeat(np.arange(len(report.people)), [len(person.frames) for person in report.people])
    places = np.concatenate([np.arange(len(person.frames)) for person in report.people])
    order = np.lexsort((owners, frames))
    for owner, place in zip(owners[order].tolist(), places[order].tolist()):
        person = report.people[owner]
        start = [str(person.frames[place]), f"{person.times_s[place]:z.6f}", str(person.track_id)]
        facing = FACING_NAMES.get(float(person.facing[place]), "")
        yield [*start, facing, *(_number(person.angles[name][place], 2) for name in names)]


def _angle_names(report: Report) -> list[str]:
    return angle_names(report.results.skeleton)


def _write(path: Path, header: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    with whole_file(path) as part, part.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(header)
        writer.writerows(rows)


def _number(value: float, digits: int) -> str:
    return "" if math.isnan(value) else f"{value:z.{digits}f}"
