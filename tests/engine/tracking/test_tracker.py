"""The life of a track, told one scene at a time."""

import copy

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.errors import SourceError
from engine.metrics.walking import Walker
from engine.settings import SmoothingSettings, TrackerSettings
from engine.skeleton import COCO17, MPII16
from engine.structures import KeypointState, Person
from engine.tracking.tracker import Tracker

FPS = 30.0
POSE = Walker((400.0, 600.0), speed=0.0).keypoints(0.0)


@pytest.fixture
def tracker() -> Tracker:
    return Tracker(TrackerSettings(), COCO17)


def times(start_s: float, end_s: float, fps: float = FPS) -> np.ndarray:
    return np.arange(round(start_s * fps), round(end_s * fps)) / fps


def show(tracker: Tracker, people, start_s: float, end_s: float, fps: float = FPS) -> list[list[int]]:
    """Ids in each frame while the same people are seen."""
    return [[p.track_id for p in tracker.update(people, float(t))] for t in times(start_s, end_s, fps)]


# Beginning


def test_a_person_walks_in_and_gets_an_id_once_confirmed(tracker, person_of) -> None:
    ids = show(tracker, [person_of(POSE)], 0, 0.5)
    first = next(index for index, found in enumerate(ids) if found)
    assert first / FPS == pytest.approx(0.12, abs=1 / FPS)
    assert all(found == [1] for found in ids[first:])


def test_a_false_alarm_of_one_frame_never_gets_an_id(tracker, person_of) -> None:
    alarm = person_of(POSE + 300)
    ids = show(tracker, [], 0, 0.2) + show(tracker, [alarm], 0.2, 0.21) + show(tracker, [], 0.21, 2)
    assert not any(ids)
    assert show(tracker, [person_of(POSE)], 2, 3)[-1] == [1]


def test_a_flickering_false_alarm_gets_no_id_while_it_is_seen_less_than_the_confirming_time(
    tracker, person_of
) -> None:
    shown = []
    for index, time_s in enumerate(times(0, 0.2)):
        shown += tracker.update([person_of(POSE)] if index % 2 else [], float(time_s))
    assert not shown


def test_with_no_confirming_time_a_person_is_shown_at_once(person_of) -> None:
    tracker = Tracker(TrackerSettings(confirm_s=0), COCO17)
    assert [person.track_id for person in tracker.update([person_of(POSE)], 5.0)] == [1]


def test_a_weak_person_starts_no_track_but_keeps_one_alive(tracker, person_of) -> None:
    weak = person_of(POSE, 0.21)
    assert weak.score < tracker.settings.min_person_score
    assert not any(show(tracker, [weak], 0, 1))
    show(tracker, [person_of(POSE)], 1, 2)
    tracked = [tracker.update([weak], float(t)) for t in times(2, 5)]
    assert all(
        found[0].track_id == 1 and (found[0].state == KeypointState.MEASURED).all() for found in tracked
    )


def test_duplicates_never_create_a_second_track(tracker, person_of) -> None:
    random = np.random.default_rng(0)
    for time_s in times(0, 3):
        copies = [person_of(POSE + random.normal(0, 3, POSE.shape), score) for score in (0.9, 0.5, 0.4)]
        shown = tracker.update(copies, float(time_s))
        assert len(tracker.predict(float(time_s))) == 1
    assert [person.track_id for person in shown] == [1]


def test_a_fragment_of_somebody_who_has_a_track_starts_none(tracker, person_of) -> None:
    legs = person_of(POSE + 14.0, 0.6, hidden=range(11))
    legs = Person(legs.keypoints, legs.scores, legs.bbox, 0.6)
    ids = show(tracker, [person_of(POSE), legs], 0, 1)
    assert ids[-1] == [1]


def test_at_most_max_people_are_followed_the_strongest_first(person_of) -> None:
    tracker = Tracker(TrackerSettings(max_people=2), COCO17)
    crowd = [person_of(POSE + [200 * index, 0], score) for index, score in enumerate((0.5, 0.9, 0.7))]
    show(tracker, crowd, 0, 1)
    left = sorted(track.bbox[0] for track in tracker.predict(1.0))
    np.testing.assert_allclose(left, sorted(float(person.bbox[0]) for person in crowd[1:]), atol=1)


# Continuing


