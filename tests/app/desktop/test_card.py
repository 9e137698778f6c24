import pytest
from PySide6.QtCore import Qt
from PySide6.QtGui import QColor
from pytestqt.qtbot import QtBot

from app.desktop.card import Card
from app.desktop.theme import make_palette


@pytest.fixture
def card(qtbot: QtBot) -> Card:
    widget = Card("camera", "&Camera", "Follow people live with a webcam or capture device")
    qtbot.addWidget(widget)
    widget.resize(widget.sizeHint())
    widget.show()
    return widget


def test_a_card_is_a_button_for_mouse_and_keyboard(card: Card, qtbot: QtBot):
    with qtbot.waitSignal(card.clicked):
        qtbot.mouseClick(card, Qt.MouseButton.LeftButton)
    with qtbot.waitSignal(card.clicked):
        qtbot.keyClick(card, Qt.Key.Key_Space)


def test_its_explanation_is_heard_and_read(card: Card):
    assert card.accessibleName() == "Camera"
    assert card.accessibleDescription() == card.toolTip() != ""


@pytest.mark.parametrize("wide", [False, True])
def test_a_narrow_card_is_higher(card: Card, wide: bool):
    card.set_wide(wide)
    assert card.heightForWidth(160) > card.heightForWidth(480)


def test_wide_puts_the_texts_beside_the_icon(card: Card):
    upright = card.heightForWidth(400)
    card.set_wide(True)
    assert card.heightForWidth(400) < upright


@pytest.mark.parametrize("theme", ["light", "dark", "high-contrast"])
def test_it_takes_its_ground_from_the_palette(card: Card, theme: str):
    palette = make_palette(theme)
    card.setPalette(palette)
    card.setAttribute(Qt.WidgetAttribute.WA_UnderMouse, False)
    ground = card.grab().toImage().pixelColor(10, 10)
    assert ground == QColor(palette.base().color())
