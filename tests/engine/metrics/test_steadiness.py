"""The meter is held to what is known of simulated walkers."""

import math
import threading
from dataclasses import astuple, replace

import numpy as np
import pytest

from engine.metrics.steadiness import MAX_FRAMES, SteadinessMeter, _fitted
from engine.metrics.walking import Walker
from engine.structures import Frame, KeypointState, Result, TrackedPerson

IMAGE = np.zeros((2, 2, 3), np.uint8)
FPS = 30
WALKER, STANDING = Walker((200.0, 600.0)), Walker((200.0, 600.0), 0.0)


def person_of(smoothed: np.ndarray, raw: np.ndarray, track_id: int = 1, hidden: tuple = ()) -> TrackedPerson:
    count = len(raw)
    state = np.full(count, KeypointState.MEASURED, np.int8)
    state[list(hidden)] = KeypointState.PREDICTED
    return TrackedPerson(
        track_id=track_id, keypoints=smoothed.astype(np.float32), raw_keypoints=raw.astype(np.float32),
        velocity=np.zeros((count, 2), np.float32), scores=np.ones(count, np.float32), state=state,
        bbox=np.zeros(4, np.float32), score=1.0, age_s=1.0,
    )  # fmt: skip


def result_at(time_s: float, *people: TrackedPerson) -> Result:
    return Result(Frame(IMAGE, round(time_s * FPS), time_s), people)


def times(seconds: float, fps: float = FPS, start_s: float = 0.0) -> np.ndarray:
    return start_s + np.arange(round(seconds * fps)) / fps


def show(
    meter: SteadinessMeter,
    time_s: np.ndarray,
    *,
    walker: Walker = WALKER,
    noise_px: float = 0.0,
    share: float = 1.0,
    delay_s: float = 0.0,
    track_id: int = 1,
    seed: int = 0,
) -> None:
    """Results whose smoothed keypoints are `delay_s` late and tremble by `share` of the raw ones."""
    random = np.random.default_rng(seed)
    for time in time_s:
        truth, late = walker.keypoints(time), walker.keypoints(time - delay_s)
        noise = random.normal(0, 1, truth.shape) * noise_px
        meter.add(result_at(float(time), person_of(late + share * noise, truth + noise, track_id)))


def numbers(meter: SteadinessMeter) -> tuple[float, float, float]:
    return astuple(meter.measure())


def unknown(meter: SteadinessMeter) -> bool:
    return all(math.isnan(value) for value in numbers(meter))


@pytest.mark.parametrize("share", [0.2, 0.6, 1.0])
@pytest.mark.parametrize("walker", [WALKER, STANDING])
def test_the_share_of_jitter_left_is_measured_at_rest_and_walking(share: float, walker: Walker) -> None:
    meter = SteadinessMeter()
    show(meter, times(3), walker=walker, noise_px=4.0, share=share)
    assert meter.measure().jitter_share == pytest.approx(share, abs=0.03)
    assert meter.measure().jitter_px == pytest.approx(share * 4.0 * math.sqrt(2), rel=0.1)


@pytest.mark.parametrize("fps", [15, 30, 60, 120])
@pytest.mark.parametrize("delay_s", [0.0, 0.02, 0.08])
def test_lag_is_measured_whatever_the_frame_rate(fps: int, delay_s: float) -> None:
    meter = SteadinessMeter()
    show(meter, times(3.5, fps), noise_px=3.0, share=0.3, delay_s=delay_s)
    assert meter.measure().lag_ms == pytest.approx(1000 * delay_s, abs=5)


def test_nobody_who_stands_tells_a_lag() -> None:
    meter = SteadinessMeter()
    show(meter, times(3), walker=STANDING, noise_px=4.0, share=0.3, delay_s=0.05)
    assert math.isnan(meter.measure().lag_ms)


def test_too_little_tells_nothing() -> None:
    meter = SteadinessMeter()
    assert unknown(meter)
    for time in times(3):
        meter.add(result_at(float(time)))
    assert unknown(meter)
    show(meter, times(0.4, start_s=3), noise_px=3.0)
    assert unknown(meter)


def test_without_any_trembling_there_is_no_share() -> None:
    meter = SteadinessMeter()
    show(meter, times(3), walker=STANDING)
    assert meter.measure().jitter_px == 0 and math.isnan(meter.measure().jitter_share)


def test_only_the_last_seconds_count() -> None:
    meter = SteadinessMeter(window_s=2.0)
    show(meter, times(3), noise_px=4.0, share=1.0)
    show(meter, times(2.1, start_s=3), noise_px=4.0, share=0.2)
    assert meter.measure().jitter_share == pytest.approx(0.2, abs=0.03)


