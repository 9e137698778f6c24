"""A real cluster of two nodes on this machine, one core each; workers are killed in the middle of their work.

Run it with its log: ``pytest -m slow -s tests/app/test_cluster_of_two_nodes.py``.
"""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

pytest.importorskip("ray")
ROOT = Path(__file__).parents[2]
FRAMES, CLIPS = 250, 4
PATIENCE_S = 180
NOT_COMPARED = {"created", "performance"}
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks up processes in /proc"),
]
ENVIRONMENT = {**os.environ, "RAY_USAGE_STATS_ENABLED": "0", "PYTHONPATH": str(ROOT)}
CLUSTER = """
import sys
from ray.cluster_utils import Cluster
node = {"num_cpus": 1, "object_store_memory": 100 << 20}
cluster = Cluster(initialize_head=True, head_node_args=node | {"include_dashboard": False})
cluster.add_node(**node)
print(cluster.address, flush=True)
sys.stdin.read()
cluster.shutdown()
"""
BATCH = """
import sys
from pathlib import Path
from app.batch import BatchOptions, run_batch
from app.console import configure_logging, make_console
from app.recording import WriteOptions
from engine.pipeline import build_settings

address, out, folder, top_down, bottom_up = sys.argv[1:]
models = {"top_down_model": top_down, "bottom_up_model": bottom_up, "mode": "top-down", "threads": 1}
where = {"out": Path(out), "write": WriteOptions(), "ray": address}
batch = BatchOptions(settings=build_settings(models), resume=True, **where)
console = make_console()
configure_logging(console, 1)
sys.exit(run_batch([folder], batch, console, 1))
"""
Start = Callable[..., "subprocess.Popen[str]"]


def wait_until(condition: Callable[[], object], what: str) -> None:
    end = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < end, what
        time.sleep(0.02)


def processes(word: bytes, parents: set[int] | None = None) -> set[int]:
    """Processes with a word in their command, of these parents if given."""
    found = set()
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError, ValueError):
            parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            if word in (entry / "cmdline").read_bytes() and (parents is None or parent in parents):
                found.add(int(entry.name))
    return found


def frames_are_written(path: Path) -> bool:
    return path.exists() and path.stat().st_size > 10_000


