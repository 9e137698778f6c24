import time
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from engine.errors import UsageError
from engine.skeleton import COCO17
from train.data.samples import (
    ensure_single_thread,
    epoch_length,
    load_sources,
    make_collate,
    make_dataset,
)
from train.settings import DataSource, TrainSettings


def settings_for(folder: Path, **changes: object) -> TrainSettings:
    values: dict[str, object] = {
        "name": "test",
        "kind": "top-down",
        "architecture": "hrnet_w16",
        "data": [{"annotations": folder / "people.json", "images": folder / "images"}],
        "stages": [{"steps": 1, "input_size": [96, 64], "batch": 2}],
    }
    return TrainSettings.model_validate(values | changes)


def test_nothing_to_learn_from_is_an_error(stick_people: Path) -> None:
    source = DataSource(
        annotations=stick_people / "people.json", images=stick_people / "images", source_weights={"": 0}
    )
    with pytest.raises(UsageError, match="no sample to learn from"):
        load_sources([source], COCO17)


def test_a_files_weights_add_up_to_its_share(stick_people: Path) -> None:
    source = DataSource(annotations=stick_people / "people.json", images=stick_people / "images", share=0.25)
    assert sum(weight for _, weight in load_sources([source, source], COCO17)) == pytest.approx(0.5)


@pytest.mark.parametrize("sampling", ["weighted", "epochs"])
def test_an_epoch_is_as_long_as_there_are_people_or_pictures(stick_people: Path, sampling: str) -> None:
    for kind, count in (("top-down", 18), ("bottom-up", 12)):
        settings = settings_for(stick_people, kind=kind, sampling=sampling)
        images = load_sources(settings.data, COCO17)
        assert epoch_length(settings, images) == count
        if sampling == "epochs":
            assert len(make_dataset(settings, settings.stages[0], images).order) == count


@pytest.mark.parametrize("targets", ["unbiased", "gaussian", "udp"])
@pytest.mark.parametrize("kind", ["top-down", "bottom-up"])
def test_the_settings_reach_samples_and_batches(stick_people: Path, kind: str, targets: str) -> None:
    settings = settings_for(
        stick_people, kind=kind, targets=targets, tag_losses=[False, True], max_people=3,
        tag_per_keypoint=False, scale_aware_sigma=True,
    )  # fmt: skip
    images = load_sources(settings.data, COCO17)
    stage = settings.stages[0]
    dataset = make_dataset(settings, stage, images)
    assert dataset.convention == settings.coordinates
    batch = make_collate(settings, stage)([dataset[0], dataset[1]])
    if kind == "top-down":
        assert set(batch) == {"image", "heatmaps", "weights", "absent"}
    else:
        assert {"heatmaps_4", "heatmaps_2", "mask_4", "mask_2", "indices_2"} < set(batch)
        assert batch["indices_2"].shape == (2, 3, 17, 2)
        assert int(batch["indices_2"][..., 0].max()) < 48 * 32
    assert batch["image"].shape == (2, 3, 96, 64)
    assert np.isfinite(batch["image"].numpy()).all()


def test_own_skeletons_are_opened_by_their_path(stick_people: Path, tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(f"keypoints: [{', '.join(COCO17.keypoints)}]\n")
    settings = settings_for(stick_people, skeleton=str(path))
    images = load_sources(settings.data, COCO17)
    dataset = make_dataset(settings, settings.stages[0], images)
    assert dataset.skeleton.name == "mine"
    assert dataset[0]["points"].shape == (17, 2)


@pytest.mark.parametrize("kind", ["top-down", "bottom-up"])
def test_a_worker_makes_the_same_batches_even_after_this_process_used_threads(
    stick_people: Path, kind: str
) -> None:
    threads = cv2.getNumThreads()
    cv2.setNumThreads(2)
    for _ in range(20):
        cv2.GaussianBlur(np.zeros((900, 900, 3), np.uint8), (0, 0), 3)
    time.sleep(0.3)  # until OpenCV's threads sleep: only then does a worker wait for them
    settings = settings_for(stick_people, kind=kind)
    stage = settings.stages[0]
    dataset = make_dataset(settings, stage, load_sources(settings.data, COCO17))
    collate = make_collate(settings, stage)
    loader = DataLoader(
        dataset, 2, sampler=range(4), num_workers=1, collate_fn=collate, worker_init_fn=ensure_single_thread,
        timeout=60,
    )  # fmt: skip
    for start, batch in zip((0, 2), loader, strict=True):
        here = collate([dataset[start], dataset[start + 1]])
        assert set(batch) == set(here)
        for name, value in here.items():
            torch.testing.assert_close(batch[name], value, rtol=0, atol=0)
    cv2.setNumThreads(threads)
