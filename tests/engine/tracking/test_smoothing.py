"""What smoothing must gain, may cost, and leaves alone."""

import numpy as np
import pytest

from engine.metrics.jitter import lag_s, rms_error, rms_jitter
from engine.metrics.walking import Walker
from engine.settings import SmoothingSettings, TrackerSettings
from engine.skeleton import COCO17
from engine.structures import KeypointState
from engine.tracking.kalman import KeypointFilters
from engine.tracking.smoothing import Smoother
from engine.tracking.tracker import Tracker

FPS, SECONDS = 30, 8
NOISE_PX = 6.0
"""What `measurement_noise` reckons with for a walker of this size, 0.03 of the square root of the box."""
TIME = np.arange(FPS * SECONDS) / FPS


@pytest.fixture(scope="module")
def follow(person_of):
    """Function (walker, method, noise_px) → raw, smoothed and true keypoints after the first second."""

    def run(walker: Walker, method: str, noise_px: float = NOISE_PX):
        tracker = Tracker(TrackerSettings(smoothing=SmoothingSettings(method=method)), COCO17)
        truth = walker.keypoints(TIME)
        raw = truth + np.random.default_rng(0).normal(0, noise_px, truth.shape)
        smoothed = np.full_like(truth, np.nan)
        for index, time_s in enumerate(TIME):
            for person in tracker.update([person_of(raw[index])], float(time_s)):
                smoothed[index] = person.keypoints
        return raw[FPS:], smoothed[FPS:], truth[FPS:]

    return run


@pytest.mark.parametrize("noise_px", [6.0, 8.0])
@pytest.mark.parametrize("speed", [0.0, 230.0])
def test_kalman_halves_the_jitter_at_rest_and_walking(follow, noise_px: float, speed: float) -> None:
    raw, smoothed, truth = follow(Walker((200.0, 600.0), speed), "kalman", noise_px)
    assert rms_jitter(smoothed, truth) <= 0.5 * rms_jitter(raw, truth)
    assert rms_error(smoothed, truth) < rms_error(raw, truth)


def test_kalman_lags_less_than_a_frame_even_at_the_ankles(follow) -> None:
    _, smoothed, truth = follow(Walker((200.0, 600.0)), "kalman")
    assert abs(lag_s(smoothed, truth, TIME[FPS:])) <= 0.25 / FPS
    assert abs(lag_s(smoothed[:, 15:], truth[:, 15:], TIME[FPS:])) <= 0.5 / FPS


def test_one_euro_halves_the_jitter_at_rest_and_lags_at_most_a_frame(follow) -> None:
    raw, smoothed, truth = follow(Walker((200.0, 600.0), 0.0), "one-euro")
    assert rms_jitter(smoothed, truth) <= 0.5 * rms_jitter(raw, truth)
    _, smoothed, truth = follow(Walker((200.0, 600.0)), "one-euro")
    assert lag_s(smoothed, truth, TIME[FPS:]) <= 1 / FPS


def test_no_smoothing_leaves_measurements_as_they_are(follow) -> None:
    raw, smoothed, _ = follow(Walker((200.0, 600.0)), "none")
    np.testing.assert_array_equal(smoothed, raw.astype(np.float32))


def test_a_one_euro_filter_equals_the_published_one() -> None:
    """Step by step as in algorithm 1 of Casiez et al. 2012, with the paper's own names."""
    config = SmoothingSettings(method="one-euro", one_euro_cutoff_hz=1.3, one_euro_speed_gain=2.0)
    smoother, filters = Smoother(1, config), KeypointFilters(1, config)
    smoother.add(1)
    filters.add(1)
    filters.sizes = np.array([150.0])
    random, hatx, hatdx = np.random.default_rng(0), None, np.zeros(2)

    def alpha(rate: float, cutoff: float) -> float:
        tau, te = 1 / (2 * np.pi * cutoff), 1 / rate
        return 1 / (1 + tau / te)

    for _ in range(40):
        dt, x = random.uniform(0.01, 0.1), random.uniform(0, 300, 2)
        state = np.full((1, 1), KeypointState.MEASURED, np.int8)
        fresh = np.array([[hatx is None]])
        shown, _ = smoother.step(dt, x.reshape(1, 1, 2), state, fresh, filters)
        if hatx is None:
            hatx = x
        else:
            dx = (x - hatx) / dt
            a = alpha(1 / dt, 1.0)
            hatdx = a * dx + (1 - a) * hatdx
            a = alpha(1 / dt, 1.3 + 2.0 * np.linalg.norm(hatdx) / 150.0)
            hatx = a * x + (1 - a) * hatx
        np.testing.assert_allclose(shown[0, 0], hatx, rtol=1e-12)


