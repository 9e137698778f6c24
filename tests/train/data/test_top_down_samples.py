from pathlib import Path

import numpy as np
import pytest

from engine.decode.peaks import decode_heatmaps
from engine.errors import UsageError
from engine.geometry import heatmap_to_input
from engine.skeleton import COCO17
from train.data.labels import ImageLabel
from train.data.samples import load_sources
from train.data.top_down_samples import TopDownCollate, TopDownSamples
from train.settings import CONVENTIONS, AugmentSettings, DataSource, Stage, TargetKind

PLAIN = AugmentSettings(
    half_body=0, scale=(1.0, 1.0), shift=0, rotation_probability=0, any_rotation=0, colour_probability=0,
    lose_detail=0, cover=0, cut=0,
)  # fmt: skip
WILD = AugmentSettings(cut=1, cover=1, lose_detail=1, any_rotation=0.5, half_body=1)
KINDS: tuple[TargetKind, ...] = ("unbiased", "gaussian", "udp")
BOUNDS = {"unbiased": 0.1, "gaussian": 0.5, "udp": 0.1}
"""Heatmap px: what a decoder may miss; rounding to whole px loses half of one."""


@pytest.fixture(scope="module")
def images(stick_people: Path) -> list[tuple[ImageLabel, float]]:
    return load_sources(
        [DataSource(annotations=stick_people / "people.json", images=stick_people / "images")], COCO17
    )


def sample_at(points: np.ndarray, size: tuple[int, int]) -> dict[str, np.ndarray]:
    return {
        "image": np.zeros((*size, 3), np.uint8),
        "points": points.astype(np.float32),
        "weights": np.ones(len(points), np.float32),
        "absent": np.zeros(len(points), np.float32),
    }


@pytest.mark.parametrize("sampling", ["weighted", "epochs"])
def test_a_sample_depends_on_seed_and_number_alone(images: list, sampling) -> None:
    first, second = (
        TopDownSamples(images, COCO17, (96, 64), WILD, 3, sampling=sampling, cache_mib=mib) for mib in (0, 1)
    )
    for number in (11, 0, 5):
        for name, value in first[number].items():
            np.testing.assert_array_equal(value, second[number][name])
    other = TopDownSamples(images, COCO17, (96, 64), WILD, 4, sampling=sampling)
    assert not np.array_equal(first[0]["image"], other[0]["image"])


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


def test_flip_is_as_often_as_the_settings_say(images: list) -> None:
    never, always = (
        TopDownSamples(images, COCO17, (96, 64), PLAIN.model_copy(update={"flip": flip}), 0)
        for flip in (0.0, 1.0)
    )
    for number in range(4):
        difference = np.abs(never[number]["image"][:, ::-1].astype(int) - always[number]["image"])
        assert difference.mean() < 1.0


def test_an_epoch_shows_every_person_once(images: list) -> None:
    samples = TopDownSamples(images, COCO17, (96, 64), PLAIN, 0, sampling="epochs")
    shown = {samples[number]["points"].round(2).tobytes() for number in range(len(samples.people))}
    still = PLAIN.model_copy(update={"flip": 0.0})
    samples = TopDownSamples(images, COCO17, (96, 64), still, 0, sampling="epochs")
    first = {samples[number]["points"].round(2).tobytes() for number in range(len(samples.people))}
    second = {
        samples[number]["points"].round(2).tobytes()
        for number in range(len(samples.people), 2 * len(samples.people))
    }
    assert len(shown) == len(first) == len(samples.people) == 18
    assert first == second


def test_a_keypoint_cut_off_is_told_absent_not_present(images: list) -> None:
    samples = TopDownSamples(images, COCO17, (96, 64), PLAIN.model_copy(update={"cut": 1.0}), 1)
    batch = TopDownCollate(Stage(steps=1, input_size=(96, 64), batch=12))([samples[n] for n in range(12)])
    assert batch["absent"].sum() > 0
    assert not (batch["weights"][batch["absent"] > 0] > 0).any()


@pytest.mark.parametrize("targets", KINDS)
@pytest.mark.parametrize("size", [(128, 96), (256, 256)])
def test_targets_decode_to_the_keypoints_they_were_painted_from(
    targets: TargetKind, size: tuple[int, int]
) -> None:
    convention, decoder = CONVENTIONS[targets]
    margin = 30
    points = np.random.default_rng(0).uniform(margin, np.array(size[::-1]) - margin, (40, 2))
    collate = TopDownCollate(
        Stage(steps=1, input_size=size, batch=1, heatmap_sigma=2.0), targets=targets, convention=convention
    )
    batch = collate([sample_at(points, size)])
    heatmap_size = (size[0] // 4, size[1] // 4)
    peaks, scores = decode_heatmaps(batch["heatmaps"].numpy(), decoder, heatmap_sigma=2.0)
    back = heatmap_to_input(peaks, heatmap_size, size, convention)[0]
    assert np.abs(back - points).max() / 4 <= BOUNDS[targets] * 1.05
    assert scores.min() > 0.85
    assert batch["weights"].min() == 1


@pytest.mark.parametrize(("targets", "outside"), [("unbiased", 0.0), ("gaussian", 1.0), ("udp", 1.0)])
def test_a_keypoint_just_outside_counts_as_published(targets: TargetKind, outside: float) -> None:
    points = np.array([[-10.0, 60.0], [40.0, 60.0], [-200.0, 60.0]])
    collate = TopDownCollate(
        Stage(steps=1, input_size=(128, 96), batch=1), targets=targets, convention=CONVENTIONS[targets][0]
    )
    batch = collate([sample_at(points, (128, 96))])
    assert batch["weights"][0].tolist() == [outside, 1.0, 0.0]
    assert batch["absent"][0].tolist() == [1 - outside, 0.0, 1.0]
    assert (batch["heatmaps"][0].flatten(1).max(dim=1).values > 0).tolist() == [outside > 0, True, False]


def test_label_weights_reach_the_loss_and_leave_the_heatmap_whole() -> None:
    sample = sample_at(np.full((3, 2), 48.0), (128, 96))
    sample["weights"] = np.array([1.0, 0.3, 0.0], np.float32)
    for targets in KINDS:
        batch = TopDownCollate(Stage(steps=1, input_size=(128, 96), batch=1), targets=targets)([sample])
        np.testing.assert_allclose(batch["weights"][0], [1.0, 0.3, 0.0])
        assert (batch["heatmaps"][0].flatten(1).max(dim=1).values > 0).tolist() == [True, True, False]


def test_batches_have_the_agreed_shapes_and_types(images: list) -> None:
    stage = Stage(steps=1, input_size=(128, 96), batch=4, heatmap_sigma=1.5)
    samples = TopDownSamples(images, COCO17, stage.input_size, WILD, 0)
    for targets in KINDS:
        batch = TopDownCollate(stage, targets=targets)([samples[number] for number in range(4)])
        assert {name: tuple(value.shape) for name, value in batch.items()} == {
            "image": (4, 3, 128, 96), "heatmaps": (4, 17, 32, 24), "weights": (4, 17), "absent": (4, 17),
        }  # fmt: skip
        kinds = {name: str(value.dtype).removeprefix("torch.") for name, value in batch.items()}
        assert kinds == {
            "image": "uint8", "heatmaps": "float32", "weights": "float32", "absent": "float32",
        }  # fmt: skip


def test_nobody_to_learn_from_is_an_error(images: list) -> None:
    with pytest.raises(UsageError, match="no labelled person"):
        TopDownSamples([(label, 0.0) for label, _ in images], COCO17, (96, 64), PLAIN, 0)