def test_ids_count_up_from_one_and_are_never_reused(tracker, person_of) -> None:
    start, seen = 0.0, []
    for place in range(4):
        ids = show(tracker, [person_of(POSE + 700.0 * place)], start, start + 1)
        show(tracker, [], start + 1, start + 4)
        seen.append(ids[-1])
        start += 4
    assert seen == [[1], [2], [3], [4]]


def test_ids_stay_with_their_people_whatever_order_these_come_in(tracker, person_of) -> None:
    places = [person_of(POSE + [150 * index, 10 * index]) for index in range(4)]
    show(tracker, places, 0, 1)
    before = {p.track_id: p.bbox[0] for p in tracker.update(places, 1.0)}
    after = tracker.update([places[index] for index in (2, 0, 3, 1)], 1.05)
    assert [p.track_id for p in after] == [1, 2, 3, 4]
    for person in after:
        assert person.bbox[0] == pytest.approx(before[person.track_id], abs=0.5)


def test_dropped_frames_change_nothing(scene_of, watch) -> None:
    random = np.random.default_rng(1)
    scene = scene_of(Walker((100.0, 600.0), 200.0), Walker((1100.0, 560.0), -180.0, 260.0), noise_px=2.0)
    kept = [t for t in times(0, 2.2) if random.uniform() > 0.4]
    ids = watch(Tracker(TrackerSettings(), COCO17), scene, kept)
    assert ids == {0: {1}, 1: {2}}


@pytest.mark.parametrize("fps", [5.0, 10.0, 24.0, 60.0])
def test_any_frame_rate_works(scene_of, watch, fps: float) -> None:
    scene = scene_of(Walker((100.0, 600.0), 230.0), Walker((700.0, 600.0), 230.0, phase=2.0))
    ids = watch(Tracker(TrackerSettings(), COCO17), scene, times(0, 2, fps))
    assert ids == {0: {1}, 1: {2}}


def test_confirming_and_forgetting_take_the_same_time_at_any_frame_rate(person_of) -> None:
    moments = []
    for fps in (20.0, 50.0, 100.0):
        tracker = Tracker(TrackerSettings(confirm_s=0.2, keep_alive_s=1.0), COCO17)
        ids = show(tracker, [person_of(POSE)], 0, 1, fps)
        start = next(index for index, found in enumerate(ids) if found) / fps
        gone = next(float(t) for t in times(1, 3, fps) if not (tracker.update([], t) or tracker.predict(t)))
        moments.append((start, gone))
    np.testing.assert_allclose(moments, np.broadcast_to([0.2, 2.0], (3, 2)), atol=0.051)


# Losing and finding again


def test_someone_gone_for_less_than_keep_alive_returns_with_the_same_id(tracker, scene_of) -> None:
    scene = scene_of(Walker((100.0, 600.0), 200.0))
    for t in times(0, 4):
        shown = tracker.update([] if 1.5 < t < 2.7 else scene.people(float(t)), float(t))
    assert [person.track_id for person in shown] == [1]


def test_someone_gone_for_longer_returns_with_a_new_id(tracker, person_of) -> None:
    show(tracker, [person_of(POSE)], 0, 1)
    show(tracker, [], 1, 3.2)
    assert show(tracker, [person_of(POSE)], 3.2, 4)[-1] == [2]


def test_somebody_elsewhere_does_not_inherit_the_id(tracker, person_of) -> None:
    show(tracker, [person_of(POSE)], 0, 1)
    show(tracker, [], 1, 1.5)
    assert show(tracker, [person_of(POSE + [500, 0])], 1.5, 2.5)[-1] == [2]


def test_somebody_of_another_size_does_not_inherit_the_id(tracker, person_of) -> None:
    child = (POSE - POSE.mean(axis=0)) * 0.4 + POSE.mean(axis=0)
    show(tracker, [person_of(POSE)], 0, 1)
    show(tracker, [], 1, 1.5)
    assert show(tracker, [person_of(child)], 1.5, 2.5)[-1] == [2]


def test_someone_unseen_is_shown_as_predicted_while_coasting_and_then_not_at_all(tracker, person_of) -> None:
    show(tracker, [person_of(POSE)], 0, 1)
    coast_s = tracker.settings.smoothing.coast_s
    last = 1 - 1 / FPS
    for t in times(1, 2.2):
        shown = tracker.update([], float(t))
        assert len(tracker.predict(float(t))) == 1
        if t - last > coast_s + 1e-6:
            assert shown == []
            continue
        assert (shown[0].state == KeypointState.PREDICTED).all()
        assert np.isnan(shown[0].raw_keypoints).all()
        assert (shown[0].scores == 0).all()
        np.testing.assert_allclose(shown[0].keypoints, POSE, atol=1)


