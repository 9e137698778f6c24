from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch

from engine.decode.peaks import refine_peaks
from engine.errors import UsageError
from engine.geometry import heatmap_to_input
from engine.skeleton import COCO17
from train.data.bottom_up_samples import BottomUpCollate, BottomUpSamples
from train.data.labels import ImageLabel
from train.data.samples import load_sources
from train.settings import CONVENTIONS, AugmentSettings, DataSource, Stage, TargetKind

PLAIN = AugmentSettings(rotation_probability=0, colour_probability=0, lose_detail=0, cover=0, mosaic=0)
WILD = AugmentSettings(cover=1, lose_detail=1, mosaic=1)
PUBLISHED = PLAIN.model_copy(
    update={"view": "published", "scale": (0.75, 1.5), "rotation_deg": 30.0, "rotation_probability": 1.0}
)
STAGE = Stage(steps=1, input_size=(128, 128), batch=2, heatmap_sigma=1.5)
KINDS: tuple[TargetKind, ...] = ("unbiased", "gaussian", "udp")


@pytest.fixture(scope="module")
def images(stick_people: Path) -> list[tuple[ImageLabel, float]]:
    return load_sources(
        [DataSource(annotations=stick_people / "people.json", images=stick_people / "images")], COCO17
    )


def sample_at(points: np.ndarray, size: tuple[int, int] = (128, 128)) -> dict[str, np.ndarray]:
    """A sample of people (P, K, 2) whose every keypoint is labelled."""
    return {
        "image": np.zeros((*size, 3), np.uint8),
        "points": points.astype(np.float32),
        "weights": np.ones(points.shape[:2], np.float32),
        "extents": np.full(len(points), 100, np.float32),
        "unknown": np.zeros((0, 5), np.float32),
        "ignored": np.zeros((0, 0), bool),
    }


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


@pytest.mark.parametrize("targets", KINDS)
@pytest.mark.parametrize("tags", [(True, False), (False, True), (True, True, True), (True,)])
def test_there_is_a_target_for_every_output(images: list, targets: TargetKind, tags) -> None:
    samples = BottomUpSamples(images, COCO17, (128, 128), WILD, 0)
    collate = BottomUpCollate(
        STAGE, targets=targets, convention=CONVENTIONS[targets][0], tag_losses=tags, max_people=5
    )
    batch = collate([samples[0], samples[1]])
    expected: dict[str, tuple[int, ...]] = {"image": (2, 3, 128, 128)}
    for stride, has_tags in zip((4, 2, 1), tags):
        side = 128 // stride
        expected |= dict.fromkeys((f"heatmaps_{stride}", f"mask_{stride}"), (2, 17, side, side))
        if has_tags:
            expected[f"indices_{stride}"] = (2, 5, 17, 2)
    assert {name: tuple(value.shape) for name, value in batch.items()} == expected
    assert all(value.dtype == torch.float32 for name, value in batch.items() if name[:2] in ("he", "ma"))


@pytest.mark.parametrize("targets", KINDS)
@pytest.mark.parametrize("per_keypoint", [True, False])
def test_tags_are_read_where_the_heatmaps_peak(images: list, targets: TargetKind, per_keypoint: bool) -> None:
    convention = CONVENTIONS[targets][0]
    samples = BottomUpSamples(images, COCO17, (128, 128), PLAIN, 0, convention=convention)
    collate = BottomUpCollate(
        STAGE, targets=targets, convention=convention, tag_per_keypoint=per_keypoint, tag_losses=(True, True)
    )
    batch = collate([samples[number] for number in range(6)])
    for stride in (4, 2):
        indices, used = batch[f"indices_{stride}"][..., 0], batch[f"indices_{stride}"][..., 1] > 0
        maps = batch[f"heatmaps_{stride}"]
        if not per_keypoint:
            assert int(indices.max()) < maps[0, 0].numel()
            maps = maps.max(dim=1, keepdim=True).values
        values = maps.flatten(1)[torch.arange(6)[:, None], indices.flatten(1)]
        assert used.any()
        # Half a px off on both axes a Gaussian of 1.5 px has exp(-0.5 / 4.5) = 0.89 left.
        assert float(values[used.flatten(1)].min()) > 0.88


