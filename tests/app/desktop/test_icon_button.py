import pytest
from PySide6.QtCore import Qt
from PySide6.QtGui import QKeySequence, QShortcut
from PySide6.QtWidgets import QHBoxLayout, QLineEdit, QWidget
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


def test_space_presses_it_once_it_was_reached_by_tab_and_a_click_leaves_space_alone(qtbot: QtBot):
    window, other, button = QWidget(), QLineEdit(), IconButton("loop", "Loop")
    other.setReadOnly(True)
    qtbot.addWidget(window)
    row = QHBoxLayout(window)
    row.addWidget(other)
    row.addWidget(button)
    done: list[str] = []
    button.clicked.connect(lambda: done.append("button"))
    QShortcut(QKeySequence("Space"), window).activated.connect(lambda: done.append("window"))
    with qtbot.waitActive(window):
        window.show()
        window.activateWindow()
    other.setFocus()
    qtbot.mouseClick(button, Qt.MouseButton.LeftButton)
    assert other.hasFocus()
    qtbot.keyClick(other, Qt.Key.Key_Space)
    qtbot.keyClick(other, Qt.Key.Key_Tab)
    assert button.hasFocus()
    qtbot.keyClick(button, Qt.Key.Key_Space)
    assert done == ["button", "window", "button"]
