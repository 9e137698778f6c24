import numpy as np
import pytest

from train.data.synthetic_motions import Motion, blended, joined, looped, mirrored, rotation_matrices, turned

BONES = ["root", "arm.L", "arm.R"]


def quaternion(axis, angle):
    return np.concatenate([[np.cos(angle / 2)], np.sin(angle / 2) * np.asarray(axis, float)])


@pytest.fixture
def stride():
    """Two cycles of 30 frames of swinging arms, moving on by 1 leg length each."""
    time = np.arange(61) / 30
    swing = np.sin(2 * np.pi * time) * 0.5
    rotation = np.zeros((61, 3, 4))
    rotation[..., 0] = 1
    rotation[:, 1] = [quaternion([1, 0, 0], angle) for angle in swing]
    rotation[:, 2] = [quaternion([1, 0, 0], -angle) for angle in swing]
    root = np.stack([0.02 * np.sin(2 * np.pi * time), 1 + 0.01 * np.cos(4 * np.pi * time), time], 1)
    return Motion("stride", rotation, root, np.zeros((61, 1)), np.array([0, 2, 1]))


def test_rotation_matrices_turn_as_their_quaternions_say():
    matrix = rotation_matrices(quaternion([0, 1, 0], np.pi / 2))
    np.testing.assert_allclose(matrix @ [0, 0, 1], [1, 0, 0], atol=1e-12)
    np.testing.assert_allclose(rotation_matrices(np.array([1.0, 0, 0, 0])), np.eye(3))


def test_turning_a_pose_turns_its_root_from_plus_z_to_plus_x(stride):
    start = quaternion([1, 0, 0], 0.3)
    pose = stride.rotation[0].copy()
    pose[0] = start
    result = turned(pose, np.pi / 2)
    expected = rotation_matrices(quaternion([0, 1, 0], np.pi / 2)) @ rotation_matrices(start)
    np.testing.assert_allclose(rotation_matrices(result[0]), expected, atol=1e-12)
    np.testing.assert_array_equal(result[1:], pose[1:])


def test_mirroring_twice_gives_the_clip_back(stride):
    once = mirrored(stride)
    np.testing.assert_allclose(once.rotation[:, 1], stride.rotation[:, 2] * [1, 1, -1, -1])
    np.testing.assert_allclose(mirrored(once).rotation, stride.rotation)
    np.testing.assert_allclose(mirrored(once).root, stride.root)


def test_blending_stays_a_rotation_and_takes_the_short_way():
    first, second = quaternion([1, 0, 0], 0.2)[None], -quaternion([1, 0, 0], 0.6)[None]
    np.testing.assert_allclose(blended(first, second, 0.5), quaternion([1, 0, 0], 0.4)[None], atol=1e-9)


def test_a_looped_clip_goes_on_walking_without_a_jump(stride):
    long = looped(stride, 200)
    assert len(long) == 200
    step = np.diff(long.root[:, 2])
    assert step.min() > 0.02
    assert step.max() < 0.05
    turn = np.abs(np.diff(long.rotation, axis=0)).max((1, 2))
    assert turn.max() < 1.3 * np.abs(np.diff(stride.rotation, axis=0)).max()


def test_joined_clips_keep_place_and_pose_continuous(stride):
    rotation, root = np.tile(stride.rotation[:1], (40, 1, 1)), np.tile([[5.0, 1.0, 5.0]], (40, 1))
    waiting = Motion("wait", rotation, root, np.ones((40, 1)), stride.swap)
    both = joined([stride, waiting], blend=10)
    assert len(both) == 61 + 40 - 10
    assert np.abs(np.diff(both.root, axis=0)).max() < 0.06
    assert np.abs(np.diff(both.floor, axis=0)).max() < 0.2
    np.testing.assert_allclose(np.linalg.norm(both.rotation, axis=-1), 1)
