"""The second pass: closer to the truth, no lag, gaps filled so far and no further, ghosts dropped."""

from itertools import pairwise

import numpy as np
import pytest

from engine.metrics.jitter import lag_s, rms_error, rms_jitter
from engine.metrics.network_noise import add_network_noise
from engine.metrics.walking import Walker
from engine.settings import SmoothingSettings, TrackerSettings
from engine.skeleton import COCO17
from engine.structures import Frame, KeypointState, Person, Result, TrackedPerson
from engine.tracking import offline
from engine.tracking.offline import smooth_offline
from engine.tracking.recorded import Recording, ResultRecorder, SmoothedTrack, smoothed_results
from engine.tracking.tracker import Tracker

FPS = 30
WRIST, LEFT_ANKLE = 9, 15
WALKER = Walker((200.0, 600.0))
IMAGE = np.zeros((0, 0, 3), np.uint8)
MEASURED, FILLED, MISSING = KeypointState.MEASURED, KeypointState.FILLED, KeypointState.MISSING
SETTINGS = SmoothingSettings()


def record(people: list[list[Person]], times=None, settings: SmoothingSettings = SETTINGS) -> Recording:
    """What the live pass leaves of these people."""
    tracker, recorder = Tracker(TrackerSettings(smoothing=settings, confirm_s=0.0), COCO17), ResultRecorder()
    times = np.arange(len(people)) / FPS if times is None else times
    for index, (there, time_s) in enumerate(zip(people, times)):
        shown = tuple(tracker.update(there, float(time_s)))
        recorder.add(Result(Frame(IMAGE, 10 + index, float(time_s)), shown))
    return recorder.finish()


def only_track(recording: Recording, **changes: float) -> SmoothedTrack:
    (track,) = smooth_offline(recording, SETTINGS.model_copy(update=changes), COCO17)
    return track


@pytest.fixture(scope="module")
def noisy_walk(person_of):
    """Recording of a walker seen as a network sees it, with the truth and the times."""
    time_s = np.arange(FPS * 10) / FPS
    truth = WALKER.keypoints(time_s)
    noisy = add_network_noise(truth, time_s, 210.0, np.random.default_rng(2), swap_pairs=((13, 14), (15, 16)))
    people = []
    for points, scores in zip(noisy.keypoints, noisy.scores):
        person = person_of(points)
        people.append([Person(person.keypoints, scores.astype(np.float32), person.bbox, 0.6)])
    return record(people), truth, time_s


def test_a_noisy_walk_comes_closer_to_the_truth_with_a_quarter_of_the_jitter_and_no_lag(noisy_walk) -> None:
    recording, truth, time_s = noisy_walk
    track = only_track(recording)
    raw = recording.tracks[0].raw_keypoints
    compared = (track.states == MEASURED)[..., None]
    smoothed, raw = np.where(compared, track.keypoints, np.nan), np.where(compared, raw, np.nan)
    assert rms_error(smoothed, truth) < 0.9 * rms_error(raw, truth)
    assert rms_jitter(smoothed, truth) <= 0.25 * rms_jitter(raw, truth)
    lag = lag_s(smoothed, truth, time_s) - lag_s(raw, truth, time_s)
    assert abs(lag) * FPS < 0.15


def test_the_path_is_the_same_in_both_directions_of_time(person_of) -> None:
    random = np.random.default_rng(0)
    poses = WALKER.keypoints(np.arange(90) / FPS) + random.normal(0, 3.0, (90, 17, 2))
    people = [[person_of(pose)] for pose in poses]
    there, back = only_track(record(people)), only_track(record(people[::-1]))
    # Live, the first frames of either direction have other sizes; nothing else tells them apart.
    error = np.linalg.norm(there.keypoints - back.keypoints[::-1], axis=-1)
    assert error[10:-10].max() < 0.5


def test_a_short_gap_is_filled_and_a_long_one_stays_missing(person_of) -> None:
    def run(hidden: int) -> tuple[SmoothedTrack, np.ndarray]:
        times = np.arange(90) / FPS
        people = [
            [person_of(WALKER.keypoints(t), hidden=[WRIST] if 40 <= index < 40 + hidden else [])]
            for index, t in enumerate(times)
        ]
        track = only_track(record(people), fill_gap_s=0.5)
        return track, np.linalg.norm(track.keypoints - WALKER.keypoints(times), axis=-1)

    track, error = run(14)
    assert (track.states[40:54, WRIST] == FILLED).all() and (track.states[54:, WRIST] == MEASURED).all()
    assert error[38:56, WRIST].max() < 20
    track, error = run(15)
    assert (track.states[40:55, WRIST] == MISSING).all()
    assert np.isnan(track.keypoints[40:55, WRIST]).all() and np.isnan(track.velocity[40:55, WRIST]).all()
    assert error[56:, WRIST].max() < 20


