import csv
import json
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from app.takes import Recorder, TakeOptions, TakeStatus
from engine.errors import SinkError, UsageError
from engine.live_values import LiveResult
from engine.sinks.annotated_video import LIVE_ENCODING
from engine.sinks.sidecar import Sidecar
from engine.skeleton import Skeleton
from engine.sources import SourceInfo, open_source
from engine.structures import Frame, Result, TrackedPerson

TREE = Path(__file__).parents[2]
STICK = Skeleton(
    name="stick3",
    keypoints=("head", "hip", "foot"),
    limbs=((0, 1), (1, 2)),
    flip_pairs=(),
    oks_sigmas=(0.1, 0.1, 0.1),
)
CAMERA = SourceInfo("Desk camera", None, (96, 128), 25.0, None, None, live=True)
CLIP = SourceInfo("clip.mp4", Path("clip.mp4"), (96, 128), 25.0, 10.0, 250)


def make_person(track_id: int, count: int = 3) -> TrackedPerson:
    keypoints = np.linspace([30, 10], [40, 80], count, dtype=np.float32)
    return TrackedPerson(
        track_id=track_id,
        keypoints=keypoints,
        raw_keypoints=keypoints,
        velocity=np.zeros((count, 2), np.float32),
        scores=np.full(count, 0.9, np.float32),
        state=np.full(count, 2, np.int8),
        bbox=np.array([20, 5, 50, 90], np.float32),
        score=0.8,
        age_s=1.0,
    )


def make_result(index: int, *ids: int, time_s: float | None = None) -> LiveResult:
    image = np.full((96, 128, 3), 60, np.uint8)
    seconds = index / 25 if time_s is None else time_s
    frame = Frame(image, index, seconds, 1_800_000_000 + seconds)
    return LiveResult(Result(frame, tuple(make_person(track_id) for track_id in ids)), seconds, seconds)


class Description:
    """Models and settings in use, changed at will."""

    def __init__(self) -> None:
        self.settings: dict[str, Any] = {"tracker": {"keep_alive_s": 1.5, "smoothing": {"method": "kalman"}}}
        self.models: list[dict[str, Any]] = [{"name": "m", "sha256": "0" * 64}]

    def __call__(self) -> dict[str, Any]:
        return {"models": list(self.models), "choice": {"mode": "auto"}, "settings": self.settings}


@pytest.fixture
def description() -> Description:
    return Description()


@pytest.fixture
def recorder() -> Iterator[Recorder]:
    before = set(threading.enumerate())
    made = Recorder()
    yield made
    made.close()
    assert set(threading.enumerate()) == before


