import csv
import json
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from typer.testing import Result

from app.batch_item import BatchItem, Job, QueueOptions, sum_up
from app.batch_queue import BatchQueue
from app.batch_recipe import Workbench
from app.batch_task import Outcome, Recipe, Task
from app.recording import WriteOptions
from app.resume import fingerprint_input
from engine import __version__
from engine.errors import SinkError
from engine.settings import EstimatorSettings, TrackSettings
from engine.sinks import formats
from engine.sinks.results_file import ResultsFile
from engine.stopping import StopRequest

FRAMES = 24
FORMATS = dict(formats.FORMATS)
WriteClip = Callable[..., Path]


def wait_until(condition: Callable[[], bool], timeout_s: float = 20) -> None:
    end = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < end, "it did not come about in time"
        time.sleep(0.005)


def states(queue: BatchQueue) -> list[str]:
    return [item.state for item in queue.snapshot()]


def add(queue: BatchQueue, *paths: Path) -> None:
    """Add, and wait until the paths were looked up."""
    queue.add(paths)
    wait_until(lambda: not queue._adding)


def finish(queue: BatchQueue) -> list[BatchItem]:
    wait_until(lambda: queue.totals().state == "idle")
    return queue.snapshot()


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


@pytest.fixture
def settings(top_down_file: Path, bottom_up_file: Path) -> TrackSettings:
    return TrackSettings(
        estimator=EstimatorSettings(
            top_down_model=str(top_down_file), bottom_up_model=str(bottom_up_file), threads=1
        )
    )


@pytest.fixture
def queue(settings: TrackSettings, tmp_path: Path) -> Iterator[BatchQueue]:
    queue = BatchQueue(QueueOptions(settings=settings, out=tmp_path / "out"))
    yield queue
    queue.close()
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("batch")]


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory, write_clip: WriteClip) -> list[Path]:
    folder = tmp_path_factory.mktemp("pair")
    return [write_clip(folder / f"{name}.mp4") for name in ("first", "second")]


@pytest.fixture(scope="module")
def long_clip(tmp_path_factory: pytest.TempPathFactory, write_clip: WriteClip) -> Path:
    return write_clip(tmp_path_factory.mktemp("long") / "long.mp4", 200)


