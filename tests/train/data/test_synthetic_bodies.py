from pathlib import Path

import numpy as np
import pytest

from engine.errors import UsageError
from train.data.synthetic_bodies import (
    Library,
    Surface,
    dense_weights,
    dress,
    pose_bones,
    skin,
    sole_height,
    vertex_normals,
)

BODIES = Path(__file__).parents[4] / "shared" / "data" / "synthetic"
needs_bodies = pytest.mark.skipif(
    not BODIES.is_dir(), reason="the folder of bodies is not beside the checkout"
)
PARENTS, HEADS = np.array([-1, 0]), np.array([[0.0, 1.0, 0.0], [0.0, 2.0, 0.0]])
IDENTITY = np.array([[1.0, 0, 0, 0], [1.0, 0, 0, 0]])


@pytest.fixture
def arm():
    """A surface of three points: one on each of two bones, one halfway between them."""
    vertices = np.array([[0, 1.5, 0], [0, 2.0, 0], [0, 3.0, 0]], np.float32)
    weights = np.array([[1, 0], [0.5, 0.5], [0, 1]], np.float32)
    normals = np.tile(np.array([[0, 0, 1]], np.float32), (3, 1))
    index = np.zeros(1, np.int64)
    return Surface("arm", vertices, normals, weights, np.array([[0, 1, 2]], np.int32), index, index)


def test_the_identity_pose_is_the_rest_pose(arm):
    vertices, normals = skin(arm, HEADS, pose_bones(PARENTS, HEADS, IDENTITY, HEADS[0]))
    np.testing.assert_allclose(vertices, arm.vertices, atol=1e-6)
    np.testing.assert_allclose(normals, arm.normals, atol=1e-6)


def test_a_bent_bone_carries_what_hangs_on_it(arm):
    quarter = IDENTITY.copy()
    quarter[1] = [np.cos(np.pi / 4), np.sin(np.pi / 4), 0, 0]
    vertices, normals = skin(arm, HEADS, pose_bones(PARENTS, HEADS, quarter, HEADS[0]))
    np.testing.assert_allclose(vertices, [[0, 1.5, 0], [0, 2, 0], [0, 2, 1]], atol=1e-6)
    np.testing.assert_allclose(normals[2], [0, -1, 0], atol=1e-6)


def test_the_root_moves_everything(arm):
    vertices, _ = skin(arm, HEADS, pose_bones(PARENTS, HEADS, IDENTITY, HEADS[0] + [3, 0, -1]))
    np.testing.assert_allclose(vertices, arm.vertices + np.array([3, 0, -1]), atol=1e-6)


def test_weights_of_a_bone_named_twice_add_up():
    dense = dense_weights(np.array([[2, 0, 2, 1]]), np.array([[0.4, 0.3, 0.2, 0.1]]), 4)
    np.testing.assert_allclose(dense, [[0.3, 0.1, 0.6, 0]], atol=1e-6)


def test_normals_point_out_of_a_counter_clockwise_triangle():
    vertices = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0]], np.float32)
    np.testing.assert_allclose(vertex_normals(vertices, np.array([[0, 1, 2]])), np.tile([0, 0, 1], (3, 1)))


def test_a_folder_without_bodies_is_named_in_the_error(tmp_path):
    with pytest.raises(UsageError, match=r"no synthetic bodies in .*topology.npz.*--bodies"):
        Library(tmp_path)


@needs_bodies
@pytest.mark.shared_data
def test_a_real_body_in_rest_has_the_keypoints_that_come_with_it():
    library = Library(BODIES)
    body = library.body(3)
    identity = np.tile([1.0, 0, 0, 0], (len(library.parents), 1))
    pose = pose_bones(library.parents, body.bone_head, identity, body.bone_head[0])
    vertices, _ = skin(dress(library, 3, [])[0], body.bone_head, pose)
    np.testing.assert_allclose(vertices, body.vertices, atol=1e-5)
    np.testing.assert_allclose(library.keypoints(pose, vertices), body.arrays["rest_keypoints"], atol=1e-4)


@needs_bodies
@pytest.mark.shared_data
def test_garments_hide_the_skin_below_them_and_shoes_lift_the_person():
    library = Library(BODIES)
    bare, dressed = dress(library, 0, []), dress(library, 0, ["trousers_m", "shoes_c"])
    assert len(dressed) == 3
    assert len(dressed[0].triangles) < len(bare[0].triangles) - 2000
    assert (dressed[2].region == 0).all()
    assert (dress(library, 0, ["shoes_c"])[1].region == 1).any()
    assert 0.01 < sole_height(library, 0, ["shoes_c"]) < 0.05
    assert sole_height(library, 0, []) == 0


@needs_bodies
@pytest.mark.shared_data
def test_an_unknown_motion_is_named_in_the_error():
    with pytest.raises(UsageError, match=r"no motion 'moonwalk'.*own_idle"):
        Library(BODIES).motion("moonwalk")
