"""PCK of LSP and PCKh of MPII, and PCK curves, over predictions."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engine.errors import UsageError
from engine.metrics.pck import (
    mpii_table,
    pck,
    pck_by_keypoint,
    pck_curve,
    relative_distances,
    torso_lengths,
)
from engine.skeleton import Skeleton
from train.protocols.pairing import Judged

Array = NDArray[np.float64]

TORSO_ALPHA = 0.2
"""A keypoint is correct within this share of the torso (LSP)."""
THRESHOLDS = tuple(round(0.01 * step, 2) for step in range(51))
"""Of PCK curves, in reference lengths."""
LIMB_PARTS = ("shoulder", "elbow", "wrist", "hip", "knee", "ankle")
"""Parts of LSP that all skeletons share; its neck and head top join in where a skeleton has them."""
HEAD_PARTS = ("neck", "head_top")


@dataclass(frozen=True, slots=True, eq=False)
class Stack:
    """N judged people as arrays.

    keypoints, truth: (N, K, 2) px, NaN keypoints of people not found; visibility: (N, K) COCO v;
    head_sizes: (N,) px, NaN where unknown.
    """

    keypoints: Array
    truth: Array
    visibility: NDArray[np.int64]
    head_sizes: Array


def stack_judged(judged: Sequence[Judged], skeleton: Skeleton) -> Stack:
    """Lay judged people into arrays."""
    nothing = np.full((skeleton.count, 2), np.nan)
    shape = (-1, skeleton.count, 2)
    heads = [item.person.head_size for item in judged]
    return Stack(
        keypoints=np.array([nothing if j.found is None else j.found.keypoints for j in judged]).reshape(
            shape
        ),
        truth=np.array([item.person.keypoints for item in judged], np.float64).reshape(shape),
        visibility=np.array([item.person.visibility for item in judged], np.int64).reshape(shape[:2]),
        head_sizes=np.array([np.nan if head is None else head for head in heads], np.float64),
    )


def torso_distances(stack: Stack, skeleton: Skeleton) -> Array:
    """Return (N, K) distances in torsos; NaN where keypoint or torso has no label."""
    valid = stack.visibility > 0
    lengths = torso_lengths(stack.truth, valid, skeleton)
    return relative_distances(stack.keypoints, stack.truth, valid, lengths)


def lsp_figures(stack: Stack, skeleton: Skeleton) -> dict:
    """Return PCK@0.2 of the torso over LSP's keypoints, person-centric.

    The torso reaches from the left shoulder to the right hip (Sapp and Taskar 2013, as LSP's tables have
    it); people of whom one of the two is not labelled do not count.

    Returns:
        `pck@0.2` over all keypoints alike, `parts` by body part, `people`, and `curve`.

    Raises:
        UsageError: nobody has a torso.
    """
    names = skeleton.keypoints
    wanted = [k for k, name in enumerate(names) if _part(name) in LIMB_PARTS or name in HEAD_PARTS]
    distances = torso_distances(stack, skeleton)[:, wanted]
    if np.isnan(distances).all():
        raise UsageError(
            "protocol lsp needs people whose left shoulder and right hip are labelled; none is there"
        )
    parts = sorted({_part(names[k]) for k in wanted}, key=(HEAD_PARTS + LIMB_PARTS).index)
    columns = {part: [i for i, k in enumerate(wanted) if _part(names[k]) == part] for part in parts}
    return {
        f"pck@{TORSO_ALPHA}": pck(distances, TORSO_ALPHA),
        "parts": {part: pck(distances[:, chosen], TORSO_ALPHA) for part, chosen in columns.items()},
        "people": int((~np.isnan(distances)).any(axis=1).sum()),
        "curve": curve(distances),
    }


def mpii_figures(stack: Stack, skeleton: Skeleton) -> dict:
    """Return PCKh: the table of `mpii_table`, `by_keypoint` at 0.5, and `curve`.

    Raises:
        UsageError: the skeleton is not MPII's, or nobody has a head size.
    """
    distances = relative_distances(stack.keypoints, stack.truth, stack.visibility > 0, stack.head_sizes)
    table = mpii_table(distances, skeleton)
    half = pck_by_keypoint(distances, 0.5)
    return {
        "pckh@0.5": table["mean"],
        "pckh@0.1": table["mean@0.1"],
        "table": table,
        "by_keypoint": {
            name: None if np.isnan(value) else float(value)
            for name, value in zip(skeleton.keypoints, half, strict=True)
        },
        "curve": curve(distances),
    }


def curve(distances: Array) -> dict[str, list[float]]:
    """Return the PCK curve of distances from 0 to 0.5, ready for JSON; empty where nothing is judged."""
    if np.isnan(distances).all():
        return {"thresholds": [], "pck": []}
    return {"thresholds": list(THRESHOLDS), "pck": pck_curve(distances, THRESHOLDS).tolist()}


def _part(name: str) -> str:
    return name.removeprefix("left_").removeprefix("right_")