def test_a_hidden_keypoint_coasts_goes_missing_and_comes_back_where_it_is(tracker, person_of) -> None:
    show(tracker, [person_of(POSE)], 0, 1)
    states = []
    for t in times(1, 2):
        (shown,) = tracker.update([person_of(POSE, hidden=[9])], float(t))
        states.append(int(shown.state[9]))
        assert np.isnan(shown.keypoints[9]).all() == (shown.state[9] == KeypointState.MISSING)
        assert np.isfinite(np.delete(shown.keypoints, 9, axis=0)).all()
    coasting = round(tracker.settings.smoothing.coast_s * FPS)
    assert states == [1] * coasting + [0] * (len(states) - coasting)
    moved = POSE.copy()
    moved[9] += [40, -60]
    (shown,) = tracker.update([person_of(moved)], 2.0)
    assert shown.state[9] == KeypointState.MEASURED
    np.testing.assert_allclose(shown.keypoints[9], moved[9], atol=1e-3)


def test_a_person_who_leaves_walking_is_predicted_to_walk_on(tracker, scene_of) -> None:
    walker = Walker((100.0, 600.0), 230.0)
    scene = scene_of(walker, noise_px=1.0)
    for t in times(0, 2):
        tracker.update(scene.people(float(t)), float(t))
    for t in times(2, 3):
        tracker.update([], float(t))
    (track,) = tracker.predict(3.0)
    centre = track.keypoints[5:13].mean(axis=0)
    np.testing.assert_allclose(centre, walker.keypoints(3.0)[5:13].mean(axis=0), atol=60)


# Crossing


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("fps", [15.0, 30.0])
def test_two_people_cross_and_keep_their_ids(scene_of, watch, seed: int, fps: float) -> None:
    near, far = Walker((200.0, 620.0), 150.0), Walker((800.0, 600.0), -140.0, 285.0, phase=seed)
    ids = watch(
        Tracker(TrackerSettings(), COCO17), scene_of(near, far, seed=seed, hide_iou=0.25), times(0, 4, fps)
    )
    assert ids == {0: {1}, 1: {2}}


@pytest.mark.parametrize("speeds", [(120.0, -100.0), (90.0, -60.0), (200.0, 40.0)])
def test_someone_fully_hidden_while_crossing_keeps_the_id(
    scene_of, watch, speeds: tuple[float, float]
) -> None:
    first, second = speeds
    meet = 2.5
    near = Walker((600.0 - first * meet, 620.0), first)
    far = Walker((600.0 - second * meet, 605.0), second, 285.0, phase=1.0)
    scene = scene_of(near, far, hide_iou=0.2)
    hidden_s = sum(len(scene.people(float(t))) == 1 for t in times(0, 5)) / FPS
    assert hidden_s >= 0.5
    assert watch(Tracker(TrackerSettings(), COCO17), scene, times(0, 5)) == {0: {1}, 1: {2}}


def test_three_people_cross_and_keep_their_ids(scene_of, watch) -> None:
    scene = scene_of(
        Walker((200.0, 640.0), 150.0, 310.0),
        Walker((1000.0, 620.0), -170.0, 300.0, phase=1.0),
        Walker((560.0, 600.0), 0.0, 290.0),
        hide_iou=0.25,
    )
    ids = watch(Tracker(TrackerSettings(), COCO17), scene, times(0, 5))
    assert {walker: len(found) for walker, found in ids.items()} == {0: 1, 1: 1, 2: 1}
    assert len(set.union(*ids.values())) == 3


# The contract


@pytest.mark.parametrize("later", [1.0, 0.9, float("nan"), float("inf")])
def test_time_that_does_not_go_on_is_an_error_that_leaves_the_tracker_as_it_was(
    tracker, person_of, later: float
) -> None:
    show(tracker, [person_of(POSE)], 0, 1.04)
    with pytest.raises(SourceError, match="time of a frame"):
        tracker.update([person_of(POSE)], later)
    assert [person.track_id for person in tracker.update([person_of(POSE)], 1.05)] == [1]


