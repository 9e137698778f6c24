"""From pixels of the picture to the coordinates of motion capture: upwards is positive, and perhaps metres.

The origin is the centre of the bottom-left pixel. Nothing is known of depth.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engine.errors import UsageError

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class ImagePlane:
    """A picture stood upright.

    height: of the frames, px. px_per_metre: None where nobody measured it, and lengths stay pixels.
    """

    height: int
    px_per_metre: float | None = None

    def __post_init__(self) -> None:
        scale = self.px_per_metre
        if scale is not None and not (math.isfinite(scale) and scale > 0):
            raise UsageError(f"the scale must be a number of px per metre above 0, got {scale:g}")

    def place(self, keypoints: Array, *, per_metre: float = 1.0) -> Array:
        """Return (..., 2) rightwards and upwards, in px, or in metres where there is a scale.

        Args:
            keypoints: (..., 2) frame px.
            per_metre: how many of the unit wanted make a metre, 1000 for millimetres; of no effect on px.
        """
        upright = np.stack([keypoints[..., 0], self.height - 1 - keypoints[..., 1]], axis=-1)
        return upright if self.px_per_metre is None else upright * (per_metre / self.px_per_metre)

    def restore(self, places: Array, *, per_metre: float = 1.0) -> Array:
        """Return (..., 2) frame px of what `place` made."""
        upright = places if self.px_per_metre is None else places * (self.px_per_metre / per_metre)
        return np.stack([upright[..., 0], self.height - 1 - upright[..., 1]], axis=-1)
