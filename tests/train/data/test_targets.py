import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from train.data.targets import (
    SMALLEST_SIGMA,
    crowd_heatmaps,
    gaussian_patch,
    gaussian_patches,
    rounded_heatmaps,
    scale_aware_sigmas,
    tag_indices,
    udp_heatmaps,
    unbiased_heatmaps,
)


@pytest.fixture(scope="module")
def hrnet(reference):
    with np.load(reference / "vectors" / "hrnet_target.npz") as content:
        yield content


@pytest.fixture(scope="module")
def higher(reference):
    with np.load(reference / "vectors" / "higher_targets.npz") as content:
        yield content


@pytest.fixture(scope="module")
def dark(reference):
    with np.load(reference / "vectors" / "dark_decode.npz") as content:
        yield content


@pytest.mark.parametrize(("case", "size", "sigma"), [("s2", (64, 48), 2), ("s3", (96, 72), 3)])
@pytest.mark.parametrize("sample", range(3))
def test_rounded_maps_and_weights_are_the_reference_ones(case, size, sigma, sample, hrnet):
    points, visible = hrnet[f"{case}_joints"][sample, :, :2], hrnet[f"{case}_vis"][sample, :, 0]
    maps, weights = rounded_heatmaps(points, visible, size, 4, sigma)
    np.testing.assert_allclose(maps, hrnet[f"{case}_target"][sample], atol=1e-6)
    np.testing.assert_array_equal(weights, hrnet[f"{case}_weight"][sample, :, 0])


def test_a_keypoint_just_left_of_the_map_is_rounded_into_its_first_column():
    maps, weights = rounded_heatmaps([[-1.9, 40.0]], [1], (64, 48), 4, 2)
    assert weights[0] == 1
    assert np.unravel_index(maps[0].argmax(), (64, 48)) == (10, 0)


def test_a_patch_that_only_touches_the_map_from_outside_keeps_its_weight_with_an_empty_map():
    maps, weights = rounded_heatmaps([[-32.0, 40.0], [-36.0, 40.0]], [1, 1], (64, 48), 4, 2)
    np.testing.assert_array_equal(weights, [1, 0])
    assert not maps.any()


def test_unbiased_maps_are_the_reference_ones(dark):
    points, visible = dark["target_joints_heatmap_px"][:, :2], dark["target_vis"][:, 0] > 0.5
    maps = unbiased_heatmaps(points, visible, (64, 48), 2.0)
    np.testing.assert_allclose(maps, dark["target"], atol=1e-6)
    np.testing.assert_array_equal(visible, dark["target_weight"][:, 0])


def test_unbiased_maps_take_any_leading_axes():
    points = np.random.default_rng(0).uniform(0, 40, (2, 3, 5, 2))
    maps = unbiased_heatmaps(points, np.ones((2, 3, 5)), (64, 48), 2.0)
    assert maps.shape == (2, 3, 5, 64, 48)
    np.testing.assert_array_equal(maps[1, 2, 4], unbiased_heatmaps(points[1, 2, 4], True, (64, 48), 2.0))


@given(x=st.floats(-20, 70), y=st.floats(-20, 90), sigma=st.floats(0.5, 4))
def test_a_patch_is_the_unbiased_map_cut_at_four_sigmas(x, y, sigma):
    size = (64, 48)
    rows, columns, patch = gaussian_patch((x, y), size, sigma)
    pasted = np.zeros(size, np.float32)
    pasted[rows, columns] = patch
    whole = unbiased_heatmaps((x, y), True, size, sigma)
    np.testing.assert_allclose(pasted[rows, columns], whole[rows, columns], atol=1e-6)
    assert np.all(whole[pasted == 0] <= np.exp(-8) + 1e-6)


@pytest.mark.parametrize(
    ("case", "side", "sigma"),
    [
        ("heatmap_sigma2", 64, 2),
        ("heatmap_sigma1", 64, 1),
        ("heatmap_sigma-1", 64, 1),
        ("heatmap_128_default", 128, 2),
    ],
)
def test_the_maps_of_a_crowd_are_the_reference_ones(case, side, sigma, higher):
    people = higher["joints"]
    points = people[..., :2] * (side / 64)
    maps = crowd_heatmaps(points, people[..., 2], (side, side), sigma)
    np.testing.assert_allclose(maps, higher[case], atol=1e-6)