def test_after_a_reset_a_new_sequence_begins(tracker, person_of) -> None:
    show(tracker, [person_of(POSE)], 0, 1)
    tracker.reset()
    assert tracker.predict(0.0) == []
    assert show(tracker, [person_of(POSE)], 0, 1)[-1] == [1]


def test_predicting_changes_nothing_and_tells_tentative_from_confirmed(tracker, person_of) -> None:
    assert tracker.predict(0.0) == []
    twin = copy.deepcopy(tracker)
    for t in times(0, 1):
        person = [person_of(POSE + [60 * t, 0])]
        first, second = tracker.update(person, float(t)), twin.update(person, float(t))
        (track,) = tracker.predict(float(t))
        assert (track.track_id > 0) == track.confirmed == bool(first)
        assert track.unseen_s == 0
        tracker.predict(float(t) + 0.7)
        for one, other in zip(first, second, strict=True):
            np.testing.assert_array_equal(one.keypoints, other.keypoints)
    tracker.update([], 1.0)
    (track,) = tracker.predict(1.2)
    assert track.unseen_s == pytest.approx(1 / FPS)
    assert track.bbox.shape == (4,) and np.isfinite(track.bbox).all()
    with pytest.raises(SourceError):
        tracker.predict(0.5)


def test_what_is_returned_is_the_callers_own(tracker, person_of) -> None:
    show(tracker, [person_of(POSE)], 0, 1)
    twin = copy.deepcopy(tracker)
    (shown,), (track,) = tracker.update([person_of(POSE)], 1.0), tracker.predict(1.1)
    twin.update([person_of(POSE)], 1.0)
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
    (after,), (expected,) = tracker.update([person_of(POSE)], 1.1), twin.update([person_of(POSE)], 1.1)
    np.testing.assert_array_equal(after.keypoints, expected.keypoints)
    np.testing.assert_array_equal(after.bbox, expected.bbox)


def test_the_people_given_are_not_changed(tracker, person_of) -> None:
    person = person_of(POSE)
    person.keypoints[3] = np.nan
    before = copy.deepcopy(person)
    show(tracker, [person], 0, 1)
    np.testing.assert_array_equal(person.keypoints, before.keypoints)
    np.testing.assert_array_equal(person.scores, before.scores)


def test_raw_keypoints_are_as_decoded_whatever_the_smoothing(person_of) -> None:
    for method in ("kalman", "one-euro", "none"):
        tracker = Tracker(TrackerSettings(smoothing=SmoothingSettings(method=method)), COCO17)
        random = np.random.default_rng(0)
        for t in times(0, 1):
            person = person_of(POSE + random.normal(0, 3, POSE.shape))
            shown = tracker.update([person], float(t))
        np.testing.assert_array_equal(shown[0].raw_keypoints, person.keypoints)
        same = np.array_equal(shown[0].keypoints, person.keypoints)
        assert same == (method == "none")


def test_shapes_and_types_are_those_of_the_contract(tracker, person_of) -> None:
    show(tracker, [person_of(POSE)], 0, 1)
    (shown,) = tracker.update([person_of(POSE)], 1.0)
    for name, shape, kind in (
        ("keypoints", (17, 2), np.float32), ("raw_keypoints", (17, 2), np.float32),
        ("velocity", (17, 2), np.float32), ("scores", (17,), np.float32), ("state", (17,), np.int8),
        ("bbox", (4,), np.float32),
    ):  # fmt: skip
        value = getattr(shown, name)
        assert (value.shape, value.dtype) == (shape, kind), name
    assert shown.age_s == pytest.approx(1.0)
    assert isinstance(shown.track_id, int) and isinstance(shown.score, float)


def test_a_person_of_another_skeleton_or_without_a_box_is_refused(tracker, person_of) -> None:
    with pytest.raises(ValueError, match="16 keypoints for skeleton 'mpii16'"):
        Tracker(TrackerSettings(), MPII16).update([person_of(POSE)], 0.0)
    broken = person_of(POSE)
    broken.bbox[2] = np.nan
    with pytest.raises(ValueError, match="finite"):
        tracker.update([broken], 0.0)


def test_a_person_who_shows_no_keypoint_is_nobody(tracker, person_of) -> None:
    blank = person_of(POSE)
    blank.keypoints[:] = np.nan
    unsure = person_of(POSE + 400)
    low = Person(unsure.keypoints, unsure.scores * 0.1, unsure.bbox, 0.9)
    assert not any(show(tracker, [blank, low], 0, 1))
    assert tracker.predict(1.0) == []


