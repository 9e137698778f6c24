"""What kind of mistake a keypoint is: the error breakdown of Ronchi and Perona 2017, §4.2.

Legend: N people of a picture, K keypoints.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from engine.skeleton import Skeleton

KINDS = ("good", "jitter", "inversion", "swap", "miss")
"""In place; near its place; on the other side of the same body; on another person; nowhere near any."""
NEAR = 0.5
"""Keypoint similarity from which on a keypoint is at a place,"""
GOOD = 0.85
"""and from which on it is right."""


def classify_keypoints(
    keypoints: ArrayLike,
    index: int,
    truths: ArrayLike,
    valid: ArrayLike,
    areas: Sequence[float],
    skeleton: Skeleton,
) -> NDArray[np.int64]:
    """Tell for each keypoint of a person which kind of mistake it is.

    The place that a keypoint is most similar to decides, of all people and both sides: its own place (good
    or jitter), its mirror place on the same person (inversion), a place of another person (swap). If even
    that is less similar than `NEAR`, it is a miss.

    Args:
        keypoints: (K, 2) as predicted, px.
        index: which of the N people it was to be.
        truths: (N, K, 2) px.
        valid: (N, K) bool, which true keypoints are labelled.
        areas: N areas, px².
        skeleton: gives flip pairs and OKS sigmas.

    Returns:
        (K,) indices into `KINDS`, -1 where the person has no label.
    """
    places, labelled = np.asarray(truths, np.float64), np.asarray(valid, bool)
    order = [index, *(other for other in range(len(places)) if other != index)]
    mirror = skeleton.flip_index
    both = np.concatenate([places[order], places[order][:, mirror]])
    seen = np.concatenate([labelled[order], labelled[order][:, mirror]])
    area = np.tile(np.asarray(areas, np.float64)[order], 2)[:, None] + np.spacing(1.0)
    squared = ((both - np.asarray(keypoints, np.float64)) ** 2).sum(axis=-1)
    variance = (2 * skeleton.sigmas.astype(np.float64)) ** 2
    similarity = np.where(seen & np.isfinite(squared), np.exp(-squared / (2 * variance * area)), -1.0)
    best, place = similarity.max(axis=0), similarity.argmax(axis=0)
    own, mirrored = place == 0, place == len(places)
    kind = np.select(
        [best < NEAR, own & (best >= GOOD), own, mirrored],
        [KINDS.index(name) for name in ("miss", "good", "jitter", "inversion")],
        default=KINDS.index("swap"),
    )
    return np.where(labelled[index], kind, -1)
