"""Bottom-up: peaks of the heatmaps, grouped into people by their tags (associative embedding).

`find_peaks` → `group_peaks` follow Newell et al. 2017 in the form of HigherHRNet (Cheng et al. 2020,
lib/core/group.py). Legend: K keypoints, M peaks per keypoint, P people, L tag length, H×W heatmap.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from engine.decode.peaks import check_finite
from engine.errors import ModelFileError

Float = NDArray[np.float32]
Index = NDArray[np.intp]

COCO_ORDER = (0, 1, 2, 3, 4, 5, 6, 11, 12, 7, 8, 9, 10, 13, 14, 15, 16)
"""Head, shoulders and hips come first: a person is founded on keypoints that are rarely missed."""
MAX_CANDIDATES = 128
"""Per keypoint; only noise has more, and flat tops need some room before they are thinned out."""
GATED_COST = 1e4
"""Above any cost within a sensible threshold, small enough to leave the scores their digits."""
TIE_WEIGHT = 1e-4
"""Of pairings that cost the same, the nearer tags win, by squares: plain distances of single tags often have
equal sums, which rounding would settle, on one machine so and on another otherwise."""


@dataclass(frozen=True, slots=True, eq=False)
class Peaks:
    """Local maxima of K heatmaps, M places for each keypoint, strongest first.

    positions: (K, M, 2) float32 x, y whole heatmap px; scores: (K, M) float32 heights as they are, 0 in
    unused places; tags: (K, M, L) float32.
    """

    positions: Float
    scores: Float
    tags: Float

    def __repr__(self) -> str:
        used = (self.scores != 0).sum(axis=1)
        return f"Peaks(keypoints={len(used)}, peaks={used.tolist()}, tag_length={self.tags.shape[2]})"


def find_peaks(
    heatmaps: Float,
    tags: Float,
    *,
    max_people: int = 30,
    min_peak_score: float = 0.1,
    nms_kernel: int = 5,
    keep_plateaus: bool = True,
) -> Peaks:
    """Find the local maxima of each heatmap and read the tags there.

    Args:
        heatmaps: (K, H, W) float32.
        tags: (K, Ht, Wt) or (K, Ht, Wt, L), or one map for all keypoints, (1, Ht, Wt) or (1, Ht, Wt, L).
            Of another size than the heatmaps they are sampled bilinearly at the peaks, which equals
            upsampling the whole maps (align_corners=False).
        max_people: at most this many peaks per keypoint, the strongest.
        min_peak_score: only maxima above this.
        nms_kernel: side, odd, of the square in which a peak is the maximum, heatmap px.
        keep_plateaus: whether every px of a flat top is a peak, as published, or only its first, as our own
            pipeline has it.

    Returns:
        Peaks with M the largest number found for one keypoint.

    Raises:
        ModelFileError: heatmaps, or tags at the peaks, hold NaN or infinity.
        ValueError: wrong shapes or an even `nms_kernel`.
    """
    heatmaps = np.ascontiguousarray(heatmaps, np.float32)
    tags = np.asarray(tags, np.float32)
    if heatmaps.ndim != 3 or tags.ndim not in (3, 4) or tags.shape[0] not in (1, len(heatmaps)):
        raise ValueError(
            "heatmaps must be (K, H, W) and tags (K or 1, Ht, Wt) or (K or 1, Ht, Wt, L), "
            f"got {heatmaps.shape} and {tags.shape}"
        )
    if nms_kernel < 1 or nms_kernel % 2 == 0:
        raise ValueError(f"nms_kernel must be odd and positive, got {nms_kernel}")
    keypoints, height, width = heatmaps.shape
    channel, y, x = _local_maxima(heatmaps, min_peak_score, nms_kernel, max(MAX_CANDIDATES, max_people))
    scores = heatmaps[channel, y, x]
    order = np.lexsort((-scores, channel))  # stable: equal scores keep the order of their px
    if not keep_plateaus:
        order = order[_is_first_of_plateau(heatmaps, channel[order], y[order], x[order], nms_kernel // 2)]
    channel, y, x, scores = channel[order], y[order], x[order], scores[order]
    counts = np.bincount(channel, minlength=keypoints)
    place = np.arange(len(channel)) - np.repeat(np.cumsum(counts) - counts, counts)
    kept = place < max_people
    channel, y, x, scores, place = channel[kept], y[kept], x[kept], scores[kept], place[kept]
    values = _sample_tags(tags, channel, x, y, (height, width))
    if not np.isfinite(values).all():
        raise ModelFileError(
            "the tags hold NaN or infinity: the network's numbers overflowed; run it with precision fp32, "
            "or export the model again"
        )
    places = int(place.max(initial=-1)) + 1
    peaks = Peaks(
        np.zeros((keypoints, places, 2), np.float32),
        np.zeros((keypoints, places), np.float32),
        np.zeros((keypoints, places, values.shape[1]), np.float32),
    )
    peaks.positions[channel, place] = np.stack([x, y], axis=1)
    peaks.scores[channel, place] = scores
    peaks.tags[channel, place] = values
    return peaks


def group_peaks(
    peaks: Peaks,
    *,
    min_peak_score: float = 0.1,
    tag_threshold: float = 1.0,
    max_people: int = 30,
    use_scores: bool = True,
    ignore_too_much: bool = False,
    gate: bool = False,
    order: Sequence[int] | None = None,
) -> Float:
    """Group peaks into people: one keypoint after another, by optimal assignment to the people so far.

    The defaults are the published grouping. A person's tag is the running mean of its keypoints' tags;
    pairing a peak with a person costs ``round(distance) * 100 - score`` (half to even); a pair stands if its
    unrounded distance is below `tag_threshold`, else the peak founds a new person. Two peculiarities are
    kept: `max_people` limits how many people peaks are matched with, not how many come out; and a new person
    whose first tag value equals that of an existing one exactly takes over its place. One thing is added:
    pairings of equal cost, left to chance by the published code, are settled by the squared distance.

    Our own pipeline sets `gate`: the published assignment also minimises the cost of pairs that it then
    refuses, so that a false peak far from everybody can tear a true one from its person.

    Args:
        peaks: as `find_peaks` returns them; places with a score of `min_peak_score` or less are passed over.
        min_peak_score: peaks must be above this.
        tag_threshold: largest distance (L2 over L) of a peak's tag from its person's.
        max_people: peaks are matched with the first `max_people` people.
        use_scores: whether the cost is the formula above, or the plain distance.
        ignore_too_much: skip a keypoint once there are `max_people` people.
        gate: pairs beyond `tag_threshold` all cost the same, more than any pair within it.
        order: order of the keypoints; None takes `grouping_order`.

    Returns:
        people (P, K, 3 + L) float32: x, y heatmap px, score, tag; zeros where a person has no such keypoint.
        In the order in which they were founded.
    """
    keypoints, _, length = peaks.tags.shape
    entries = np.concatenate([peaks.positions, peaks.scores[..., None], peaks.tags], axis=2)
    present = peaks.scores > min_peak_score
    total = int(present.sum())
    people = np.zeros((total, keypoints, 3 + length), np.float32)
    sums, counts = np.zeros((total, length), np.float32), np.zeros((total, 1), np.float32)
    founded: dict[float, int] = {}
    for keypoint in grouping_order(keypoints) if order is None else order:
        candidates = entries[keypoint][present[keypoint]]
        if not len(candidates):
            continue
        tags = candidates[:, 3:]
        matched = min(len(founded), max_people)
        if matched and ignore_too_much and matched == max_people:
            continue
        if matched:
            distance = tag_distances(tags, sums[:matched] / counts[:matched])
            cost = pairing_costs(distance, candidates[:, 2], tag_threshold, use_scores, gate)
            owner = assign_pairs(cost, distance < tag_threshold)
        else:
            owner = np.full(len(candidates), -1)
        if (owner >= 0).all():
            people[owner, keypoint] = candidates
            sums[owner] += tags
            counts[owner] += 1
            continue
        for row, person in enumerate(owner.tolist()):
            if person >= 0:
                sums[person] += tags[row]
                counts[person] += 1
            else:
                person = founded.setdefault(float(tags[row, 0]), len(founded))
                sums[person], counts[person] = tags[row], 1
            people[person, keypoint] = candidates[row]
    return people[: len(founded)]


def grouping_order(keypoints: int) -> tuple[int, ...]:
    """Return the published order of K keypoints: that of COCO, cut or continued; CrowdPose uses 14 of it."""
    order = tuple(index for index in COCO_ORDER if index < keypoints)
    return order + tuple(range(len(order), keypoints))


def tag_distances(tags: Float, means: Float) -> NDArray[np.float64]:
    """Return the (..., P) L2 distances of (..., L) tags from (P, L) means."""
    gaps = tags[..., None, :].astype(np.float64) - means
    distances: NDArray[np.float64] = np.sqrt((gaps * gaps).sum(axis=-1))
    return distances


def pairing_costs(
    distance: NDArray[np.float64], scores: Float, tag_threshold: float, use_scores: bool, gate: bool
) -> NDArray[np.float64]:
    """Return the (n, P) costs of pairing candidates of (n,) scores with people."""
    cost = distance
    if use_scores:
        cost = np.round(distance) * 100 - scores[:, None] + TIE_WEIGHT * distance**2
    return np.where(distance < tag_threshold, cost, GATED_COST) if gate else cost


def assign_pairs(cost: NDArray[np.float64], allowed: NDArray[np.bool_]) -> Index:
    """Return (n,) the person of each candidate, -1 where none is left or the pair is not allowed."""
    rows, columns = linear_sum_assignment(cost)
    owner = np.full(len(cost), -1)
    stands = allowed[rows, columns]
    owner[rows[stands]] = columns[stands]
    return owner


def _local_maxima(
    heatmaps: Float, min_peak_score: float, nms_kernel: int, most: int
) -> tuple[Index, Index, Index]:
    """Return channel, y, x of px above the score that are the maximum of their square, the `most` highest.

    Where many are as high as the last one, all of these come along.
    """
    height, width = heatmaps.shape[1:]
    square = np.ones((nms_kernel, nms_kernel), np.uint8)
    maxima = heatmaps.max(axis=(1, 2), initial=-np.inf)
    check_finite(maxima)
    found = [np.zeros(0, np.intp)]
    for channel in np.flatnonzero(maxima > min_peak_score):
        heatmap = heatmaps[channel]
        is_peak = (heatmap == cv2.dilate(heatmap, square)) & (heatmap > min_peak_score)
        places = np.flatnonzero(is_peak)
        if len(places) > most:
            values = heatmap.reshape(-1)[places]
            places = places[values >= np.partition(values, -most)[-most]]
        found.append(places + channel * height * width)
    flat = np.concatenate(found)
    return flat // (height * width), flat // width % height, flat % width


def _is_first_of_plateau(
    heatmaps: Float, channel: Index, y: Index, x: Index, reach: int
) -> NDArray[np.bool_]:
    """Return for each peak whether no earlier px (C order) of its square is as high as it is."""
    height, width = heatmaps.shape[1:]
    square = [(dy, dx) for dy in range(-reach, 1) for dx in range(-reach, reach + 1)]
    down, across = np.array(square[: square.index((0, 0))], np.intp).reshape(-1, 2).T
    px, heights = (channel * height + y) * width + x, heatmaps.reshape(-1)
    # What lies beyond the left or right side is a px of another row, and does not count.
    earlier = heights[np.maximum(px[:, None] + (down * width + across), 0)]
    columns = x[:, None] + across
    inside = (y[:, None] + down >= 0) & (columns >= 0) & (columns < width)
    first: NDArray[np.bool_] = ~(inside & (earlier == heights[px][:, None])).any(axis=1)
    return first


def _sample_tags(tags: Float, channel: Index, x: Index, y: Index, size: tuple[int, int]) -> Float:
    """Return (n, L) tags at heatmap px, bilinear with pixel centres honoured where the sizes differ."""
    tags = tags[..., None] if tags.ndim == 3 else tags
    channel = channel if len(tags) > 1 else np.zeros_like(channel)
    height, width = tags.shape[1:3]
    if (height, width) == size:
        return tags[channel, y, x]
    at_x = ((x + 0.5) * (width / size[1]) - 0.5).clip(0, width - 1)
    at_y = ((y + 0.5) * (height / size[0]) - 0.5).clip(0, height - 1)
    left, top = at_x.astype(int), at_y.astype(int)
    right, bottom = np.minimum(left + 1, width - 1), np.minimum(top + 1, height - 1)
    across = (at_x - left).astype(np.float32)[:, None]
    down = (at_y - top).astype(np.float32)[:, None]
    above = tags[channel, top, left] * (1 - across) + tags[channel, top, right] * across
    below = tags[channel, bottom, left] * (1 - across) + tags[channel, bottom, right] * across
    result: Float = above * (1 - down) + below * down
    return result
