import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from engine.geometry import (
    bbox_iou,
    bbox_to_centre_size,
    crop_matrix,
    heatmap_to_input,
    input_to_heatmap,
    invert_matrix,
    letterbox_matrix,
    letterbox_size,
    multi_scale_size,
    pose_bbox,
    transform_points,
)

VECTORS = Path(__file__).parents[1] / "data" / "reference" / "vectors"
CONVENTIONS = ("hrnet", "half-pixel", "udp")

conventions = st.sampled_from(CONVENTIONS)
lengths = st.floats(1, 2000)
places = st.floats(-500, 3000)
sides = st.integers(8, 1024)


@pytest.fixture(scope="module")
def affine():
    with np.load(VECTORS / "hrnet_affine.npz") as content:
        return dict(content)


@pytest.fixture(scope="module")
def multi_scale():
    return json.loads((VECTORS / "higher_multi_scale_size.json").read_text())


def published_matrix(row: np.ndarray) -> np.ndarray:
    cx, cy, sx, sy, rotation, width, height, shift_x, shift_y = row
    size = np.array([sx, sy]) * 200
    centre = np.array([cx, cy]) + size * [shift_x, shift_y]
    return crop_matrix(centre, size, (int(height), int(width)), rotation_deg=rotation, convention="hrnet")


def test_crop_matrices_and_their_inverses_are_the_reference_ones(affine):
    for row, forward, back in zip(
        affine["cases_cx_cy_sx_sy_rot_w_h_shx_shy"], affine["matrix"], affine["matrix_inv"]
    ):
        matrix = published_matrix(row)
        np.testing.assert_allclose(matrix, forward, atol=2e-3)
        np.testing.assert_allclose(invert_matrix(matrix), back, atol=2e-3)


def test_points_go_where_the_reference_sends_them(affine):
    for row, points, forward in zip(
        affine["cases_cx_cy_sx_sy_rot_w_h_shx_shy"], affine["points"], affine["points_forward"]
    ):
        np.testing.assert_allclose(transform_points(published_matrix(row), points), forward, atol=5e-3)


def test_predictions_come_back_as_in_the_reference(affine):
    for row, points, expected in zip(
        affine["cases_cx_cy_sx_sy_rot_w_h_shx_shy"], affine["points"], affine["transform_preds"]
    ):
        size = (int(row[6]), int(row[5]))
        matrix = crop_matrix(row[:2], row[2:4] * 200, size, convention="hrnet")
        np.testing.assert_allclose(transform_points(invert_matrix(matrix), points), expected, atol=5e-3)


@pytest.mark.parametrize("index", range(4))
def test_crops_look_like_the_reference_ones(index, affine):
    cx, cy, sx, sy, width, height, rotation = affine[f"crop{index}_args_cx_cy_sx_sy_w_h_rot"]
    size = (int(height), int(width))
    matrix = crop_matrix((cx, cy), np.array([sx, sy]) * 200, size, rotation_deg=rotation, convention="hrnet")
    crop = cv2.warpAffine(affine["crop_image"], matrix, (size[1], size[0]), flags=cv2.INTER_LINEAR)
    difference = np.abs(crop.astype(int) - affine[f"crop{index}"])
    assert difference.max() <= 8 and difference.mean() <= 0.5


@pytest.mark.parametrize("size", [(256, 192), (384, 288), (256, 256)])
def test_boxes_grow_as_in_the_reference_but_for_the_one_it_spares(size, affine):
    name = f"box2cs_{size[1]}x{size[0]}"
    for (x, y, width, height), centre, scale in zip(
        affine["box2cs_boxes_xywh"], affine[f"{name}_center"], affine[f"{name}_scale"]
    ):
        ours, grown = bbox_to_centre_size((x, y, x + width, y + height), size)
        np.testing.assert_allclose(ours, centre, atol=1e-4)
        padding = 1.25 if centre[0] == -1 else 1.0
        np.testing.assert_allclose(grown / 200, scale * padding, rtol=1e-5)