def compared(path: Path) -> dict[str, object]:
    told = json.loads(path.read_text("utf-8"))
    return {name: value for name, value in told.items() if name not in NOT_COMPARED}


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of a cluster of two nodes; none of its processes is left afterwards."""
    before = processes(b"raylet") | processes(b"gcs_server")
    # What a killed worker leaves goes to the folder of the tests; Ray's own sockets need a short path.
    scratch = {"TMPDIR": str(tmp_path_factory.mktemp("scratch")), "RAY_TMPDIR": tempfile.gettempdir()}
    process = subprocess.Popen(
        [sys.executable, "-c", CLUSTER], env=ENVIRONMENT | scratch, text=True, start_new_session=True,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    assert process.stdout is not None
    address = process.stdout.readline().strip()
    assert address, "the cluster did not start"
    yield address
    process.communicate("")
    wait_until(lambda: processes(b"raylet") | processes(b"gcs_server") <= before, "Ray left processes")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, write_clip: Callable[..., Path]) -> Path:
    """Clips that take some seconds each, and one that is none."""
    folder = tmp_path_factory.mktemp("in")
    first = write_clip(folder / "clip0.mp4", FRAMES)
    for number in range(1, CLIPS):
        shutil.copy(first, folder / f"clip{number}.mp4")
    (folder / "broken.mp4").write_text("this is no video")
    return folder


@pytest.fixture
def start(folder: Path, top_down_file: Path, bottom_up_file: Path) -> Start:
    """Function (address, out) that starts a batch over the folder, "" for this machine alone."""

    def begin(address: str, out: Path) -> "subprocess.Popen[str]":
        arguments = [address, out, folder, top_down_file, bottom_up_file]
        pipe = subprocess.PIPE
        return subprocess.Popen(
            [sys.executable, "-W", "error", "-c", BATCH, *(str(argument) for argument in arguments)],
            env=ENVIRONMENT, stdout=pipe, stderr=pipe, text=True, start_new_session=True, cwd=ROOT,
        )  # fmt: skip

    return begin


def test_with_a_worker_killed_in_the_middle_the_files_are_those_of_one_machine(
    cluster: str, start: Start, tmp_path: Path
) -> None:
    calm, out = tmp_path / "calm", tmp_path / "out"
    alone = start("", calm)
    alone.communicate(timeout=PATIENCE_S)
    assert alone.returncode == 1
    begin = time.monotonic()
    process = start(cluster, out)
    wait_until(lambda: len([path for path in out.glob("*.csv") if frames_are_written(path)]) >= 2, "no rows")
    workers = processes(b"ray::ClusterWorker")
    print(f"\n{len(workers)} workers at work after {time.monotonic() - begin:.1f} s; one is killed")
    assert len(workers) == 2
    os.kill(min(workers), signal.SIGKILL)
    stdout, stderr = process.communicate(timeout=PATIENCE_S)
    print(f"over after {time.monotonic() - begin:.1f} s\n{stdout}{stderr}")
    assert process.returncode == 1
    assert "was lost (The actor died" in stderr and "it is done again" in stderr
    assert "(raylet)" not in stdout + stderr
    assert "1 of 5 inputs failed" in stderr and "broken.mp4" in stderr and "Traceback" not in stderr
    for number in range(CLIPS):
        name = f"clip{number}"
        assert (out / f"{name}.csv").read_bytes() == (calm / f"{name}.csv").read_bytes()
        assert compared(out / f"{name}.json") == compared(calm / f"{name}.json")
    assert not list(out.glob(".steadypose*"))
    wait_until(lambda: not processes(b"ray::ClusterWorker"), "a worker stayed")


def test_ctrl_c_ends_all_workers_after_the_row_at_hand(cluster: str, start: Start, tmp_path: Path) -> None:
    out = tmp_path / "out"
    process = start(cluster, out)
    wait_until(lambda: len([path for path in out.glob("*.csv") if frames_are_written(path)]) >= 2, "no rows")
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 130, stderr
    assert "stopped by Ctrl-C" in stderr.splitlines()[-1] and "Traceback" not in stderr
    found = [json.loads(path.read_text())["status"] for path in out.glob("clip*.json")]
    assert found.count("interrupted") == 2
    assert all(path.read_bytes().endswith(b"\r\n") for path in out.glob("clip*.csv"))
    assert not list(out.glob(".steadypose*"))
    wait_until(lambda: not processes(b"ray::ClusterWorker"), "a worker stayed")


def test_workers_end_when_the_command_is_killed_and_another_machine_does_what_is_left(
    cluster: str, start: Start, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    process = start(cluster, out)
    wait_until(lambda: len([path for path in out.glob("*.csv") if frames_are_written(path)]) >= 2, "no rows")
    process.kill()
    process.communicate(timeout=PATIENCE_S)
    wait_until(lambda: not processes(b"ray::ClusterWorker"), "a worker stayed")
    found = [json.loads(path.read_text())["status"] for path in out.glob("clip*.json")]
    assert found.count("recording") == 2
    again = start("", out)
    _, stderr = again.communicate(timeout=PATIENCE_S)
    assert again.returncode == 1 and "1 of 5 inputs failed" in stderr
    assert all(json.loads(path.read_text())["status"] == "complete" for path in out.glob("clip*.json"))


def test_an_address_of_a_cluster_that_is_gone_is_told_in_one_line(start: Start, tmp_path: Path) -> None:
    process = start("127.0.0.1:1", tmp_path / "out")
    _, stderr = process.communicate(timeout=PATIENCE_S)
    assert process.returncode != 0 and "nothing answers there" in stderr.splitlines()[-1]
