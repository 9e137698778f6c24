"""Who gets a key: the window's keys work wherever the focus is, but a control that Tab chose keeps its own.

Clicks do not move the focus to buttons, boxes and sliders: whoever clicked "Record" and then presses Space
wants to pause, not to end the take.
"""

from PySide6.QtCore import Qt
from PySide6.QtGui import QKeyEvent
from PySide6.QtWidgets import (
    QAbstractButton,
    QAbstractItemView,
    QAbstractSlider,
    QComboBox,
    QScrollBar,
    QTabBar,
    QWidget,
)

_KEY = Qt.Key
_ACROSS = frozenset({_KEY.Key_Left, _KEY.Key_Right})
_ALONG = frozenset(
    {_KEY.Key_Up, _KEY.Key_Down, _KEY.Key_PageUp, _KEY.Key_PageDown, _KEY.Key_Home, _KEY.Key_End}
)
_KEPT: tuple[tuple[type[QWidget], frozenset[Qt.Key]], ...] = (
    (QAbstractButton, frozenset({_KEY.Key_Space})),
    (QComboBox, _ALONG | {_KEY.Key_Space}),
    (QAbstractSlider, _ALONG | _ACROSS),
    (QAbstractItemView, _ALONG),
    (QTabBar, _ACROSS | {_KEY.Key_Home, _KEY.Key_End}),
)
_CLICKED = (QAbstractButton, QComboBox, QAbstractSlider)


def keeps_key(widget: QWidget | None, event: QKeyEvent) -> bool:
    """Whether the widget in focus needs a key itself, so that no shortcut of the window may take it.

    Text fields say so themselves.

    Args:
        widget: that has the focus.
        event: of type `ShortcutOverride`.
    """
    if event.modifiers() & ~Qt.KeyboardModifier.KeypadModifier:
        return False
    return any(isinstance(widget, kind) and event.key() in keys for kind, keys in _KEPT)


def leave_focus(root: QWidget) -> None:
    """Let clicks on buttons, boxes and sliders inside `root` leave the focus where it is."""
    for kind in _CLICKED:
        for widget in (root, *root.findChildren(kind)):
            if isinstance(widget, kind) and not isinstance(widget, QScrollBar):
                leave_focus_of(widget)


def leave_focus_of(widget: QWidget) -> None:
    """Let clicks on one control leave the focus where it is, if it takes any."""
    if widget.focusPolicy() & Qt.FocusPolicy.ClickFocus:
        widget.setFocusPolicy(Qt.FocusPolicy.TabFocus)
