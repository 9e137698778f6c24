import csv
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LONG = 600
pytestmark = pytest.mark.skipif(os.name == "nt", reason="signals to another process are POSIX")


@pytest.fixture(scope="module")
def long_clip(tmp_path_factory: pytest.TempPathFactory, write_clip: Callable[..., Path]) -> Path:
    """A video that takes some seconds to track."""
    return write_clip(tmp_path_factory.mktemp("long") / "long.mp4", LONG)


def start(arguments: list[object]) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "app", "track", *(str(argument) for argument in arguments)]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def wait_for_rows(path: Path, process: subprocess.Popen[str], size: int = 20_000) -> None:
    end = time.monotonic() + 60
    while not (path.exists() and path.stat().st_size > size):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < end, "no rows came"
        time.sleep(0.01)


@pytest.mark.parametrize(
    ("number", "code", "reason"), [(signal.SIGINT, 130, "Ctrl-C"), (signal.SIGTERM, 143, "SIGTERM")]
)
def test_a_stop_leaves_whole_rows_a_sidecar_that_says_so_and_one_line(
    tmp_path: Path, long_clip: Path, clip: Path, models: tuple[object, ...],
    number: signal.Signals, code: int, reason: str,
):  # fmt: skip
    out = tmp_path / "out"
    process = start([long_clip, clip, "--out", out, *models])
    wait_for_rows(out / "long.csv", process)
    process.send_signal(number)
    stdout, stderr = process.communicate(timeout=60)
    assert process.returncode == code
    assert stderr.splitlines()[-1] == f"stopped by {reason}: 0 of 2 inputs done"
    assert "Traceback" not in stderr and "long.mp4 (interrupted): " in stdout
    assert (out / "long.csv").read_bytes().endswith(b"\r\n")
    with (out / "long.csv").open(newline="", encoding="utf-8") as stream:
        rows = list(csv.reader(stream))
    assert len({len(row) for row in rows}) == 1
    told = json.loads((out / "long.json").read_text("utf-8"))
    assert told["status"] == "interrupted"
    assert told["performance"]["frames_written"] == int(rows[-1][0]) + 1 < LONG
    assert not (out / "clip.csv").exists()


def test_killed_outright_the_csv_still_holds_whole_rows(
    tmp_path: Path, long_clip: Path, models: tuple[object, ...]
):
    out = tmp_path / "out"
    process = start([long_clip, "--out", out, *models])
    wait_for_rows(out / "long.csv", process)
    process.kill()
    process.communicate(timeout=60)
    data = (out / "long.csv").read_bytes()
    assert data.endswith(b"\r\n")
    assert len({line.count(b",") for line in data.splitlines()}) == 1


def test_without_a_terminal_there_are_no_control_codes(
    clip: Path, tmp_path: Path, models: tuple[object, ...]
):
    process = start([clip, "--out", tmp_path / "out", "-v", *models])
    stdout, stderr = process.communicate(timeout=60)
    assert process.returncode == 0
    assert stderr and "\x1b" not in stdout + stderr and "\r" not in stdout + stderr
