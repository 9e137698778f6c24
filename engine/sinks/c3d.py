"""Keypoints as C3D, a file for each person, written from the CSV by `ezc3d`.

As in most laboratories z is up: x to the right, y 0 (depth is not known), z up, origin at the centre of the
bottom-left pixel; millimetres where there is a scale, else pixels. A missing point has the residual -1, all
others 0, which the format gives to points that were filtered. https://www.c3d.org, *User Guide*.
"""

import errno
import importlib
import logging
import os
import struct
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from engine.errors import SinkError, UsageError
from engine.sinks.atomic import whole_file
from engine.sinks.image_plane import ImagePlane
from engine.sinks.results_file import ResultsFile
from engine.sinks.track_series import TrackSeries, read_series

LOGGER = logging.getLogger(__name__)

SUFFIX = ".c3d"

MOST_FRAMES = 65_535
"""The header counts frames in 16 bits; readers lose what lies beyond them."""
MOST_POINTS = 255
"""Labels that one parameter holds."""
CAMERAS = 7
"""Bits of the camera mask."""
BLOCK_BYTES, DATA_WORD, FIRST_DATA_BLOCK = 512, 16, 3
"""A C3D is made of blocks: header, parameters, points. The header says from byte 16 on, in 16 bits, in which
the points begin, counted from 1; so not before the third."""


def write_c3d(results: ResultsFile, stem: Path, *, px_per_metre: float | None = None) -> list[Path]:
    """Write ``clip.track3.c3d`` for each person.

    One person a file, as C3Ds of video-based systems are, so that labels are the names of keypoints without
    a prefix. A file begins and ends with its person; its first frame is the position in the source, and the
    parameters ``STEADYPOSE:START_TIME`` (s) and ``STEADYPOSE:TRACK_ID`` tell the rest. More than 65,535
    frames are divided into ``clip.track3.part1.c3d`` and so on.

    Args:
        results: what to write.
        stem: folder and name without a suffix.
        px_per_metre: how many pixels make a metre where the people are; without it lengths are pixels, and
            ``POINT:UNITS`` says ``px``.

    Returns:
        the files, none where there is nobody.

    Raises:
        SinkError: a file cannot be written.
        SourceError: a row of the CSV is damaged.
        UsageError: `ezc3d` is missing, the frames have no rate, the scale is none, or there are too many
            keypoints.
    """
    ezc3d = _load_ezc3d()
    plane = ImagePlane(results.size[0], px_per_metre)
    if results.skeleton.count > MOST_POINTS:
        raise UsageError(
            f"c3d files are written with {MOST_POINTS} points at most, and the skeleton "
            f"{results.skeleton.name!r} has {results.skeleton.count}; use csv, parquet or trc"
        )
    paths = []
    for series in read_series(results, "c3d"):
        parts = _divide(series)
        for number, part in enumerate(parts, 1):
            suffix = f".part{number}" if len(parts) > 1 else ""
            path = stem.with_name(f"{stem.name}.track{series.track_id}{suffix}{SUFFIX}")
            _write(_build(ezc3d, part, results, plane), path)
            paths.append(path)
    return paths


def _load_ezc3d() -> ModuleType:
    try:
        return importlib.import_module("ezc3d")
    except ImportError as error:
        raise UsageError(
            'the format c3d needs the package ezc3d; install it with `pip install "steadypose[export]"`'
        ) from error


def _divide(series: TrackSeries) -> list[TrackSeries]:
    return [
        TrackSeries(
            series.track_id,
            series.pace,
            series.first_step + begin,
            series.keypoints[begin : begin + MOST_FRAMES],
        )
        for begin in range(0, len(series), MOST_FRAMES)
    ]


def _build(ezc3d: ModuleType, series: TrackSeries, results: ResultsFile, plane: ImagePlane) -> Any:
    """Return the whole file as an object of `ezc3d`."""
    names = list(results.skeleton.keypoints)
    places = plane.place(series.keypoints, per_metre=1000).transpose(2, 1, 0)
    missing = np.isnan(places).any(axis=0)
    points = np.zeros((4, *missing.shape))
    points[[0, 2]] = np.where(missing, 0, places)
    points[3] = 1
    file = ezc3d.c3d()
    file["data"]["points"] = points
    file["data"]["meta_points"]["residuals"] = np.where(missing, -1.0, 0.0)[None]
    file["data"]["meta_points"]["camera_masks"] = np.zeros((CAMERAS, *missing.shape), bool)
    file["header"]["points"]["first_frame"] = _first_frame(series, results)
    parameters = file["parameters"]["POINT"]
    parameters["RATE"]["value"] = [series.pace.rate_hz]
    parameters["LABELS"]["value"] = names
    parameters["DESCRIPTIONS"]["value"] = [name.replace("_", " ") for name in names]
    parameters["UNITS"]["value"] = ["px" if plane.px_per_metre is None else "mm"]
    file.add_parameter("POINT", "X_SCREEN", ["+X"])
    file.add_parameter("POINT", "Y_SCREEN", ["+Z"])
    file.add_parameter("MANUFACTURER", "SOFTWARE", ["SteadyPose"])
    file.add_parameter("MANUFACTURER", "VERSION_LABEL", [results.sidecar.software_version])
    file.add_parameter("STEADYPOSE", "TRACK_ID", [series.track_id])
    file.add_parameter("STEADYPOSE", "START_TIME", [float(series.times_s[0])])
    return file


def _first_frame(series: TrackSeries, results: ResultsFile) -> int:
    """Return the position of the first frame, or 0 where the file could not count up to the last one."""
    if series.first_step >= 0 and series.first_step + len(series) <= MOST_FRAMES:
        return series.first_step
    LOGGER.warning(
        "%s: c3d counts up to %d frames, so a file of track %d counts from 1 instead of %d; its parameter "
        "STEADYPOSE:START_TIME says when that was",
        results.path, MOST_FRAMES, series.track_id, series.first_step + 1,
    )  # fmt: skip
    return 0


def _write(file: Any, path: Path) -> None:
    """Write a file and see to it that it is whole: `ezc3d` says nothing of what it could not write."""
    size = 4 * np.dtype(np.float32).itemsize * int(np.prod(file["data"]["points"].shape[1:]))
    with whole_file(path) as part:
        file.write(str(part))
        if not part.exists() and part.parent.is_dir():
            raise SinkError(
                f"{path} cannot be written: the package ezc3d could not make it; choose a folder and a name "
                "of plain letters, and one that may be written"
            )
        if not _is_whole(part, size):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _is_whole(path: Path, size: int) -> bool:
    """Return whether a C3D has all its points, which take so many bytes.

    `ezc3d` writes last where they begin, so a file that was cut short before does not say it.
    """
    with path.open("rb") as stream:
        header = stream.read(BLOCK_BYTES)
    if len(header) < BLOCK_BYTES:
        return False
    (block,) = struct.unpack_from("<H", header, DATA_WORD)
    return block >= FIRST_DATA_BLOCK and path.stat().st_size >= (block - 1) * BLOCK_BYTES + size
