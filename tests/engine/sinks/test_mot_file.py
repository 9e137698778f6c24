"""MOT and STO files, read back by the rules that OpenSim's documentation and reader have for them."""

import logging
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from engine.errors import UsageError
from engine.sinks.mot_file import track_angles, write_mot, write_sto
from engine.sinks.results_file import ResultsFile
from engine.skeleton import COCO17, Skeleton
from engine.structures import KeypointState, Result, TrackedPerson

Record, MakeResult, Person = Callable[..., ResultsFile], Callable[..., Result], Callable[..., TrackedPerson]


def read_as_opensim(path: Path) -> tuple[str, dict[str, str], list[str], NDArray[np.float64]]:
    """Return the name, what the header says, the columns and the values."""
    lines = path.read_text(encoding="utf-8").split("\n")
    end = lines.index("endheader")
    header = dict(line.split("=", 1) for line in lines[:end] if "=" in line)
    columns = lines[end + 1].split("\t")
    assert columns[0] == "time"
    assert lines[-1] == ""
    values = np.array([[float(field) for field in line.split("\t")] for line in lines[end + 2 : -1]])
    assert values.shape == (int(header["nRows"]), int(header["nColumns"])) == (len(values), len(columns))
    return lines[0], header, columns, values


def bend(track_id: int, degrees: float, *, lost: str = "") -> TrackedPerson:
    """Somebody who stands and bends the left knee; degrees: its angle, 180 straight."""
    keypoints = np.full((17, 2), np.nan, np.float32)
    places = {"left_shoulder": (40, 10), "left_hip": (40, 40), "left_knee": (40, 60)}
    turn = np.radians(180 - degrees)
    places["left_ankle"] = (40 - 20 * float(np.sin(turn)), 60 + 20 * float(np.cos(turn)))
    for name, place in places.items():
        if name != lost:
            keypoints[COCO17.keypoints.index(name)] = place
    missing = np.isnan(keypoints[:, 0])
    return TrackedPerson(
        track_id=track_id,
        keypoints=keypoints,
        raw_keypoints=keypoints,
        velocity=np.zeros((17, 2), np.float32),
        scores=np.where(missing, 0, 0.9).astype(np.float32),
        state=np.where(missing, KeypointState.MISSING, KeypointState.MEASURED).astype(np.int8),
        bbox=np.array([20, 5, 60, 85], np.float32),
        score=0.9,
        age_s=0.0,
    )


@pytest.fixture
def squat(tmp_path: Path, record: Record, make_result: MakeResult) -> ResultsFile:
    people = [bend(2, 180), bend(2, 150), bend(2, 120, lost="left_ankle"), bend(2, 90)]
    results = [make_result(frame, person) for frame, person in zip((10, 11, 12, 14), people)]
    return record(tmp_path / "clip.csv", COCO17, results)


def test_each_person_has_a_file_of_angles_in_degrees(squat: ResultsFile, tmp_path: Path):
    (path,) = write_mot(squat, tmp_path / "clip")
    assert path == tmp_path / "clip.track2.mot"
    name, header, columns, values = read_as_opensim(path)
    assert (name, header["inDegrees"], header["version"]) == ("clip.track2", "yes", "1")
    assert "DataType" not in header
    assert set(columns[1:]) < set(track_angles(np.zeros((1, 17, 2)), COCO17))
    assert values[:, 0] == pytest.approx(np.arange(10, 15) / 25)


