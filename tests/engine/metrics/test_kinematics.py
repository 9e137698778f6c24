"""Speeds, paths and directions of motions that are known."""

import numpy as np
import pytest

from engine.metrics.kinematics import (
    body_height_px,
    body_places,
    find_facing,
    gap_limit_s,
    path_length,
    range_of_motion,
    speeds,
    stretches,
    usual_step_s,
    velocities,
)
from engine.metrics.walking import Walker
from engine.skeleton import COCO17, Skeleton

GAP_S = 0.25
FACE = Skeleton(name="face", keypoints=("nose", "chin"), limbs=(), flip_pairs=(), oks_sigmas=(0.1, 0.1))


def test_steady_motion_has_its_speed_at_every_frame_whatever_the_steps_of_time() -> None:
    times_s = np.array([0.0, 0.03, 0.05, 0.11, 0.2, 0.21])
    points = np.stack([30 * times_s, 5 - 40 * times_s], axis=1)
    for half_span_s in (0.0, 0.1):
        velocity = velocities(points, times_s, gap_s=GAP_S, half_span_s=half_span_s)
        np.testing.assert_allclose(velocity, np.tile([30.0, -40.0], (6, 1)))
    np.testing.assert_allclose(speeds(points, times_s, gap_s=GAP_S), 50.0)


def test_a_thrown_ball_has_the_exact_speed_by_central_differences_within_and_not_at_the_ends() -> None:
    times_s = np.arange(10) / 10
    height = (5 * times_s - 4.9 * times_s**2)[:, None]
    velocity = velocities(height, times_s, gap_s=GAP_S)[:, 0]
    truth = 5 - 9.8 * times_s
    np.testing.assert_allclose(velocity[1:-1], truth[1:-1])
    np.testing.assert_allclose(velocity[[0, -1]], truth[[0, -1]] + [-0.49, 0.49])


def test_nothing_is_made_up_over_a_gap() -> None:
    times_s = np.array([0.0, 0.1, 0.2, 1.0, 1.1, 3.0])
    points = np.array([[0.0], [1], [2], [50], [51], [99]])
    velocity = velocities(points, times_s, gap_s=GAP_S)[:, 0]
    np.testing.assert_allclose(velocity, [10, 10, 10, 10, 10, np.nan])
    length, seconds = path_length(points, times_s, gap_s=GAP_S)
    assert length == pytest.approx(3) and seconds == pytest.approx(0.3)


def test_a_frame_that_is_missing_in_between_is_bridged() -> None:
    times_s = np.arange(5) / 10
    points = np.array([[0.0], [1], [np.nan], [3], [4]])
    np.testing.assert_allclose(velocities(points, times_s, gap_s=GAP_S)[:, 0], [10, 10, np.nan, 10, 10])
    assert path_length(points, times_s, gap_s=GAP_S)[0] == pytest.approx(4)


def test_one_frame_and_none_have_no_speed_and_no_path() -> None:
    assert np.isnan(velocities([[1.0, 2.0]], [0.0], gap_s=GAP_S)).all()
    assert path_length([[1.0, 2.0]], [0.0], gap_s=GAP_S, ruler=1.0) == (0.0, 0.0)
    assert velocities(np.empty((0, 2)), [], gap_s=GAP_S).shape == (0, 2)
    assert path_length(np.empty((0, 2)), [], gap_s=GAP_S) == (0.0, 0.0)
    assert np.isnan(usual_step_s([0.5])) and gap_limit_s(usual_step_s([0.5])) == GAP_S


def test_noise_of_somebody_who_stands_is_no_path_and_a_straight_one_keeps_its_length() -> None:
    times_s = np.arange(1800) / 30
    noise = np.random.default_rng(1).normal(0, 0.5, (1800, 2))
    assert path_length(noise, times_s, gap_s=GAP_S)[0] > 1000
    assert path_length(noise, times_s, gap_s=GAP_S, ruler=6.0)[0] == 0
    straight = np.stack([50 * times_s, 0 * times_s], axis=1)
    assert path_length(straight, times_s, gap_s=GAP_S, ruler=6.0)[0] == pytest.approx(straight[-1, 0])
    assert path_length(straight + noise, times_s, gap_s=GAP_S, ruler=6.0)[0] == pytest.approx(
        straight[-1, 0], rel=0.03
    )


