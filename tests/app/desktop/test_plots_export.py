import csv
from pathlib import Path

import numpy as np
import pytest

from app.desktop.plots_data import Quantity, Table
from app.desktop.plots_export import write_series
from engine.errors import SinkError


@pytest.fixture
def table() -> Table:
    knee, nose = Quantity("angle", "left_knee"), Quantity("x", "nose")
    return Table(
        frames=np.array([3, 3, 4]),
        times=np.array([0.1, 0.1, 0.133333]),
        track_ids=np.array([1, 2, 1]),
        columns={
            (knee, False): np.array([90.0, np.nan, 91.25]),
            (nose, False): np.array([1.0, 2.0, 3.0]),
            (nose, True): np.array([1.5, 2.5, 3.5]),
        },
    )


def test_rows_have_units_in_their_names_and_nothing_where_a_value_is_missing(table: Table, tmp_path: Path):
    path = tmp_path / "plots.csv"
    assert write_series(path, table) == 3
    with path.open(newline="", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    assert list(rows[0]) == ["frame", "time_s", "track_id", "left_knee_angle_deg", "nose_x", "nose_raw_x"]
    assert rows[1]["left_knee_angle_deg"] == "" and rows[2]["left_knee_angle_deg"] == "91.250"
    assert (rows[2]["frame"], rows[2]["time_s"], rows[2]["nose_raw_x"]) == ("4", "0.133333", "3.500")


def test_only_the_people_asked_for_are_written(table: Table, tmp_path: Path):
    assert write_series(tmp_path / "a.csv", table, [2]) == 1
    assert write_series(tmp_path / "b.csv", table, []) == 0


def test_a_place_that_cannot_be_written_is_named(table: Table, tmp_path: Path):
    with pytest.raises(SinkError, match="choose another place"):
        write_series(tmp_path / "nowhere" / "plots.csv", table)
