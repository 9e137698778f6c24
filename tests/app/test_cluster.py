"""A batch on a cluster whose workers live in this process, so that each can be lost at a chosen moment."""

import csv
import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console

from app import cluster, cluster_ray, cluster_talk, cluster_worker
from app.batch import BatchOptions, run_batch
from app.cluster_ray import check_address, connected, import_ray, plan_workers, ray_line
from app.cluster_worker import ClusterWorker, describe_environment
from app.console import configure_logging
from app.outputs import OutputPaths
from app.recording import WriteOptions
from engine.errors import UsageError
from engine.pipeline import build_settings
from engine.settings import EstimatorSettings

FRAMES = 24


class RayError(Exception):
    pass


class RayActorError(RayError):
    pass


class RayTaskError(RayError):
    def __init__(self, cause: Exception) -> None:
        super().__init__(str(cause))
        self.cause = cause


class Ref:
    """What a call will have come to: all calls are done at once."""

    def __init__(self, value: object = None, error: Exception | None = None) -> None:
        self.value, self.error = value, error


class Handle:
    """An actor: calls its worker, and is lost before the call that `loses` says."""

    def __init__(self, ray: "FakeRay", worker: ClusterWorker, number: int) -> None:
        self.ray, self.worker, self.number, self.dead = ray, worker, number, False

    def __getattr__(self, name: str) -> SimpleNamespace:
        def call(*arguments: Any, **options: Any) -> Ref:
            self.dead = self.dead or self.ray.loses(self.number, name)
            if self.dead:
                return Ref(error=RayActorError("The actor died unexpectedly before finishing this task."))
            self.ray.calls.append((self.number, name))
            try:
                return Ref(getattr(self.worker, name)(*arguments, **options))
            except Exception as error:  # noqa: BLE001
                return Ref(error=RayTaskError(error))

        return SimpleNamespace(remote=call)


class FakeRay:
    """The part of Ray that is used, with some nodes. loses: whether actor `number` is lost at a call."""

    exceptions = SimpleNamespace(RayError=RayError, RayTaskError=RayTaskError, RayActorError=RayActorError)

    def __init__(self) -> None:
        self.resources: list[dict[str, float]] = [{"CPU": 1.0}, {"CPU": 1.0}]
        self.loses: Callable[[int, str], bool] = lambda number, name: False
        self.handles: list[Handle] = []
        self.calls: list[tuple[int, str]] = []
        self.options: dict[str, Any] = {}
        self.init_error: Exception | None = None
        self.is_up = False

    def init(self, **options: Any) -> None:
        if self.init_error is not None:
            raise self.init_error
        self.is_up = True

    def shutdown(self) -> None:
        self.is_up = False

    def nodes(self) -> list[dict[str, Any]]:
        return [{"Alive": True, "Resources": resources} for resources in self.resources]

    def remote(self, **options: Any) -> Callable[[type], SimpleNamespace]:
        self.options = options

        def make(kind: type, *arguments: Any) -> Handle:
            self.handles.append(Handle(self, kind(*arguments), len(self.handles)))
            return self.handles[-1]

        return lambda kind: SimpleNamespace(remote=lambda *arguments: make(kind, *arguments))

    def wait(self, refs: list[Ref], *, num_returns: int, timeout: float) -> tuple[list[Ref], list[Ref]]:
        return refs[:num_returns], refs[num_returns:]

    def get(self, ref: Ref) -> object:
        if ref.error is not None:
            raise ref.error
        return ref.value

    def kill(self, handle: Handle) -> None:
        handle.dead = True


@pytest.fixture
def ray(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeRay]:
    """A cluster of two nodes with a core each, and no waiting."""
    fake = FakeRay()
    monkeypatch.setattr(cluster_ray, "import_ray", lambda: fake)
    monkeypatch.setattr(cluster, "NEWS_S", 0.0)
    monkeypatch.setattr(cluster_worker, "PACKAGES", ())  # The log of this process is the driver's.
    yield fake
    assert not fake.is_up
    for handle in fake.handles:
        handle.worker.close()


