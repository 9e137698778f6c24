"""Joint angles as OpenSim's motion file (.mot) and storage file (.sto), a file for each person.

A header that ends in a line ``endheader``, a line of column names, then a row for each frame: seconds, and
degrees for each angle of `engine.tracking.angles`.

The two differ in what they keep. A motion file is complete and on even steps, as OpenSim's tools need it: its
`Storage` ends without a word at the first value that is not a number. A storage file has the rows of our CSV,
with their times, and ``nan`` for an angle that is not known; OpenSim's `TimeSeriesTable` reads it.
"""

import logging
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from engine.errors import UsageError
from engine.sinks.atomic import whole_file
from engine.sinks.results_file import ResultsFile
from engine.sinks.track_series import read_series
from engine.skeleton import Skeleton
from engine.tracking.angles import interior_angles, joint_triples

LOGGER = logging.getLogger(__name__)

Array = NDArray[np.float64]

MOT_SUFFIX, STO_SUFFIX = ".mot", ".sto"
_NOTE = (
    "Angles of the picture between keypoints in degrees, as SteadyPose's docs/angles.md defines them; "
    "they are not coordinates of an OpenSim model."
)


def write_mot(results: ResultsFile, stem: Path) -> list[Path]:
    """Write ``clip.track3.mot`` for each person, complete and on even steps of time.

    A file begins and ends with its person; times are those of the recording. An angle that is not known for a
    while is interpolated linearly, or keeps its nearest value at an end, and a warning says how much that is;
    one that is never known has no column.

    Args:
        results: what to write.
        stem: folder and name without a suffix.

    Returns:
        the files, none for somebody of whom no angle is known.

    Raises:
        SinkError: a file cannot be written.
        SourceError: a row of the CSV is damaged.
        UsageError: the frames have no rate, or the skeleton has no angle.
    """
    _check_angles(results.skeleton, "mot")
    paths = []
    for series in read_series(results, "mot"):
        path = stem.with_name(f"{stem.name}.track{series.track_id}{MOT_SUFFIX}")
        angles = _complete(path, track_angles(series.keypoints, results.skeleton))
        if angles:
            _write_person(path, series.times_s, angles)
            paths.append(path)
    return paths


def write_sto(results: ResultsFile, stem: Path) -> list[Path]:
    """Write ``clip.track3.sto`` for each person, which keeps a varying frame rate: a row for each of ours.

    Args:
        results: what to write.
        stem: folder and name without a suffix.

    Returns:
        the files, none where there is nobody.

    Raises:
        SinkError: a file cannot be written.
        SourceError: a row of the CSV is damaged.
        UsageError: the skeleton has no angle, or times do not ascend.
    """
    _check_angles(results.skeleton, "sto")
    paths = []
    for track_id, rows in results.load().by_track():
        path = stem.with_name(f"{stem.name}.track{track_id}{STO_SUFFIX}")
        if (np.diff(rows.times_s) <= 0).any():
            raise UsageError(
                f"{results.path} has frames whose times do not ascend, which sto files cannot hold; use csv"
            )
        _write_person(path, rows.times_s, track_angles(rows.keypoints, results.skeleton))
        paths.append(path)
    return paths


def track_angles(keypoints: NDArray[np.floating], skeleton: Skeleton) -> dict[str, Array]:
    """Return (T,) degrees of every angle, by name, of (T, K, 2) keypoints of one person, px."""
    triples = joint_triples(skeleton)
    degrees = interior_angles(keypoints, list(triples.values()))
    return {name: degrees[:, column] for column, name in enumerate(triples)}


def _complete(path: Path, angles: Mapping[str, Array]) -> dict[str, Array]:
    """Fill the gaps of (T,) degrees, and leave out what is not known at all."""
    complete, filled = {}, 0
    for name, degrees in angles.items():
        known = np.flatnonzero(np.isfinite(degrees))
        if known.size:
            complete[name] = np.interp(np.arange(len(degrees)), known, degrees[known])
            filled += len(degrees) - known.size
    if not complete:
        LOGGER.warning("%s is not written: no angle of that person is known", path)
    elif filled:
        LOGGER.warning(
            "%s: %d of %d angles are not known and were interpolated, as OpenSim's tools need every value; "
            "csv and sto keep the gaps",
            path, filled, sum(map(len, complete.values())),
        )  # fmt: skip
    return complete


def _check_angles(skeleton: Skeleton, format_name: str) -> None:
    if not joint_triples(skeleton):
        raise UsageError(
            f"{format_name} files hold joint angles, of which the skeleton {skeleton.name!r} has none: it "
            "needs the three keypoints of one, such as left_hip, left_knee and left_ankle"
        )


def _write_person(path: Path, times_s: Array, angles: Mapping[str, Array]) -> None:
    with whole_file(path) as part, part.open("w", encoding="utf-8", newline="\n") as stream:
        stream.writelines(_header(path, len(times_s), len(angles) + 1))
        stream.write("\t".join(["time", *angles]) + "\n")
        for time_s, *degrees in zip(times_s.tolist(), *(column.tolist() for column in angles.values())):
            stream.write("\t".join([f"{time_s:z.6f}", *(f"{angle:z.4f}" for angle in degrees)]) + "\n")


def _header(path: Path, rows: int, columns: int) -> Iterator[str]:
    # OpenSim takes a line with "=" in it for a key and its value, and the first line for the motion's name.
    yield path.stem.replace("=", "_") + "\n"
    yield f"version=1\nnRows={rows}\nnColumns={columns}\ninDegrees=yes\n"
    if path.suffix == STO_SUFFIX:
        yield "DataType=double\n"
    yield f"\n{_NOTE}\n\nendheader\n"
