"""What the kernels of `peaks_bottomup.cu` compute, in NumPy: for tests, `doctor` and `bench`.

Every step rounds as the kernels do, so that places, scores and tags are equal bit for bit; sub-pixel places
differ by float order only. Unlike `decode.grouping.find_peaks`, which looks at the 128 highest px of a
keypoint before it thins out flat tops, there is no such limit: a first px of a flat top has no equal within
2 px, so that a map never has more of them than it has squares of 3 × 3 px.

Legend: B batch, K keypoints, M peaks per keypoint, L tag length, n peaks in all, H×W heatmap.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engine.cuda.peaks_bottomup import DevicePeaks, check_tags
from engine.decode.bottom_up import WEAK_PEAK_SCORE
from engine.decode.grouping import Index, Peaks
from engine.decode.peaks import MAX_SHIFT, check_finite, refine_peaks
from engine.decode.published import quarter_shift
from engine.geometry import Size
from engine.model_file import ModelSpec
from engine.structures import Float

REACH = 2
"""Of the square in which a peak is the maximum, heatmap px."""


@dataclass(frozen=True, slots=True, eq=False)
class Between:
    """For each of n places the two px between which it lies, and its share of the way to the higher."""

    low: Index
    high: Index
    share: Float


def find_peaks_twin(
    outputs: Mapping[str, NDArray],
    spec: ModelSpec,
    *,
    max_people: int,
    min_peak_score: float = WEAK_PEAK_SCORE,
    mirrored: bool = False,
) -> DevicePeaks:
    """Find the peaks of a frame; arguments as for `BottomUpPeaks`, the outputs as host arrays.

    Raises:
        ModelFileError: a merged map, or tags at the peaks, hold NaN or infinity.
    """
    with np.errstate(invalid="ignore", over="ignore"):
        merged = merge_maps(outputs, spec, mirrored=mirrored)
    check_finite(merged.max(axis=(1, 2)))
    channel, y, x = first_maxima(merged, min(min_peak_score, WEAK_PEAK_SCORE))
    scores = merged[channel, y, x]
    order = np.lexsort((-scores, channel))  # stable: equal scores keep the order of their px
    channel, y, x, scores = channel[order], y[order], x[order], scores[order]
    found = np.bincount(channel, minlength=len(merged))
    rank = np.arange(len(channel)) - np.repeat(np.cumsum(found) - found, found)
    kept = rank < max_people
    channel, y, x, scores, rank = channel[kept], y[kept], x[kept], scores[kept], rank[kept]
    with np.errstate(invalid="ignore", over="ignore"):
        tags = tags_at(outputs, spec, channel, y, x, (merged.shape[1], merged.shape[2]))
    check_tags(tags)
    places = np.stack([x, y], axis=1)
    shape = (len(merged), int(rank.max(initial=-1)) + 1)
    result = DevicePeaks(
        Peaks(
            np.zeros((*shape, 2), np.float32),
            np.zeros(shape, np.float32),
            np.zeros((*shape, tags.shape[1]), np.float32),
        ),
        np.zeros((*shape, 2), np.float32),
    )
    result.peaks.positions[channel, rank] = places
    result.peaks.scores[channel, rank] = scores
    result.peaks.tags[channel, rank] = tags
    result.refined[channel, rank] = refine(merged, channel, places, spec)
    return result


def merge_maps(outputs: Mapping[str, NDArray], spec: ModelSpec, *, mirrored: bool) -> Float:
    """Return the (K, H, W) mean of the heatmap outputs at the size of the finest."""
    maps = []
    for output in spec.heatmap_outputs:
        values = np.asarray(outputs[output.name]).astype(np.float32)
        if mirrored:
            turned_back = values[1, spec.skeleton.flip_index, :, ::-1]
            values = (values[:1] + turned_back) * np.float32(0.5)
        maps.append(values[0])
    maps.sort(key=lambda array: array.shape[1])
    finest = maps.pop()
    if not maps:
        return finest
    height, width = finest.shape[1:]
    total = np.zeros_like(finest)
    for array in maps:
        down = between(np.arange(height), array.shape[1], height, corners=spec.convention == "udp")
        across = between(np.arange(width), array.shape[2], width, corners=spec.convention == "udp")
        same = array.shape == finest.shape
        total += array if same else upsample(array, down, across)
    mean: Float = (total + finest) * np.float32(1 / (len(maps) + 1))
    return mean


def between(places: Index, size: int, finest: int, *, corners: bool = False) -> Between:
    """Return where px of an axis of `finest` px lie on the same axis of `size` px.

    corners: whether corner px lie on corner px, else the borders of the axes lie on each other.
    """
    along = places.astype(np.float32)
    if corners:
        at = along * (np.float32(size - 1) / np.float32(max(finest - 1, 1)))
    else:
        at = (along + np.float32(0.5)) * (np.float32(size) / np.float32(finest)) - np.float32(0.5)
    at = at.clip(0, np.float32(size - 1))
    low = at.astype(np.intp)
    return Between(low, np.minimum(low + 1, size - 1), at - low.astype(np.float32))


def mix(a: Float, b: Float, share: Float) -> Float:
    """Return ``a + (b - a) * share``, the product and the sum rounded once, as OpenCV has it."""
    return ((b - a).astype(np.float64) * share + a).astype(np.float32)


def upsample(maps: Float, down: Between, across: Between) -> Float:
    """Return (C, H, W) values of (C, h, w) maps at H rows and W columns."""
    above, below = maps[:, down.low], maps[:, down.high]
    above = mix(above[:, :, across.low], above[:, :, across.high], across.share)
    below = mix(below[:, :, across.low], below[:, :, across.high], across.share)
    return mix(above, below, down.share[:, None])


def first_maxima(heatmaps: Float, threshold: float) -> tuple[Index, Index, Index]:
    """Return channel, y, x, each (n,), in C order, of px of (K, H, W) that are candidates.

    They are above the threshold, no px of their 5 × 5 square is higher and none before them as high.
    """
    height, width = heatmaps.shape[1:]
    padded = np.pad(heatmaps, ((0, 0), (REACH, REACH), (REACH, REACH)), constant_values=-np.inf)
    chosen = heatmaps > np.float32(threshold)
    for dy in range(2 * REACH + 1):
        for dx in range(2 * REACH + 1):
            other = padded[:, dy : dy + height, dx : dx + width]
            earlier = (dy, dx) < (REACH, REACH)
            chosen &= other < heatmaps if earlier else other <= heatmaps
    channel, y, x = np.nonzero(chosen)
    return channel, y, x


def mix_tags(low: Float, high: Float, share: Float) -> Float:
    """Return the tags between two, rounded after every step as `decode.grouping` does it."""
    mixed: Float = low * (np.float32(1) - share) + high * share
    return mixed


def tags_at(
    outputs: Mapping[str, NDArray], spec: ModelSpec, channel: Index, y: Index, x: Index, size: Size
) -> Float:
    """Return the (n, L) tags at px of heatmaps of `size`, first upsampled to the finest tag output."""
    tags = [np.asarray(outputs[output.name][0]).astype(np.float32) for output in spec.tag_outputs]
    height, width = max(tags, key=lambda array: array.shape[1]).shape[1:]
    columns = []
    for array in tags:
        if array.shape[1:] != (height, width):
            down = between(np.arange(height), array.shape[1], height)
            array = upsample(array, down, between(np.arange(width), array.shape[2], width))
        owner = channel if len(array) > 1 else np.zeros_like(channel)
        if (height, width) == size:
            columns.append(array[owner, y, x])
            continue
        down, across = between(y, height, size[0]), between(x, width, size[1])
        above, below = (
            mix_tags(array[owner, row, across.low], array[owner, row, across.high], across.share)
            for row in (down.low, down.high)
        )
        columns.append(mix_tags(above, below, down.share))
    return np.stack(columns, axis=1)


def refine(heatmaps: Float, channel: Index, places: Index, spec: ModelSpec) -> Float:
    """Return the (n, 2) sub-pixel places of (n, 2) whole px of (K, H, W) maps, as the model's decoder has it.

    In the ``hrnet`` convention targets are floored: half a px is added (Cheng et al. 2020).
    """
    floored = spec.convention == "hrnet"
    if floored and spec.decoder == "quarter":
        return places.astype(np.float32) + quarter_shift(heatmaps, channel, places)
    points = refine_peaks(
        heatmaps, channel, places, spec.decoder, heatmap_sigma=spec.heatmap_sigma, max_shift=MAX_SHIFT
    )
    return points + np.float32(0.5) if floored else points