def test_going_back_in_time_begins_anew() -> None:
    meter = SteadinessMeter()
    show(meter, times(3, start_s=50), noise_px=4.0)
    show(meter, times(0.3, start_s=10), noise_px=4.0)
    assert unknown(meter)
    show(meter, times(3, start_s=10.3), noise_px=4.0, share=0.5)
    assert meter.measure().jitter_share == pytest.approx(0.5, abs=0.03)
    meter.reset()
    assert unknown(meter)


def test_uneven_steps_and_dropped_frames_hardly_matter() -> None:
    random = np.random.default_rng(3)
    uneven = times(4) + random.uniform(-0.3, 0.3, 4 * FPS) / FPS
    meter = SteadinessMeter()
    show(meter, uneven[random.random(len(uneven)) > 0.08], noise_px=4.0, share=0.3, delay_s=0.05)
    assert meter.measure().jitter_share == pytest.approx(0.3, abs=0.1)
    assert meter.measure().lag_ms == pytest.approx(50, abs=12)


def test_a_gap_is_no_jitter() -> None:
    meter = SteadinessMeter()
    show(meter, times(1.2), noise_px=2.0, share=0.5)
    show(meter, times(1.2, start_s=1.7), noise_px=2.0, share=0.5)
    assert meter.measure().jitter_px == pytest.approx(math.sqrt(2), rel=0.15)


def test_people_who_come_and_go_leave_the_numbers_of_those_who_stay() -> None:
    meter, random = SteadinessMeter(), np.random.default_rng(0)
    for index, time in enumerate(times(3)):
        pose = WALKER.keypoints(time)
        noise = random.normal(0, 3, pose.shape)
        wild = [
            person_of(pose + random.normal(0, 40, pose.shape), pose, 10 + index // 10),
            person_of(pose + random.normal(0, 40, pose.shape), pose, 1000 + index),
        ]
        meter.add(result_at(float(time), *wild, person_of(pose + 0.4 * noise, pose + noise)))
    assert meter.measure().jitter_share == pytest.approx(0.4, abs=0.03)


def test_keypoints_that_are_only_predicted_have_no_say() -> None:
    meter, random = SteadinessMeter(), np.random.default_rng(0)
    for time in times(3):
        pose = WALKER.keypoints(time)
        noise = random.normal(0, 3, pose.shape)
        smoothed = pose + 0.5 * noise
        smoothed[9:17] += random.normal(0, 50, (8, 2))
        person = person_of(smoothed, pose + noise, hidden=tuple(range(9, 17)))
        raw = person.raw_keypoints.copy()
        raw[9:13] = np.nan
        meter.add(result_at(float(time), replace(person, raw_keypoints=raw)))
    assert meter.measure().jitter_share == pytest.approx(0.5, abs=0.04)


def test_another_skeleton_begins_anew() -> None:
    meter = SteadinessMeter()
    show(meter, times(1.5), noise_px=4.0)
    for time in times(0.2, start_s=1.5):
        meter.add(result_at(float(time), person_of(np.zeros((6, 2)), np.zeros((6, 2)), 2)))
    assert unknown(meter)


@pytest.mark.parametrize("frames", [7, 8, 40])
def test_a_path_is_smoothed_without_delay_up_to_its_ends(frames: int) -> None:
    time = np.arange(frames)[:, None] * [1.0, 1.0]
    parabola = 3 - 2 * time + 0.5 * time**2
    assert _fitted(parabola) == pytest.approx(parabola, abs=1e-9)
    noise = np.random.default_rng(0).normal(0, 1, parabola.shape)
    assert np.abs(_fitted(noise)).mean() < np.abs(noise).mean()


def test_memory_is_bounded_and_holds_no_frames() -> None:
    meter = SteadinessMeter()
    for index in range(3 * MAX_FRAMES):
        meter.add(result_at(index * 1e-4))
    assert len(meter._seen) == MAX_FRAMES
    assert not any(isinstance(part, Frame) for seen in meter._seen for part in seen)


def test_it_may_be_asked_from_another_thread_while_frames_come() -> None:
    meter, failures = SteadinessMeter(), []

    def ask() -> None:
        try:
            for _ in range(40):
                numbers(meter)
        except Exception as error:  # noqa: BLE001 - handed to the test
            failures.append(error)

    thread = threading.Thread(target=ask)
    thread.start()
    show(meter, times(20), noise_px=1.0)
    thread.join()
    assert failures == []
