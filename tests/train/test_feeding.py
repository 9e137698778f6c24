import shutil
from pathlib import Path

import pytest

from engine.errors import SourceError, UsageError
from engine.skeleton import COCO17
from train.data.samples import load_sources
from train.distributed import Processes
from train.feeding import PartNumbers, feed_batches
from train.optimisation import make_plan
from train.settings import DataSource, TrainSettings


def settings(folder: Path, **changes: object) -> TrainSettings:
    values: dict = {
        "name": "x",
        "kind": "top-down",
        "architecture": "hrnet_w16",
        "data": [DataSource(annotations=folder / "people.json", images=folder / "images")],
        "stages": [
            {"steps": 2, "input_size": [64, 64], "batch": 7},
            {"steps": 1, "input_size": [32, 32], "batch": 4},
        ],
        "workers": 0,
    }
    return TrainSettings.model_validate(values | changes)


def numbers(run: TrainSettings, steps: range, parts: int, rank: int, world: int) -> list[list[int]]:
    return list(PartNumbers(make_plan(run, 1), steps, parts, Processes(rank, world)))


@pytest.mark.parametrize("world", [1, 2, 3])
@pytest.mark.parametrize("parts", [1, 2])
def test_processes_and_parts_share_out_each_batch_without_loss(
    stick_people: Path, world: int, parts: int
) -> None:
    each = [numbers(settings(stick_people), range(2), parts, rank, world) for rank in range(world)]
    for step in range(2):
        lists = [part for own in each for part in own[step * parts : (step + 1) * parts]]
        assert sorted(number for part in lists for number in part) == list(range(7 * step, 7 * step + 7))
        assert {len(part) for part in lists} <= {7 // (world * parts), 7 // (world * parts) + 1}


def test_a_run_that_goes_on_asks_for_the_samples_that_come_next(stick_people: Path) -> None:
    whole = numbers(settings(stick_people), range(2), 1, 0, 1)
    assert numbers(settings(stick_people), range(1, 2), 1, 0, 1) == whole[1:]


def test_a_batch_too_small_to_share_is_refused(stick_people: Path) -> None:
    with pytest.raises(UsageError, match="a batch of 7 cannot be split over 4 processes with accumulate 2"):
        numbers(settings(stick_people), range(1), 2, 0, 4)


def test_batches_come_with_their_stage_and_in_parts(stick_people: Path) -> None:
    run = settings(stick_people, accumulate=1)
    images = load_sources(run.data, COCO17)
    fed = list(feed_batches(run, make_plan(run, 1), images, 1, Processes()))
    assert [stage.batch for stage, _ in fed] == [7, 4]
    assert [tuple(parts[0]["image"].shape) for _, parts in fed] == [(7, 3, 64, 64), (4, 3, 32, 32)]


@pytest.mark.slow
@pytest.mark.parametrize("workers", [0, 1])
@pytest.mark.parametrize("damage", ["missing", "cut short"])
def test_a_picture_that_cannot_be_read_is_named_without_a_traceback_of_the_worker(
    stick_people: Path, tmp_path: Path, workers: int, damage: str
) -> None:
    folder = shutil.copytree(stick_people, tmp_path / "data")
    for path in (folder / "images").iterdir():
        if damage == "missing":
            path.unlink()
        else:
            path.write_bytes(path.read_bytes()[:20])
    run = settings(folder, workers=workers)
    feed = feed_batches(run, make_plan(run, 1), load_sources(run.data, COCO17), 0, Processes())
    with pytest.raises(SourceError, match=r"^image \S+\.png is (missing|damaged)") as caught:
        next(feed)
    assert "Traceback" not in str(caught.value)
    feed.close()
