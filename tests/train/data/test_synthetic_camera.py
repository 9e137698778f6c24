import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from train.data.synthetic_camera import Camera, view_panorama

LEVEL = Camera((0.0, 1.5, 0.0), 0.0, 0.0, 0.0, 500.0, (480, 640))


def test_what_is_straight_ahead_is_in_the_middle_of_the_picture():
    points, depth = LEVEL.project(np.array([[0.0, 1.5, 4.0]]))
    np.testing.assert_allclose(points, [[319.5, 239.5]])
    np.testing.assert_allclose(depth, [4.0])


def test_plus_x_is_on_the_left_and_plus_y_above():
    points, _ = LEVEL.project(np.array([[1.0, 2.5, 4.0]]))
    assert points[0, 0] < 319.5
    assert points[0, 1] < 239.5


def test_yaw_turns_towards_plus_x_and_pitch_upwards():
    sideways, _ = Camera((0, 0, 0), np.pi / 2, 0.0, 0.0, 500.0, (480, 640)).project(np.array([[3.0, 0, 0]]))
    upwards, _ = Camera((0, 0, 0), 0.0, np.pi / 4, 0.0, 500.0, (480, 640)).project(np.array([[0, 3.0, 3.0]]))
    np.testing.assert_allclose(sideways, [[319.5, 239.5]], atol=1e-9)
    np.testing.assert_allclose(upwards, [[319.5, 239.5]], atol=1e-9)


@given(
    yaw=st.floats(-3, 3),
    pitch=st.floats(-1, 1),
    roll=st.floats(-1, 1),
    x=st.floats(0, 639),
    y=st.floats(0, 479),
    depth=st.floats(0.5, 30),
)
def test_a_point_on_a_pixels_ray_is_projected_back_to_that_pixel(yaw, pitch, roll, x, y, depth):
    camera = Camera((0.3, 1.2, -2.0), yaw, pitch, roll, 400.0, (480, 640))
    ray = camera.rays(np.array([[x, y]]))
    points, _ = camera.project(ray * depth + camera.position)
    np.testing.assert_allclose(points, [[x, y]], atol=1e-6)


def test_the_ground_under_a_pixel_is_projected_back_to_it_and_the_sky_has_none():
    pixels = np.array([[100.0, 400.0], [500.0, 300.0], [320.0, 10.0]])
    ground = LEVEL.ground_points(pixels)
    np.testing.assert_allclose(ground[:2, 1], 0, atol=1e-9)
    np.testing.assert_allclose(LEVEL.project(ground[:2])[0], pixels[:2], atol=1e-6)
    assert np.isnan(ground[2]).all()


def test_more_samples_per_pixel_show_the_same_view():
    point = np.array([[0.7, 0.2, 5.0]])
    coarse, fine = LEVEL.project(point)[0], LEVEL.scaled(3).project(point)[0]
    np.testing.assert_allclose((fine + 0.5) / 3 - 0.5, coarse)


@pytest.mark.parametrize(("yaw", "column"), [(0.0, 512), (np.pi / 2, 256), (-np.pi / 2, 768)])
def test_the_panorama_shows_the_direction_the_camera_looks_in(yaw, column):
    # Brightness rises with the column; +X, to the left of +Z, is left of the middle.
    panorama = np.zeros((512, 1024, 3), np.uint8)
    panorama[:] = (np.arange(1024) // 4)[None, :, None]
    view = view_panorama(panorama, Camera((0, 1, 0), yaw, 0.0, 0.0, 300.0, (201, 301)))
    assert abs(int(view[100, 150, 0]) - column // 4) <= 1
    assert (np.diff(view[100, :, 0].astype(int)) >= 0).all()


def test_the_panorama_has_no_seam_behind_the_viewer():
    panorama = np.full((256, 512, 3), 90, np.uint8)
    view = view_panorama(panorama, Camera((0, 1, 0), np.pi, 0.2, 0.1, 200.0, (200, 300)))
    assert (view == 90).all()
