import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.decode.peaks import METHODS, decode_heatmaps, flip_back, refine_peaks
from engine.errors import ModelFileError
from engine.skeleton import COCO17


def dark_by_the_book(heatmap: np.ndarray, kernel: int) -> np.ndarray:
    """Zhang et al. 2020 on one (H, W) map, every px blurred: blur, rescale, logarithm, Newton step."""
    y, x = np.unravel_index(heatmap.argmax(), heatmap.shape)
    place = np.array([x, y], float)
    if heatmap.max() <= 0 or not (1 < x < heatmap.shape[1] - 2 and 1 < y < heatmap.shape[0] - 2):
        return np.zeros(2) if heatmap.max() <= 0 else place
    border = kernel // 2
    padded = np.pad(heatmap.astype(np.float64), border)
    blurred = cv2.GaussianBlur(padded, (kernel, kernel), 0)[border:-border, border:-border]
    blurred *= heatmap.max() / blurred.max()
    log = np.log(np.maximum(blurred, 1e-10))
    slope = 0.5 * np.array([log[y, x + 1] - log[y, x - 1], log[y + 1, x] - log[y - 1, x]])
    dxx = 0.25 * (log[y, x + 2] - 2 * log[y, x] + log[y, x - 2])
    dyy = 0.25 * (log[y + 2, x] - 2 * log[y, x] + log[y - 2, x])
    dxy = 0.25 * (log[y + 1, x + 1] - log[y - 1, x + 1] - log[y + 1, x - 1] + log[y - 1, x - 1])
    hessian = np.array([[dxx, dxy], [dxy, dyy]])
    return place if np.linalg.det(hessian) == 0 else place - np.linalg.solve(hessian, slope)


def udp_by_the_book(heatmap: np.ndarray, kernel: int) -> np.ndarray:
    """Huang et al. 2020 on one (H, W) map, every px blurred, borders replicated."""
    y, x = np.unravel_index(heatmap.argmax(), heatmap.shape)
    if heatmap.max() <= 0:
        return np.zeros(2)
    border = kernel // 2
    padded = np.pad(heatmap.astype(np.float64), border)
    blurred = cv2.GaussianBlur(padded, (kernel, kernel), 0)[border:-border, border:-border]
    blurred *= heatmap.max() / blurred.max()
    log = np.pad(np.log(np.clip(blurred, 1e-3, 50)), 1, mode="edge")
    here = log[y + 1, x + 1]
    right, left, below, above = log[y + 1, x + 2], log[y + 1, x], log[y + 2, x + 1], log[y, x + 1]
    slope = 0.5 * np.array([right - left, below - above])
    dxy = 0.5 * (log[y + 2, x + 2] - right - below + 2 * here - left - above + log[y, x])
    hessian = np.array([[right - 2 * here + left, dxy], [dxy, below - 2 * here + above]])
    return np.array([x, y]) - np.linalg.inv(hessian + np.finfo(np.float32).eps * np.eye(2)) @ slope


@pytest.mark.parametrize("case", ["a", "b", "c"])
def test_maxima_are_the_reference_ones(case, vectors):
    content = vectors("hrnet_decode")
    points, scores = decode_heatmaps(content[f"{case}_heatmaps"], "argmax")
    np.testing.assert_array_equal(points, content[f"{case}_max_preds"])
    np.testing.assert_array_equal(scores, content[f"{case}_maxvals"][..., 0])
    assert points.dtype == scores.dtype == np.float32


@pytest.mark.parametrize(("case", "sigma"), [("k11", 2.0), ("k17", 3.0)])
def test_dark_is_the_reference_one(case, sigma, vectors):
    content = vectors("dark_decode")
    points, scores = decode_heatmaps(content[f"{case}_heatmaps"], "dark", heatmap_sigma=sigma)
    np.testing.assert_allclose(points, content[f"{case}_refined"], atol=1e-4)
    np.testing.assert_array_equal(scores, content[f"{case}_maxvals"][..., 0])


@pytest.mark.parametrize(("method", "by_the_book"), [("dark", dark_by_the_book), ("udp", udp_by_the_book)])
@pytest.mark.parametrize(("sigma", "kernel"), [(2.0, 11), (3.0, 17), (1.5, 7)])
def test_blurring_windows_equals_blurring_whole_maps(method, by_the_book, sigma, kernel, gaussians):
    rng = np.random.default_rng(5)
    maps = gaussians(rng.uniform(-2, 34, (40, 2)), (32, 32), sigma) * rng.uniform(0.001, 1.2, (40, 1, 1))
    maps[:20] += rng.normal(0, 0.05, (20, 32, 32))
    maps[20:24] = rng.normal(-0.1, 0.05, (4, 32, 32))  # blurred values fall below every floor
    maps[22:24, 15, 15] = 0.3
    points, _ = decode_heatmaps(maps[None].astype(np.float32), method, heatmap_sigma=sigma)
    expected = np.array([by_the_book(heatmap, kernel) for heatmap in maps.astype(np.float32)])
    np.testing.assert_allclose(points[0], expected, atol=2e-3, rtol=1e-3)


@pytest.mark.parametrize(
    ("method", "tolerance"), [("argmax", 0.51), ("quarter", 0.27), ("dark", 0.1), ("udp", 0.1)]
)
@given(x=st.floats(8, 39), y=st.floats(8, 55), sigma=st.floats(1.2, 3))
@settings(deadline=None, max_examples=60)
def test_gaussians_at_any_place_are_found_again(method, tolerance, x, y, sigma):
    rows, columns = np.mgrid[:64, :48]
    heatmap = np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / (2 * sigma**2)).astype(np.float32)
    points, scores = decode_heatmaps(heatmap[None, None], method, heatmap_sigma=sigma)
    np.testing.assert_allclose(points[0, 0], (x, y), atol=tolerance)
    assert scores[0, 0] == heatmap.max()


