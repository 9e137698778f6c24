"""What is shown of a track: Kalman's estimate, the One-Euro filter's, or the measurements themselves.

Matching always runs on the Kalman filters; these only choose the keypoints that come out.
"""

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from engine.settings import SmoothingSettings
from engine.structures import KeypointState
from engine.tracking.kalman import Array, KeypointFilters, Mask

State = NDArray[np.int8]

DERIVATIVE_CUTOFF_HZ = 1.0
"""Cutoff of the speed's own low-pass filter (Casiez et al. 2012, sec. 3)."""


class Smoother(Protocol):
    """Turns what was measured into what is shown, one row per track."""

    def add(self, count: int) -> None:
        """Append rows for people never seen."""
        ...

    def keep(self, rows: NDArray[np.intp]) -> None:
        """Keep these rows, in this order, and forget the others."""
        ...

    def step(
        self, dt: float, measured: Array, state: State, fresh: Mask, filters: KeypointFilters
    ) -> tuple[Array, Array]:
        """Return the keypoints (P, K, 2) frame px and their velocities (P, K, 2) px/s.

        Args:
            dt: seconds since the last step, positive.
            measured: (P, K, 2) frame px; looked at only where `state` is MEASURED.
            state: (P, K) int8 of `KeypointState`.
            fresh: (P, K) which measured keypoints start afresh.
            filters: the Kalman filters after this step; keypoints that are not measured follow them.
        """
        ...


class KalmanSmoother:
    """Shows the Kalman filters' estimate."""

    def add(self, count: int) -> None:
        """Do nothing: the filters hold the state."""

    def keep(self, rows: NDArray[np.intp]) -> None:
        """Do nothing: the filters hold the state."""

    def step(
        self, dt: float, measured: Array, state: State, fresh: Mask, filters: KeypointFilters
    ) -> tuple[Array, Array]:
        """Return the filters' positions and velocities."""
        return filters.motion.position, filters.motion.velocity


class NoSmoother:
    """Shows the measurements, outliers included; unseen keypoints follow the Kalman filters."""

    def add(self, count: int) -> None:
        """Do nothing: there is no state."""

    def keep(self, rows: NDArray[np.intp]) -> None:
        """Do nothing: there is no state."""

    def step(
        self, dt: float, measured: Array, state: State, fresh: Mask, filters: KeypointFilters
    ) -> tuple[Array, Array]:
        """Return the measurements, and the filters' velocities."""
        used = (state == KeypointState.MEASURED)[..., None]
        return np.where(used, measured, filters.motion.position), filters.motion.velocity


class OneEuroSmoother:
    """The One-Euro filter (Casiez, Roussel and Vogel, CHI 2012) on real time steps.

    A low-pass filter whose cutoff grows with speed. Speeds are in person sizes per second, so that one
    setting fits people near and far.
    """

    def __init__(self, keypoints: int, settings: SmoothingSettings) -> None:
        self.settings = settings
        self._position = np.zeros((0, keypoints, 2))
        self._velocity = np.zeros((0, keypoints, 2))

    def add(self, count: int) -> None:
        """Append rows for people never seen."""
        if count == 0:
            return
        blank = np.zeros((count, *self._position.shape[1:]))
        self._position = np.concatenate([self._position, blank])
        self._velocity = np.concatenate([self._velocity, blank])

    def keep(self, rows: NDArray[np.intp]) -> None:
        """Keep these rows, in this order, and forget the others."""
        self._position, self._velocity = self._position[rows], self._velocity[rows]

    def step(
        self, dt: float, measured: Array, state: State, fresh: Mask, filters: KeypointFilters
    ) -> tuple[Array, Array]:
        """Return the filtered measurements; what is unseen moves on as the Kalman filters do."""
        motion, unseen = filters.motion, (state != KeypointState.MEASURED)[..., None]
        derivative = (np.where(unseen, self._position, measured) - self._position) / dt
        velocity = self._velocity + _weight(DERIVATIVE_CUTOFF_HZ, dt) * (derivative - self._velocity)
        speed = np.sqrt((velocity**2).sum(axis=-1, keepdims=True)) / filters.sizes[:, None, None]
        cutoff = self.settings.one_euro_cutoff_hz + self.settings.one_euro_speed_gain * speed
        smoothed = self._position + _weight(cutoff, dt) * (measured - self._position)
        position = np.where(unseen, self._position + motion.velocity * dt, smoothed)
        velocity = np.where(unseen | fresh[..., None], motion.velocity, velocity)
        self._position, self._velocity = np.where(fresh[..., None], measured, position), velocity
        return self._position, self._velocity


def _weight(cutoff_hz: Array | float, dt: float) -> Array | float:
    """Weight of the newest sample in a first-order low-pass filter (Casiez et al. 2012, eq. 3 and 5)."""
    return 1 / (1 + 1 / (2 * np.pi * cutoff_hz * dt))


def build_smoother(keypoints: int, settings: SmoothingSettings) -> Smoother:
    """Return the smoother that the settings name, without rows."""
    if settings.method == "one-euro":
        return OneEuroSmoother(keypoints, settings)
    return KalmanSmoother() if settings.method == "kalman" else NoSmoother()
