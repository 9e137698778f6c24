"""A simulated walker whose every keypoint is known at any moment: exact truth for smoothing and tracking.

The gait is a plain sum of swings: hips and shoulders as pendulums, a knee that bends while its leg swings
forward, a trunk that bobs twice per stride. Real footage is richer; what matters here is that feet stop and
start, the trunk glides, and all of it is known without error.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]

THIGH, SHANK, UPPER_ARM, FOREARM, TRUNK = 0.245, 0.246, 0.17, 0.15, 0.29
"""Lengths as shares of body height."""
HIP_HEIGHT = 0.51
HEAD = ((0.075, 0.11), (0.065, 0.13), (0.055, 0.13), (0.01, 0.12), (-0.005, 0.12))
"""Nose, eyes and ears, ahead of and above the shoulders."""
STRIDES_PER_S = 0.9


@dataclass(frozen=True, slots=True)
class Walker:
    """One person walking along a straight line.

    start: x, y of the ground below the hips at time 0, frame px; speed: px/s along x, negative to the left,
    0 to stand still; height: px from sole to crown; phase: of the stride, rad; drift: px/s along y.
    """

    start: tuple[float, float]
    speed: float = 230.0
    height: float = 300.0
    phase: float = 0.0
    drift: float = 0.0

    def keypoints(self, time_s: ArrayLike) -> Array:
        """Return the (..., 17, 2) COCO keypoints in frame px at the given moments (...)."""
        time = np.asarray(time_s, np.float64)
        facing = -1.0 if self.speed < 0 else 1.0
        moving = 0.0 if self.speed == 0 else 1.0
        stride = 2 * np.pi * STRIDES_PER_S * time + self.phase
        hip_y = HIP_HEIGHT + moving * 0.012 * np.cos(2 * stride)
        body: dict[int, tuple[Array | float, Array | float]] = {}
        shoulder_y = hip_y + TRUNK
        for index, (x, y) in enumerate(HEAD):
            body[index] = (x, shoulder_y + y)
        for side, (offset, turn) in enumerate([(0.05, 0.0), (-0.05, np.pi)]):
            swing = np.sin(stride + turn)
            arm = -moving * 0.38 * swing
            elbow = (offset + UPPER_ARM * np.sin(arm), shoulder_y - UPPER_ARM * np.cos(arm))
            bend = arm + 0.3 + moving * 0.2 * np.maximum(arm, 0)
            body[5 + side] = (np.full_like(swing, offset), shoulder_y)
            body[7 + side] = elbow
            body[9 + side] = (elbow[0] + FOREARM * np.sin(bend), elbow[1] - FOREARM * np.cos(bend))
            thigh = moving * (0.4 * swing + 0.08)
            knee = (0.7 * offset + THIGH * np.sin(thigh), hip_y - THIGH * np.cos(thigh))
            flexed = thigh - moving * (0.08 + 0.9 * (0.5 + 0.5 * np.cos(stride + turn + 0.5)) ** 2)
            body[11 + side] = (np.full_like(swing, 0.7 * offset), hip_y)
            body[13 + side] = knee
            body[15 + side] = (knee[0] + SHANK * np.sin(flexed), knee[1] - SHANK * np.cos(flexed))
        across = np.stack([np.broadcast_to(body[index][0], time.shape) for index in range(17)], axis=-1)
        above = np.stack([np.broadcast_to(body[index][1], time.shape) for index in range(17)], axis=-1)
        ground = np.stack([self.start[0] + self.speed * time, self.start[1] + self.drift * time], axis=-1)
        return ground[..., None, :] + self.height * np.stack([facing * across, -above], axis=-1)
