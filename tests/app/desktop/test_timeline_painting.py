import numpy as np
import pytest
from PySide6.QtCore import QRectF
from PySide6.QtGui import QFont, QFontMetricsF, QImage, QPainter
from pytestqt.qtbot import QtBot

from app.desktop.theme import make_palette, status_colour
from app.desktop.timeline_painting import UNVISITED, label_box, paint_people


@pytest.mark.parametrize(("x", "left_edge"), [(-50.0, True), (0.0, True), (500.0, False), (900.0, False)])
def test_a_label_stays_within_the_widget(qtbot: QtBot, x: float, left_edge: bool):
    box = label_box(x, "0:12.6", QFontMetricsF(QFont()), 500.0, 13.0)
    assert (box.left() == 0) if left_edge else (box.right() == pytest.approx(500))


def test_a_label_stands_over_its_place(qtbot: QtBot):
    box = label_box(200.0, "0:12.6", QFontMetricsF(QFont()), 500.0, 13.0)
    assert box.center().x() == pytest.approx(200.0)


@pytest.mark.parametrize("theme", ["light", "dark", "high-contrast"])
def test_each_column_is_as_high_as_it_has_people(qtbot: QtBot, theme: str):
    palette = make_palette(theme)
    image = QImage(40, 23, QImage.Format.Format_RGB32)
    image.fill(palette.base().color())
    painter = QPainter(image)
    columns = np.repeat([UNVISITED, 0, 1, 4], 10)
    paint_people(painter, QRectF(0, 0, 40, 23), columns, palette)
    painter.end()
    colour = status_colour("accent", palette).name()
    heights = [sum(image.pixelColor(x, y).name() == colour for y in range(23)) for x in (5, 15, 25, 35)]
    assert heights == [0, 1, 5, 20]
