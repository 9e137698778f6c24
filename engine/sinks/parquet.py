"""Parquet: the wide CSV as typed columns, compressed, for pandas, R, DuckDB and the like.

The list of row groups is at the end of the file, without which nothing of it can be read, so it cannot be
written as frames arrive.
"""

import importlib
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.errors import UsageError
from engine.sinks.atomic import whole_file
from engine.sinks.csv_file import STATE_NAMES, column_names
from engine.sinks.results_file import ResultsFile
from engine.sinks.results_rows import NOBODY, RowBlock, concatenate

SUFFIX = ".parquet"
GROUP_BLOCKS = 16
"""Blocks of `ResultsFile.blocks` in a row group: some 65,000 rows."""
METADATA_KEY = b"steadypose"
"""Under which the file holds what the sidecar says of the recording."""
OF_ONE_RUN: dict[str, Any] = {
    **dict.fromkeys(("status", "message", "created", "performance", "run"), True),
    "source": {"path"},
}
"""What the sidecar says of the run alone: without it, two runs with equal rows make equal files."""


def write_parquet(results: ResultsFile, stem: Path) -> list[Path]:
    """Write a recording as Parquet, one row per person and frame, with the columns of the wide CSV.

    Missing values are null; states are categories; `wall_time` is a time in UTC.

    Returns:
        The one file.

    Raises:
        UsageError: pyarrow is not installed.
        SinkError: the file cannot be written.
        SourceError: a row of the recording is damaged.
    """
    arrow, parquet = _import_arrow()
    schema = _schema(arrow, results)
    path = stem.with_name(stem.name + SUFFIX)
    blocks = results.blocks()
    with whole_file(path) as part, parquet.ParquetWriter(str(part), schema, compression="zstd") as writer:
        while group := list(islice(blocks, GROUP_BLOCKS)):
            columns = _columns(arrow, concatenate(group), raw=results.layout.raw)
            writer.write_table(arrow.Table.from_arrays(columns, schema=schema))
    return [path]


def _import_arrow() -> tuple[Any, Any]:
    try:
        return importlib.import_module("pyarrow"), importlib.import_module("pyarrow.parquet")
    except ImportError as error:
        raise UsageError(
            'the format parquet needs the package pyarrow; install it with `pip install "steadypose[export]"`'
        ) from error


def _schema(arrow: Any, results: ResultsFile) -> Any:
    layout = results.layout
    special = {
        "frame": arrow.int64(),
        "time_s": arrow.float64(),
        "wall_time": arrow.timestamp("ms", tz="UTC"),
        "track_id": arrow.int32(),
    }
    state = arrow.dictionary(arrow.int8(), arrow.string())
    fields = [
        (name, special.get(name) or (state if name.endswith("_state") else arrow.float32()))
        for name in column_names(results.skeleton, raw=layout.raw, wall_time=layout.wall_time)
    ]
    described = results.sidecar.model_dump_json(exclude=OF_ONE_RUN)
    return arrow.schema(fields, metadata={METADATA_KEY: described.encode()})


def _columns(arrow: Any, block: RowBlock, *, raw: bool) -> list[Any]:
    """Return the columns in the order of the header."""
    empty = block.track_ids == NOBODY
    columns = [arrow.array(block.frames), arrow.array(block.times_s)]
    if block.wall_times is not None:
        columns.append(_times(arrow, block.wall_times))
    columns.append(arrow.array(block.track_ids.astype(np.int32), mask=empty))
    columns += [_numbers(arrow, values) for values in (block.scores, *block.boxes.T)]
    names = arrow.array(list(STATE_NAMES.values()))
    for k in range(block.keypoints.shape[1]):
        columns += [_numbers(arrow, values) for values in block.keypoints[:, k].T]
        columns.append(_numbers(arrow, block.keypoint_scores[:, k]))
        indices = arrow.array(block.states[:, k], mask=empty)
        columns.append(arrow.DictionaryArray.from_arrays(indices, names))
        if raw and block.raw_keypoints is not None:
            columns += [_numbers(arrow, values) for values in block.raw_keypoints[:, k].T]
    return columns


def _numbers(arrow: Any, values: NDArray[np.float32]) -> Any:
    return arrow.array(values, mask=np.isnan(values))


def _times(arrow: Any, wall_times: NDArray[np.float64]) -> Any:
    missing = np.isnan(wall_times)
    milliseconds = np.round(np.where(missing, 0, wall_times) * 1e3).astype("datetime64[ms]")
    return arrow.array(milliseconds, type=arrow.timestamp("ms", tz="UTC"), mask=missing)
