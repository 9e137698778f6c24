import numpy as np
import pytest

from engine.sources.picture import fit_image, orient_image

ONE = 65536
PICTURE = np.arange(2 * 3, dtype=np.uint8).reshape(2, 3, 1).repeat(3, axis=2)


def matrix(a: int, b: int, c: int, d: int) -> np.ndarray:
    return np.array([a * ONE, b * ONE, 0, c * ONE, d * ONE, 0, 0, 0, 1 << 30], np.int32)


@pytest.mark.parametrize(("a", "b", "c", "d"), [
    (1, 0, 0, 1), (-1, 0, 0, 1), (1, 0, 0, -1), (-1, 0, 0, -1),
    (0, 1, 1, 0), (0, -1, 1, 0), (0, 1, -1, 0), (0, -1, -1, 0),
])  # fmt: skip
def test_every_pixel_goes_where_the_matrix_sends_it(a: int, b: int, c: int, d: int):
    turned = orient_image(PICTURE, matrix(a, b, c, d))
    height, width = turned.shape[:2]
    for q in range(2):
        for p in range(3):
            # The shift that the matrix also holds brings the picture back to 0, 0.
            x = (a * p + c * q) % width if a + c > 0 else width - 1 + a * p + c * q
            y = (b * p + d * q) % height if b + d > 0 else height - 1 + b * p + d * q
            assert (turned[y, x] == PICTURE[q, p]).all()
    assert turned.flags.c_contiguous


def test_a_picture_that_is_upright_is_handed_back_itself():
    assert orient_image(PICTURE, matrix(1, 0, 0, 1)) is PICTURE


@pytest.mark.parametrize(("a", "b", "c", "d"), [(1, 1, -1, 1), (0, 0, 0, 0), (1, 0, 1, 1)])
def test_a_matrix_that_is_no_quarter_turn_is_refused(a: int, b: int, c: int, d: int):
    with pytest.raises(ValueError, match="is no quarter turn"):
        orient_image(PICTURE, matrix(a, b, c, d))


@pytest.mark.parametrize(("shape", "inner"), [
    ((20, 40), (slice(10, 30), slice(0, 40))),
    ((400, 100), (slice(0, 40), slice(15, 25))),
    ((1, 4000), (slice(19, 20), slice(0, 40))),
])  # fmt: skip
def test_a_picture_is_fitted_into_a_size_with_its_proportions(
    shape: tuple[int, int], inner: tuple[slice, slice]
):
    fitted = fit_image(np.full((*shape, 3), 200, np.uint8), (40, 40))
    expected = np.zeros((40, 40, 3), np.uint8)
    expected[inner] = 200
    assert np.array_equal(fitted, expected)
