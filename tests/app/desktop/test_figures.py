import math

import pytest
from PySide6.QtGui import QFont, QFontMetricsF
from pytestqt.qtbot import QtBot

from app.desktop.figures import format_number, format_time, people_text, scaled, tabular


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.0, "0:00.0"),
        (7.29, "0:07.2"),
        (0.3, "0:00.3"),
        (59.99, "0:59.9"),
        (60.0, "1:00.0"),
        (3723.45, "1:02:03.4"),
        (-1.0, "0:00.0"),
        (None, "–"),
        (math.nan, "–"),
    ],
)
def test_a_time_is_cut_to_tenths_of_a_second(seconds: float | None, text: str):
    assert format_time(seconds) == text


def test_a_number_that_is_not_known_is_a_dash():
    assert format_number(29.97) == "30.0"
    assert format_number(3.14159, 2) == "3.14"
    assert format_number(math.nan) == format_number(math.inf) == "–"


def test_people_are_counted_in_words():
    assert [people_text(count) for count in (None, 0, 1, 7)] == [
        "not seen yet",
        "nobody",
        "1 person",
        "7 people",
    ]


def test_a_font_is_scaled_in_the_unit_it_was_set_in(qtbot: QtBot):
    points, pixels = QFont(), QFont()
    points.setPointSizeF(10.0)
    pixels.setPixelSize(20)
    assert scaled(points, 1.5).pointSizeF() == pytest.approx(15.0)
    assert scaled(pixels, 1.5).pixelSize() == 30
    assert points.pointSizeF() == 10.0


def test_running_digits_have_one_width(qtbot: QtBot):
    metrics = QFontMetricsF(tabular(QFont()))
    assert len({round(metrics.horizontalAdvance(digit * 8), 3) for digit in "0123456789"}) == 1
