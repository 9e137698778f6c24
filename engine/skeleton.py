"""Skeletons: names, limbs, flip pairs and OKS sigmas of a set of keypoints.

A model file carries its own skeleton; the ones here are those that datasets define. Nothing else in the
project lists keypoints.
"""

from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, model_validator


class Skeleton(BaseModel):
    """A named set of K keypoints.

    limbs: pairs of keypoint indices drawn as lines. flip_pairs: pairs of indices exchanged by mirroring.
    oks_sigmas: K standard deviations relative to the square root of a person's area (COCO definition).
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    keypoints: tuple[str, ...]
    limbs: tuple[tuple[int, int], ...]
    flip_pairs: tuple[tuple[int, int], ...]
    oks_sigmas: tuple[float, ...]

    @model_validator(mode="after")
    def _check(self) -> "Skeleton":
        count = len(self.keypoints)
        if len(set(self.keypoints)) != count:
            raise ValueError(f"skeleton {self.name!r} names a keypoint twice")
        if len(self.oks_sigmas) != count:
            raise ValueError(
                f"skeleton {self.name!r} has {count} keypoints but {len(self.oks_sigmas)} oks_sigmas"
            )
        if min(self.oks_sigmas, default=1.0) <= 0:
            raise ValueError(f"skeleton {self.name!r} has an OKS sigma that is not positive")
        for pair in (*self.limbs, *self.flip_pairs):
            if not all(0 <= index < count for index in pair):
                raise ValueError(f"skeleton {self.name!r}: pair {pair} is outside 0..{count - 1}")
        flipped = [index for pair in self.flip_pairs for index in pair]
        if len(set(flipped)) != len(flipped):
            raise ValueError(f"skeleton {self.name!r} flips a keypoint twice")
        return self

    @property
    def count(self) -> int:
        """Number of keypoints K."""
        return len(self.keypoints)

    @cached_property
    def flip_index(self) -> NDArray[np.int64]:
        """(K,) index i of the keypoint that takes the place of keypoint i in a mirrored picture."""
        index = np.arange(self.count)
        for left, right in self.flip_pairs:
            index[left], index[right] = right, left
        return index

    @cached_property
    def sigmas(self) -> NDArray[np.float32]:
        """(K,) float32 OKS sigmas."""
        return np.asarray(self.oks_sigmas, np.float32)


COCO17 = Skeleton(
    name="coco17",
    keypoints=(
        "nose", "left_eye", "right_eye", "left_ear", "right_ear", "left_shoulder", "right_shoulder",
        "left_elbow", "right_elbow", "left_wrist", "right_wrist", "left_hip", "right_hip",
        "left_knee", "right_knee", "left_ankle", "right_ankle",
    ),
    limbs=(
        (0, 1), (0, 2), (1, 3), (2, 4), (5, 6), (5, 7), (7, 9), (6, 8), (8, 10),
        (5, 11), (6, 12), (11, 12), (11, 13), (13, 15), (12, 14), (14, 16),
    ),
    flip_pairs=((1, 2), (3, 4), (5, 6), (7, 8), (9, 10), (11, 12), (13, 14), (15, 16)),
    oks_sigmas=(
        0.026, 0.025, 0.025, 0.035, 0.035, 0.079, 0.079, 0.072, 0.072, 0.062, 0.062,
        0.107, 0.107, 0.087, 0.087, 0.089, 0.089,
    ),
)  # fmt: skip

CROWDPOSE14 = Skeleton(
    name="crowdpose14",
    keypoints=(
        "left_shoulder", "right_shoulder", "left_elbow", "right_elbow", "left_wrist", "right_wrist",
        "left_hip", "right_hip", "left_knee", "right_knee", "left_ankle", "right_ankle", "head_top", "neck",
    ),
    limbs=(
        (12, 13), (13, 0), (13, 1), (0, 2), (2, 4), (1, 3), (3, 5), (0, 6), (1, 7), (6, 7),
        (6, 8), (8, 10), (7, 9), (9, 11),
    ),
    flip_pairs=((0, 1), (2, 3), (4, 5), (6, 7), (8, 9), (10, 11)),
    oks_sigmas=(
        0.079, 0.079, 0.072, 0.072, 0.062, 0.062, 0.107, 0.107, 0.087, 0.087, 0.089, 0.089, 0.079, 0.079,
    ),
)  # fmt: skip

MPII16 = Skeleton(
    name="mpii16",
    keypoints=(
        "right_ankle", "right_knee", "right_hip", "left_hip", "left_knee", "left_ankle", "pelvis", "thorax",
        "upper_neck", "head_top", "right_wrist", "right_elbow", "right_shoulder", "left_shoulder",
        "left_elbow", "left_wrist",
    ),
    limbs=(
        (0, 1), (1, 2), (2, 6), (6, 3), (3, 4), (4, 5), (6, 7), (7, 8), (8, 9), (7, 12), (12, 11), (11, 10),
        (7, 13), (13, 14), (14, 15),
    ),
    flip_pairs=((0, 5), (1, 4), (2, 3), (10, 15), (11, 14), (12, 13)),
    oks_sigmas=(
        0.089, 0.087, 0.107, 0.107, 0.087, 0.089, 0.107, 0.079, 0.079, 0.079, 0.062, 0.072, 0.079, 0.079,
        0.072, 0.062,
    ),
)  # fmt: skip

SKELETONS = {skeleton.name: skeleton for skeleton in (COCO17, CROWDPOSE14, MPII16)}
