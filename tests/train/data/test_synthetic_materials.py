import numpy as np
import pytest

from train.data.synthetic_materials import (
    PATTERNS,
    Material,
    albedo,
    flat,
    linear,
    noise_planes,
    pattern_mix,
    random_cloth,
    random_complexion,
)

POINTS = np.random.default_rng(0).uniform(-0.3, 1.8, (500, 3)).astype(np.float32)


def test_a_plain_material_has_its_own_colour_everywhere():
    colour = albedo(flat((0.8, 0.4, 0.2), grain=0.0), POINTS)
    np.testing.assert_allclose(colour, np.tile(linear((0.8, 0.4, 0.2)), (500, 1)), rtol=1e-6)
    assert colour[0, 2] > colour[0, 0]


def test_stripes_follow_the_height_and_nothing_else():
    cloth = Material(linear((1, 0, 0)), linear((0, 0, 1)), "stripes", scale=0.1)
    heights = np.array([[0.4, 0.05, 0.1], [-0.2, 0.05, 0.3], [0.4, 0.15, 0.1]], np.float32)
    np.testing.assert_array_equal(pattern_mix(cloth, heights), [1, 1, 0])


@pytest.mark.parametrize("pattern", PATTERNS)
def test_every_pattern_mixes_its_two_colours(pattern):
    mix = pattern_mix(Material(linear((1, 0, 0)), linear((0, 0, 1)), pattern), POINTS)
    assert mix.shape == (500,)
    assert (mix >= 0).all() and (mix <= 1).all()
    assert (pattern == "plain") == (mix.max() == 0)


def test_the_noise_has_no_seam_where_it_repeats():
    plane = noise_planes()[0]
    inside = np.abs(np.diff(plane, axis=1)).max()
    assert np.abs(plane[:, 0] - plane[:, -1]).max() < 1.2 * inside


def test_the_same_seed_draws_the_same_clothes():
    first, again = (random_cloth(np.random.default_rng(5)) for _ in range(2))
    np.testing.assert_array_equal(first.colour, again.colour)
    assert first.pattern == again.pattern


def test_a_complexion_fits_the_body():
    dark = random_complexion(np.random.default_rng(0), (1, 0, 0), 0.5)
    light = random_complexion(np.random.default_rng(0), (0, 0, 1), 0.5)
    old = random_complexion(np.random.default_rng(0), (0, 1, 0), 0.9)
    assert dark["skin"].colour.mean() < 0.5 * light["skin"].colour.mean()
    assert np.ptp(old["hair"].colour) < 1e-6
    assert dark["hair"].strands
