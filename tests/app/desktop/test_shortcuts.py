"""The list of all keys."""

import pytest
from PySide6.QtWidgets import QLabel, QMainWindow
from pytestqt.qtbot import QtBot

from app.desktop.actions import ACTIONS, make_actions
from app.desktop.shortcuts import Group, action_groups, into_columns, plain, shortcuts_dialog


@pytest.fixture
def window(qtbot: QtBot) -> QMainWindow:
    window = QMainWindow()
    qtbot.addWidget(window)
    window.show()
    return window


def group(title: str, rows: int) -> Group:
    return title, [(f"{title} {row}", "K") for row in range(rows)]


def test_every_key_is_listed_once(window: QMainWindow):
    rows = [row for _, rows in action_groups(make_actions(window)) for row in rows]
    assert len(rows) == sum(bool(spec.keys) for spec in ACTIONS.values())
    assert ("Play or pause", "Space") in rows and ("Zoom in", "+ or =") in rows


def test_the_dialog_shows_them_and_fits_the_screen(window: QMainWindow):
    dialog = shortcuts_dialog(window, make_actions(window))
    dialog.open()
    texts = {label.text() for label in dialog.findChildren(QLabel)}
    assert {"File", "Playback", "In the list of people", "On the time line", "F11", "Ctrl+O"} <= texts
    room = dialog.screen().availableGeometry()
    assert dialog.width() <= room.width() and dialog.height() <= room.height()
    dialog.reject()


def test_groups_are_shared_out_in_order_to_columns_of_about_one_height():
    groups = [group("a", 8), group("b", 2), group("c", 6), group("d", 4)]
    columns = into_columns(groups, 2)
    assert [[title for title, _ in column] for column in columns] == [["a", "b"], ["c", "d"]]
    assert into_columns(groups, 1) == [groups]
    assert len(into_columns(groups, 9)) <= 4


def test_menu_texts_lose_mnemonics_and_dots():
    assert plain("Open &video…") == "Open video"
    assert plain("Cut && paste") == "Cut & paste"
