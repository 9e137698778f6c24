"""How well identities hold: CLEAR MOT, IDF1 and HOTA of tracked people against the truth.

motmetrics counts CLEAR MOT and IDF1, TrackEval HOTA (`engine.metrics.hota`). Legend: N true people, M tracked
people of one frame, K keypoints.
"""

import importlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import linear_sum_assignment

from engine.errors import UsageError
from engine.geometry import bbox_iou
from engine.metrics.hota import HotaFigures, HotaMeter, combined_hota
from engine.skeleton import Skeleton
from engine.structures import TrackedPerson
from engine.tracking.oks import oks_matrix

Array = NDArray[np.float64]
Measure = Literal["oks", "iou"]

NAN = float("nan")
NAMES = (
    "num_frames",
    "num_objects",
    "num_misses",
    "num_false_positives",
    "num_switches",
    "num_fragmentations",
    "mota",
    "idf1",
)


@dataclass(frozen=True, slots=True)
class MotFigures:
    """Figures of one sequence, or of several together.

    frames: how many; truths: people in them, summed over frames; matches: how many of those were found;
    misses and false_positives: how many were not, and how many found people are nobody; switches: how often
    the id of a true person changed; mota: 1 - (misses + false_positives + switches) / truths (Bernardin and
    Stiefelhagen 2008); idf1: F1 score under the best one-to-one pairing of identities over the whole sequence
    (Ristani et al. 2016); fragmentations: how often a true person was lost and found again later (Li et al.
    2009); hota, deta, assa: see `engine.metrics.hota.HotaFigures`, NaN where they were not asked for. mota
    and idf1 are NaN where there was nobody to find.
    """

    frames: int
    truths: int
    matches: int
    misses: int
    false_positives: int
    switches: int
    mota: float
    idf1: float
    fragmentations: int = 0
    hota: float = NAN
    deta: float = NAN
    assa: float = NAN


class MotMeter:
    """Collects the frames of one sequence.

    Args:
        skeleton: whose OKS sigmas to use.
        measure: `oks` compares poses with the area of the true box, `iou` compares boxes.
        min_likeness: a pair less alike than this is no match; HOTA has its own thresholds.
        hota: measure HOTA too.

    Raises:
        UsageError: motmetrics, or for HOTA trackeval, is not installed.
    """

    def __init__(
        self, skeleton: Skeleton, *, measure: Measure = "oks", min_likeness: float = 0.5, hota: bool = False
    ) -> None:
        self._library = _open_library()
        self._skeleton, self._measure, self._min_likeness = skeleton, measure, min_likeness
        self._events = self._library.MOTAccumulator(auto_id=True)
        self._together: dict[int, int] = {}
        self.hota = HotaMeter() if hota else None

    def add(
        self,
        truth_ids: Sequence[int],
        truth_keypoints: ArrayLike,
        truth_valid: ArrayLike,
        truth_boxes: ArrayLike,
        people: Sequence[TrackedPerson],
        *,
        optional: ArrayLike | None = None,
        ignorable: ArrayLike | None = None,
    ) -> dict[int, TrackedPerson]:
        """Count one frame.

        Args:
            truth_ids: N true identities.
            truth_keypoints: (N, K, 2) frame px.
            truth_valid: (N, K) bool, which true keypoints count.
            truth_boxes: (N, 4) xyxy frame px.
            people: M, as tracked; a missing keypoint counts as wrong.
            optional: (N,) bool, who is no miss if nobody is like them; nobody where None.
            ignorable: (M,) bool, who is no false positive if they are like nobody; nobody where None.

        Returns:
            True identity to its tracked person, one to one: a pair of earlier frames stays together while it
            is alike enough, the others are those most alike in all.
        """
        likeness = self._likeness(truth_keypoints, truth_valid, truth_boxes, people)
        kept = [
            [self._together.get(identity) == person.track_id for person in people] for identity in truth_ids
        ]
        rows, columns = pair(likeness, self._min_likeness, np.array(kept, bool).reshape(likeness.shape))
        true, tracked = (
            _counted(flags, size, found)
            for flags, size, found in zip((optional, ignorable), likeness.shape, (rows, columns), strict=True)
        )
        ids, track_ids = [truth_ids[row] for row in true], [people[column].track_id for column in tracked]
        likeness = likeness[np.ix_(true, tracked)]
        self._events.update(ids, track_ids, np.where(likeness >= self._min_likeness, 1 - likeness, np.nan))
        if self.hota:
            self.hota.add(ids, track_ids, likeness)
        pairs = {truth_ids[row]: people[column] for row, column in zip(rows, columns, strict=True)}
        self._together |= {identity: person.track_id for identity, person in pairs.items()}
        return pairs

    def figures(self) -> MotFigures:
        """Return the figures of the frames so far; NaN where there was nobody to find."""
        hota = self.hota.figures() if self.hota else None
        return _figures(self.counts(), hota)

    def counts(self) -> Mapping[str, Any]:
        """Return what motmetrics counts in the frames so far, what its figures are made from included."""
        compute = self._library.metrics.create().compute
        counts: Mapping[str, Any] = compute(
            self._events, metrics=NAMES, return_dataframe=False, return_cached=True
        )
        return counts

    def _likeness(
        self, keypoints: ArrayLike, valid: ArrayLike, boxes: ArrayLike, people: Sequence[TrackedPerson]
    ) -> Array:
        """Return (N, M) likeness in [0, 1]."""
        corners = np.asarray(boxes, np.float64).reshape(-1, 4)
        if self._measure == "iou":
            found = np.array([person.bbox for person in people], np.float64).reshape(-1, 4)
            return bbox_iou(corners, found)
        count = self._skeleton.count
        return oks_matrix(
            np.asarray(keypoints, np.float64).reshape(-1, count, 2),
            np.array([person.keypoints for person in people], np.float64).reshape(-1, count, 2),
            self._skeleton.sigmas,
            np.maximum(corners[:, 2:] - corners[:, :2], 0).prod(axis=1),
            np.asarray(valid, bool).reshape(-1, count),
        )


