import json
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest

from engine.errors import UsageError
from engine.sinks import parquet
from engine.sinks.parquet import write_parquet
from engine.sinks.results_file import ResultsFile
from engine.structures import Result, TrackedPerson

MakeResult = Callable[..., Result]


def test_pandas_reads_the_same_table_from_it_as_from_the_csv(walkers: Path, tmp_path: Path):
    (path,) = write_parquet(ResultsFile.open(walkers), tmp_path / "clip")
    assert path == tmp_path / "clip.parquet"
    table, csv = pd.read_parquet(path), pd.read_csv(walkers)
    assert list(table.columns) == list(csv.columns)
    assert table["track_id"].tolist() == [3, 7, 3, 3, 7]
    assert (table["time_s"] == csv["time_s"]).all()
    for name in csv.columns:
        if name.endswith("_state"):
            assert table[name].astype(str).tolist() == csv[name].tolist()
        else:
            pd.testing.assert_series_equal(table[name], csv[name], check_dtype=False, rtol=1e-6)


def test_columns_have_types_and_missing_values_are_null(walkers: Path, tmp_path: Path):
    (path,) = write_parquet(ResultsFile.open(walkers), tmp_path / "clip")
    schema = pq.read_schema(path)
    names = ("frame", "time_s", "track_id", "nose_x")
    assert [str(schema.field(name).type) for name in names] == ["int64", "double", "int32", "float"]
    assert "dictionary<values=string" in str(schema.field("nose_state").type)
    column = pq.read_table(path)["nose_x"]
    assert column.null_count == 1
    assert column.to_pylist()[1] is None


def test_the_sidecar_is_inside(walkers: Path, tmp_path: Path):
    (path,) = write_parquet(ResultsFile.open(walkers), tmp_path / "clip")
    sidecar = json.loads(pq.read_schema(path).metadata[b"steadypose"])
    assert sidecar["source"]["name"] == "clip.mp4"
    assert sidecar["skeleton"]["name"] == "coco17"


def test_frames_of_nobody_raw_places_and_times_of_capture_are_kept(
    tmp_path: Path,
    write_run: Callable[..., Path],
    make_result: MakeResult,
    make_person: Callable[..., TrackedPerson],
):
    results = (make_result(0, make_person(1), wall_time=1.75e9 + 0.125), make_result(1))
    csv = write_run(tmp_path, *results, raw=True, live=True, keep_empty=True)
    (path,) = write_parquet(ResultsFile.open(csv), tmp_path / "clip")
    first, second = pq.read_table(path).to_pylist()
    assert first["wall_time"].timestamp() == pytest.approx(1.75e9 + 0.125)
    assert (first["head_raw_x"], first["head_x"]) == (40.125, 40.0)
    assert second.pop("frame") == 1
    assert second.pop("time_s") == 0.04
    assert set(second.values()) == {None}


def test_long_recordings_are_written_in_groups(
    tmp_path: Path,
    write_run: Callable[..., Path],
    make_result: MakeResult,
    make_person: Callable[..., TrackedPerson],
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr(parquet, "GROUP_BLOCKS", 1)
    person = make_person(1)
    csv = write_run(tmp_path, *(make_result(index, person) for index in range(5000)))
    (path,) = write_parquet(ResultsFile.open(csv), tmp_path / "clip")
    assert pq.ParquetFile(path).num_row_groups > 1
    assert pq.read_table(path)["frame"].to_pylist() == list(range(5000))


def test_without_pyarrow_it_says_what_to_install(
    walkers: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    def refuse(name: str) -> None:
        raise ImportError(name)

    monkeypatch.setattr("engine.sinks.parquet.importlib.import_module", refuse)
    with pytest.raises(UsageError, match=r'pip install "steadypose\[export\]"'):
        write_parquet(ResultsFile.open(walkers), tmp_path / "clip")
    assert not (tmp_path / "clip.parquet").exists()
