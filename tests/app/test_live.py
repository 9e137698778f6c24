import csv
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from typer.testing import Result

from app import live as module
from app import take_files
from engine.errors import SinkError
from engine.sources import camera

ROOT = Path(__file__).parents[2]


@pytest.fixture
def record(
    invoke: Callable[..., Result], models: tuple[object, ...], tmp_path: Path
) -> Callable[..., Result]:
    """Function that runs `live` with the marker models into tmp_path / "out"."""

    def run(*arguments: object) -> Result:
        return invoke("live", *arguments, "--out", tmp_path / "out", "--mode", "bottom-up", *models)

    return run


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def files_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []


def one_sentence(result: Result) -> str:
    """The one line of an error; there is no other, and no traceback."""
    (line,) = result.stderr.strip().splitlines()
    assert line.startswith("error: ")
    return line


def test_a_camera_is_recorded_for_so_long_with_wall_times(
    record: Callable[..., Result], mjpeg_server: Any, tmp_path: Path
) -> None:
    result = record(mjpeg_server.address, "--seconds", 1.5, "--keep-empty", "--video")
    assert result.exit_code == 0, result.stderr
    (path,) = (tmp_path / "out").glob("*-take-001.csv")
    rows = rows_of(path)
    assert len(rows) >= 10
    assert all(row["wall_time"].startswith("20") for row in rows)
    sidecar = json.loads(path.with_suffix(".json").read_text("utf-8"))
    assert sidecar["status"] == "complete"
    assert sidecar["performance"]["frames_written"] == len({row["frame"] for row in rows})
    assert path.with_suffix(".tracked.mp4").stat().st_size > 0
    assert f"-> {path}" in result.stdout


def test_a_source_pulled_away_ends_its_take_whole_and_begins_the_next_when_it_is_back(
    record: Callable[..., Result], mjpeg_server: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.sources.live.FIRST_RETRY_S", 0.05)
    out = tmp_path / "out"

    def has_rows(pattern: str) -> bool:
        return any(path.stat().st_size > 2000 for path in out.glob(pattern))

    def disturb() -> None:
        wait_for(lambda: has_rows("*-001.csv"))
        mjpeg_server.stop()
        wait_for(lambda: "complete" in "".join(path.read_text() for path in out.glob("*-001.json")))
        mjpeg_server.start()
        wait_for(lambda: has_rows("*-002.csv"))
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=disturb)
    thread.start()
    result = record(mjpeg_server.address, "--keep-empty")
    thread.join()
    assert result.exit_code == 130
    assert [name for name in files_in(out) if name.endswith(".json")] == [
        path.with_suffix(".json").name for path in sorted(out.glob("*.csv"))
    ]
    assert len(result.stdout.splitlines()) == 2
    assert "was lost; the next take begins when it is back" in result.stderr
    for path in out.glob("*.csv"):
        assert path.read_bytes().endswith(b"\r\n")
        assert json.loads(path.with_suffix(".json").read_text("utf-8"))["status"] == "complete"


