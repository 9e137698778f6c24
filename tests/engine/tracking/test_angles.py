"""Angles of poses whose angles are known."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.metrics.walking import Walker
from engine.skeleton import COCO17, SKELETONS, Skeleton
from engine.tracking.angles import ANGLES, interior_angles, joint_angles, joint_triples

INDEX = {name: position for position, name in enumerate(COCO17.keypoints)}


def pose_with(**places: tuple[float, float]) -> np.ndarray:
    """COCO keypoints, missing but for the named ones."""
    keypoints = np.full((17, 2), np.nan)
    for name, place in places.items():
        keypoints[INDEX[name]] = place
    return keypoints


def elbow_of(shoulder: tuple[float, float], elbow: tuple[float, float], wrist: tuple[float, float]) -> float:
    pose = pose_with(left_shoulder=shoulder, left_elbow=elbow, left_wrist=wrist)
    return joint_angles(pose, COCO17)["left_elbow"]


@pytest.mark.parametrize(
    ("wrist", "degrees"),
    [((0, 20), 180.0), ((10, 10), 90.0), ((-10, 10), 90.0), ((0, 5), 0.0), ((10, 20), 135.0)],
)
def test_a_straight_arm_has_180_degrees_a_folded_one_0_and_sides_do_not_matter(wrist, degrees) -> None:
    assert elbow_of((0, 0), (0, 10), wrist) == pytest.approx(degrees)


def test_a_hanging_arm_and_a_standing_leg() -> None:
    pose = pose_with(
        right_shoulder=(0, 0),
        right_elbow=(0, 30),
        right_hip=(0, 60),
        right_knee=(0, 100),
        right_ankle=(0, 140),
    )
    angles = joint_angles(pose, COCO17)
    assert angles["right_shoulder"] == pytest.approx(0.0, abs=1e-6)
    assert angles["right_hip"] == pytest.approx(180.0) and angles["right_knee"] == pytest.approx(180.0)
    assert np.isnan(angles["left_knee"]) and np.isnan(angles["right_elbow"])


def test_a_segment_without_length_has_no_angle() -> None:
    assert np.isnan(elbow_of((5, 5), (5, 5), (9, 9)))
    assert np.isnan(elbow_of((1, 5), (9, 9), (9, 9)))


@given(st.floats(-500, 500), st.floats(-500, 500), st.floats(0.1, 20), st.floats(0, 6.28))
def test_an_angle_does_not_depend_on_place_size_or_turn(
    x: float, y: float, scale: float, turn: float
) -> None:
    arm = np.array([[0.0, 0.0], [10.0, 3.0], [14.0, 17.0]])
    rotation = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    moved = scale * arm @ rotation + [x, y]
    expected = interior_angles(arm, [[0, 1, 2]])
    np.testing.assert_allclose(interior_angles(moved, [[0, 1, 2]]), expected, atol=1e-6)


@pytest.mark.parametrize("skeleton", SKELETONS.values(), ids=SKELETONS.keys())
def test_every_shipped_skeleton_has_all_angles_with_the_joint_in_the_middle(skeleton: Skeleton) -> None:
    triples = joint_triples(skeleton)
    assert tuple(triples) == ANGLES
    for name, triple in triples.items():
        assert skeleton.keypoints[triple[1]] == name
        assert all(skeleton.keypoints[index].startswith(name.split("_")[0]) for index in triple)
    pose = np.random.default_rng(0).uniform(0, 100, (skeleton.count, 2))
    angles = joint_angles(pose, skeleton)
    assert tuple(angles) == ANGLES and all(0 <= value <= 180 for value in angles.values())


def test_a_skeleton_without_limbs_has_no_angles() -> None:
    face = Skeleton(name="face", keypoints=("nose", "chin"), limbs=(), flip_pairs=(), oks_sigmas=(0.1, 0.1))
    assert joint_angles(np.zeros((2, 2)), face) == {}


def test_many_poses_at_once_equal_one_after_another() -> None:
    poses = Walker((200.0, 600.0)).keypoints(np.linspace(0, 2, 12)).reshape(3, 4, 17, 2)
    together = interior_angles(poses, list(joint_triples(COCO17).values()))
    assert together.shape == (3, 4, len(ANGLES))
    for place in np.ndindex(3, 4):
        alone = list(joint_angles(poses[place], COCO17).values())
        np.testing.assert_allclose(together[place], alone)


def test_keypoints_of_another_skeleton_are_refused() -> None:
    with pytest.raises(ValueError, match=r"must have shape \(17, 2\)"):
        joint_angles(np.zeros((16, 2)), COCO17)


def test_what_somebody_does_to_the_triples_changes_nothing_for_others() -> None:
    joint_triples(COCO17).clear()
    assert list(joint_triples(COCO17)) == list(ANGLES)
