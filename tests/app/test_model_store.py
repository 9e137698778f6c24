import contextlib
import hashlib
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

import app.model_store
from app.model_store import (
    CancelledError,
    JobProgress,
    ModelJob,
    StopSwitch,
    obtain_model,
    run_converter,
)
from engine.download import Patience
from engine.zoo_catalogue import CATALOGUE, PublishedModel
from engine.zoo_store import checkpoints_dir, downloaded_dir

NAME = "hrnet-w32-test-64x64"
CHECKPOINT = bytes(range(256)) * 4096
PIECE = 1 << 16
LITTLE = Patience(timeout_s=5, attempts=2, backoff_s=0.01)


@pytest.fixture
def gate() -> threading.Event:
    """While it is clear the store sends the first piece and waits."""
    opened = threading.Event()
    opened.set()
    return opened


@pytest.fixture(autouse=True)
def entry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, gate: threading.Event) -> Iterator[PublishedModel]:
    """A published model in a store on this machine, and a data folder of this test."""
    digest = hashlib.sha256(CHECKPOINT).hexdigest()
    changes = {"name": NAME, "path": f"a/test-{digest[:8]}.pth", "sha256_prefix": digest[:8]}
    made = CATALOGUE["hrnet-w32-coco-256x192"].model_copy(update=changes)
    monkeypatch.setitem(CATALOGUE, NAME, made)
    monkeypatch.setenv("STEADYPOSE_DATA_DIR", str(tmp_path / "data"))
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path != f"/{made.path}":
                self.send_error(404)
                return
            wanted = self.headers.get("Range", "bytes=0-")
            start = int(wanted.removeprefix("bytes=").rstrip("-"))
            self.send_response(206 if start else 200)
            self.send_header("Content-Length", str(len(CHECKPOINT) - start))
            self.send_header("ETag", '"one"')
            if start:
                self.send_header("Content-Range", f"bytes {start}-{len(CHECKPOINT) - 1}/{len(CHECKPOINT)}")
            self.end_headers()
            with contextlib.suppress(ConnectionError):
                for place in range(start, len(CHECKPOINT), PIECE):
                    self.wfile.write(CHECKPOINT[place : place + PIECE])
                    gate.wait(10)

        def log_message(self, *_: object) -> None:
            pass

    httpd = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=httpd.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    monkeypatch.setenv("STEADYPOSE_MODEL_STORE", f"http://127.0.0.1:{httpd.server_port}/")
    yield made
    gate.set()
    httpd.shutdown()
    httpd.server_close()
    thread.join()


@pytest.fixture
def converter(monkeypatch: pytest.MonkeyPatch, write_marker_model: Callable[..., Path]) -> list[list[str]]:
    """A converter that writes a marker model at once; the commands it was called with."""
    calls: list[list[str]] = []

    def run(command: list[str], _switch: StopSwitch) -> tuple[int, str]:
        calls.append(command)
        write_marker_model(Path(command[4]), "top-down")
        return 0, ""

    monkeypatch.setattr(app.model_store, "run_converter", run)
    monkeypatch.setattr(app.model_store, "find_spec", lambda name: object())
    return calls


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline, "it did not come about within ten seconds"
        time.sleep(0.005)


def test_a_job_fetches_and_converts_and_says_how_far_it_is(converter: list[list[str]], gate: threading.Event):
    gate.clear()
    job = ModelJob(NAME, patience=LITTLE)
    assert job.progress == JobProgress(0, None, "waiting") and not job.ended
    job.start()
    wait_until(lambda: job.progress.done_bytes > 0)
    assert job.progress.phase == "downloading" and job.progress.total_bytes == len(CHECKPOINT)
    gate.set()
    assert job.wait(10) and job.ended
    assert job.progress == JobProgress(len(CHECKPOINT), len(CHECKPOINT), "done")
    assert job.result == downloaded_dir() / f"{NAME}.onnx" and job.result.is_file() and job.message == ""
    assert len(converter) == 1 and list(checkpoints_dir().iterdir()) == []


def test_a_model_at_hand_is_done_at_once(converter: list[list[str]]):
    for _ in range(2):
        job = ModelJob(NAME, patience=LITTLE)
        job.start()
        assert job.wait(10) and job.progress.phase == "done"
    assert len(converter) == 1


