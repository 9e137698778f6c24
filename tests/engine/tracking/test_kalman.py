"""The filters against filterpy, and their answers to outliers, gaps and changes of pace."""

import numpy as np
import pytest
from filterpy.kalman import KalmanFilter
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.settings import SmoothingSettings
from engine.structures import KeypointState
from engine.tracking.kalman import KeypointFilters, Motion, predict, update

MEASURED, PREDICTED, MISSING = KeypointState.MEASURED, KeypointState.PREDICTED, KeypointState.MISSING
OUTLIER, SWAPPED = KeypointState.OUTLIER, KeypointState.SWAPPED
DT = 1 / 30
SIZE = np.array([200.0])


def reference_filter(position: np.ndarray, variance: float) -> KalmanFilter:
    """State x, y, vx, vy; the matrices are set by hand."""
    reference = KalmanFilter(dim_x=4, dim_z=2)
    reference.x = np.array([*position, 0.0, 0.0])
    reference.P = np.diag([variance, variance, 9e4, 9e4])
    reference.H = np.eye(2, 4)
    return reference


def process_matrices(dt: float, density: float) -> tuple[np.ndarray, np.ndarray]:
    block = density * np.array([[dt**3 / 3, dt**2 / 2], [dt**2 / 2, dt]])
    return np.kron([[1, dt], [0, 1]], np.eye(2)), np.kron(block, np.eye(2))


@settings(max_examples=12, deadline=None)
@given(st.integers(0, 2**32 - 1), st.floats(0.0, 0.8))
def test_the_filters_equal_filterpy_over_random_sequences_with_gaps(seed: int, gaps: float) -> None:
    random = np.random.default_rng(seed)
    people, keypoints = 2, 3
    start = random.uniform(0, 1000, (people, keypoints, 2))
    density = random.uniform(1e2, 1e5, (people, keypoints))
    first = random.uniform(1, 50, (people, keypoints))
    motion = Motion(start, np.zeros_like(start), np.stack([first, 0 * first, 0 * first + 9e4]))
    references = [
        [reference_filter(start[p, k], first[p, k]) for k in range(keypoints)] for p in range(people)
    ]
    for _ in range(25):
        dt = random.uniform(0.005, 0.2)
        measured = motion.position + random.normal(0, 20, start.shape)
        variance = random.uniform(0.5, 200, (people, keypoints))
        seen = random.uniform(size=(people, keypoints)) >= gaps
        forecast = predict(motion, dt, density)
        corrected = update(forecast, measured, variance)
        motion = Motion(
            np.where(seen[..., None], corrected.position, forecast.position),
            np.where(seen[..., None], corrected.velocity, forecast.velocity),
            np.where(seen, corrected.covariance, forecast.covariance),
        )
        for p in range(people):
            for k in range(keypoints):
                step, noise = process_matrices(dt, density[p, k])
                reference = references[p][k]
                reference.predict(F=step, Q=noise)
                if seen[p, k]:
                    reference.update(measured[p, k], R=variance[p, k])
                np.testing.assert_allclose(motion.position[p, k], reference.x[:2], rtol=1e-9)
                np.testing.assert_allclose(motion.velocity[p, k], reference.x[2:], rtol=1e-9, atol=1e-6)
                covariance = reference.P[[0, 0, 2], [0, 2, 2]]
                np.testing.assert_allclose(motion.covariance[:, p, k], covariance, rtol=1e-9)


def test_the_running_filters_equal_filterpy_where_nothing_is_unusual() -> None:
    """At rest with little noise there are no outliers and no agility: only the plain equations remain."""
    config = SmoothingSettings(gate=1e6)
    filters, random = KeypointFilters(1, config), np.random.default_rng(5)
    filters.add(1)
    deviation = config.measurement_noise * SIZE[0] / 0.8
    density = (config.acceleration_noise * SIZE[0]) ** 2
    reference = None
    for _ in range(60):
        measured = np.array([[[300.0, 200.0]]]) + random.normal(0, 0.2 * deviation, (1, 1, 2))
        filters.step(DT, measured, np.array([[0.8]]), np.array([[True]]), SIZE)
        if reference is None:
            reference = reference_filter(measured[0, 0], deviation**2)
            continue
        step, noise = process_matrices(DT, density)
        reference.predict(F=step, Q=noise)
        reference.update(measured[0, 0], R=deviation**2)
        np.testing.assert_allclose(filters.motion.position[0, 0], reference.x[:2], rtol=1e-9)
        np.testing.assert_allclose(filters.motion.velocity[0, 0], reference.x[2:], rtol=1e-9, atol=1e-9)


def test_two_short_steps_equal_a_long_one() -> None:
    motion = Motion(np.ones((1, 1, 2)), np.full((1, 1, 2), 7.0), np.array([4.0, 1.0, 9.0]).reshape(3, 1, 1))
    density = np.array([[50.0]])
    once, twice = predict(motion, 0.3, density), predict(predict(motion, 0.1, density), 0.2, density)
    np.testing.assert_allclose(once.position, twice.position)
    np.testing.assert_allclose(once.covariance, twice.covariance)


class Watched:
    """One keypoint under the filters, measured wherever it is told to be."""

    def __init__(self, **changes: float) -> None:
        self.filters = KeypointFilters(1, SmoothingSettings(**changes))
        self.filters.add(1)

    def see(self, x: float | None, *, dt: float = DT, score: float = 0.8) -> int:
        measured = np.full((1, 1, 2), np.nan) if x is None else np.array([[[x, 100.0]]])
        seen = np.array([[x is not None]])
        state, _ = self.filters.step(dt, measured, np.array([[score]]), seen, SIZE)
        return int(state[0, 0])

    @property
    def x(self) -> float:
        return float(self.filters.motion.position[0, 0, 0])


