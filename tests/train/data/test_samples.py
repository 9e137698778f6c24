from pathlib import Path

import numpy as np
import pytest
import torch

from engine.errors import UsageError
from engine.geometry import heatmap_to_input
from engine.skeleton import COCO17
from train.data.labels import ImageLabel
from train.data.samples import (
    BottomUpCollate,
    BottomUpSamples,
    TopDownCollate,
    TopDownSamples,
    load_sources,
)
from train.settings import AugmentSettings, DataSource, Stage

PLAIN = AugmentSettings(
    half_body=0, scale=(1.0, 1.0), shift=0, rotation_probability=0, any_rotation=0, colour_probability=0,
    lose_detail=0, cover=0, cut=0, mosaic=0,
)  # fmt: skip
WILD = AugmentSettings(cut=1, cover=1, lose_detail=1, any_rotation=0.5, half_body=1)


@pytest.fixture(scope="module")
def images(stick_people: Path) -> list[tuple[ImageLabel, float]]:
    return load_sources(
        [DataSource(annotations=stick_people / "people.json", images=stick_people / "images")], COCO17
    )


@pytest.mark.parametrize("kind", [TopDownSamples, BottomUpSamples])
def test_a_sample_depends_on_seed_and_number_alone(kind: type, images: list) -> None:
    first, second = (kind(images, COCO17, (96, 64), WILD, 3) for _ in range(2))
    for number in (0, 5, 11):
        for name, value in first[number].items():
            np.testing.assert_array_equal(value, second[number][name])
    assert not np.array_equal(first[0]["image"], kind(images, COCO17, (96, 64), WILD, 4)[0]["image"])


def test_keypoints_stay_on_the_drawn_person_mirrored_or_not(images: list) -> None:
    samples = TopDownSamples(images, COCO17, (192, 128), PLAIN, 0)
    for number in range(12):
        sample = samples[number]
        inside = sample["points"][sample["weights"] > 0].round().astype(int)
        brightness = sample["image"][inside[:, 1].clip(0, 191), inside[:, 0].clip(0, 127)].max(axis=1)
        assert (brightness > 110).mean() > 0.9


def test_mirroring_keeps_left_on_the_persons_left(images: list) -> None:
    samples = TopDownSamples(images, COCO17, (192, 128), PLAIN, 0)
    left, right = COCO17.keypoints.index("left_shoulder"), COCO17.keypoints.index("right_shoulder")
    for number in range(12):
        points = samples[number]["points"]
        assert points[left, 0] > points[right, 0]


def test_a_keypoint_cut_off_is_told_absent_not_present(images: list) -> None:
    samples = TopDownSamples(images, COCO17, (96, 64), PLAIN.model_copy(update={"cut": 1.0}), 1)
    absent = [samples[number]["absent"].sum() for number in range(12)]
    assert sum(absent) > 0
    for number in range(12):
        sample = samples[number]
        assert not (sample["weights"][sample["absent"] > 0] > 0).any()


def test_top_down_heatmaps_peak_at_the_keypoints(images: list) -> None:
    stage = Stage(steps=1, input_size=(128, 96), batch=4, heatmap_sigma=1.5)
    samples = TopDownSamples(images, COCO17, stage.input_size, PLAIN, 0)
    items = [samples[number] for number in range(4)]
    batch = TopDownCollate(stage)(items)
    assert batch["image"].shape == (4, 3, 128, 96)
    flat = batch["heatmaps"].flatten(2).argmax(dim=2).numpy()
    peaks = np.stack([flat % 24, flat // 24], axis=-1)
    back = heatmap_to_input(peaks, (32, 24), (128, 96), "half-pixel")
    for item, found in zip(items, back, strict=True):
        present = item["weights"] > 0
        assert np.abs(found - item["points"])[present].max() <= 2.0 + 1e-4


def test_bottom_up_batches_say_nothing_inside_ignored_regions(images: list) -> None:
    stage = Stage(steps=1, input_size=(128, 128), batch=2, heatmap_sigma=1.5)
    samples = BottomUpSamples(images, COCO17, stage.input_size, PLAIN.model_copy(update={"mosaic": 1.0}), 0)
    collate = BottomUpCollate(stage)
    masked = 0.0
    for start in range(0, 20, 2):
        batch = collate([samples[start], samples[start + 1]])
        assert batch["heatmaps_4"].shape == (2, 17, 32, 32)
        assert batch["mask_2"].shape == (2, 17, 64, 64)
        used = batch["indices_4"][..., 1] > 0
        values = batch["heatmaps_4"].flatten(1)[torch.arange(2)[:, None], batch["indices_4"][..., 0].flatten(1)]
        assert (values[used.flatten(1)] > 0.6).all()
        masked += float((batch["mask_2"] == 0).float().mean())
    assert masked > 0


def test_nothing_to_learn_from_is_an_error(stick_people: Path) -> None:
    source = DataSource(
        annotations=stick_people / "people.json", images=stick_people / "images", source_weights={"": 0}
    )
    with pytest.raises(UsageError, match="no sample to learn from"):
        load_sources([source], COCO17)
