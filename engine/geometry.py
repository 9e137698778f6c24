"""The one place where coordinates change space: frame ↔ network input ↔ heatmap.

Three conventions exist in published models and a model file names its own:

- ``hrnet``: input centre is (w/2, h/2); heatmap index i lies on input pixel ``stride * i`` (Sun et al. 2019).
- ``half-pixel``: pixel centres are honoured, centre is ((w-1)/2, (h-1)/2) and heatmap index i lies on input
  pixel ``stride * (i + 0.5) - 0.5``; mirror-symmetric and independent of size. Our own models are trained so.
- ``udp``: sizes are counted in intervals, heatmap index i lies on input pixel
  ``i * (w_input - 1) / (w_heatmap - 1)`` (Huang et al. 2020). DarkPose's affine (Zhang et al. 2020) is this
  one with a region one frame px smaller.

Points are (..., 2) x, y; sizes are (height, width); matrices are (2, 3) float64 and map column vectors.
"""

from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

Convention = Literal["hrnet", "half-pixel", "udp"]
Size = tuple[int, int]
Array = NDArray[np.float64]

BBOX_PADDING = 1.25
"""Share by which a person's box grows before cropping (Sun et al. 2019, lib/dataset/coco.py)."""


def bbox_to_centre_size(
    bbox: ArrayLike, input_size: Size, padding: float = BBOX_PADDING
) -> tuple[Array, Array]:
    """Grow a box to the aspect ratio of the network input, then by `padding`.

    As published (Sun et al. 2019, `_box2cs`), except that no box is spared the padding: there, one whose
    centre x is exactly -1 is.

    Args:
        bbox: (4,) xyxy frame px.
        input_size: (height, width) of the network input.
        padding: factor on both sides after the aspect is fixed.

    Returns:
        centre (2,) x, y and size (2,) width, height, both frame px.
    """
    x1, y1, x2, y2 = np.asarray(bbox, np.float64)
    width, height = x2 - x1, y2 - y1
    aspect = input_size[1] / input_size[0]
    if width > aspect * height:
        height = width / aspect
    elif width < aspect * height:
        width = height * aspect
    return np.array([x1 + (x2 - x1) / 2, y1 + (y2 - y1) / 2]), np.array([width, height]) * padding


def crop_matrix(
    centre: ArrayLike,
    size: ArrayLike,
    output_size: Size,
    *,
    rotation_deg: float = 0.0,
    convention: Convention = "half-pixel",
) -> Array:
    """Return the (2, 3) matrix from frame px to px of a crop, a similarity set by the width alone.

    Args:
        centre: (2,) frame px that lands in the middle of the crop.
        size: (2,) width and height of the crop region in frame px; the height follows from `output_size`.
        output_size: (height, width) of the crop.
        rotation_deg: turns the region clockwise on the picture (y points down).
        convention: see the module's text.
    """
    height, width = output_size
    region_width = float(np.asarray(size, np.float64)[0])
    if convention == "hrnet":
        middle, scale = np.array([width, height]) * 0.5, width / region_width
    elif convention == "half-pixel":
        middle, scale = (np.array([width, height]) - 1) * 0.5, width / region_width
    else:
        middle, scale = (np.array([width, height]) - 1) * 0.5, (width - 1) / region_width
    angle = np.deg2rad(rotation_deg)
    cos, sin = np.cos(angle), np.sin(angle)
    linear = scale * np.array([[cos, sin], [-sin, cos]])
    return np.concatenate([linear, (middle - linear @ np.asarray(centre, np.float64))[:, None]], axis=1)


def letterbox_matrix(frame_size: Size, output_size: Size, *, convention: Convention = "half-pixel") -> Array:
    """Return the (2, 3) matrix that fits a whole frame, centred, into `output_size` without distortion."""
    height, width = frame_size
    scale = min(output_size[0] / height, output_size[1] / width)
    centre = (np.array([width, height]) - (0 if convention == "hrnet" else 1)) * 0.5
    region_width = output_size[1] / scale
    return crop_matrix(centre, (region_width, output_size[0] / scale), output_size, convention=convention)


