"""Bottom-up: from the outputs of a whole frame to its people in frame px.

Heatmaps of several resolutions are averaged, peaks grouped by their tags, gaps filled from weak peaks, and
every keypoint moved to its sub-pixel place by the model's decoder. Legend: B batch, K keypoints, P people,
L tag length, H×W heatmap.
"""

from collections.abc import Callable, Mapping, Sequence

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

from engine.decode.grouping import (
    Index,
    Peaks,
    assign_pairs,
    find_peaks,
    group_peaks,
    pairing_costs,
    tag_distances,
)
from engine.decode.peaks import MAX_SHIFT, refine_peaks
from engine.decode.published import quarter_shift
from engine.decode.single import check_keypoints
from engine.errors import ModelFileError
from engine.geometry import Size, heatmap_to_input, invert_matrix, pose_bbox, transform_points
from engine.model_file import ModelSpec
from engine.structures import Float, Person

Subpixel = Callable[[Index, Index], Float]
"""From (n,) keypoints and the (n, 2) whole heatmap px of a peak of each to their (n, 2) sub-pixel places."""

MIN_KEYPOINTS = 3
"""Fewer grouped peaks are a scrap of somebody, not a person."""
WEAK_PEAK_SCORE = 0.01
"""Peaks above this may fill the gaps of a person that was found."""
FILL_REACH = 1.0
"""A gap is filled within the person's box grown on each side by this share of its longer side."""


def decode_bottom_up(
    outputs: Mapping[str, ArrayLike],
    matrix: ArrayLike,
    input_size: Sequence[int],
    spec: ModelSpec,
    *,
    min_peak_score: float = 0.1,
    max_people: int = 30,
    tag_threshold: float = 1.0,
) -> list[Person]:
    """Find the people of one frame.

    Grouping is the published one (`grouping.group_peaks`) with the gate, and one peak per plateau. Then a
    keypoint that a person lacks takes the nearest-tagged of the peaks left over, if its tag is within
    `tag_threshold` and its place near the person; such a peak may be as weak as 0.01 and keeps its height as
    score. Sub-pixel places follow `spec.decoder`; in the ``hrnet`` convention half a px is added, since
    published bottom-up targets are floored (Cheng et al. 2020).

    A person's score is the sum of the scores of its grouped peaks over their number, but at least over half
    of K: half a body in the frame is not held against a person, a scrap of three keypoints is.

    Args:
        outputs: heatmaps (1, K, H, W) and tags (1, K or 1, Ht, Wt) under the names in `spec`.
        matrix: (2, 3) from frame px to input px, as `prepare.letterbox` returns it.
        input_size: (height, width) of the network input.
        spec: gives outputs, convention, decoder and skeleton.
        min_peak_score: weaker peaks found no person and are not grouped.
        max_people: at most this many people, the highest scores; and peaks per keypoint.
        tag_threshold: largest distance of a peak's tag from its person's.

    Returns:
        People with at least three grouped peaks, highest score first. Scores are clipped to [0, 1]. A missing
        keypoint has score 0 and lies at the mean place of those found. The box surrounds the keypoints above
        `min_peak_score`.

    Raises:
        ModelFileError: the outputs do not fit the spec's skeleton, or hold NaN, or there are no tags.
        ValueError: more than one frame.
    """
    merged = merge_heatmaps(outputs, spec)
    check_keypoints(merged, spec)
    if len(merged) != 1:
        raise ValueError(f"bottom-up decoding takes one frame at a time, got a batch of {len(merged)}")
    heatmaps = merged[0]
    peaks = find_peaks(
        heatmaps,
        stack_tags(outputs, spec),
        max_people=max_people,
        min_peak_score=min(min_peak_score, WEAK_PEAK_SCORE),
        keep_plateaus=False,
    )

    def subpixel(keypoints: Index, places: Index) -> Float:
        return _subpixel(heatmaps, keypoints, places, spec)

    return assemble_people(
        peaks,
        subpixel,
        matrix,
        (heatmaps.shape[1], heatmaps.shape[2]),
        (input_size[0], input_size[1]),
        spec,
        min_peak_score=min_peak_score,
        max_people=max_people,
        tag_threshold=tag_threshold,
    )


