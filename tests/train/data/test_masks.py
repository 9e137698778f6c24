import pickle
import warnings

import numpy as np
import pytest
from pycocotools import mask as coco_mask

from engine.errors import UsageError
from train.data.masks import fill_polygons, lazy_mask, paint_regions

SIZE = (20, 30)


def drawing() -> np.ndarray:
    mask = np.zeros(SIZE, np.uint8)
    mask[3:9, 10:22] = 1
    mask[12, 4] = 1
    return mask


def uncompressed(mask: np.ndarray) -> dict:
    flat = mask.ravel(order="F")
    edges = np.flatnonzero(np.diff(flat)) + 1
    counts = np.diff([0, *edges, flat.size]).tolist()
    return {"size": list(mask.shape), "counts": counts if flat[0] == 0 else [0, *counts]}


def test_run_lengths_are_painted_compressed_or_not() -> None:
    mask = drawing()
    encoded = coco_mask.encode(np.asfortranarray(mask))
    compressed = {"size": encoded["size"], "counts": encoded["counts"].decode()}
    for region in (uncompressed(mask), compressed):
        np.testing.assert_array_equal(paint_regions([region], SIZE), mask.astype(bool))


def test_a_mask_that_begins_inside_is_painted() -> None:
    mask = np.zeros(SIZE, np.uint8)
    mask[:5, :5] = 1
    np.testing.assert_array_equal(paint_regions([uncompressed(mask)], SIZE), mask.astype(bool))


def test_polygons_are_painted_as_pycocotools_paints_them() -> None:
    polygons = [[2.0, 2.0, 20.5, 3.0, 11.0, 15.2], [22.0, 10.0, 28.0, 10.0, 28.0, 18.0, 22.0, 18.0]]
    # pycocotools' decoder warns under NumPy 2.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        expected = coco_mask.decode(coco_mask.merge(coco_mask.frPyObjects(polygons, *SIZE))).astype(bool)
    np.testing.assert_array_equal(paint_regions([polygons], SIZE), expected)
    assert not paint_regions([[[1.0, 1.0, 2.0, 2.0]]], SIZE).any()


def test_boxes_and_several_regions_are_joined() -> None:
    mask = paint_regions([uncompressed(drawing()), (-3.0, 15.0, 4.0, 40.0)], SIZE)
    expected = drawing().astype(bool)
    expected[15:, :4] = True
    np.testing.assert_array_equal(mask, expected)


def test_a_lazy_mask_travels_between_processes() -> None:
    paint = pickle.loads(pickle.dumps(lazy_mask([uncompressed(drawing())])))
    assert paint(SIZE).sum() == drawing().sum()


def test_run_lengths_of_another_picture_are_refused() -> None:
    with pytest.raises(UsageError, match=r"drawn for a picture of 20 × 30 .* this one has 30 × 20"):
        paint_regions([uncompressed(drawing())], (30, 20))
    with pytest.raises(UsageError, match="counts 7 px of 600; it is damaged"):
        paint_regions([{"size": list(SIZE), "counts": [3, 4]}], SIZE)


def test_filled_polygons_include_their_border() -> None:
    mask = fill_polygons([[(2, 3), (6, 3), (6, 8), (2, 8)]], SIZE)
    expected = np.zeros(SIZE, bool)
    expected[3:9, 2:7] = True
    np.testing.assert_array_equal(mask, expected)
