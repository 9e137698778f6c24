"""The bundled models on the demo clip: the device's keypoints against the host's, in frame px."""

from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import assets
from engine.estimator import BottomUpEstimator, TopDownEstimator
from engine.estimator.bottom_up import finder_settings
from engine.estimator.device_path import shared_ring
from engine.estimator.following import FollowingEstimator
from engine.frame_tracker import FrameTracker, SequenceKind
from engine.model import Model
from engine.settings import EstimatorSettings, TrackSettings
from engine.sources import open_source
from engine.structures import Frame, Person, Result

FILES = Path(assets.__file__).parent / "models"
TOP_DOWN, BOTTOM_UP = FILES / "steadypose-td-w16.onnx", FILES / "steadypose-bu-w16.onnx"
SEEN = 0.2
TOLERANCE = {np.dtype(np.float32): 0.05, np.dtype(np.float16): 0.25}
Opened = Callable[..., Model]


@pytest.fixture(scope="module")
def frames() -> list[Frame]:
    with open_source(assets.demo_clip()) as source:
        return list(islice(source, 30))


def errors(found: list[Person], wanted: list[Person]) -> np.ndarray:
    """(n,) px on the worse axis for each keypoint that the host sees, to the nearest of that name."""
    places = np.array([person.keypoints for person in found])
    far = [
        np.abs(places - person.keypoints).max(axis=2).min(axis=0)[person.scores > SEEN] for person in wanted
    ]
    return np.concatenate(far)


@pytest.mark.parametrize(("dtype", "flip_test"), [(np.float32, False), (np.float16, True)])
def test_crops_of_real_people_give_the_keypoints_of_the_host(
    dtype: Any, flip_test: bool, frames: list[Frame], on_device: Opened, on_host: Opened
) -> None:
    boxes = [person.bbox for person in BottomUpEstimator(on_host(BOTTOM_UP)).estimate(frames[0].image)]
    there = TopDownEstimator(on_device(TOP_DOWN, dtype), flip_test=flip_test)
    here = TopDownEstimator(on_host(TOP_DOWN), flip_test=flip_test)
    found, wanted = (estimator.estimate(frames[0].image, boxes) for estimator in (there, here))
    far = np.concatenate([errors([person], [twin]) for person, twin in zip(found, wanted, strict=True)])
    assert len(far) > 80
    # In half precision a map with two maxima of nearly one height may prefer the other one.
    share = 1.0 if dtype == np.float32 else 0.99
    assert (far <= TOLERANCE[np.dtype(dtype)]).mean() >= share
    there.release()


@pytest.mark.parametrize(("dtype", "flip_test"), [(np.float32, True), (np.float16, False)])
def test_whole_frames_with_real_people_give_the_keypoints_of_the_host(
    dtype: Any, flip_test: bool, frames: list[Frame], on_device: Opened, on_host: Opened
) -> None:
    settings = EstimatorSettings(finder_short_side=256, flip_test=flip_test)
    there = BottomUpEstimator(on_device(BOTTOM_UP, dtype), settings)
    here = BottomUpEstimator(on_host(BOTTOM_UP), settings)
    found, wanted = (estimator.estimate(frames[0].image) for estimator in (there, here))
    assert len(wanted) >= 4
    far = errors(found, wanted)
    assert len(far) > 40
    if dtype == np.float32:
        assert len(found) == len(wanted) and far.max() <= TOLERANCE[np.dtype(dtype)]
    else:
        # Whose a keypoint is may change where tags tie; where it is does not.
        assert (far <= TOLERANCE[np.dtype(dtype)]).mean() >= 0.97
    there.release()


class Recorder(TopDownEstimator[Model]):
    """Notes which boxes it was asked for and whom it found there."""

    asked: list[tuple[np.ndarray, np.ndarray, list[Person]]]

    def estimate(self, image: np.ndarray, bboxes: Any, *others: Any) -> list[Person]:
        people = super().estimate(image, bboxes, *others)
        self.asked.append((image, np.array(bboxes), people))
        return people


def follow(top_down: Model, bottom_up: Model, frames: list[Frame]) -> tuple[list[Result], Recorder]:
    settings = EstimatorSettings(mode="top-down", find_interval_s=0.5)
    ring = shared_ring([top_down, bottom_up])
    crops = Recorder(top_down, ring=ring)
    crops.asked = []
    finder = BottomUpEstimator(bottom_up, finder_settings(settings), scales=settings.finder_scales, ring=ring)
    estimator = FollowingEstimator(crops, finder, settings, auto=False, ring=ring)
    tracker = FrameTracker(estimator, TrackSettings(estimator=settings), SequenceKind(30.0))
    results = [tracker.update(frame) for frame in frames]
    assert ring is None or ring.uploads == len(frames)
    estimator.release()
    return results, crops


@pytest.mark.slow
@pytest.mark.parametrize(("dtype", "count"), [(np.float32, 12), (np.float16, 30)])
def test_people_who_are_followed_have_the_tracks_of_the_host(
    dtype: Any, count: int, frames: list[Frame], on_device: Opened, on_host: Opened
) -> None:
    frames = frames[:count]
    found, _ = follow(on_device(TOP_DOWN, dtype), on_device(BOTTOM_UP, dtype), frames)
    wanted, crops = follow(on_host(TOP_DOWN), on_host(BOTTOM_UP), frames)
    for result, twin in zip(found, wanted, strict=True):
        assert {person.track_id for person in result.people} == {person.track_id for person in twin.people}
    # A track's keypoints make its next box, so that 1e-4 px grow to whole px in time, on the host alone, too:
    # the keypoints are compared in the boxes that the host had.
    there = TopDownEstimator(on_device(TOP_DOWN, dtype))
    far = np.concatenate(
        [
            errors([person], [same])
            for image, boxes, people in crops.asked
            for person, same in zip(there.estimate(image, boxes), people, strict=True)
        ]
    )
    assert len(wanted[-1].people) >= 3 and len(far) > 40 * count
    assert (far <= TOLERANCE[np.dtype(dtype)]).mean() >= (1.0 if dtype == np.float32 else 0.99)
    there.release()