@pytest.fixture
def folder(tmp_path: Path, clip: Path) -> Path:
    """Three clips, and one file that is none."""
    folder = tmp_path / "in"
    folder.mkdir()
    for name in "abc":
        (folder / f"{name}.mp4").write_bytes(clip.read_bytes())
    (folder / "broken.mp4").write_text("this is no video")
    return folder


def keep_last_news(worker: ClusterWorker, **values: Any) -> None:
    """In the place of `ClusterWorker._change`: an input that is over stays the one at hand."""
    if values != {"key": None}:
        worker._now = replace(worker._now, **values)


@pytest.fixture
def run(
    tmp_path: Path, top_down_file: Path, bottom_up_file: Path, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, str]]:
    """Function (inputs, **options of the batch) that tracks on the cluster: exit code, and stderr."""

    def track(*inputs: object, mode: str = "bottom-up", **options: Any) -> tuple[int, str]:
        values = {"mode": mode, "top_down_model": str(top_down_file), "bottom_up_model": str(bottom_up_file)}
        batch = BatchOptions(
            settings=build_settings(values | {"threads": 1}),
            out=tmp_path / "out",
            write=WriteOptions(),
            ray="auto",
        )
        console = Console(stderr=True, width=400, soft_wrap=True)
        configure_logging(console, 0)
        code = run_batch([str(text) for text in inputs], replace(batch, **options), console, 0)
        return code, capsys.readouterr().err

    return track


def sidecar(tmp_path: Path, name: str) -> dict[str, Any]:
    return json.loads((tmp_path / "out" / f"{name}.json").read_text("utf-8"))


def statuses(tmp_path: Path) -> dict[str, str]:
    with (tmp_path / "out" / "steadypose-batch.csv").open(newline="") as stream:
        return {Path(row["input"]).stem: row["status"] for row in csv.DictReader(stream)}


def leave_note(paths: OutputPaths) -> list[Path]:
    """Make a folder beside the results, as some formats do."""
    folder = paths.csv.with_suffix(".notes")
    folder.mkdir()
    (folder / "first.txt").write_text(paths.csv.name)
    return [folder]


ALL_BUT_ONE = {"a": "complete", "b": "complete", "c": "complete", "broken": "failed"}


def test_every_input_is_done_where_it_lies_and_a_broken_one_is_named(
    ray: FakeRay, run: Any, folder: Path, tmp_path: Path
) -> None:
    code, stderr = run(folder)
    assert code == 1 and "broken.mp4" in stderr
    assert statuses(tmp_path) == ALL_BUT_ONE
    assert sidecar(tmp_path, "a")["performance"]["frames_written"] == FRAMES
    assert not any(name in ("receive", "read") for _, name in ray.calls)
    assert not list((tmp_path / "out").glob(".steadypose*"))
    assert {number for number, _ in ray.calls} == {0, 1}


def test_the_files_are_those_of_a_run_on_one_machine(
    ray: FakeRay, run: Any, folder: Path, tmp_path: Path
) -> None:
    run(folder)
    (tmp_path / "out").rename(tmp_path / "cluster")
    run(folder, ray="")
    for name in "abc":
        ours, theirs = (tmp_path / where / f"{name}.csv" for where in ("cluster", "out"))
        assert ours.read_bytes() == theirs.read_bytes()
        told = json.loads((tmp_path / "cluster" / f"{name}.json").read_text())
        assert told["run"] == sidecar(tmp_path, name)["run"]