@pytest.fixture
def cut_clip(tmp_path: Path, write_clip: WriteClip) -> Path:
    """A clip that breaks off in the middle."""
    data = write_clip(tmp_path / "whole.mkv", 60).read_bytes()
    path = tmp_path / "cut.mkv"
    path.write_bytes(data[: len(data) // 2])
    return path


def test_files_are_done_one_after_another_and_a_broken_one_stops_nobody(
    queue: BatchQueue, pair: list[Path], cut_clip: Path, tmp_path: Path
):
    add(queue, pair[0], cut_clip, pair[1])
    assert states(queue) == ["waiting"] * 3
    queue.start()
    first, broken, second = finish(queue)
    assert [first.state, broken.state, second.state] == ["done", "failed", "done"]
    assert "cut" in broken.message and broken.frames > 0 and not broken.overwritable
    assert first.message.startswith(f"{FRAMES} frames, 2 tracks") and first.share == 1
    assert {path.name for path in second.outputs} == {"second.csv", "second.json"}
    assert int(rows(tmp_path / "out" / "second.csv")[-1]["frame"]) == FRAMES - 1
    assert json.loads((tmp_path / "out" / "cut.json").read_text())["status"] == "failed"
    totals = queue.totals()
    assert (totals.items, totals.done, totals.failed, totals.waiting) == (3, 2, 1, 0)


def test_a_folder_stands_for_its_videos_and_what_is_no_input_is_named(
    queue: BatchQueue, pair: list[Path], tmp_path: Path
):
    (tmp_path / "empty").mkdir()
    add(queue, pair[0].parent, tmp_path / "empty", tmp_path / "nowhere.mp4")
    items = queue.snapshot()
    assert [item.name for item in items] == ["first.mp4", "second.mp4", "empty", "nowhere.mp4"]
    assert [item.state for item in items] == ["waiting", "waiting", "failed", "failed"]
    assert "holds no video" in items[2].message and "no such file" in items[3].message


def test_a_folder_that_held_nothing_is_looked_at_again_on_retry(
    queue: BatchQueue, clip: Path, tmp_path: Path
):
    later = tmp_path / "later"
    later.mkdir()
    add(queue, later)
    (later / "come.mp4").write_bytes(clip.read_bytes())
    queue.retry()
    queue.start()
    (item,) = finish(queue)
    assert (item.state, item.name) == ("done", "come.mp4")


def test_a_file_that_waits_is_not_taken_twice(queue: BatchQueue, clip: Path):
    add(queue, clip, clip)
    add(queue, clip)
    assert len(queue.snapshot()) == 1


def test_a_pause_holds_between_frames_and_goes_on_to_the_same_rows(
    queue: BatchQueue, long_clip: Path, tmp_path: Path
):
    add(queue, long_clip)
    begin = time.monotonic()
    queue.start()
    wait_until(lambda: queue.snapshot()[0].frames > 5)
    queue.pause()
    wait_until(lambda: queue.totals().state == "paused")
    time.sleep(0.1)
    held = queue.snapshot()[0]
    time.sleep(0.2)
    assert held.state == "paused" and queue.snapshot()[0].frames == held.frames < 200
    queue.start()
    (item,) = finish(queue)
    assert item.state == "done"
    assert int(rows(tmp_path / "out" / "long.csv")[-1]["frame"]) == 199
    told = json.loads((tmp_path / "out" / "long.json").read_text())
    assert told["performance"]["frames_written"] == 200
    assert told["performance"]["seconds"] < time.monotonic() - begin - 0.2, "a pause is no work"


def test_one_that_runs_can_be_cancelled_keeps_its_rows_and_can_be_retried(
    queue: BatchQueue, long_clip: Path, clip: Path, tmp_path: Path
):
    add(queue, long_clip, clip)
    queue.start()
    wait_until(lambda: queue.snapshot()[0].frames > 5)
    key = queue.snapshot()[0].key
    queue.cancel([key])
    items = finish(queue)
    assert [item.state for item in items] == ["cancelled", "done"]
    assert json.loads((tmp_path / "out" / "long.json").read_text())["status"] == "interrupted"
    assert rows(tmp_path / "out" / "long.csv")
    queue.retry([key])
    queue.start()
    assert finish(queue)[0].state == "done"


def test_one_that_waits_can_be_cancelled_or_taken_off(queue: BatchQueue, pair: list[Path]):
    add(queue, *pair)
    first, second = queue.snapshot()
    queue.cancel([first.key])
    assert states(queue) == ["cancelled", "waiting"]
    queue.remove([second.key])
    queue.start()
    assert [item.state for item in finish(queue)] == ["cancelled"]
    queue.clear_finished()
    assert queue.snapshot() == []


def test_one_that_is_paused_can_be_taken_off(queue: BatchQueue, long_clip: Path):
    add(queue, long_clip)
    queue.start()
    wait_until(lambda: queue.snapshot()[0].frames > 0)
    queue.pause()
    queue.remove([queue.snapshot()[0].key])
    assert finish(queue) == []


def test_results_that_exist_are_replaced_only_on_request(queue: BatchQueue, clip: Path, tmp_path: Path):
    out = tmp_path / "out"
    out.mkdir()
    (out / "clip.csv").write_text("precious")
    add(queue, clip)
    queue.start()
    (item,) = finish(queue)
    assert item.state == "failed" and item.overwritable
    assert "clip.csv exists already" in item.message and "overwrite" in item.message
    queue.retry()
    queue.start()
    assert finish(queue)[0].state == "failed"
    assert (out / "clip.csv").read_text() == "precious"
    queue.retry([item.key], overwrite=True)
    queue.start()
    assert finish(queue)[0].state == "done"
    assert len(rows(out / "clip.csv")) > FRAMES


def test_two_files_of_one_name_never_write_over_each_other(queue: BatchQueue, clip: Path, tmp_path: Path):
    other = tmp_path / "clip.mp4"
    other.write_bytes(clip.read_bytes())
    add(queue, clip, other)
    queue.start()
    first, second = finish(queue)
    assert (first.state, second.state) == ("done", "failed")
    assert str(clip) in second.message and not second.overwritable


def test_results_can_go_beside_each_file_and_with_a_video(
    settings: TrackSettings, clip: Path, tmp_path: Path
):
    copy = tmp_path / "walk.mp4"
    copy.write_bytes(clip.read_bytes())
    queue = BatchQueue(QueueOptions(settings=settings, video=True))
    add(queue, copy)
    queue.start()
    (item,) = finish(queue)
    queue.close()
    assert item.state == "done"
    names = {path.name for path in tmp_path.iterdir()}
    assert {"walk.csv", "walk.json", "walk.tracked.mp4"} <= names


def test_a_model_that_is_missing_fails_the_item_with_a_sentence(clip: Path, tmp_path: Path):
    settings = TrackSettings(estimator=EstimatorSettings(top_down_model=str(tmp_path / "no.onnx")))
    queue = BatchQueue(QueueOptions(settings=settings, out=tmp_path / "out"))
    add(queue, clip)
    queue.start()
    (item,) = finish(queue)
    queue.close()
    assert item.state == "failed" and "no.onnx" in item.message


def test_close_ends_a_run_at_once_with_its_files_closed(
    settings: TrackSettings, long_clip: Path, tmp_path: Path
):
    queue = BatchQueue(QueueOptions(settings=settings, out=tmp_path / "out"))
    add(queue, long_clip)
    queue.start()
    wait_until(lambda: queue.snapshot()[0].frames > 0)
    queue.pause()
    queue.close()
    assert states(queue) == ["cancelled"]
    assert json.loads((tmp_path / "out" / "long.json").read_text())["status"] == "interrupted"


def test_changes_are_told_from_the_working_thread(queue: BatchQueue, clip: Path):
    seen: set[str] = set()
    queue.on_change = lambda: seen.add(threading.current_thread().name)
    add(queue, clip)
    queue.start()
    finish(queue)
    assert {"batch add", "batch work"} <= seen


def test_time_left_and_share_follow_the_bytes_done():
    done = Job(1, Path("a"), size=100, state="done", seconds=10.0)
    running = Job(2, Path("b"), size=100, state="running", frames=50, total=100, seconds=5.0)
    waiting = Job(3, Path("c"), size=200, state="waiting")
    failed = Job(4, Path("d"), size=900, state="failed")
    totals = sum_up([done, running, waiting, failed], "running")
    assert totals.share == pytest.approx(150 / 400)
    assert totals.eta_s == pytest.approx(25.0)
    assert (totals.done, totals.waiting, totals.failed) == (1, 1, 1)


def test_an_item_of_unknown_length_has_no_share_and_no_time_left():
    item = Job(1, Path("a"), state="running", frames=5).item(paused=False)
    assert item.share is None and item.eta_s is None


@pytest.fixture
def tasks(monkeypatch: pytest.MonkeyPatch) -> list[Task]:
    """The tasks that reach the engine, which does nothing and says that all is well."""
    seen: list[Task] = []

    def note(task: Task, *_: object, **__: object) -> Outcome:
        seen.append(task)
        return Outcome(task.key, "complete", files=tuple(task.paths.all))

    monkeypatch.setattr("app.batch_queue.track_task", note)
    monkeypatch.setattr(Workbench, "open", lambda _self, recipe, _task: (recipe, None))
    return seen


@pytest.fixture
def write_results(write_stands: Callable[..., Path], tmp_path: Path) -> Callable[..., Path]:
    """Function that writes results of a clip as a run with some options would have made them."""

    def write(clip: Path, options: QueueOptions, status: str = "complete") -> Path:
        csv_path = write_stands(tmp_path / "out" / f"{clip.stem}.csv", [{1: 100.0}] * 3)
        sidecar_path = csv_path.with_suffix(".json")
        request = Workbench().recipe(options).request
        run = {
            "input": fingerprint_input(clip),
            "request": request.digest,
            "files": {csv_path.name: csv_path.stat().st_size},
        }
        changes = {
            "run": run,
            "status": status,
            "software_version": __version__,
            "settings": dict(request.settings),
        }
        content = {**json.loads(sidecar_path.read_text("utf-8")), **changes}
        sidecar_path.write_text(json.dumps(content), "utf-8")
        return csv_path

    return write


def do(queue: BatchQueue, *paths: Path) -> list[BatchItem]:
    """Add files and do all that waits."""
    add(queue, *paths)
    queue.start()
    return finish(queue)


def test_what_is_done_is_skipped_where_that_is_wanted(
    queue: BatchQueue, clip: Path, tasks: list[Task], write_results: Callable[..., Path]
):
    csv_path = write_results(clip, queue.options)
    before = csv_path.read_bytes()
    (item,) = do(queue, clip)
    assert item.state == "failed" and "skip what is done" in item.message and item.overwritable
    queue.set_options(replace(queue.options, skip_done=True))
    queue.retry()
    queue.start()
    (item,) = finish(queue)
    assert (item.state, item.done_before, item.frames) == ("done", True, 3)
    assert item.outputs[0] == csv_path and csv_path.read_bytes() == before
    assert queue.totals().done_before == 1 and not tasks


def test_what_was_begun_is_done_again_only_where_what_is_done_is_skipped(
    queue: BatchQueue, clip: Path, tasks: list[Task], write_results: Callable[..., Path]
):
    write_results(clip, queue.options, "interrupted")
    (item,) = do(queue, clip)
    assert item.state == "failed" and "is not finished" in item.message and not tasks
    queue.set_options(replace(queue.options, skip_done=True))
    queue.retry()
    queue.start()
    (item,) = finish(queue)
    assert (item.state, item.done_before) == ("done", False)
    assert [task.replace for task in tasks] == [True]


def test_results_of_other_options_are_never_skipped_nor_replaced_unasked(
    queue: BatchQueue, clip: Path, tasks: list[Task], write_results: Callable[..., Path]
):
    write_results(clip, queue.options)
    queue.set_options(replace(queue.options, skip_done=True, write=WriteOptions(raw=True)))
    (item,) = do(queue, clip)
    assert item.state == "failed" and item.overwritable and not tasks
    assert ", made with other " in item.message
    queue.retry([item.key], overwrite=True)
    queue.start()
    assert finish(queue)[0].state == "done" and tasks[0].replace


def test_what_is_done_is_done_again_where_it_is_to_be_replaced(
    queue: BatchQueue, clip: Path, tasks: list[Task], write_results: Callable[..., Path]
):
    write_results(clip, queue.options)
    queue.set_options(replace(queue.options, skip_done=True, write=WriteOptions(overwrite=True)))
    (item,) = do(queue, clip)
    assert item.state == "done" and not item.done_before and tasks[0].replace


def test_a_copy_under_another_path_is_not_taken_for_done_before(
    queue: BatchQueue, clip: Path, tasks: list[Task], tmp_path: Path, write_results: Callable[..., Path]
):
    write_results(clip, queue.options)
    queue.set_options(replace(queue.options, skip_done=True))
    copy = tmp_path / clip.name
    copy.write_bytes(clip.read_bytes())
    first, second = do(queue, clip, copy)
    assert first.done_before and second.state == "failed" and str(clip) in second.message


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("clip.coco.json", {"write": WriteOptions(formats=("coco",))}),
        ("clip.report.html", {"plots": True}),
    ],
)
def test_files_of_formats_and_plots_are_not_written_over(
    queue: BatchQueue, clip: Path, tasks: list[Task], tmp_path: Path, name: str, options: dict[str, Any]
):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / name).write_text("precious")
    queue.set_options(replace(queue.options, **options))
    (item,) = do(queue, clip)
    assert item.state == "failed" and item.overwritable and not tasks
    assert f"{name} exists already" in item.message


