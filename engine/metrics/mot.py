"""How well identities hold: CLEAR MOT and IDF1 of tracked people against the truth, counted by motmetrics."""

import importlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from engine.errors import UsageError
from engine.geometry import bbox_iou
from engine.skeleton import Skeleton
from engine.structures import TrackedPerson
from engine.tracking.oks import oks_matrix


@dataclass(frozen=True, slots=True)
class MotFigures:
    """Figures of one sequence.

    frames: how many; truths: people in them, summed over frames; matches: how many of those were found;
    misses and false_positives: how many were not, and how many found people are nobody; switches: how often
    the id of a true person changed; mota: 1 - (misses + false_positives + switches) / truths (Bernardin and
    Stiefelhagen 2008); idf1: F1 score under the best one-to-one pairing of identities over the whole sequence
    (Ristani et al. 2016).
    """

    frames: int
    truths: int
    matches: int
    misses: int
    false_positives: int
    switches: int
    mota: float
    idf1: float


class MotMeter:
    """Collects the frames of one sequence.

    Args:
        skeleton: whose OKS sigmas to use.
        measure: `oks` compares poses with the area of the true box, `iou` compares boxes.
        min_likeness: a pair less alike than this is no match.

    Raises:
        UsageError: motmetrics is not installed.
    """

    def __init__(
        self, skeleton: Skeleton, *, measure: Literal["oks", "iou"] = "oks", min_likeness: float = 0.5
    ) -> None:
        try:
            self._library = importlib.import_module("motmetrics")
        except ImportError as error:
            raise UsageError(
                "measuring identities needs the package motmetrics; install it with "
                "`pip install 'steadypose[dev]'` or `pip install motmetrics`"
            ) from error
        self._skeleton, self._measure, self._min_likeness = skeleton, measure, min_likeness
        self._events = self._library.MOTAccumulator(auto_id=True)

    def add(
        self,
        truth_ids: Sequence[int],
        truth_keypoints: ArrayLike,
        truth_valid: ArrayLike,
        truth_boxes: ArrayLike,
        people: Sequence[TrackedPerson],
    ) -> None:
        """Count one frame.

        Args:
            truth_ids: N true identities.
            truth_keypoints: (N, K, 2) frame px.
            truth_valid: (N, K) bool, which true keypoints count.
            truth_boxes: (N, 4) xyxy frame px.
            people: as tracked; a missing keypoint counts as wrong.
        """
        boxes = np.asarray(truth_boxes, np.float64).reshape(-1, 4)
        if self._measure == "iou":
            found = np.array([person.bbox for person in people], np.float64).reshape(-1, 4)
            likeness = bbox_iou(boxes, found)
        else:
            count = self._skeleton.count
            areas = np.maximum(boxes[:, 2:] - boxes[:, :2], 0).prod(axis=1)
            likeness = oks_matrix(
                np.asarray(truth_keypoints, np.float64).reshape(-1, count, 2),
                np.array([person.keypoints for person in people], np.float64).reshape(-1, count, 2),
                self._skeleton.sigmas,
                areas,
                np.asarray(truth_valid, bool).reshape(-1, count),
            )
        distance = np.where(likeness >= self._min_likeness, 1 - likeness, np.nan)
        self._events.update(list(truth_ids), [person.track_id for person in people], distance)

    def figures(self) -> MotFigures:
        """Return the figures of the frames so far; NaN where there was nobody to find."""
        names = [
            "num_frames",
            "num_objects",
            "num_misses",
            "num_false_positives",
            "num_switches",
            "mota",
            "idf1",
        ]
        table = self._library.metrics.create().compute(self._events, metrics=names, return_dataframe=False)
        truths, misses = int(table["num_objects"]), int(table["num_misses"])
        return MotFigures(
            frames=int(table["num_frames"]),
            truths=truths,
            matches=truths - misses,
            misses=misses,
            false_positives=int(table["num_false_positives"]),
            switches=int(table["num_switches"]),
            mota=float(table["mota"]),
            idf1=float(table["idf1"]),
        )