@pytest.fixture
def start(recorder: Recorder, tmp_path: Path, description: Description) -> Callable[..., None]:
    """Function (info, options…) that starts a take in tmp_path / "takes"."""

    def begin(info: SourceInfo = CAMERA, **options: Any) -> None:
        values = {"folder": tmp_path / "takes", "name": "desk", "annotated_video": False} | options
        recorder.start(TakeOptions(**values), STICK, info, description)

    return begin


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let so many pictures wait that a busy machine loses none."""
    monkeypatch.setattr("app.take_thread.PICTURES_WAITING", 1000)
    monkeypatch.setattr("app.take_files.LIVE_ENCODING", replace(LIVE_ENCODING, depth=1000))


def finish(recorder: Recorder) -> TakeStatus:
    recorder.stop()
    assert recorder.wait(10)
    assert recorder.status is not None
    return recorder.status


def wait_for(condition: Callable[[], object], timeout_s: float = 5.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "it never came"
        time.sleep(0.005)


def read_rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def read_sidecar(status: TakeStatus) -> Sidecar:
    assert status.paths is not None
    return Sidecar.model_validate_json(status.paths.sidecar.read_text(encoding="utf-8"))


@pytest.mark.usefixtures("patient")
def test_a_take_has_every_row_and_every_picture(
    recorder: Recorder, start: Callable[..., None], tmp_path: Path
):
    start(annotated_video=True, clean_video=True, raw=True)
    for index in range(40):
        recorder.write(make_result(index, 1, 2))
    status = finish(recorder)
    assert (status.state, status.number, status.frames, status.rows) == ("done", 1, 40, 80)
    assert (status.lost_rows, status.lost_video_frames, status.message) == (0, 0, "")
    assert status.seconds == pytest.approx(39 / 25)
    names = [
        "desk-take-001.clean.mp4",
        "desk-take-001.csv",
        "desk-take-001.json",
        "desk-take-001.tracked.mp4",
    ]
    assert sorted(path.name for path in (tmp_path / "takes").iterdir()) == names
    assert status.bytes == sum(path.stat().st_size for path in (tmp_path / "takes").iterdir())
    assert status.paths is not None
    rows = read_rows(status.paths.csv)
    assert [row["frame"] for row in rows[::2]] == [str(index) for index in range(40)]
    assert rows[0]["wall_time"] == "2027-01-15T08:00:00.000+00:00"
    assert "head_raw_x" in rows[0]
    for path, drawn in ((status.paths.annotated_video, True), (status.paths.clean_video, False)):
        assert path is not None
        with open_source(path) as source:
            frames = list(source)
        assert [frame.time_s for frame in frames] == pytest.approx([index / 25 for index in range(40)])
        assert (np.ptp(frames[20].image.astype(int)) > 60) == drawn


def test_the_sidecar_tells_what_was_recorded(recorder: Recorder, start: Callable[..., None]):
    start()
    for index in (0, 1, 2, 5, 6):
        recorder.write(make_result(index, *range(index)))
    sidecar = read_sidecar(finish(recorder))
    assert sidecar.status == "complete" and sidecar.message is None
    assert (sidecar.frames_read, sidecar.frames_dropped) == (5, 2)
    assert (sidecar.tracks, sidecar.most_people) == (6, 6)
    assert sidecar.models[0]["name"] == "m"
    assert sidecar.source.name == "Desk camera"
    assert "captured" in sidecar.columns["time_s"]


def test_takes_are_numbered_on_and_nothing_is_written_over(
    recorder: Recorder, start: Callable[..., None], tmp_path: Path
):
    (tmp_path / "takes").mkdir()
    (tmp_path / "takes" / "desk-take-007.tracked.mp4").write_text("dear to someone")
    (tmp_path / "takes" / "other-take-012.csv").write_text("")
    numbers = []
    for _ in range(2):
        start()
        recorder.write(make_result(0, 1))
        numbers.append(finish(recorder).number)
    assert numbers == [8, 9]
    assert (tmp_path / "takes" / "desk-take-007.tracked.mp4").read_text() == "dear to someone"


def test_a_take_can_begin_while_the_one_before_is_being_finished(
    recorder: Recorder, start: Callable[..., None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    gate = threading.Event()
    from app.take_files import TakeFiles

    close = TakeFiles.close
    monkeypatch.setattr(TakeFiles, "close", lambda files: (gate.wait(5), close(files))[1])
    start()
    recorder.write(make_result(0, 1))
    wait_for(lambda: recorder.status and recorder.status.rows == 1)
    recorder.stop()
    start()
    recorder.write(make_result(1, 1))
    wait_for(lambda: recorder.status and recorder.status.number == 2)
    gate.set()
    recorder.close()
    for number in (1, 2):
        sidecar = json.loads((tmp_path / "takes" / f"desk-take-00{number}.json").read_text())
        assert (sidecar["status"], sidecar["frames_read"]) == ("complete", 1)


def test_two_takes_at_once_are_a_mistake(recorder: Recorder, start: Callable[..., None]):
    start()
    with pytest.raises(UsageError, match="stop it first"):
        start()


def test_between_takes_nothing_is_recorded(recorder: Recorder, start: Callable[..., None]):
    recorder.write(make_result(0, 1))
    recorder.mark("nowhere")
    assert recorder.status is None and not recorder.recording
    start()
    assert recorder.recording
    recorder.write(make_result(1, 1))
    finish(recorder)
    recorder.write(make_result(2, 1))
    recorder.mark("too late")
    assert recorder.status is not None
    assert (recorder.status.frames, recorder.status.markers) == (1, 0)


def test_markers_are_in_their_own_file_at_once_and_in_the_sidecar(
    recorder: Recorder, start: Callable[..., None], tmp_path: Path
):
    start()
    recorder.mark("before the first frame")
    recorder.write(make_result(25, 1))
    recorder.mark('jump, "high"')
    path = tmp_path / "takes" / "desk-take-001.markers.csv"
    wait_for(lambda: path.exists() and len(read_rows(path)) == 2)
    recorder.mark()
    status = finish(recorder)
    assert status.markers == 3
    rows = read_rows(path)
    assert list(rows[0]) == ["time_s", "frame", "wall_time", "label"]
    assert [(row["time_s"], row["frame"], row["label"]) for row in rows] == [
        ("", "", "before the first frame"),
        ("1.000000", "25", 'jump, "high"'),
        ("1.000000", "25", ""),
    ]
    markers = read_sidecar(status).markers
    assert [(marker.time_s, marker.frame, marker.label) for marker in markers[:2]] == [
        (None, None, "before the first frame"),
        (1.0, 25, 'jump, "high"'),
    ]
    assert rows[1]["wall_time"] == markers[1].wall_time.isoformat(timespec="milliseconds")


def test_names_given_at_any_time_are_in_the_sidecar(recorder: Recorder, start: Callable[..., None]):
    recorder.set_names({1: "Ada"})
    start()
    recorder.write(make_result(0, 1, 2))
    recorder.set_names({1: "Ada", 2: "Grace"})
    assert read_sidecar(finish(recorder)).names == {1: "Ada", 2: "Grace"}


def test_what_is_changed_meanwhile_is_in_the_sidecar(
    recorder: Recorder, start: Callable[..., None], description: Description, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("app.take_thread.MEASURE_S", 0.01)
    start()
    recorder.write(make_result(0, 1))
    wait_for(lambda: recorder.status and recorder.status.rows == 1)
    description.settings = {"tracker": {"keep_alive_s": 1.5, "smoothing": {"method": "none"}}}
    time.sleep(0.1)
    recorder.write(make_result(1, 1))
    description.models = [{"name": "other", "sha256": "1" * 64}]
    time.sleep(0.1)
    sidecar = read_sidecar(finish(recorder))
    assert [change.settings for change in sidecar.changes] == [{"tracker.smoothing.method": "none"}, {}]
    assert sidecar.changes[0].models is None
    assert sidecar.changes[1].models == ({"name": "other", "sha256": "1" * 64},)
    assert sidecar.models[0]["name"] == "m"
    assert sidecar.settings["tracker"] == {"keep_alive_s": 1.5, "smoothing": {"method": "kalman"}}


def test_a_moment_without_a_model_changes_nothing(
    recorder: Recorder, tmp_path: Path, description: Description, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("app.take_thread.MEASURE_S", 0.01)
    described = [description(), {}, {}, description()]
    recorder.start(
        TakeOptions(tmp_path, "desk", False), STICK, CAMERA, lambda: described.pop(0) if described else {}
    )
    wait_for(lambda: not described)
    sidecar = read_sidecar(finish(recorder))
    assert (sidecar.status, sidecar.changes) == ("complete", ())
    assert sidecar.settings == description.settings


@pytest.mark.usefixtures("patient")
def test_a_camera_that_ran_for_an_hour_makes_a_video_that_starts_at_0(
    recorder: Recorder, start: Callable[..., None]
):
    start(clean_video=True)
    for index in range(10):
        recorder.write(make_result(90_000 + index, 1))
    status = finish(recorder)
    assert status.paths is not None and status.paths.clean_video is not None
    with open_source(status.paths.clean_video) as source:
        assert source.info.start_s == 0
        assert [frame.time_s for frame in source] == pytest.approx([index / 25 for index in range(10)])
    assert read_rows(status.paths.csv)[0]["time_s"] == "3600.000000"
    assert [point.model_dump() for point in read_sidecar(status).video_clock] == [
        {"video_s": 0.0, "time_s": 3600.0}
    ]


@pytest.mark.usefixtures("patient")
def test_a_film_that_is_sought_makes_a_video_without_gaps(recorder: Recorder, start: Callable[..., None]):
    start(CLIP, clean_video=True)
    for index in (0, 1, 2, 200, 201, 3, 4):
        recorder.write(make_result(index, 1))
    status = finish(recorder)
    assert status.paths is not None and status.paths.clean_video is not None
    with open_source(status.paths.clean_video) as source:
        assert [frame.time_s for frame in source] == pytest.approx([index / 25 for index in range(7)])
    sidecar = read_sidecar(status)
    assert [(point.video_s, point.time_s) for point in sidecar.video_clock] == [
        pytest.approx(pair) for pair in ((0, 0), (0.12, 8), (0.2, 0.12))
    ]
    assert "time_s jumps 2 times" in sidecar.warnings[0]


def test_the_frame_of_a_paused_film_is_recorded_once(recorder: Recorder, start: Callable[..., None]):
    start(CLIP)
    for index in (0, 1, 1, 1, 2):
        recorder.write(make_result(index, 1))
    assert finish(recorder).rows == 3


def test_an_encoder_that_is_behind_loses_pictures_and_no_rows(
    recorder: Recorder, start: Callable[..., None], monkeypatch: pytest.MonkeyPatch
):
    from engine.sinks.annotated_video import AnnotatedVideoSink

    make_picture = AnnotatedVideoSink._make_picture

    def make_slowly(sink: AnnotatedVideoSink, result: Result, time_s: float) -> object:
        time.sleep(0.02)
        return make_picture(sink, result, time_s)

    monkeypatch.setattr(AnnotatedVideoSink, "_make_picture", make_slowly)
    start(clean_video=True)
    wait_for(lambda: recorder.status and recorder.status.number)
    for index in range(120):
        recorder.write(make_result(index, 1))
        time.sleep(0.001)
    status = finish(recorder)
    assert (status.rows, status.lost_rows) == (120, 0)
    assert status.lost_video_frames > 20
    assert status.paths is not None and status.paths.clean_video is not None
    with open_source(status.paths.clean_video) as source:
        assert len(list(source)) == 120 - status.lost_video_frames
    lost = read_sidecar(status).lost
    assert lost == {"video frames": status.lost_video_frames, "clean video frames": status.lost_video_frames}


def test_a_disk_that_is_behind_never_holds_up_the_view_and_its_losses_are_counted(
    recorder: Recorder, start: Callable[..., None], monkeypatch: pytest.MonkeyPatch
):
    gate = threading.Event()
    monkeypatch.setattr("app.take_thread.ROWS_WAITING", 10)
    monkeypatch.setattr("app.take_files._make_folder", lambda folder: (gate.wait(5), folder.mkdir())[0])
    began = time.monotonic()
    start(clean_video=True)
    for index in range(30):
        recorder.write(make_result(index, 1, 2))
    assert time.monotonic() - began < 1
    status = recorder.status
    assert status is not None and (status.state, status.number) == ("recording", None)
    assert (status.lost_rows, status.lost_video_frames) == (40, 20)
    gate.set()
    status = finish(recorder)
    assert (status.state, status.rows, status.lost_rows) == ("done", 20, 40)
    # Of the ten that waited the last two had to give up their pictures.
    assert status.lost_video_frames == 22
    assert read_sidecar(status).lost["rows"] == 40


def test_a_folder_that_cannot_be_made_is_told_in_the_status(
    recorder: Recorder, start: Callable[..., None], tmp_path: Path
):
    (tmp_path / "takes").write_text("a file")
    start()
    wait_for(lambda: recorder.status and recorder.status.state == "failed")
    assert recorder.status is not None
    assert "cannot be made" in recorder.status.message
    assert not recorder.recording
    recorder.write(make_result(0, 1))
    (tmp_path / "takes").unlink()
    start()
    recorder.write(make_result(0, 1))
    assert finish(recorder).state == "done"


@pytest.mark.parametrize("file", ["csv", "video"])
def test_a_full_disk_ends_the_take_whole_and_nothing_else(
    recorder: Recorder, start: Callable[..., None], monkeypatch: pytest.MonkeyPatch, file: str
):
    def fail(_: object, result: Result, *more: object) -> bool:
        if result.frame.index >= 5:
            raise SinkError(
                "take.csv cannot be written: the disk is full; free some space or write elsewhere"
            )
        return True

    if file == "csv":
        from engine.sinks.csv_file import CsvSink

        write = CsvSink.write
        monkeypatch.setattr(CsvSink, "write", lambda sink, result: fail(sink, result) and write(sink, result))
    else:
        monkeypatch.setattr("engine.sinks.annotated_video.AnnotatedVideoSink.offer", fail)
    start(annotated_video=True)
    for index in range(10):
        recorder.write(make_result(index, 1))
    wait_for(lambda: recorder.status and recorder.status.state == "failed")
    recorder.write(make_result(11, 1))
    recorder.mark("lost")
    recorder.stop()
    status = recorder.status
    assert status is not None and status.paths is not None
    assert status.state == "failed" and "the disk is full" in status.message
    assert len(read_rows(status.paths.csv)) == status.rows + (file == "video")
    sidecar = read_sidecar(status)
    assert sidecar.status == "failed" and "the disk is full" in (sidecar.message or "")
    assert not [path for path in status.paths.csv.parent.iterdir() if path.name.startswith(".")]


@pytest.mark.skipif(sys.platform == "win32", reason="files in use cannot be removed there")
def test_a_folder_that_is_taken_away_ends_the_take(
    recorder: Recorder, start: Callable[..., None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("app.take_thread.MEASURE_S", 0.02)
    start(clean_video=True)
    recorder.write(make_result(0, 1))
    wait_for(lambda: recorder.status and recorder.status.rows == 1)
    (tmp_path / "takes").rename(tmp_path / "elsewhere")
    wait_for(lambda: recorder.status and recorder.status.state == "failed")
    assert recorder.status is not None
    assert "was removed while it was recorded" in recorder.status.message
    assert len(read_rows(tmp_path / "elsewhere" / "desk-take-001.csv")) == 1


def test_a_model_with_other_keypoints_ends_the_take_with_a_sentence(
    recorder: Recorder, start: Callable[..., None]
):
    start()
    recorder.write(make_result(0, 1))
    other = make_result(1)
    people = (make_person(1, count=5),)
    recorder.write(LiveResult(Result(other.result.frame, people), 0.0, 0.0))
    wait_for(lambda: recorder.status and recorder.status.state == "failed")
    status = finish(recorder)
    assert status.rows == 1 and "start a new take" in status.message


def test_an_error_that_nobody_thought_of_is_told_and_logged(
    recorder: Recorder, tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    def describe() -> dict[str, Any]:
        raise RuntimeError("no models here")

    recorder.start(TakeOptions(tmp_path, "desk"), STICK, CAMERA, describe)
    recorder.wait(5)
    assert recorder.status is not None
    assert (recorder.status.state, recorder.status.message) == ("failed", "the take ended: no models here")
    assert "a take ended unexpectedly" in caplog.text


def test_a_source_that_is_lost_does_no_harm(
    recorder: Recorder, start: Callable[..., None], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("app.take_thread.MEASURE_S", 0.01)
    monkeypatch.setattr("app.take_thread.SIDECAR_S", 0.03)
    start(clean_video=True)
    recorder.write(make_result(0, 1))
    wait_for(lambda: recorder.status and recorder.status.bytes)
    time.sleep(0.2)
    assert recorder.status is not None and recorder.status.state == "recording"
    assert read_sidecar(recorder.status).status == "recording"
    recorder.write(make_result(1, 1, time_s=3.0))
    status = finish(recorder)
    assert (status.state, status.rows, status.seconds) == ("done", 2, 3.0)


WRITER = textwrap.dedent(
    """
    import sys, time
    from pathlib import Path
    sys.path.insert(0, sys.argv[2])
    from test_takes import CAMERA, Description, STICK, make_result
    from app.takes import Recorder, TakeOptions

    recorder = Recorder()
    options = TakeOptions(Path(sys.argv[1]), "desk", annotated_video=True, clean_video=True)
    recorder.start(options, STICK, CAMERA, Description())
    begin = time.monotonic()
    index = 0
    while True:
        recorder.write(make_result(index, 1))
        if index == 20:
            recorder.mark("here")
        index += 1
        time.sleep(max(0.0, begin + index / 25 - time.monotonic()))
        print(index, flush=True)
    """
)


@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGKILL")
def test_a_killed_program_loses_the_last_second_at_most(tmp_path: Path):
    command = [sys.executable, "-c", WRITER, str(tmp_path), str(Path(__file__).parent)]
    process = subprocess.Popen(command, cwd=TREE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    with process:
        for line in process.stdout:
            if int(line) == 70:
                process.send_signal(signal.SIGKILL)
                break
        sent = max([70, *(int(line) for line in process.stdout if line.strip().isdigit())])
    stem = tmp_path / "desk-take-001"
    assert Path(f"{stem}.csv").read_bytes().endswith(b"\r\n")
    rows = read_rows(Path(f"{stem}.csv"))
    assert sent - 25 <= len(rows) <= sent + 1
    assert {None, ""}.isdisjoint(value for row in rows for value in row.values())
    assert [row["label"] for row in read_rows(Path(f"{stem}.markers.csv"))] == ["here"]
    assert Sidecar.model_validate_json(Path(f"{stem}.json").read_text()).status == "recording"
    for kind in ("tracked", "clean"):
        with open_source(Path(f"{stem}.{kind}.mp4")) as source:
            assert len(list(source)) >= sent - 1.2 * 25
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]
