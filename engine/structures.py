"""What flows through the pipeline: Frame, Person, TrackedPerson, Result.

Every value that crosses a module border is one of these. Coordinates are x, y in pixels of the original
frame with the origin at the centre of the top-left pixel; boxes are xyxy. K is the number of keypoints.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.float32]
Image = NDArray[np.uint8]

APPEARANCE_SHAPE = (2, 24)
"""Regions of the body (torso, thighs) and entries of the descriptor of each."""


class KeypointState(IntEnum):
    """How a tracked keypoint of this frame came about."""

    MISSING = 0
    """Unknown: x and y are NaN."""
    PREDICTED = 1
    """Not seen, continued from before."""
    MEASURED = 2
    """Seen."""
    OUTLIER = 3
    """Seen too far from where it must be: x and y are predicted."""
    SWAPPED = 4
    """Seen, but left and right look exchanged: x and y are as measured."""
    FILLED = 5
    """Not seen, interpolated afterwards between before and after."""


SEEN_STATES = (KeypointState.MEASURED, KeypointState.SWAPPED)
"""Those whose place is that of a measurement, smoothed."""


def _shape_repr(value: object, fields: Sequence[str]) -> str:
    parts = []
    for name in fields:
        item = getattr(value, name)
        parts.append(
            f"{name}={item.dtype}{list(item.shape)}" if isinstance(item, np.ndarray) else f"{name}={item!r}"
        )
    return f"{type(value).__name__}({', '.join(parts)})"


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """One picture of a source.

    image: (H, W, 3) uint8 BGR, upright (rotation metadata already applied).
    index: position in the source from 0, counting frames that were dropped or unreadable.
    time_s: presentation time in seconds for files, monotonic capture clock for live sources.
    wall_time: seconds since the epoch, live sources only.
    """

    image: Image
    index: int
    time_s: float
    wall_time: float | None = None

    def __repr__(self) -> str:
        return _shape_repr(self, ("image", "index", "time_s", "wall_time"))


@dataclass(frozen=True, slots=True, eq=False)
class Person:
    """One person in one frame, as decoded.

    keypoints: (K, 2) float32 frame px; scores: (K,) float32 in [0, 1], 0 where there is no peak at all.
    bbox: (4,) float32 xyxy frame px; score: the person's score in [0, 1].
    appearance: `APPEARANCE_SHAPE` float32, per region of the body the square roots of colour frequencies, of
    norm 1, or 0 where the region does not show; None where nothing is known. found: the score that a finder
    gave this person if one ran on this frame, 0 where it saw nobody there, None where none ran.
    """

    keypoints: Float
    scores: Float
    bbox: Float
    score: float
    appearance: Float | None = None
    found: float | None = None

    def __repr__(self) -> str:
        return _shape_repr(self, ("keypoints", "scores", "bbox", "score"))


@dataclass(frozen=True, slots=True, eq=False)
class TrackedPerson:
    """One person in one frame with an identity that lasts.

    keypoints: (K, 2) float32 smoothed frame px; raw_keypoints: (K, 2) float32 as decoded, NaN where the
    person was not seen in this frame; velocity: (K, 2) float32 px/s; scores: (K,) float32 in [0, 1];
    state: (K,) int8 of `KeypointState`; bbox: (4,) float32 xyxy; age_s: seconds since the track began.
    Keypoints whose state is MISSING are NaN.
    """

    track_id: int
    keypoints: Float
    raw_keypoints: Float
    velocity: Float
    scores: Float
    state: NDArray[np.int8]
    bbox: Float
    score: float
    age_s: float

    def __repr__(self) -> str:
        return _shape_repr(self, ("track_id", "keypoints", "state", "bbox", "score", "age_s"))


@dataclass(frozen=True, slots=True, eq=False)
class Result:
    """A frame and the people found in it.

    timings_ms: a stage's name to milliseconds. heatmap: (h, w) float32 in [0, 1], the largest score of any
    keypoint at each place, stretched over the whole frame; None unless asked for.
    """

    frame: Frame
    people: tuple[TrackedPerson, ...]
    timings_ms: Mapping[str, float] = field(default_factory=dict)
    heatmap: Float | None = None

    def __repr__(self) -> str:
        return f"Result(frame={self.frame.index}, time_s={self.frame.time_s:.3f}, people={len(self.people)})"
