"""What smoothing gains and costs: jitter, error against the truth, lag.

All take a sequence of T frames at even steps; a frame without a keypoint is NaN there and is left out.
"""

from functools import cache

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]

SECOND_DIFFERENCE_GAIN = 6.0
"""Sum of the squares of 1, -2, 1: what the second difference multiplies the power of white noise by."""
TREND_FRAMES, TREND_ORDER = 9, 3
LAG_STEP_FRAMES = 0.1
FLAT = 0.02
"""An error that shifting changes by a smaller share says nothing about lag."""


def rms_jitter(keypoints: ArrayLike, truth: ArrayLike | None = None) -> float:
    """Return the frame-to-frame trembling of keypoints, px.

    The root mean square of the second difference of the error, divided by √6, so that errors independent
    from frame to frame jitter by as much as they are large, and a constant or steadily growing error not at
    all.

    Args:
        keypoints: (T, K, 2) px.
        truth: (T, K, 2) px. Where None, a cubic fitted to the 9 frames around each one stands for it
            (Savitzky and Golay 1964): motion slower than that is kept out, but part of the jitter too, so
            compare only with figures made in the same way.

    Returns:
        px; NaN where no keypoint has three frames in a row.
    """
    points = np.asarray(keypoints, np.float64)
    error = points - (_trend(points) if truth is None else np.asarray(truth, np.float64))
    return _rms(error[2:] - 2 * error[1:-1] + error[:-2]) / np.sqrt(SECOND_DIFFERENCE_GAIN)


def rms_error(keypoints: ArrayLike, truth: ArrayLike) -> float:
    """Return the root mean square distance of (T, K, 2) keypoints from the truth, px; NaN for none."""
    return _rms(np.asarray(keypoints, np.float64) - np.asarray(truth, np.float64))


def lag_s(keypoints: ArrayLike, truth: ArrayLike, time_s: ArrayLike, *, max_lag_s: float = 0.25) -> float:
    """Return how late keypoints are: the delay of the truth that comes closest to them.

    The truth is delayed in steps of a tenth of a frame (cubic Hermite interpolation) and a parabola is laid
    through the mean square errors around the best.

    Args:
        keypoints: (T, K, 2) px.
        truth: (T, K, 2) px.
        time_s: (T,) strictly increasing seconds.
        max_lag_s: delays from minus to plus this are tried.

    Returns:
        seconds, positive where keypoints come late; NaN where nothing moves enough to tell, or too few frames
        are there.
    """
    points, true, time = (np.asarray(value, np.float64) for value in (keypoints, truth, time_s))
    if len(time) < 4:
        return float("nan")
    step = LAG_STEP_FRAMES * float(np.median(np.diff(time)))
    count = int(np.ceil(max_lag_s / step))
    delays = step * np.arange(-count, count + 1)
    slope = np.gradient(true, time, axis=0)
    errors = np.stack([points - _delayed(true, slope, time, delay) for delay in delays])
    usable = np.isfinite(errors).all(axis=(0, 3))
    if not usable.any():
        return float("nan")
    squares = (errors[:, usable] ** 2).sum(axis=-1).mean(axis=-1)
    best = int(np.argmin(squares))
    if squares.max() - squares[best] <= FLAT * squares[best] or squares.max() < 1e-12:
        return float("nan")
    if not 0 < best < len(delays) - 1:
        return float(delays[best])
    before, here, after = squares[best - 1 : best + 2]
    return float(delays[best] + step * 0.5 * (before - after) / (before - 2 * here + after))


def _rms(differences: Array) -> float:
    """Root mean square length of (..., 2) vectors, those that are not finite left out."""
    squares = (differences**2).sum(axis=-1)
    squares = squares[np.isfinite(squares)]
    return float(np.sqrt(squares.mean())) if squares.size else float("nan")


def _trend(points: Array) -> Array:
    """The centre of a cubic fitted to the frames around each one; NaN near the ends and near gaps."""
    trend = np.full_like(points, np.nan)
    if len(points) >= TREND_FRAMES:
        windows = np.lib.stride_tricks.sliding_window_view(points, TREND_FRAMES, axis=0)
        half = TREND_FRAMES // 2
        trend[half : len(points) - half] = windows @ trend_weights()
    return trend


@cache
def trend_weights() -> Array:
    """Return (TREND_FRAMES,) weights of the samples whose sum is the fitted cubic in the middle.

    Least squares on powers of the offset (Savitzky and Golay 1964, eq. 11a); `scipy.signal.savgol_coeffs`
    gives the same and takes 0.4 s to import, which the desktop app would spend at its start.
    """
    half = TREND_FRAMES // 2
    powers = np.vander(np.arange(-half, half + 1.0), TREND_ORDER + 1, increasing=True)
    return np.asarray(np.linalg.pinv(powers)[0], np.float64)


def _delayed(truth: Array, slope: Array, time: Array, delay: float) -> Array:
    """The truth as it was `delay` seconds before each frame; NaN outside the sequence."""
    wanted = time - delay
    left = np.clip(np.searchsorted(time, wanted, side="right") - 1, 0, len(time) - 2)
    width = time[left + 1] - time[left]
    share = ((wanted - time[left]) / width)[:, None, None]
    width = width[:, None, None]
    square, cube = share**2, share**3
    value = (
        (2 * cube - 3 * square + 1) * truth[left]
        + (cube - 2 * square + share) * width * slope[left]
        + (3 * square - 2 * cube) * truth[left + 1]
        + (cube - square) * width * slope[left + 1]
    )
    outside = (wanted < time[0]) | (wanted > time[-1])
    return np.where(outside[:, None, None], np.nan, value)
