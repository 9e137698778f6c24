"""HOTA, DetA and AssA of tracked people, counted by TrackEval, the implementation of the metric's authors.

HOTA (Luiten et al. 2021) is the mean over 19 thresholds α of likeness, 0.05 to 0.95, of √(DetA · AssA): how
well people are found, and how well findings of one person bear one id.
"""

import importlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.errors import UsageError

Array = NDArray[np.float64]
Counts = dict[str, Any]


@dataclass(frozen=True, slots=True)
class HotaFigures:
    """Each from 0 to 1, NaN where there is neither a true nor a tracked person.

    hota: mean over α of √(deta · assa) at that α; deta: mean over α of TP / (TP + FN + FP); assa: mean over α
    of the mean over all matches of TPA / (TPA + FNA + FPA), the frames in which that true person and that
    track are together over the frames in which one of the two is (Luiten et al. 2021, section 5).
    """

    hota: float
    deta: float
    assa: float


class HotaMeter:
    """Collects the frames of one sequence.

    Raises:
        UsageError: trackeval is not installed.
    """

    def __init__(self) -> None:
        self._metric = _open_library()
        self._truth_ids: list[NDArray[np.int64]] = []
        self._track_ids: list[NDArray[np.int64]] = []
        self._likeness: list[Array] = []
        self._truth_places: dict[int, int] = {}
        self._track_places: dict[int, int] = {}

    def add(self, truth_ids: Sequence[int], track_ids: Sequence[int], likeness: Array) -> None:
        """Count one frame.

        Args:
            truth_ids: N true identities.
            track_ids: M ids of tracked people.
            likeness: (N, M) in [0, 1].
        """
        self._truth_ids.append(_number(truth_ids, self._truth_places))
        self._track_ids.append(_number(track_ids, self._track_places))
        self._likeness.append(np.asarray(likeness, np.float64).reshape(len(truth_ids), len(track_ids)))

    def counts(self) -> Counts:
        """Return what TrackEval counts in the frames so far, at each α."""
        counts: Counts = self._metric.eval_sequence(
            {
                "gt_ids": self._truth_ids,
                "tracker_ids": self._track_ids,
                "similarity_scores": self._likeness,
                "num_gt_ids": len(self._truth_places),
                "num_tracker_ids": len(self._track_places),
                "num_gt_dets": sum(map(len, self._truth_ids)),
                "num_tracker_dets": sum(map(len, self._track_ids)),
            }
        )
        return counts

    def figures(self) -> HotaFigures:
        """Return the figures of the frames so far."""
        return _figures(self.counts())


def combined_hota(meters: Sequence[HotaMeter]) -> HotaFigures:
    """Return the figures of several sequences together, as TrackEval combines them.

    Counts of matches, misses and false positives are summed, and AssA is weighted with the matches, at each
    α.
    """
    counts = {str(place): meter.counts() for place, meter in enumerate(meters)}
    return _figures(_open_library().combine_sequences(counts))


def _open_library() -> Any:
    try:
        library = importlib.import_module("trackeval.metrics.hota")
    except ImportError as error:
        raise UsageError(
            f"measuring HOTA needs the package trackeval, which cannot be loaded ({error}); install it with "
            "`pip install trackeval`"
        ) from error
    return library.HOTA()


def _number(ids: Sequence[int], places: dict[int, int]) -> NDArray[np.int64]:
    """Return each id's place in the order of first appearance, which TrackEval wants from 0 on."""
    return np.array([places.setdefault(identity, len(places)) for identity in ids], np.int64)


def _figures(counts: Counts) -> HotaFigures:
    if not (counts["HOTA_TP"] + counts["HOTA_FN"] + counts["HOTA_FP"]).any():
        return HotaFigures(np.nan, np.nan, np.nan)
    return HotaFigures(*(float(np.mean(counts[name])) for name in ("HOTA", "DetA", "AssA")))
