"""People lost and found again, told one scene at a time."""

import numpy as np

from engine.metrics.walking import Walker
from engine.structures import KeypointState


def test_someone_gone_for_less_than_keep_alive_returns_with_the_same_id(tracker, scene_of, times) -> None:
    scene = scene_of(Walker((100.0, 600.0), 200.0))
    for t in times(0, 4):
        shown = tracker.update([] if 1.5 < t < 2.7 else scene.people(float(t)), float(t))
    assert [person.track_id for person in shown] == [1]


def test_someone_gone_for_longer_returns_with_a_new_id(tracker, person_of, show, pose) -> None:
    show(tracker, [person_of(pose)], 0, 1)
    show(tracker, [], 1, 3.2)
    assert show(tracker, [person_of(pose)], 3.2, 4)[-1] == [2]


def test_somebody_elsewhere_does_not_inherit_the_id(tracker, person_of, show, pose) -> None:
    show(tracker, [person_of(pose)], 0, 1)
    show(tracker, [], 1, 1.5)
    assert show(tracker, [person_of(pose + [500, 0])], 1.5, 2.5)[-1] == [2]


def test_somebody_of_another_size_does_not_inherit_the_id(tracker, person_of, show, pose) -> None:
    child = (pose - pose.mean(axis=0)) * 0.4 + pose.mean(axis=0)
    show(tracker, [person_of(pose)], 0, 1)
    show(tracker, [], 1, 1.5)
    assert show(tracker, [person_of(child)], 1.5, 2.5)[-1] == [2]


def test_someone_unseen_is_shown_as_predicted_while_coasting_and_then_not_at_all(
    tracker, person_of, show, times, pose
) -> None:
    show(tracker, [person_of(pose)], 0, 1)
    coast_s = tracker.settings.smoothing.coast_s
    last = 1 - 1 / 30.0
    for t in times(1, 2.2):
        shown = tracker.update([], float(t))
        assert len(tracker.predict(float(t))) == 1
        if t - last > coast_s + 1e-6:
            assert shown == []
            continue
        assert (shown[0].state == KeypointState.PREDICTED).all()
        assert np.isnan(shown[0].raw_keypoints).all()
        assert (shown[0].scores == 0).all()
        np.testing.assert_allclose(shown[0].keypoints, pose, atol=1)


def test_a_hidden_keypoint_coasts_goes_missing_and_comes_back_where_it_is(
    tracker, person_of, show, times, pose
) -> None:
    show(tracker, [person_of(pose)], 0, 1)
    states = []
    for t in times(1, 2):
        (shown,) = tracker.update([person_of(pose, hidden=[9])], float(t))
        states.append(int(shown.state[9]))
        assert np.isnan(shown.keypoints[9]).all() == (shown.state[9] == KeypointState.MISSING)
        assert np.isfinite(np.delete(shown.keypoints, 9, axis=0)).all()
    coasting = round(tracker.settings.smoothing.coast_s * 30.0)
    assert states == [1] * coasting + [0] * (len(states) - coasting)
    moved = pose.copy()
    moved[9] += [40, -60]
    (shown,) = tracker.update([person_of(moved)], 2.0)
    assert shown.state[9] == KeypointState.MEASURED
    np.testing.assert_allclose(shown.keypoints[9], moved[9], atol=1e-3)


def test_a_person_who_leaves_walking_is_predicted_to_walk_on(tracker, scene_of, times) -> None:
    walker = Walker((100.0, 600.0), 230.0)
    scene = scene_of(walker, noise_px=1.0)
    for t in times(0, 2):
        tracker.update(scene.people(float(t)), float(t))
    for t in times(2, 3):
        tracker.update([], float(t))
    (track,) = tracker.predict(3.0)
    centre = track.keypoints[5:13].mean(axis=0)
    np.testing.assert_allclose(centre, walker.keypoints(3.0)[5:13].mean(axis=0), atol=60)
