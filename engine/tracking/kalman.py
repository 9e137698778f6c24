"""Constant-velocity Kalman filters of all keypoints of all tracks at once, on real time steps.

`predict` and `update` are the plain equations, held equal to filterpy by a test. `KeypointFilters` adds what
a camera needs: noises that follow score and size, outliers, left and right exchanged, gaps and fresh starts.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engine.settings import SmoothingSettings
from engine.structures import KeypointState
from engine.tracking.swaps import find_swaps, misfit, partners

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]

MIN_SCORE = 0.1
"""Noise is inversely proportional to the score, down to this one."""
INITIAL_SPEED = 1.5
"""Standard deviation of a fresh keypoint's velocity about the body's, person sizes per second."""
PLAUSIBLE_SPEED = 3.0
"""Two outliers in a row agree when no faster motion than this lies between them, person sizes per second."""
RESTART_S = 0.1
"""Outliers that agree for so long are where the keypoint is now."""
SWAP_S = 0.5
"""Left and right exchanged for longer are the right way round: they were wrong before."""
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


def measurement_variance(settings: SmoothingSettings, sizes: Array, scores: Array) -> Array:
    """Return the variances (..., K) of measurements along each axis, px².

    Args:
        settings: with the noise of a keypoint of score 1.
        sizes: (...) person sizes, px.
        scores: (..., K) in [0, 1].
    """
    return np.asarray((settings.measurement_noise * sizes[..., None] / np.maximum(scores, MIN_SCORE)) ** 2)


def process_density(settings: SmoothingSettings, sizes: Array, surprise: Array) -> Array:
    """Return the spectral densities (..., K) of the acceleration, px²/s³.

    Args:
        settings: with the noise of motion that does not surprise.
        sizes: (...) person sizes, px.
        surprise: (..., K) mean normalised squared innovations, 1 where motion is as expected.
    """
    agility = np.clip(surprise**2, 1.0, MAX_AGILITY)
    return np.asarray(agility * ((settings.acceleration_noise * sizes) ** 2)[..., None])


class KeypointFilters:
    """Kalman filters of P people × K keypoints, one row per track.

    motion: after the last step, of every keypoint that was ever seen, however long ago.
    unseen_s: (P, K) seconds since a measurement was used; infinite for a keypoint never seen.
    body_velocity: (P, 2) px/s, the mean motion of the keypoints over the last moments.
    sizes: (P,) px, the person sizes of the last step.
    swapped: (P, K) which keypoints the last step found measured in their partner's place.
    surprise: (P, K) mean normalised squared innovations of the last moments, 1 where motion is as expected.
    """

    def __init__(
        self, keypoints: int, settings: SmoothingSettings, flip_pairs: Sequence[tuple[int, int]] = ()
    ) -> None:
        self.settings = settings
        self._partner = partners(keypoints, flip_pairs)
        empty = np.zeros((0, keypoints, 2))
        self.motion = Motion(empty, empty, np.zeros((3, 0, keypoints)))
        self.unseen_s = np.zeros((0, keypoints))
        self.body_velocity = np.zeros((0, 2))
        self._body_weight = np.zeros(0)
        self.sizes = np.zeros(0)
        self.surprise = np.zeros((0, keypoints))
        self._rejected = np.zeros((0, keypoints, 2))
        """The last outlier, NaN unless the last measurement was one."""
        self._rejected_s = np.zeros((0, keypoints))
        """For how long outliers have agreed."""
        self.swapped: Mask = np.zeros((0, keypoints), bool)
        self._swapped_s = np.zeros((0, keypoints))

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
        self.surprise = extend(self.surprise, 1.0)
        self._rejected = extend(self._rejected, np.nan)
        self._rejected_s, self._swapped_s = extend(self._rejected_s), extend(self._swapped_s)
        self.swapped = self._swapped_s > 0

    def keep(self, rows: NDArray[np.intp]) -> None:
        """Keep these rows, in this order, and forget the others."""
        motion = self.motion
        self.motion = Motion(motion.position[rows], motion.velocity[rows], motion.covariance[:, rows])
        self.unseen_s, self.body_velocity = self.unseen_s[rows], self.body_velocity[rows]
        self._body_weight, self.sizes = self._body_weight[rows], self.sizes[rows]
        self.surprise, self._rejected = self.surprise[rows], self._rejected[rows]
        self._rejected_s, self._swapped_s = self._rejected_s[rows], self._swapped_s[rows]
        self.swapped = self.swapped[rows]

    def move(self, camera: Array) -> None:
        """Carry everything into the frame that a moving camera sees next.

        Velocities are about the scene from then on: what the camera moves by is no motion of anybody.

        Args:
            camera: (2, 3) similarity that takes what rests from its place in the frame of the last step, in
                px, to its place in the next.
        """
        turn, shift, motion = camera[:, :2], camera[:, 2], self.motion
        scale = abs(np.linalg.det(turn))
        self.motion = Motion(
            motion.position @ turn.T + shift, motion.velocity @ turn.T, motion.covariance * scale
        )
        self.body_velocity = self.body_velocity @ turn.T
        self.sizes = self.sizes * np.sqrt(scale)
        self._rejected = self._rejected @ turn.T + shift

    def forecast(self, dt: float) -> Motion:
        """Return the motion `dt` seconds after the last step, changing nothing.

        A keypoint that is coasting already gives up its own motion for the body's.
        """
        motion = predict(self.motion, dt, process_density(self.settings, self.sizes, self.surprise))
        coasting = self.unseen_s > 0
        if not coasting.any():
            return motion
        body = self.body_velocity[:, None, :]
        velocity = body + (self.motion.velocity - body) * np.exp(-dt / FADE_S)
        return Motion(
            self.forecast_position(dt),
            np.where(coasting[..., None], velocity, motion.velocity),
            motion.covariance,
        )

    def forecast_position(self, dt: float) -> Array:
        """Return the positions (P, K, 2) of `forecast`, frame px, which cost a third of the whole."""
        position = self.motion.position + dt * self.motion.velocity
        coasting = self.unseen_s > 0
        if not coasting.any():
            return position
        body = self.body_velocity[:, None, :]
        own = self.motion.velocity - body
        coasted = self.motion.position + body * dt + own * (FADE_S * (1 - np.exp(-dt / FADE_S)))
        return np.where(coasting[..., None], coasted, position)

    def step(
        self, dt: float, measured: Array, scores: Array, seen: Mask, sizes: Array
    ) -> tuple[NDArray[np.int8], Mask]:
        """Advance all filters and use what was measured.

        A measurement further from its prediction than the gate is an outlier and is not used. Outliers that
        agree for `RESTART_S` make the filter start afresh there, unless that is where the other side of the
        body is expected; so does any measurement of a keypoint that had gone missing. Measurements of a left
        and a right keypoint that look exchanged are used for each other, for `SWAP_S`.

        Args:
            dt: seconds since the last step, positive.
            measured: (P, K, 2) frame px; looked at only where `seen`.
            scores: (P, K) in [0, 1].
            seen: (P, K) which keypoints were measured.
            sizes: (P,) person sizes, px.

        Returns:
            the `KeypointState` (P, K) int8, and which of `shown` started afresh (P, K) bool.
        """
        settings, self.sizes = self.settings, sizes
        forecast = self.forecast(dt)
        measured = np.where(seen[..., None], measured, forecast.position)
        variance = measurement_variance(settings, sizes, scores)
        # After a step longer than coasting may last, the prediction is no judge of what was measured.
        known = seen & (self.unseen_s <= settings.coast_s) & (dt <= settings.coast_s)
        fresh = seen & (self.unseen_s > settings.coast_s)
        turned, accepted = self._unswap(dt, forecast, measured, variance, known)
        fresh |= accepted
        if self.swapped.any():
            measured = np.where(self.swapped[..., None], measured[:, self._partner], measured)
            variance = np.where(self.swapped, variance[:, self._partner], variance)
        distance = misfit(forecast.position, forecast.covariance[0], measured, variance)
        outlier = known & ~fresh & ~self.swapped & (distance > settings.gate**2)
        if outlier.any() or self._rejected_s.any():
            agreed = self._agreed(dt, forecast, measured, variance, outlier)
            fresh |= agreed
            outlier &= ~agreed
        used = seen & ~outlier
        self.motion = self._correct(forecast, measured, variance, used, fresh)
        judged = np.where(outlier[..., None], measured, np.nan)
        self._rejected = np.where(seen[..., None], judged, self._rejected)
        self.unseen_s = np.where(used, 0.0, self.unseen_s + dt)
        self._learn(dt, distance, used & ~fresh, fresh)
        coasts = self.unseen_s <= settings.coast_s + 1e-9
        state = np.where(outlier, KeypointState.OUTLIER, KeypointState.PREDICTED)
        state = np.where(coasts, state, KeypointState.MISSING)
        state = np.where(used, np.where(self.swapped, KeypointState.SWAPPED, KeypointState.MEASURED), state)
        return state.astype(np.int8), fresh | turned

    def shown(self) -> tuple[Array, Array]:
        """Return positions (P, K, 2) frame px and velocities (P, K, 2) px/s under the names as measured.

        Where left and right are exchanged, each stands where its own measurement was: at the other's filter.
        """
        motion = self.motion
        if not self.swapped.any():
            return motion.position, motion.velocity
        swapped = self.swapped[..., None]
        return (
            np.where(swapped, motion.position[:, self._partner], motion.position),
            np.where(swapped, motion.velocity[:, self._partner], motion.velocity),
        )

    def _unswap(
        self, dt: float, forecast: Motion, measured: Array, variance: Array, known: Mask
    ) -> tuple[Mask, Mask]:
        """Look for exchanged pairs; return whose names changed sides and which swaps are now believed."""
        before = self.swapped
        found = find_swaps(
            forecast.position, forecast.covariance[0], measured, variance, known, self._partner
        )
        self._swapped_s = np.where(found, self._swapped_s + dt, 0.0)
        accepted = self._swapped_s > SWAP_S
        self._swapped_s[accepted] = 0.0
        self.swapped = found & ~accepted
        return before != self.swapped, accepted

    def _agreed(self, dt: float, forecast: Motion, measured: Array, variance: Array, outlier: Mask) -> Mask:
        """Return which outliers lie where others lay for long, and not on the other side's keypoint."""
        partner, sizes = self._partner, self.sizes[:, None]
        reach = self.settings.gate * 1.5 * np.sqrt(variance) + (PLAUSIBLE_SPEED * dt) * sizes
        alike = outlier & (((measured - self._rejected) ** 2).sum(axis=-1) <= reach**2)
        self._rejected_s = np.where(alike, self._rejected_s + dt, 0.0)
        other = forecast.position[:, partner]
        spread = forecast.covariance[0][:, partner] + variance
        stolen = ((measured - other) ** 2).sum(axis=-1) <= self.settings.gate**2 * spread
        stolen &= partner != np.arange(len(partner))
        return alike & ~stolen & (self._rejected_s >= RESTART_S - 1e-9)

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
        news = gain * (np.minimum(distance / 2, MAX_SURPRISE) - self.surprise)
        self.surprise = np.where(fresh, 1.0, self.surprise + np.where(followed, news, 0.0))
        count = followed.sum(axis=1)
        mean = (self.motion.velocity * followed[..., None]).sum(axis=1) / np.maximum(count, 1)[:, None]
        decay = np.where(count > 0, np.exp(-dt / BODY_S), 1.0)
        weight = decay * self._body_weight + (1 - decay)
        share = (1 - decay) / np.maximum(weight, 1e-12)
        self.body_velocity = self.body_velocity + share[:, None] * (mean - self.body_velocity)
        self._body_weight = weight
