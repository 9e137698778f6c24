"""PoseTrack: average precision and MOTA of each keypoint, as poseval has them (Andriluka et al. 2018).

A predicted keypoint is near a true one within half a head size. motmetrics counts identities, as it does in
poseval. Legend: N true people, M predicted people, K keypoints, of one frame.
"""

import importlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engine.errors import UsageError

Array = NDArray[np.float64]

NEAR_HEADS = 0.5
"""A keypoint is correct within this many head sizes."""


@dataclass(frozen=True, slots=True, eq=False)
class PoseFrame:
    """One frame's truth and predictions.

    truth: (N, K, 2) px; valid: (N, K) bool, which of them are labelled; head_sizes: (N,) px; truth_ids: N
    identities. keypoints: (M, K, 2) px, not finite where there is none; scores: (M, K); track_ids: M. Ids are
    unique over all sequences that are judged together; they may be empty where only precision is asked for.
    """

    truth: Array
    valid: NDArray[np.bool_]
    head_sizes: Array
    keypoints: Array
    scores: Array
    truth_ids: tuple[int, ...] = ()
    track_ids: tuple[int, ...] = ()

    def distances(self) -> Array:
        """Return (M, N, K) distances in head sizes, infinity where one of the two is missing."""
        offset = self.keypoints[:, None] - self.truth[None]
        distance = np.linalg.norm(offset, axis=-1) / self.head_sizes[None, :, None]
        return np.where(self.valid[None] & np.isfinite(distance), distance, np.inf)


def keypoint_average_precision(frames: Sequence[PoseFrame]) -> Array:
    """Return the (K,) average precisions, NaN for keypoints that are never labelled.

    In each frame a prediction goes to the true person of whom it has the largest share of keypoints right,
    and of several the true person takes the best. All keypoints of the others are wrong.

    Args:
        frames: of all sequences; those without labelled people are to be left out before, as poseval does.
    """
    scores, correct = zip(*(_label_frame(frame) for frame in frames), strict=True)
    ranked, right = np.concatenate(scores), np.concatenate(correct)
    totals = np.sum([frame.valid.sum(axis=0) for frame in frames], axis=0)
    answered = np.isfinite(ranked)
    return np.array(
        [
            _area(ranked[answered[:, k], k], right[answered[:, k], k], int(total)) if total else np.nan
            for k, total in enumerate(totals)
        ]
    )


def keypoint_mota(frames: Sequence[PoseFrame]) -> Array:
    """Return (K,) MOTA of each keypoint over all frames, NaN for keypoints that are never labelled.

    poseval leaves out the last frame of each sequence and counts a frame without predictions as one miss;
    here all frames and all misses count.

    Raises:
        UsageError: motmetrics is not installed.
    """
    try:
        library = importlib.import_module("motmetrics")
    except ImportError as error:
        raise UsageError(
            "measuring identities needs the package motmetrics; install it with `pip install motmetrics`"
        ) from error
    compute = library.metrics.create().compute
    count = frames[0].truth.shape[1]
    distances = [frame.distances() for frame in frames]
    values = np.full(count, np.nan)
    for k in range(count):
        events = library.MOTAccumulator(auto_id=True)
        objects = 0
        for frame, distance in zip(frames, distances, strict=True):
            true = frame.valid[:, k]
            seen: NDArray[np.bool_] = np.all(np.isfinite(frame.keypoints[:, k]), axis=1)
            objects += int(true.sum())
            between = distance[seen][:, true, k].T
            events.update(
                [identity for identity, chosen in zip(frame.truth_ids, true, strict=True) if chosen],
                [identity for identity, chosen in zip(frame.track_ids, seen, strict=True) if chosen],
                np.where(between <= NEAR_HEADS, between, np.nan),
            )
        if objects:
            values[k] = compute(events, metrics=["mota"], return_dataframe=False)["mota"]
    return values


def _label_frame(frame: PoseFrame) -> tuple[Array, NDArray[np.bool_]]:
    """Return (M, K) scores, NaN where there is no answer, and whether each keypoint is right."""
    answered = np.isfinite(frame.keypoints).all(axis=-1)
    scores = np.where(answered, frame.scores, np.nan)
    right = np.zeros(scores.shape, bool)
    if not len(frame.keypoints) or not len(frame.truth):
        return scores, right
    near = frame.distances() <= NEAR_HEADS
    share = near.sum(axis=2) / np.maximum(frame.valid.sum(axis=1), 1)
    favourite = share.argmax(axis=1)
    share[np.arange(share.shape[1])[None] != favourite[:, None]] = 0
    for place in range(share.shape[1]):
        best = int(share[:, place].argmax())
        if share[best, place] > 0:
            right[best] = near[best, place]
    return scores, right


def _area(scores: Array, right: NDArray[np.bool_], total: int) -> float:
    """Return the area under the precision envelope over recall (PASCAL VOC 2010)."""
    order = np.argsort(-scores, kind="stable")
    hits = np.cumsum(right[order])
    recall = np.concatenate([[0.0], hits / total, [1.0]])
    precision = np.concatenate([[0.0], hits / np.arange(1, len(hits) + 1), [0.0]])
    envelope = np.maximum.accumulate(precision[::-1])[::-1]
    return float((np.diff(recall) * envelope[1:]).sum())
