"""Menus and tool bar: which action stands where."""

from collections.abc import Callable, Mapping
from typing import TypeVar

from PySide6.QtCore import QCoreApplication, QSize, Qt
from PySide6.QtGui import QAction, QActionGroup
from PySide6.QtWidgets import QDockWidget, QMainWindow, QMenu, QToolBar, QToolButton

from app.desktop.icons import icon
from app.desktop.stage_colours import OverlayPalette
from app.desktop.theme import THEMES, ThemeName

Name = TypeVar("Name", bound=str)

_MENUS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("&File", (
        "open_camera", "open_file", "open_folder", "open_stream", "open_demo", "-", "snapshot", "-",
        "close_source", "-", "quit",
    )),
    ("&Playback", (
        "play", "step_back", "step_on", "skip_back", "skip_on", "to_start", "-", "faster", "slower", "loop",
    )),
    ("&Record", ("record", "mark", "-", "record_folder", "open_record_folder")),
    ("&View", (
        "limbs", "keypoints", "boxes", "ids", "trails", "angles", "raw", "heatmap", "-", "mirrored", "region",
        "clear_region", "unfollow", "-", "zoom_in", "zoom_out", "fit", "fullscreen", "-",
    )),
    ("&Help", ("shortcuts", "diagnostics", "about")),
)  # fmt: skip
_BAR = (
    "open_camera", "open_file", "open_stream", "open_demo", "-", "snapshot", "region", "mirrored", "-",
    "limbs", "boxes", "ids", "trails", "angles", "raw", "heatmap", "-", "zoom_out", "fit", "zoom_in",
)  # fmt: skip
_CONTEXT = "Menus"
_THEME_TEXTS: dict[ThemeName, str] = {
    "system": "As the &system",
    "light": "&Light",
    "dark": "&Dark",
    "high-contrast": "&High contrast",
}
_PALETTE_TEXTS: dict[OverlayPalette, str] = {
    "colour-blind": "Safe for the &colour-blind",
    "vivid": "&Vivid",
    "high-contrast": "&High contrast",
}


def translate(text: str) -> str:
    """Return a menu's text in the user's language."""
    return QCoreApplication.translate(_CONTEXT, text)


def fill_menus(window: QMainWindow, actions: Mapping[str, QAction]) -> dict[str, QMenu]:
    """Make the menus and return them by their English name without mnemonic."""
    menus = {}
    for title, names in _MENUS:
        menu = window.menuBar().addMenu(translate(title))
        menu.setToolTipsVisible(True)
        _fill(menu, names, actions)
        menus[title.replace("&", "")] = menu
    return menus


def fill_bar(window: QMainWindow, actions: Mapping[str, QAction]) -> QToolBar:
    """Make the tool bar."""
    bar = QToolBar(translate("Tools"), window)
    bar.setObjectName("tools")
    bar.setIconSize(QSize(20, 20))
    bar.setMovable(False)
    bar.setContextMenuPolicy(Qt.ContextMenuPolicy.PreventContextMenu)
    _fill(bar, _BAR, actions)
    for name in ("open_camera", "open_file", "open_demo"):
        button = bar.widgetForAction(actions[name])
        if isinstance(button, QToolButton):
            button.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
    window.addToolBar(bar)
    return bar


def add_docks(menu: QMenu, docks: Mapping[str, QDockWidget]) -> None:
    """Let the docks be shown and hidden from a menu."""
    sub = menu.addMenu(translate("&Panels"))
    for dock in docks.values():
        sub.addAction(dock.toggleViewAction())


def add_choices(
    menu: QMenu,
    theme: ThemeName,
    palette: OverlayPalette,
    set_theme: Callable[[ThemeName], None],
    set_palette: Callable[[OverlayPalette], None],
) -> None:
    """Let theme and colours of people be chosen from a menu."""
    texts = {name: _THEME_TEXTS[name] for name in THEMES}
    _add_group(menu.addMenu(icon("sun"), translate("&Theme")), texts, theme, set_theme)
    _add_group(menu.addMenu(translate("&Colours of people")), _PALETTE_TEXTS, palette, set_palette)


def _add_group(
    menu: QMenu,
    texts: Mapping[Name, str],
    chosen: Name,
    choose: Callable[[Name], None],
) -> None:
    group = QActionGroup(menu)
    for name, text in texts.items():
        action = menu.addAction(translate(text))
        action.setCheckable(True)
        action.setChecked(name == chosen)
        action.setObjectName(name)
        action.triggered.connect(lambda _checked, name=name: choose(name))
        group.addAction(action)


def _fill(target: QMenu | QToolBar, names: tuple[str, ...], actions: Mapping[str, QAction]) -> None:
    for name in names:
        if name == "-":
            target.addSeparator()
        else:
            target.addAction(actions[name])