def test_another_file_of_the_queue_whose_format_has_this_name_is_told(
    queue: BatchQueue, clip: Path, tasks: list[Task], tmp_path: Path
):
    other = tmp_path / "clip.long.mp4"
    other.write_bytes(clip.read_bytes())
    add(queue, clip, other)
    queue._jobs[0].state, queue._jobs[0].outputs = "done", (tmp_path / "out" / "clip.long.csv",)
    queue.start()
    second = finish(queue)[1]
    assert second.state == "failed" and str(clip) in second.message and not second.overwritable


def test_a_missing_package_is_told_before_a_frame_is_followed(
    queue: BatchQueue, clip: Path, tasks: list[Task], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)
    queue.set_options(replace(queue.options, write=WriteOptions(formats=("c3d",))))
    (item,) = do(queue, clip)
    assert item.state == "failed" and 'pip install "steadypose[export]"' in item.message
    queue.set_options(replace(queue.options, write=WriteOptions(), plots=True))
    queue.retry()
    queue.start()
    (item,) = finish(queue)
    assert item.state == "failed" and "matplotlib" in item.message
    assert not tasks and not (tmp_path / "out").exists()


def test_changed_options_count_for_files_that_begin_later(
    queue: BatchQueue, pair: list[Path], monkeypatch: pytest.MonkeyPatch
):
    asked: list[tuple[str, ...]] = []

    def change(task: Task, recipe: Recipe, *_: object, **__: object) -> Outcome:
        asked.append(recipe.write.formats)
        queue.set_options(replace(queue.options, write=WriteOptions(formats=("trc",))))
        return Outcome(task.key, "complete")

    monkeypatch.setattr("app.batch_queue.track_task", change)
    monkeypatch.setattr(Workbench, "open", lambda _self, recipe, _task: (recipe, None))
    do(queue, *pair)
    assert asked == [(), ("trc",)]


