"""Signed angles of poses whose angles are known, and angles through time."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.metrics.walking import Walker
from engine.skeleton import COCO17, SKELETONS, Skeleton
from engine.tracking.angles import ANGLES, joint_angles
from engine.tracking.segment_angles import (
    BODY_ANGLES,
    FLEXIONS,
    angle_names,
    body_angles,
    flexion_angles,
    segment_angles,
    unwrap_degrees,
)

INDEX = {name: position for position, name in enumerate(COCO17.keypoints)}
RIGHT, LEFT = 1.0, -1.0
FACE = Skeleton(name="face", keypoints=("nose", "chin"), limbs=(), flip_pairs=(), oks_sigmas=(0.1, 0.1))


def pose_with(**places: tuple[float, float]) -> np.ndarray:
    """COCO keypoints of a left side that stands upright, hanging arm, but for the named ones."""
    keypoints = np.full((17, 2), np.nan)
    upright = {"shoulder": (0, 0), "elbow": (0, 30), "wrist": (0, 55), "hip": (0, 60), "knee": (0, 100)}
    for name, place in (upright | {"ankle": (0, 140)} | places).items():
        keypoints[INDEX[f"left_{name}"]] = place
    return keypoints


def mirrored(keypoints: np.ndarray) -> np.ndarray:
    return keypoints * [-1, 1]


@pytest.mark.parametrize(
    ("knee", "degrees"), [((0, 100), 0), ((40, 60), 90), ((-40, 60), -90), ((40, 100), 45), ((0, 20), 180)]
)
def test_a_thigh_hangs_at_0_and_points_to_the_right_at_90(knee, degrees) -> None:
    assert segment_angles(pose_with(knee=knee), COCO17)["left_thigh"] == pytest.approx(degrees)


def test_a_trunk_that_leans_to_the_right_of_the_picture_is_positive() -> None:
    keypoints = np.full((17, 2), np.nan)
    for name, place in {"shoulder": (60, 0), "hip": (0, 60)}.items():
        keypoints[INDEX[f"left_{name}"]] = np.add(place, (5, 0))
        keypoints[INDEX[f"right_{name}"]] = np.subtract(place, (5, 0))
    assert segment_angles(keypoints, COCO17)["trunk_lean"] == pytest.approx(45)
    assert segment_angles(mirrored(keypoints), COCO17)["trunk_lean"] == pytest.approx(-45)
    keypoints[INDEX["right_hip"]] = np.nan
    assert np.isnan(segment_angles(keypoints, COCO17)["trunk_lean"])


@pytest.mark.parametrize(
    ("places", "angle", "degrees"),
    [
        ({}, "left_knee_flexion", 0.0),
        ({"ankle": (-40, 100)}, "left_knee_flexion", 90.0),
        ({"ankle": (10, 100)}, "left_knee_flexion", -90.0),
        ({"knee": (40, 60), "ankle": (40, 100)}, "left_hip_flexion", 90.0),
        ({"knee": (40, 60), "ankle": (40, 100)}, "left_knee_flexion", 90.0),
        ({"knee": (-40, 100), "ankle": (-80, 140)}, "left_hip_flexion", -45.0),
        ({"elbow": (30, 0), "wrist": (55, 0)}, "left_shoulder_flexion", 90.0),
        ({"elbow": (30, 0), "wrist": (55, 0)}, "left_elbow_flexion", 0.0),
        ({"elbow": (-30, 30), "wrist": (-60, 60)}, "left_shoulder_flexion", -45.0),
        ({"wrist": (25, 30)}, "left_elbow_flexion", 90.0),
    ],
)
def test_what_bends_as_in_walking_is_positive_whichever_way_the_person_faces(places, angle, degrees) -> None:
    pose = pose_with(**places)
    assert flexion_angles(pose, RIGHT, COCO17)[angle] == pytest.approx(degrees, abs=1e-9)
    assert flexion_angles(mirrored(pose), LEFT, COCO17)[angle] == pytest.approx(degrees, abs=1e-9)


def test_a_trunk_that_leans_forward_flexes_the_hip() -> None:
    pose = pose_with(shoulder=(60, 0))
    assert flexion_angles(pose, RIGHT, COCO17)["left_hip_flexion"] == pytest.approx(45)


def test_without_a_direction_there_is_no_flexion() -> None:
    assert np.isnan(list(flexion_angles(pose_with(), np.nan, COCO17).values())).all()


def test_a_segment_without_length_has_no_angle() -> None:
    pose = pose_with(knee=(0, 60))
    assert np.isnan(segment_angles(pose, COCO17)["left_thigh"])
    assert np.isnan(flexion_angles(pose, RIGHT, COCO17)["left_hip_flexion"])


@given(st.integers(0, 2**32 - 1), st.sampled_from([LEFT, RIGHT]))
def test_flexion_without_its_sign_is_what_the_inside_angle_lacks_to_straight(
    seed: int, facing: float
) -> None:
    pose = np.random.default_rng(seed).uniform(0, 100, (17, 2))
    inside, flexion = joint_angles(pose, COCO17), flexion_angles(pose, facing, COCO17)
    for name in ANGLES:
        expected = inside[name] if name.endswith("shoulder") else 180 - inside[name]
        assert abs(flexion[f"{name}_flexion"]) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("speed", [230.0, -230.0])
def test_a_walker_bends_the_knees_to_the_back_only_and_swings_the_thighs_both_ways(speed: float) -> None:
    times_s = np.linspace(0, 3, 90)
    pose = Walker((0.0, 0.0), speed=speed).keypoints(times_s)
    angles = body_angles(pose, times_s, np.full(90, np.sign(speed)), COCO17, gap_s=0.25)
    assert tuple(angles) == BODY_ANGLES
    for side in ("left", "right"):
        knee, thigh = angles[f"{side}_knee_flexion"], angles[f"{side}_thigh"] * np.sign(speed)
        # The thigh swings by 0.4 rad about 0.08 rad, the knee bends by 0.08 to 0.98 rad.
        assert knee.min() == pytest.approx(np.degrees(0.08), abs=0.2)
        assert knee.max() == pytest.approx(np.degrees(0.98), abs=0.2)
        assert thigh.max() == pytest.approx(np.degrees(0.48), abs=0.2)
        assert thigh.min() == pytest.approx(np.degrees(-0.32), abs=0.2)


def test_an_arm_that_swings_all_round_is_counted_on_beyond_180() -> None:
    times_s = np.arange(60) / 30
    turn = 10.0 * np.arange(60) - 170.0
    wrapped = (turn + 180) % 360 - 180
    unwrapped = unwrap_degrees(wrapped, times_s, gap_s=0.25)
    np.testing.assert_allclose(np.diff(unwrapped), 10.0)
    assert -180 < np.median(unwrapped) <= 180
    np.testing.assert_allclose((unwrapped - turn) % 360, 0, atol=1e-9)


def test_a_short_gap_is_bridged_and_after_a_long_one_counting_begins_anew() -> None:
    degrees = np.array([170, 178, np.nan, -174, -166, np.nan, -160, -150.0])
    times_s = np.array([0, 0.1, 0.2, 0.3, 0.4, 0.5, 2.0, 2.1])
    expected = [170, 178, np.nan, 186, 194, np.nan, -160, -150]
    # The median of the first part is 182 degrees, which is -178 where counting begins.
    np.testing.assert_allclose(
        unwrap_degrees(degrees, times_s, gap_s=0.25), np.subtract(expected, [360] * 5 + [0] * 3)
    )


def test_one_value_and_none_stay_as_they_are() -> None:
    np.testing.assert_array_equal(unwrap_degrees([180.0], [0.0], gap_s=1), [180.0])
    np.testing.assert_array_equal(unwrap_degrees([np.nan, np.nan], [0.0, 1.0], gap_s=1), [np.nan, np.nan])
    assert unwrap_degrees([], [], gap_s=1).size == 0


@pytest.mark.parametrize("skeleton", SKELETONS.values(), ids=SKELETONS.keys())
def test_every_shipped_skeleton_has_all_angles(skeleton: Skeleton) -> None:
    assert tuple(angle_names(skeleton)) == BODY_ANGLES
    assert len(BODY_ANGLES) == len(set(BODY_ANGLES)) == 2 * len(ANGLES) + 5
    assert set(FLEXIONS) < set(BODY_ANGLES)


def test_a_face_has_none() -> None:
    assert angle_names(FACE) == []
