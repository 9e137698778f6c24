"""A batch that is killed with SIGKILL again and again and resumed, held against an undisturbed one.

Run it with its log: ``pytest -m slow -s tests/app/test_kill_and_resume.py``.
"""

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
KILLS, CLIPS, FRAMES = 10, 24, 100
PATIENCE_S = 300
NOT_COMPARED = {"created", "performance"}
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(os.name == "nt", reason="kills a group of processes, which is POSIX"),
]


def start(folder: Path, out: Path, jobs: int, models: tuple[object, ...]) -> subprocess.Popen[bytes]:
    arguments = ["track", folder, "--out", out, "--resume", "--quiet", "--video", "--jobs", jobs, *models]
    command = [sys.executable, "-m", "app", *(str(argument) for argument in arguments)]
    return subprocess.Popen(command, cwd=ROOT, start_new_session=True)


def wait_until_at_work(process: subprocess.Popen[bytes], out: Path, since: float) -> None:
    """Wait until a process has begun with a clip, or is over."""
    end = time.monotonic() + PATIENCE_S
    while process.poll() is None and time.monotonic() < end:
        if any(path.stat().st_mtime >= since for path in out.glob("clip*.csv")):
            return
        time.sleep(0.01)


def states(out: Path) -> str:
    """How many clips are done, and which are begun with how many rows."""
    done, begun = 0, []
    for path in sorted(out.glob("clip*.json")):
        status = json.loads(path.read_text("utf-8"))["status"]
        done += status == "complete"
        if status != "complete":
            rows = path.with_suffix(".csv")
            count = rows.read_bytes().count(b"\n") if rows.exists() else 0
            begun.append(f"{path.stem} {status} with {count} lines")
    return f"{done} complete, {', '.join(begun) or 'none begun'}"


def compared(path: Path) -> dict[str, object]:
    told = json.loads(path.read_text("utf-8"))
    return {name: value for name, value in told.items() if name not in NOT_COMPARED}


@pytest.mark.parametrize("jobs", [1, 2])
def test_killed_at_random_moments_and_resumed_the_files_are_those_of_an_undisturbed_run(
    tmp_path: Path, write_clip: Callable[..., Path], models: tuple[object, ...], jobs: int
):
    folder = tmp_path / "in"
    folder.mkdir()
    for number in range(CLIPS):
        write_clip(folder / f"clip{number}.mp4", FRAMES)
    # `auto` measures the machine, and two fresh batches may choose differently.
    options = (*models, "--mode", "top-down")
    calm, killed = tmp_path / "calm", tmp_path / "killed"
    begin = time.monotonic()
    assert start(folder, calm, jobs, options).wait(PATIENCE_S) == 0
    print(f"\njobs {jobs}: undisturbed in {time.monotonic() - begin:.1f} s")
    # Counted from the first row on, so that a busy machine is killed at work too.
    moments = random.Random(jobs)
    for kill in range(1, KILLS + 1):
        process = start(folder, killed, jobs, options)
        wait_until_at_work(process, killed, time.time())
        wait_s = moments.uniform(0.05, 3.0)
        time.sleep(wait_s)
        assert process.poll() is None, "the batch was over before it was killed so often; take more clips"
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        print(f"kill {kill:2} after {wait_s:.2f} s at work: {states(killed)}")
    assert start(folder, killed, jobs, options).wait(PATIENCE_S) == 0
    print(f"resumed to the end: {states(killed)}")
    names = sorted(path.name for path in calm.iterdir())
    assert sorted(path.name for path in killed.iterdir()) == names
    for name in names:
        if name.endswith(".json"):
            assert compared(killed / name) == compared(calm / name), name
        elif name != "steadypose-batch.csv":
            assert (killed / name).read_bytes() == (calm / name).read_bytes(), name
    print(f"{len(names)} files alike: rows and videos byte for byte, sidecars but for times")
