"""What the tracker promises whoever calls it, whatever is seen."""

import copy

import numpy as np
import pytest

from engine.errors import SourceError
from engine.settings import SmoothingSettings, TrackerSettings
from engine.skeleton import COCO17, MPII16
from engine.structures import Person
from engine.tracking.tracker import Tracker


@pytest.mark.parametrize("later", [1.0, 0.9, float("nan"), float("inf")])
def test_time_that_does_not_go_on_is_an_error_that_leaves_the_tracker_as_it_was(
    tracker, person_of, later: float, show, pose
) -> None:
    show(tracker, [person_of(pose)], 0, 1.04)
    with pytest.raises(SourceError, match="time of a frame"):
        tracker.update([person_of(pose)], later)
    assert [person.track_id for person in tracker.update([person_of(pose)], 1.05)] == [1]


def test_after_a_reset_a_new_sequence_begins(tracker, person_of, show, pose) -> None:
    show(tracker, [person_of(pose)], 0, 1)
    tracker.reset()
    assert tracker.predict(0.0) == []
    assert show(tracker, [person_of(pose)], 0, 1)[-1] == [1]


def test_predicting_changes_nothing_and_tells_tentative_from_confirmed(
    tracker, person_of, times, pose
) -> None:
    assert tracker.predict(0.0) == []
    twin = copy.deepcopy(tracker)
    for t in times(0, 1):
        person = [person_of(pose + [60 * t, 0])]
        first, second = tracker.update(person, float(t)), twin.update(person, float(t))
        (track,) = tracker.predict(float(t))
        assert (track.track_id > 0) == track.confirmed == bool(first)
        assert track.unseen_s == 0
        tracker.predict(float(t) + 0.7)
        for one, other in zip(first, second, strict=True):
            np.testing.assert_array_equal(one.keypoints, other.keypoints)
    tracker.update([], 1.0)
    (track,) = tracker.predict(1.2)
    assert track.unseen_s == pytest.approx(1 / 30.0)
    assert track.bbox.shape == (4,) and np.isfinite(track.bbox).all()
    with pytest.raises(SourceError):
        tracker.predict(0.5)


def test_what_is_returned_is_the_callers_own(tracker, person_of, show, pose) -> None:
    show(tracker, [person_of(pose)], 0, 1)
    twin = copy.deepcopy(tracker)
    (shown,), (track,) = tracker.update([person_of(pose)], 1.0), tracker.predict(1.1)
    twin.update([person_of(pose)], 1.0)
    for values in (
        shown.keypoints,
        shown.velocity,
        shown.raw_keypoints,
        shown.bbox,
        track.keypoints,
        track.bbox,
    ):
        assert values.flags.owndata
        values[:] = -1e6
    shown.state[:], shown.scores[:], track.scores[:] = 0, 7, 7
    (after,), (expected,) = tracker.update([person_of(pose)], 1.1), twin.update([person_of(pose)], 1.1)
    np.testing.assert_array_equal(after.keypoints, expected.keypoints)
    np.testing.assert_array_equal(after.bbox, expected.bbox)


def test_the_people_given_are_not_changed(tracker, person_of, show, pose) -> None:
    person = person_of(pose)
    person.keypoints[3] = np.nan
    before = copy.deepcopy(person)
    show(tracker, [person], 0, 1)
    np.testing.assert_array_equal(person.keypoints, before.keypoints)
    np.testing.assert_array_equal(person.scores, before.scores)


def test_raw_keypoints_are_as_decoded_whatever_the_smoothing(person_of, times, pose) -> None:
    for method in ("kalman", "one-euro", "none"):
        tracker = Tracker(TrackerSettings(smoothing=SmoothingSettings(method=method)), COCO17)
        random = np.random.default_rng(0)
        for t in times(0, 1):
            person = person_of(pose + random.normal(0, 3, pose.shape))
            shown = tracker.update([person], float(t))
        np.testing.assert_array_equal(shown[0].raw_keypoints, person.keypoints)
        same = np.array_equal(shown[0].keypoints, person.keypoints)
        assert same == (method == "none")


def test_shapes_and_types_are_those_of_the_contract(tracker, person_of, show, pose) -> None:
    show(tracker, [person_of(pose)], 0, 1)
    (shown,) = tracker.update([person_of(pose)], 1.0)
    for name, shape, kind in (
        ("keypoints", (17, 2), np.float32), ("raw_keypoints", (17, 2), np.float32),
        ("velocity", (17, 2), np.float32), ("scores", (17,), np.float32), ("state", (17,), np.int8),
        ("bbox", (4,), np.float32),
    ):  # fmt: skip
        value = getattr(shown, name)
        assert (value.shape, value.dtype) == (shape, kind), name
    assert shown.age_s == pytest.approx(1.0)
    assert isinstance(shown.track_id, int) and isinstance(shown.score, float)


def test_a_person_of_another_skeleton_or_without_a_box_is_refused(tracker, person_of, pose) -> None:
    with pytest.raises(ValueError, match="16 keypoints for skeleton 'mpii16'"):
        Tracker(TrackerSettings(), MPII16).update([person_of(pose)], 0.0)
    broken = person_of(pose)
    broken.bbox[2] = np.nan
    with pytest.raises(ValueError, match="finite"):
        tracker.update([broken], 0.0)


def test_a_person_who_shows_no_keypoint_is_nobody(tracker, person_of, show, pose) -> None:
    blank = person_of(pose)
    blank.keypoints[:] = np.nan
    unsure = person_of(pose + 400)
    low = Person(unsure.keypoints, unsure.scores * 0.1, unsure.bbox, 0.9)
    assert not any(show(tracker, [blank, low], 0, 1))
    assert tracker.predict(1.0) == []
