import cv2
import numpy as np
import pytest

from engine.geometry import Convention, bbox_to_centre_size, crop_matrix
from engine.skeleton import COCO17, CROWDPOSE14, LSP14, MPII16, POSETRACK17
from train.data.transforms import (
    View,
    apply_view,
    half_body_bbox,
    jitter_colour,
    random_person_view,
    random_picture_view,
    view_points,
)
from train.settings import AugmentSettings

PUBLISHED = AugmentSettings(
    half_body=0, shift=0, rotation_deg=90, any_rotation=0, colour=0, lose_detail=0, cover=0, cut=0,
    negative=0, mosaic=0, translate_px=40, scale=(0.65, 1.35),
)  # fmt: skip
STILL = PUBLISHED.model_copy(update={"scale": (1.0, 1.0), "rotation_probability": 0.0, "flip": 0.0})
BBOX = np.array([40, 30, 100, 150], np.float32)


def dot_picture(point: tuple[float, float], size: tuple[int, int] = (200, 160)) -> np.ndarray:
    """A black picture with one smooth white dot."""
    ys, xs = np.mgrid[: size[0], : size[1]]
    dot = 255 * np.exp(-((xs - point[0]) ** 2 + (ys - point[1]) ** 2) / 18)
    return np.repeat(dot[..., None], 3, axis=2).astype(np.uint8)


def dot_place(image: np.ndarray) -> np.ndarray:
    values = image[..., 0].astype(float)
    ys, xs = np.mgrid[: values.shape[0], : values.shape[1]]
    return np.array([(xs * values).sum(), (ys * values).sum()]) / values.sum()


@pytest.mark.parametrize("convention", ["hrnet", "half-pixel", "udp"])
@pytest.mark.parametrize("seed", range(4))
def test_keypoints_move_with_the_pixels(convention: Convention, seed: int) -> None:
    settings = PUBLISHED.model_copy(update={"flip": 0.5})
    point = np.array([[72.0, 95.0]], np.float32)
    view = random_person_view(
        BBOX, point, np.ones(1, bool), (128, 96), settings, np.random.default_rng(seed), convention=convention
    )
    crop = apply_view(dot_picture((72, 95)), view, (128, 96))
    np.testing.assert_allclose(dot_place(crop), view_points(point, view)[0], atol=0.15)


@pytest.mark.parametrize(("convention", "edge"), [("hrnet", 96), ("half-pixel", 95), ("udp", 95)])
def test_mirroring_a_crop_is_cropping_the_mirrored_picture(convention: Convention, edge: int) -> None:
    """As published the picture is mirrored, x to W - 1 - x, and its box with it; then it is cropped."""
    width, points = 160, np.array([[72.0, 95.0], [50.0, 40.0]])
    mirrored = [
        random_person_view(
            BBOX, points.astype(np.float32), np.ones(2, bool), (128, 96),
            STILL.model_copy(update={"flip": flip}), np.random.default_rng(0), convention=convention,
        )
        for flip in (0.0, 1.0)
    ]  # fmt: skip
    centre, size = bbox_to_centre_size(BBOX, (128, 96))
    centre[0] = width - 1 - centre[0]
    published = View(crop_matrix(centre, size, (128, 96), convention=convention))
    flipped = points * [-1, 1] + [width - 1, 0]
    np.testing.assert_allclose(view_points(points, mirrored[1]), view_points(flipped, published), atol=1e-4)
    plain = view_points(points, mirrored[0])
    np.testing.assert_allclose(view_points(points, mirrored[1])[:, 0], edge - plain[:, 0], atol=1e-4)


def test_person_scales_are_normal_and_clipped_to_their_range() -> None:
    settings = STILL.model_copy(update={"scale": (0.65, 1.35)})
    still = random_person_view(
        BBOX, np.zeros((1, 2), np.float32), np.ones(1, bool), (128, 96), STILL, np.random.default_rng(0)
    )
    scales = [
        still.scale
        / random_person_view(
            BBOX, np.zeros((1, 2), np.float32), np.ones(1, bool), (128, 96), settings,
            np.random.default_rng(seed),
        ).scale
        for seed in range(600)
    ]  # fmt: skip
    assert min(scales) == pytest.approx(0.65)
    assert max(scales) == pytest.approx(1.35)
    # A normal distribution with half the range as deviation has 16 % beyond each end.
    assert np.isclose(scales, 0.65).mean() == pytest.approx(0.16, abs=0.05)
    assert np.isclose(scales, 1.35).mean() == pytest.approx(0.16, abs=0.05)


