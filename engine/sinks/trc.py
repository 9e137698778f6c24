"""Keypoints as OpenSim's marker file (.trc), a file for each person, written from the CSV.

Tab-separated as OpenSim's own writer has it: a line for what the file is, two for its rates and units, two of
column names, an empty one, then a row for each frame, every field followed by a tab. Markers lie in the plane
z = 0, x to the right, y up, origin at the centre of the bottom-left pixel; a missing marker has empty fields.
"""

import math
from collections.abc import Sequence
from pathlib import Path

from engine.errors import UsageError
from engine.sinks.atomic import whole_file
from engine.sinks.image_plane import Array, ImagePlane
from engine.sinks.results_file import ResultsFile
from engine.sinks.track_series import TrackSeries, read_series
from engine.skeleton import Skeleton

SUFFIX = ".trc"
DECIMALS_PX, DECIMALS_M = 3, 6
"""Of coordinates: a thousandth of a pixel, a micrometre."""
_KEYS = (
    "DataRate",
    "CameraRate",
    "NumFrames",
    "NumMarkers",
    "Units",
    "OrigDataRate",
    "OrigDataStartFrame",
    "OrigNumFrames",
)


def write_trc(results: ResultsFile, stem: Path, *, px_per_metre: float | None = None) -> list[Path]:
    """Write ``clip.track3.trc`` for each person.

    A file begins and ends with its person; times are those of the recording, and `Frame#` is the position in
    the source plus 1, so that the files of several people stay together. Frames between without the person
    have empty markers.

    Args:
        results: what to write.
        stem: folder and name without a suffix.
        px_per_metre: how many pixels make a metre where the people are. Without it lengths are pixels, and
            `Units` says ``px``, which OpenSim's tools refuse to take for a length.

    Returns:
        the files, none where there is nobody.

    Raises:
        SinkError: a file cannot be written.
        SourceError: a row of the CSV is damaged.
        UsageError: the frames have no rate, the scale is none, or a keypoint has a name that is no field.
    """
    _check_names(results.skeleton)
    plane = ImagePlane(results.size[0], px_per_metre)
    paths = []
    for series in read_series(results, "trc"):
        path = stem.with_name(f"{stem.name}.track{series.track_id}{SUFFIX}")
        _write_person(path, series, results.skeleton.keypoints, plane)
        paths.append(path)
    return paths


def _check_names(skeleton: Skeleton) -> None:
    for name in skeleton.keypoints:
        if not name.strip() or any(mark in name for mark in "\t\r\n"):
            raise UsageError(
                f"the keypoint {name!r} of skeleton {skeleton.name!r} cannot be a column of a trc file, "
                "whose fields end with tabs and lines; rename it in the skeleton, or use csv"
            )


def _write_person(path: Path, series: TrackSeries, names: Sequence[str], plane: ImagePlane) -> None:
    decimals = DECIMALS_PX if plane.px_per_metre is None else DECIMALS_M
    places = plane.place(series.keypoints)
    rows = zip(series.steps.tolist(), series.times_s.tolist(), places)
    with whole_file(path) as part, part.open("w", encoding="utf-8", newline="\n") as stream:
        stream.writelines(_header(path.name, series, names, plane))
        stream.writelines(
            f"{step + 1}\t{time_s:z.6f}\t{_marker_fields(markers, decimals)}\n"
            for step, time_s, markers in rows
        )


def _header(file_name: str, series: TrackSeries, names: Sequence[str], plane: ImagePlane) -> list[str]:
    rate, count = f"{series.pace.rate_hz:.6f}".rstrip("0").rstrip("."), len(series)
    units = "px" if plane.px_per_metre is None else "m"
    values = (rate, rate, count, len(names), units, rate, series.first_step + 1, count)
    axes = [f"{axis}{number}" for number in range(1, len(names) + 1) for axis in "XYZ"]
    return [
        f"PathFileType\t4\t(X/Y/Z)\t{file_name}\n",
        "\t".join(_KEYS) + "\n",
        "\t".join(map(str, values)) + "\n",
        "Frame#\tTime\t" + "".join(f"{name}\t\t\t" for name in names) + "\n",
        "\t\t" + "".join(f"{axis}\t" for axis in axes) + "\n",
        "\n",
    ]


def _marker_fields(markers: Array, decimals: int) -> str:
    """Return (K, 2) places of one frame, each field with a tab after it; z is 0."""
    return "".join(
        f"{x:z.{decimals}f}\t{y:z.{decimals}f}\t{0:.{decimals}f}\t" if math.isfinite(x + y) else "\t\t\t"
        for x, y in markers.tolist()
    )