def test_a_motion_is_complete_and_what_was_filled_is_said(
    squat: ResultsFile, tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    with caplog.at_level(logging.WARNING):
        *_, columns, values = read_as_opensim(write_mot(squat, tmp_path / "clip")[0])
    # The ankle is lost in frame 12, the person in frame 13; the right leg was never seen.
    assert values[:, columns.index("left_knee")] == pytest.approx([180, 150, 130, 110, 90], abs=0.01)
    assert "right_knee" not in columns
    assert np.isfinite(values).all()
    assert f"3 of {5 * (len(columns) - 1)} angles are not known" in caplog.text


def test_somebody_without_a_single_angle_has_no_motion(
    tmp_path: Path, record: Record, make_result: MakeResult, caplog: pytest.LogCaptureFixture
):
    people = bend(1, 90), bend(2, 90, lost="left_hip")
    results = record(tmp_path / "clip.csv", COCO17, [make_result(0, *people)])
    with caplog.at_level(logging.WARNING):
        assert write_mot(results, tmp_path / "clip") == [tmp_path / "clip.track1.mot"]
    assert "clip.track2.mot is not written: no angle" in caplog.text


def test_storage_files_say_what_type_their_numbers_have(squat: ResultsFile, tmp_path: Path):
    (path,) = write_sto(squat, tmp_path / "clip")
    assert path == tmp_path / "clip.track2.sto"
    _, header, columns, values = read_as_opensim(path)
    assert (header["DataType"], header["inDegrees"]) == ("double", "yes")
    # A row for each row of the CSV: the frame without the person is left out, not made up.
    assert values[:, 0] == pytest.approx(np.array([10, 11, 12, 14]) / 25)
    knee = values[:, columns.index("left_knee")]
    assert knee == pytest.approx([180, 150, np.nan, 90], abs=0.01, nan_ok=True)
    assert columns[1:] == list(track_angles(np.zeros((1, 17, 2)), COCO17))


def test_opensim_itself_reads_both(squat: ResultsFile, tmp_path: Path):
    opensim = pytest.importorskip("opensim")
    opensim.Logger.removeFileSink()
    motion = opensim.Storage(str(write_mot(squat, tmp_path / "clip")[0]))
    assert (motion.getName(), motion.getSize(), motion.isInDegrees()) == ("clip.track2", 5, True)
    table = opensim.TimeSeriesTable(str(write_sto(squat, tmp_path / "clip")[0]))
    assert (table.getNumRows(), table.getTableMetaDataString("inDegrees")) == (4, "yes")
    column = table.getColumnLabels().index("left_knee")
    knee = [table.getRowAtIndex(row)[column] for row in range(4)]
    assert knee == pytest.approx([180, 150, np.nan, 90], abs=0.01, nan_ok=True)


def test_a_varying_rate_is_evened_out_in_mot_and_kept_in_sto(
    tmp_path: Path, record: Record, make_result: MakeResult
):
    times_s = [0.0, 0.02, 0.07, 0.1, 0.16, 0.2]
    results = record(
        tmp_path / "clip.csv",
        COCO17,
        [make_result(frame, bend(1, 120), time_s=time_s) for frame, time_s in enumerate(times_s)],
    )
    *_, columns, even = read_as_opensim(write_mot(results, tmp_path / "clip")[0])
    *_, kept = read_as_opensim(write_sto(results, tmp_path / "clip")[0])
    assert np.diff(even[:, 0]) == pytest.approx(0.04)
    assert kept[:, 0] == pytest.approx(times_s)
    assert even[:, columns.index("left_knee")] == pytest.approx(120, abs=0.05)


def test_a_name_with_an_equals_sign_is_no_key_of_the_header(
    tmp_path: Path, record: Record, make_result: MakeResult
):
    results = record(tmp_path / "a=b.csv", COCO17, [make_result(0, bend(1, 90))])
    name, header, *_ = read_as_opensim(write_mot(results, tmp_path / "a=b")[0])
    assert name == "a_b.track1"
    assert set(header) == {"version", "nRows", "nColumns", "inDegrees"}


@pytest.mark.parametrize("write", [write_mot, write_sto])
def test_a_skeleton_without_angles_is_refused(
    tmp_path: Path,
    stick: Skeleton,
    record: Record,
    make_result: MakeResult,
    make_person: Person,
    write: Callable[[ResultsFile, Path], list[Path]],
):
    results = record(tmp_path / "clip.csv", stick, [make_result(0, make_person())])
    with pytest.raises(UsageError, match="skeleton 'stick3' has none"):
        write(results, tmp_path / "clip")


@pytest.mark.parametrize("write", [write_mot, write_sto])
def test_nobody_makes_no_file(
    tmp_path: Path, record: Record, write: Callable[[ResultsFile, Path], list[Path]]
):
    assert write(record(tmp_path / "clip.csv", COCO17, []), tmp_path / "clip") == []
