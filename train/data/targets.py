"""Keypoints to heatmaps and tag indices: what the networks are asked to paint.

Every function takes heatmap px and is the other half of a decoder in `engine.decode`; tests hold each pair
to a round trip. Crops have one keypoint per map (`unbiased_heatmaps`, `rounded_heatmaps`, `udp_heatmaps`),
crowds have several (`crowd_heatmaps`, `gaussian_patches`).
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import ArrayLike, NDArray

from engine.geometry import Size

Float = NDArray[np.float32]
Bounds = tuple[NDArray[np.int64], NDArray[np.int64]]

PATCH_REACH = 4.0
"""In sigmas: where the sub-pixel Gaussians of a crowd are cut; they are below 4e-4 there."""
SMALLEST_SIGMA = 0.5
"""Heatmap px: a narrower Gaussian between two px is seen by neither."""


def unbiased_heatmaps(points: ArrayLike, present: ArrayLike, size: Size, heatmap_sigma: float) -> Float:
    """Paint Gaussians at exact sub-pixel positions (DARK, Zhang et al. 2020, eq. 11 without rounding).

    Args:
        points: (..., 2) heatmap px.
        present: (...) bool, false leaves the map empty.
        size: (H, W) of the heatmap.
        heatmap_sigma: standard deviation in heatmap px.

    Returns:
        (..., H, W) float32 in [0, 1].
    """
    return _paint_maps(np.asarray(points, np.float32), np.asarray(present, bool), size, heatmap_sigma, None)


def rounded_heatmaps(
    points_input: ArrayLike, visible: ArrayLike, size: Size, stride: float, heatmap_sigma: float
) -> tuple[Float, Float]:
    """Paint the Gaussians of HRNet: centre rounded to a whole heatmap px, cut at three sigmas.

    Sun et al. 2019, lib/dataset/JointsDataset.py: the centre is ``int(x / stride + 0.5)`` with truncation
    toward zero; a keypoint whose patch does not touch the map gets weight 0.

    Args:
        points_input: (..., 2) input px.
        visible: (...) visibility; a map is painted where it exceeds 0.5.
        size: (H, W) of the heatmap.
        stride: input px per heatmap px; 1 where the points are in heatmap px already.
        heatmap_sigma: standard deviation in heatmap px.

    Returns:
        (..., H, W) float32 in [0, 1] and (...) float32 weights.
    """
    centres = np.trunc(np.asarray(points_input, np.float64) / stride + 0.5)
    bounds, weights = _patch_bounds(centres, visible, size, heatmap_sigma)
    return _paint_maps(centres.astype(np.float32), weights > 0.5, size, heatmap_sigma, bounds), weights


def udp_heatmaps(
    points: ArrayLike, visible: ArrayLike, size: Size, heatmap_sigma: float
) -> tuple[Float, Float]:
    """Paint the Gaussians of UDP: at the exact sub-pixel place, in the patch and with the weights of HRNet.

    Huang et al. 2020, as UDP-Pose and mmpose's ``generate_udp_gaussian_heatmaps`` have it: the patch of three
    sigmas lies around the rounded place, the Gaussian in it is centred on the place itself.

    Args:
        points: (..., 2) heatmap px of the ``udp`` convention.
        visible: (...) visibility; a map is painted where it exceeds 0.5.
        size: (H, W) of the heatmap.
        heatmap_sigma: standard deviation in heatmap px.

    Returns:
        (..., H, W) float32 in [0, 1] and (...) float32 weights.
    """
    points = np.asarray(points, np.float64)
    bounds, weights = _patch_bounds(np.trunc(points + 0.5), visible, size, heatmap_sigma)
    return _paint_maps(points.astype(np.float32), weights > 0.5, size, heatmap_sigma, bounds), weights


def _patch_bounds(
    centres: NDArray[np.float64], visible: ArrayLike, size: Size, heatmap_sigma: float
) -> tuple[Bounds, Float]:
    """Return the first and the one-past-last px (..., 2) of each patch, and (...) weights."""
    reach = heatmap_sigma * 3
    low, high = (centres - reach).astype(np.int64), (centres + reach + 1).astype(np.int64)
    # A patch that ends just before the first px still counts as touching: the published test.
    outside = (low >= np.array(size[::-1])).any(axis=-1) | (high < 0).any(axis=-1)
    return (low, high), np.where(outside, 0, np.asarray(visible, np.float32)).astype(np.float32)


def _paint_maps(
    points: Float, present: NDArray[np.bool_], size: Size, heatmap_sigma: float, bounds: Bounds | None
) -> Float:
    """Return (..., H, W) maps as outer products of one Gaussian across and one down."""
    factor = np.float32(-0.5 / heatmap_sigma**2)
    profiles = []
    for axis, length in ((0, size[1]), (1, size[0])):
        places = np.arange(length)
        profile = np.exp((places.astype(np.float32) - points[..., axis, None]) ** 2 * factor)
        if bounds is not None:
            low, high = bounds[0][..., axis, None], bounds[1][..., axis, None]
            profile *= (places >= low) & (places < high)
        profiles.append(profile)
    across, down = profiles
    down *= present[..., None]
    return np.asarray(down[..., :, None] * across[..., None, :], np.float32)


def gaussian_patch(point: ArrayLike, size: Size, heatmap_sigma: float) -> tuple[slice, slice, Float]:
    """Return rows, columns and values of one sub-pixel Gaussian, cut at four sigmas and by the map.

    Args:
        point: (2,) x, y heatmap px. size: (H, W) of the heatmap. heatmap_sigma: heatmap px.

    Returns:
        Slices into the map, possibly empty, and the (rows, columns) float32 patch.
    """
    points = np.asarray(point, np.float32).reshape(1, 2)
    return next(gaussian_patches(points, np.array([heatmap_sigma], np.float32), size))


def gaussian_patches(
    points: Float, heatmap_sigmas: Float, size: Size
) -> Iterator[tuple[slice, slice, Float]]:
    """Yield `gaussian_patch` of each of (M, 2) points with (M,) sigmas, heatmap px."""
    reach = PATCH_REACH * heatmap_sigmas[:, None]
    first = np.maximum(np.ceil(points - reach), 0).astype(np.int64)
    last = np.minimum(np.floor(points + reach), np.array(size[::-1]) - 1).astype(np.int64)
    window = np.arange(int((last - first).max(initial=-1)) + 1, dtype=np.float32)
    gaps = window + (first - points).astype(np.float32)[:, :, None]
    profiles = np.exp(gaps**2 * (-0.5 / heatmap_sigmas**2).astype(np.float32)[:, None, None])
    counts = np.maximum(last - first + 1, 0)
    for (x, y), (width, height), (across, down) in zip(
        first.tolist(), counts.tolist(), profiles, strict=True
    ):
        yield slice(y, y + height), slice(x, x + width), down[:height, None] * across[:width]


def crowd_heatmaps(
    points: ArrayLike, visible: ArrayLike, size: Size, heatmap_sigma: float | ArrayLike
) -> Float:
    """Paint the maps of HigherHRNet: every person's Gaussian at whole px, the maximum where they meet.

    Cheng et al. 2020, lib/dataset/target_generators: coordinates are cut to whole px, the patch has
    ``6 sigma + 3`` px; a centre outside the map paints nothing.

    Args:
        points: (N, K, 2) heatmap px. visible: (N, K), painted where positive.
        size: (H, W). heatmap_sigma: one value, or (N, K) for scale-aware targets.

    Returns:
        (K, H, W) float32 in [0, 1].
    """
    visible = np.asarray(visible)
    maps = np.zeros((visible.shape[1], *size), np.float32)
    paint_crowd(maps, points, visible, heatmap_sigma)
    return maps


def paint_crowd(maps: Float, points: ArrayLike, visible: ArrayLike, heatmap_sigma: float | ArrayLike) -> None:
    """Paint `crowd_heatmaps` into (K, H, W) maps."""
    points, visible = np.asarray(points, np.float64), np.asarray(visible)
    size = maps.shape[1:]
    sigmas = np.broadcast_to(np.asarray(heatmap_sigma, np.float64), visible.shape)
    for person, index in zip(*np.nonzero(visible > 0), strict=True):
        x, y = int(points[person, index, 0]), int(points[person, index, 1])
        if not (0 <= x < size[1] and 0 <= y < size[0]):
            continue
        sigma = float(sigmas[person, index])
        reach = 3 * sigma
        xs = np.arange(max(0, round(x - reach - 1)), min(size[1], round(x + reach + 2)), dtype=np.float32)
        ys = np.arange(max(0, round(y - reach - 1)), min(size[0], round(y + reach + 2)), dtype=np.float32)
        factor = np.float32(-0.5 / sigma**2)
        patch = np.exp((ys - y) ** 2 * factor)[:, None] * np.exp((xs - x) ** 2 * factor)
        region = maps[index, int(ys[0]) : int(ys[-1]) + 1, int(xs[0]) : int(xs[-1]) + 1]
        np.maximum(region, patch, out=region)


def scale_aware_sigmas(
    sizes: ArrayLike, base_px: float, heatmap_sigma: float, limits: tuple[float, float] | None = None
) -> Float:
    """Return the sigma of each person: in proportion to its longer side (Cheng et al. 2020, §3.4).

    The published code takes ``max(w, h) / 256 * 2`` of the box in px of the picture and divides by the scale
    of the augmentation (``scale_aware_sigma``, ``base_size``, ``base_sigma``, not rounded up); here the box
    is measured in the network's input, where that is meant. No sigma falls below `SMALLEST_SIGMA`.

    Args:
        sizes: (N,) longer side of each person's box, input px.
        base_px: side that has `heatmap_sigma`, input px.
        heatmap_sigma: heatmap px.
        limits: smallest and largest factor on `heatmap_sigma`; None for no limits, as published.

    Returns:
        (N,) float32 heatmap px.
    """
    factors = np.asarray(sizes, np.float32) / np.float32(base_px)
    if limits is not None:
        factors = np.clip(factors, *limits)
    sigmas = factors * np.float32(heatmap_sigma)
    return np.maximum(sigmas, np.float32(SMALLEST_SIGMA))


def tag_indices(
    points: ArrayLike, visible: ArrayLike, size: Size, max_people: int, *, tag_per_keypoint: bool = True
) -> NDArray[np.int64]:
    """Return where each person's tags are read: flat indices into (K, H, W) or (1, H, W).

    Newell et al. 2017; lib/dataset/target_generators: visible keypoints are packed densely, so a slot is
    not a keypoint.

    Args:
        points: (N, K, 2) heatmap px, cut to whole px. visible: (N, K).
        size: (H, W). max_people: N beyond this is cut.
        tag_per_keypoint: one tag map per keypoint, or one for all.

    Returns:
        (max_people, K, 2) int64 of (flat index, 1) and zeros where unused.
    """
    visible = np.asarray(visible)[:max_people]
    places = np.asarray(points, np.float64)[:max_people].astype(np.int64)
    height, width = size
    indices = np.zeros((max_people, visible.shape[1], 2), np.int64)
    inside = (visible > 0) & ((places >= 0) & (places < [width, height])).all(axis=-1)
    people, keypoints = np.nonzero(inside)
    slots = (inside.cumsum(axis=1) - 1)[people, keypoints]
    planes = keypoints * (height * width) if tag_per_keypoint else 0
    x, y = places[people, keypoints].T
    indices[people, slots, 0] = planes + y * width + x
    indices[people, slots, 1] = 1
    return indices