@pytest.mark.parametrize("targets", KINDS)
@pytest.mark.parametrize("stride", [4, 2, 1])
def test_targets_decode_to_the_keypoints_they_were_painted_from(targets: TargetKind, stride: int) -> None:
    convention, decoder = CONVENTIONS[targets]
    points = np.random.default_rng(0).uniform(36, 92, (1, 40, 2))
    collate = BottomUpCollate(STAGE, targets=targets, convention=convention, tag_losses=(False, False, False))
    maps = collate([sample_at(points)])[f"heatmaps_{stride}"][0].numpy()
    flat, side = maps.reshape(40, -1).argmax(axis=1), maps.shape[2]
    peaks = np.stack([flat % side, flat // side], axis=1)
    found = refine_peaks(maps, np.arange(40), peaks, decoder, heatmap_sigma=1.5)
    if targets == "gaussian":
        # Published targets are floored; half a px is added when they are decoded.
        found = found + 0.5
    back = heatmap_to_input(found, (side, side), (128, 128), convention)
    bound = 0.5 if targets == "gaussian" else 0.1
    assert np.abs(back - points[0]).max() / stride <= bound * 1.05


def test_each_resolution_has_its_own_sigma() -> None:
    stage = Stage(steps=1, input_size=(128, 128), batch=1, heatmap_sigma=(1.0, 3.0))
    batch = BottomUpCollate(stage)([sample_at(np.full((1, 1, 2), 64.0))])
    for stride, heatmap_sigma in ((4, 1.0), (2, 3.0)):
        mass = float(batch[f"heatmaps_{stride}"].sum())
        assert mass == pytest.approx(2 * np.pi * heatmap_sigma**2, rel=0.05)


@pytest.mark.parametrize("targets", KINDS)
def test_scale_aware_sigmas_grow_with_the_person(targets: TargetKind) -> None:
    collate = BottomUpCollate(
        Stage(steps=1, input_size=(128, 128), batch=1, heatmap_sigma=2.0),
        targets=targets,
        convention=CONVENTIONS[targets][0],
        scale_aware_base_px=100,
    )
    for extent, heatmap_sigma in ((50, 1.0), (100, 2.0), (200, 4.0), (1, 0.5)):
        sample = sample_at(np.full((1, 1, 2), 64.0)) | {"extents": np.array([extent], np.float32)}
        mass = float(collate([sample])["heatmaps_2"].sum())
        assert mass == pytest.approx(2 * np.pi * heatmap_sigma**2, rel=0.06)


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


@pytest.mark.parametrize(("targets", "inside_box"), [("unbiased", 0.0), ("udp", 0.0), ("gaussian", 1.0)])
def test_a_keypoint_without_label_is_unknown_inside_its_persons_box_unless_published(
    targets: TargetKind, inside_box: float
) -> None:
    sample = sample_at(np.array([[[40.0, 40.0], [80.0, 80.0]]]))
    sample["weights"][0, 1] = 0
    sample["unknown"] = np.array([[1, 32, 32, 96, 96], [-1, 100, 100, 128, 128]], np.float32)
    mask = BottomUpCollate(STAGE, targets=targets)([sample])["mask_4"][0].numpy()
    assert mask[1, 20, 20] == inside_box
    assert mask[0, 20, 20] == 1
    assert (mask[:, 26:, 26:] == 0).all()


def test_a_doubtful_label_weighs_less_where_its_gaussian_lies() -> None:
    sample = sample_at(np.array([[[64.0, 64.0]]]))
    sample["weights"][:] = 0.3
    for targets in KINDS:
        mask = BottomUpCollate(STAGE, targets=targets)([sample])["mask_4"][0, 0].numpy()
        assert mask[16, 16] == pytest.approx(0.3)
        assert mask[2, 2] == 1


def test_people_beyond_the_most_allowed_are_painted_but_have_no_tags() -> None:
    points = np.random.default_rng(0).uniform(10, 118, (7, 3, 2))
    batch = BottomUpCollate(STAGE, max_people=4)([sample_at(points)])
    assert batch["indices_4"].shape == (1, 4, 3, 2)
    places = (points / 4).astype(int)
    assert (batch["heatmaps_4"][0].numpy()[np.arange(3), places[..., 1], places[..., 0]] > 0.5).all()


def test_more_outputs_than_a_network_can_have_are_an_error() -> None:
    with pytest.raises(UsageError, match="at most 3 outputs"):
        BottomUpCollate(STAGE, tag_losses=(True,) * 4)


def test_nobody_to_learn_from_is_an_error(images: list) -> None:
    with pytest.raises(UsageError, match="no labelled person"):
        BottomUpSamples([(replace(images[0][0], people=()), 1.0)], COCO17, (96, 64), PLAIN, 0)
