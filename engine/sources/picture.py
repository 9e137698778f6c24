"""Bring a decoded picture into the form a source promised: upright, and of one size."""

import cv2
import numpy as np
from numpy.typing import NDArray

from engine.structures import Image


def orient_image(image: Image, matrix: NDArray[np.int32]) -> Image:
    """Apply the display matrix of a video.

    Args:
        image: (H, W, 3) uint8 as stored.
        matrix: (9,) int32 ``a b u c d v x y w`` of ISO/IEC 14496-12: the stored point (p, q) is shown at
            (a p + c q, b p + d q) but for a shift. Scale is not applied, only quarter turns and mirrors.

    Returns:
        (H, W, 3) or (W, H, 3) uint8, contiguous; `image` itself where there is nothing to turn.

    Raises:
        ValueError: the matrix is no combination of quarter turns and mirrors.
    """
    a, b, c, d = (int(matrix[place]) for place in (0, 1, 3, 4))
    if a and d and not (b or c):
        mirror_x, mirror_y = a < 0, d < 0
    elif b and c and not (a or d):
        image = np.asarray(cv2.transpose(image), np.uint8)
        mirror_x, mirror_y = c < 0, b < 0
    else:
        raise ValueError(f"display matrix {[value / 65536 for value in (a, b, c, d)]} is no quarter turn")
    if mirror_x or mirror_y:
        axis = -1 if mirror_x and mirror_y else 1 if mirror_x else 0
        image = np.asarray(cv2.flip(image, axis), np.uint8)
    return image


def fit_image(image: Image, size: tuple[int, int]) -> Image:
    """Scale a picture into a size with its proportions kept, centred on black.

    Args:
        image: (h, w, 3) uint8.
        size: (H, W) wanted.

    Returns:
        (H, W, 3) uint8; `image` itself where it has that size already.
    """
    height, width = image.shape[:2]
    if (height, width) == size:
        return image
    scale = min(size[0] / height, size[1] / width)
    inner = min(size[0], max(1, round(height * scale))), min(size[1], max(1, round(width * scale)))
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    scaled = cv2.resize(image, (inner[1], inner[0]), interpolation=method)
    top, left = (size[0] - inner[0]) // 2, (size[1] - inner[1]) // 2
    fitted = np.zeros((*size, 3), np.uint8)
    fitted[top : top + inner[0], left : left + inner[1]] = scaled
    return fitted