def assemble_people(
    peaks: Peaks,
    subpixel: Subpixel,
    matrix: ArrayLike,
    heatmap_size: Size,
    input_size: Size,
    spec: ModelSpec,
    *,
    min_peak_score: float = 0.1,
    max_people: int = 30,
    tag_threshold: float = 1.0,
) -> list[Person]:
    """Make the people of one frame of its peaks; `decode_bottom_up` says how.

    Args:
        peaks: of the frame, down to `WEAK_PEAK_SCORE`, one per plateau.
        subpixel: gives sub-pixel places of some of the peaks.
        matrix: (2, 3) from frame px to input px.
        heatmap_size: (height, width) of the heatmaps in which the peaks lie.
        input_size: (height, width) of the network input.
        spec: gives convention and skeleton.
        min_peak_score: weaker peaks found no person and are not grouped.
        max_people: at most this many people, the highest scores.
        tag_threshold: largest distance of a peak's tag from its person's.

    Returns:
        As `decode_bottom_up`.
    """
    people = group_peaks(
        peaks,
        min_peak_score=min_peak_score,
        tag_threshold=tag_threshold,
        max_people=max_people,
        gate=True,
    )
    people = people[(people[:, :, 2] > 0).sum(axis=1) >= min(MIN_KEYPOINTS, spec.skeleton.count)]
    person_scores = score_people(people[:, :, 2])
    strongest = np.argsort(-person_scores, kind="stable")[:max_people]
    people = fill_gaps(people[strongest], peaks, tag_threshold=tag_threshold)

    person, keypoint = np.nonzero(people[:, :, 2] > 0)
    points = subpixel(keypoint, people[person, keypoint, :2].astype(np.intp))
    points_input = heatmap_to_input(points, heatmap_size, input_size, spec.convention)
    keypoints = np.zeros((*people.shape[:2], 2))
    keypoints[person, keypoint] = transform_points(invert_matrix(matrix), points_input)
    scores = people[:, :, 2].clip(0, 1)
    return [
        _person(*fields, min_peak_score)
        for fields in zip(keypoints, scores, person_scores[strongest].tolist(), strict=True)
    ]


def known_places(peaks: Peaks, refined: Float) -> Subpixel:
    """Return what finds the sub-pixel places of peaks among those of all.

    Args:
        peaks: (K, M) of them. refined: (K, M, 2) float32 sub-pixel heatmap px of each.
    """
    positions = peaks.positions.astype(np.intp)
    used = peaks.scores > 0

    def subpixel(keypoints: Index, places: Index) -> Float:
        if not len(keypoints):
            return np.zeros((0, 2), np.float32)
        same = (positions[keypoints] == places[:, None]).all(axis=2) & used[keypoints]
        if not same.any(axis=1).all():
            raise ValueError("a place was asked for that is none of the peaks")
        return refined[keypoints, same.argmax(axis=1)]

    return subpixel


def merge_heatmaps(outputs: Mapping[str, ArrayLike], spec: ModelSpec) -> Float:
    """Average the heatmap outputs at the finest resolution (Cheng et al. 2020, §3.4).

    Coarser maps are upsampled bilinearly with pixel centres honoured (align_corners=False), or corner to
    corner in the ``udp`` convention, whose heatmaps span the input so (Huang et al. 2020).

    Args:
        outputs: (B, K, H, W) under each name in `spec.heatmap_outputs`.
        spec: names the outputs.

    Returns:
        (B, K, H, W) float32; the output itself where there is only one.
    """
    maps = [np.asarray(outputs[output.name], np.float32) for output in spec.heatmap_outputs]
    if len(maps) == 1:
        return maps[0]
    shapes = {array.shape[:2] for array in maps}
    if len(shapes) > 1:
        raise ModelFileError(
            f"the heatmap outputs of model {spec.name} differ in batch or keypoints: {shapes}"
        )
    maps.sort(key=lambda array: array.shape[2])
    finest = maps.pop()
    resize = _resize_corners if spec.convention == "udp" else _resize
    total = resize(maps[0], finest.shape[2:])
    for array in maps[1:]:
        total += resize(array, finest.shape[2:])
    total += finest
    total *= np.float32(1 / (len(maps) + 1))
    return total


def stack_tags(outputs: Mapping[str, ArrayLike], spec: ModelSpec) -> Float:
    """Return the tag outputs of one frame as (K or 1, Ht, Wt, L), L of them, at the finest resolution."""
    tags = [np.asarray(outputs[output.name], np.float32) for output in spec.tag_outputs]
    if not tags:
        raise ModelFileError(
            f"model {spec.name} names no tag outputs: its peaks cannot be grouped into people"
        )
    bad = [array.shape for array in tags if array.ndim != 4 or array.shape[1] not in (1, spec.skeleton.count)]
    if bad:
        raise ModelFileError(
            f"tags must have shape (1, {spec.skeleton.count} or 1, H, W) for skeleton "
            f"'{spec.skeleton.name}', got {bad[0]}; was model {spec.name} exported with another skeleton?"
        )
    finest = max(tags, key=lambda array: array.shape[2]).shape[2:]
    count = max(array.shape[1] for array in tags)
    same_size = [array[:1] if array.shape[2:] == finest else _resize(array[:1], finest) for array in tags]
    return np.stack([np.broadcast_to(array[0], (count, *finest)) for array in same_size], axis=-1)


