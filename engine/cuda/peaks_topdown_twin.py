"""What the top-down peak kernel computes, in NumPy: written to be read, one map after another.

`peaks_topdown.cu` is held to it, on the CPU in the tests and on a GPU by `steadypose doctor`. Sums run in
the kernel's order, so that only the logarithm and fused products round otherwise.
"""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from engine.decode.peaks import MAX_SHIFT, blur_kernel
from engine.model_file import ModelSpec

Array = NDArray[np.floating[Any]]
Precision = type[np.float32] | type[np.float64]

MARGINS = {"argmax": (0, 1), "quarter": (2, 2), "dark": (2, 3), "udp": (0, 1)}
"""A maximum at x is refined if first <= x <= W - second, the same for y."""
CLIPS = {"dark": (1e-10, np.inf), "udp": (1e-3, 50.0)}


def topdown_peaks(
    heatmaps: ArrayLike,
    spec: ModelSpec,
    *,
    count: int | None = None,
    mirrored: bool = False,
    precision: Precision = np.float32,
) -> NDArray[np.float32]:
    """Find the sub-pixel place and the height of the maximum of each map.

    Args:
        heatmaps: (capacity, K, H, W), float16 or float32; mirrored: (2 * capacity, K, H, W), row capacity + n
            that of crop n mirrored.
        spec: gives decoder, heatmap sigma, convention and the keypoints that mirroring exchanges.
        count: crops to be decoded; None: all.
        mirrored: average each map with that of the mirrored crop, turned back.
        precision: in which sub-pixel steps are computed; float64 shows where rounding decides.

    Returns:
        (count, K, 3) float32: x, y in heatmap px and the maximum. (0, 0) where it is not positive or not
        finite.
    """
    maps = np.asarray(heatmaps).astype(np.float32)
    capacity = len(maps) // 2 if mirrored else len(maps)
    result = np.zeros((capacity if count is None else count, maps.shape[1], 3), np.float32)
    with np.errstate(all="ignore"):  # infinities and NaN are taken as they come
        for crop, keypoint in np.ndindex(result.shape[:2]):
            heatmap: Array = maps[crop, keypoint]
            if mirrored:
                partner = maps[capacity + crop, spec.skeleton.flip_index[keypoint]]
                turned = turn_back(partner, shift=spec.convention == "hrnet")
                heatmap = (heatmap + turned) * np.float32(0.5)
            result[crop, keypoint] = decode_map(heatmap, spec, precision)
    return result


def turn_back(heatmap: Array, *, shift: bool) -> Array:
    """Mirror an (H, W) map; `shift` then moves it one px right, column 0 keeping its value."""
    turned = heatmap[:, ::-1]
    return np.concatenate([turned[:, :1], turned[:, :-1]], axis=1) if shift else turned


def decode_map(heatmap: Array, spec: ModelSpec, precision: Precision = np.float32) -> tuple[float, ...]:
    """Return x, y in heatmap px and the maximum of one (H, W) map."""
    height, width = heatmap.shape
    y, x = divmod(int(heatmap.argmax()), width)
    maximum = heatmap[y, x]
    if not 0 < maximum < np.inf:
        return 0.0, 0.0, maximum
    low, high = MARGINS[spec.decoder]
    step = np.zeros(2, np.float32)
    if low <= x <= width - high and low <= y <= height - high:
        if spec.decoder == "quarter":
            step = quarter_step(heatmap, x, y)
        elif spec.decoder in CLIPS:
            logs = np.log(blurred_window(heatmap.astype(precision), x, y, spec))
            step = dark_step(logs) if spec.decoder == "dark" else udp_step(logs)
    if not (np.abs(step) <= MAX_SHIFT).all():
        step = np.zeros(2, np.float32)
    return x + np.float32(step[0]), y + np.float32(step[1]), maximum