def letterbox_size(frame_size: Size, short_side: int, multiple: int = 32) -> Size:
    """Return the smallest (height, width), multiples of `multiple`, that holds the frame at `short_side`.

    The short side of the frame becomes `short_side` rounded up to the multiple; the long side follows.
    """
    height, width = frame_size
    short = -(-short_side // multiple) * multiple
    long = int(np.ceil(round(short * max(height, width) / min(height, width) / multiple, 6))) * multiple
    return (short, long) if height <= width else (long, short)


def multi_scale_size(
    frame_size: Size, input_size: int, scale: float = 1.0, min_scale: float = 1.0
) -> tuple[Size, Array, Array]:
    """Return the input size and the region of HigherHRNet's multi-scale test (Cheng et al. 2020).

    At the smallest scale the short side is rounded up to 64 and the long side, in proportion, too; the other
    scales multiply that size, which therefore depends on `min_scale` (lib/utils/transforms.py,
    `get_multi_scale_size`).

    Args:
        frame_size: (height, width) of the frame.
        input_size: short side at scale 1, input px.
        scale: the scale wanted.
        min_scale: the smallest of the scales in use.

    Returns:
        (height, width) of the input; centre (2,) x, y in whole frame px, half a px off for odd sizes; size
        (2,) width and height of the region in frame px, the frame padded on its long side. `crop_matrix`
        with convention ``hrnet`` takes all three.
    """
    height, width = frame_size
    short, long = min(height, width), max(height, width)
    short_least = int((min_scale * input_size + 63) // 64 * 64)
    long_least = int((short_least / short * long + 63) // 64 * 64)
    short_input, long_input = int(short_least * scale / min_scale), int(long_least * scale / min_scale)
    centre = np.array([int(width / 2 + 0.5), int(height / 2 + 0.5)], np.float64)
    long_region = long_input / short_input * short
    if width < height:
        return (long_input, short_input), centre, np.array([short, long_region], np.float64)
    return (short_input, long_input), centre, np.array([long_region, short], np.float64)


def invert_matrix(matrix: ArrayLike) -> Array:
    """Return the (2, 3) inverse of a (2, 3) affine matrix."""
    full = np.vstack([np.asarray(matrix, np.float64), [0.0, 0.0, 1.0]])
    return np.linalg.inv(full)[:2]


def transform_points(matrix: ArrayLike, points: ArrayLike) -> Array:
    """Apply a (2, 3) affine matrix to (..., 2) points."""
    matrix = np.asarray(matrix, np.float64)
    return np.asarray(points, np.float64) @ matrix[:, :2].T + matrix[:, 2]


def heatmap_to_input(
    points: ArrayLike, heatmap_size: Size, input_size: Size, convention: Convention
) -> Array:
    """Map (..., 2) heatmap px to input px."""
    points = np.asarray(points, np.float64)
    heatmap_wh, input_wh = np.array(heatmap_size[::-1], float), np.array(input_size[::-1], float)
    if convention == "hrnet":
        return points * (input_wh / heatmap_wh)
    if convention == "half-pixel":
        return (points + 0.5) * (input_wh / heatmap_wh) - 0.5
    return points * ((input_wh - 1) / (heatmap_wh - 1))


def input_to_heatmap(
    points: ArrayLike, heatmap_size: Size, input_size: Size, convention: Convention
) -> Array:
    """Map (..., 2) input px to heatmap px; the inverse of `heatmap_to_input`."""
    points = np.asarray(points, np.float64)
    heatmap_wh, input_wh = np.array(heatmap_size[::-1], float), np.array(input_size[::-1], float)
    if convention == "hrnet":
        return points * (heatmap_wh / input_wh)
    if convention == "half-pixel":
        return (points + 0.5) * (heatmap_wh / input_wh) - 0.5
    return points * ((heatmap_wh - 1) / (input_wh - 1))


def pose_bbox(keypoints: ArrayLike, valid: ArrayLike, margin: float = 0.1) -> Array:
    """Return the xyxy box around the valid keypoints, grown on each side by `margin` of its longer side.

    Args:
        keypoints: (K, 2) frame px.
        valid: (K,) bool, at least one true.
        margin: share of the longer side added on each side.
    """
    points = np.asarray(keypoints, np.float64)[np.asarray(valid, bool)]
    low, high = points.min(axis=0), points.max(axis=0)
    grow = margin * max(float((high - low).max()), 1.0)
    return np.concatenate([low - grow, high + grow])


def bbox_iou(first: ArrayLike, second: ArrayLike) -> Array:
    """Return the (N, M) intersection over union of (N, 4) and (M, 4) xyxy boxes."""
    a, b = np.asarray(first, np.float64).reshape(-1, 1, 4), np.asarray(second, np.float64).reshape(1, -1, 4)
    overlap = np.maximum(np.minimum(a[..., 2:], b[..., 2:]) - np.maximum(a[..., :2], b[..., :2]), 0)
    intersection = overlap[..., 0] * overlap[..., 1]
    first_sides, second_sides = a[..., 2:] - a[..., :2], b[..., 2:] - b[..., :2]
    areas = first_sides[..., 0] * first_sides[..., 1] + second_sides[..., 0] * second_sides[..., 1]
    return np.asarray(intersection / np.maximum(areas - intersection, 1e-9))
