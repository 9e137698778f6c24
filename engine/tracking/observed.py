"""The people of one frame as the tracker sees them: checked, each once, stacked into arrays."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engine.skeleton import Skeleton
from engine.structures import APPEARANCE_SHAPE, Person
from engine.tracking.oks import distinct_rows

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]

DUPLICATE_ALIKE = 0.7
"""Of two people of one frame more alike than this only one is looked at."""
MIN_SIZE = 4.0


@dataclass(frozen=True, slots=True, eq=False)
class Observed:
    """M people of one frame, each of whom shows something.

    keypoints: (M, K, 2) frame px as decoded; scores: (M, K) in [0, 1]; valid: (M, K) which of them count;
    boxes: (M, 4) xyxy frame px; score: (M,); sizes: (M,) px, the square roots of the boxes' areas.
    appearance: (M, R, A) as of `Person`, 0 where unknown; found: (M,) finder's score, NaN where none ran.
    """

    keypoints: Array
    scores: Array
    valid: Mask
    boxes: Array
    score: Array
    sizes: Array
    appearance: Array
    found: Array


def stack_people(people: Sequence[Person], skeleton: Skeleton, min_keypoint_score: float) -> Observed:
    """Check people, drop duplicates and those who show nothing, and stack the rest.

    Raises:
        ValueError: a person has another number of keypoints than the skeleton, or a box or score that is not
            finite.
    """
    count = skeleton.count
    for person in people:
        if person.keypoints.shape != (count, 2) or person.scores.shape != (count,):
            raise ValueError(
                f"a person must have {count} keypoints for skeleton {skeleton.name!r}, got keypoints "
                f"{person.keypoints.shape} and scores {person.scores.shape}"
            )
    boxes = np.array([person.bbox for person in people], np.float64).reshape(-1, 4)
    score = np.array([person.score for person in people], np.float64)
    broken = np.flatnonzero(~(np.isfinite(boxes).all(axis=1) & np.isfinite(score)))
    if broken.size:
        raise ValueError(
            f"a person's box and score must be finite, got box {boxes[broken[0]].tolist()} and score "
            f"{score[broken[0]]}"
        )
    keypoints = np.array([person.keypoints for person in people], np.float64).reshape(-1, count, 2)
    scores = np.array([person.scores for person in people], np.float64).reshape(-1, count)
    scores = np.where(np.isfinite(scores), np.clip(scores, 0, 1), 0.0)
    finite = np.isfinite(keypoints).all(axis=-1)
    sizes = np.maximum(np.sqrt(np.maximum(boxes[:, 2:] - boxes[:, :2], 0).prod(axis=1)), MIN_SIZE)
    rows = distinct_rows(keypoints, scores * finite, skeleton.sigmas, sizes**2, DUPLICATE_ALIKE)
    valid = (scores >= min_keypoint_score) & (scores > 0) & finite
    rows = rows[valid[rows].any(axis=1)]
    appearance, found = np.zeros((len(rows), *APPEARANCE_SHAPE)), np.full(len(rows), np.nan)
    for place, row in enumerate(rows):
        person = people[row]
        if person.appearance is not None:
            appearance[place] = person.appearance
        if person.found is not None:
            found[place] = person.found
    return Observed(
        keypoints[rows], scores[rows], valid[rows], boxes[rows], score[rows], sizes[rows], appearance, found
    )


def pose_boxes(keypoints: Array, valid: Mask, margin: float = 0.1) -> Array:
    """Return `engine.geometry.pose_bbox` of many poses at once.

    Args:
        keypoints: (P, K, 2) frame px.
        valid: (P, K) bool.
        margin: share of the longer side added on each side.

    Returns:
        (P, 4) xyxy frame px, not finite where nothing is valid.
    """
    mask = valid[..., None]
    low = np.where(mask, keypoints, np.inf).min(axis=1)
    high = np.where(mask, keypoints, -np.inf).max(axis=1)
    with np.errstate(invalid="ignore"):
        grow = margin * np.maximum((high - low).max(axis=1, keepdims=True), 1.0)
        return np.concatenate([low - grow, high + grow], axis=1)