@pytest.mark.parametrize("method", METHODS)
def test_a_map_without_a_positive_value_gives_the_origin_and_its_maximum(method):
    maps = np.zeros((1, 3, 16, 12), np.float32)
    maps[0, 1] = -1.0
    maps[0, 2] = np.random.default_rng(0).uniform(-2, -1, (16, 12))
    points, scores = decode_heatmaps(maps, method)
    np.testing.assert_array_equal(points, 0)
    np.testing.assert_array_equal(scores[0], [0, -1, maps[0, 2].max()])


def test_the_first_of_equal_maxima_wins():
    maps = np.zeros((1, 1, 8, 8), np.float32)
    maps[0, 0, 3, 6] = maps[0, 0, 4, 2] = 1
    assert decode_heatmaps(maps, "argmax")[0][0, 0].tolist() == [6, 3]


@pytest.mark.parametrize(("column", "refined"), [(1, False), (2, True), (46, True), (47, False)])
def test_quarter_refines_the_last_but_one_column_but_not_the_second(column, refined):
    maps = np.zeros((1, 1, 64, 48), np.float32)
    maps[0, 0, 30, column] = 1
    maps[0, 0, 30, column - 1] = 0.5
    x, y = decode_heatmaps(maps, "quarter")[0][0, 0]
    assert x == column - (0.25 if refined else 0)
    assert y == 30  # a tie moves nothing


def test_quarter_needs_both_axes_inside():
    maps = np.zeros((1, 1, 64, 48), np.float32)
    maps[0, 0, 1, 20], maps[0, 0, 1, 21] = 1, 0.5
    assert decode_heatmaps(maps, "quarter")[0][0, 0].tolist() == [20, 1]


@pytest.mark.parametrize(("column", "refined"), [(1, False), (2, True), (45, True), (46, False)])
def test_dark_keeps_two_columns_away_from_both_borders(column, refined, gaussians):
    maps = gaussians(np.array([[[column + 0.3, 30.0]]]), (64, 48))
    x = decode_heatmaps(maps, "dark")[0][0, 0, 0]
    assert (x != column) == refined


def test_several_peaks_of_one_map_are_refined_each_by_itself(gaussians):
    places = np.array([[10.3, 12.4], [34.6, 40.2]])
    heatmap = gaussians(places, (64, 48)).max(axis=0)[None]
    peaks = np.round(places).astype(int)
    for method in ("dark", "udp"):
        points = refine_peaks(heatmap, np.zeros(2, int), peaks, method)
        np.testing.assert_allclose(points, places, atol=0.05)


def test_a_step_that_is_too_long_is_refused(gaussians):
    heatmap = gaussians(np.array([[10.0, 12.0]]), (64, 48))
    beside = np.array([[14, 12]])  # on the slope, four px from the top
    far = refine_peaks(heatmap, np.zeros(1, int), beside, "dark")
    np.testing.assert_allclose(far, [[10, 12]], atol=0.2)
    kept = refine_peaks(heatmap, np.zeros(1, int), beside, "dark", max_shift=1.5)
    np.testing.assert_array_equal(kept, beside)


@pytest.mark.parametrize("method", METHODS)
def test_no_crops_give_no_keypoints(method):
    points, scores = decode_heatmaps(np.zeros((0, 17, 64, 48)), method)
    assert points.shape == (0, 17, 2) and scores.shape == (0, 17)


@pytest.mark.parametrize("method", METHODS)
def test_the_heatmaps_are_left_as_they_were(method, vectors):
    maps = vectors("hrnet_decode")["a_heatmaps"].copy()
    before = maps.copy()
    decode_heatmaps(maps, method)
    np.testing.assert_array_equal(maps, before)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_map_with_nan_or_infinity_is_refused_by_name(bad):
    maps = np.zeros((2, 3, 8, 8), np.float32)
    maps[1, 2, 4, 4] = bad
    with pytest.raises(ModelFileError, match="heatmap of keypoint 2 holds NaN or infinity"):
        decode_heatmaps(maps, "dark")


def test_a_wrong_shape_or_method_is_refused():
    with pytest.raises(ValueError, match=r"shape \(N, K, H, W\), got \(17, 64, 48\)"):
        decode_heatmaps(np.zeros((17, 64, 48)), "dark")
    with pytest.raises(ValueError, match="argmax, quarter, dark, udp, got 'soft'"):
        decode_heatmaps(np.ones((1, 1, 8, 8)), "soft")


@pytest.mark.parametrize("name", ["coco", "mpii"])
def test_turning_back_is_the_reference_one(name, vectors):
    content = vectors("flip_back")
    maps = content[f"{name}_in"].copy()
    index = np.arange(maps.shape[1])
    for left, right in content[f"{name}_pairs"]:
        index[left], index[right] = right, left
    np.testing.assert_array_equal(flip_back(maps, index), content[f"{name}_flip_back"])
    np.testing.assert_array_equal(maps, content[f"{name}_in"])


def test_the_shift_moves_one_pixel_right_and_keeps_the_first_column():
    maps = np.random.default_rng(0).random((2, 17, 16, 12), np.float32)
    plain = flip_back(maps, COCO17.flip_index)
    shifted = flip_back(maps, COCO17.flip_index, shift=True)
    np.testing.assert_array_equal(shifted[..., 1:], plain[..., :-1])
    np.testing.assert_array_equal(shifted[..., 0], plain[..., 0])
