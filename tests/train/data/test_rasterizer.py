import numpy as np
import pytest

from train.data import rasterizer
from train.data.rasterizer import EMPTY, draw_triangles, new_frame_buffer

# As seen, with y down: counter-clockwise, so facing the viewer.
RIGHT_ANGLE = np.array([[1.0, 1.0], [1.0, 5.0], [5.0, 1.0]])
ONE = np.array([[0, 1, 2]])


def test_a_triangle_covers_exactly_the_pixel_centres_inside_it():
    buffer = new_frame_buffer((8, 8))
    covered = draw_triangles(buffer, RIGHT_ANGLE, np.ones(3), ONE)
    expected = np.zeros((8, 8), bool)
    for y in range(8):
        for x in range(8):
            expected[y, x] = x >= 1 and y >= 1 and (x - 1) + (y - 1) <= 4
    np.testing.assert_array_equal(buffer.triangle != EMPTY, expected)
    np.testing.assert_array_equal(covered, np.flatnonzero(expected))


def test_what_turns_its_back_is_drawn_only_if_double_sided():
    away = RIGHT_ANGLE[[0, 2, 1]]
    buffer = new_frame_buffer((8, 8))
    assert not len(draw_triangles(buffer, away, np.ones(3), ONE))
    assert len(draw_triangles(buffer, away, np.ones(3), ONE, double_sided=np.array([True])))


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
@pytest.mark.parametrize("chunk", [1, 1_000_000])
def test_the_nearer_triangle_wins_whatever_the_order(order, chunk, monkeypatch):
    monkeypatch.setattr(rasterizer, "CHUNK_PAIRS", chunk)
    buffer = new_frame_buffer((8, 8))
    points = np.concatenate([RIGHT_ANGLE, RIGHT_ANGLE + [1, 0]])
    depth = np.repeat([1 / 2.0, 1 / 5.0], 3)
    triangles = np.array([[0, 1, 2], [3, 4, 5]])[list(order)]
    draw_triangles(buffer, points, depth, triangles)
    near = order.index(0)
    assert buffer.triangle[2, 3] == near
    assert buffer.inverse_depth[2, 3] == pytest.approx(0.5)
    assert buffer.triangle[1, 6] == 1 - near


def test_triangles_drawn_later_are_hidden_by_nearer_ones_drawn_before():
    buffer = new_frame_buffer((8, 8))
    draw_triangles(buffer, RIGHT_ANGLE, np.full(3, 0.5), ONE)
    covered = draw_triangles(buffer, RIGHT_ANGLE, np.full(3, 0.25), ONE, first_index=1)
    assert len(covered) == 15
    assert set(np.unique(buffer.triangle)) == {EMPTY, 0}


def test_weights_give_back_the_position_and_the_depth_of_every_pixel():
    buffer = new_frame_buffer((40, 40))
    points = np.array([[3.2, 4.7], [8.1, 33.9], [36.4, 12.3]])
    inverse = np.array([0.5, 0.2, 0.9])
    draw_triangles(buffer, points, inverse, ONE)
    rows, columns = np.nonzero(buffer.triangle == 0)
    assert len(rows) > 300
    weights = buffer.weights[rows, columns]
    full = np.concatenate([1 - weights.sum(1, keepdims=True), weights], 1)
    np.testing.assert_allclose(full @ points, np.stack([columns, rows], 1), atol=1e-4)
    np.testing.assert_allclose(buffer.inverse_depth[rows, columns], full @ inverse, atol=1e-6)


def test_neighbours_leave_no_gap_between_them():
    buffer = new_frame_buffer((30, 30))
    corner = np.array([[2.3, 3.1], [1.7, 27.2], [26.9, 25.8], [27.4, 2.2]])
    draw_triangles(buffer, corner, np.ones(4), np.array([[0, 1, 2], [0, 2, 3]]))
    assert (buffer.triangle[5:24, 5:24] != EMPTY).all()


def test_what_lies_outside_the_picture_or_behind_the_camera_is_left_out():
    buffer = new_frame_buffer((8, 8))
    assert not len(draw_triangles(buffer, RIGHT_ANGLE + 100, np.ones(3), ONE))
    assert not len(draw_triangles(buffer, RIGHT_ANGLE, np.array([1.0, 0.0, 1.0]), ONE))
    assert len(draw_triangles(buffer, RIGHT_ANGLE * 50 - 100, np.ones(3), ONE)) <= 64