def test_the_second_pass_is_told_and_counts_in_the_whole():
    job = Job(1, Path("a"), size=100, state="running")
    job.begin(10, (), StopRequest(), second_share=0.4)
    job.advance(10)
    assert job.item(paused=False).share == 1 and job.worked_size() == pytest.approx(60)
    job.smooth_again("smoothing", 0.5)
    assert job.item(paused=False).share == 0.5 and job.worked_size() == pytest.approx(60)
    job.smooth_again("writing", 0.25)
    assert job.worked_size() == pytest.approx(70)
    item = job.item(paused=False)
    assert (item.step, item.share, item.fps) == ("writing", 0.25, 0.0)
    job.end("done", "")
    assert job.item(paused=False).step is None and job.worked_size() == 100


def test_what_was_done_before_says_nothing_of_the_time_left():
    skipped = Job(1, Path("a"), size=1000, state="done", done_before=True)
    done = Job(2, Path("b"), size=100, state="done", seconds=10.0)
    waiting = Job(3, Path("c"), size=200)
    assert sum_up([skipped, done, waiting], "running").eta_s == pytest.approx(20.0)
    assert sum_up([skipped, waiting], "running").eta_s is None


@pytest.mark.slow
def test_the_command_line_and_the_queue_skip_what_the_other_has_done(
    queue: BatchQueue, pair: list[Path], track: Callable[..., Result], tmp_path: Path
):
    asked = ("--offline", "--fill-gap", "0.2", "--format", "coco,csv-long", "--raw", "-q")
    assert track(pair[0], *asked).exit_code == 0
    write = WriteOptions(raw=True, offline=True, formats=("csv-long", "coco"))
    settings = queue.options.settings
    queue.set_options(QueueOptions(settings, queue.options.out, write, fill_gap_s=0.2, skip_done=True))
    first, second = do(queue, *pair)
    assert first.state == "done", first.message
    assert (first.done_before, second.state, second.done_before) == (True, "done", False), second.message
    sidecar = tmp_path / "out" / "second.json"
    before = sidecar.stat().st_mtime_ns
    assert track(*pair, *asked, "--resume").exit_code == 0
    assert sidecar.stat().st_mtime_ns == before