def test_the_first_sighting_is_taken_as_it_is() -> None:
    keypoint = Watched()
    assert keypoint.see(None) == MISSING
    assert keypoint.see(320.0) == MEASURED
    assert keypoint.x == 320.0


def test_a_single_outlier_is_not_used() -> None:
    keypoint = Watched()
    for _ in range(20):
        keypoint.see(300.0)
    assert keypoint.see(420.0) == OUTLIER
    assert keypoint.x == pytest.approx(300, abs=0.1)
    assert keypoint.see(300.0) == MEASURED
    assert keypoint.x == pytest.approx(300, abs=0.1)


def test_outliers_that_agree_for_a_tenth_of_a_second_are_where_the_keypoint_is_now() -> None:
    keypoint = Watched()
    for _ in range(20):
        keypoint.see(300.0)
    states = [keypoint.see(x) for x in (420.0, 423.0, 421.0, 422.0)]
    assert states == [OUTLIER] * 3 + [MEASURED]
    assert keypoint.x == 422.0


def test_at_ten_frames_a_second_the_second_outlier_is_believed() -> None:
    keypoint = Watched()
    for _ in range(20):
        keypoint.see(300.0, dt=0.1)
    assert [keypoint.see(x, dt=0.1) for x in (620.0, 623.0)] == [OUTLIER, MEASURED]


def test_outliers_that_disagree_never_capture_the_filter_and_never_block_it() -> None:
    keypoint = Watched()
    for _ in range(20):
        keypoint.see(300.0)
    states = [keypoint.see(x) for x in (500.0, 100.0, 520.0, 80.0)]
    assert states == [OUTLIER] * 4
    for x in (540.0, 60.0) * 8:
        states.append(keypoint.see(x))
    assert MEASURED in states
    assert [keypoint.see(300.0) for _ in range(5)][-1] == MEASURED


def test_an_unseen_keypoint_coasts_for_a_time_and_then_goes_missing() -> None:
    keypoint = Watched(coast_s=0.2)
    for index in range(10):
        keypoint.see(300.0 + index)
    assert [keypoint.see(None) for _ in range(8)] == [PREDICTED] * 6 + [MISSING] * 2
    assert keypoint.see(700.0) == MEASURED
    assert keypoint.x == 700.0


def test_a_coasting_keypoint_moves_on_with_the_body_not_with_its_own_swing() -> None:
    filters = KeypointFilters(8, SmoothingSettings())
    filters.add(1)
    everything, scores = np.ones((1, 8), bool), np.full((1, 8), 0.9)
    start = np.linspace(0, 200, 8)
    for index in range(30):
        x = start + 100.0 * index * DT
        x[0] += 500.0 * index * DT
        filters.step(DT, np.stack([x, 0 * x], axis=-1)[None], scores, everything, SIZE)
    assert filters.body_velocity[0, 0] == pytest.approx(100 + 500 / 8, rel=0.05)
    last = filters.motion.position[0, :, 0]
    seen = everything.copy()
    seen[0, 0] = False
    for _ in range(12):
        filters.step(DT, np.zeros((1, 8, 2)), scores, np.zeros((1, 8), bool), SIZE)
    travelled = filters.motion.position[0, :, 0] - last
    assert travelled[1] == pytest.approx(100 * 12 * DT, rel=0.5)
    assert travelled[0] < 0.65 * 600 * 12 * DT


def test_a_low_score_is_trusted_less() -> None:
    moved = []
    for score in (0.3, 0.9):
        keypoint = Watched()
        for _ in range(20):
            keypoint.see(300.0)
        keypoint.see(305.0, score=score)
        moved.append(keypoint.x - 300)
    assert 0 < moved[0] < 0.5 * moved[1]


def test_surprise_makes_a_filter_agile_and_rest_makes_it_steady_again() -> None:
    keypoint = Watched(measurement_noise=0.01, acceleration_noise=0.4)
    for _ in range(60):
        keypoint.see(300.0)
    steady = keypoint.filters.motion.covariance[0, 0, 0]
    errors = []
    for index in range(1, 20):
        target = 300.0 + 150.0 * (index * DT) ** 2 * 10
        keypoint.see(target)
        errors.append(abs(keypoint.x - target))
    agile = keypoint.filters.motion.covariance[0, 0, 0]
    for _ in range(60):
        keypoint.see(target)
    assert agile > 1.3 * steady
    assert keypoint.filters.motion.covariance[0, 0, 0] == pytest.approx(steady, rel=0.02)
    assert errors[-1] < max(errors)


def test_after_a_long_step_the_measurement_is_believed() -> None:
    keypoint = Watched()
    for _ in range(20):
        keypoint.see(300.0)
    assert keypoint.see(900.0, dt=1.0) == MEASURED


def test_rows_can_be_dropped_and_added_without_touching_the_others() -> None:
    filters, alone = KeypointFilters(2, SmoothingSettings()), KeypointFilters(2, SmoothingSettings())
    filters.add(3)
    alone.add(1)
    random = np.random.default_rng(0)
    for index in range(20):
        measured = random.uniform(0, 5, (len(filters.unseen_s), 2, 2)) + 100 * index * DT
        middle = 1 if index < 10 else 0
        for bank, values in ((filters, measured), (alone, measured[middle : middle + 1])):
            count = len(values)
            bank.step(DT, values, np.full((count, 2), 0.9), np.ones((count, 2), bool), np.full(count, 200.0))
        if index == 9:
            filters.keep(np.array([1]))
            filters.add(2)
    np.testing.assert_array_equal(filters.motion.position[0], alone.motion.position[0])
    np.testing.assert_array_equal(filters.motion.covariance[:, 0], alone.motion.covariance[:, 0])