def test_scale_aware_maps_are_the_reference_ones(higher):
    people = higher["joints4"]
    maps = crowd_heatmaps(people[..., :2], people[..., 2], (64, 64), people[..., 3])
    np.testing.assert_allclose(maps, higher["scale_aware"], atol=1e-6)


def test_where_people_meet_the_larger_value_stands():
    apart = [crowd_heatmaps([[[x, 8.0]]], [[2]], (16, 16), 2) for x in (6.0, 9.0)]
    together = crowd_heatmaps([[[6.0, 8.0]], [[9.0, 8.0]]], [[2], [2]], (16, 16), 2)
    np.testing.assert_array_equal(together, np.maximum(*apart))


@pytest.mark.parametrize(("per_keypoint", "case"), [(True, "indices_per_joint"), (False, "indices_shared")])
def test_tags_are_read_where_the_reference_reads_them(per_keypoint, case, higher):
    people = higher["joints"]
    indices = tag_indices(people[..., :2], people[..., 2], (64, 64), 30, tag_per_keypoint=per_keypoint)
    np.testing.assert_array_equal(indices, higher[case])


def test_people_beyond_the_most_allowed_are_cut():
    points = np.full((5, 2, 2), 3.0)
    indices = tag_indices(points, np.ones((5, 2)), (8, 8), 3)
    assert indices.shape == (3, 2, 2)
    assert indices[..., 1].all()


def test_udp_gaussians_are_exact_inside_the_patch_around_the_rounded_place():
    points = np.random.default_rng(0).uniform(12, 36, (20, 2))
    maps, weights = udp_heatmaps(points, np.ones(20), (64, 48), 2.0)
    whole = unbiased_heatmaps(points, np.ones(20), (64, 48), 2.0)
    for point, painted, full in zip(points, maps, whole):
        x, y = (point + 0.5).astype(int)
        patch = np.zeros((64, 48), bool)
        patch[y - 6 : y + 7, x - 6 : x + 7] = True
        np.testing.assert_allclose(painted, np.where(patch, full, 0), atol=1e-6)
    assert (weights == 1).all()


def test_udp_weights_are_those_of_rounded_maps():
    points = np.random.default_rng(1).uniform(-12, 70, (200, 2))
    visible = np.random.default_rng(2).integers(0, 2, 200)
    _, ours = udp_heatmaps(points, visible, (64, 48), 2.0)
    _, published = rounded_heatmaps(points, visible, (64, 48), 1, 2.0)
    np.testing.assert_array_equal(ours, published)
    assert 0 < ours.sum() < visible.sum()


def test_many_patches_are_the_single_ones():
    rng = np.random.default_rng(0)
    points, sigmas = rng.uniform(-15, 70, (30, 2)).astype(np.float32), rng.uniform(0.5, 3, 30)
    for point, sigma, many in zip(
        points, sigmas, gaussian_patches(points, sigmas.astype(np.float32), (64, 48)), strict=True
    ):
        one = gaussian_patch(point, (64, 48), sigma)
        assert many[:2] == one[:2]
        np.testing.assert_allclose(many[2], one[2], atol=1e-6)


def test_no_patches_of_no_points():
    assert list(gaussian_patches(np.zeros((0, 2), np.float32), np.zeros(0, np.float32), (8, 8))) == []


def test_sigmas_follow_the_published_rule():
    """A box side of 256 px has sigma 2, and halving the view's scale halves it."""
    np.testing.assert_allclose(scale_aware_sigmas([256, 128, 512], 256, 2.0), [2, 1, 4])
    assert scale_aware_sigmas([3.0], 256, 2.0)[0] == SMALLEST_SIGMA
    np.testing.assert_allclose(scale_aware_sigmas([64, 256, 2560], 256, 2.0, (0.5, 3.0)), [1, 2, 6])
