"""How the camera moved, told from pictures of a known motion."""

import cv2
import numpy as np
import pytest

from engine.metrics.walking import Walker
from engine.settings import TrackerSettings
from engine.skeleton import COCO17
from engine.tracking.camera_motion import CameraMotion
from engine.tracking.tracker import Tracker

SIZE = (360, 640)


@pytest.fixture(scope="module")
def world() -> np.ndarray:
    """A large picture full of corners, (720, 1280, 3)."""
    random = np.random.default_rng(0)
    blocks = random.integers(0, 255, (45, 80, 3), np.uint8)
    return cv2.resize(blocks, (1280, 720), interpolation=cv2.INTER_NEAREST)


def view(world: np.ndarray, place: np.ndarray) -> np.ndarray:
    """What a camera sees whose pixels are `place` times those of the world."""
    return np.asarray(cv2.warpAffine(world, place, SIZE[::-1]))


def at(x: float, y: float, *, turn: float = 0.0, scale: float = 1.0) -> np.ndarray:
    turned = scale * np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    return np.concatenate([turned, -turned @ [[x], [y]]], axis=1)


def true_motion(before: np.ndarray, now: np.ndarray) -> np.ndarray:
    square = [np.vstack([place, [0, 0, 1]]) for place in (before, now)]
    return np.asarray((square[1] @ np.linalg.inv(square[0]))[:2])


@pytest.mark.parametrize(
    "now",
    [at(306, 198), at(300, 200, turn=0.02), at(300, 200, scale=1.03), at(294, 203, turn=-0.01, scale=0.99)],
)
def test_a_pan_a_turn_and_a_zoom_are_measured_to_a_fraction_of_a_pixel(world, now: np.ndarray) -> None:
    before, watch = at(300, 200), CameraMotion()
    assert watch.update(view(world, before)) is None
    motion = watch.update(view(world, now))
    assert motion is not None and motion.shape == (2, 3)
    corners = np.array([[100, 100, 1], [540, 100, 1], [320, 300, 1]], float).T
    np.testing.assert_allclose(motion @ corners, true_motion(before, now) @ corners, atol=0.4)


def test_a_camera_at_rest_has_not_moved_whatever_its_noise(world) -> None:
    random, watch = np.random.default_rng(1), CameraMotion()
    for _ in range(5):
        noisy = view(world, at(300, 200)) + random.normal(0, 4, (*SIZE, 3))
        assert watch.update(np.clip(noisy, 0, 255).astype(np.uint8)) is None


def test_people_who_walk_are_no_motion_of_the_camera(world) -> None:
    watch, still, other = CameraMotion(), view(world, at(300, 200)), view(world, at(500, 300))
    for step in range(5):
        x = 50 + 12 * step
        picture = still.copy()
        picture[40:340, x : x + 260] = other[40:340, :260]
        assert watch.update(picture, np.array([[x, 40.0, x + 260, 340.0]])) is None


def test_a_blank_wall_a_cut_and_another_size_tell_nothing(world) -> None:
    watch, blank = CameraMotion(), np.zeros((*SIZE, 3), np.uint8)
    first, elsewhere = view(world, at(300, 200)), view(world, at(20, 330))
    pictures = [blank, blank + 40, first, elsewhere, first[:180]]
    assert [watch.update(picture) for picture in pictures] == [None] * 5


def test_the_motion_of_a_large_picture_is_in_its_own_pixels(world) -> None:
    watch = CameraMotion()
    for x in (100, 108):
        motion = watch.update(cv2.resize(view(world, at(x, 100)), (1280, 720)))
    np.testing.assert_allclose(motion, [[1, 0, -16], [0, 1, 0]], atol=0.5)


def test_whoever_stands_before_a_panning_camera_stands(person_of) -> None:
    pose, tracker = Walker((400.0, 600.0), 0.0).keypoints(0.0), Tracker(TrackerSettings(), COCO17)
    pan = np.array([[1.0, 0, 8], [0, 1, -2]])
    for index in range(30):
        shown = tracker.update([person_of(pose + index * pan[:, 2])], index / 30, camera=pan)
    assert np.abs(shown[0].velocity).max() < 20
    (track,) = tracker.predict(1.0, camera=pan)
    np.testing.assert_allclose(track.keypoints, pose + 30 * pan[:, 2], atol=1)


def test_a_jerk_of_the_camera_costs_nobody_their_id(person_of) -> None:
    pose, jerk = Walker((400.0, 600.0), 0.0).keypoints(0.0), np.array([[1.0, 0, 300], [0, 1, 0]])
    ids = {}
    for told in (True, False):
        tracker = Tracker(TrackerSettings(), COCO17)
        for index in range(30):
            tracker.update([person_of(pose)], index / 30)
        for index in range(30, 60):
            camera = jerk if told and index == 30 else None
            shown = tracker.update([person_of(pose + [300, 0])], index / 30, camera=camera)
        ids[told] = [person.track_id for person in shown if np.isfinite(person.raw_keypoints).any()]
    assert ids == {True: [1], False: [2]}