def test_somebody_unseen_for_longer_than_is_coasted_gets_rows_in_between(person_of) -> None:
    settings = SETTINGS.model_copy(update={"coast_s": 0.1, "fill_gap_s": 0.5})
    people = [[] if 40 <= index < 52 else [person_of(WALKER.keypoints(index / FPS))] for index in range(90)]
    recording = record(people, settings=settings)
    assert len(recording.tracks[0]) == 90 - 9
    (track,) = smooth_offline(recording, settings, COCO17)
    assert len(track) == 90 and (track.rows[44:52] == -1).all()
    assert (track.states[40:52] == FILLED).all()
    results = list(smoothed_results(recording, (track,)))
    person = results[46].people[0]
    assert (person.scores == 0).all() and np.isnan(person.raw_keypoints).all()
    assert np.linalg.norm(person.keypoints - WALKER.keypoints(46 / FPS), axis=-1).max() < 60
    assert np.isfinite(person.bbox).all() and person.age_s == pytest.approx(46 / FPS)


def test_what_was_predicted_after_the_last_sighting_is_dropped(person_of) -> None:
    people = [[person_of(WALKER.keypoints(index / FPS))] if index < 60 else [] for index in range(90)]
    recording = record(people)
    assert len(recording.tracks[0]) > 60
    assert len(only_track(recording)) == 60


def test_a_ghost_is_dropped_unless_the_recording_begins_or_ends_in_it(person_of) -> None:
    def count(first: int, last: int) -> int:
        people = [
            [person_of(WALKER.keypoints(index / FPS))] if first <= index < last else [] for index in range(60)
        ]
        return len(smooth_offline(record(people), SmoothingSettings(min_track_s=0.3), COCO17))

    assert count(20, 26) == 0
    assert count(20, 32) == 1
    assert count(0, 6) == count(54, 60) == 1


def test_only_the_frames_count_in_which_somebody_was_seen(person_of) -> None:
    pose, recorder = person_of(WALKER.keypoints(0.0)), ResultRecorder()
    for position in range(120):
        # Ten frames could not be read just before the third of five sightings.
        index = position + 10 * (position >= 40)
        seen = position in (30, 35, 40, 50, 60)
        raw = pose.keypoints if seen else np.full_like(pose.keypoints, np.nan)
        state = np.full(17, MEASURED if seen else KeypointState.PREDICTED, np.int8)
        age_s = (index - 20) / FPS
        person = TrackedPerson(1, pose.keypoints, raw, raw * 0, pose.scores, state, pose.bbox, 0.9, age_s)
        recorder.add(Result(Frame(IMAGE, index, index / FPS), (person,) if 30 <= position <= 60 else ()))

    def count(min_track_s: float) -> int:
        return len(smooth_offline(recorder.finish(), SmoothingSettings(min_track_s=min_track_s), COCO17))

    assert count(5 / FPS) == 1 and count(5.5 / FPS) == 0


def test_progress_goes_from_track_to_track_and_window_to_window(person_of, monkeypatch) -> None:
    monkeypatch.setattr(offline, "WINDOW_FRAMES", 30)
    other = Walker((200.0, 1400.0), 100.0)
    people = [
        [person_of(WALKER.keypoints(index / FPS))] + [person_of(other.keypoints(index / FPS))] * (index >= 20)
        for index in range(60)
    ]
    shares: list[float] = []
    smooth_offline(record(people), SETTINGS, COCO17, advance=shares.append)
    assert shares == pytest.approx([0.3, 0.6, 0.6, 0.9, 1.0, 1.0])


def test_a_leap_of_four_frames_is_an_outlier_though_the_live_filter_believed_it(person_of) -> None:
    people, away = [], range(40, 44)
    for index in range(90):
        pose = WALKER.keypoints(index / FPS)
        pose[WRIST] += 150.0 * (index in away)
        people.append([person_of(pose)])
    recording = record(people)
    assert MEASURED in recording.tracks[0].states[40:44, WRIST]
    track = only_track(recording)
    assert (track.states[40:44, WRIST] == KeypointState.OUTLIER).all()
    assert (np.delete(track.states[:, WRIST], list(away)) == MEASURED).all()
    error = np.linalg.norm(
        track.keypoints[:, WRIST] - WALKER.keypoints(np.arange(90) / FPS)[:, WRIST], axis=-1
    )
    assert error.max() < 15


