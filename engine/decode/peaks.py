"""From heatmaps to keypoints in heatmap px: the maximum of each map, then its sub-pixel place.

`decode_heatmaps` is for maps with one keypoint each; `refine_peaks` does the sub-pixel step for any peaks,
several per map, as bottom-up needs. `flip_back` undoes mirroring. Legend: N crops, K keypoints, C maps,
P peaks, H×W heatmap.
"""

from functools import lru_cache
from typing import cast

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

from engine.errors import ModelFileError
from engine.model_file import DecodeMethod

Float = NDArray[np.float32]
Index = NDArray[np.intp]

METHODS: tuple[DecodeMethod, ...] = ("argmax", "quarter", "dark", "udp")
MAX_SHIFT = 1.5
"""Heatmap px; the sub-pixel step of a true peak is below 1, a longer one is a step off a ridge."""
DARK_FLOOR = 1e-10
UDP_FLOOR, UDP_CEILING = 1e-3, 50.0


def decode_heatmaps(
    heatmaps: ArrayLike, method: DecodeMethod, *, heatmap_sigma: float = 2.0, max_shift: float | None = None
) -> tuple[Float, Float]:
    """Find the place and the height of the maximum of each map.

    The first maximum in C order wins. A map without a positive value gives (0, 0), unrefined, and its maximum
    as score. Methods, each as its authors publish it:

    - ``argmax``: whole px.
    - ``quarter``: a quarter px toward the higher neighbour on each axis, 0 on ties, for maxima with
      ``1 < x < W - 1`` and the same for y (Sun et al. 2019, lib/core/inference.py).
    - ``dark``: Newton step on the logarithm of the blurred map, for ``1 < x < W - 2`` and the same for y
      (Zhang et al. 2020, eq. 9 and 10; second differences at distance 2).
    - ``udp``: Newton step on the logarithm of the blurred map, clipped to [1e-3, 50], with 3×3 differences
      and replicated borders, everywhere (Huang et al. 2020, DARK-UDP in the form of mmpose 1.x).

    Args:
        heatmaps: (N, K, H, W), any float type; N may be 0.
        method: see above.
        heatmap_sigma: standard deviation of the target Gaussian, heatmap px; sets the blur of dark and udp.
        max_shift: refuse sub-pixel steps longer than this, heatmap px; None trusts all, as published.

    Returns:
        keypoints (N, K, 2) float32 x, y heatmap px, scores (N, K) float32 maxima of the maps as they are.

    Raises:
        ModelFileError: a map has NaN or infinity where its maximum is sought: the network has overflowed.
        ValueError: wrong shape or unknown method.
    """
    maps = np.asarray(heatmaps, np.float32)
    if maps.ndim != 4 or 0 in maps.shape[2:]:
        raise ValueError(f"heatmaps must have shape (N, K, H, W), got {maps.shape}")
    count, keypoints, height, width = maps.shape
    if 0 in (count, keypoints):
        return np.zeros((count, keypoints, 2), np.float32), np.zeros((count, keypoints), np.float32)
    flat = maps.reshape(count * keypoints, height * width)
    best = flat.argmax(axis=1)
    scores = flat[np.arange(len(flat)), best]
    check_finite(scores.reshape(count, keypoints))
    found = np.flatnonzero(scores > 0)
    places = np.stack([best % width, best // width], axis=1)
    points = np.zeros((len(flat), 2), np.float32)
    points[found] = refine_peaks(
        flat.reshape(-1, height, width),
        found,
        places[found],
        method,
        heatmap_sigma=heatmap_sigma,
        max_shift=max_shift,
    )
    return points.reshape(count, keypoints, 2), scores.reshape(count, keypoints).copy()


def check_finite(maxima: Float) -> None:
    """Raise `ModelFileError` if a maximum of (..., K) maps is NaN or infinite."""
    if not np.isfinite(maxima).all():
        keypoint = int(np.argwhere(~np.isfinite(maxima))[0][-1])
        raise ModelFileError(
            f"the heatmap of keypoint {keypoint} holds NaN or infinity: the network's numbers overflowed; "
            "run it with precision fp32, or export the model again"
        )


def refine_peaks(
    heatmaps: Float,
    channels: Index,
    peaks: Index,
    method: DecodeMethod,
    *,
    heatmap_sigma: float = 2.0,
    max_shift: float | None = None,
) -> Float:
    """Move peaks at whole px to their sub-pixel places; methods as in `decode_heatmaps`.

    Args:
        heatmaps: (C, H, W) float32.
        channels: (P,) which map each peak lies in.
        peaks: (P, 2) x, y whole heatmap px inside the map.
        method: see `decode_heatmaps`.
        heatmap_sigma: heatmap px.
        max_shift: peaks that would move further on an axis stay where they are, heatmap px.

    Returns:
        (P, 2) float32 heatmap px.

    Raises:
        ValueError: unknown method.
    """
    if method not in METHODS:
        raise ValueError(f"decode method must be one of {', '.join(METHODS)}, got {method!r}")
    points = peaks.astype(np.float32)
    height, width = heatmaps.shape[1:]
    # Column 1 is out and column W - 2 is in for quarter: the published inequalities are not symmetric.
    low, high = {"quarter": (2, 2), "dark": (2, 3), "udp": (0, 1), "argmax": (0, 0)}[method]
    inside = ((peaks >= low) & (peaks <= np.array([width, height]) - high)).all(axis=1)
    if method == "argmax" or not inside.any():
        return points
    channels, peaks = channels[inside], peaks[inside]
    if method == "quarter":
        shift = _quarter_step(heatmaps, channels, peaks)
    elif method == "dark":
        windows = _blurred_windows(heatmaps, channels, peaks, heatmap_sigma, DARK_FLOOR, np.inf)
        shift = _dark_step(np.log(windows))
    else:
        windows = _blurred_windows(heatmaps, channels, peaks, heatmap_sigma, UDP_FLOOR, UDP_CEILING)
        shift = _udp_step(np.log(windows))
    if max_shift is not None:
        shift[~(np.abs(shift) <= max_shift).all(axis=1)] = 0
    points[inside] += shift
    return points


def flip_back(heatmaps: NDArray, flip_index: ArrayLike, *, shift: bool = False) -> NDArray:
    """Turn the heatmaps of a mirrored picture back: mirror them and exchange left and right keypoints.

    Args:
        heatmaps: (N, K, H, W) of the mirrored picture.
        flip_index: (K,) keypoint that takes the place of each, `Skeleton.flip_index`.
        shift: then move the maps one px right, column 0 keeping its value: what the ``hrnet`` convention
            of top-down models needs before averaging (Sun et al. 2019, SHIFT_HEATMAP).

    Returns:
        (N, K, H, W), a new array.
    """
    turned = heatmaps[:, np.asarray(flip_index), :, ::-1]
    if shift:
        turned[..., 1:] = turned[..., :-1].copy()
    return np.ascontiguousarray(turned)


def _quarter_step(heatmaps: Float, channels: Index, peaks: Index) -> Float:
    """Return (P, 2) steps of 0.25 px toward the higher neighbours, which must lie inside the map."""
    x, y = peaks.T
    across = heatmaps[channels, y, x + 1] - heatmaps[channels, y, x - 1]
    down = heatmaps[channels, y + 1, x] - heatmaps[channels, y - 1, x]
    return np.float32(0.25) * np.sign(np.stack([across, down], axis=1))


def _dark_step(logs: Float) -> Float:
    """Return (P, 2) Newton steps from (P, 5, 5) logarithms around the peak, 0 where singular."""
    dx = (logs[:, 2, 3] - logs[:, 2, 1]) / 2
    dy = (logs[:, 3, 2] - logs[:, 1, 2]) / 2
    dxx = (logs[:, 2, 4] - 2 * logs[:, 2, 2] + logs[:, 2, 0]) / 4
    dyy = (logs[:, 4, 2] - 2 * logs[:, 2, 2] + logs[:, 0, 2]) / 4
    dxy = (logs[:, 3, 3] - logs[:, 1, 3] - logs[:, 3, 1] + logs[:, 1, 1]) / 4
    return _newton_step(dx, dy, dxx, dyy, dxy)


def _udp_step(logs: Float) -> Float:
    """Return (P, 2) Newton steps from the inner 3×3 of (P, 5, 5) logarithms, regularised by eps."""
    here, right, left = logs[:, 2, 2], logs[:, 2, 3], logs[:, 2, 1]
    below, above = logs[:, 3, 2], logs[:, 1, 2]
    epsilon = np.finfo(np.float32).eps
    dxx = right - 2 * here + left + epsilon
    dyy = below - 2 * here + above + epsilon
    dxy = (logs[:, 3, 3] - right - below + 2 * here - left - above + logs[:, 1, 1]) / 2
    return _newton_step((right - left) / 2, (below - above) / 2, dxx, dyy, dxy)


def _newton_step(dx: NDArray, dy: NDArray, dxx: NDArray, dyy: NDArray, dxy: NDArray) -> Float:
    determinant = dxx * dyy - dxy * dxy
    regular = determinant != 0
    divisor = np.where(regular, determinant, 1)
    step = np.stack([dxy * dy - dyy * dx, dxy * dx - dxx * dy]) / divisor
    return np.where(regular & np.isfinite(step), step, 0).astype(np.float32).T


@lru_cache(maxsize=16)
def blur_kernel(heatmap_sigma: float) -> Float:
    """Return the (2 radius + 1,) weights of the published blur, which sum to 1; it is the same on both axes.

    The papers blur with 11 px for targets of sigma 2 and 17 px for sigma 3: on each side three sigmas less
    one.
    """
    radius = max(1, round(3 * heatmap_sigma) - 1)
    kernel = cast(Float, cv2.getGaussianKernel(2 * radius + 1, 0, cv2.CV_32F)[:, 0])
    kernel.setflags(write=False)
    return kernel


@lru_cache(maxsize=16)
def _blur_weights(heatmap_sigma: float) -> tuple[int, Float]:
    """Return the radius of the blur and the (5, 5 + 2 radius) matrix that blurs five px of a row."""
    kernel = blur_kernel(heatmap_sigma)
    weights = np.zeros((5, 4 + len(kernel)), np.float32)
    for row in range(5):
        weights[row, row : row + len(kernel)] = kernel
    weights.setflags(write=False)
    return len(kernel) // 2, weights


def _blurred_windows(
    heatmaps: Float, channels: Index, peaks: Index, heatmap_sigma: float, floor: float, ceiling: float
) -> Float:
    """Return the blurred map around each peak as (P, 5, 5), rescaled and clipped to [floor, ceiling].

    Only what the window needs is blurred. The published form also scales each blurred map to its old maximum;
    after the logarithm this is a constant that no difference sees, unless a value meets the clip. Blurring
    only lowers a maximum, so the scale is at least 1, and windows that might meet the clip can be told from
    their unscaled values; those maps are blurred whole.
    """
    height, width = heatmaps.shape[1:]
    radius, weights = _blur_weights(heatmap_sigma)
    reach = np.arange(-2 - radius, 3 + radius)
    columns, rows = peaks[:, :1] + reach, peaks[:, 1:] + reach
    inside = ((rows >= 0) & (rows < height))[:, :, None] & ((columns >= 0) & (columns < width))[:, None, :]
    starts = (channels[:, None] * height + _within(rows, height)) * width
    values = heatmaps.reshape(-1).take(starts[:, :, None] + _within(columns, width)[:, None, :])
    # Many small products with a transposed view take twice as long.
    windows = weights @ np.where(inside, values, np.float32(0)) @ np.ascontiguousarray(weights.T)
    near = np.arange(-2, 3)
    columns, rows = peaks[:, :1] + near, peaks[:, 1:] + near
    x, y = _within(columns, width), _within(rows, height)
    if (x != columns).any() or (y != rows).any():
        index = np.arange(len(peaks))[:, None, None]
        windows = windows[index, (y - peaks[:, 1:] + 2)[:, :, None], (x - peaks[:, :1] + 2)[:, None, :]]
    peak_values = heatmaps[channels, peaks[:, 1], peaks[:, 0]]
    unsure = ~(windows.min(axis=(1, 2)) > floor) | ~(peak_values < ceiling)
    if unsure.any():
        for channel in np.unique(channels[unsure]):
            whole = _blur_whole(heatmaps[channel], radius)
            mine = unsure & (channels == channel)
            windows[mine] = whole[y[mine][:, :, None], x[mine][:, None, :]]
    return cast(Float, windows.clip(np.float32(floor), np.float32(ceiling)))


def _within(places: Index, side: int) -> Index:
    """Return places moved into 0 .. side - 1; on few numbers `clip` takes several times as long."""
    moved: Index = np.minimum(np.maximum(places, 0), side - 1)
    return moved


def _blur_whole(heatmap: Float, radius: int) -> Float:
    """Return an (H, W) map blurred with a border of zeros and scaled to its old maximum."""
    side = 2 * radius + 1
    blurred = cv2.GaussianBlur(heatmap, (side, side), 0, borderType=cv2.BORDER_CONSTANT)
    top = float(blurred.max())
    return np.asarray(blurred * np.float32(float(heatmap.max()) / top) if top else blurred, np.float32)
