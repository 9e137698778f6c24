"""Colours reach WCAG AA: 4.5 for texts, 3 for what has to be seen to be used."""

from collections.abc import Iterator
from typing import get_args

import pytest
from PySide6.QtCore import QPoint
from PySide6.QtGui import QColor, QImage, QPalette
from PySide6.QtWidgets import QApplication, QCheckBox, QComboBox, QLineEdit, QPushButton, QSpinBox, QWidget
from pytestqt.qtbot import QtBot

from app.desktop.people_delegate import chip_text
from app.desktop.theme import (
    Role,
    ThemeName,
    apply_theme,
    contrast,
    edge_colour,
    make_palette,
    mixed,
    status_colour,
)
from engine.sinks.drawing import track_colour

THEMES = ("light", "dark", "high-contrast")
ROLES = QPalette.ColorRole
GROUNDS = (ROLES.Window, ROLES.Base, ROLES.AlternateBase)
TEXTS = [
    *((text, ground) for text in (ROLES.WindowText, ROLES.Text, ROLES.PlaceholderText) for ground in GROUNDS),
    *((text, ground) for text in (ROLES.Link, ROLES.LinkVisited) for ground in GROUNDS),
    (ROLES.ButtonText, ROLES.Button),
    (ROLES.HighlightedText, ROLES.Highlight),
    (ROLES.ToolTipText, ROLES.ToolTipBase),
]


@pytest.fixture(autouse=True)
def _theme_as_before(qapp: QApplication) -> Iterator[None]:
    palette, sheet, style = qapp.palette(), qapp.styleSheet(), qapp.style().name()
    yield
    qapp.setStyleSheet(sheet)
    qapp.setStyle(style)
    qapp.setPalette(palette)


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize(("text", "ground"), TEXTS, ids=lambda role: role.name)
def test_texts_can_be_read(theme: ThemeName, text: QPalette.ColorRole, ground: QPalette.ColorRole):
    palette = make_palette(theme)
    assert contrast(palette.color(text), palette.color(ground)) >= 4.5


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize("role", get_args(Role))
def test_texts_in_a_colour_that_means_something_can_be_read(theme: ThemeName, role: Role):
    palette = make_palette(theme)
    for ground in GROUNDS:
        assert contrast(status_colour(role, palette), palette.color(ground)) >= 4.5, ground


@pytest.mark.parametrize("theme", THEMES)
def test_what_is_switched_off_can_still_be_made_out(theme: ThemeName):
    palette = make_palette(theme)
    for text, ground in (
        (ROLES.WindowText, ROLES.Window),
        (ROLES.Text, ROLES.Base),
        (ROLES.ButtonText, ROLES.Button),
    ):
        assert contrast(palette.color(QPalette.ColorGroup.Disabled, text), palette.color(ground)) >= 2.4


@pytest.mark.parametrize("theme", THEMES)
def test_edges_and_the_frame_of_the_focus_are_seen(theme: ThemeName):
    palette = make_palette(theme)
    for ground in (ROLES.Window, ROLES.Base):
        assert contrast(edge_colour(theme), palette.color(ground)) >= 3
        assert contrast(palette.color(ROLES.Highlight), palette.color(ground)) >= 3


def test_the_number_on_a_persons_chip_can_be_read():
    for number in range(1, 40):
        blue, green, red = track_colour(number)
        ground = QColor(red, green, blue)
        for base in ("#ffffff", "#16181c", "#000000"):
            for chip in (ground, mixed(ground, QColor(base), 0.5)):
                assert contrast(chip_text(chip), chip) >= 4.5, number


def test_contrast_is_that_of_the_guidelines():
    assert contrast(QColor("black"), QColor("white")) == pytest.approx(21)
    assert contrast(QColor("#777777"), QColor("white")) == pytest.approx(4.48, abs=0.01)
    assert contrast(QColor("white"), QColor("white")) == pytest.approx(1)


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize("kind", [QCheckBox, QLineEdit, QSpinBox, QComboBox, QPushButton])
def test_the_edge_of_a_control_stands_out_as_painted(
    qapp: QApplication, qtbot: QtBot, theme: ThemeName, kind: type[QWidget]
):
    apply_theme(qapp, theme)
    window = QWidget()
    qtbot.addWidget(window)
    window.resize(200, 60)
    control = kind(window)
    control.move(20, 20)
    window.show()
    ground = window.palette().color(ROLES.Window)
    image = window.grab().toImage()
    assert _strongest(image, control, ground) >= 2.7  # Fusion rounds corners and lightens a little


def test_a_theme_gives_every_window_its_colours(qapp: QApplication, qtbot: QtBot):
    for theme in THEMES:
        apply_theme(qapp, theme)
        window = QWidget()
        qtbot.addWidget(window)
        assert window.palette().color(ROLES.Window) == make_palette(theme).color(ROLES.Window)
        assert window.style().inherits("QFusionStyle") or qapp.styleSheet()


def _strongest(image: QImage, control: QWidget, ground: QColor) -> float:
    """Return the contrast of the left edge, at half height, to the ground."""
    middle = control.geometry().center().y()
    left = control.geometry().left()
    return max(contrast(image.pixelColor(QPoint(x, middle)), ground) for x in range(left, left + 6))
