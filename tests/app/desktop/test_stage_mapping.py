import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.desktop.stage_mapping import MAX_SCALE, Zoom, fit_scale

FRAME, VIEW = (720, 1280), (540, 960)


@given(
    scale=st.none() | st.floats(0.1, 8),
    x=st.floats(-50, 1400),
    y=st.floats(-50, 800),
    mirrored=st.booleans(),
    ratio=st.sampled_from([1.0, 1.25, 2.0]),
)
def test_a_place_in_the_frame_comes_back_from_the_view(scale, x, y, mirrored, ratio):
    place = Zoom(scale, (300.0, 200.0)).place(FRAME, VIEW, mirrored=mirrored, pixel_ratio=ratio)
    view_x, view_y = place.to_view(np.array([x, y]))
    assert place.to_frame(view_x, view_y) == pytest.approx((x, y), abs=1e-6)


@pytest.mark.parametrize("view", [(540, 960), (900, 300), (300, 900), (1, 1)])
def test_a_fitted_frame_keeps_its_aspect_and_lies_in_the_middle(view):
    left, top, width, height = Zoom().place(FRAME, view).bounds
    assert width / height == pytest.approx(1280 / 720)
    assert width <= view[1] + 1e-9
    assert height <= view[0] + 1e-9
    assert left == pytest.approx((view[1] - width) / 2, abs=0.51)
    assert top == pytest.approx((view[0] - height) / 2, abs=0.51)


def test_mirroring_exchanges_left_and_right_only():
    plain, mirrored = Zoom().place(FRAME, VIEW), Zoom().place(FRAME, VIEW, mirrored=True)
    assert mirrored.to_view(np.array([0.0, 7.0])) == pytest.approx(plain.to_view(np.array([1279.0, 7.0])))


def test_the_first_pixel_has_its_centre_half_a_pixel_from_the_corner():
    place = Zoom(2.0, (0.0, 0.0)).place(FRAME, VIEW)
    assert place.to_view(np.array([0.0, 0.0])) == pytest.approx([1.0, 1.0])


@pytest.mark.parametrize("mirrored", [False, True])
def test_zooming_keeps_what_is_under_the_mouse(mirrored):
    place = Zoom().place(FRAME, VIEW, mirrored=mirrored)
    before = place.to_frame(400, 300)
    zoom = Zoom().about(3.0, place, VIEW, 400, 300)
    after = zoom.place(FRAME, VIEW, mirrored=mirrored).to_frame(400, 300)
    assert after == pytest.approx(before, abs=0.5)


def test_zooming_out_again_ends_at_the_fitted_frame():
    zoom, place = Zoom(), Zoom().place(FRAME, VIEW)
    for factor in (1.25, 1.25, 0.8, 0.8, 0.8):
        zoom = zoom.about(factor, place, VIEW, 100, 100)
        place = zoom.place(FRAME, VIEW)
    assert place == Zoom().place(FRAME, VIEW)


def test_zooming_in_ends():
    zoom, place = Zoom(), Zoom().place(FRAME, VIEW)
    for _ in range(40):
        zoom = zoom.about(1.25, place, VIEW, 100, 100)
        place = zoom.place(FRAME, VIEW)
    assert place.scale == MAX_SCALE


@pytest.mark.parametrize("mirrored", [False, True])
def test_panning_moves_the_frame_with_the_mouse_but_never_off_the_edge(mirrored):
    zoom = Zoom(2.0, (640.0, 360.0))
    place = zoom.place(FRAME, VIEW, mirrored=mirrored)
    moved = zoom.moved(place, VIEW, 30, -20).place(FRAME, VIEW, mirrored=mirrored)
    assert (moved.left - place.left, moved.top - place.top) == pytest.approx((30, -20))
    far = zoom.moved(place, VIEW, 9000, 9000).place(FRAME, VIEW, mirrored=mirrored)
    assert (far.left, far.top) == (0, 0)


def test_a_frame_at_its_own_size_lies_on_whole_physical_pixels():
    place = Zoom(0.5, (100.3, 100.7)).place((501, 701), (400, 600), pixel_ratio=2.0)
    assert (place.left * 2) % 1 == 0
    assert (place.top * 2) % 1 == 0


def test_a_box_in_a_mirror_still_has_its_left_on_the_left():
    place = Zoom().place(FRAME, VIEW, mirrored=True)
    left, top, width, height = place.box_to_view(np.array([0.0, 0.0, 100.0, 40.0]))
    assert (width, height) == pytest.approx((75, 30))
    assert left > 800
    assert top == pytest.approx(0.375)


def test_a_view_without_room_still_has_a_scale():
    assert fit_scale(FRAME, (0, 0)) > 0
