"""DeepLabCut files, opened as its own functions and its users' scripts open them: by pandas."""

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from engine.errors import SinkError, UsageError
from engine.sinks import deeplabcut
from engine.sinks.deeplabcut import write_deeplabcut
from engine.sinks.results_file import ResultsFile
from engine.skeleton import Skeleton
from engine.structures import Result, TrackedPerson

tables = pytest.importorskip("tables")

Record, MakeResult, Person = Callable[..., ResultsFile], Callable[..., Result], Callable[..., TrackedPerson]

SCORER = "DLC_SteadyPose"


@pytest.fixture
def one(
    tmp_path: Path, stick: Skeleton, record: Record, make_result: MakeResult, make_person: Person
) -> ResultsFile:
    """Track 3 in frames 1 and 3 of 6, without a hip in 3."""
    results = [make_result(1, make_person(3)), make_result(3, make_person(3, x=41, states=(2, 0, 1)))]
    return record(tmp_path / "clip.csv", stick, results, frames_read=6)


@pytest.fixture
def two(
    tmp_path: Path, stick: Skeleton, record: Record, make_result: MakeResult, make_person: Person
) -> ResultsFile:
    """Tracks 3 and 10; both in frame 2 of 4."""
    results = [make_result(1, make_person(3)), make_result(2, make_person(10, x=80), make_person(3, x=41))]
    return record(tmp_path / "clip.csv", stick, results, frames_read=4)


def test_files_are_called_as_deeplabcut_calls_them(one: ResultsFile, tmp_path: Path):
    """`find_analyzed_data` looks for names that begin with those of video and scorer."""
    paths = write_deeplabcut(one, tmp_path / "clip")
    assert paths == [tmp_path / f"clip{SCORER}.csv", tmp_path / f"clip{SCORER}.h5"]


def test_one_person_has_three_header_rows(one: ResultsFile, tmp_path: Path):
    csv_path, _ = write_deeplabcut(one, tmp_path / "clip")
    head = [line.split(",")[:5] for line in csv_path.read_text().splitlines()[:4]]
    assert head == [
        ["scorer", SCORER, SCORER, SCORER, SCORER],
        ["bodyparts", "head", "head", "head", "hip"],
        ["coords", "x", "y", "likelihood", "x"],
        ["0", "NaN", "NaN", "NaN", "NaN"],
    ]
    table = pd.read_csv(csv_path, header=[0, 1, 2], index_col=0)
    assert table.index.tolist() == [0, 1, 2, 3, 4, 5]
    assert table[SCORER]["head"].loc[1].tolist() == [40, 16, 0.9]
    assert table[SCORER]["hip"].loc[3].isna().all()
    assert table.loc[[0, 2, 4, 5]].isna().all(axis=None)


def test_several_people_have_four_header_rows(two: ResultsFile, tmp_path: Path):
    csv_path, _ = write_deeplabcut(two, tmp_path / "clip")
    first_cells = [line.split(",")[0] for line in csv_path.read_text().splitlines()[:4]]
    assert first_cells == ["scorer", "individuals", "bodyparts", "coords"]
    table = pd.read_csv(csv_path, header=[0, 1, 2, 3], index_col=0)
    assert table.columns.get_level_values("individuals").unique().tolist() == ["track3", "track10"]
    assert table[SCORER]["track10"]["head"]["x"].dropna().to_dict() == {2: 80}
    assert table[SCORER]["track3"]["head"]["x"].dropna().to_dict() == {1: 40, 2: 41}


@pytest.mark.parametrize(
    ("people", "levels"),
    [("one", ["scorer", "bodyparts", "coords"]), ("two", ["scorer", "individuals", "bodyparts", "coords"])],
)
def test_the_h5_holds_the_same_table_under_deeplabcuts_key(
    people: str, levels: list[str], tmp_path: Path, request: pytest.FixtureRequest
):
    csv_path, h5_path = write_deeplabcut(request.getfixturevalue(people), tmp_path / "clip")
    table = pd.read_hdf(h5_path)
    assert isinstance(table, pd.DataFrame)
    pd.testing.assert_frame_equal(table, pd.read_hdf(h5_path, "df_with_missing"))
    assert list(table.columns.names) == levels
    assert table.columns.get_level_values("coords").unique().tolist() == ["x", "y", "likelihood"]
    assert set(table.dtypes) == {np.dtype(np.float64)}
    from_csv = pd.read_csv(csv_path, header=list(range(len(levels))), index_col=0)
    pd.testing.assert_frame_equal(table, from_csv, check_names=False, check_column_type=False)


def test_every_row_of_the_csv_comes_back(two: ResultsFile, tmp_path: Path, stick: Skeleton):
    table = pd.read_hdf(write_deeplabcut(two, tmp_path / "clip")[1])[SCORER]
    rows = two.load()
    for row, (track_id, frame) in enumerate(zip(rows.track_ids.tolist(), rows.frames.tolist())):
        person = table[f"track{track_id}"].loc[frame].to_numpy().reshape(stick.count, 3)
        assert person[:, :2] == pytest.approx(rows.keypoints[row], abs=5e-4)
        assert person[:, 2] == pytest.approx(rows.keypoint_scores[row], abs=5e-5)


def test_a_crowd_that_would_burst_a_pytables_table_is_written(
    tmp_path: Path, stick: Skeleton, record: Record, make_result: MakeResult, make_person: Person
):
    people = [make_person(track_id, x=track_id) for track_id in range(1, 301)]
    results = record(tmp_path / "clip.csv", stick, [make_result(0, *people), make_result(1, *people)])
    table = pd.read_hdf(write_deeplabcut(results, tmp_path / "clip")[1])
    assert table.shape == (2, 300 * 9)


@pytest.mark.parametrize("frames", [0, 3])
def test_nobody_makes_a_table_without_values(tmp_path: Path, stick: Skeleton, record: Record, frames: int):
    results = record(tmp_path / "clip.csv", stick, [], frames_read=frames)
    table = pd.read_hdf(write_deeplabcut(results, tmp_path / "clip")[1])
    assert isinstance(table, pd.DataFrame)
    assert table.shape == (frames, 9)
    assert table.isna().all(axis=None)


def test_a_table_larger_than_memory_is_refused(
    two: ResultsFile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(deeplabcut, "LARGEST_TABLE", 100)
    with pytest.raises(UsageError, match=r"2 people in 4 frames.*choose some of the people"):
        write_deeplabcut(two, tmp_path / "clip")
    assert not list(tmp_path.glob("*.h5"))


def test_a_failure_of_the_hdf5_library_is_told_and_leaves_no_part(
    one: ResultsFile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    def fail(*_: object, **__: object) -> None:
        raise tables.HDF5ExtError("unable to extend file")

    monkeypatch.setattr(pd.DataFrame, "to_hdf", fail)
    with pytest.raises(SinkError, match=r"clipDLC_SteadyPose\.h5 cannot be written.*a full disk"):
        write_deeplabcut(one, tmp_path / "clip")
    assert {path.name for path in tmp_path.iterdir()} == {"clip.csv", "clip.json", f"clip{SCORER}.csv"}


@pytest.mark.parametrize("package", ["pandas", "tables"])
def test_an_absent_package_is_named_with_its_install_line(
    one: ResultsFile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, package: str
):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(UsageError, match=r'pip install "steadypose\[export\]"'):
        write_deeplabcut(one, tmp_path / "clip")