def test_workers_that_share_no_disk_are_sent_inputs_and_send_results_back(
    ray: FakeRay, run: Any, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cluster_worker, "_sees", lambda probe, token: False)
    monkeypatch.setattr(ClusterWorker, "look", lambda self, path, fingerprint: False)
    monkeypatch.setattr(cluster_talk, "PIECE_BYTES", 1000)
    code, stderr = run(folder, video=True, after=(leave_note,))
    assert code == 1 and statuses(tmp_path) == ALL_BUT_ONE
    told = sidecar(tmp_path, "a")
    assert told["source"]["path"] == str(folder / "a.mp4") and told["status"] == "complete"
    sizes = {name: (tmp_path / "out" / name).stat().st_size for name in ("a.csv", "a.tracked.mp4")}
    assert told["run"]["files"] == {**sizes, "a.notes": len("a.csv")}
    assert (tmp_path / "out" / "a.notes" / "first.txt").read_text() == "a.csv"
    assert str(folder / "broken.mp4") in stderr and "steadypose-worker" not in stderr
    for handle in ray.handles:
        handle.worker.clear()
    assert run(folder, resume=True, video=True)[0] == 1
    assert statuses(tmp_path)["a"] == "done before"


@pytest.mark.slow
def test_formats_a_second_pass_and_reports_are_those_of_a_run_on_one_machine(
    ray: FakeRay, run: Any, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("matplotlib")
    monkeypatch.setattr(cluster_worker, "_sees", lambda probe, token: False)
    monkeypatch.setattr(ClusterWorker, "look", lambda self, path, fingerprint: False)
    write = WriteOptions(formats=("coco", "csv-long", "trc"), offline=True)
    assert run(folder / "a.mp4", write=write, plots=True)[0] == 0
    (tmp_path / "out").rename(tmp_path / "cluster")
    assert run(folder / "a.mp4", write=write, plots=True, ray="")[0] == 0
    ours, theirs = (
        {path.name: path.read_bytes() for path in (tmp_path / where).iterdir() if path.suffix != ".json"}
        for where in ("cluster", "out")
    )
    assert ours == theirs and {"a.csv", "a.long.csv", "a.track1.trc", "a.report.html"} <= set(ours)
    told = json.loads((tmp_path / "cluster" / "a.json").read_text())
    assert told["run"] == sidecar(tmp_path, "a")["run"] and told["offline"]


def test_how_far_a_second_pass_is_comes_from_the_worker(
    ray: FakeRay, run: Any, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[tuple[str, str, float]] = []
    # The stand-in's work is over before anybody can ask: news are those of its last moment.
    monkeypatch.setattr(ClusterWorker, "_change", keep_last_news)
    monkeypatch.setattr(
        "app.batch._Batch.second_pass",
        lambda self, task, step, share: told.append((task.item.label, step, share)),
    )
    assert run(folder / "a.mp4", write=WriteOptions(offline=True))[0] == 0
    assert told and {label for label, _, _ in told} == {str(folder / "a.mp4")}
    assert {step for _, step, _ in told} == {"writing"} and told[-1][2] > 0.9


def test_a_folder_of_images_is_sent_whole(
    ray: FakeRay, run: Any, marker_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ClusterWorker, "look", lambda self, path, fingerprint: False)
    assert run(marker_folder)[0] == 0
    assert sidecar(tmp_path, "frames")["frames_read"] == FRAMES


def test_the_input_of_a_lost_worker_is_done_again_by_another(
    ray: FakeRay, run: Any, folder: Path, tmp_path: Path
) -> None:
    ray.loses = lambda number, name: number == 0 and name == "work"
    _, stderr = run(folder)
    assert statuses(tmp_path) == ALL_BUT_ONE
    assert "was lost (The actor died unexpectedly" in stderr and "it is done again" in stderr
    assert len(ray.handles) == 3


def test_an_input_that_costs_three_workers_is_given_up(
    ray: FakeRay, run: Any, clip: Path, tmp_path: Path
) -> None:
    ray.loses = lambda number, name: name == "work"
    code, stderr = run(clip)
    assert code == 1 and "its worker was lost 3 times" in stderr
    assert len(ray.handles) == 3


def test_a_node_with_other_code_is_refused_and_the_others_do_the_work(
    ray: FakeRay, run: Any, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    true = ClusterWorker.greet

    def greet(self: ClusterWorker, *arguments: Any) -> Any:
        greeting = true(self, *arguments)
        if self is ray.handles[0].worker:
            environment = {**greeting.environment, "SteadyPose": "0.0.9"}
            return replace(greeting, node="old", environment=environment)
        return greeting

    monkeypatch.setattr(ClusterWorker, "greet", greet)
    _, stderr = run(folder)
    assert "node old has another environment: SteadyPose is 0.0.9, here it is" in stderr
    assert statuses(tmp_path) == ALL_BUT_ONE
    assert not any(number == 0 and name == "work" for number, name in ray.calls)


def test_a_cluster_of_nothing_but_other_code_is_refused_before_anything_is_done(
    ray: FakeRay, run: Any, clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    environment = {**describe_environment(), "its code": "other"}
    monkeypatch.setattr(cluster, "describe_environment", lambda: environment)
    with pytest.raises(UsageError, match=r"its code is .*, here it is other; install the same SteadyPose"):
        run(clip)


def test_other_versions_of_libraries_are_told_and_used(
    ray: FakeRay, run: Any, clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    environment = {**describe_environment(), "numpy": "1.0"}
    monkeypatch.setattr(cluster, "describe_environment", lambda: environment)
    code, stderr = run(clip)
    assert code == 0 and "(here 1.0): its results may differ" in stderr


def test_a_node_without_the_model_says_so(
    ray: FakeRay, run: Any, clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*arguments: Any) -> None:
        raise UsageError("no model is called so")

    monkeypatch.setattr(cluster_worker, "make_request", refuse)
    with pytest.raises(UsageError, match="cannot open the models: no model is called so; give every node"):
        run(clip)


def test_workers_that_never_start_end_the_batch_with_a_line(ray: FakeRay, run: Any, clip: Path) -> None:
    ray.loses = lambda number, name: name == "greet"
    with pytest.raises(UsageError, match="a worker of the cluster did not start: The actor died"):
        run(clip)


def test_what_auto_chooses_is_chosen_once_and_by_a_worker(
    ray: FakeRay, run: Any, folder: Path, tmp_path: Path
) -> None:
    run(folder, mode="auto")
    assert [name for _, name in ray.calls].count("choose") in (1, 2)  # The first input may be the broken one.
    choices = [sidecar(tmp_path, name)["choice"] for name in "abc"]
    assert choices[0] == choices[1] == choices[2] and choices[0]["threads"] == 1


def test_a_chooser_that_is_lost_is_followed_by_another(
    ray: FakeRay, run: Any, folder: Path, tmp_path: Path
) -> None:
    ray.loses = lambda number, name: number == 0 and name == "choose"
    run(folder, mode="auto")
    assert statuses(tmp_path) == ALL_BUT_ONE


def test_a_defect_in_a_worker_fails_its_input_only(
    ray: FakeRay, run: Any, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    true = ClusterWorker.work

    def work(self: ClusterWorker, task: Any, *arguments: Any, **options: Any) -> Any:
        if task.item.stem == "b":
            raise ZeroDivisionError("by hand")
        return true(self, task, *arguments, **options)

    monkeypatch.setattr(ClusterWorker, "work", work)
    code, stderr = run(folder)
    assert code == 1 and "ZeroDivisionError: by hand" in stderr
    assert statuses(tmp_path) == ALL_BUT_ONE | {"b": "failed"}


def test_a_stop_is_passed_on_and_rows_are_kept(
    ray: FakeRay, run: Any, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    true = ClusterWorker.work

    def work(self: ClusterWorker, *arguments: Any, **options: Any) -> Any:
        self.stop()
        return true(self, *arguments, **options)

    monkeypatch.setattr(ClusterWorker, "work", work)
    run(folder / "a.mp4", folder / "b.mp4")
    assert set(statuses(tmp_path).values()) == {"interrupted"}
    assert sidecar(tmp_path, "a")["status"] == "interrupted"
    assert sidecar(tmp_path, "a")["performance"]["frames_written"] == 1


@pytest.mark.parametrize(
    ("nodes", "settings", "count", "needs"),
    [
        ([{"CPU": 8.0}, {"CPU": 3.0}], {}, 5, {"num_cpus": 2}),
        ([{"CPU": 8.0}, {"CPU": 3.0}], {"threads": 4}, 2, {"num_cpus": 4}),
        ([{"CPU": 1.0}], {}, 1, {"num_cpus": 1}),
        ([{"CPU": 64.0, "GPU": 4.0}, {"CPU": 64.0}], {}, 4, {"num_gpus": 1, "num_cpus": 1}),
        ([{"CPU": 4.0, "GPU": 1.0}], {"runtime": "onnxruntime"}, 2, {"num_cpus": 2}),
    ],
)
def test_there_is_one_worker_per_gpu_or_else_per_some_cores(
    nodes: list[dict[str, float]], settings: dict[str, Any], count: int, needs: dict[str, int]
) -> None:
    ray = FakeRay()
    ray.resources = nodes
    plan = plan_workers(ray, EstimatorSettings(**settings))
    plan.hire(SimpleNamespace)
    assert plan.count == count and needs.items() <= ray.options.items()
    assert ("num_gpus" in ray.options) == ("num_gpus" in needs)


def test_a_cluster_without_a_worker_to_give_is_refused() -> None:
    ray = FakeRay()
    with pytest.raises(UsageError, match="2 CPUs and 0 GPUs on 2 nodes, and --threads asks for 4"):
        plan_workers(ray, EstimatorSettings(threads=4))


@pytest.mark.parametrize("address", ["ray://head:10001", "head", "head:", "", ":6379"])
def test_what_is_no_address_is_refused(address: str) -> None:
    with pytest.raises(UsageError, match="auto, local or HOST:PORT"):
        check_address(address)


def test_an_address_where_nobody_is_is_refused_at_once() -> None:
    with pytest.raises(UsageError, match=r"127\.0\.0\.1:1: nothing answers there"):
        check_address("127.0.0.1:1")


def test_a_cluster_that_ray_does_not_find_is_told_in_one_line(ray: FakeRay, run: Any, clip: Path) -> None:
    ray.init_error = ConnectionError("Could not find any running Ray instance.\nPlease specify more.")
    with pytest.raises(UsageError, match=r"--ray auto: Could not find any running Ray instance; `ray start"):
        run(clip)


def test_without_ray_the_install_line_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "ray", None)
    with pytest.raises(UsageError, match=r'pip install "steadypose\[cluster\]"'):
        import_ray()


def test_jobs_and_a_cluster_exclude_each_other(run: Any, clip: Path) -> None:
    with pytest.raises(UsageError, match="--jobs is for this machine alone"):
        run(clip, jobs=2)


def test_a_page_of_an_error_becomes_its_telling_line() -> None:
    page = "\x1b[36mray::f()\x1b[39m\n  File x\nModuleNotFoundError: No module named 'app'\nThe end"
    assert ray_line(RayError(page)) == "ModuleNotFoundError: No module named 'app'"
    assert ray_line(RayTaskError(KeyError("x"))) == "KeyError: 'x'"
    assert ray_line(RayError("")) == "RayError"


def test_pages_of_rays_own_thread_do_not_come_among_the_results(
    ray: FakeRay, capsys: pytest.CaptureFixture[str]
) -> None:
    with connected("auto"):
        thread = threading.Thread(target=print, args=("page",), name="ray_listen_error_messages")
        thread.start()
        thread.join()
        print("result")
    assert capsys.readouterr().out == "result\n"
