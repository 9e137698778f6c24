"""Paint the regions of a picture about which its labels say nothing, when somebody needs them."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco_mask

from engine.errors import UsageError
from engine.geometry import Size

Region = dict[str, Any] | list[list[float]] | tuple[float, float, float, float]
"""COCO run lengths (compressed or not), polygons [x, y, x, y, …] in image px, or one box xyxy."""


def lazy_mask(regions: Sequence[Region]) -> "partial[NDArray[np.bool_]]":
    """Return `paint_regions` bound to these regions: a function of the size, which processes can exchange."""
    return partial(paint_regions, tuple(regions))


def paint_regions(regions: Sequence[Region], size: Size) -> NDArray[np.bool_]:
    """Return bool (height, width), true inside any of the regions.

    Raises:
        UsageError: run lengths are of another size, or are damaged.
    """
    mask = np.zeros(size, np.uint8)
    for region in regions:
        if isinstance(region, dict):
            mask |= _decode_run_lengths(region, size)
        elif isinstance(region, list):
            polygons = [polygon for polygon in region if len(polygon) >= 6]
            if polygons:
                runs = coco_mask.frPyObjects(polygons, *size)
                mask |= coco_mask.decode(coco_mask.merge(runs))
        else:
            x1, y1, x2, y2 = (round(value) for value in region)
            mask[max(y1, 0) : max(y2, 0), max(x1, 0) : max(x2, 0)] = 1
    return mask.astype(bool)


def fill_polygons(polygons: Sequence[Sequence[tuple[float, float]]], size: Size) -> NDArray[np.bool_]:
    """Return bool (height, width), true inside any polygon of (x, y) in image px, their borders included."""
    mask = np.zeros(size, np.uint8)
    for polygon in polygons:
        cv2.fillPoly(mask, [np.round(np.asarray(polygon, np.float64)).astype(np.int32)], 1)
    return mask.astype(bool)


def _decode_run_lengths(region: dict[str, Any], size: Size) -> NDArray[np.uint8]:
    stored = tuple(region["size"])
    if stored != tuple(size):
        raise UsageError(
            f"an ignore region is drawn for a picture of {stored[0]} × {stored[1]} (height × width), "
            f"this one has {size[0]} × {size[1]}; the pictures are not the ones that were labelled"
        )
    counts = region["counts"]
    if isinstance(counts, list):
        if sum(counts) != size[0] * size[1]:
            raise UsageError(
                f"an ignore region counts {sum(counts)} px of {size[0] * size[1]}; it is damaged"
            )
        ends = np.cumsum(counts)
        values = np.arange(len(counts)) % 2
        flat = np.repeat(values, counts).astype(np.uint8) if len(ends) else np.zeros(0, np.uint8)
        return flat.reshape(size[::-1]).T
    return np.asarray(coco_mask.decode({"size": list(stored), "counts": counts}), np.uint8)
