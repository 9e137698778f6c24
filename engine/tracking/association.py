"""Which person of this frame is which track: likeness, gates, optimal assignment."""

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from engine.geometry import bbox_iou
from engine.tracking.oks import oks_matrix

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]

WIDENING = 2.0
"""OKS sigmas are widened by this: they were made for scoring, and would not tell near from far misses."""
WANDER = 0.6
"""How far an unseen person may stray from the prediction, person sizes per second unseen."""
MIN_SHARED = 3
"""Fewer shared keypoints than this weigh less than their likeness alone."""
SIZE_CHECK_S = 0.2
"""Up to this gap a pose of another size does not fit anyway; the wide OKS after it needs a check."""
MAX_SIZE_RATIO = 1.6
"""People whose shared keypoints spread so differently are two people, plus growth with time unseen."""
SAME_CLOTHES, OTHER_CLOTHES = 0.9, 0.65
"""Appearances more alike than the first raise no doubt, those less alike than the second the greatest."""
LOST_S = 0.5
"""After this gap a prediction is vague, so that clothes have a say even where one person only fits it."""
RIVAL_S, RIVAL_MARGIN = 0.1, 0.2
"""Who is unseen for longer is a rival for somebody who looks so much more like them than like a track."""
RETURN_FIT = 0.5
"""Who is unseen for longer than that comes back among others only by a pose and clothes that fit so well."""
SIZE_GROWTH = 0.3
"""What may be added to that ratio per second unseen."""


def likeness(
    predicted: Array,
    known: Mask,
    sizes: Array,
    gap_s: Array,
    predicted_boxes: Array,
    keypoints: Array,
    valid: Mask,
    boxes: Array,
    *,
    sigmas: Array,
    oks_weight: float,
) -> Array:
    """Return how well each track's prediction fits each person of the frame, from 0 to 1.

    The mix of OKS and box IoU. The longer a track was not seen, the wider its OKS and the less its box says,
    but a person of quite another size never fits it.

    Args:
        predicted: (N, K, 2) frame px, keypoints of the tracks.
        known: (N, K) which of them can be compared.
        sizes: (N,) person sizes, px.
        gap_s: (N,) seconds between the last sighting of the track and this frame.
        predicted_boxes: (N, 4) xyxy frame px.
        keypoints: (M, K, 2) frame px, of the people.
        valid: (M, K) which of them can be compared.
        boxes: (M, 4) xyxy frame px.
        sigmas: (K,) OKS sigmas.
        oks_weight: share of OKS in the mix.

    Returns:
        (N, M).
    """
    shared = known[:, None] & valid[None]
    counts = shared.sum(axis=-1)
    stray = WANDER * gap_s
    widths = WIDENING**2 + (stray / (2 * sigmas.mean())) ** 2
    oks = oks_matrix(predicted, keypoints, sigmas, widths * sizes**2, shared)
    oks *= np.minimum(counts / MIN_SHARED, 1.0)
    weight = 1 - (1 - oks_weight) * np.exp(-gap_s)[:, None]
    mix = weight * oks + (1 - weight) * bbox_iou(predicted_boxes, boxes)
    lost = np.flatnonzero(gap_s > SIZE_CHECK_S)
    if lost.size:
        ratio = _size_ratio(predicted[lost], keypoints, shared[lost], sizes[lost])
        mix[lost] *= ratio <= (MAX_SIZE_RATIO + SIZE_GROWTH * gap_s[lost])[:, None]
    return mix


def _size_ratio(predicted: Array, keypoints: Array, shared: Mask, sizes: Array) -> Array:
    """How many times larger the one pose is than the other, by the spread of what both show: (N, M) ≥ 1."""
    weights = shared.astype(np.float64)
    counts = np.maximum(weights.sum(axis=-1), 1.0)

    def spread(points: Array, equation: str) -> Array:
        mean = np.einsum(equation + "->nmd", weights, points) / counts[..., None]
        square = np.einsum(equation + "->nm", weights, points**2) / counts
        return np.sqrt(np.maximum(square - (mean**2).sum(axis=-1), 0.0))

    # A few px of noise must not decide about a handful of keypoints close together.
    noise = 0.06 * sizes[:, None]
    first, second = spread(predicted, "nmk,nkd") + noise, spread(keypoints, "nmk,mkd") + noise
    return np.maximum(first / second, second / first)


