"""Walkers as a decoder would report them, and a tracker that watches them."""

from collections.abc import Callable, Iterable, Sequence

import numpy as np
import pytest

from engine.geometry import bbox_iou, pose_bbox
from engine.metrics.walking import Walker
from engine.settings import TrackerSettings
from engine.skeleton import COCO17
from engine.structures import Person, TrackedPerson
from engine.tracking.tracker import Tracker


def report_person(keypoints: np.ndarray, score: float = 0.85, hidden: Sequence[int] = ()) -> Person:
    """A person whose keypoints all have the same score, but for hidden ones."""
    points, scores = np.array(keypoints, np.float32), np.full(17, score, np.float32)
    scores[list(hidden)] = 0.02
    bbox = pose_bbox(points, scores > 0.1).astype(np.float32)
    return Person(points, scores, bbox, float(scores.mean()))


class Scene:
    """Walkers before a camera; who is behind somebody nearer is not reported.

    Earlier walkers are nearer. noise_px: standard deviation per axis.
    """

    def __init__(
        self, *walkers: Walker, noise_px: float = 2.5, seed: int = 0, hide_iou: float | None = None
    ) -> None:
        self.walkers, self.noise_px, self.hide_iou = walkers, noise_px, hide_iou
        self.random = np.random.default_rng(seed)
        self.longest_hidden_s = 0.0

    def people(self, time_s: float) -> list[Person]:
        poses = [walker.keypoints(time_s) for walker in self.walkers]
        boxes = np.stack([pose_bbox(pose, np.ones(17, bool), 0.0) for pose in poses])
        overlap = bbox_iou(boxes, boxes)
        people = []
        for index, pose in enumerate(poses):
            if self.hide_iou is not None and (overlap[index, :index] > self.hide_iou).any():
                continue
            people.append(report_person(pose + self.random.normal(0, self.noise_px, pose.shape)))
        return people


def nearest_walker(scene: Scene, person: TrackedPerson, time_s: float) -> int:
    """Index of the walker whose pose is nearest to a tracked person's."""
    poses = np.stack([walker.keypoints(time_s) for walker in scene.walkers])
    return int(np.nanmean(np.linalg.norm(poses - person.keypoints, axis=-1), axis=1).argmin())


@pytest.fixture(scope="session")
def person_of() -> Callable[..., Person]:
    return report_person


@pytest.fixture(scope="session")
def scene_of() -> type[Scene]:
    return Scene


@pytest.fixture(scope="session")
def watch() -> Callable[..., dict[int, set[int]]]:
    """Function (tracker, scene, times) → ids that each walker had while it was shown."""

    def play(tracker: Tracker, scene: Scene, times: Iterable[float]) -> dict[int, set[int]]:
        ids: dict[int, set[int]] = {}
        for time_s in times:
            for person in tracker.update(scene.people(float(time_s)), float(time_s)):
                if np.isfinite(person.raw_keypoints).any():
                    ids.setdefault(nearest_walker(scene, person, float(time_s)), set()).add(person.track_id)
        return ids

    return play


@pytest.fixture
def skeleton():
    return COCO17


@pytest.fixture
def tracker() -> Tracker:
    """Return a tracker with the usual settings."""
    return Tracker(TrackerSettings(), COCO17)


@pytest.fixture(scope="session")
def pose() -> np.ndarray:
    """Return the keypoints of somebody who stands, (17, 2)."""
    return Walker((400.0, 600.0), speed=0.0).keypoints(0.0)


def frame_times(start_s: float, end_s: float, fps: float = 30.0) -> np.ndarray:
    """Return the times of the frames in [start_s, end_s)."""
    return np.arange(round(start_s * fps), round(end_s * fps)) / fps


@pytest.fixture(scope="session")
def times() -> Callable[..., np.ndarray]:
    return frame_times


@pytest.fixture(scope="session")
def show() -> Callable[..., list[list[int]]]:
    """Function (tracker, people, start_s, end_s) → ids in each frame while the same people are seen."""

    def see(tracker: Tracker, people: list[Person], start_s: float, end_s: float, fps: float = 30.0):
        return [
            [p.track_id for p in tracker.update(people, float(t))] for t in frame_times(start_s, end_s, fps)
        ]

    return see
