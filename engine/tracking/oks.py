"""Object keypoint similarity: how alike two poses are, from 0 to 1.

The one definition (COCO's) that evaluation, duplicate suppression and the tracker share.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from engine.skeleton import Skeleton
from engine.structures import Person

Array = NDArray[np.float64]

MIN_SHARED_SCORE = 0.1
"""A keypoint scored below this says nothing about whether two people are one."""
SCRAP_SURE_SCORE = 0.3
"""Only keypoints scored at least this are looked at to tell a scrap."""
SCRAP_ALIKE = 0.4
"""A scrap lies at least so much on a stronger person: limbs of other people pull it away in part."""
SCRAP_INSIDE = 0.8
"""Or so much of its box lies inside the stronger person's box,"""
SCRAP_SCORE = 0.75
"""while it scores less than this share of the stronger one: a person close behind scores well too."""


def oks_matrix(
    first: ArrayLike,
    second: ArrayLike,
    sigmas: ArrayLike,
    areas: ArrayLike,
    valid: ArrayLike | None = None,
    *,
    bboxes: ArrayLike | None = None,
) -> Array:
    """Return the OKS of each pose of `first` (the truth, or what stands for it) with each of `second`.

    OKS is the mean over the valid keypoints of exp(-d² / (2 s² k²)), with d the distance in px, s² the area
    and k twice the keypoint's sigma (COCO keypoint evaluation, https://cocodataset.org/#keypoints-eval).

    Args:
        first: (N, K, 2) frame px.
        second: (M, K, 2) frame px; a keypoint that is not finite counts as infinitely far.
        sigmas: (K,) OKS sigmas.
        areas: (N,) areas of `first`, px².
        valid: (N, K), or (N, M, K) where it depends on the pair, bool; all where None. Of `first` only valid
            keypoints are looked at.
        bboxes: (N, 4) xyxy frame px of `first`. A pose without valid keypoints is then compared as COCO does
            it: the distance is how far a keypoint lies outside that box grown by its own size on each side.

    Returns:
        (N, M) in [0, 1]; 0 where there is nothing valid to compare and no `bboxes`.
    """
    truth = np.asarray(first, np.float64)
    count = truth.shape[-2] if truth.ndim == 3 else np.size(sigmas)
    truth = truth.reshape(-1, 1, count, 2)
    poses = np.asarray(second, np.float64).reshape(1, -1, count, 2)
    mask: NDArray[np.bool_] = np.ones(truth.shape[:-1], bool)
    if valid is not None:
        mask = np.array(valid, bool)
    mask = mask[:, None, :] if mask.ndim == 2 else mask
    offset = poses - truth
    unlabelled: NDArray[np.bool_] = np.logical_not(mask.any(axis=-1))
    if bboxes is not None and unlabelled.any():
        outside = _outside_grown_boxes(poses, np.asarray(bboxes, np.float64).reshape(-1, 1, 1, 4))
        offset = np.where(unlabelled[..., None, None], outside, offset)
        mask = mask | unlabelled[..., None]
    variances = (2 * np.asarray(sigmas, np.float64)) ** 2
    scale = variances * (np.asarray(areas, np.float64).reshape(-1, 1, 1) + np.spacing(1.0)) * 2
    likeness = np.exp(-(offset[..., 0] ** 2 + offset[..., 1] ** 2) / scale)
    likeness = np.where(mask & np.isfinite(likeness), likeness, 0.0)
    return likeness.sum(axis=-1) / np.maximum(mask.sum(axis=-1), 1)


def _outside_grown_boxes(poses: Array, boxes: Array) -> Array:
    """How far (1, M, K, 2) points lie outside (N, 1, 1, 4) boxes grown by their size: (N, M, K, 2) px."""
    low, high = boxes[..., :2], boxes[..., 2:]
    size = high - low
    return np.maximum(low - size - poses, 0) + np.maximum(poses - high - size, 0)


