"""Left and right exchanged: found, flagged, shown as measured, and not followed."""

import numpy as np
import pytest

from engine.metrics.walking import Walker
from engine.settings import SmoothingSettings, TrackerSettings
from engine.skeleton import COCO17
from engine.structures import KeypointState, TrackedPerson
from engine.tracking.swaps import find_swaps, partners
from engine.tracking.tracker import Tracker

FPS = 30.0
LEFT_ANKLE, RIGHT_ANKLE = 15, 16
MEASURED, SWAPPED = KeypointState.MEASURED, KeypointState.SWAPPED
WALKER = Walker((200.0, 600.0))
LEGS_APART = 41
"""A frame in which the ankles are far from each other."""


def exchanged(pose: np.ndarray, left: int = LEFT_ANKLE, right: int = RIGHT_ANKLE) -> np.ndarray:
    pose = pose.copy()
    pose[[left, right]] = pose[[right, left]]
    return pose


def watch_ankles(
    person_of, swapped_frames: range, *, frames: int, method: str = "kalman", noise_px: float = 1.5
):
    """The person of every frame, and the measured poses; the ankles are exchanged in some frames."""
    tracker = Tracker(TrackerSettings(confirm_s=0.0, smoothing=SmoothingSettings(method=method)), COCO17)
    random, people, poses = np.random.default_rng(3), [], []
    for index in range(frames):
        pose = WALKER.keypoints(index / FPS) + random.normal(0, noise_px, (17, 2))
        poses.append(exchanged(pose) if index in swapped_frames else pose)
        people += tracker.update([person_of(poses[-1])], index / FPS)
    return people, np.array(poses)


def flagged(people: list[TrackedPerson], keypoint: int = LEFT_ANKLE) -> list[int]:
    return [index for index, person in enumerate(people) if person.state[keypoint] == SWAPPED]


def test_every_keypoint_knows_its_other_side() -> None:
    partner = partners(17, COCO17.flip_pairs)
    assert partner[LEFT_ANKLE] == RIGHT_ANKLE and partner[RIGHT_ANKLE] == LEFT_ANKLE
    assert partner[0] == 0


@pytest.mark.parametrize("method", ["kalman", "one-euro", "none"])
def test_ankles_exchanged_for_some_frames_are_flagged_there_and_nowhere_else(person_of, method: str) -> None:
    swapped = range(LEGS_APART, LEGS_APART + 3)
    people, poses = watch_ankles(person_of, swapped, frames=60, method=method)
    assert flagged(people) == flagged(people, RIGHT_ANKLE) == list(swapped)
    assert all((np.delete(person.state, [15, 16]) == MEASURED).all() for person in people)
    for index in (*swapped, swapped.stop):
        error = np.linalg.norm(people[index].keypoints[15:] - poses[index, 15:], axis=-1)
        assert error.max() < 20


def test_after_a_swap_the_filters_are_where_they_would_have_been(person_of) -> None:
    plain, _ = watch_ankles(person_of, range(0), frames=50)
    swapped, _ = watch_ankles(person_of, range(LEGS_APART, LEGS_APART + 3), frames=50)
    np.testing.assert_allclose(swapped[-1].keypoints, plain[-1].keypoints, atol=1e-3)


def test_nothing_is_flagged_while_the_legs_pass_each_other(person_of) -> None:
    people, _ = watch_ankles(person_of, range(0), frames=150, noise_px=4.0)
    assert not any((person.state == SWAPPED).any() for person in people)


def test_an_exchange_that_lasts_is_the_right_way_round_after_half_a_second(person_of) -> None:
    standing = Walker((200.0, 600.0), 0.0).keypoints(0.0)
    standing[RIGHT_ANKLE, 0] += 160.0
    tracker, states = Tracker(TrackerSettings(confirm_s=0.0), COCO17), []
    for index in range(60):
        pose = standing if index < 20 else exchanged(standing)
        (person,) = tracker.update([person_of(pose)], index / FPS)
        states.append(int(person.state[LEFT_ANKLE]))
        np.testing.assert_allclose(person.keypoints[15:], pose[15:], atol=1.0)
    assert states == [MEASURED] * 20 + [SWAPPED] * 15 + [MEASURED] * 25


def test_one_side_measured_on_the_other_is_not_believed_as_soon_as_other_outliers(person_of) -> None:
    standing = Walker((200.0, 600.0), 0.0).keypoints(0.0)
    standing[RIGHT_ANKLE, 0] += 160.0
    tracker = Tracker(TrackerSettings(confirm_s=0.0), COCO17)
    both_on_the_right = standing.copy()
    both_on_the_right[LEFT_ANKLE] = standing[RIGHT_ANKLE]
    for index in range(26):
        (person,) = tracker.update([person_of(standing if index < 20 else both_on_the_right)], index / FPS)
    assert person.state[LEFT_ANKLE] == KeypointState.OUTLIER
    np.testing.assert_allclose(person.keypoints[LEFT_ANKLE], standing[LEFT_ANKLE], atol=1.0)


def test_a_keypoint_without_a_trusted_prediction_is_never_called_swapped() -> None:
    expected = np.array([[[0.0, 0.0], [100.0, 0.0]]])
    measured, noise = expected[:, ::-1], np.full((1, 2), 4.0)
    partner = partners(2, [(0, 1)])
    assert find_swaps(expected, noise, measured, noise, np.array([[True, True]]), partner).all()
    assert not find_swaps(expected, noise, measured, noise, np.array([[True, False]]), partner).any()
    far = measured + 60.0
    assert not find_swaps(expected, noise, far, noise, np.array([[True, True]]), partner).any()