def quarter_step(heatmap: Array, x: int, y: int) -> Array:
    """Return a quarter px toward the higher neighbour on each axis, 0 on ties (Sun et al. 2019)."""
    across = np.sign(heatmap[y, x + 1] - heatmap[y, x - 1])
    down = np.sign(heatmap[y + 1, x] - heatmap[y - 1, x])
    return np.float32(0.25) * np.array([across, down], np.float32)


def blurred_window(heatmap: Array, x: int, y: int, spec: ModelSpec) -> Array:
    """Return the (5, 5) px of the blurred map around (x, y), scaled and clipped as published.

    Outside the map there is 0 before the blur; after it, the border goes on. The blurred map is scaled to its
    old maximum only where a value may meet the clip: elsewhere no step sees it.
    """
    floor, ceiling = (heatmap.dtype.type(limit) for limit in CLIPS[spec.decoder])
    weights = blur_kernel(spec.heatmap_sigma)
    margin = len(weights) // 2 + 2
    window = blur(np.pad(heatmap, margin)[y : y + 2 * margin + 1, x : x + 2 * margin + 1], weights)
    near = np.arange(-2, 3)
    rows = (y + near).clip(0, heatmap.shape[0] - 1) - y + 2
    columns = (x + near).clip(0, heatmap.shape[1] - 1) - x + 2
    window = window[np.ix_(rows, columns)]
    if not ((window > floor).all() and heatmap[y, x] < ceiling):
        top = blur(np.pad(heatmap, len(weights) // 2), weights).max()
        window = window * (heatmap[y, x] / top) if top != 0 else window
    return window.clip(floor, ceiling)


def blur(padded: Array, weights: NDArray[np.float32]) -> Array:
    """Blur an array along y, then x; what it returns lacks the radius of the weights on each side."""
    height, width = (side - len(weights) + 1 for side in padded.shape)
    down = np.zeros((height, padded.shape[1]), padded.dtype)
    for tap, weight in enumerate(weights):
        down += weight * padded[tap : tap + height]
    both = np.zeros((height, width), padded.dtype)
    for tap, weight in enumerate(weights):
        both += weight * down[:, tap : tap + width]
    return both


def dark_step(logs: Array) -> Array:
    """Return Newton's step from (5, 5) logarithms, two px apart (Zhang et al. 2020, eq. 9, 10)."""
    here = logs[2, 2]
    slope = (logs[2, 3] - logs[2, 1]) / 2, (logs[3, 2] - logs[1, 2]) / 2
    dxx = (logs[2, 4] - 2 * here + logs[2, 0]) / 4
    dyy = (logs[4, 2] - 2 * here + logs[0, 2]) / 4
    dxy = (logs[3, 3] - logs[1, 3] - logs[3, 1] + logs[1, 1]) / 4
    return newton_step(*slope, dxx, dyy, dxy)


def udp_step(logs: Array) -> Array:
    """Return Newton's step from the inner (3, 3) logarithms, regularised by epsilon (Huang et al. 2020)."""
    here, right, left, below, above = logs[2, 2], logs[2, 3], logs[2, 1], logs[3, 2], logs[1, 2]
    epsilon = np.finfo(np.float32).eps
    dxx = right - 2 * here + left + epsilon
    dyy = below - 2 * here + above + epsilon
    dxy = (logs[3, 3] - right - below + 2 * here - left - above + logs[1, 1]) / 2
    return newton_step((right - left) / 2, (below - above) / 2, dxx, dyy, dxy)


def newton_step(dx: float, dy: float, dxx: float, dyy: float, dxy: float) -> Array:
    """Return (2,) the step to where the slope is 0; 0 where the matrix is singular or a number not finite."""
    determinant = dxx * dyy - dxy * dxy
    if determinant == 0:
        return np.zeros(2, np.float32)
    step = np.array([dxy * dy - dyy * dx, dxy * dx - dxx * dy]) / determinant
    return np.where(np.isfinite(step), step, 0)
