"""Results as DeepLabCut's analysis of a video, CSV and HDF5, written from the CSV.

A row for each frame of the source; columns under the levels scorer, bodyparts and coords (x, y, likelihood),
with individuals as the second level where there are several people. Coordinates are frame px as in our CSV.
Files are called as DeepLabCut calls them, by the names of the video and the scorer, so that it finds them.
"""

import importlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.errors import SinkError, UsageError
from engine.sinks.atomic import whole_file
from engine.sinks.results_file import ResultsFile
from engine.sinks.results_rows import RowBlock

Array = NDArray[np.float64]

SCORER = "DLC_SteadyPose"
CSV_SUFFIX, H5_SUFFIX = f"{SCORER}.csv", f"{SCORER}.h5"
KEY = "df_with_missing"
"""Under which DeepLabCut's HDF5 files have their table."""
COORDS = ("x", "y", "likelihood")
DECIMALS_PX, DECIMALS_SCORE = 3, 4
"""As our CSV has them; single precision would show more that mean nothing."""
LARGEST_TABLE = 4 << 30
"""Bytes of a table that are held in memory at most."""
ROWS_COMPARED = 10_000
"""Of the table in the HDF5 file, read back at a time."""


def write_deeplabcut(results: ResultsFile, stem: Path) -> list[Path]:
    """Write ``clipDLC_SteadyPose.csv`` and ``clipDLC_SteadyPose.h5``; individuals are called ``track3``.

    Args:
        results: what to write.
        stem: folder and name without a suffix.

    Returns:
        the two files.

    Raises:
        SinkError: a file cannot be written.
        SourceError: a row of the CSV is damaged.
        UsageError: pandas or PyTables is missing, or the table would be larger than memory is taken for.
    """
    pandas = _import_pandas()
    table = _build(pandas, results)
    csv_path, h5_path = (stem.with_name(stem.name + suffix) for suffix in (CSV_SUFFIX, H5_SUFFIX))
    with whole_file(csv_path) as part:
        # A first row of empty fields would be taken by pandas for the name of the index, and be lost.
        table.to_csv(part, na_rep="NaN", lineterminator="\n")
    with whole_file(h5_path) as part:
        _write_h5(pandas, table, part, h5_path)
    return [csv_path, h5_path]


def _write_h5(pandas: Any, table: Any, part: Path, path: Path) -> None:
    """Write a table to `part`, which becomes `path`, and read it back.

    PyTables says nothing of what it could not write while it closes a file.

    Raises:
        SinkError: it failed, or the file does not hold the table.
    """
    failure = f"{path} cannot be written: the HDF5 library failed, as it does on a full disk"
    try:
        # Not DeepLabCut's own format="table", which fails from some 60 people with 17 keypoints on: the
        # names of the columns no longer fit into its header. Every reader of the one reads the other.
        table.to_hdf(part, key=KEY, mode="w", format="fixed")
        for start in range(0, max(len(table), 1), ROWS_COMPARED):
            end = start + ROWS_COMPARED
            if not pandas.read_hdf(part, KEY, start=start, stop=end).equals(table.iloc[start:end]):
                raise SinkError(failure)
    except (importlib.import_module("tables").HDF5ExtError, LookupError, ValueError) as error:
        raise SinkError(failure) from error


def _import_pandas() -> Any:
    try:
        importlib.import_module("tables")
        return importlib.import_module("pandas")
    except ImportError as error:
        raise UsageError(
            "the format deeplabcut needs the packages pandas and tables; install them with "
            '`pip install "steadypose[export]"`'
        ) from error


def _build(pandas: Any, results: ResultsFile) -> Any:
    """Return the data frame that both files hold."""
    block = results.load()
    people = block.people()
    first, last = block.frames[[0, -1]].tolist() if len(block) else (0, -1)
    frames = results.span(first, last)
    track_ids = np.unique(people.track_ids)
    levels: list[list[str]] = [[SCORER], list(results.skeleton.keypoints), list(COORDS)]
    names = ["scorer", "bodyparts", "coords"]
    if len(track_ids) > 1:
        levels.insert(1, [f"track{track_id}" for track_id in track_ids.tolist()])
        names.insert(1, "individuals")
    values = _fill(people, track_ids, frames, results)
    columns = pandas.MultiIndex.from_product(levels, names=names)
    return pandas.DataFrame(values, columns=columns, index=np.arange(frames.start, frames.stop))


def _fill(rows: RowBlock, track_ids: NDArray[np.int64], frames: range, results: ResultsFile) -> Array:
    """Return (frames, people * K * 3) x, y and likelihood, NaN where a keypoint is missing."""
    shape = (len(frames), max(len(track_ids), 1), results.skeleton.count, len(COORDS))
    size = int(np.prod(shape)) * 8
    if size > LARGEST_TABLE:
        raise UsageError(
            f"{results.path} with {len(track_ids)} people in {len(frames)} frames take {size >> 30} GiB as "
            "a DeepLabCut table, which has a place for everybody in every frame; choose some of the people"
        )
    values = np.full(shape, np.nan)
    points = np.round(rows.keypoints.astype(np.float64), DECIMALS_PX)
    scores = np.round(rows.keypoint_scores.astype(np.float64), DECIMALS_SCORE)
    missing = np.isnan(points).any(axis=2)
    points[missing] = scores[missing] = np.nan
    places = rows.frames - frames.start, np.searchsorted(track_ids, rows.track_ids)
    values[places] = np.dstack([points, scores])
    return values.reshape(len(frames), int(np.prod(shape[1:])))