def shared_oks(keypoints: ArrayLike, valid: ArrayLike, sigmas: ArrayLike, areas: ArrayLike) -> Array:
    """Return how far each two poses are one and the same, from 0 to 1, whichever parts of it they show.

    The OKS terms of the keypoints that both have, over the keypoints of the one that has fewer, with the mean
    of the two areas: a fragment that lies on a whole person scores 1, two people who touch in one keypoint
    score little.

    Args:
        keypoints: (N, K, 2) frame px.
        valid: (N, K) bool, which keypoints a pose has.
        sigmas: (K,) OKS sigmas.
        areas: (N,) px².

    Returns:
        (N, N), symmetric.
    """
    points, has = np.asarray(keypoints, np.float64), np.asarray(valid, bool)
    area = np.asarray(areas, np.float64)
    scale = 2 * (2 * np.asarray(sigmas, np.float64)) ** 2
    mean_area = (area[:, None] + area[None, :]) / 2 + np.spacing(1.0)
    clean = np.where(has[..., None], points, 0.0)
    across, down = clean[..., 0], clean[..., 1]
    square = (across[:, None] - across[None]) ** 2 + (down[:, None] - down[None]) ** 2
    terms = np.exp(-square / (scale * mean_area[..., None]))
    counts: NDArray[np.int64] = np.sum(has, axis=-1)
    fewer = np.minimum(counts[:, None], counts[None, :])
    shared = has[:, None] & has[None]
    return np.einsum("nmk,nmk->nm", terms, shared.astype(np.float64)) / np.maximum(fewer, 1)


def distinct_rows(
    keypoints: Array, scores: Array, sigmas: ArrayLike, areas: Array, threshold: float
) -> NDArray[np.intp]:
    """Of poses that are one and the same, choose the one of which most is seen.

    Goes from the highest sum of scores down, so that a whole person outranks a sharper fragment, and leaves
    out whatever is more alike to a chosen one than `threshold` (`shared_oks` over keypoints scored at least
    0.1).

    Args:
        keypoints: (N, K, 2) frame px.
        scores: (N, K), finite; 0 where a keypoint is not finite.
        sigmas: (K,) OKS sigmas.
        areas: (N,) px².
        threshold: in [0, 1].

    Returns:
        the chosen rows, rising.
    """
    alike = shared_oks(keypoints, scores >= MIN_SHARED_SCORE, sigmas, areas)
    if (np.tril(alike, -1) <= threshold).all():
        return np.arange(len(keypoints))
    kept: list[int] = []
    for row in np.argsort(-scores.sum(axis=1), kind="stable"):
        if not kept or alike[row, kept].max() <= threshold:
            kept.append(int(row))
    return np.array(sorted(kept), np.intp)


def suppress_duplicates(people: Sequence[Person], skeleton: Skeleton, threshold: float) -> list[Person]:
    """Drop people who are one and the same with somebody of whom more is seen (`distinct_rows`).

    Args:
        people: of one frame, with finite boxes.
        skeleton: whose OKS sigmas to use.
        threshold: of two people more alike than this one is dropped; in [0, 1].

    Returns:
        the people kept, in the order given.
    """
    if len(people) < 2:
        return list(people)
    keypoints, scores, _, areas = _stack(people)
    seen = scores * np.isfinite(keypoints).all(axis=-1)
    rows = distinct_rows(keypoints, seen, skeleton.sigmas, areas, threshold)
    return [people[row] for row in rows]


def suppress_scraps(people: Sequence[Person], skeleton: Skeleton) -> list[Person]:
    """Drop clearly weaker people who are made of parts of a stronger one.

    A crop that holds two people, or half of one, yields poses that mix keypoints of both, too unlike either
    for `suppress_duplicates`. Such a scrap scores clearly less than the person it lies on, and either its
    sure keypoints lie on that person's own, or its box lies inside.

    Args:
        people: of one frame, with finite boxes.
        skeleton: whose OKS sigmas to use.

    Returns:
        the people kept, in the order given.
    """
    if len(people) < 2:
        return list(people)
    keypoints, scores, boxes, areas = _stack(people)
    score = np.array([person.score for person in people])
    sure = (scores >= SCRAP_SURE_SCORE) & np.isfinite(keypoints).all(axis=-1)
    alike = shared_oks(keypoints, sure, skeleton.sigmas, areas)
    low = np.maximum(boxes[:, None, :2], boxes[None, :, :2])
    high = np.minimum(boxes[:, None, 2:], boxes[None, :, 2:])
    inside = np.maximum(high - low, 0).prod(axis=-1) / np.maximum(areas, 1e-9)[:, None]
    weaker = score[:, None] < SCRAP_SCORE * score[None]
    scrap = (weaker & ((alike >= SCRAP_ALIKE) | (inside >= SCRAP_INSIDE))).any(axis=1)
    return [person for person, drop in zip(people, scrap, strict=True) if not drop]


def _stack(people: Sequence[Person]) -> tuple[Array, Array, Array, Array]:
    """Return keypoints (N, K, 2), scores (N, K) with NaN as 0, boxes (N, 4) and their areas (N,)."""
    boxes = np.array([person.bbox for person in people], np.float64)
    return (
        np.array([person.keypoints for person in people], np.float64),
        np.nan_to_num(np.array([person.scores for person in people], np.float64)),
        boxes,
        np.maximum(boxes[:, 2:] - boxes[:, :2], 0).prod(axis=1),
    )
