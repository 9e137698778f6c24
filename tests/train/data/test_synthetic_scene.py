import numpy as np
import pytest

from train.data.rasterizer import new_frame_buffer
from train.data.synthetic_backdrops import box_mesh
from train.data.synthetic_camera import Camera
from train.data.synthetic_materials import flat
from train.data.synthetic_scene import draw_scene, expose, keypoint_visibility
from train.data.synthetic_shading import Light, cast_shadows

CAMERA = Camera((0.0, 1.0, 0.0), 0.0, 0.0, 0.0, 100.0, (120, 160))
LIGHT = Light(
    np.array([[0.5] * 3, [0.0] * 3, [0.1] * 3, [0.0] * 3], np.float32),
    np.array([0.0, 0.8, -0.6]),
    np.full(3, 0.5, np.float32),
)
RED, BLUE = flat((0.9, 0.05, 0.05), grain=0.0), flat((0.05, 0.05, 0.9), grain=0.0)
GREY = np.full((120, 160, 3), 128, np.uint8)


def person(x=0.0, z=4.0):
    """A red box 0.6 m wide and 1.8 m high in the place of a person, all keypoints at its middle."""
    return box_mesh((x, 0.9, z), (0.6, 1.8, 0.3), 0.0, RED), np.tile([[x, 0.9, z]], (17, 1))


def test_a_person_in_the_open_is_seen_whole_and_boxed_tightly():
    picture, (truth,) = draw_scene(CAMERA, GREY, [person()], [], LIGHT)
    assert truth.visible_fraction == 1
    assert (truth.visibility[5:] == 2)[[0, 1, 6, 7]].all()
    x, y = truth.keypoints[0]
    assert picture[round(y), round(x), 2] > 2 * picture[round(y), round(x), 0]
    # The front of the box is 3.85 m away.
    width = 0.6 * 100 / 3.85
    np.testing.assert_allclose(truth.bbox[[0, 2]], [79.5 - width / 2, 79.5 + width / 2], atol=0.6)
    assert truth.area == pytest.approx(width * 1.8 * 100 / 3.85, rel=0.06)


def test_the_points_behind_a_wall_are_occluded_and_the_box_is_still_whole():
    wall = box_mesh((0.0, 0.9, 2.0), (1.2, 1.8, 0.1), 0.0, BLUE)
    _, (free,) = draw_scene(CAMERA, GREY, [person()], [], LIGHT)
    _, (hidden,) = draw_scene(CAMERA, GREY, [person()], [wall], LIGHT)
    assert (hidden.visibility == 1).all()
    assert hidden.visible_fraction == 0
    np.testing.assert_array_equal(hidden.bbox, free.bbox)


def test_a_wall_over_one_half_hides_one_half():
    wall = box_mesh((1.0, 0.9, 2.0), (2.0, 1.8, 0.1), 0.0, BLUE)
    mesh, points = person()
    points[:8, 0], points[8:, 0] = 0.2, -0.2
    _, (truth,) = draw_scene(CAMERA, GREY, [(mesh, points)], [wall], LIGHT)
    assert truth.visible_fraction == pytest.approx(0.5, abs=0.06)
    assert (truth.visibility[[5, 6]] == 1).all()
    assert (truth.visibility[[11, 12]] == 2).all()


def test_who_stands_behind_the_viewer_or_aside_is_outside():
    _, truths = draw_scene(CAMERA, GREY, [person(z=-4.0), person(x=9.0)], [], LIGHT)
    for truth in truths:
        assert truth.bbox is None
        assert (truth.visibility == 0).all()


def test_a_keypoint_counts_as_visible_through_its_own_flesh_only():
    buffer = new_frame_buffer((120, 160))
    points = np.tile([[0.0, 1.0, 4.0]], (17, 1))
    buffer.inverse_depth[:] = 1 / (4.0 - 0.1)
    visibility = keypoint_visibility(CAMERA, buffer, points)
    # 10 cm nearer: flesh of a shoulder or a hip, but something else before a nose or a wrist.
    assert (visibility[[5, 6, 11, 12]] == 2).all()
    assert (visibility[[0, 1, 9, 10, 15]] == 1).all()


def test_a_box_between_the_light_and_a_point_casts_a_shadow_on_it():
    shadows = cast_shadows([box_mesh((0, 1.0, 4.0), (1, 2, 1), 0.0, RED)], LIGHT)
    behind, before = np.array([[0.0, 0.0, 5.0]]), np.array([[0.0, 0.0, 3.0]])
    assert shadows.shade(behind)[0] == 1
    assert shadows.shade(before)[0] == 0
    picture, _ = draw_scene(CAMERA, GREY, [person()], [], LIGHT)
    plain, _ = draw_scene(CAMERA, GREY, [person()], [], LIGHT, ground_shadow=0)
    assert (picture <= plain + 0.01).all()
    assert (picture < plain - 10).any()


def test_the_sensor_changes_brightness_and_adds_noise_but_is_repeatable():
    picture = np.full((40, 40, 3), 100, np.float32)
    first = expose(picture, np.random.default_rng(1), gain=1.2, noise=3.0)
    again = expose(picture, np.random.default_rng(1), gain=1.2, noise=3.0)
    np.testing.assert_array_equal(first, again)
    assert first.mean() == pytest.approx(120, abs=0.5)
    assert first.std() == pytest.approx(3, abs=0.3)
