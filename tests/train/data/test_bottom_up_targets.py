from pathlib import Path

import numpy as np
import pytest
import torch

from engine.decode.peaks import refine_peaks
from engine.errors import UsageError
from engine.geometry import heatmap_to_input
from engine.skeleton import COCO17
from train.data.bottom_up_samples import BottomUpSamples
from train.data.bottom_up_targets import BottomUpCollate
from train.data.labels import ImageLabel
from train.data.samples import load_sources
from train.settings import CONVENTIONS, AugmentSettings, DataSource, Stage, TargetKind

PLAIN = AugmentSettings(rotation_probability=0, colour_probability=0, lose_detail=0, cover=0, mosaic=0)
WILD = AugmentSettings(cover=1, lose_detail=1, mosaic=1)
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


def test_within_limits_large_people_have_larger_but_lighter_targets() -> None:
    stage = Stage(steps=1, input_size=(128, 128), batch=1, heatmap_sigma=2.0)
    collate = BottomUpCollate(stage, scale_aware_base_px=100, scale_aware_range=(0.5, 2.0))
    for extent, factor in ((10, 0.5), (100, 1.0), (1000, 2.0)):
        sample = sample_at(np.full((1, 1, 2), 64.0)) | {"extents": np.array([extent], np.float32)}
        batch = collate([sample])
        mass = float(batch["heatmaps_2"].sum())
        assert mass == pytest.approx(2 * np.pi * (2.0 * factor) ** 2, rel=0.06)
        assert float(batch["mask_2"][0, 0, 32, 32]) == pytest.approx(1 / factor)


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