def combined_figures(meters: Sequence[MotMeter]) -> MotFigures:
    """Return the figures of several sequences together, at least one, as the libraries combine them.

    Counts are summed and the shares made from the sums; ids of different sequences are different people.
    """
    overall = _open_library().metrics.create().compute_overall
    counts = overall([meter.counts() for meter in meters], metrics=NAMES, return_dataframe=False)
    parts = [meter.hota for meter in meters if meter.hota]
    return _figures(counts, combined_hota(parts) if len(parts) == len(meters) else None)


def pair(likeness: Array, min_likeness: float, kept: NDArray[np.bool_]) -> tuple[list[int], list[int]]:
    """Return the rows and columns of the one-to-one pairs that keep most of `kept` and are most alike in all.

    Args:
        likeness: (N, M) in [0, 1].
        min_likeness: above 0; pairs less alike are left out.
        kept: (N, M), which were pairs before.
    """
    # A bonus above any likeness.
    value = np.where(likeness >= min_likeness, likeness + 2.0 * kept, 0.0)
    rows, columns = linear_sum_assignment(-value)
    alike = value[rows, columns] > 0
    return rows[alike].tolist(), columns[alike].tolist()


def _counted(flags: ArrayLike | None, size: int, found: Sequence[int]) -> list[int]:
    """Return the places of those who count: all but the flagged ones that match nobody."""
    left_out = np.zeros(size, bool) if flags is None else np.array(flags, bool).reshape(size)
    left_out[list(found)] = False
    places: list[int] = np.flatnonzero(~left_out).tolist()
    return places


def _open_library() -> Any:
    try:
        return importlib.import_module("motmetrics")
    except ImportError as error:
        raise UsageError(
            "measuring identities needs the package motmetrics; install it with "
            "`pip install 'steadypose[dev]'` or `pip install motmetrics`"
        ) from error


def _figures(counts: Mapping[str, Any], hota: HotaFigures | None) -> MotFigures:
    truths, misses = int(counts["num_objects"]), int(counts["num_misses"])
    shares = [float(counts[name]) if truths else NAN for name in ("mota", "idf1")]
    return MotFigures(
        frames=int(counts["num_frames"]),
        truths=truths,
        matches=truths - misses,
        misses=misses,
        false_positives=int(counts["num_false_positives"]),
        switches=int(counts["num_switches"]),
        mota=shares[0],
        idf1=shares[1],
        fragmentations=int(counts["num_fragmentations"]),
        hota=hota.hota if hota else NAN,
        deta=hota.deta if hota else NAN,
        assa=hota.assa if hota else NAN,
    )
