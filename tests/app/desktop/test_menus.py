"""Menus and tool bar on a bare window."""

import pytest
from PySide6.QtCore import Qt
from PySide6.QtGui import QAction
from PySide6.QtWidgets import QDockWidget, QMainWindow, QToolButton
from pytestqt.qtbot import QtBot

from app.desktop.actions import ACTIONS, make_actions
from app.desktop.menus import add_choices, add_docks, fill_bar, fill_menus, menu_groups


@pytest.fixture
def window(qtbot: QtBot) -> QMainWindow:
    window = QMainWindow()
    qtbot.addWidget(window)
    return window


@pytest.fixture
def actions(window: QMainWindow) -> dict[str, QAction]:
    return make_actions(window)


def test_every_action_is_in_just_one_menu(window: QMainWindow, actions: dict[str, QAction]):
    menus = fill_menus(window, actions)
    assert list(menus) == ["File", "Playback", "Record", "View", "Help"]
    placed = [
        action.objectName()
        for menu in menus.values()
        for action in menu.actions()
        if not action.isSeparator()
    ]
    assert sorted(placed) == sorted(ACTIONS)
    assert sorted(name for _, names in menu_groups() for name in names) == sorted(ACTIONS)


def test_sources_have_words_in_the_tool_bar_and_all_tools_a_name(
    window: QMainWindow, actions: dict[str, QAction]
):
    bar = fill_bar(window, actions)
    for action in bar.actions():
        if action.isSeparator():
            continue
        button = bar.widgetForAction(action)
        assert isinstance(button, QToolButton)
        words = button.toolButtonStyle() == Qt.ToolButtonStyle.ToolButtonTextBesideIcon
        assert words == action.objectName().startswith("open_")
        assert button.accessibleName() == action.iconText() and button.toolTip()
        assert button.focusPolicy() == Qt.FocusPolicy.TabFocus
        assert not action.icon().isNull()


def test_every_switch_of_the_overlay_is_a_tool(window: QMainWindow, actions: dict[str, QAction]):
    tools = {action.objectName() for action in fill_bar(window, actions).actions()}
    assert {"limbs", "keypoints", "boxes", "ids", "trails", "angles", "raw", "heatmap"} <= tools


def test_panels_are_shown_and_hidden_from_the_menu(window: QMainWindow, actions: dict[str, QAction]):
    dock = QDockWidget("People", window)
    window.addDockWidget(Qt.DockWidgetArea.RightDockWidgetArea, dock)
    window.show()
    menu = fill_menus(window, actions)["View"]
    add_docks(menu, {"people": dock})
    toggle = menu.actions()[-1].menu().actions()[0]  # type: ignore[attr-defined]
    toggle.trigger()
    assert dock.isHidden()
    toggle.trigger()
    assert not dock.isHidden()


def test_theme_and_palette_are_chosen_one_at_a_time(window: QMainWindow, actions: dict[str, QAction]):
    themes: list[str] = []
    palettes: list[str] = []
    menu = fill_menus(window, actions)["View"]
    add_choices(menu, "dark", "vivid", themes.append, palettes.append)
    theme_menu, palette_menu = (action.menu() for action in menu.actions()[-2:])
    chosen = {action.objectName(): action for action in theme_menu.actions()}  # type: ignore[union-attr]
    assert [name for name, action in chosen.items() if action.isChecked()] == ["dark"]
    chosen["high-contrast"].trigger()
    assert themes == ["high-contrast"]
    assert [name for name, action in chosen.items() if action.isChecked()] == ["high-contrast"]
    palette_menu.actions()[0].trigger()  # type: ignore[union-attr]
    assert palettes == ["colour-blind"]
