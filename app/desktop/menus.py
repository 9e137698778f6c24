"""Menus and tool bar: which action stands where."""

from collections.abc import Callable, Mapping
from typing import TypeVar

from PySide6.QtCore import QCoreApplication, QSize, Qt
from PySide6.QtGui import QAction, QActionGroup
from PySide6.QtWidgets import QDockWidget, QMainWindow, QMenu, QToolBar, QToolButton

from app.desktop.icons import icon
from app.desktop.stage_colours import OverlayPalette
from app.desktop.theme import THEMES, ThemeName
from app.desktop.translatable import QT_TRANSLATE_NOOP

Name = TypeVar("Name", bound=str)

_MENUS: tuple[tuple[str, tuple[str, ...]], ...] = (
    (QT_TRANSLATE_NOOP("Menus", "&File"), (
        "open_camera", "open_file", "open_folder", "open_stream", "open_demo", "-", "snapshot", "-",
        "close_source", "-", "quit",
    )),
    (QT_TRANSLATE_NOOP("Menus", "&Playback"), (
        "play", "step_back", "step_on", "skip_back", "skip_on", "to_start", "-", "faster", "slower", "loop",
    )),
    (QT_TRANSLATE_NOOP("Menus", "&Record"), ("record", "mark", "-", "record_folder", "open_record_folder")),
    (QT_TRANSLATE_NOOP("Menus", "&View"), (
        "limbs", "keypoints", "boxes", "ids", "trails", "angles", "raw", "heatmap", "-", "mirrored", "region",
        "clear_region", "unfollow", "-", "zoom_in", "zoom_out", "fit", "fullscreen", "-",
    )),
    (QT_TRANSLATE_NOOP("Menus", "&Help"), ("shortcuts", "diagnostics", "about")),
)  # fmt: skip
_BAR = (
    "open_camera", "open_file", "open_stream", "open_demo", "-", "snapshot", "region", "mirrored", "-",
    "limbs", "keypoints", "boxes", "ids", "trails", "angles", "raw", "heatmap", "-",
    "zoom_out", "fit", "zoom_in", "fullscreen",
)  # fmt: skip
_THEME_TEXTS: dict[ThemeName, str] = {
    "system": QT_TRANSLATE_NOOP("Menus", "As the &system"),
    "light": QT_TRANSLATE_NOOP("Menus", "&Light"),
    "dark": QT_TRANSLATE_NOOP("Menus", "&Dark"),
    "high-contrast": QT_TRANSLATE_NOOP("Menus", "&High contrast"),
}
_PALETTE_TEXTS: dict[OverlayPalette, str] = {
    "colour-blind": QT_TRANSLATE_NOOP("Menus", "Safe for the &colour-blind"),
    "vivid": QT_TRANSLATE_NOOP("Menus", "&Vivid"),
    "high-contrast": QT_TRANSLATE_NOOP("Menus", "&High contrast"),
}


def translate(text: str) -> str:
    """Return a menu's text in the user's language."""
    return QCoreApplication.translate("Menus", text)


def menu_groups() -> list[tuple[str, list[str]]]:
    """Return each menu's title and the names of its actions."""
    return [(translate(title), [name for name in names if name != "-"]) for title, names in _MENUS]


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
    bar = QToolBar(QCoreApplication.translate("Menus", "Tools"), window)
    bar.setObjectName("tools")
    bar.setIconSize(QSize(20, 20))
    bar.setMovable(False)
    bar.setContextMenuPolicy(Qt.ContextMenuPolicy.PreventContextMenu)
    _fill(bar, _BAR, actions)
    for name in _BAR:
        button = bar.widgetForAction(actions[name]) if name != "-" else None
        if isinstance(button, QToolButton):
            button.setFocusPolicy(Qt.FocusPolicy.TabFocus)
            button.setAccessibleName(actions[name].iconText())
            if name.startswith("open_"):
                button.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
    window.addToolBar(bar)
    return bar


def add_docks(menu: QMenu, docks: Mapping[str, QDockWidget]) -> None:
    """Let the docks be shown and hidden from a menu."""
    sub = menu.addMenu(QCoreApplication.translate("Menus", "&Panels"))
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
    _add_group(
        menu.addMenu(icon("sun"), QCoreApplication.translate("Menus", "Them&e")), texts, theme, set_theme
    )
    _add_group(
        menu.addMenu(QCoreApplication.translate("Menus", "&Colours of people")),
        _PALETTE_TEXTS,
        palette,
        set_palette,
    )


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
