"""Constant-velocity Kalman filters of all keypoints of all tracks at once, on real time steps.

`predict` and `update` are the plain equations, held equal to filterpy by a test. `KeypointFilters` adds what
a camera needs: noises that follow score and size, outliers, gaps and fresh starts.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engine.settings import SmoothingSettings
from engine.structures import KeypointState

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]

MIN_SCORE = 0.1
"""Noise is inversely proportional to the score, down to this one."""
INITIAL_SPEED = 1.5
"""Standard deviation of a fresh keypoint's velocity about the body's, person sizes per second."""
PLAUSIBLE_SPEED = 3.0
"""Two outliers in a row agree when no faster motion than this lies between them, person sizes per second."""
SURPRISE_S = 0.1
"""Time constant of the mean surprise that makes a filter agile."""
MAX_SURPRISE = 10.0
MAX_AGILITY = 30.0
FADE_S = 0.1
"""Time constant with which an unseen keypoint's own motion fades into the body's."""
BODY_S = 0.3
"""Time constant of the body's velocity: longer than a swing of a limb, shorter than a turn."""


@dataclass(frozen=True, slots=True, eq=False)
class Motion:
    """Where keypoints are and how they move.

    position: (P, K, 2) frame px; velocity: (P, K, 2) px/s; covariance: (3, P, K), the variance of the
    position (px²), its covariance with the velocity (px²/s) and the variance of the velocity (px²/s²), which
    x and y share.
    """

    position: Array
    velocity: Array
    covariance: Array


def predict(motion: Motion, dt: float, density: Array) -> Motion:
    """Carry constant velocities over a time step; a white acceleration adds uncertainty.

    The process noise is that of continuous white noise (Bar-Shalom, Li and Kirubarajan 2001, sec. 6.2.2), so
    two short steps equal a long one.

    Args:
        motion: at the beginning of the step.
        dt: seconds.
        density: spectral density of the acceleration, px²/s³, broadcastable to (P, K).
    """
    place, cross, speed = motion.covariance
    covariance = np.empty_like(motion.covariance)
    covariance[0] = place + dt * (2 * cross + dt * speed) + density * (dt**3 / 3)
    covariance[1] = cross + dt * speed + density * (dt**2 / 2)
    covariance[2] = speed + density * dt
    return Motion(motion.position + dt * motion.velocity, motion.velocity, covariance)


def update(motion: Motion, measured: Array, variance: Array) -> Motion:
    """Correct a prediction by measured positions.

    Args:
        motion: as predicted.
        measured: (P, K, 2) frame px, finite.
        variance: (P, K) of the measurement along each axis, px².
    """
    place, cross, speed = motion.covariance
    innovation = measured - motion.position
    total = place + variance
    place_gain, speed_gain = place / total, cross / total
    covariance = np.empty_like(motion.covariance)
    covariance[0] = place_gain * variance
    covariance[1] = speed_gain * variance
    covariance[2] = speed - speed_gain * cross
    return Motion(
        motion.position + place_gain[..., None] * innovation,
        motion.velocity + speed_gain[..., None] * innovation,
        covariance,
    )


