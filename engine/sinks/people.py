"""Rows of people as the lists that JSON formats hold; and what a long file lacks, made from the keypoints.

Legend: R rows, K keypoints.
"""

import json
from collections.abc import Sequence
from typing import Any, TextIO

import numpy as np
from numpy.typing import NDArray

from engine.sinks.results_rows import RowBlock
from engine.skeleton import Skeleton
from engine.structures import Float, KeypointState

PX_DECIMALS, SCORE_DECIMALS = 3, 4
"""As in the CSV."""
PERSON = 1
"""Category of people in COCO and PoseTrack."""

Array = NDArray[np.float64]


def known_boxes(block: RowBlock) -> Array:
    """Return (R, 4) boxes xyxy px: those of the file, else the smallest around the keypoints.

    They are 0 where the person has no keypoint either.
    """
    known = find_known(block.keypoints)[..., None]
    low = np.where(known, block.keypoints, np.inf).min(axis=1)
    high = np.where(known, block.keypoints, -np.inf).max(axis=1)
    boxes = np.where(np.isfinite(block.boxes), block.boxes, np.concatenate([low, high], axis=1))
    known_ones: Array = np.where(np.isfinite(boxes), boxes, 0).astype(np.float64)
    return known_ones.round(PX_DECIMALS)


def known_scores(block: RowBlock) -> Array:
    """Return (R,) scores of the people: those of the file, else the mean over the known keypoints."""
    known = block.states != KeypointState.MISSING
    total = np.where(known, np.nan_to_num(block.keypoint_scores), 0).sum(axis=1)
    mean = total / np.maximum(known.sum(axis=1), 1)
    scores: Array = np.where(np.isfinite(block.scores), block.scores, mean).astype(np.float64)
    return scores.round(SCORE_DECIMALS)


def find_known(keypoints: Float) -> NDArray[np.bool_]:
    """Return (R, K), which of (R, K, 2) keypoints have a place."""
    known: NDArray[np.bool_] = np.isfinite(keypoints[..., 0]) & np.isfinite(keypoints[..., 1])
    return known


def triples(keypoints: Float, third: NDArray[Any]) -> Array:
    """Return (R, 3 K) x, y and a third value of each keypoint, all three 0 where a keypoint is missing.

    Args:
        keypoints: (R, K, 2) px, NaN where missing.
        third: (R, K), a score or a flag.
    """
    known = find_known(keypoints)
    values = np.concatenate([keypoints.astype(np.float64), third[..., None].astype(np.float64)], axis=2)
    values = np.where(known[..., None], np.nan_to_num(values), 0)
    values[..., :2] = np.round(values[..., :2], PX_DECIMALS)
    values[..., 2] = np.round(values[..., 2], SCORE_DECIMALS)
    return (values + 0.0).reshape(len(values), 3 * keypoints.shape[1])


def pick(keypoints: Float, scores: Float, places: Sequence[int | None]) -> tuple[Float, Float]:
    """Return the keypoints and scores of another skeleton, NaN and 0 where a place is None.

    Args:
        keypoints: (R, K, 2) px.
        scores: (R, K).
        places: for each keypoint of the other skeleton its index here.
    """
    padded = np.concatenate([keypoints, np.full_like(keypoints[:, :1], np.nan)], axis=1)
    padded_scores = np.concatenate([scores, np.zeros_like(scores[:, :1])], axis=1)
    order = [-1 if place is None else place for place in places]
    return padded[:, order], padded_scores[:, order]


def xywh(box: Sequence[float]) -> list[float]:
    """Return a box xyxy as left, top, width, height."""
    x1, y1, x2, y2 = box
    return [x1, y1, round(x2 - x1, PX_DECIMALS), round(y2 - y1, PX_DECIMALS)]


def person_category(skeleton: Skeleton) -> dict[str, Any]:
    """Return the category of people in COCO and PoseTrack, which count the keypoints of limbs from 1."""
    return {
        "id": PERSON,
        "name": "person",
        "supercategory": "person",
        "keypoints": list(skeleton.keypoints),
        "skeleton": [[first + 1, second + 1] for first, second in skeleton.limbs],
    }


def to_json(value: object) -> str:
    """Return a value as JSON on one line, without NaN, which JSON does not have."""
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))


class JsonList:
    """Writes a JSON list item by item, so that it is never held as a whole."""

    def __init__(self, stream: TextIO) -> None:
        self._stream, self._begun = stream, False
        stream.write("[")

    def add(self, item: object) -> None:
        """Write one item."""
        self._stream.write(",\n" if self._begun else "\n")
        self._stream.write(to_json(item))
        self._begun = True

    def end(self) -> None:
        """Close the list."""
        self._stream.write("\n]")
