"""Metres of a pixel from people and distances that are known."""

import numpy as np
import pytest

from engine.errors import UsageError
from engine.metrics.scale import scale_by_height, scale_by_points
from engine.metrics.walking import Walker
from engine.skeleton import COCO17, CROWDPOSE14, Skeleton
from engine.structures import KeypointState

SEEN = np.full((90, 17), KeypointState.MEASURED, np.int8)
TIMES_S = np.arange(90) / 30
FACE = Skeleton(name="face", keypoints=("nose", "chin"), limbs=(), flip_pairs=(), oks_sigmas=(0.1, 0.1))


def test_two_points_give_a_scale_and_its_error() -> None:
    scale = scale_by_points((10, 20), (310, 420), 2.5, size=(480, 640))
    assert scale.metres_per_px == pytest.approx(2.5 / 500)
    assert scale.error == pytest.approx(2**0.5 / 500)
    assert "500.0 px" in scale.source and "2.5 m" in scale.source


def test_the_error_is_that_of_points_which_are_off_by_a_pixel() -> None:
    noise = np.random.default_rng(0).normal(0, 1, (4000, 2, 2))
    points = np.array([[10.0, 20.0], [110.0, 20.0]]) + noise
    lengths = np.linalg.norm(points[:, 0] - points[:, 1], axis=1)
    expected = scale_by_points((10, 20), (110, 20), 1.0).error
    assert np.std(1 / lengths) * 100 == pytest.approx(expected, rel=0.1)


@pytest.mark.parametrize(
    ("first", "second", "metres", "words"),
    [
        ((5, 5), (5, 5), 1.0, "at least 2 px apart, got 0 px"),
        ((5, 5), (50, 5), 0.0, "above 0 metres, got 0"),
        ((5, 5), (50, 5), -2.0, "above 0 metres"),
        ((5, 5), (50, 5), float("nan"), "above 0 metres"),
        ((5, 5), (1900, 5), 3.0, "1900,5 of the scale is outside of the frame of 640 x 480 px"),
    ],
)
def test_an_impossible_pair_of_points_is_refused(first, second, metres, words) -> None:
    with pytest.raises(UsageError, match=words):
        scale_by_points(first, second, metres, size=(480, 640))


@pytest.mark.parametrize("height_px", [120.0, 300.0])
def test_a_walker_of_known_height_gives_the_scale_within_its_error(height_px: float) -> None:
    keypoints = Walker((200.0, 600.0), height=height_px).keypoints(TIMES_S)
    scale = scale_by_height(keypoints, SEEN, COCO17, 1.75)
    truth = 1.75 / height_px
    assert abs(scale.metres_per_px / truth - 1) < scale.error < 0.05


def test_bent_knees_in_a_third_of_the_frames_change_the_error_more_than_the_scale() -> None:
    keypoints = Walker((200.0, 600.0), speed=0.0).keypoints(TIMES_S)
    upright = scale_by_height(keypoints, SEEN, COCO17, 1.75)
    keypoints[:60] = 600 + 0.6 * (keypoints[:60] - 600)
    bent = scale_by_height(keypoints, SEEN, COCO17, 1.75)
    assert bent.metres_per_px == pytest.approx(upright.metres_per_px)
    assert bent.error > 5 * upright.error


def test_with_the_crown_among_the_keypoints_more_of_the_body_is_known() -> None:
    keypoints = np.zeros((10, 14, 2))
    names = CROWDPOSE14.keypoints
    keypoints[:, [names.index("left_ankle"), names.index("right_ankle")], 1] = 961.0
    states = np.full((10, 14), KeypointState.MEASURED)
    assert scale_by_height(keypoints, states, CROWDPOSE14, 1.8).metres_per_px == pytest.approx(1.8 / 1000)


def test_what_was_predicted_does_not_count() -> None:
    keypoints = Walker((200.0, 600.0), speed=0.0).keypoints(TIMES_S)
    states, wild = SEEN.copy(), keypoints.copy()
    states[:40], wild[:40] = KeypointState.PREDICTED, 5 * keypoints[:40]
    expected = scale_by_height(keypoints, SEEN, COCO17, 1.75).metres_per_px
    assert scale_by_height(wild, states, COCO17, 1.75).metres_per_px == pytest.approx(expected)


def test_impossible_heights_and_people_are_refused() -> None:
    keypoints = Walker((200.0, 600.0)).keypoints(TIMES_S)
    with pytest.raises(UsageError, match=r"person 3 must be 0\.4 to 2\.8 metres, got 178; give metres"):
        scale_by_height(keypoints, SEEN, COCO17, 178, label="person 3")
    with pytest.raises(UsageError, match=r"must be 0\.4 to 2\.8 metres, got nan"):
        scale_by_height(keypoints, SEEN, COCO17, float("nan"))
    with pytest.raises(UsageError, match="seen together in 4 frames"):
        scale_by_height(keypoints[:4], SEEN[:4], COCO17, 1.8)
    with pytest.raises(UsageError, match="on one level"):
        scale_by_height(np.zeros((90, 17, 2)), SEEN, COCO17, 1.8)
    with pytest.raises(UsageError, match="'face' has not; use two points"):
        scale_by_height(np.zeros((90, 2, 2)), SEEN[:, :2], FACE, 1.8)
