import csv
import json
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from app.batch_item import BatchItem, Job, QueueOptions, sum_up
from app.batch_queue import BatchQueue
from engine.settings import EstimatorSettings, TrackSettings

FRAMES = 24
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
