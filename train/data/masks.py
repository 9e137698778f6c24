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
            mask |= _paint_run_lengths(region, size)
        elif isinstance(region, list):
            polygons = [polygon for polygon in region if len(polygon) >= 6]
            if polygons:
                runs = coco_mask.merge(coco_mask.frPyObjects(polygons, *size))
                mask |= _paint_run_lengths(runs, size)
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


def _paint_run_lengths(region: dict[str, Any], size: Size) -> NDArray[np.uint8]:
    stored = tuple(region["size"])
    if stored != tuple(size):
        raise UsageError(
            f"an ignore region is drawn for a picture of {stored[0]} × {stored[1]} (height × width), "
            f"this one has {size[0]} × {size[1]}; the pictures are not the ones that were labelled"
        )
    counts = region["counts"]
    if not isinstance(counts, list):
        counts = unpack_counts(counts if isinstance(counts, bytes) else counts.encode())
    if sum(counts) != size[0] * size[1]:
        raise UsageError(f"an ignore region counts {sum(counts)} px of {size[0] * size[1]}; it is damaged")
    flat = np.repeat((np.arange(len(counts)) % 2).astype(np.uint8), counts)
    return flat.reshape(size[::-1]).T


def unpack_counts(text: bytes) -> list[int]:
    """Return the run lengths, column by column and 0 first, that COCO packs into a string.

    Five bits a character, low ones first, plus 48; 32 says that more follow, and from the fourth number on
    each is the difference from the one before the last (pycocotools, maskApi.c). pycocotools' own decoder is
    not taken for this: it warns under NumPy 2.
    """
    counts: list[int] = []
    value = shift = 0
    for character in text:
        bits = character - 48
        value |= (bits & 31) << shift
        shift += 5
        if bits & 32:
            continue
        if bits & 16:
            value -= 1 << shift
        counts.append(value + counts[-2] if len(counts) > 2 else value)
        value = shift = 0
    return counts
