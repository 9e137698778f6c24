"""What is shown of a track: Kalman's estimate, the One-Euro filter's, or the measurements themselves.

Matching always runs on the Kalman filters; this only chooses the keypoints that come out.
"""

import numpy as np
from numpy.typing import NDArray

from engine.settings import SmoothingSettings
from engine.structures import KeypointState
from engine.tracking.kalman import Array, KeypointFilters, Mask

State = NDArray[np.int8]

DERIVATIVE_CUTOFF_HZ = 1.0
"""Cutoff of the speed's own low-pass filter (Casiez et al. 2012, sec. 3)."""


class Smoother:
    """Turns what was measured into what is shown, one row per track.

    settings: may be replaced between two steps, the method too; each method goes on from the keypoints that
    the one before has shown last.
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

    def move(self, camera: Array) -> None:
        """Carry what was shown last into the frame that a moving camera sees next, by a (2, 3) similarity."""
        self._position = self._position @ camera[:, :2].T + camera[:, 2]
        self._velocity = self._velocity @ camera[:, :2].T

    def step(
        self, dt: float, measured: Array, state: State, fresh: Mask, filters: KeypointFilters
    ) -> tuple[Array, Array]:
        """Return the keypoints (P, K, 2) frame px and their velocities (P, K, 2) px/s.

        Args:
            dt: seconds since the last step, positive.
            measured: (P, K, 2) frame px; looked at only where `state` is one of `SEEN_STATES`.
            state: (P, K) int8 of `KeypointState`.
            fresh: (P, K) which keypoints start afresh.
            filters: the Kalman filters after this step; keypoints that are not measured follow them.
        """
        used = ((state == KeypointState.MEASURED) | (state == KeypointState.SWAPPED))[..., None]
        shown = filters.shown()
        if self.settings.method == "none":  # outliers included
            shown = np.where(used, measured, shown[0]), shown[1]
        elif self.settings.method == "one-euro":
            shown = self._one_euro(dt, measured, used, fresh[..., None], filters)
        self._position, self._velocity = shown
        return shown

    def _one_euro(
        self, dt: float, measured: Array, used: Mask, fresh: Mask, filters: KeypointFilters
    ) -> tuple[Array, Array]:
        """Go one step with the One-Euro filter (Casiez, Roussel and Vogel, CHI 2012) on real time steps.

        A low-pass filter whose cutoff grows with speed. Speeds are in person sizes per second, so that one
        setting fits people near and far. What is unseen moves on as the Kalman filters do.
        """
        (place, speed_there), settings = filters.shown(), self.settings
        derivative = (np.where(used, measured, self._position) - self._position) / dt
        velocity = self._velocity + _weight(DERIVATIVE_CUTOFF_HZ, dt) * (derivative - self._velocity)
        speed = np.sqrt((velocity**2).sum(axis=-1, keepdims=True)) / filters.sizes[:, None, None]
        cutoff = settings.one_euro_cutoff_hz + settings.one_euro_speed_gain * speed
        smoothed = self._position + _weight(cutoff, dt) * (measured - self._position)
        position = np.where(used, smoothed, self._position + speed_there * dt)
        velocity = np.where(used & ~fresh, velocity, speed_there)
        return np.where(fresh, np.where(used, measured, place), position), velocity


def _weight(cutoff_hz: Array | float, dt: float) -> Array | float:
    """Weight of the newest sample in a first-order low-pass filter (Casiez et al. 2012, eq. 3 and 5)."""
    return 1 / (1 + 1 / (2 * np.pi * cutoff_hz * dt))
