import pytest
from PySide6.QtCore import Qt
from pytestqt.qtbot import QtBot

from app.desktop.icon_button import IconButton


@pytest.fixture
def button(qtbot: QtBot) -> IconButton:
    widget = IconButton("close", "Close this message", name="Close")
    qtbot.addWidget(widget)
    with qtbot.waitActive(widget):
        widget.show()
        widget.activateWindow()
    return widget


def test_it_has_a_name_and_a_tooltip(button: IconButton):
    assert button.accessibleName() == "Close"
    assert button.toolTip() == "Close this message"
    assert IconButton("close", "Close it").accessibleName() == "Close it"


def test_it_works_by_mouse_and_key(button: IconButton, qtbot: QtBot):
    with qtbot.waitSignal(button.clicked):
        qtbot.mouseClick(button, Qt.MouseButton.LeftButton)
    with qtbot.waitSignal(button.clicked):
        qtbot.keyClick(button, Qt.Key.Key_Space)


def test_focus_is_seen(button: IconButton):
    edge = button.width() // 2, 1
    colour = button.palette().highlight().color().name()
    button.clearFocus()
    assert button.grab().toImage().pixelColor(*edge).name() != colour
    button.setFocus()
    assert button.grab().toImage().pixelColor(*edge).name() == colour