def test_the_dark_affine_is_udp_with_a_region_one_pixel_smaller():
    with np.load(VECTORS / "dark_decode.npz") as dark:
        cases, matrices = dark["affine_cases_cx_cy_sx_sy_rot_w_h"], dark["affine_matrix"]
    for (cx, cy, sx, sy, rotation, width, height), expected in zip(cases, matrices):
        region = np.array([sx, sy]) * 200 - 1
        matrix = crop_matrix(
            (cx, cy), region, (int(height), int(width)), rotation_deg=rotation, convention="udp"
        )
        np.testing.assert_allclose(matrix, expected, atol=2e-3)


def test_multi_scale_sizes_are_the_reference_ones(multi_scale):
    for case in multi_scale:
        size, centre, region = multi_scale_size(
            (case["h"], case["w"]), case["input_size"], case["scale"], case["min_scale"]
        )
        assert [size[1], size[0]] == case["size_wh"]
        assert centre.tolist() == case["center"]
        np.testing.assert_allclose(region / 200, case["scale_out"], rtol=0, atol=1e-9)


@given(
    x=places,
    y=places,
    width=lengths,
    out_h=sides,
    out_w=sides,
    rotation=st.floats(-180, 180),
    convention=conventions,
)
@settings(deadline=None, max_examples=40)
def test_what_a_crop_does_its_inverse_undoes(x, y, width, out_h, out_w, rotation, convention):
    matrix = crop_matrix((x, y), (width, width), (out_h, out_w), rotation_deg=rotation, convention=convention)
    points = np.array([[x, y], [x + width, y - width], [0.0, 0.0]])
    back = transform_points(invert_matrix(matrix), transform_points(matrix, points))
    np.testing.assert_allclose(back, points, atol=1e-6 * (1 + np.abs(points).max()))


@given(x=places, y=places, out_h=sides, out_w=sides, rotation=st.floats(-180, 180), convention=conventions)
@settings(deadline=None, max_examples=40)
def test_the_centre_lands_in_the_middle_and_nothing_is_distorted(x, y, out_h, out_w, rotation, convention):
    matrix = crop_matrix((x, y), (100, 1), (out_h, out_w), rotation_deg=rotation, convention=convention)
    middle = np.array([out_w, out_h]) / 2 - (0 if convention == "hrnet" else 0.5)
    np.testing.assert_allclose(transform_points(matrix, (x, y)), middle, atol=1e-6)
    linear = matrix[:, :2]
    np.testing.assert_allclose(linear @ linear.T, np.eye(2) * np.linalg.det(linear), atol=1e-9)


def test_a_positive_rotation_turns_the_region_clockwise():
    matrix = crop_matrix((50, 50), (100, 100), (100, 100), rotation_deg=90, convention="hrnet")
    # The region's own "up" now points right on the picture (y down).
    np.testing.assert_allclose(transform_points(matrix, (90, 50)), (50, 10), atol=1e-9)


@given(x=places, y=places, width=lengths, height=lengths, out_h=sides, out_w=sides)
@settings(deadline=None, max_examples=40)
def test_a_grown_box_holds_the_box_in_the_aspect_of_the_input(x, y, width, height, out_h, out_w):
    centre, size = bbox_to_centre_size((x, y, x + width, y + height), (out_h, out_w))
    assert np.all(size >= 1.25 * np.array([width, height]) - 1e-6)
    assert np.isclose(size, 1.25 * np.array([width, height])).any()
    assert size[0] / size[1] == pytest.approx(out_w / out_h)
    np.testing.assert_allclose(centre, (x + width / 2, y + height / 2))


@given(height=sides, width=sides, out_h=sides, out_w=sides, convention=conventions)
@settings(deadline=None, max_examples=40)
def test_a_letterbox_holds_the_whole_frame_and_touches_two_sides(height, width, out_h, out_w, convention):
    matrix = letterbox_matrix((height, width), (out_h, out_w), convention=convention)
    edge = 0.0 if convention == "hrnet" else 0.5
    corners = transform_points(matrix, [(-edge, -edge), (width - edge, height - edge)])
    assert np.all(corners >= -edge - 1e-6)
    assert np.all(corners <= np.array([out_w, out_h]) - edge + 1e-6)
    if convention != "udp":
        gaps = np.array([out_w, out_h]) - (corners[1] - corners[0])
        assert gaps.min() == pytest.approx(0, abs=1e-6)


