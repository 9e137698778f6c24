"""The smoother against filterpy's."""

import numpy as np
import pytest
from filterpy.kalman import KalmanFilter

from engine.tracking.rts import filter_forwards, smooth_backwards


def reference_path(time_s, measured, variance, density, used, start_variance):
    """filterpy's filter and smoother over one keypoint; x and y in one state, matrices set by hand."""
    reference = KalmanFilter(dim_x=4, dim_z=2)
    reference.H = np.eye(2, 4)
    reference.x = np.array([*measured[0], 0.0, 0.0])
    reference.P = np.diag([variance[0]] * 2 + [start_variance] * 2)
    states, covariances, steps, noises = [reference.x.copy()], [reference.P.copy()], [np.eye(4)], [np.eye(4)]
    for index in range(1, len(time_s)):
        dt = time_s[index] - time_s[index - 1]
        step = np.kron([[1, dt], [0, 1]], np.eye(2))
        block = density[index] * np.array([[dt**3 / 3, dt**2 / 2], [dt**2 / 2, dt]])
        noise = np.kron(block, np.eye(2))
        reference.predict(F=step, Q=noise)
        if used[index]:
            reference.update(measured[index], R=variance[index])
        states.append(reference.x.copy())
        covariances.append(reference.P.copy())
        steps.append(step)
        noises.append(noise)
    return reference.rts_smoother(np.array(states), np.array(covariances), steps, noises)[0]


@pytest.mark.parametrize("seed", range(4))
def test_the_smoother_equals_filterpy_over_uneven_steps_and_gaps(seed: int) -> None:
    random = np.random.default_rng(seed)
    frames, keypoints = 60, 3
    time_s = np.cumsum(random.uniform(0.01, 0.1, frames))
    measured = random.normal(0, 30, (frames, keypoints, 2)) + 100 * time_s[:, None, None]
    variance = random.uniform(1, 100, (frames, keypoints))
    density = random.uniform(1e2, 1e5, (frames, keypoints))
    used = random.uniform(size=(frames, keypoints)) > 0.3
    used[0] = True
    starts = np.zeros_like(used)
    starts[0] = True
    filtered = filter_forwards(
        time_s, np.where(used[..., None], measured, np.nan), variance, density, used, starts,
        start_variance=np.full(frames, 9e4),
    )  # fmt: skip
    position, velocity = smooth_backwards(time_s, filtered)
    for k in range(keypoints):
        expected = reference_path(
            time_s, measured[:, k], variance[:, k], density[:, k], used[:, k], start_variance=9e4
        )
        np.testing.assert_allclose(position[:, k], expected[:, :2], rtol=1e-7, atol=1e-7)
        np.testing.assert_allclose(velocity[:, k], expected[:, 2:], rtol=1e-6, atol=1e-5)


def test_nothing_is_smoothed_across_a_fresh_start() -> None:
    time_s = np.arange(40) / 30
    measured = np.where(np.arange(40)[:, None, None] < 20, 0.0, 500.0) * np.ones((40, 1, 2))
    starts = np.zeros((40, 1), bool)
    starts[[0, 20]] = True
    filtered = filter_forwards(
        time_s, measured, np.full((40, 1), 9.0), np.full((40, 1), 1e3), np.ones((40, 1), bool), starts,
        start_variance=np.full(40, 1e4),
    )  # fmt: skip
    position, _ = smooth_backwards(time_s, filtered)
    np.testing.assert_allclose(position, measured, atol=1e-6)
