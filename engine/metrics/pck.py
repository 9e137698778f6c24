"""Percentage of correct keypoints: distances in units of a person's own size, and their tables.

A keypoint is correct where its distance from the truth is at most `threshold` of a reference length: the
torso (LSP), the head (MPII), or the box. Legend: N people, K keypoints, T thresholds.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from engine.errors import UsageError
from engine.skeleton import Skeleton

Array = NDArray[np.float64]

MPII_UNCOUNTED = ("pelvis", "thorax")
"""Keypoints that MPII's table leaves out."""
MPII_PARTS = {
    "head": ("head_top",),
    "shoulder": ("left_shoulder", "right_shoulder"),
    "elbow": ("left_elbow", "right_elbow"),
    "wrist": ("left_wrist", "right_wrist"),
    "hip": ("left_hip", "right_hip"),
    "knee": ("left_knee", "right_knee"),
    "ankle": ("left_ankle", "right_ankle"),
}
MPII_FINE = 0.11
"""What is published as PCKh@0.1 is read off at this threshold (Sun et al. 2019, lib/dataset/mpii.py)."""


def relative_distances(keypoints: ArrayLike, truth: ArrayLike, valid: ArrayLike, lengths: ArrayLike) -> Array:
    """Return how far keypoints are from the truth, in units of their person's reference length.

    Args:
        keypoints: (N, K, 2) px; not finite where there is no answer.
        truth: (N, K, 2) px.
        valid: (N, K) bool, which true keypoints are labelled.
        lengths: (N,) reference lengths, px; a person whose length is NaN or not positive is left out.

    Returns:
        (N, K): NaN where nothing is to be judged, infinity where there is no answer.
    """
    difference = np.asarray(keypoints, np.float64) - np.asarray(truth, np.float64)
    distance = np.sqrt((difference**2).sum(axis=-1))
    distance = np.where(np.isfinite(distance), distance, np.inf)
    length = np.asarray(lengths, np.float64)[:, None]
    usable = np.isfinite(length) & (length > 0)
    return np.where(np.asarray(valid, bool) & usable, distance / np.where(usable, length, 1.0), np.nan)


def pck(distances: ArrayLike, threshold: float) -> float:
    """Return the share of judged keypoints within `threshold`, all keypoints alike; NaN where none is judged.

    Args:
        distances: any shape, as of `relative_distances`.
        threshold: in the same units; a distance equal to it is correct.
    """
    values = np.asarray(distances, np.float64)
    judged = ~np.isnan(values)
    return float((values[judged] <= threshold).mean()) if judged.any() else float("nan")


def pck_by_keypoint(distances: ArrayLike, threshold: float) -> Array:
    """Return the (K,) shares of (N, K) distances within `threshold`, NaN where none is judged."""
    values = np.asarray(distances, np.float64)
    judged = ~np.isnan(values)
    correct = (np.where(judged, values, np.inf) <= threshold).sum(axis=0)
    count = judged.sum(axis=0)
    return np.where(count > 0, correct / np.maximum(count, 1), np.nan)


def pck_curve(distances: ArrayLike, thresholds: Sequence[float] | Array) -> Array:
    """Return the (T,) shares within each threshold (`pck`)."""
    return np.array([pck(distances, float(threshold)) for threshold in thresholds])


def torso_lengths(truth: ArrayLike, valid: ArrayLike, skeleton: Skeleton) -> Array:
    """Return (N,) torso lengths: left shoulder to right hip (Sapp and Taskar 2013).

    Args:
        truth: (N, K, 2) px.
        valid: (N, K) bool, which keypoints are labelled.
        skeleton: names the keypoints.

    Returns:
        px; NaN where one of the two is not labelled, or the skeleton has none.
    """
    points, labelled = np.asarray(truth, np.float64), np.asarray(valid, bool)
    if not {"left_shoulder", "right_hip"} <= set(skeleton.keypoints):
        return np.full(len(points), np.nan)
    ends = [skeleton.keypoints.index(name) for name in ("left_shoulder", "right_hip")]
    length = np.linalg.norm(points[:, ends[0]] - points[:, ends[1]], axis=-1)
    return np.where(labelled[:, ends].all(axis=1), length, np.nan)


def mpii_table(distances: ArrayLike, skeleton: Skeleton) -> dict[str, float]:
    """Return PCKh as MPII's table has it (Andriluka et al. 2014, in the form of Sun et al. 2019).

    The mean weights each keypoint by how often it is labelled and leaves out pelvis and thorax; a part of
    two sides is the plain mean of both.

    Args:
        distances: (N, K) in units of the head size, 0.6 of the diagonal of the head box.
        skeleton: MPII's.

    Returns:
        `head`, `shoulder`, `elbow`, `wrist`, `hip`, `knee`, `ankle` and `mean` at 0.5; `mean@0.1`, the figure
        published under that name, which is read at 0.11; `mean@0.10`, the mean at exactly 0.1. In [0, 1].

    Raises:
        UsageError: the skeleton lacks a keypoint of the table, or no keypoint is judged.
    """
    names = skeleton.keypoints
    missing = [name for part in MPII_PARTS.values() for name in part if name not in names]
    if missing:
        raise UsageError(
            f"PCKh needs the keypoints of MPII, skeleton {skeleton.name!r} lacks {missing}; "
            "choose another protocol"
        )
    values = np.asarray(distances, np.float64)
    if np.isnan(values).all():
        raise UsageError(
            "PCKh needs people with a head size, and none has one; read MPII or PoseTrack labels"
        )
    counted = values[:, [k for k, name in enumerate(names) if name not in MPII_UNCOUNTED]]
    half = pck_by_keypoint(values, 0.5)
    parts = {
        part: float(np.mean([half[names.index(name)] for name in sides]))
        for part, sides in MPII_PARTS.items()
    }
    return {
        **parts,
        "mean": pck(counted, 0.5),
        "mean@0.1": pck(counted, MPII_FINE),
        "mean@0.10": pck(counted, 0.1),
    }
