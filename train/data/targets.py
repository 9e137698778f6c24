"""Keypoints to heatmaps and tag indices: what the networks are asked to paint.

Every function takes heatmap px and is the other half of a decoder in `engine.decode`; tests hold each pair
to a round trip.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from engine.geometry import Size

Float = NDArray[np.float32]


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
    points = np.asarray(points, np.float32)
    gap_x = np.arange(size[1], dtype=np.float32) - points[..., 0, None]
    gap_y = np.arange(size[0], dtype=np.float32) - points[..., 1, None]
    factor = np.float32(-0.5 / heatmap_sigma**2)
    maps = np.exp(gap_y**2 * factor)[..., :, None] * np.exp(gap_x**2 * factor)[..., None, :]
    return (maps * np.asarray(present, np.float32)[..., None, None]).astype(np.float32)


def gaussian_patch(point: ArrayLike, size: Size, heatmap_sigma: float) -> tuple[slice, slice, Float]:
    """Return rows, columns and values of one sub-pixel Gaussian, cut at four sigmas and by the map.

    Args:
        point: (2,) x, y heatmap px. size: (H, W) of the heatmap. heatmap_sigma: heatmap px.

    Returns:
        Slices into the map, possibly empty, and the (rows, columns) float32 patch.
    """
    x, y = np.asarray(point, np.float32)
    reach = 4 * heatmap_sigma
    columns = slice(max(0, int(np.ceil(x - reach))), max(0, min(size[1], int(x + reach) + 1)))
    rows = slice(max(0, int(np.ceil(y - reach))), max(0, min(size[0], int(y + reach) + 1)))
    factor = np.float32(-0.5 / heatmap_sigma**2)
    across = np.exp((np.arange(columns.start, columns.stop, dtype=np.float32) - x) ** 2 * factor)
    down = np.exp((np.arange(rows.start, rows.stop, dtype=np.float32) - y) ** 2 * factor)
    return rows, columns, down[:, None] * across[None, :]


def rounded_heatmaps(
    points_input: ArrayLike, visible: ArrayLike, size: Size, stride: float, heatmap_sigma: float
) -> tuple[Float, Float]:
    """Paint the Gaussians of HRNet: centre rounded to a whole heatmap px, cut at three sigmas.

    Sun et al. 2019, lib/dataset/JointsDataset.py: the centre is ``int(x / stride + 0.5)`` with truncation
    toward zero; a keypoint whose patch does not touch the map gets weight 0.

    Args:
        points_input: (K, 2) input px.
        visible: (K,) visibility; a map is painted where it exceeds 0.5.
        size: (H, W) of the heatmap.
        stride: input px per heatmap px.
        heatmap_sigma: standard deviation in heatmap px.

    Returns:
        (K, H, W) float32 in [0, 1] and (K,) float32 weights.
    """
    points = np.asarray(points_input, np.float64)
    weights = np.asarray(visible, np.float32).copy()
    reach = heatmap_sigma * 3
    maps = np.zeros((len(points), *size), np.float32)
    for index, point in enumerate(points):
        centre = np.trunc(point / stride + 0.5).astype(int)
        low, high = (centre - reach).astype(int), (centre + reach + 1).astype(int)
        if low[0] >= size[1] or low[1] >= size[0] or high[0] < 0 or high[1] < 0:
            weights[index] = 0
            continue
        if weights[index] > 0.5:
            xs = np.arange(max(0, low[0]), min(high[0], size[1]))
            ys = np.arange(max(0, low[1]), min(high[1], size[0]))
            squared = (xs[None, :] - centre[0]) ** 2 + (ys[:, None] - centre[1]) ** 2
            maps[index, ys[:, None], xs[None, :]] = np.exp(-squared / (2 * heatmap_sigma**2))
    return maps, weights


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
    points, visible = np.asarray(points, np.float64), np.asarray(visible)
    sigmas = np.broadcast_to(np.asarray(heatmap_sigma, np.float64), visible.shape)
    maps = np.zeros((visible.shape[1], *size), np.float32)
    for person, index in zip(*np.nonzero(visible > 0), strict=True):
        x, y = int(points[person, index, 0]), int(points[person, index, 1])
        if not (0 <= x < size[1] and 0 <= y < size[0]):
            continue
        sigma = sigmas[person, index]
        low = int(np.round(-3 * sigma - 1))
        high = int(np.round(3 * sigma + 2))
        xs = np.arange(max(0, x + low), min(size[1], x + high))
        ys = np.arange(max(0, y + low), min(size[0], y + high))
        squared = (xs[None, :] - x) ** 2 + (ys[:, None] - y) ** 2
        patch = np.exp(-squared / (2 * sigma**2))
        region = maps[index, ys[0] : ys[-1] + 1, xs[0] : xs[-1] + 1]
        np.maximum(region, patch, out=region, casting="same_kind")
    return maps


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
    points, visible = np.asarray(points, np.float64), np.asarray(visible)
    height, width = size
    indices = np.zeros((max_people, visible.shape[1], 2), np.int64)
    for person in range(min(len(points), max_people)):
        slot = 0
        for keypoint in range(visible.shape[1]):
            x, y = int(points[person, keypoint, 0]), int(points[person, keypoint, 1])
            if visible[person, keypoint] > 0 and 0 <= x < width and 0 <= y < height:
                plane = keypoint * height * width if tag_per_keypoint else 0
                indices[person, slot] = (plane + y * width + x, 1)
                slot += 1
    return indices
