"""The window's icons: there, drawn in the theme's colour, sharp on dense displays."""

import re
from pathlib import Path

import pytest
from PySide6.QtCore import QSize
from PySide6.QtGui import QColor, QIcon, QPalette
from PySide6.QtWidgets import QApplication

from app.desktop.icons import icon, icon_names
from assets import icons_dir

SOURCES = Path(__file__).parents[3] / "app" / "desktop"
USED = re.compile(r'(?:\bicon|IconButton|_button|_push|RowButton|Card)\(\s*"([a-z-]+)"')


def drawn(name: str, size: int, ratio: float = 1.0) -> set[tuple[int, int, int]]:
    """Return the colours of the pixels that an icon covers for the most part."""
    image = icon(name).pixmap(QSize(size, size), ratio).toImage()
    pixels = (image.pixelColor(x, y) for x in range(image.width()) for y in range(image.height()))
    return {(c.red(), c.green(), c.blue()) for c in pixels if c.alpha() > 200}


@pytest.mark.parametrize("name", icon_names())
def test_an_icon_is_drawn_in_the_colour_of_the_texts(qapp: QApplication, name: str):
    colours = drawn(name, 32)
    assert colours
    if name != "steadypose":
        text = qapp.palette().color(QPalette.ColorRole.ButtonText)
        assert all(max(abs(a - b) for a, b in zip(c, text.getRgb()[:3], strict=True)) < 40 for c in colours)


def test_an_icon_follows_the_theme(qapp: QApplication):
    before = qapp.palette()
    try:
        palette = QPalette(before)
        palette.setColor(QPalette.ColorRole.ButtonText, QColor(250, 10, 20))
        qapp.setPalette(palette)
        assert all(red > 200 and green < 60 for red, green, _ in drawn("play", 24))
    finally:
        qapp.setPalette(before)


def test_an_icon_that_is_switched_off_is_paler():
    picture = icon("play")
    on, off = (
        picture.pixmap(QSize(24, 24), 1.0, mode).toImage()
        for mode in (QIcon.Mode.Normal, QIcon.Mode.Disabled)
    )
    assert on != off


def test_an_icon_is_sharp_on_a_dense_display():
    assert icon("play").pixmap(QSize(24, 24), 2.0).toImage().width() == 48


def test_every_icon_that_is_asked_for_is_there():
    asked = {name for path in SOURCES.glob("*.py") for name in USED.findall(path.read_text(encoding="utf-8"))}
    assert len(asked) > 15
    assert asked <= set(icon_names())


def test_every_icon_is_one_file_in_one_style():
    for path in icons_dir().glob("*.svg"):
        text = path.read_text(encoding="utf-8")
        assert 'viewBox="0 0 24 24"' in text or path.stem == "steadypose", path.name
        assert "currentColor" in text or path.stem == "steadypose", path.name


def test_an_unknown_icon_is_an_error():
    with pytest.raises(FileNotFoundError):
        icon("no-such-icon")