@pytest.mark.slow
def test_a_format_that_cannot_be_written_fails_its_file_and_loses_nothing(
    queue: BatchQueue, pair: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    def write_sleap(results: ResultsFile, stem: Path) -> list[Path]:
        if results.name == "first":
            raise SinkError(f"{stem}.analysis.csv cannot be written: no space left on device")
        return FORMATS["trc"].write(results, stem)

    monkeypatch.setitem(formats.FORMATS, "sleap", replace(FORMATS["sleap"], write=write_sleap))
    queue.set_options(replace(queue.options, write=WriteOptions(formats=("sleap", "coco"))))
    first, second = do(queue, *pair)
    assert (first.state, second.state) == ("failed", "done") and not first.overwritable
    assert "no space left" in first.message and "\n" not in first.message
    assert not first.message.startswith(str(first.path)), "the table has a column for the file"
    assert len(rows(tmp_path / "out" / "first.csv")) > FRAMES
    assert (tmp_path / "out" / "first.coco.json").is_file()
    monkeypatch.setitem(formats.FORMATS, "sleap", FORMATS["sleap"])
    queue.retry()
    queue.start()
    assert finish(queue)[0].state == "done", "its own files are no obstacle"
    assert (tmp_path / "out" / "first.analysis.csv").is_file()
