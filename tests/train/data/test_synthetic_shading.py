import numpy as np
import pytest

from train.data.synthetic_backdrops import box_mesh
from train.data.synthetic_camera import Camera, view_panorama
from train.data.synthetic_materials import flat
from train.data.synthetic_shading import Light, light_from_panorama, shade_pixels

GREY = flat((0.5, 0.5, 0.5), grain=0.0)


def test_the_brightest_part_of_the_panorama_is_where_the_light_comes_from():
    panorama = np.full((128, 256, 3), 40, np.uint8)
    # A quarter of the way from the left edge lies +X: +Z is in the middle.
    panorama[30:40, 60:68] = 255
    light = light_from_panorama(panorama, 0.0, np.random.default_rng(0))
    assert light.towards[0] > 0.6
    assert abs(light.towards[2]) < 0.25
    assert light.towards[1] > 0
    assert light.ambient[1].mean() > 3 * abs(light.ambient[3].mean())


@pytest.mark.parametrize("turn", [0.0, 1.0, -2.5])
def test_a_camera_that_looks_towards_the_light_sees_the_bright_part(turn):
    panorama = np.full((128, 256, 3), 40, np.uint8)
    panorama[30:40, 60:68] = 255
    towards = light_from_panorama(panorama, turn, np.random.default_rng(0)).towards
    yaw = float(np.arctan2(towards[0], towards[2]))
    view = view_panorama(panorama, Camera((0, 1, 0), yaw, 0.6, 0.0, 200.0, (301, 401)), turn)
    rows, columns = np.nonzero(view[..., 0] > 200)
    assert len(rows) > 100
    assert abs(columns.mean() - 200) < 20


@pytest.mark.parametrize("side", [-1.0, 1.0])
def test_a_side_turned_to_the_light_is_brighter(side):
    light = Light(np.full((4, 3), 0.0, np.float32), np.array([side, 0.0, 0.0]), np.ones(3, np.float32))
    light.ambient[0] = 0.2
    mesh = box_mesh((0, 0, 5), (1, 1, 1), 0.0, GREY)
    colours = {}
    for normal in ((-1, 0, 0), (1, 0, 0)):
        triangle = np.flatnonzero((mesh.normals[mesh.triangles[:, 0]] == normal).all(1))[:1]
        eye = np.array([3.0 * normal[0], 0, 5])
        colour = shade_pixels(mesh, triangle, np.full((1, 2), 1 / 3), np.full(24, 0.2), eye, light, None)
        colours[normal[0]] = float(colour.mean())
    assert colours[side] > 3 * colours[-side]