sightings = st.lists(
    st.lists(
        st.tuples(
            st.integers(0, 5),
            st.floats(-80, 80),
            st.floats(0, 1),
            st.integers(0, 2**17 - 1),
            st.floats(0.3, 2),
        ),
        max_size=4,
    ),
    min_size=1,
    max_size=12,
)


@settings(max_examples=25, deadline=None)
@given(
    sightings,
    st.lists(st.floats(0.001, 0.8), min_size=12, max_size=12),
    st.sampled_from(["kalman", "one-euro", "none"]),
)
def test_whatever_is_seen_ids_are_unique_outputs_finite_and_runs_repeatable(frames, steps, method) -> None:
    def run() -> list:
        tracker = Tracker(TrackerSettings(confirm_s=0.02, smoothing=SmoothingSettings(method=method)), COCO17)
        time_s, highest, shown = 0.0, 0, []
        for sighting, step in zip(frames, steps):
            time_s += step
            people = []
            for place, shift, score, bits, size in sighting:
                scores = np.array([(bits >> k & 1) * score for k in range(17)], np.float32)
                keypoints = ((POSE - POSE[0]) * size + [150 * place + shift, 200]).astype(np.float32)
                bbox = np.concatenate([keypoints.min(axis=0), keypoints.max(axis=0)])
                people.append(Person(keypoints, scores, bbox, float(score)))
            tracked = tracker.update(people, time_s)
            ids = [person.track_id for person in tracked]
            assert ids == sorted(set(ids)) and all(number > 0 for number in ids)
            new = [number for number in ids if number > highest]
            assert new == list(range(highest + 1, highest + 1 + len(new)))
            highest += len(new)
            for person in tracked:
                missing = person.state == KeypointState.MISSING
                assert not missing.all()
                assert (
                    np.isfinite(person.keypoints[~missing]).all()
                    and np.isnan(person.keypoints[missing]).all()
                )
                assert np.isfinite(person.velocity[~missing]).all()
                assert np.isfinite(person.bbox).all() and (person.bbox[2:] > person.bbox[:2]).all()
                assert ((person.scores >= 0) & (person.scores <= 1)).all()
            for track in tracker.predict(time_s + step):
                assert np.isfinite(track.bbox).all()
            shown.append([(p.track_id, p.keypoints.tobytes(), p.state.tobytes()) for p in tracked])
        return shown

    assert run() == run()


# Other settings on the way


def test_other_settings_keep_everybody_and_their_ids(tracker, person_of) -> None:
    crowd = [person_of(POSE + [250 * index, 0]) for index in range(3)]
    assert show(tracker, crowd, 0, 1)[-1] == [1, 2, 3]
    tracker.change_settings(TrackerSettings(max_people=1, confirm_s=1.0, keep_alive_s=0.2, oks_weight=0.2))
    newcomer = person_of(POSE + [900, 0])
    assert show(tracker, [*crowd, newcomer], 1, 2) == [[1, 2, 3]] * 30
    assert len(tracker.predict(2.0)) == 3


def test_a_shorter_memory_counts_from_the_next_frame_on(tracker, person_of) -> None:
    show(tracker, [person_of(POSE)], 0, 1)
    show(tracker, [], 1, 1.5)
    assert len(tracker.predict(1.5)) == 1
    tracker.change_settings(TrackerSettings(keep_alive_s=0.3))
    tracker.update([], 1.5)
    assert tracker.predict(1.5) == []


def test_a_higher_bar_for_keypoints_counts_from_the_next_frame_on(tracker, person_of) -> None:
    show(tracker, [person_of(POSE, 0.5)], 0, 1)
    tracker.change_settings(TrackerSettings(smoothing=SmoothingSettings(min_keypoint_score=0.6)))
    person = person_of(POSE, 0.5)
    person.scores[:8] = 0.9
    (shown,) = tracker.update([person], 1.0)
    assert (shown.state[:8] == KeypointState.MEASURED).all()
    assert (shown.state[8:] == KeypointState.PREDICTED).all()


def test_after_a_reset_the_new_settings_still_hold(person_of) -> None:
    tracker = Tracker(TrackerSettings(), COCO17)
    tracker.change_settings(TrackerSettings(confirm_s=0.0))
    tracker.reset()
    assert [person.track_id for person in tracker.update([person_of(POSE)], 0.0)] == [1]
