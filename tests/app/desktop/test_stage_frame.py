import numpy as np
import pytest
from PySide6.QtGui import QColor, QImage, QPainter

from app.desktop.stage_frame import FramePainter, as_picture
from app.desktop.stage_mapping import Zoom
from engine.structures import Image

VIEW = (120, 160)
GROUND = QColor(10, 20, 30)
FRAMES = FramePainter()
"""One for all tests: what a frame of another size leaves in its memory must not show."""


@pytest.fixture(autouse=True)
def _application(qapp):
    """Painting needs one."""


def halves(size: tuple[int, int]) -> Image:
    """Blue on the left, red on the right."""
    image = np.zeros((*size, 3), np.uint8)
    image[:, : size[1] // 2] = (255, 0, 0)
    image[:, size[1] // 2 :] = (0, 0, 255)
    return image


def paint(image: Image, zoom: Zoom, ratio: float, *, mirrored: bool = False) -> QImage:
    """The view in physical pixels."""
    target = QImage(round(VIEW[1] * ratio), round(VIEW[0] * ratio), QImage.Format.Format_RGB32)
    target.setDevicePixelRatio(ratio)
    target.fill(GROUND)
    size = (image.shape[0], image.shape[1])
    place = zoom.place(size, VIEW, mirrored=mirrored, pixel_ratio=ratio)
    with QPainter(target) as painter:
        FRAMES.paint(painter, image, place, VIEW, ratio)
    return target


@pytest.mark.parametrize("ratio", [1.0, 2.0])
@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize("size", [(600, 800), (150, 200), (120, 160), (90, 120), (15, 20)])
@pytest.mark.parametrize("scale", [None, 3.0])
def test_both_halves_meet_in_the_middle_whatever_the_scale(ratio, mirrored, size, scale):
    picture = paint(halves(size), Zoom(scale), ratio, mirrored=mirrored)
    middle, row = picture.width() // 2, picture.height() // 2
    # As far from the middle as a smoothly enlarged edge may reach.
    reach = max(2, round(160 * ratio / size[1]))
    left, right = picture.pixelColor(middle - reach - 1, row), picture.pixelColor(middle + reach, row)
    assert (left.blue(), right.red()) == ((0, 0) if mirrored else (255, 255))
    assert (left.red(), right.blue()) == ((255, 255) if mirrored else (0, 0))


@pytest.mark.parametrize("ratio", [1.0, 2.0])
def test_a_fitted_frame_covers_the_view_to_its_edges(ratio):
    picture = paint(halves((300, 400)), Zoom(), ratio)
    for x in (0, picture.width() - 1):
        for y in (0, picture.height() - 1):
            assert picture.pixelColor(x, y) != GROUND


def test_at_its_own_size_every_pixel_is_kept_on_a_dense_display():
    image = np.random.default_rng(0).integers(0, 255, (240, 320, 3), np.uint8)
    picture = paint(image, Zoom(0.5), 2.0)
    shown = np.frombuffer(picture.constBits(), np.uint8).reshape(240, 320, 4)[..., :3]
    assert np.array_equal(shown, image)


def test_much_enlarged_pixels_have_sharp_edges():
    picture = paint(halves((120, 160)), Zoom(8.0), 1.0)
    colours = {picture.pixelColor(x, 60).rgb() for x in range(160)}
    assert colours == {QColor(0, 0, 255).rgb(), QColor(255, 0, 0).rgb()}


def test_a_fine_pattern_is_averaged_where_most_of_it_is_dropped():
    image = np.zeros((960, 1280, 3), np.uint8)
    image[:, ::2] = 255
    row = [paint(image, Zoom(), 1.0).pixelColor(x, 60).red() for x in range(10, 150)]
    assert max(row) - min(row) < 8
    assert row[0] == pytest.approx(127, abs=4)


@pytest.mark.parametrize("size", [(601, 803), (1081, 1443), (245, 333)])
def test_edges_stay_in_their_place_where_the_ratio_is_no_whole_number(size):
    image = np.full((*size, 3), 255, np.uint8)
    image[:, : size[1] // 4] = 0
    row = [paint(image, Zoom(), 1.0).pixelColor(x, 60).red() for x in range(VIEW[1])]
    edge = next(x for x, red in enumerate(row) if red > 127)
    assert edge == pytest.approx(VIEW[1] / 4, abs=1.5)
    assert row[: edge - 2] == [0] * (edge - 2) and set(row[edge + 2 :]) == {255}


def test_frames_of_one_size_are_painted_in_the_same_memory():
    frames = FramePainter()
    rooms = []
    for value in (10, 200):
        target = QImage(160, 120, QImage.Format.Format_RGB32)
        place = Zoom().place((480, 640), VIEW, mirrored=True)
        with QPainter(target) as painter:
            frames.paint(painter, np.full((480, 640, 3), value, np.uint8), place, VIEW)
        assert target.pixelColor(80, 60).red() == value
        rooms.append({name: id(memory) for name, memory in frames._memory.items()})
    assert rooms[0] == rooms[1] and len(rooms[0]) == 4


def test_an_image_in_pieces_is_refused():
    with pytest.raises(ValueError, match="must be contiguous"):
        as_picture(halves((20, 40))[:, ::2])