@pytest.mark.parametrize("skeleton", [COCO17, CROWDPOSE14, MPII16, POSETRACK17, LSP14])
def test_half_bodies_are_the_skeletons_own(skeleton) -> None:
    upper = np.isin(np.arange(skeleton.count), skeleton.upper_body)
    rng = np.random.default_rng(0)
    keypoints = rng.uniform(0, 40, (skeleton.count, 2)).astype(np.float32)
    keypoints[~upper, 1] += 60
    boxes = [
        half_body_bbox(keypoints, np.ones(skeleton.count, bool), skeleton.upper_body, rng) for _ in range(400)
    ]
    above = np.array([(box[1] + box[3]) / 2 < 50 for box in boxes if box is not None])
    assert above.mean() == pytest.approx(0.69, abs=0.06)


def test_a_half_body_box_lies_around_the_mean_of_its_keypoints_at_the_published_size() -> None:
    keypoints = np.array([[10, 10], [30, 10], [20, 70], [0, 0]], np.float32)
    labelled = np.array([True, True, True, False])
    box = half_body_bbox(keypoints, labelled, (0, 1, 2), np.random.default_rng(0))
    assert box is not None
    np.testing.assert_allclose((box[:2] + box[2:]) / 2, [20, 30], atol=1e-5)
    np.testing.assert_allclose((box[2:] - box[:2]) * 1.25, np.array([20, 60]) * 1.5, atol=1e-4)


def test_nobody_is_halved_without_an_upper_body_or_with_few_labels() -> None:
    settings = STILL.model_copy(update={"half_body": 1.0})
    keypoints = np.random.default_rng(0).uniform(30, 150, (17, 2)).astype(np.float32)
    whole = random_person_view(
        BBOX, keypoints, np.ones(17, bool), (128, 96), STILL, np.random.default_rng(1)
    ).matrix
    for labels, upper_body, same in ((17, (), True), (8, range(11), True), (9, range(11), False)):
        view = random_person_view(
            BBOX, keypoints, np.arange(17) < labels, (128, 96), settings, np.random.default_rng(1),
            upper_body=tuple(upper_body),
        )  # fmt: skip
        assert np.allclose(view.matrix, whole) == same


def test_a_picture_view_stays_within_the_published_scales_rotations_and_shifts() -> None:
    settings = PUBLISHED.model_copy(
        update={"scale": (0.75, 1.5), "rotation_deg": 30.0, "rotation_probability": 1.0}
    )
    image_size, centre = (200, 300), np.array([150.0, 100.0])
    shares, angles, shifts, mirrored = [], [], [], 0
    for seed in range(400):
        view = random_picture_view(
            image_size, (256, 256), settings, np.random.default_rng(seed), convention="hrnet"
        )
        mirrored += view.mirrored
        if view.mirrored:
            view = view.mirror(255 / 2)
        shares.append(256 / (view.scale * 200))
        angles.append(np.degrees(np.arctan2(view.matrix[0, 1], view.matrix[0, 0])))
        shifts.append(view_points(centre, view) - 128)
    assert 0.75 <= min(shares) < 0.8
    assert 1.45 < max(shares) <= 1.5
    assert 27 < np.abs(angles).max() <= 30
    # 40 of 200 px on each axis is a fifth of the input, on the diagonal √2 of it.
    assert 45 < np.abs(shifts).max() <= 256 * 0.2 * np.sqrt(2)
    assert 0.4 < mirrored / 400 < 0.6


def test_colours_change_as_gain_contrast_and_saturation_do_one_after_the_other() -> None:
    image = np.random.default_rng(0).integers(60, 140, (40, 30, 3), dtype=np.uint8)
    for seed in range(5):
        rng = np.random.default_rng(seed)
        gain = 1 + 0.3 * rng.uniform(-1, 1, 3) * 0.35 + 0.3 * rng.uniform(-1, 1)
        values = image * gain
        middle = values.mean()
        values = middle + (values - middle) * (1 + 0.3 * rng.uniform(-1, 1))
        grey = values.mean(axis=2, keepdims=True)
        saturation = 0.0 if rng.random() < 0.06 else 1 + 1.5 * 0.3 * rng.uniform(-1, 1)
        expected = np.clip(grey + (values - grey) * saturation, 0, 255)
        changed = jitter_colour(image, 0.3, np.random.default_rng(seed))
        assert np.abs(changed - expected).max() <= 1.0


def test_outside_the_picture_the_background_stays() -> None:
    image = np.full((20, 20, 3), 200, np.uint8)
    view = View(np.array([[1.0, 0, 10], [0, 1.0, 10]]))
    background = np.full((40, 40, 3), 7, np.uint8)
    looked = apply_view(image, view, (40, 40), background)
    assert (looked[:9] == 7).all()
    assert (looked[12:28, 12:28] == 200).all()
    assert (background == 7).all()
    assert not cv2.countNonZero(apply_view(image, view, (40, 40))[:9, :, 0])
