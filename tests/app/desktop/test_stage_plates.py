from dataclasses import replace

import pytest
from PySide6.QtGui import QColor, QFont, QImage, QPainter
from pytestqt.qtbot import QtBot

from app.desktop.stage_plates import Plate, paint_ready_plate, text_width

GREEN, WHITE = QColor(0, 120, 60).rgba(), QColor(255, 255, 255).rgba()


@pytest.fixture
def plate(qtbot: QtBot) -> Plate:
    font = QFont()
    font.setPixelSize(14)
    return Plate("12", font.toString(), 40, 20, radius=6, fill=GREEN, ink=WHITE)


def paint(*plates: Plate, ratio: float = 1.0) -> QImage:
    image = QImage(round(100 * ratio), round(60 * ratio), QImage.Format.Format_RGB32)
    image.setDevicePixelRatio(ratio)
    image.fill(QColor(0, 0, 0))
    with QPainter(image) as painter:
        for plate in plates:
            paint_ready_plate(painter, 30, 20, plate)
    return image


def colour(image: QImage, x: int, y: int) -> tuple[int, int, int]:
    found = image.pixelColor(x, y)
    return found.red(), found.green(), found.blue()


@pytest.mark.parametrize("ratio", [1, 2])
def test_a_plate_lies_where_it_is_put_on_displays_of_any_density(plate: Plate, ratio: int):
    image = paint(replace(plate, ratio=ratio), ratio=ratio)
    for x, y in ((33, 29), (66, 29), (50, 21), (50, 38)):
        assert colour(image, x * ratio, y * ratio) == (0, 120, 60)
    for x, y in ((28, 30), (71, 30), (50, 18), (50, 41)):
        assert colour(image, x * ratio, y * ratio) == (0, 0, 0)


def test_a_border_lies_half_outside(plate: Plate):
    bordered = replace(plate, rim=QColor(255, 0, 0).rgba(), line=2.0)
    image = paint(bordered)
    assert colour(image, 29, 30) == colour(image, 30, 30) == (255, 0, 0)
    assert colour(image, 27, 30) == (0, 0, 0) and colour(image, 33, 29) == (0, 120, 60)


def test_its_text_is_written_in_the_middle(plate: Plate):
    plain, written = paint(replace(plate, text="")), paint(plate)
    changed = [x for x in range(100) if any(plain.pixel(x, y) != written.pixel(x, y) for y in range(60))]
    assert changed[0] + changed[-1] == pytest.approx(2 * 50, abs=3)
    assert changed[-1] - changed[0] == pytest.approx(text_width("12", plate.font), abs=4)


def test_plates_that_differ_in_anything_are_painted_differently(plate: Plate):
    others = [
        replace(plate, text="13"),
        replace(plate, fill=WHITE, ink=GREEN),
        replace(plate, width=44.0),
        replace(plate, radius=0.0),
    ]
    images = [paint(plate), *map(paint, others)]
    assert all(one != other for index, one in enumerate(images) for other in images[:index])
