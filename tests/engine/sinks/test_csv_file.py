import csv
import resource
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from engine.sinks.csv_file import CsvSink, column_names, describe_columns
from engine.skeleton import COCO17, Skeleton
from engine.structures import Result, TrackedPerson

Person, MakeResult = Callable[..., TrackedPerson], Callable[..., Result]
TREE = Path(__file__).parents[3]


def write(path: Path, skeleton: Skeleton, *results: Result, **options: bool) -> list[dict[str, str]]:
    sink = CsvSink(path, skeleton, **options)
    for result in results:
        sink.write(result)
    sink.close()
    return read(path)


def read(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream, strict=True))


def test_the_header_names_the_box_and_each_keypoint_x_before_y():
    names = column_names(COCO17)
    assert ",".join(names[:13]) == (
        "frame,time_s,track_id,score,bbox_x1,bbox_y1,bbox_x2,bbox_y2,nose_x,nose_y,nose_score,nose_state,left_eye_x"
    )
    assert len(names) == 8 + 17 * 4
    assert names[-1] == "right_ankle_state"


def test_options_add_their_columns_where_readers_expect_them():
    assert column_names(COCO17, wall_time=True)[:4] == ["frame", "time_s", "wall_time", "track_id"]
    raw = column_names(COCO17, raw=True)
    assert raw[8:14] == ["nose_x", "nose_y", "nose_score", "nose_state", "nose_raw_x", "nose_raw_y"]
    assert ",".join(column_names(COCO17, long=True)) == "frame,time_s,track_id,keypoint,x,y,score,state"
    assert column_names(COCO17, long=True, raw=True)[-2:] == ["raw_x", "raw_y"]


@pytest.mark.parametrize("raw", [False, True])
@pytest.mark.parametrize("long", [False, True])
@pytest.mark.parametrize("wall_time", [False, True])
def test_every_column_is_explained(raw: bool, long: bool, wall_time: bool):
    legend = describe_columns(raw=raw, long=long, wall_time=wall_time)
    explained = [
        name.replace("KEYPOINT", keypoint)
        for name in legend
        for keypoint in (COCO17.keypoints if "KEYPOINT" in name else ("",))
    ]
    assert sorted(explained) == sorted(column_names(COCO17, raw=raw, long=long, wall_time=wall_time))


def test_a_file_is_exactly_this(
    tmp_path: Path, stick: Skeleton, make_person: Person, make_result: MakeResult
):
    result = make_result(7, make_person(3, states=(2, 1, 0)), time_s=0.28)
    write(tmp_path / "clip.csv", stick, result)
    assert (tmp_path / "clip.csv").read_bytes() == (
        b"frame,time_s,track_id,score,bbox_x1,bbox_y1,bbox_x2,bbox_y2,head_x,head_y,head_score,head_state,"
        b"hip_x,hip_y,hip_score,hip_state,foot_x,foot_y,foot_score,foot_state\r\n"
        b"7,0.280000,3,0.8125,28.000,10.000,52.000,86.000,40.000,16.000,0.9000,measured,"
        b"40.250,48.000,0.7500,predicted,,,0.5000,missing\r\n"
    )


def test_a_long_file_is_exactly_this(
    tmp_path: Path, stick: Skeleton, make_person: Person, make_result: MakeResult
):
    result = make_result(7, make_person(3, states=(2, 1, 0)), time_s=0.28)
    write(tmp_path / "clip.csv", stick, result, long=True, raw=True)
    assert (tmp_path / "clip.csv").read_text().split() == [
        "frame,time_s,track_id,keypoint,x,y,score,state,raw_x,raw_y",
        "7,0.280000,3,head,40.000,16.000,0.9000,measured,40.125,16.125",
        "7,0.280000,3,hip,40.250,48.000,0.7500,predicted,,",
        "7,0.280000,3,foot,,,0.5000,missing,,",
    ]


def test_raw_coordinates_stand_beside_the_smoothed(
    tmp_path: Path, stick: Skeleton, make_person: Person, make_result: MakeResult
):
    (row,) = write(tmp_path / "a.csv", stick, make_result(0, make_person(states=(2, 2, 1))), raw=True)
    assert (row["head_x"], row["head_raw_x"], row["head_raw_y"]) == ("40.000", "40.125", "16.125")
    assert (row["foot_raw_x"], row["foot_raw_y"]) == ("", "")


def test_each_person_of_a_frame_has_a_row(
    tmp_path: Path, stick: Skeleton, make_person: Person, make_result: MakeResult
):
    rows = write(
        tmp_path / "a.csv",
        stick,
        make_result(0, make_person(4), make_person(9)),
        make_result(1, make_person(9)),
    )
    assert [(row["frame"], row["track_id"]) for row in rows] == [("0", "4"), ("0", "9"), ("1", "9")]


@pytest.mark.parametrize("long", [False, True])
@pytest.mark.parametrize("wall_time", [False, True])
def test_a_frame_without_people_has_a_row_only_on_request(
    tmp_path: Path, stick: Skeleton, make_result: MakeResult, long: bool, wall_time: bool
):
    empty = make_result(5, time_s=0.2)
    assert write(tmp_path / "a.csv", stick, empty, long=long, wall_time=wall_time) == []
    (row,) = write(tmp_path / "b.csv", stick, empty, long=long, wall_time=wall_time, keep_empty=True)
    assert list(row) == column_names(stick, long=long, wall_time=wall_time)
    assert (row.pop("frame"), row.pop("time_s")) == ("5", "0.200000")
    assert set(row.values()) == {""}