def test_a_circle_walked_with_a_ruler_is_a_little_shorter_than_it_is() -> None:
    times_s = np.linspace(0, 10, 301)
    circle = 100 * np.stack([np.cos(times_s * np.pi / 5), np.sin(times_s * np.pi / 5)], axis=1)
    length = path_length(circle, times_s, gap_s=GAP_S, ruler=6.0)[0]
    assert 0.99 * 200 * np.pi < length < 200 * np.pi


@pytest.mark.parametrize("speed", [230.0, -90.0])
def test_a_walker_has_the_speed_the_direction_and_the_path_that_were_given(speed: float) -> None:
    times_s = np.arange(120) / 30
    keypoints = Walker((200.0, 600.0), speed=speed).keypoints(times_s)
    places = body_places(keypoints, COCO17)
    velocity = velocities(places, times_s, gap_s=GAP_S)
    np.testing.assert_allclose(velocity[:, 0], speed)
    facing = find_facing(keypoints, times_s, COCO17, gap_s=GAP_S)
    np.testing.assert_array_equal(facing, np.sign(speed))
    # The trunk bobs by 1.2 % of 300 px, twice a stride, which the way over ground does not have.
    length, seconds = path_length(places, times_s, gap_s=GAP_S, ruler=6.0)
    assert seconds == pytest.approx(times_s[-1])
    assert abs(speed) * seconds <= length <= 1.06 * abs(speed) * seconds


def test_who_stands_or_comes_towards_the_camera_faces_no_side() -> None:
    times_s = np.arange(90) / 30
    for walker in (Walker((200.0, 600.0), speed=0.0), Walker((200.0, 600.0), speed=40.0, drift=80.0)):
        assert np.isnan(find_facing(walker.keypoints(times_s), times_s, COCO17, gap_s=GAP_S)).all()


def test_who_turns_round_faces_the_other_way_and_a_direction_is_kept_for_a_second_of_standing() -> None:
    times_s = np.arange(300) / 30
    there = Walker((0.0, 600.0), speed=200.0).keypoints(times_s[:90])
    stand = np.repeat(there[-1:], 120, axis=0)
    back = Walker((600.0, 600.0), speed=-200.0).keypoints(times_s[:90])
    facing = find_facing(np.concatenate([there, stand, back]), times_s, COCO17, gap_s=GAP_S)
    assert (facing[:90] == 1).all() and (facing[210:] == -1).all()
    assert facing[90 + 25] == 1 and np.isnan(facing[150]) and facing[210 - 25] == -1


def test_a_place_needs_both_hips_and_without_hips_it_is_the_middle_of_what_is_known() -> None:
    keypoints = Walker((0.0, 0.0)).keypoints(np.zeros(2))
    keypoints[1, COCO17.keypoints.index("left_hip")] = np.nan
    places = body_places(keypoints, COCO17)
    assert np.isfinite(places[0]).all() and np.isnan(places[1]).all()
    np.testing.assert_allclose(body_places([[[0, 0], [4, 10]], [[np.nan] * 2] * 2], FACE)[0], [2, 5])
    assert np.isnan(body_places([[[np.nan] * 2] * 2], FACE)).all()


def test_the_height_in_the_picture_is_that_of_somebody_upright() -> None:
    keypoints = Walker((0.0, 0.0), speed=0.0, height=300.0).keypoints(np.zeros(100))
    keypoints[60:] *= [1, 0.5]
    upright = np.ptp(keypoints[0, :, 1])
    assert body_height_px(keypoints) == pytest.approx(upright)
    assert np.isnan(body_height_px(np.full((3, 17, 2), np.nan)))


def test_a_range_of_motion_is_of_what_is_known() -> None:
    assert range_of_motion([np.nan, 10, 50, np.nan, 30]) == (10, 50, 40)
    assert np.isnan(range_of_motion([np.nan])).all() and np.isnan(range_of_motion([])).all()


def test_a_slow_recording_may_have_longer_gaps() -> None:
    assert gap_limit_s(1 / 30) == GAP_S and gap_limit_s(1.0) == 2.5
    assert usual_step_s([0, 0, 1, 2, 2, 7]) == 1.0
    runs = list(stretches([True, True, False, True], [0, 1, 2, 3], gap_s=1.5))
    assert [run.tolist() for run in runs] == [[0, 1], [3]]
