"""The Rauch–Tung–Striebel smoother for the constant-velocity model: every estimate sees the whole path.

Forwards it runs the filter of `engine.tracking.kalman` with the same equations and noises; backwards it
corrects each estimate by what came after (Rauch, Tung and Striebel 1965). Held equal to filterpy's
`rts_smoother` by a test. A frames, K keypoints.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engine.tracking.kalman import Motion, predict, update

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class Filtered:
    """One pass forwards.

    position, velocity: (A, K, 2) frame px and px/s, and covariance: (A, 3, K) as of `Motion`, after each
    measurement; the same with `expected_` before it. starts: (A, K) where a path begins: nothing links it
    with what was before.
    """

    position: Array
    velocity: Array
    covariance: Array
    expected_position: Array
    expected_velocity: Array
    expected_covariance: Array
    starts: Mask


def filter_forwards(
    time_s: Array,
    measured: Array,
    variance: Array,
    density: Array,
    used: Mask,
    starts: Mask,
    *,
    start_variance: Array,
) -> Filtered:
    """Filter K keypoints through A frames.

    Args:
        time_s: (A,) seconds, strictly increasing.
        measured: (A, K, 2) frame px, finite where `used`.
        variance: (A, K) of the measurements along each axis, px².
        density: (A, K) spectral density of the acceleration in the step up to each frame, px²/s³.
        used: (A, K) which measurements count.
        starts: (A, K) where the path begins afresh, at a measurement that is used.
        start_variance: (A,) of a fresh velocity along each axis, px²/s².
    """
    frames, keypoints = used.shape
    measured = np.where(used[..., None], measured, 0.0)
    # An unused measurement has infinite variance: its gain is zero and the prediction stays.
    variance_used = np.where(used, variance, 1e30)
    blank = np.zeros((frames, keypoints, 2))
    covariance = np.zeros((frames, 3, keypoints))
    result = Filtered(blank, blank.copy(), covariance, blank.copy(), blank.copy(), covariance.copy(), starts)
    motion = Motion(blank[0], blank[0], np.ones((3, keypoints)) * [[1.0], [0.0], [1.0]])
    for index in range(frames):
        dt = time_s[index] - time_s[index - 1] if index else 0.0
        expected = predict(motion, dt, density[index])
        fresh = starts[index]
        motion = update(expected, measured[index], variance_used[index])
        if fresh.any():
            initial = np.stack(
                [variance[index], 0 * variance[index], start_variance[index] + 0 * variance[index]]
            )
            motion = Motion(
                np.where(fresh[:, None], measured[index], motion.position),
                np.where(fresh[:, None], 0.0, motion.velocity),
                np.where(fresh, initial, motion.covariance),
            )
        result.position[index], result.velocity[index] = motion.position, motion.velocity
        result.covariance[index] = motion.covariance
        result.expected_position[index], result.expected_velocity[index] = (
            expected.position,
            expected.velocity,
        )
        result.expected_covariance[index] = expected.covariance
    return result


def smooth_backwards(time_s: Array, filtered: Filtered) -> tuple[Array, Array]:
    """Return positions (A, K, 2) frame px and velocities (A, K, 2) px/s that know what comes after.

    The gain of a step is C = P Fᵀ P'⁻¹ with P the covariance after a frame, F the constant-velocity step and
    P' the covariance expected at the next frame; the estimate moves by C times the correction there.

    Args:
        time_s: (A,) seconds, strictly increasing.
        filtered: of the same frames.
    """
    step = np.diff(time_s)[:, None]
    place, cross, speed = np.moveaxis(filtered.covariance[:-1], 1, 0)
    next_place, next_cross, next_speed = np.moveaxis(filtered.expected_covariance[1:], 1, 0)
    linked = ~filtered.starts[1:]
    determinant = np.where(linked, next_place * next_speed - next_cross**2, np.inf)
    ahead, slope = place + step * cross, cross + step * speed
    gains = (
        np.stack(
            [
                ahead * next_speed - cross * next_cross,
                cross * next_place - ahead * next_cross,
                slope * next_speed - speed * next_cross,
                speed * next_place - slope * next_cross,
            ]
        )[..., None]
        / determinant[..., None]
    )
    position, velocity = filtered.position.copy(), filtered.velocity.copy()
    for index in range(len(time_s) - 2, -1, -1):
        moved = position[index + 1] - filtered.expected_position[index + 1]
        turned = velocity[index + 1] - filtered.expected_velocity[index + 1]
        position[index] += gains[0, index] * moved + gains[1, index] * turned
        velocity[index] += gains[2, index] * moved + gains[3, index] * turned
    return position, velocity
