from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from engine.sinks.results_file import ResultsFile
from engine.sinks.sleap import write_sleap
from engine.skeleton import Skeleton
from engine.structures import Result, TrackedPerson

Record, MakeResult, Person = Callable[..., ResultsFile], Callable[..., Result], Callable[..., TrackedPerson]


@pytest.fixture
def results(make_result: MakeResult, make_person: Person) -> list[Result]:
    return [
        make_result(0, make_person(5)),
        make_result(1),
        make_result(3, make_person(5, x=41, states=(2, 0, 1)), make_person(12, x=80)),
    ]


def test_pandas_finds_the_columns_that_sleap_writes(
    tmp_path: Path, stick: Skeleton, record: Record, results: list[Result]
):
    recorded = record(tmp_path / "clip.csv", stick, results, keep_empty=True)
    (path,) = write_sleap(recorded, tmp_path / "clip")
    assert path == tmp_path / "clip.analysis.csv"
    table = pd.read_csv(path)
    nodes = [f"{name}.{part}" for name in ("head", "hip", "foot") for part in ("x", "y", "score")]
    assert list(table.columns) == ["track", "frame_idx", "instance.score", *nodes]
    assert table["track"].tolist() == ["track_5", "track_5", "track_12"]
    assert table["frame_idx"].tolist() == [0, 3, 3]
    assert table["instance.score"].tolist() == [0.8125] * 3
    assert table["head.x"].tolist() == [40, 41, 80]
    assert table["foot.y"].tolist() == [80] * 3
    assert table["foot.score"].tolist() == [0.5] * 3


def test_a_missing_keypoint_is_empty(tmp_path: Path, stick: Skeleton, record: Record, results: list[Result]):
    table = pd.read_csv(write_sleap(record(tmp_path / "clip.csv", stick, results), tmp_path / "clip")[0])
    assert table[["hip.x", "hip.y", "hip.score"]].isna().all(axis=1).tolist() == [False, True, False]


def test_every_row_of_the_csv_comes_back(
    tmp_path: Path, stick: Skeleton, record: Record, results: list[Result]
):
    recorded = record(tmp_path / "clip.csv", stick, results)
    table = pd.read_csv(write_sleap(recorded, tmp_path / "clip")[0])
    rows = recorded.load()
    assert table["track"].str.removeprefix("track_").astype(int).tolist() == rows.track_ids.tolist()
    assert table["frame_idx"].tolist() == rows.frames.tolist()
    for k, name in enumerate(stick.keypoints):
        places = table[[f"{name}.x", f"{name}.y"]].to_numpy()
        assert places == pytest.approx(rows.keypoints[:, k], abs=5e-4, nan_ok=True)


def test_a_long_file_gives_people_the_mean_score_of_their_keypoints(
    tmp_path: Path, stick: Skeleton, record: Record, results: list[Result]
):
    recorded = record(tmp_path / "clip.csv", stick, results, long=True)
    table = pd.read_csv(write_sleap(recorded, tmp_path / "clip")[0])
    assert table["instance.score"][0] == pytest.approx((0.9 + 0.75 + 0.5) / 3, abs=1e-4)


def test_nobody_makes_a_file_of_a_header(tmp_path: Path, stick: Skeleton, record: Record):
    table = pd.read_csv(write_sleap(record(tmp_path / "clip.csv", stick, []), tmp_path / "clip")[0])
    assert (len(table), len(table.columns)) == (0, 12)
