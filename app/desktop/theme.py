"""Light, dark and high-contrast looks on Qt's Fusion style, and the few colours that mean something.

Widgets take everything else from their palette, so that a change of theme reaches them by itself.
"""

from typing import Literal

from PySide6.QtCore import Qt
from PySide6.QtGui import QColor, QGuiApplication, QPalette
from PySide6.QtWidgets import QApplication

ThemeName = Literal["system", "light", "dark", "high-contrast"]
Role = Literal["good", "warning", "bad", "accent", "record"]

THEMES: tuple[ThemeName, ...] = ("system", "light", "dark", "high-contrast")

_ROLES = QPalette.ColorRole
_PALETTES: dict[str, dict[QPalette.ColorRole, str]] = {
    "light": {
        _ROLES.Window: "#f3f4f6", _ROLES.WindowText: "#1b1f24", _ROLES.Base: "#ffffff",
        _ROLES.AlternateBase: "#f0f2f5", _ROLES.Text: "#1b1f24", _ROLES.PlaceholderText: "#5f6673",
        _ROLES.Button: "#e8eaee", _ROLES.ButtonText: "#1b1f24", _ROLES.BrightText: "#ffffff",
        _ROLES.Highlight: "#0067a8", _ROLES.HighlightedText: "#ffffff", _ROLES.Link: "#0067a8",
        _ROLES.LinkVisited: "#7a4f9a", _ROLES.ToolTipBase: "#1f2937", _ROLES.ToolTipText: "#f9fafb",
        _ROLES.Light: "#ffffff", _ROLES.Midlight: "#eef0f3", _ROLES.Mid: "#c3c8d0", _ROLES.Dark: "#9aa1ab",
        _ROLES.Shadow: "#5b6470",
    },
    "dark": {
        _ROLES.Window: "#1e2126", _ROLES.WindowText: "#e6e8eb", _ROLES.Base: "#16181c",
        _ROLES.AlternateBase: "#22262c", _ROLES.Text: "#e6e8eb", _ROLES.PlaceholderText: "#8d96a3",
        _ROLES.Button: "#2b3037", _ROLES.ButtonText: "#e6e8eb", _ROLES.BrightText: "#ffffff",
        _ROLES.Highlight: "#2477b5", _ROLES.HighlightedText: "#ffffff", _ROLES.Link: "#6cb8ee",
        _ROLES.LinkVisited: "#bf9add", _ROLES.ToolTipBase: "#e6e8eb", _ROLES.ToolTipText: "#16181c",
        _ROLES.Light: "#3a4049", _ROLES.Midlight: "#31363e", _ROLES.Mid: "#434a54", _ROLES.Dark: "#111317",
        _ROLES.Shadow: "#08090b",
    },
    "high-contrast": {
        _ROLES.Window: "#000000", _ROLES.WindowText: "#ffffff", _ROLES.Base: "#000000",
        _ROLES.AlternateBase: "#1a1a1a", _ROLES.Text: "#ffffff", _ROLES.PlaceholderText: "#d0d0d0",
        _ROLES.Button: "#1a1a1a", _ROLES.ButtonText: "#ffffff", _ROLES.BrightText: "#ffff00",
        _ROLES.Highlight: "#ffff00", _ROLES.HighlightedText: "#000000", _ROLES.Link: "#80d8ff",
        _ROLES.LinkVisited: "#ffb0ff", _ROLES.ToolTipBase: "#ffffff", _ROLES.ToolTipText: "#000000",
        _ROLES.Light: "#ffffff", _ROLES.Midlight: "#c0c0c0", _ROLES.Mid: "#ffffff", _ROLES.Dark: "#808080",
        _ROLES.Shadow: "#ffffff",
    },
}  # fmt: skip
_DISABLED = {"light": "#8b929c", "dark": "#6d7682", "high-contrast": "#a8a8a8"}
_EDGES = {"light": "#757c87", "dark": "#78818e", "high-contrast": "#b6b6b6"}
"""Theme to the colour of the edges of check boxes and fields and of the handles of scroll bars: a contrast of
3 to what is around them (WCAG AA for what is no text)."""
_EDGED = (
    "QCheckBox", "QRadioButton", "QPushButton", "QToolButton", "QAbstractSpinBox", "QLineEdit", "QComboBox",
    "QSlider",
)  # fmt: skip
_FUSION_DARKENS = 1.4
"""Fusion paints edges in the window's colour made darker by this; on dark ground they would be lost."""
_GROOVE_SHARE = 0.22
"""How far a groove's colour is from the ground towards the text."""
_STATUS: dict[Role, tuple[str, str]] = {
    "good": ("#00734f", "#35c893"),
    "warning": ("#8a5a00", "#f0b740"),
    "bad": ("#b3261e", "#ff7a6e"),
    "accent": ("#0067a8", "#56b4e9"),
    "record": ("#d32020", "#ff4d4d"),
}
"""Role to its colour on light and on dark ground; all reach a contrast of 4.5 (WCAG AA) on the window's."""


def status_colour(role: Role, palette: QPalette) -> QColor:
    """Return the colour that means `role`, readable on the window colour of `palette`."""
    return QColor(_STATUS[role][is_dark(palette)])


def groove_colour(palette: QPalette) -> QColor:
    """Return a quiet colour for what a bar fills, between a theme's ground and its text."""
    return mixed(palette.color(_ROLES.Window), palette.color(_ROLES.WindowText), _GROOVE_SHARE)


