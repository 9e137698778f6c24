"""How a track goes on, and other settings on the way."""

import numpy as np
import pytest

from engine.metrics.walking import Walker
from engine.settings import SmoothingSettings, TrackerSettings
from engine.skeleton import COCO17
from engine.structures import KeypointState
from engine.tracking.tracker import Tracker


def test_ids_count_up_from_one_and_are_never_reused(tracker, person_of, show, pose) -> None:
    start, seen = 0.0, []
    for place in range(4):
        ids = show(tracker, [person_of(pose + 700.0 * place)], start, start + 1)
        show(tracker, [], start + 1, start + 4)
        seen.append(ids[-1])
        start += 4
    assert seen == [[1], [2], [3], [4]]


def test_ids_stay_with_their_people_whatever_order_these_come_in(tracker, person_of, show, pose) -> None:
    places = [person_of(pose + [150 * index, 10 * index]) for index in range(4)]
    show(tracker, places, 0, 1)
    before = {p.track_id: p.bbox[0] for p in tracker.update(places, 1.0)}
    after = tracker.update([places[index] for index in (2, 0, 3, 1)], 1.05)
    assert [p.track_id for p in after] == [1, 2, 3, 4]
    for person in after:
        assert person.bbox[0] == pytest.approx(before[person.track_id], abs=0.5)


def test_dropped_frames_change_nothing(scene_of, watch, times) -> None:
    random = np.random.default_rng(1)
    scene = scene_of(Walker((100.0, 600.0), 200.0), Walker((1100.0, 560.0), -180.0, 260.0), noise_px=2.0)
    kept = [t for t in times(0, 2.2) if random.uniform() > 0.4]
    ids = watch(Tracker(TrackerSettings(), COCO17), scene, kept)
    assert ids == {0: {1}, 1: {2}}


@pytest.mark.parametrize("fps", [5.0, 10.0, 24.0, 60.0])
def test_any_frame_rate_works(scene_of, watch, fps: float, times) -> None:
    scene = scene_of(Walker((100.0, 600.0), 230.0), Walker((700.0, 600.0), 230.0, phase=2.0))
    ids = watch(Tracker(TrackerSettings(), COCO17), scene, times(0, 2, fps))
    assert ids == {0: {1}, 1: {2}}


def test_confirming_and_forgetting_take_the_same_time_at_any_frame_rate(person_of, show, times, pose) -> None:
    moments = []
    for fps in (20.0, 50.0, 100.0):
        tracker = Tracker(TrackerSettings(confirm_s=0.2, keep_alive_s=1.0), COCO17)
        ids = show(tracker, [person_of(pose)], 0, 1, fps)
        start = next(index for index, found in enumerate(ids) if found) / fps
        gone = next(float(t) for t in times(1, 3, fps) if not (tracker.update([], t) or tracker.predict(t)))
        moments.append((start, gone))
    np.testing.assert_allclose(moments, np.broadcast_to([0.2, 2.0], (3, 2)), atol=0.051)


# Other settings on the way


def test_other_settings_keep_everybody_and_their_ids(tracker, person_of, show, pose) -> None:
    crowd = [person_of(pose + [250 * index, 0]) for index in range(3)]
    assert show(tracker, crowd, 0, 1)[-1] == [1, 2, 3]
    tracker.change_settings(TrackerSettings(max_people=1, confirm_s=1.0, keep_alive_s=0.2, oks_weight=0.2))
    newcomer = person_of(pose + [900, 0])
    assert show(tracker, [*crowd, newcomer], 1, 2) == [[1, 2, 3]] * 30
    assert len(tracker.predict(2.0)) == 3


def test_a_shorter_memory_counts_from_the_next_frame_on(tracker, person_of, show, pose) -> None:
    show(tracker, [person_of(pose)], 0, 1)
    show(tracker, [], 1, 1.5)
    assert len(tracker.predict(1.5)) == 1
    tracker.change_settings(TrackerSettings(keep_alive_s=0.3))
    tracker.update([], 1.5)
    assert tracker.predict(1.5) == []


def test_a_higher_bar_for_keypoints_counts_from_the_next_frame_on(tracker, person_of, show, pose) -> None:
    show(tracker, [person_of(pose, 0.5)], 0, 1)
    tracker.change_settings(TrackerSettings(smoothing=SmoothingSettings(min_keypoint_score=0.6)))
    person = person_of(pose, 0.5)
    person.scores[:8] = 0.9
    (shown,) = tracker.update([person], 1.0)
    assert (shown.state[:8] == KeypointState.MEASURED).all()
    assert (shown.state[8:] == KeypointState.PREDICTED).all()


def test_after_a_reset_the_new_settings_still_hold(person_of, pose) -> None:
    tracker = Tracker(TrackerSettings(), COCO17)
    tracker.change_settings(TrackerSettings(confirm_s=0.0))
    tracker.reset()
    assert [person.track_id for person in tracker.update([person_of(pose)], 0.0)] == [1]
