import pytest
from PySide6.QtCore import Qt
from PySide6.QtGui import QColor
from pytestqt.qtbot import QtBot

from app.desktop.card import Card, RowButton
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
    for key in (Qt.Key.Key_Space, Qt.Key.Key_Return, Qt.Key.Key_Enter):
        with qtbot.waitSignal(card.clicked):
            qtbot.keyClick(card, key)


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


def test_a_row_shortens_its_text_and_keeps_its_name(qtbot: QtBot):
    row = RowButton("file", "a" * 100 + ".mp4", "/videos", stretch=True)
    qtbot.addWidget(row)
    row.resize(200, 28)
    assert "…" in row.shown_text and row.shown_text.endswith(".mp4")
    row.resize(row.sizeHint())
    assert row.shown_text == row.text()


@pytest.mark.parametrize("by_key", [False, True])
def test_a_row_is_a_button(qtbot: QtBot, by_key: bool):
    row = RowButton("folder", "&Image folder…", "Open a folder")
    qtbot.addWidget(row)
    row.show()
    with qtbot.waitSignal(row.clicked):
        if by_key:
            qtbot.keyClick(row, Qt.Key.Key_Space)
        else:
            qtbot.mouseClick(row, Qt.MouseButton.LeftButton)


def test_focus_is_seen_on_a_row(qtbot: QtBot):
    row = RowButton("folder", "&Image folder…", "Open a folder")
    qtbot.addWidget(row)
    with qtbot.waitActive(row):
        row.show()
        row.activateWindow()
    row.clearFocus()
    before = row.grab().toImage()
    row.setFocus()
    assert row.grab().toImage() != before