def mixed(first: QColor, second: QColor, share: float) -> QColor:
    """Return the colour a share of the way, 0 to 1, from the first to the second."""
    pairs = (
        (first.redF(), second.redF()),
        (first.greenF(), second.greenF()),
        (first.blueF(), second.blueF()),
    )
    return QColor.fromRgbF(*(one + share * (other - one) for one, other in pairs))


def is_dark(palette: QPalette) -> bool:
    """Whether texts are light on dark."""
    return palette.color(_ROLES.Window).lightnessF() < 0.5


def make_palette(name: Literal["light", "dark", "high-contrast"]) -> QPalette:
    """Return the palette of a theme."""
    palette = QPalette()
    for role, colour in _PALETTES[name].items():
        palette.setColor(role, QColor(colour))
    for role in (_ROLES.WindowText, _ROLES.Text, _ROLES.ButtonText):
        palette.setColor(QPalette.ColorGroup.Disabled, role, QColor(_DISABLED[name]))
    palette.setColor(QPalette.ColorGroup.Disabled, _ROLES.Highlight, QColor(_PALETTES[name][_ROLES.Mid]))
    return palette


def apply_theme(application: QApplication, name: ThemeName) -> None:
    """Give the whole application a look; `system` is light or dark as the desktop says."""
    application.setStyle("Fusion")
    if name == "system":
        dark = QGuiApplication.styleHints().colorScheme() == Qt.ColorScheme.Dark
        name = "dark" if dark else "light"
    palette = make_palette(name)
    application.setPalette(palette)
    for kind in _EDGED:
        application.setPalette(_edged(palette, name), kind)  # type: ignore[arg-type]  # it takes no bytes
    application.setStyleSheet(_style_sheet(palette, edge_colour(name), thick=name == "high-contrast"))


def edge_colour(name: Literal["light", "dark", "high-contrast"]) -> QColor:
    """Return the colour of the edges of fields, boxes and handles in a theme."""
    return QColor(_EDGES[name])


def contrast(first: QColor, second: QColor) -> float:
    """Return the contrast of two colours, 1 to 21 (WCAG 2.2, contrast ratio)."""
    bright, dim = sorted((_luminance(first), _luminance(second)), reverse=True)
    return (bright + 0.05) / (dim + 0.05)


def _luminance(colour: QColor) -> float:
    def linear(part: float) -> float:
        return part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4

    red, green, blue = linear(colour.redF()), linear(colour.greenF()), linear(colour.blueF())
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def _edged(palette: QPalette, name: Literal["light", "dark", "high-contrast"]) -> QPalette:
    """Return the palette of controls whose window colour serves Fusion only to paint their edges."""
    edge = edge_colour(name)
    parts = (min(part * _FUSION_DARKENS, 1.0) for part in (edge.redF(), edge.greenF(), edge.blueF()))
    edged = QPalette(palette)
    edged.setColor(_ROLES.Window, QColor.fromRgbF(*parts))
    return edged


def _style_sheet(palette: QPalette, edge: QColor, *, thick: bool) -> str:
    """What a palette cannot say: tooltips, thin splitters, slim scroll bars, tools with a plain state."""
    line, text = palette.color(_ROLES.Mid).name(), palette.color(_ROLES.WindowText).name()
    accent, button = palette.color(_ROLES.Highlight).name(), palette.color(_ROLES.Button).name()
    tip = palette.color(_ROLES.ToolTipBase).name(), palette.color(_ROLES.ToolTipText).name()
    width = 2 if thick else 1
    return (
        f"QToolTip {{ background: {tip[0]}; color: {tip[1]}; border: {width}px solid {line}; padding: 4px; }}"
        f"QMainWindow::separator {{ background: {line}; width: {width}px; height: {width}px; }}"
        "QAbstractSpinBox, QComboBox, QLineEdit { min-height: 22px; }"
        "QToolBar { border: none; spacing: 4px; padding: 4px 8px; }"
        f"QToolBar::separator {{ background: {line}; width: 1px; margin: 6px 4px; }}"
        "QToolBar QToolButton { border: 1px solid transparent; border-radius: 4px; padding: 2px; }"
        f"QToolBar QToolButton:hover {{ background: {button}; }}"
        f"QToolBar QToolButton:checked {{ background: {button}; border-color: {edge.name()};"
        f" border-bottom: 3px solid {accent}; padding-bottom: 0; }}"
        f"QToolBar QToolButton:pressed {{ background: {line}; }}"
        f"QToolBar QToolButton:focus {{ border: 2px solid {text}; padding: 1px; }}"
        "QSlider { border: 2px solid transparent; border-radius: 4px; }"
        "QCheckBox { border: 2px solid transparent; border-radius: 4px; padding-right: 2px; }"
        f"QSlider:focus, QCheckBox:focus {{ border-color: {accent}; }}"
        "QStatusBar::item { border: none; }"
        "QStatusBar QLabel { padding: 0 8px; }"
        "QScrollBar { background: transparent; }"
        "QScrollBar:vertical { width: 12px; } QScrollBar:horizontal { height: 12px; }"
        f"QScrollBar::handle {{ background: {edge.name()}; border-radius: 4px; margin: 2px; }}"
        f"QScrollBar::handle:hover {{ background: {text}; }}"
        "QScrollBar::handle:vertical { min-height: 32px; } QScrollBar::handle:horizontal { min-width: 32px; }"
        "QScrollBar::add-line, QScrollBar::sub-line { width: 0; height: 0; }"
        "QScrollBar::add-page, QScrollBar::sub-page { background: none; }"
    )
