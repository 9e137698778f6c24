"""C3D files, opened by ezc3d as its users open them."""

import logging
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine.errors import SinkError, UsageError
from engine.sinks import c3d
from engine.sinks.c3d import write_c3d
from engine.sinks.image_plane import ImagePlane
from engine.sinks.results_file import ResultsFile
from engine.skeleton import Skeleton
from engine.structures import Result, TrackedPerson

ezc3d = pytest.importorskip("ezc3d")

Record, MakeResult, Person = Callable[..., ResultsFile], Callable[..., Result], Callable[..., TrackedPerson]


@pytest.fixture
def walk(
    tmp_path: Path, stick: Skeleton, record: Record, make_result: MakeResult, make_person: Person
) -> ResultsFile:
    """Track 3 in frames 5, 6 and 8, without a head in 6; track 1 in frame 8."""
    states = {5: (2, 2, 2), 6: (0, 1, 2), 8: (2, 4, 5)}
    results = [make_result(frame, make_person(3, x=20 + frame, states=s)) for frame, s in states.items()]
    results[-1] = make_result(8, *results[-1].people, make_person(1, x=90))
    return record(tmp_path / "clip.csv", stick, results)


def value(file: Any, group: str, name: str) -> Any:
    return file["parameters"][group][name]["value"]


def test_each_person_has_a_file_with_labels_units_and_rate(walk: ResultsFile, tmp_path: Path):
    paths = write_c3d(walk, tmp_path / "clip")
    assert paths == [tmp_path / "clip.track1.c3d", tmp_path / "clip.track3.c3d"]
    file = ezc3d.c3d(str(paths[1]))
    assert value(file, "POINT", "LABELS") == ["head", "hip", "foot"]
    assert value(file, "POINT", "UNITS") == ["px"]
    assert value(file, "POINT", "RATE") == [25]
    assert value(file, "POINT", "X_SCREEN") == ["+X"]
    assert value(file, "POINT", "Y_SCREEN") == ["+Z"]
    assert value(file, "MANUFACTURER", "SOFTWARE") == ["SteadyPose"]
    assert file["data"]["points"].shape == (4, 3, 4)


def test_frames_and_times_of_the_recording_are_kept(walk: ResultsFile, tmp_path: Path):
    file = ezc3d.c3d(str(write_c3d(walk, tmp_path / "clip")[1]))
    points = file["header"]["points"]
    assert (points["first_frame"], points["last_frame"]) == (5, 8)
    assert value(file, "STEADYPOSE", "TRACK_ID") == [3]
    assert value(file, "STEADYPOSE", "START_TIME") == pytest.approx([0.2])


def test_points_stand_upright_with_z_up(walk: ResultsFile, tmp_path: Path):
    file = ezc3d.c3d(str(write_c3d(walk, tmp_path / "clip")[1]))
    assert file["data"]["points"][:3, :, 0].T.tolist() == [[25, 0, 79], [25.25, 0, 47], [24.5, 0, 15]]


def test_a_missing_point_has_the_residual_minus_one(walk: ResultsFile, tmp_path: Path):
    path = write_c3d(walk, tmp_path / "clip")[1]
    file = ezc3d.c3d(str(path))
    residuals = file["data"]["meta_points"]["residuals"][0].T
    assert residuals.tolist() == [[0, 0, 0], [-1, 0, 0], [-1, -1, -1], [0, 0, 0]]
    missing = np.isnan(file["data"]["points"][:3]).all(axis=0).T
    assert (missing == (residuals == -1)).all()
    # Whatever reads coordinates without residuals meets zeros, no NaN.
    raw = np.frombuffer(path.read_bytes()[-4 * 4 * 3 * 4 :], "<f4")
    assert not np.isnan(raw).any()


@pytest.mark.parametrize(("scale", "unit"), [(None, "px"), (45.0, "mm")])
def test_the_round_trip_restores_the_csv(walk: ResultsFile, tmp_path: Path, scale: float | None, unit: str):
    file = ezc3d.c3d(str(write_c3d(walk, tmp_path / "clip", px_per_metre=scale)[1]))
    assert value(file, "POINT", "UNITS") == [unit]
    places = file["data"]["points"][[0, 2]].transpose(2, 1, 0)
    restored = ImagePlane(walk.size[0], scale).restore(places, per_metre=1000)
    rows = walk.select([3]).load()
    frames = file["header"]["points"]["first_frame"] + np.arange(len(restored))
    there = np.isin(frames, rows.frames)
    assert restored[there] == pytest.approx(rows.keypoints, abs=1e-3, nan_ok=True)
    assert np.isnan(restored[~there]).all()