def test_a_download_that_is_cancelled_goes_on_where_it_was(
    converter: list[list[str]], gate: threading.Event, entry: PublishedModel
):
    gate.clear()
    job = ModelJob(NAME, patience=LITTLE)
    job.start()
    wait_until(lambda: job.progress.done_bytes > 0)
    job.cancel()
    assert job.stopping
    gate.set()
    assert job.wait(10) and job.progress.phase == "cancelled" and not job.stopping
    assert (job.message, job.result, converter) == ("", None, [])
    kept = (checkpoints_dir() / f"{entry.file_name}.part").stat().st_size
    assert 0 < kept < len(CHECKPOINT)
    seen: list[JobProgress] = []
    obtain_model(entry, report=seen.append, patience=LITTLE)
    assert seen[0].done_bytes == kept and seen[-1].phase == "converting"


def test_a_job_that_was_cancelled_before_it_began_fetches_nothing(converter: list[list[str]]):
    job = ModelJob(NAME)
    job.cancel()
    job.start()
    assert job.wait(10) and job.progress.phase == "cancelled"
    assert not checkpoints_dir().exists()


def test_a_job_that_fails_says_why_in_one_sentence(
    converter: list[list[str]], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("STEADYPOSE_MODEL_STORE", "http://127.0.0.1:1/")
    job = ModelJob(NAME, patience=LITTLE)
    job.start()
    assert job.wait(10) and job.progress.phase == "failed"
    assert "the host cannot be reached" in job.message and "\n" not in job.message


def test_without_the_converter_the_sentence_has_the_install_line(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(app.model_store, "find_spec", lambda name: None)
    job = ModelJob(NAME, patience=LITTLE)
    job.start()
    assert job.wait(10) and job.progress.phase == "failed"
    assert "pip install '.[train]'" in job.message and "torch" in job.message


def test_a_defect_is_reported_too(monkeypatch: pytest.MonkeyPatch):
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("not foreseen")

    monkeypatch.setattr(app.model_store, "obtain_model", broken)
    job = ModelJob(NAME)
    job.start()
    assert job.wait(10) and job.progress.phase == "failed" and "not foreseen" in job.message


@pytest.fixture
def endless(tmp_path: Path) -> tuple[list[str], Path]:
    """A command that runs for long, and the file it writes its process id to."""
    note = tmp_path / "pid"
    code = f"import os, time; open({str(note)!r}, 'w').write(str(os.getpid())); time.sleep(60)"
    return [sys.executable, "-S", "-c", code], note


def test_a_conversion_is_ended_when_it_is_cancelled(endless: tuple[list[str], Path]):
    command, note = endless
    stop = threading.Event()
    failed: list[str] = []

    def run() -> None:
        try:
            run_converter(command, StopSwitch(stop))
        except CancelledError:
            failed.append("cancelled")

    thread = threading.Thread(target=run)
    thread.start()
    wait_until(lambda: note.is_file() and note.read_text() != "")
    stop.set()
    thread.join(10)
    assert failed == ["cancelled"]
    with pytest.raises(ProcessLookupError):
        os.kill(int(note.read_text()), 0)


def test_what_a_cancelled_conversion_was_writing_is_removed(
    entry: PublishedModel, monkeypatch: pytest.MonkeyPatch
):
    def run(command: list[str], switch: StopSwitch) -> tuple[int, str]:
        target = Path(command[4])
        target.with_name(f".{target.stem}.123.onnx").write_bytes(b"half")
        raise CancelledError

    monkeypatch.setattr(app.model_store, "run_converter", run)
    monkeypatch.setattr(app.model_store, "find_spec", lambda name: object())
    with pytest.raises(CancelledError):
        obtain_model(entry, report=lambda progress: None, patience=LITTLE)
    assert list(downloaded_dir().iterdir()) == []
    assert (checkpoints_dir() / entry.file_name).is_file()


def test_the_converter_tells_its_exit_code_and_errors():
    code = "import sys; print('error: no weights', file=sys.stderr); sys.exit(3)"
    assert run_converter([sys.executable, "-S", "-c", code], StopSwitch(threading.Event())) == (
        3,
        "error: no weights\n",
    )