class KeypointFilters:
    """Kalman filters of P people × K keypoints, one row per track.

    motion: after the last step, of every keypoint that was ever seen, however long ago.
    unseen_s: (P, K) seconds since a measurement was used; infinite for a keypoint never seen.
    body_velocity: (P, 2) px/s, the mean motion of the keypoints over the last moments.
    sizes: (P,) px, the person sizes of the last step.
    """

    def __init__(self, keypoints: int, settings: SmoothingSettings) -> None:
        self.settings = settings
        empty = np.zeros((0, keypoints, 2))
        self.motion = Motion(empty, empty, np.zeros((3, 0, keypoints)))
        self.unseen_s = np.zeros((0, keypoints))
        self.body_velocity = np.zeros((0, 2))
        self._body_weight = np.zeros(0)
        self.sizes = np.zeros(0)
        self._surprise = np.zeros((0, keypoints))
        self._rejected = np.zeros((0, keypoints, 2))
        """The last outlier, NaN unless the last measurement was one."""

    def add(self, count: int) -> None:
        """Append rows for people whose keypoints were never seen."""
        if count == 0:
            return
        rows, keypoints = self.unseen_s.shape[0] + count, self.unseen_s.shape[1]

        def extend(values: Array, fill: float = 0.0) -> Array:
            longer = np.full((rows, *values.shape[1:]), fill)
            longer[: len(values)] = values
            return longer

        covariance = np.zeros((3, rows, keypoints))
        covariance[:, : rows - count] = self.motion.covariance
        self.motion = Motion(extend(self.motion.position), extend(self.motion.velocity), covariance)
        self.unseen_s = extend(self.unseen_s, np.inf)
        self.body_velocity = extend(self.body_velocity)
        self._body_weight = extend(self._body_weight)
        self.sizes = extend(self.sizes)
        self._surprise = extend(self._surprise, 1.0)
        self._rejected = extend(self._rejected, np.nan)

    def keep(self, rows: NDArray[np.intp]) -> None:
        """Keep these rows, in this order, and forget the others."""
        motion = self.motion
        self.motion = Motion(motion.position[rows], motion.velocity[rows], motion.covariance[:, rows])
        self.unseen_s, self.body_velocity = self.unseen_s[rows], self.body_velocity[rows]
        self._body_weight, self.sizes = self._body_weight[rows], self.sizes[rows]
        self._surprise, self._rejected = self._surprise[rows], self._rejected[rows]

    def forecast(self, dt: float) -> Motion:
        """Return the motion `dt` seconds after the last step, changing nothing.

        A keypoint that is coasting already gives up its own motion for the body's.
        """
        agility = np.clip(self._surprise**2, 1.0, MAX_AGILITY)
        density = agility * ((self.settings.acceleration_noise * self.sizes) ** 2)[:, None]
        motion = predict(self.motion, dt, density)
        coasting = self.unseen_s > 0
        if not coasting.any():
            return motion
        remains = np.exp(-dt / FADE_S)
        body = self.body_velocity[:, None, :]
        own = self.motion.velocity - body
        position = self.motion.position + body * dt + own * (FADE_S * (1 - remains))
        return Motion(
            np.where(coasting[..., None], position, motion.position),
            np.where(coasting[..., None], body + own * remains, motion.velocity),
            motion.covariance,
        )

    def step(
        self, dt: float, measured: Array, scores: Array, seen: Mask, sizes: Array
    ) -> tuple[NDArray[np.int8], Mask]:
        """Advance all filters and use what was measured.

        A measurement further from its prediction than the gate is an outlier and is not used; the next one
        that agrees with it makes the filter start afresh there, as does any measurement of a keypoint that
        had gone missing.

        Args:
            dt: seconds since the last step, positive.
            measured: (P, K, 2) frame px; looked at only where `seen`.
            scores: (P, K) in [0, 1].
            seen: (P, K) which keypoints were measured.
            sizes: (P,) person sizes, px.

        Returns:
            the `KeypointState` (P, K) int8 and which keypoints started afresh (P, K) bool.
        """
        settings, self.sizes = self.settings, sizes
        forecast = self.forecast(dt)
        measured = np.where(seen[..., None], measured, forecast.position)
        deviation = settings.measurement_noise * sizes[:, None] / np.maximum(scores, MIN_SCORE)
        variance = deviation**2
        distance = ((measured - forecast.position) ** 2).sum(axis=-1) / (forecast.covariance[0] + variance)
        fresh = seen & (self.unseen_s > settings.coast_s)
        # After a step longer than coasting may last, the prediction is no judge of what was measured.
        outlier = seen & ~fresh & (distance > settings.gate**2) & (dt <= settings.coast_s)
        if outlier.any():
            reach = settings.gate * 1.5 * deviation + (PLAUSIBLE_SPEED * dt) * sizes[:, None]
            fresh |= outlier & (((measured - self._rejected) ** 2).sum(axis=-1) <= reach**2)
            outlier &= ~fresh
        used = seen & ~outlier
        self.motion = self._correct(forecast, measured, variance, used, fresh)
        judged = np.where(outlier[..., None], measured, np.nan)
        self._rejected = np.where(seen[..., None], judged, self._rejected)
        self.unseen_s = np.where(used, 0.0, self.unseen_s + dt)
        self._learn(dt, distance, used & ~fresh, fresh)
        coasts = self.unseen_s <= settings.coast_s + 1e-9
        state = np.where(coasts, KeypointState.PREDICTED, KeypointState.MISSING)
        return np.where(used, KeypointState.MEASURED, state).astype(np.int8), fresh

    def _correct(self, forecast: Motion, measured: Array, variance: Array, used: Mask, fresh: Mask) -> Motion:
        # An unused measurement has infinite variance: its gain is zero and the prediction stays.
        updated = update(forecast, measured, np.where(used, variance, 1e30))
        if not fresh.any():
            return updated
        initial = np.zeros_like(updated.covariance)
        initial[0], initial[2] = variance, ((INITIAL_SPEED * self.sizes) ** 2)[:, None]
        return Motion(
            np.where(fresh[..., None], measured, updated.position),
            np.where(fresh[..., None], self.body_velocity[:, None, :], updated.velocity),
            np.where(fresh, initial, updated.covariance),
        )

    def _learn(self, dt: float, distance: Array, followed: Mask, fresh: Mask) -> None:
        """Follow how surprising measurements are and how the body moves.

        Surprise is the normalised squared innovation, 1 on average where the filter fits. Above 1 its square
        multiplies the process noise: a resting keypoint is held still, a swinging one is believed.
        """
        gain = 1 - np.exp(-dt / SURPRISE_S)
        news = gain * (np.minimum(distance / 2, MAX_SURPRISE) - self._surprise)
        self._surprise = np.where(fresh, 1.0, self._surprise + np.where(followed, news, 0.0))
        count = followed.sum(axis=1)
        mean = (self.motion.velocity * followed[..., None]).sum(axis=1) / np.maximum(count, 1)[:, None]
        decay = np.where(count > 0, np.exp(-dt / BODY_S), 1.0)
        weight = decay * self._body_weight + (1 - decay)
        share = (1 - decay) / np.maximum(weight, 1e-12)
        self.body_velocity = self.body_velocity + share[:, None] * (mean - self.body_velocity)
        self._body_weight = weight