def test_more_frames_than_a_c3d_counts_are_divided(
    walk: ResultsFile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    monkeypatch.setattr(c3d, "MOST_FRAMES", 3)
    with caplog.at_level(logging.WARNING):
        paths = write_c3d(walk.select([3]), tmp_path / "clip")
    assert [path.name for path in paths] == ["clip.track3.part1.c3d", "clip.track3.part2.c3d"]
    files = [ezc3d.c3d(str(path)) for path in paths]
    assert [file["data"]["points"].shape[2] for file in files] == [3, 1]
    assert [value(file, "STEADYPOSE", "START_TIME")[0] for file in files] == pytest.approx([0.2, 0.32])
    assert "counts from 1 instead of 6; its parameter STEADYPOSE:START_TIME" in caplog.text


def test_the_most_frames_that_are_written_are_read(
    tmp_path: Path, stick: Skeleton, record: Record, make_result: MakeResult, make_person: Person
):
    results = record(
        tmp_path / "clip.csv", stick, [make_result(0, make_person()), make_result(65_534, make_person())]
    )
    (path,) = write_c3d(results, tmp_path / "clip")
    file = ezc3d.c3d(str(path))
    assert file["data"]["points"].shape == (4, 3, 65_535)
    assert file["header"]["points"]["last_frame"] == 65_534
    assert file["data"]["points"][0, 0, [0, -1]].tolist() == [40, 40]


def test_more_keypoints_than_labels_are_refused(
    tmp_path: Path, record: Record, make_result: MakeResult, make_person: Person
):
    count = 256
    skeleton = Skeleton(
        name="mesh",
        keypoints=tuple(f"point{k}" for k in range(count)),
        limbs=(),
        flip_pairs=(),
        oks_sigmas=(0.1,) * count,
    )
    with pytest.raises(UsageError, match=r"255 points at most.*'mesh' has 256"):
        write_c3d(record(tmp_path / "clip.csv", skeleton, []), tmp_path / "clip")


def test_a_missing_folder_is_named(walk: ResultsFile, tmp_path: Path):
    with pytest.raises(SinkError, match=r"clip\.track1\.c3d cannot be written"):
        write_c3d(walk, tmp_path / "missing" / "clip")


def test_a_file_that_the_disk_cut_short_is_told_and_not_kept(
    walk: ResultsFile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """ezc3d reports nothing itself."""
    monkeypatch.setattr(ezc3d.c3d, "write", lambda _, path: Path(path).write_bytes(bytes(40)))
    with pytest.raises(SinkError, match=r"clip\.track1\.c3d cannot be written: the disk is full"):
        write_c3d(walk, tmp_path / "clip")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["clip.csv", "clip.json"]


def test_a_file_without_its_last_frame_is_told(
    walk: ResultsFile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    write = ezc3d.c3d.write

    def write_and_cut(file: Any, path: str) -> None:
        write(file, path)
        content = Path(path).read_bytes()
        begin = 512 * (int.from_bytes(content[16:18], "little") - 1)
        Path(path).write_bytes(content[: begin + 4 * 4 * file["data"]["points"][0].size - 1])

    monkeypatch.setattr(ezc3d.c3d, "write", write_and_cut)
    with pytest.raises(SinkError, match=r"clip\.track1\.c3d cannot be written: the disk is full"):
        write_c3d(walk, tmp_path / "clip")


def test_a_path_that_ezc3d_cannot_open_is_told(
    walk: ResultsFile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(ezc3d.c3d, "write", lambda *_: None)
    with pytest.raises(
        SinkError, match="ezc3d could not make it; choose a folder and a name of plain letters"
    ):
        write_c3d(walk, tmp_path / "clip")


def test_an_absent_package_is_named_with_its_install_line(
    walk: ResultsFile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setitem(sys.modules, "ezc3d", None)
    with pytest.raises(UsageError, match=r'needs the package ezc3d.*pip install "steadypose\[export\]"'):
        write_c3d(walk, tmp_path / "clip")