def wait_for(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline, "it did not come"
        time.sleep(0.02)


def test_a_video_is_recorded_from_its_first_frame_to_its_last(
    record: Callable[..., Result], clip: Path, tmp_path: Path
) -> None:
    result = record(clip, "--keep-empty")
    assert result.exit_code == 0, result.stderr
    rows = rows_of(tmp_path / "out" / "clip-take-001.csv")
    assert sorted({int(row["frame"]) for row in rows}) == list(range(24))
    assert "take 1: 0:01, 24 frames" in result.stdout
    assert record(clip, "--quiet").stdout == ""
    assert "clip-take-002.csv" in files_in(tmp_path / "out")


def test_a_camera_that_is_not_there_is_told_and_nothing_written(
    record: Callable[..., Result], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(camera, "enumerate_cameras", lambda _backend: [])
    result = record("7")
    assert result.exit_code == 2
    assert "there is no camera 7: no camera is connected" in one_sentence(result)
    assert files_in(tmp_path / "out") == []


def test_a_camera_in_use_is_told_and_nothing_written(
    record: Callable[..., Result], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Busy:
        def __init__(self, *_: object) -> None: ...

        def isOpened(self) -> bool:
            return False

        def release(self) -> None: ...

    there = SimpleNamespace(index=0, name="Desk camera", path=str(tmp_path), backend=0)
    monkeypatch.setattr(camera, "enumerate_cameras", lambda _backend: [there])
    monkeypatch.setattr(camera.cv2, "VideoCapture", Busy)
    result = record("0")
    assert result.exit_code == 2
    assert "Desk camera cannot be opened" in one_sentence(result)
    assert files_in(tmp_path / "out") == []


def test_an_address_where_nothing_answers_is_told_without_what_is_secret(
    record: Callable[..., Result], tmp_path: Path
) -> None:
    result = record("http://anna:s3cret@127.0.0.1:9/video?user=anna&pwd=s3cret")
    assert result.exit_code == 2
    assert "127.0.0.1:9" in one_sentence(result)
    assert "s3cret" not in result.stdout + result.stderr
    assert files_in(tmp_path / "out") == []


def test_no_password_is_in_any_file_or_its_name(
    record: Callable[..., Result], mjpeg_server: Any, tmp_path: Path
) -> None:
    address = mjpeg_server.address.replace("//", "//anna:s3cret@")
    result = record(address, "--seconds", 0.5, "-vv")
    assert result.exit_code == 0, result.stderr
    assert files_in(tmp_path / "out")
    told = result.stdout + result.stderr + "".join(files_in(tmp_path / "out"))
    told += "".join(path.read_text("utf-8") for path in (tmp_path / "out").iterdir())
    assert "s3cret" not in told and "anna" not in told


def test_a_folder_that_cannot_be_written_is_told_before_anything_is_opened(
    invoke: Callable[..., Result], mjpeg_server: Any, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("in the way")
    result = invoke("live", mjpeg_server.address, "--out", tmp_path / "file" / "out")
    assert result.exit_code == 2
    assert "cannot be written" in one_sentence(result)
    assert mjpeg_server.connections == 0


@pytest.mark.parametrize("seconds", ["0", "-3", "nan"])
def test_a_duration_that_is_none_is_refused(record: Callable[..., Result], clip: Path, seconds: str) -> None:
    result = record(clip, f"--seconds={seconds}")
    assert result.exit_code == 2
    assert "--seconds must be above 0" in one_sentence(result)


def test_a_model_that_cannot_be_had_is_told_while_the_source_opens(
    invoke: Callable[..., Result], mjpeg_server: Any, tmp_path: Path
) -> None:
    result = invoke("live", mjpeg_server.address, "--out", tmp_path, "--bottom-up-model", "no-such-model")
    assert result.exit_code == 2
    assert "no-such-model" in one_sentence(result)
    assert files_in(tmp_path) == []


def test_a_full_disk_ends_the_recording_with_a_sentence(
    record: Callable[..., Result], mjpeg_server: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_files: object, _result: object) -> None:
        raise SinkError("no space is left on the disk; free some, or choose another folder")

    monkeypatch.setattr(take_files.TakeFiles, "write_rows", full)
    result = record(mjpeg_server.address)
    assert result.exit_code == 1
    assert one_sentence(result) == "error: no space is left on the disk; free some, or choose another folder"


def test_a_source_that_breaks_in_the_middle_ends_with_what_was_recorded(
    record: Callable[..., Result], clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    update = module.LiveSession.show

    def show(session: Any, live: Any, *, fresh: bool) -> None:
        update(session, live, fresh=fresh)
        if live.result.frame.index == 10:
            raise SinkError("the wire was cut; mend it")

    monkeypatch.setattr(module.LiveSession, "show", show)
    result = record(clip, "--keep-empty")
    assert result.exit_code == 1
    assert "error: the wire was cut; mend it" in result.stderr
    assert len(rows_of(tmp_path / "out" / "clip-take-001.csv")) >= 11


@pytest.mark.skipif(os.name == "nt", reason="signals to another process are POSIX")
def test_ctrl_c_leaves_whole_files_and_exit_code_130(
    mjpeg_server: Any, tmp_path: Path, models: tuple[object, ...]
) -> None:
    command = [sys.executable, "-m", "app", "live", mjpeg_server.address, "--out", tmp_path, "--keep-empty"]
    process = subprocess.Popen(
        [str(word) for word in (*command, *models)],
        cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    wait_for(lambda: any(path.stat().st_size > 5000 for path in tmp_path.glob("*.csv")))
    process.send_signal(signal.SIGINT)
    stdout, stderr = process.communicate(timeout=60)
    assert process.returncode == 130, stderr
    assert "Traceback" not in stderr and stderr.splitlines()[-1] == "stopped by Ctrl-C"
    (path,) = tmp_path.glob("*.csv")
    assert path.read_bytes().endswith(b"\r\n") and str(path) in stdout
    sidecar = json.loads(path.with_suffix(".json").read_text("utf-8"))
    assert sidecar["status"] == "complete"
    assert sidecar["performance"]["frames_written"] == len({row["frame"] for row in rows_of(path)})


def test_a_signal_before_the_first_frame_ends_at_once(
    record: Callable[..., Result], mjpeg_server: Any, tmp_path: Path
) -> None:
    mjpeg_server.silent = True
    threading.Timer(0.7, lambda: os.kill(os.getpid(), signal.SIGINT)).start()
    result = record(mjpeg_server.address)
    assert result.exit_code == 130
    assert result.stderr.splitlines() == ["stopped by Ctrl-C"]
    assert files_in(tmp_path / "out") == []


def test_nothing_of_a_recording_outlives_it(record: Callable[..., Result], clip: Path) -> None:
    before = set(threading.enumerate())
    assert record(clip).exit_code == 0
    assert {thread.name for thread in set(threading.enumerate()) - before} == set()
