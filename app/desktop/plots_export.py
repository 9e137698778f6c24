"""Plotted series as CSV: one row per person and frame, one column per quantity. Knows no window toolkit."""

import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from app.desktop.plots_data import Table
from engine.errors import SinkError


def write_series(path: Path, table: Table, track_ids: Sequence[int] | None = None) -> int:
    """Write a table as RFC 4180 CSV in UTF-8 and return how many rows it has.

    Columns are ``frame,time_s,track_id`` and one per quantity, with its unit in the name unless it is pixels;
    a missing value is empty. A file of that name is replaced.

    Args:
        path: of the file.
        table: what is written.
        track_ids: only these people; None for everybody.

    Raises:
        SinkError: it cannot be written.
    """
    chosen = np.ones(len(table.times), bool) if track_ids is None else np.isin(table.track_ids, track_ids)
    names = [quantity.column(raw=raw) for quantity, raw in table.columns]
    values = [column.tolist() for column in table.columns.values()]
    try:
        with path.open("w", newline="", encoding="utf-8") as stream:
            writer = csv.writer(stream)
            writer.writerow(["frame", "time_s", "track_id", *names])
            for row in np.flatnonzero(chosen).tolist():
                fields = [f"{column[row]:.3f}" if np.isfinite(column[row]) else "" for column in values]
                writer.writerow(
                    [int(table.frames[row]), f"{table.times[row]:.6f}", int(table.track_ids[row]), *fields]
                )
    except OSError as error:
        raise SinkError(
            f"{path} cannot be written: {error.strerror or error}; choose another place"
        ) from error
    return int(chosen.sum())
