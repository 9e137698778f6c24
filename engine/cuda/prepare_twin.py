"""What `prepare.cu` computes, in NumPy, to the bit: the kernel's yardstick in tests and on real devices."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.model_file import ModelSpec, normalisation
from engine.structures import Float, Image


def prepare_twin(
    image: Image,
    packed: Float,
    count: int,
    size: tuple[int, int],
    spec: ModelSpec,
    dtype: np.dtype[np.floating],
    *,
    mirrored: bool = False,
) -> NDArray[np.floating]:
    """Return what the kernel writes.

    Args:
        image: (H, W, 3) uint8 BGR, of any strides.
        packed: (capacity, 6) float32 from `prepare.pack_matrices`.
        count: how many of them are used.
        size: (h, w) of the input.
        spec: gives mean, std and colour order.
        dtype: float16, in which what is too large becomes infinite, or float32.
        mirrored: append every row with left and right exchanged.

    Returns:
        (capacity, 3, h, w), or (2 capacity, 3, h, w), of `dtype`; rows from `count` on are 0.
    """
    multiplier, offset = normalisation(spec)
    inputs = np.zeros((len(packed), 3, *size), np.float32)
    for index in range(min(max(count, 0), len(packed))):
        colours = warp_twin(image, packed[index], size).transpose(2, 0, 1)
        ordered = colours[::-1] if spec.colour_order == "rgb" else colours
        inputs[index] = ordered.astype(np.float32) * multiplier[:, None, None] + offset[:, None, None]
    if mirrored:
        inputs = np.concatenate([inputs, inputs[..., ::-1]])
    with np.errstate(over="ignore"):
        return inputs.astype(dtype)


def warp_twin(image: Image, inverse: Float, size: tuple[int, int]) -> Image:
    """Warp a frame bilinearly, black outside, as OpenCV 5 does where the CPU has fused multiply-adds.

    Args:
        image: (H, W, 3) uint8.
        inverse: (6,) float32 from px of the result to px of the frame, row by row.
        size: (h, w) of the result.

    Returns:
        (h, w, 3) uint8, contiguous.
    """
    height, width = image.shape[:2]
    column, share_x = _place(inverse[:3], size, width)
    row, share_y = _place(inverse[3:], size, height)
    above = _mix(_taps(image, row, column), _taps(image, row, column + 1), share_x)
    below = _mix(_taps(image, row + 1, column), _taps(image, row + 1, column + 1), share_x)
    return np.rint(_mix(above, below, share_y)).astype(np.uint8)


def fused_multiply_add(first: Float, second: Float, third: Float) -> Float:
    """Return ``first * second + third`` of float32 arrays, rounded once, as fmaf does.

    The product is exact in float64; its sum is rounded to odd there (Boldo and Melquiond 2008), after which
    the rounding to float32 is right. Values must be finite and far from overflow.
    """
    product, addend = first.astype(np.float64) * second, third.astype(np.float64)
    total = np.atleast_1d(product + addend)
    back = total - product
    error = (product - (total - back)) + (addend - back)
    bits = total.view(np.int64)
    outwards = np.where((error > 0) == (total > 0), 1, -1)
    bits = np.where((error != 0) & (bits & 1 == 0), bits + outwards, bits)
    return bits.view(np.float64).astype(np.float32).reshape(np.shape(product + addend))


def _place(coefficients: Float, size: tuple[int, int], limit: int) -> tuple[NDArray[np.intp], Float]:
    """Return, along one axis of the frame, the (h, w) px before each place and the (h, w, 1) rest."""
    across = np.arange(size[1], dtype=np.float32)[None, :]
    down = np.arange(size[0], dtype=np.float32)[:, None]
    with np.errstate(all="ignore"):
        start = coefficients[1] * down + coefficients[2]
        place = fused_multiply_add(np.full_like(across, coefficients[0]), across, start)
        place = np.where(np.isnan(coefficients[0] * across + start), np.float32(np.nan), place)
    place = np.fmin(np.fmax(place, np.float32(-2)), np.float32(limit))
    before = np.floor(place)
    return before.astype(np.intp), (place - before)[..., None]


def _taps(image: Image, row: NDArray[np.intp], column: NDArray[np.intp]) -> Float:
    """Return the (h, w, 3) float32 colours at px of the frame, black outside."""
    height, width = image.shape[:2]
    inside = (row >= 0) & (row < height) & (column >= 0) & (column < width)
    colours: NDArray[Any] = image[row.clip(0, height - 1), column.clip(0, width - 1)]
    return np.where(inside[..., None], colours, 0).astype(np.float32)


def _mix(start: Float, end: Float, share: Float) -> Float:
    return fused_multiply_add(np.broadcast_to(share, start.shape), end - start, start)
