from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from engine.errors import UsageError
from engine.skeleton import COCO17
from train.data.bottom_up_samples import BottomUpSamples
from train.data.bottom_up_targets import BottomUpCollate
from train.data.labels import ImageLabel
from train.data.samples import load_sources
from train.settings import AugmentSettings, DataSource, Stage

PLAIN = AugmentSettings(rotation_probability=0, colour_probability=0, lose_detail=0, cover=0, mosaic=0)
WILD = AugmentSettings(cover=1, lose_detail=1, mosaic=1)
PUBLISHED = PLAIN.model_copy(
    update={"view": "published", "scale": (0.75, 1.5), "rotation_deg": 30.0, "rotation_probability": 1.0}
)
STAGE = Stage(steps=1, input_size=(128, 128), batch=2, heatmap_sigma=1.5)


@pytest.fixture(scope="module")
def images(stick_people: Path) -> list[tuple[ImageLabel, float]]:
    return load_sources(
        [DataSource(annotations=stick_people / "people.json", images=stick_people / "images")], COCO17
    )


@pytest.mark.parametrize("sampling", ["weighted", "epochs"])
@pytest.mark.parametrize("augment", [WILD, PUBLISHED])
def test_a_sample_depends_on_seed_and_number_alone(images: list, augment, sampling) -> None:
    first, second = (
        BottomUpSamples(images, COCO17, (96, 64), augment, 3, sampling=sampling, cache_mib=mib)
        for mib in (0, 1)
    )
    for number in (11, 0, 5):
        for name, value in first[number].items():
            np.testing.assert_array_equal(value, second[number][name])
    other = BottomUpSamples(images, COCO17, (96, 64), augment, 4, sampling=sampling)
    assert not np.array_equal(first[0]["image"], other[0]["image"])


@pytest.mark.parametrize("augment", [PLAIN, PUBLISHED])
@pytest.mark.parametrize("convention", ["hrnet", "half-pixel", "udp"])
def test_keypoints_stay_on_the_drawn_people(images: list, augment, convention) -> None:
    samples = BottomUpSamples(images, COCO17, (192, 192), augment, 0, convention=convention)
    for number in range(8):
        sample = samples[number]
        inside = sample["points"][sample["weights"] > 0].round().astype(int).clip(0, 191)
        brightness = sample["image"][inside[:, 1], inside[:, 0]].max(axis=1)
        assert (brightness > 100).mean() > 0.85


def test_an_epoch_goes_through_the_pictures_with_people(images: list) -> None:
    nobody = replace(images[0][0], people=(), ignore_bboxes=np.zeros((0, 4), np.float32), ignore_mask=None)
    samples = BottomUpSamples([*images, (nobody, 1.0)], COCO17, (96, 64), PLAIN, 0, sampling="epochs")
    assert len(samples.order) == len(images)


def test_views_are_mirrored_as_often_as_the_settings_say(images: list) -> None:
    left, right = COCO17.keypoints.index("left_shoulder"), COCO17.keypoints.index("right_shoulder")
    for augment in (PLAIN, PUBLISHED):
        never, always = (
            BottomUpSamples(images, COCO17, (128, 128), augment.model_copy(update={"flip": flip}), 0)
            for flip in (0.0, 1.0)
        )
        for number in range(3):
            difference = np.abs(never[number]["image"][:, ::-1].astype(int) - always[number]["image"])
            assert difference.mean() < 2.0 or augment is PLAIN
            points = always[number]["points"]
            assert (points[:, left, 0] > points[:, right, 0]).all()


def test_extents_are_the_peoples_sides_in_the_input(images: list) -> None:
    upright = PUBLISHED.model_copy(update={"rotation_probability": 0.0})
    samples = BottomUpSamples(images, COCO17, (128, 128), upright, 0)
    for number in range(4):
        sample = samples[number]
        for points, extent in zip(sample["points"], sample["extents"]):
            height = np.ptp(points[:, 1]) + 8 * extent / 120
            assert extent == pytest.approx(height, rel=0.15)


@pytest.mark.parametrize("augment", [PLAIN.model_copy(update={"mosaic": 1.0}), PUBLISHED])
def test_batches_say_nothing_inside_ignored_regions(images: list, augment) -> None:
    with_crowd = [pair for pair in images if len(pair[0].ignore_bboxes)]
    samples = BottomUpSamples(with_crowd, COCO17, STAGE.input_size, augment, 0)
    collate = BottomUpCollate(STAGE)
    masked = sum(float((collate([samples[number]])["mask_2"] == 0).float().mean()) for number in range(8))
    assert masked > 0


def _left_part(size: tuple[int, int], share: float) -> np.ndarray:
    mask = np.zeros(size, bool)
    mask[:, : int(size[1] * share)] = True
    return mask


def test_an_outlined_region_is_ignored_exactly_and_instead_of_its_box(images: list) -> None:
    label = replace(
        images[0][0],
        people=images[2][0].people,
        path=images[2][0].path,
        ignore_bboxes=np.array([[0, 0, 200, 160]], np.float32),
        ignore_mask=partial(_left_part, share=0.5),
    )
    augment = PUBLISHED.model_copy(
        update={"scale": (1.0, 1.0), "rotation_probability": 0.0, "translate_px": 0.0, "flip": 0.0}
    )
    samples = BottomUpSamples([(label, 1.0)], COCO17, (128, 128), augment, 0, convention="hrnet")
    batch = BottomUpCollate(STAGE, targets="gaussian", convention="hrnet")([samples[0]])
    for stride in (4, 2):
        mask = batch[f"mask_{stride}"][0, 0].numpy()
        middle = 64 // stride
        assert (mask[:, : middle - 1] == 0).all()
        assert (mask[:, middle + 1 :] == 1).all()
    mirrored = BottomUpSamples(
        [(label, 1.0)], COCO17, (128, 128), augment.model_copy(update={"flip": 1.0}), 0, convention="hrnet"
    )[0]["ignored"]
    assert mirrored[:, 65:].all()
    assert not mirrored[:, :63].any()


def test_nobody_to_learn_from_is_an_error(images: list) -> None:
    with pytest.raises(UsageError, match="no labelled person"):
        BottomUpSamples([(replace(images[0][0], people=()), 1.0)], COCO17, (96, 64), PLAIN, 0)