def compare_appearance(first: Array, second: Array) -> tuple[Array, Mask]:
    """Return how alike (N, R, A) and (M, R, A) descriptors are, and where they share a region: (N, M) each.

    The mean Bhattacharyya coefficient of the regions that both show.
    """
    shows, shown = np.any(first, axis=-1).astype(np.float64), np.any(second, axis=-1).astype(np.float64)
    shared = shows @ shown.T
    return np.einsum("nra,mra->nm", first, second) / np.maximum(shared, 1.0), shared > 0


def weigh_appearance(
    fits: Array,
    first: Array,
    second: Array,
    gap_s: Array,
    *,
    minimum: float,
    weight: float,
    gone: Array | None = None,
) -> Array:
    """Return fits lowered where clothes differ and pose is in doubt.

    Where pose is not ambiguous it is right, whatever light and turning do to colours. It is ambiguous where
    several candidates fit, where the track is lost, and where somebody out of sight wears what is seen: where
    two people cross, the nearer one fits both tracks, and who comes out from behind a wall as another goes in
    fits the other's track; only clothes tell.

    Args:
        fits: (N, M) in [0, 1].
        first: (N, R, A) appearance of the tracks, norm 1 per region, 0 where unknown.
        second: (M, R, A) appearance of the people.
        gap_s: (N,) seconds since the tracks were last seen.
        minimum: fits below this are no candidates.
        weight: share of a fit that quite other clothes take away.
        gone: (G, R, A) appearance of people out of sight who have no track any more.
    """
    alike, known = compare_appearance(first, second)
    doubt = np.clip((SAME_CLOTHES - alike) / (SAME_CLOTHES - OTHER_CLOTHES), 0.0, 1.0)
    candidates = fits >= minimum
    several = (candidates.sum(axis=1, keepdims=True) > 1) | (candidates.sum(axis=0, keepdims=True) > 1)
    unseen = first[gap_s > RIVAL_S]
    unseen = unseen if gone is None else np.concatenate([unseen, gone])
    if len(unseen):
        alike_unseen, known_unseen = compare_appearance(unseen, second)
        rival = np.where(known_unseen, alike_unseen, 0.0).max(axis=0)
        several |= rival >= np.maximum(alike + RIVAL_MARGIN, SAME_CLOTHES)
    # Somebody half hidden wears a mixture that is nobody's: the less like anybody, the less it says.
    best = np.where(known, alike, 0.0).max(axis=0, initial=0.0)
    if len(unseen):
        best = np.maximum(best, rival)
    clear = np.clip((best - OTHER_CLOTHES) / (SAME_CLOTHES - OTHER_CLOTHES), 0.0, 1.0)
    matters = np.where((gap_s > LOST_S)[:, None], 1.0, several * clear) * known
    return fits * (1 - weight * doubt * matters)


def doubt_returns(fits: Array, poses: Array, gap_s: Array, *, minimum: float) -> Array:
    """Return fits that are 0 where somebody out of sight would come back by a doubtful one.

    Among people who cross, crops show mixtures: the head of one on the legs of another. They fit all tracks
    a little, and who is seen just now is held by the others' motion; who is not takes the wrong person.

    Args:
        fits: (N, M) in [0, 1], of pose and clothes.
        poses: (N, M) in [0, 1], of pose alone.
        gap_s: (N,) seconds since the tracks were last seen.
        minimum: poses that fit less are no candidates.
    """
    several = (poses >= minimum).sum(axis=0) > 1
    doubtful = (gap_s > RIVAL_S)[:, None] & several & (fits < RETURN_FIT)
    return np.where(doubtful, 0.0, fits)


def assign(fits: Array, minimum: float, trust: Array) -> list[tuple[int, int]]:
    """Pair tracks with people for the greatest sum of trusted fits, leaving out pairs that fit too little.

    Args:
        fits: (N, M) in [0, 1].
        minimum: pairs that fit less are never made.
        trust: (N,) in (0, 1], so that a track whose whereabouts are vague yields to one that is sure.

    Returns:
        pairs (row, column), each row and column at most once.
    """
    if fits.size == 0:
        return []
    # A pair below the gate is worth nothing, so that it never displaces one that counts.
    allowed = fits >= max(minimum, 1e-9)
    rows, columns = linear_sum_assignment(np.where(allowed, fits * trust[:, None], 0.0), maximize=True)
    return [
        (int(row), int(column)) for row, column in zip(rows, columns, strict=True) if allowed[row, column]
    ]