@pytest.mark.parametrize("fps", [30, 60])
def test_a_punch_is_no_leap(person_of, fps: int) -> None:
    """A hand that travels 150 px and back within 0.3 s, which the live filter takes for outliers at first."""
    times, random = np.arange(3 * fps) / fps, np.random.default_rng(0)
    truth = Walker((300.0, 600.0), 0.0).keypoints(times)
    truth[:, WRIST, 0] += 150.0 * np.sin(np.pi * np.clip((times - 1.5) / 0.3, 0, 1)) ** 2
    poses = truth + random.normal(0, 2.0, truth.shape)
    recording = record([[person_of(pose)] for pose in poses], times)
    assert KeypointState.OUTLIER in recording.tracks[0].states[:, WRIST]
    track = only_track(recording)
    assert (track.states[:, WRIST] == MEASURED).all()
    assert np.linalg.norm(track.keypoints[:, WRIST] - truth[:, WRIST], axis=-1).max() < 40


def test_exchanged_ankles_are_flagged_and_stay_exchanged(person_of) -> None:
    people, poses = [], []
    for index in range(90):
        pose = WALKER.keypoints(index / FPS)
        if index in range(41, 44):
            pose[[15, 16]] = pose[[16, 15]]
        poses.append(pose)
        people.append([person_of(pose)])
    track = only_track(record(people))
    assert np.flatnonzero(track.states[:, LEFT_ANKLE] == KeypointState.SWAPPED).tolist() == [41, 42, 43]
    error = np.linalg.norm(track.keypoints[:, 15:] - np.array(poses)[:, 15:], axis=-1)
    assert error[41:44].max() < 12


def test_the_live_method_makes_no_difference(person_of) -> None:
    people = [[person_of(WALKER.keypoints(index / FPS))] for index in range(60)]
    tracks = [
        only_track(record(people, settings=SmoothingSettings(method=method))) for method in ("kalman", "none")
    ]
    np.testing.assert_allclose(tracks[0].keypoints, tracks[1].keypoints, atol=1.0)


def test_windows_of_a_long_track_join_without_a_seam(noisy_walk, monkeypatch) -> None:
    recording, _, _ = noisy_walk
    whole = only_track(recording)
    monkeypatch.setattr(offline, "WINDOW_FRAMES", 110)
    monkeypatch.setattr(offline, "OVERLAP_FRAMES", 90)
    parts = only_track(recording)
    np.testing.assert_array_equal(parts.states, whole.states)
    np.testing.assert_allclose(parts.keypoints, whole.keypoints, atol=0.02)


def test_uneven_frames_are_smoothed_by_their_times(person_of) -> None:
    random = np.random.default_rng(4)
    times = np.cumsum(random.uniform(0.01, 0.08, 120))
    poses = WALKER.keypoints(times) + random.normal(0, 5.0, (120, 17, 2))
    track = only_track(record([[person_of(pose)] for pose in poses], times))
    truth = WALKER.keypoints(times)
    assert rms_error(track.keypoints, truth) < 0.8 * rms_error(poses, truth)


def test_results_come_back_frame_for_frame_with_ids_times_and_raw_keypoints(person_of) -> None:
    other = Walker((200.0, 1400.0), 100.0)
    people = [
        [person_of(WALKER.keypoints(index / FPS))] + [person_of(other.keypoints(index / FPS))] * (index >= 20)
        for index in range(60)
    ]
    recording = record(people)
    tracks = smooth_offline(recording, SETTINGS, COCO17)
    results = list(smoothed_results(recording, tracks))
    assert len(results) == 60
    assert [result.frame.index for result in results] == list(range(10, 70))
    assert all(earlier.frame.time_s < later.frame.time_s for earlier, later in pairwise(results))
    assert [[person.track_id for person in result.people] for result in results[18:22]] == [
        [1],
        [1],
        [1, 2],
        [1, 2],
    ]
    np.testing.assert_array_equal(results[30].people[1].raw_keypoints, people[30][1].keypoints)


def test_a_recording_of_nobody_or_nothing_gives_no_tracks() -> None:
    assert smooth_offline(record([]), SETTINGS, COCO17) == ()
    empty = record([[]] * 5)
    assert smooth_offline(empty, SETTINGS, COCO17) == ()
    assert [result.people for result in smoothed_results(empty, ())] == [()] * 5


def test_one_frame_keeps_its_person(person_of) -> None:
    track = only_track(record([[person_of(WALKER.keypoints(0.0))]]))
    assert (track.states == MEASURED).all()
    np.testing.assert_allclose(track.keypoints[0], WALKER.keypoints(0.0), atol=1e-3)
