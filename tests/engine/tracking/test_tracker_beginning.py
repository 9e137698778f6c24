"""How a track begins, told one scene at a time."""

import numpy as np
import pytest

from engine.settings import TrackerSettings
from engine.skeleton import COCO17
from engine.structures import KeypointState, Person
from engine.tracking.tracker import Tracker


def test_a_person_walks_in_and_gets_an_id_once_confirmed(tracker, person_of, show, pose) -> None:
    ids = show(tracker, [person_of(pose)], 0, 0.5)
    first = next(index for index, found in enumerate(ids) if found)
    assert first / 30.0 == pytest.approx(0.12, abs=1 / 30.0)
    assert all(found == [1] for found in ids[first:])


def test_a_false_alarm_of_one_frame_never_gets_an_id(tracker, person_of, show, pose) -> None:
    alarm = person_of(pose + 300)
    ids = show(tracker, [], 0, 0.2) + show(tracker, [alarm], 0.2, 0.21) + show(tracker, [], 0.21, 2)
    assert not any(ids)
    assert show(tracker, [person_of(pose)], 2, 3)[-1] == [1]


def test_a_flickering_false_alarm_gets_no_id_while_it_is_seen_less_than_the_confirming_time(
    tracker, person_of, times, pose
) -> None:
    shown = []
    for index, time_s in enumerate(times(0, 0.2)):
        shown += tracker.update([person_of(pose)] if index % 2 else [], float(time_s))
    assert not shown


def test_with_no_confirming_time_a_person_is_shown_at_once(person_of, pose) -> None:
    tracker = Tracker(TrackerSettings(confirm_s=0), COCO17)
    assert [person.track_id for person in tracker.update([person_of(pose)], 5.0)] == [1]


def test_a_weak_person_starts_no_track_but_keeps_one_alive(tracker, person_of, show, times, pose) -> None:
    weak = person_of(pose, 0.21)
    assert weak.score < tracker.settings.min_person_score
    assert not any(show(tracker, [weak], 0, 1))
    show(tracker, [person_of(pose)], 1, 2)
    tracked = [tracker.update([weak], float(t)) for t in times(2, 5)]
    assert all(
        found[0].track_id == 1 and (found[0].state == KeypointState.MEASURED).all() for found in tracked
    )


def test_duplicates_never_create_a_second_track(tracker, person_of, times, pose) -> None:
    random = np.random.default_rng(0)
    for time_s in times(0, 3):
        copies = [person_of(pose + random.normal(0, 3, pose.shape), score) for score in (0.9, 0.5, 0.4)]
        shown = tracker.update(copies, float(time_s))
        assert len(tracker.predict(float(time_s))) == 1
    assert [person.track_id for person in shown] == [1]


def test_a_fragment_of_somebody_who_has_a_track_starts_none(tracker, person_of, show, pose) -> None:
    legs = person_of(pose + 14.0, 0.6, hidden=range(11))
    legs = Person(legs.keypoints, legs.scores, legs.bbox, 0.6)
    ids = show(tracker, [person_of(pose), legs], 0, 1)
    assert ids[-1] == [1]


def test_at_most_max_people_are_followed_the_strongest_first(person_of, show, pose) -> None:
    tracker = Tracker(TrackerSettings(max_people=2), COCO17)
    crowd = [person_of(pose + [200 * index, 0], score) for index, score in enumerate((0.5, 0.9, 0.7))]
    show(tracker, crowd, 0, 1)
    left = sorted(track.bbox[0] for track in tracker.predict(1.0))
    np.testing.assert_allclose(left, sorted(float(person.bbox[0]) for person in crowd[1:]), atol=1)