def test_the_time_of_capture_is_written_with_its_zone(
    tmp_path: Path, stick: Skeleton, make_person: Person, make_result: MakeResult
):
    result = make_result(0, make_person(), wall_time=1_750_000_000.1234)
    (row,) = write(tmp_path / "a.csv", stick, result, wall_time=True)
    written = datetime.fromisoformat(row["wall_time"])
    assert written.utcoffset() == timedelta(0)
    assert written.timestamp() == pytest.approx(1_750_000_000.123)


def test_numbers_never_read_minus_zero_nor_in_powers_of_ten(
    tmp_path: Path, stick: Skeleton, make_person: Person, make_result: MakeResult
):
    person = make_person()
    person.keypoints[:] = [[-0.0001, 1e-9], [123456.5, -3.25], [np.nan, np.inf]]
    write(tmp_path / "a.csv", stick, make_result(0, person, time_s=-1e-9))
    line = (tmp_path / "a.csv").read_text().splitlines()[1]
    assert line.startswith("0,0.000000,1,")
    assert ",0.000,0.000,0.9000,measured,123456.500,-3.250,0.7500,measured,,,0.5000,measured" in line


def test_names_with_commas_quotes_and_breaks_are_quoted(
    tmp_path: Path, make_person: Person, make_result: MakeResult
):
    odd = Skeleton(
        name="odd", keypoints=("a,b", 'the "c"', "na\nïve"), limbs=(), flip_pairs=(), oks_sigmas=(1, 1, 1)
    )
    (row,) = write(tmp_path / "a.csv", odd, make_result(0, make_person()))
    assert {"a,b_x", 'the "c"_score', "na\nïve_state"} <= set(row)
    rows = write(tmp_path / "b.csv", odd, make_result(0, make_person()), long=True)
    assert [row["keypoint"] for row in rows] == ["a,b", 'the "c"', "na\nïve"]


def test_people_of_another_skeleton_are_refused(tmp_path: Path, make_person: Person, make_result: MakeResult):
    sink = CsvSink(tmp_path / "a.csv", COCO17)
    with pytest.raises(ValueError, match=r"shape \(17, 2\) for skeleton 'coco17', got \(3, 2\)"):
        sink.write(make_result(0, make_person()))
    sink.close()
    assert read(tmp_path / "a.csv") == []


def test_rows_are_in_the_file_as_soon_as_they_are_written(
    tmp_path: Path, stick: Skeleton, make_person: Person, make_result: MakeResult
):
    sink = CsvSink(tmp_path / "a.csv", stick)
    for index in range(3):
        sink.write(make_result(index, make_person()))
        assert len(read(tmp_path / "a.csv")) == index + 1
    sink.close()


WRITER = textwrap.dedent(
    """
    import sys, time
    from pathlib import Path
    import numpy as np
    from engine.errors import SinkError
    from engine.sinks.csv_file import CsvSink
    from engine.skeleton import COCO17
    from engine.structures import Frame, Result, TrackedPerson

    zeros = np.zeros((17, 2), np.float32)
    people = tuple(
        TrackedPerson(track_id, zeros, zeros, zeros, zeros[:, 0], np.full(17, 2, np.int8),
                      np.zeros(4, np.float32), 1.0, 0.0)
        for track_id in range(5)
    )
    sink = CsvSink(Path(sys.argv[1]), COCO17)
    try:
        for index in range(int(sys.argv[2])):
            sink.write(Result(Frame(np.zeros((2, 2, 3), np.uint8), index, index / 30), people))
            if index == 50:
                print("ready", flush=True)
    except SinkError as error:
        print(error, flush=True)
    """
)


@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGKILL")
def test_a_killed_process_leaves_complete_rows(tmp_path: Path):
    path = tmp_path / "a.csv"
    process = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(path), "100000000"], cwd=TREE, stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    with process:
        process.stdout.readline()
        process.send_signal(signal.SIGKILL)
    rows = read(path)
    assert len(rows) >= 51 * 5
    assert path.read_bytes().endswith(b",measured\r\n")
    assert len(rows) % 5 == 0
    assert [int(row["frame"]) for row in rows[::5]] == list(range(len(rows) // 5))


@pytest.mark.skipif(sys.platform == "win32", reason="there is no limit on the size of files")
def test_a_row_that_fits_only_in_part_is_taken_back(tmp_path: Path):
    path = tmp_path / "a.csv"
    limit = 20_000

    def limit_file_size() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    done = subprocess.run(
        [sys.executable, "-c", WRITER, str(path), "50"],
        cwd=TREE, preexec_fn=limit_file_size, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout.strip() == f"{path} cannot be written: the file would be larger than is allowed here"
    assert limit - 5 * 600 < path.stat().st_size < limit
    rows = read(path)
    assert len(rows) % 5 == 0
    assert all(None not in row.values() and row["right_ankle_state"] == "measured" for row in rows)