def score_people(scores: Float) -> Float:
    """Return (P,) scores of people from (P, K) scores of keypoints, 0 for none; see `decode_bottom_up`."""
    clipped = scores.clip(0, 1)
    share = np.maximum((clipped > 0).sum(axis=1), scores.shape[1] / 2)
    result: Float = (clipped.sum(axis=1) / share).astype(np.float32)
    return result


def fill_gaps(people: Float, peaks: Peaks, *, tag_threshold: float) -> Float:
    """Give people the keypoints they lack from peaks that nobody has; see `decode_bottom_up`.

    Args:
        people: (P, K, 3 + L) as `group_peaks` returns them, each with at least one keypoint.
        peaks: from which they were grouped, weak ones included.
        tag_threshold: largest distance of tags.

    Returns:
        (P, K, 3 + L), a copy.
    """
    filled = people.copy()
    found = people[:, :, 2] > 0
    counts = found.sum(axis=1)[:, None]
    means = (people[:, :, 3:] * found[..., None]).sum(axis=1) / counts
    low = np.where(found[..., None], people[:, :, :2], np.inf).min(axis=1)
    high = np.where(found[..., None], people[:, :, :2], -np.inf).max(axis=1)
    reach = FILL_REACH * (high - low).max(axis=1, keepdims=True)
    # From here on (K, M, P): every peak beside every person.
    x, y = peaks.positions[..., 0, None], peaks.positions[..., 1, None]
    same = (x == people[:, :, 0].T[:, None]) & (y == people[:, :, 1].T[:, None])
    free = (peaks.scores > 0) & ~(same & found.T[:, None]).any(axis=2)
    (left, top), (right, bottom) = (low - reach).T, (high + reach).T
    near = (x >= left) & (x <= right) & (y >= top) & (y <= bottom)
    distance = np.where(near, tag_distances(peaks.tags, means), np.inf)
    allowed = distance < tag_threshold
    fits = (allowed & free[..., None] & ~found.T[:, None]).any(axis=(1, 2))
    entries = np.concatenate([peaks.positions, peaks.scores[..., None], peaks.tags], axis=2)
    for keypoint in np.flatnonzero(fits):
        missing, candidates = np.flatnonzero(~found[:, keypoint]), np.flatnonzero(free[keypoint])
        pairs = keypoint, candidates[:, None], missing
        cost = pairing_costs(
            distance[pairs], peaks.scores[keypoint, candidates], tag_threshold, use_scores=False, gate=True
        )
        owner = assign_pairs(cost, allowed[pairs])
        kept = owner >= 0
        filled[missing[owner[kept]], keypoint] = entries[keypoint, candidates[kept]]
    return filled


def _subpixel(heatmaps: Float, channels: Index, places: Index, spec: ModelSpec) -> NDArray[np.float32]:
    if spec.convention == "hrnet" and spec.decoder == "quarter":
        return places.astype(np.float32) + quarter_shift(heatmaps, channels, places)
    points = refine_peaks(
        heatmaps, channels, places, spec.decoder, heatmap_sigma=spec.heatmap_sigma, max_shift=MAX_SHIFT
    )
    return points + np.float32(0.5) if spec.convention == "hrnet" else points


def _person(
    keypoints: NDArray[np.float64], scores: Float, person_score: float, min_peak_score: float
) -> Person:
    found = scores > 0
    keypoints[~found] = keypoints[found].mean(axis=0)
    bbox = pose_bbox(keypoints, scores > min_peak_score)
    return Person(keypoints.astype(np.float32), scores, bbox.astype(np.float32), person_score)


def _resize(maps: Float, size: Size) -> Float:
    """Return (B, K, H, W) maps resized bilinearly to (height, width)."""
    resized = np.empty((*maps.shape[:2], *size), np.float32)
    for index in np.ndindex(maps.shape[:2]):
        cv2.resize(maps[index], (size[1], size[0]), dst=resized[index], interpolation=cv2.INTER_LINEAR)
    return resized


def _resize_corners(maps: Float, size: Size) -> Float:
    """Return (B, K, H, W) maps resized bilinearly to (height, width), corner pixel onto corner pixel."""
    rows, columns = ((old - 1) / (new - 1) for old, new in zip(maps.shape[2:], size, strict=True))
    matrix = np.array([[columns, 0, 0], [0, rows, 0]])
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    resized = np.empty((*maps.shape[:2], *size), np.float32)
    for index in np.ndindex(maps.shape[:2]):
        resized[index] = cv2.warpAffine(
            maps[index], matrix, (size[1], size[0]), flags=flags, borderMode=cv2.BORDER_REPLICATE
        )
    return resized
