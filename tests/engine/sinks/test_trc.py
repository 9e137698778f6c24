"""TRC files, read back by the rules that OpenSim's documentation and reader have for them."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from engine.errors import UsageError
from engine.sinks.image_plane import ImagePlane
from engine.sinks.results_file import ResultsFile
from engine.sinks.trc import write_trc
from engine.skeleton import Skeleton
from engine.structures import Result, TrackedPerson

Record, MakeResult, Person = Callable[..., ResultsFile], Callable[..., Result], Callable[..., TrackedPerson]

KEYS = ["DataRate", "CameraRate", "NumFrames", "NumMarkers", "Units"]
KEYS += ["OrigDataRate", "OrigDataStartFrame", "OrigNumFrames"]


@dataclass(frozen=True)
class MarkerTable:
    metadata: dict[str, str]
    labels: list[str]
    frames: list[int]
    times_s: list[float]
    markers: NDArray[np.float64]


def tokens_of(line: str) -> list[str]:
    """OpenSim: each tab ends a field, and what is left after the last one is a field unless it is empty."""
    fields = line.split("\t")
    return fields if fields[-1] else fields[:-1]


def read_as_opensim(path: Path) -> MarkerTable:
    lines = path.read_bytes().decode("ascii").split("\n")
    assert "\r" not in path.read_text()
    assert lines[0].split()[:3] == ["PathFileType", "4", "(X/Y/Z)"]
    assert lines[1].split("\t") == KEYS
    values = lines[2].split("\t")
    assert len(values) == len(KEYS) and all(values)
    metadata = dict(zip(KEYS, values))
    labels = [label for label in tokens_of(lines[3]) if label]
    assert labels[:2] == ["Frame#", "Time"]
    labels = labels[2:]
    assert len(labels) == int(metadata["NumMarkers"])
    axes = [f"{axis}{number + 1}" for number in range(len(labels)) for axis in "XYZ"]
    assert [axis for axis in tokens_of(lines[4]) if axis] == axes
    # The name of a marker stands over its first coordinate.
    assert [lines[3].split("\t").index(label) for label in labels] == [2 + 3 * k for k in range(len(labels))]
    assert lines[5] == ""
    frames, times_s, markers = [], [], []
    for line in lines[6:-1]:
        fields = tokens_of(line)
        assert len(fields) == 2 + 3 * len(labels)
        frames.append(int(fields[0]))
        times_s.append(float(fields[1]))
        triples = [fields[place : place + 3] for place in range(2, len(fields), 3)]
        markers.append([[float(v) for v in t] if all(t) else [np.nan] * 3 for t in triples])
    assert lines[-1] == ""
    assert len(frames) == int(metadata["NumFrames"]) == int(metadata["OrigNumFrames"])
    return MarkerTable(metadata, labels, frames, times_s, np.array(markers))


@pytest.fixture
def walk(
    tmp_path: Path, stick: Skeleton, record: Record, make_result: MakeResult, make_person: Person
) -> ResultsFile:
    """Track 3 in frames 5 to 8, without a head in 6 and without a foot in 7; track 1 in frame 8."""
    states = {5: (2, 2, 2), 6: (0, 1, 2), 7: (2, 2, 0), 8: (2, 4, 5)}
    results = [make_result(frame, make_person(3, x=20 + frame, states=s)) for frame, s in states.items()]
    results[-1] = make_result(8, *results[-1].people, make_person(1, x=90))
    return record(tmp_path / "clip.csv", stick, results)


def test_each_person_has_a_file_that_opensim_reads(walk: ResultsFile, tmp_path: Path):
    paths = write_trc(walk, tmp_path / "clip")
    assert paths == [tmp_path / "clip.track1.trc", tmp_path / "clip.track3.trc"]
    table = read_as_opensim(paths[1])
    assert table.labels == ["head", "hip", "foot"]
    assert table.metadata == {
        "DataRate": "25",
        "CameraRate": "25",
        "NumFrames": "4",
        "NumMarkers": "3",
        "Units": "px",
        "OrigDataRate": "25",
        "OrigDataStartFrame": "6",
        "OrigNumFrames": "4",
    }
    assert table.frames == [6, 7, 8, 9]
    assert table.times_s == pytest.approx([0.2, 0.24, 0.28, 0.32])


def test_the_time_follows_from_the_frame_and_the_rate(walk: ResultsFile, tmp_path: Path):
    table = read_as_opensim(write_trc(walk, tmp_path / "clip")[1])
    first, rate = int(table.metadata["OrigDataStartFrame"]), float(table.metadata["DataRate"])
    elapsed_s = (np.array(table.frames) - first) / rate
    assert np.array(table.times_s) - table.times_s[0] == pytest.approx(elapsed_s)


def test_markers_stand_upright_in_the_plane_of_the_picture(walk: ResultsFile, tmp_path: Path):
    table = read_as_opensim(write_trc(walk, tmp_path / "clip")[1])
    assert table.markers[0].tolist() == [[25, 79, 0], [25.25, 47, 0], [24.5, 15, 0]]


def test_missing_markers_are_empty_also_at_the_ends_of_a_line(walk: ResultsFile, tmp_path: Path):
    table = read_as_opensim(write_trc(walk, tmp_path / "clip")[1])
    missing = np.isnan(table.markers).any(axis=2)
    assert missing.tolist() == [[False] * 3, [True, False, False], [False, False, True], [False] * 3]


def test_a_frame_without_the_person_is_a_row_of_empty_markers(
    tmp_path: Path, stick: Skeleton, record: Record, make_result: MakeResult, make_person: Person
):
    results = record(tmp_path / "clip.csv", stick, [make_result(frame, make_person()) for frame in (0, 1, 4)])
    table = read_as_opensim(write_trc(results, tmp_path / "clip")[0])
    assert table.frames == [1, 2, 3, 4, 5]
    assert np.isnan(table.markers).all(axis=(1, 2)).tolist() == [False, False, True, True, False]


def test_opensim_itself_reads_it_both_ways(walk: ResultsFile, tmp_path: Path):
    opensim = pytest.importorskip("opensim")
    opensim.Logger.removeFileSink()
    path = str(write_trc(walk, tmp_path / "clip", px_per_metre=50.0)[1])
    table = opensim.TimeSeriesTableVec3(path)
    assert (table.getNumRows(), table.getColumnLabels()) == (4, ("head", "hip", "foot"))
    markers = opensim.MarkerData(path)
    assert (markers.getNumFrames(), markers.getDataRate()) == (4, 25)
    assert markers.getUnits().getLabel() == "meters"
    for row in range(4):
        for column in range(3):
            place = [table.getRowAtIndex(row)[column][axis] for axis in range(3)]
            other = [markers.getFrame(row).getMarker(column)[axis] for axis in range(3)]
            assert place == pytest.approx(other, nan_ok=True)
            assert np.isnan(place).any() == ((row, column) in [(1, 0), (2, 2)])


@pytest.mark.parametrize("scale", [None, 45.0])
def test_the_round_trip_restores_the_csv(walk: ResultsFile, tmp_path: Path, scale: float | None):
    table = read_as_opensim(write_trc(walk, tmp_path / "clip", px_per_metre=scale)[1])
    assert table.metadata["Units"] == ("px" if scale is None else "m")
    restored = ImagePlane(walk.size[0], scale).restore(table.markers[..., :2])
    rows = walk.select([3]).load()
    assert [frame - 1 for frame in table.frames] == rows.frames.tolist()
    assert restored == pytest.approx(rows.keypoints, abs=1e-3, nan_ok=True)


def test_metres_need_a_scale_and_have_six_decimals(walk: ResultsFile, tmp_path: Path):
    path = write_trc(walk, tmp_path / "clip", px_per_metre=45.0)[1]
    assert read_as_opensim(path).markers[0, 0] == pytest.approx([25 / 45, 79 / 45, 0], abs=1e-6)
    assert "\t0.555556\t1.755556\t0.000000\t" in path.read_text()


def test_a_file_of_an_earlier_run_is_replaced_and_nothing_else_is_left(walk: ResultsFile, tmp_path: Path):
    write_trc(walk, tmp_path / "clip")
    before = (tmp_path / "clip.track3.trc").read_bytes()
    (tmp_path / "clip.track3.trc").write_text("old")
    write_trc(walk, tmp_path / "clip")
    assert (tmp_path / "clip.track3.trc").read_bytes() == before
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "clip.csv",
        "clip.json",
        "clip.track1.trc",
        "clip.track3.trc",
    ]


@pytest.mark.parametrize("name", ["left\tknee", "left\nknee", " "])
def test_a_name_that_would_break_the_table_is_refused(
    tmp_path: Path, record: Record, make_result: MakeResult, make_person: Person, name: str
):
    odd = Skeleton(
        name="odd", keypoints=("head", name, "foot"), limbs=(), flip_pairs=(), oks_sigmas=(1, 1, 1)
    )
    results = record(tmp_path / "clip.csv", odd, [make_result(0, make_person())])
    with pytest.raises(UsageError, match=r"cannot be a column of a trc file.*rename it in the skeleton"):
        write_trc(results, tmp_path / "clip")


def test_nobody_makes_no_file(tmp_path: Path, stick: Skeleton, record: Record):
    assert write_trc(record(tmp_path / "clip.csv", stick, []), tmp_path / "clip") == []
