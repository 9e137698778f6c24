import numpy as np
import pytest

from engine.errors import UsageError
from engine.sinks.image_plane import ImagePlane

CORNERS = np.array([[0.0, 0.0], [127.0, 95.0], [np.nan, np.nan]])
"""Centres of the top-left and bottom-right pixels of 96 x 128, and a missing one."""


def test_pixels_are_turned_upright():
    assert ImagePlane(96).place(CORNERS)[:2].tolist() == [[0, 95], [127, 0]]


def test_a_scale_makes_metres_or_what_else_is_wanted():
    plane = ImagePlane(96, px_per_metre=50)
    assert plane.place(CORNERS)[:2] == pytest.approx(np.array([[0, 1.9], [2.54, 0]]))
    assert plane.place(CORNERS, per_metre=1000)[:2] == pytest.approx(np.array([[0, 1900], [2540, 0]]))


def test_without_a_scale_no_unit_is_made_up():
    plane = ImagePlane(96)
    assert (plane.place(CORNERS, per_metre=1000)[:2] == plane.place(CORNERS)[:2]).all()


@pytest.mark.parametrize("scale", [None, 37.5])
def test_every_place_can_be_brought_back(scale: float | None):
    plane = ImagePlane(96, scale)
    places = plane.place(CORNERS, per_metre=1000)
    assert plane.restore(places, per_metre=1000) == pytest.approx(CORNERS, nan_ok=True)


@pytest.mark.parametrize("scale", [0, -3, np.inf, np.nan])
def test_a_scale_that_is_none_is_refused(scale: float):
    with pytest.raises(UsageError, match="px per metre above 0"):
        ImagePlane(96, scale)