@given(height=sides, width=sides, short=st.integers(32, 640), multiple=st.sampled_from([1, 32, 64]))
@settings(deadline=None, max_examples=40)
def test_a_letterbox_size_is_the_least_that_holds_the_frame(height, width, short, multiple):
    size = letterbox_size((height, width), short, multiple)
    assert size[0] % multiple == 0 and size[1] % multiple == 0
    assert min(size) == -(-short // multiple) * multiple
    long = min(size) * max(height, width) / min(height, width)
    assert long - 1e-3 <= max(size) < long + multiple
    assert height == width or (size[0] > size[1]) <= (height > width)


@pytest.mark.parametrize(
    ("frame", "expected"),
    [
        ((720, 1280), (384, 704)),
        ((1280, 720), (704, 384)),
        ((480, 640), (384, 512)),
        ((500, 500), (384, 384)),
    ],
)
def test_letterbox_sizes_of_usual_frames(frame, expected):
    assert letterbox_size(frame, 384) == expected


@given(
    points=st.lists(st.tuples(places, places), min_size=1, max_size=5),
    height=st.integers(2, 200),
    width=st.integers(2, 200),
    stride=st.sampled_from([2, 4, 8]),
    convention=conventions,
)
@settings(deadline=None, max_examples=40)
def test_input_and_heatmap_px_are_each_others_inverse(points, height, width, stride, convention):
    sizes = (height, width), (height * stride, width * stride)
    there = input_to_heatmap(points, *sizes, convention)
    np.testing.assert_allclose(heatmap_to_input(there, *sizes, convention), points, atol=1e-6)


@pytest.mark.parametrize(
    ("convention", "expected"),
    [("hrnet", (40, 0)), ("half-pixel", (41.5, 1.5)), ("udp", (10 * 191 / 47, 0))],
)
def test_each_convention_puts_a_heatmap_px_where_it_says(convention, expected):
    np.testing.assert_allclose(heatmap_to_input((10, 0), (64, 48), (256, 192), convention), expected)


@pytest.mark.parametrize("convention", ["half-pixel", "udp"])
def test_mirroring_a_heatmap_mirrors_the_input(convention):
    x = heatmap_to_input((10.3, 0), (64, 48), (256, 192), convention)[0]
    mirrored = heatmap_to_input((47 - 10.3, 0), (64, 48), (256, 192), convention)[0]
    assert mirrored == pytest.approx(191 - x)


@given(
    points=st.lists(st.tuples(places, places), min_size=1, max_size=17),
    margin=st.floats(0, 1),
    data=st.data(),
)
@settings(deadline=None, max_examples=40)
def test_a_pose_box_holds_its_valid_keypoints_and_ignores_the_others(points, margin, data):
    valid = data.draw(st.lists(st.booleans(), min_size=len(points), max_size=len(points)))
    assume(any(valid))
    box = pose_bbox(points, valid, margin)
    chosen = np.array(points)[valid]
    assert np.all(chosen >= box[:2] - 1e-9) and np.all(chosen <= box[2:] + 1e-9)
    grow = margin * max(np.ptp(chosen, axis=0).max(), 1.0)
    np.testing.assert_allclose(box[2:] - box[:2], np.ptp(chosen, axis=0) + 2 * grow, atol=1e-6)


boxes = st.tuples(places, places, lengths, lengths).map(lambda b: (b[0], b[1], b[0] + b[2], b[1] + b[3]))


@given(first=st.lists(boxes, max_size=4), second=st.lists(boxes, max_size=4))
@settings(deadline=None, max_examples=40)
def test_iou_is_symmetric_between_nothing_and_all(first, second):
    iou = bbox_iou(first, second)
    assert iou.shape == (len(first), len(second))
    assert np.all(iou >= 0) and np.all(iou <= 1 + 1e-9)
    np.testing.assert_allclose(iou, bbox_iou(second, first).T)
    np.testing.assert_allclose(np.diag(bbox_iou(first, first)), 1, atol=1e-9)


def test_iou_of_boxes_known_by_hand():
    found = bbox_iou([(0, 0, 2, 2)], [(1, 1, 3, 3), (2, 0, 4, 2), (0, 0, 1, 2)])
    np.testing.assert_allclose(found, [[1 / 7, 0, 0.5]])