@pytest.mark.parametrize("method", ["kalman", "one-euro", "none"])
def test_a_gap_is_bridged_smoothly_whatever_the_method(person_of, method: str) -> None:
    tracker = Tracker(TrackerSettings(smoothing=SmoothingSettings(method=method)), COCO17)
    walker, shown = Walker((200.0, 600.0)), []
    for index, time_s in enumerate(TIME[:90]):
        hidden = [9] if 60 <= index < 66 else []
        people = tracker.update([person_of(walker.keypoints(time_s), hidden=hidden)], float(time_s))
        shown.append(people[0].keypoints[9] if people else np.full(2, np.nan))
    error = np.linalg.norm(np.array(shown) - walker.keypoints(TIME[:90])[:, 9], axis=1)
    assert error[60:70].max() < 0.15 * walker.height
    assert error[85:].max() < 8


METHODS = ("kalman", "one-euro", "none")


@pytest.mark.parametrize("later", METHODS)
@pytest.mark.parametrize("earlier", METHODS)
def test_another_method_goes_on_from_what_was_shown(person_of, earlier: str, later: str) -> None:
    """Nobody jumps further at the change than a frame's motion and the trembling of the measurements."""
    tracker = Tracker(TrackerSettings(smoothing=SmoothingSettings(method=earlier)), COCO17)
    walker, random, shown = Walker((200.0, 600.0)), np.random.default_rng(1), []
    truth = walker.keypoints(TIME[:120])
    for index, time_s in enumerate(TIME[:120]):
        if index == 60:
            tracker.change_settings(TrackerSettings(smoothing=SmoothingSettings(method=later)))
        measured = truth[index] + random.normal(0, 3.0, (17, 2))
        people = tracker.update([person_of(measured, hidden=[9] if 55 <= index < 65 else [])], float(time_s))
        shown.append(people[0].keypoints if people else np.full((17, 2), np.nan))
        if people:
            assert people[0].track_id == 1
    steps = np.linalg.norm(np.diff(np.array(shown), axis=0), axis=-1)
    assert steps[59].max() < np.linalg.norm(truth[60] - truth[59], axis=-1).max() + 5 * 3.0
    error = np.linalg.norm(np.array(shown)[60:] - truth[60:], axis=-1)
    seen = np.arange(17) != 9
    assert error[:, seen].max() < 45 and error[10:].max() < 30


def test_from_kalman_one_euro_starts_where_kalman_was_and_not_at_the_measurement(person_of) -> None:
    tracker, pose = Tracker(TrackerSettings(), COCO17), Walker((200.0, 600.0), 0.0).keypoints(0.0)
    for time_s in TIME[:60]:
        (before,) = tracker.update([person_of(pose)], float(time_s)) or [None]
    steady = SmoothingSettings(method="one-euro", one_euro_cutoff_hz=0.1, one_euro_speed_gain=0.0)
    tracker.change_settings(TrackerSettings(smoothing=steady))
    (after,) = tracker.update([person_of(pose + 5.0)], float(TIME[60]))
    moved = np.linalg.norm(after.keypoints - before.keypoints, axis=-1)
    assert moved.min() > 0 and moved.max() < 0.5


def test_other_noises_count_from_the_next_frame_on(person_of) -> None:
    pose = Walker((200.0, 600.0), 0.0).keypoints(0.0)
    moved = []
    for noise in (0.005, 0.3):
        tracker = Tracker(TrackerSettings(), COCO17)
        for time_s in TIME[:60]:
            tracker.update([person_of(pose)], float(time_s))
        tracker.change_settings(TrackerSettings(smoothing=SmoothingSettings(measurement_noise=noise)))
        (person,) = tracker.update([person_of(pose + 4.0)], float(TIME[60]))
        moved.append(float(np.linalg.norm(person.keypoints - pose, axis=-1).mean()))
    assert moved[0] > 3 * moved[1]
