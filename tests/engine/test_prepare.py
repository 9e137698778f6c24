import cv2
import numpy as np
import pytest

from engine.errors import UsageError
from engine.geometry import bbox_to_centre_size, crop_matrix, letterbox_matrix, transform_points
from engine.model_file import ModelSpec
from engine.prepare import MAX_ASPECT, crop_people, letterbox
from engine.skeleton import COCO17

MEAN, STD = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
CONVENTIONS = ("hrnet", "half-pixel", "udp")


def make_spec(**changes: object) -> ModelSpec:
    values: dict[str, object] = {
        "name": "test",
        "architecture": "none",
        "kind": "top-down",
        "input_size": (128, 96),
        "mean": tuple(MEAN),
        "std": tuple(STD),
        "heatmap_outputs": [{"name": "heatmaps", "stride": 4}],
        "skeleton": COCO17,
        "licence": "Apache-2.0",
        "training_data": "none",
    }
    return ModelSpec.model_validate(values | changes)


@pytest.fixture(scope="module")
def image() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (180, 240, 3), dtype=np.uint8)


def expected_input(image: np.ndarray, matrix: np.ndarray, size: tuple[int, int], order: str) -> np.ndarray:
    warped = cv2.warpAffine(image, matrix, size[::-1], flags=cv2.INTER_LINEAR)
    colours = warped[..., ::-1] if order == "rgb" else warped
    return ((colours / 255.0 - MEAN) / STD).transpose(2, 0, 1)


@pytest.mark.parametrize("order", ["rgb", "bgr"])
@pytest.mark.parametrize("convention", CONVENTIONS)
def test_crops_are_warped_and_normalised_in_the_models_colour_order(order, convention, image):
    spec = make_spec(colour_order=order, convention=convention)
    boxes = np.array([[30, 20, 90, 150], [-40, 60, 60, 100], [0, 0, 240, 180]])
    inputs, matrices = crop_people(image, boxes, spec)
    assert inputs.shape == (3, 3, 128, 96) and inputs.dtype == np.float32 and inputs.flags.c_contiguous
    for box, crop, matrix in zip(boxes, inputs, matrices):
        centre, size = bbox_to_centre_size(box, (128, 96))
        np.testing.assert_array_equal(matrix, crop_matrix(centre, size, (128, 96), convention=convention))
        np.testing.assert_allclose(crop, expected_input(image, matrix, (128, 96), order), atol=1e-5)


@pytest.mark.parametrize("convention", CONVENTIONS)
def test_a_dot_of_the_frame_lands_where_the_matrix_says(convention):
    image = np.zeros((180, 240, 3), np.uint8)
    rows, columns = np.mgrid[:180, :240]
    image[...] = (255 * np.exp(-((columns - 81.3) ** 2 + (rows - 70.6) ** 2) / 50))[..., None]
    spec = make_spec(mean=(0, 0, 0), std=(1, 1, 1), convention=convention)
    for inputs, matrix in (
        (
            crop_people(image, [[50, 30, 120, 130]], spec)[0][0, 0],
            crop_people(image, [[50, 30, 120, 130]], spec)[1][0],
        ),
        (letterbox(image, spec)[0][0, 0], letterbox(image, spec)[1]),
    ):
        y, x = np.mgrid[: inputs.shape[0], : inputs.shape[1]]
        found = np.array([(inputs * x).sum(), (inputs * y).sum()]) / inputs.sum()
        np.testing.assert_allclose(found, transform_points(matrix, (81.3, 70.6)), atol=0.05)


def test_outside_the_frame_is_black(image):
    inputs, _ = crop_people(image, [[-300, -300, -200, -200]], make_spec())
    np.testing.assert_allclose(
        inputs, np.broadcast_to((-MEAN / STD)[None, :, None, None], inputs.shape), atol=1e-5
    )


def test_no_boxes_give_an_empty_batch(image):
    inputs, matrices = crop_people(image, np.zeros((0, 4)), make_spec())
    assert inputs.shape == (0, 3, 128, 96) and matrices.shape == (0, 2, 3)


@pytest.mark.parametrize("box", [[5, 5, 5, 9], [9, 5, 5, 9], [0, 0, np.nan, 9], [0, 0, np.inf, 9]])
def test_a_box_that_is_none_is_refused(box, image):
    with pytest.raises(ValueError, match="boxes must be finite xyxy"):
        crop_people(image, [box], make_spec())


@pytest.mark.parametrize(
    "bad", [np.zeros((9, 9), np.uint8), np.zeros((9, 9, 4), np.uint8), np.zeros((9, 9, 3))]
)
def test_an_image_that_is_none_is_refused(bad):
    with pytest.raises(ValueError, match=r"image must be \(H, W, 3\) uint8"):
        letterbox(bad, make_spec())
    with pytest.raises(ValueError, match=r"image must be \(H, W, 3\) uint8"):
        crop_people(bad, [[0, 0, 5, 5]], make_spec())


@pytest.mark.parametrize("convention", CONVENTIONS)
def test_a_fixed_network_gets_the_frame_letterboxed_into_its_size(convention, image):
    spec = make_spec(convention=convention)
    inputs, matrix = letterbox(image, spec)
    assert inputs.shape == (1, 3, 128, 96) and inputs.dtype == np.float32 and inputs.flags.c_contiguous
    np.testing.assert_array_equal(matrix, letterbox_matrix((180, 240), (128, 96), convention=convention))
    np.testing.assert_allclose(inputs[0], expected_input(image, matrix, (128, 96), "rgb"), atol=1e-5)


@pytest.mark.parametrize(
    ("short_side", "expected"), [(None, (96, 128)), (96, (96, 128)), (97, (128, 192)), (192, (192, 256))]
)
def test_a_dynamic_network_gets_the_shape_of_the_frame(short_side, expected, image):
    inputs, _ = letterbox(image, make_spec(dynamic_size=True), short_side)
    assert inputs.shape[2:] == expected


def test_a_fixed_network_refuses_another_short_side(image):
    with pytest.raises(UsageError, match="fixed input size 128 x 96 and cannot run with a short side of 64"):
        letterbox(image, make_spec(), 64)
    assert letterbox(image, make_spec(), 96)[0].shape[2:] == (128, 96)


@pytest.mark.parametrize("size", [(20, 4000), (4000, 20)])
def test_a_strip_of_pixels_gets_a_bounded_input_and_is_shown_whole(size):
    spec = make_spec(dynamic_size=True, mean=(0, 0, 0), std=(1, 1, 1))
    inputs, matrix = letterbox(np.full((*size, 3), 255, np.uint8), spec)
    height, width = inputs.shape[2:]
    assert max(height, width) == MAX_ASPECT * min(height, width)
    corners = transform_points(matrix, [(-0.5, -0.5), (size[1] - 0.5, size[0] - 0.5)])
    assert np.all(corners >= -0.5 - 1e-6) and np.all(corners <= np.array([width, height]) - 0.5 + 1e-6)
