import json
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
from typer.testing import Result

from app import workers
from app.progress import SilentReporter

ROOT = Path(__file__).parents[2]
FRAMES = 250
BUSY = """
import multiprocessing, os, threading, time
from app import workers

def work(number):
    number.value = os.getpid()
    threading.Thread(target=workers._leave_with_parent, daemon=True).start()
    time.sleep(600)

if __name__ == "__main__":
    context = multiprocessing.get_context("fork")
    number = context.Value("i", 0)
    context.Process(target=work, args=(number,), daemon=True).start()
    while not number.value:
        time.sleep(0.01)
    print(number.value, flush=True)
    time.sleep(600)
"""
"""Prints the number of a worker of its own that asks nothing of its pipe."""
Track = Callable[..., Result]
posix = pytest.mark.skipif(os.name == "nt", reason="signals to another process are POSIX")


def start(*arguments: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "app", "track", *(str(argument) for argument in arguments)]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, cwd=ROOT, stdout=pipe, stderr=pipe, text=True, start_new_session=True)


def children(process: subprocess.Popen[str]) -> list[int]:
    """The workers of a batch: its children that were spawned, without the tracker of resources."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            command = (entry / "cmdline").read_bytes()
        except (OSError, ValueError):
            continue
        if parent == process.pid and b"spawn_main" in command:
            found.append(int(entry.name))
    return sorted(found)


def wait_until(condition: Callable[[], object], what: str) -> None:
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end, what
        time.sleep(0.02)


def has_rows(path: Path) -> bool:
    return path.exists() and path.stat().st_size > 10_000


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, write_clip: Callable[..., Path]) -> Path:
    """Two clips that take some seconds, and one that is none."""
    folder = tmp_path_factory.mktemp("in")
    for name in ("a", "b"):
        write_clip(folder / f"{name}.mp4", FRAMES)
    (folder / "broken.mp4").write_text("this is no video")
    return folder


@pytest.mark.slow
def test_workers_write_what_one_process_writes(track: Track, folder: Path, tmp_path: Path):
    one = track(folder, "--mode", "top-down", "--jobs", 1)
    (tmp_path / "out").rename(tmp_path / "one")
    two = track(folder, "--mode", "top-down", "--jobs", 2, "-v")
    assert one.exit_code == two.exit_code == 1
    assert "2 inputs at once, 1 threads each" in two.stderr and "broken.mp4" in two.stderr
    assert two.stdout.count(f"{FRAMES} frames") == 2
    for name in ("a.csv", "b.csv"):
        assert (tmp_path / "out" / name).read_bytes() == (tmp_path / "one" / name).read_bytes()


def test_models_that_cannot_be_opened_end_the_batch_before_it_starts(
    invoke: Track, folder: Path, tmp_path: Path
):
    models = ("--bottom-up-model", tmp_path / "no.onnx", "--mode", "bottom-up")
    result = invoke("track", folder, "--out", tmp_path / "out", "--jobs", 2, *models)
    assert result.exit_code == 2 and "no.onnx" in result.stderr


def test_the_steps_of_a_second_pass_travel_to_the_parent():
    ours, theirs = multiprocessing.Pipe()
    reports = workers._Reports(workers._Parent(theirs))
    reports.second_pass("smoothing", 0.0)
    reports.second_pass("smoothing", 0.1)
    reports.second_pass("writing", 0.0)
    pool = workers._Pool([], None, 0, heard := Heard())
    worker = SimpleNamespace(pipe=ours, task="a.mp4")
    while ours.poll():
        pool._hear(worker)
    # What follows at once within a step is left out, a new step never.
    assert heard.steps == [("a.mp4", "smoothing", 0.0), ("a.mp4", "writing", 0.0)]
    theirs.close()
    ours.close()


LINE = "x" * 100_000
"""Too long to be sent in one piece."""


def test_threads_of_a_worker_may_log_while_it_tells_of_its_frames():
    ours, theirs = multiprocessing.Pipe()
    parent, count = workers._Parent(theirs), 100
    threads = [threading.Thread(target=lambda: [parent.send(LINE) for _ in range(count)]) for _ in range(4)]
    for thread in threads:
        thread.start()
    assert {ours.recv() for _ in range(4 * count)} == {LINE}
    for thread in threads:
        thread.join()
    theirs.close()
    ours.close()


@pytest.mark.skipif(os.name == "nt", reason="real-time signals are POSIX")
def test_how_a_worker_ended_is_told_whatever_the_signal():
    ends = [workers._how_it_ended(code) for code in (-9, -35, 3)]
    assert ends == ["was ended by SIGKILL", "was ended by signal 35", "ended with code 3"]


class Heard:
    """Hears of the second pass."""

    def __init__(self) -> None:
        self.steps: list[tuple[object, str, float]] = []

    def second_pass(self, task: object, step: str, share: float) -> None:
        self.steps.append((task, step, share))


@pytest.mark.slow
@pytest.mark.parametrize("jobs", [1, 2])
def test_the_second_pass_of_each_input_is_shown_whoever_does_it(
    track: Track, write_clip: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, jobs: int
):
    steps: list[tuple[int, str]] = []

    class Shown(SilentReporter):
        def second_pass(self, step: str, share: float, key: int = 0) -> None:
            steps.append((key, step))

    monkeypatch.setattr("app.batch.make_reporter", lambda *_: Shown())
    clips = [write_clip(tmp_path / f"{name}.mp4", 20) for name in ("a", "b")]
    assert track(*clips, "--offline", "--mode", "bottom-up", "--jobs", jobs).exit_code == 0
    for key in (0, 1):
        shown = [step for number, step in steps if number == key]
        assert list(dict.fromkeys(shown)) == ["smoothing", "writing"]


@pytest.mark.slow
@posix
def test_a_stop_ends_all_workers_after_the_row_at_hand(
    folder: Path, tmp_path: Path, models: tuple[object, ...]
):
    out = tmp_path / "out"
    process = start(folder, "--out", out, "--jobs", 2, *models)
    wait_until(lambda: has_rows(out / "a.csv") and has_rows(out / "b.csv"), "no rows came")
    os.killpg(process.pid, signal.SIGINT)
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == 130, stderr
    assert stderr.splitlines()[-1] == "stopped by Ctrl-C: 0 of 3 inputs done" and "Traceback" not in stderr
    for name in ("a", "b"):
        assert json.loads((out / f"{name}.json").read_text())["status"] == "interrupted"
        assert (out / f"{name}.csv").read_bytes().endswith(b"\r\n")


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks up processes in /proc")
class TestLostProcesses:
    def test_an_input_whose_worker_is_killed_is_done_again(
        self, folder: Path, tmp_path: Path, models: tuple[object, ...]
    ):
        out = tmp_path / "out"
        process = start(folder, "--out", out, "--jobs", 2, *models)
        wait_until(lambda: has_rows(out / "a.csv") and has_rows(out / "b.csv"), "no rows came")
        os.kill(children(process)[0], signal.SIGKILL)
        _, stderr = process.communicate(timeout=120)
        assert process.returncode == 1 and "was ended by SIGKILL; it is done again" in stderr
        for name in ("a", "b"):
            told = json.loads((out / f"{name}.json").read_text())
            assert (told["status"], told["performance"]["frames_written"]) == ("complete", FRAMES)

    def test_workers_leave_when_their_parent_is_killed(
        self, folder: Path, tmp_path: Path, models: tuple[object, ...]
    ):
        out = tmp_path / "out"
        process = start(folder, "--out", out, "--jobs", 2, *models)
        wait_until(lambda: has_rows(out / "a.csv"), "no rows came")
        workers = children(process)
        process.kill()
        process.communicate(timeout=60)
        assert len(workers) == 2
        wait_until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in workers), "a worker stayed")
        assert json.loads((out / "a.json").read_text())["status"] == "recording"

    def test_a_worker_leaves_in_the_middle_of_a_long_step_too(self):
        """As smoothing hours of a recording again, during which the pipe is not looked at."""
        process = subprocess.Popen([sys.executable, "-c", BUSY], cwd=ROOT, stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        busy = int(process.stdout.readline())
        process.kill()
        process.communicate()
        wait_until(lambda: not Path(f"/proc/{busy}").exists(), "the worker stayed")
