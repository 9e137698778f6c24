"""The whole window by keyboard: who gets which key, in which order Tab goes, and no letter twice."""

from collections import Counter
from collections.abc import Callable
from typing import TypeVar

import pytest
from PySide6.QtCore import QEvent, QPoint, Qt
from PySide6.QtGui import QAction, QKeyEvent, QKeySequence
from PySide6.QtTest import QTest
from PySide6.QtWidgets import (
    QAbstractButton,
    QApplication,
    QCheckBox,
    QComboBox,
    QLabel,
    QLineEdit,
    QListView,
    QMenu,
    QPushButton,
    QSlider,
    QSpinBox,
    QToolButton,
    QWidget,
)
from pytestqt.qtbot import QtBot

from app.desktop.key_habits import keeps_key, leave_focus
from app.desktop.main_window import MainWindow
from app.desktop.timeline import Timeline
from app.desktop.video_view import VideoView

KEYS = {"R": "record", "S": "snapshot", "M": "mark", "G": "region", "Right": "step_on", "F11": "fullscreen"}
ACTIONS = (*KEYS.values(), "play")
Kind = TypeVar("Kind", bound=QWidget)
PAGES = ("welcome", "loading", "error", "view")


@pytest.fixture
def window(make_desk: Callable[[], object]) -> MainWindow:
    """The window with all panels, without a source."""
    window = make_desk().window  # type: ignore[attr-defined]
    for name in ("models", "people", "numbers", "settings"):
        window.show_dock(name)
    window.activateWindow()
    return window


class Ear:
    """Hears which actions are triggered, instead of what they do."""

    def __init__(self, window: MainWindow) -> None:
        self._window, self._heard = window, list[str]()
        for name in ACTIONS:
            action = window.actions_by_name[name]
            action.triggered.disconnect()
            if action.isCheckable():
                action.toggled.disconnect()
            action.triggered.connect(lambda _on=False, name=name: self._heard.append(name))

    def press(self, key: str) -> list[str]:
        """Press a key as the window system would; return what was triggered by it."""
        for name in ACTIONS:
            self._window.actions_by_name[name].setEnabled(True)
        self._heard.clear()
        press(self._window, key)
        return list(self._heard)


@pytest.fixture
def ear(window: MainWindow) -> Ear:
    """Ears for what keys do in `window`."""
    return Ear(window)


def focusable(window: QWidget, kind: type[Kind]) -> Kind:
    """Return a usable widget of a kind that Tab reaches."""
    for widget in window.findChildren(kind):
        if widget.isVisible() and widget.isEnabled() and widget.focusPolicy() & Qt.FocusPolicy.TabFocus:
            return widget
    raise AssertionError(f"no {kind.__name__} that Tab reaches")


def press(window: QWidget, key: str) -> None:
    """Press a key as the window system would: shortcuts see it first."""
    sequence = QKeySequence.fromString(key, QKeySequence.SequenceFormat.PortableText)[0]
    QTest.keyClick(window.windowHandle(), sequence.key(), sequence.keyboardModifiers())


def test_a_key_does_its_work_whatever_has_the_focus(window: MainWindow, ear: Ear):
    window.page.show_page(window.page.view)
    for kind in (QPushButton, QToolButton, QCheckBox, QComboBox, QListView, Timeline, VideoView):
        window.show_dock("people" if kind is QListView else "settings")
        focusable(window, kind).setFocus()
        for key, name in KEYS.items():
            if (kind, key) != (Timeline, "Right"):
                assert ear.press(key) == [name], (kind.__name__, key)


def test_space_plays_unless_tab_chose_a_button_or_a_list_of_choices(window: MainWindow, ear: Ear):
    window.page.show_page(window.page.view)
    for kind in (QSlider, Timeline, VideoView):
        focusable(window, kind).setFocus()
        assert ear.press("Space") == ["play"], kind.__name__
    box = focusable(window, QCheckBox)
    before = box.isChecked()
    box.setFocus()
    assert ear.press("Space") == []
    assert box.isChecked() != before


def test_a_slider_that_tab_chose_keeps_its_arrows_and_nothing_else(window: MainWindow, ear: Ear):
    slider = focusable(window, QSlider)
    before = slider.value()
    slider.setFocus()
    assert ear.press("Right") == []
    assert slider.value() == before + 1
    assert ear.press("R") == ["record"]


def test_a_click_on_a_control_leaves_the_keys_to_the_video(window: MainWindow, ear: Ear, qtbot: QtBot):
    window.page.show_page(window.page.view)
    window.page.view.setFocus()
    box, slider = focusable(window, QCheckBox), focusable(window, QSlider)
    before = box.isChecked()
    qtbot.mouseClick(box, Qt.MouseButton.LeftButton, pos=QPoint(8, box.height() // 2))
    qtbot.mouseClick(slider, Qt.MouseButton.LeftButton)
    assert box.isChecked() != before
    assert ear.press("Space") == ["play"]
    assert ear.press("Right") == ["step_on"]


def test_a_text_field_keeps_letters_and_arrows(window: MainWindow, ear: Ear):
    window.show_dock("models")
    field = focusable(window.models, QLineEdit)
    field.setFocus()
    for key in ("R", "S", "M", "Space", "Left"):
        assert ear.press(key) == [], key
    assert field.text().lower() == "rsm "
    window.show_dock("settings")
    focusable(window, QSpinBox).setFocus()
    for key in ("R", "S", "M", "Left"):
        assert ear.press(key) == [], key
    assert ear.press("F11") == ["fullscreen"]


def test_tab_reaches_every_control_that_is_seen(window: MainWindow):
    for page in PAGES:
        window.page.show_page(getattr(window.page, page))
        QApplication.processEvents()
        missing = [
            (type(control).__name__, control.toolTip(), control.accessibleName())
            for kind in (QAbstractButton, QComboBox, QSlider)
            for control in window.findChildren(kind)
            if control.isVisible()
            and control.isEnabled()
            and not of_qt(control)
            and not control.focusPolicy() & Qt.FocusPolicy.TabFocus
        ]
        assert not missing, page


def test_tab_goes_through_the_bars_from_left_to_right(window: MainWindow):
    window.page.show_page(window.page.view)
    for bar in (window.page.transport, window.page.record_bar, window.tool_bar):
        inside = [w for w in chain(window) if bar.isAncestorOf(w)]
        places = [w.mapTo(window, QPoint()).x() for w in inside]
        assert len(places) > 2 and places == sorted(places), bar


def chain(window: QWidget) -> list[QWidget]:
    """Return what Tab reaches, in its order."""
    order: list[QWidget] = []
    place = window.nextInFocusChain()
    while place is not window:
        if place.focusPolicy() & Qt.FocusPolicy.TabFocus and place.isVisible() and place.isEnabled():
            order.append(place)
        place = place.nextInFocusChain()
    return order


def of_qt(widget: QWidget) -> bool:
    """Whether Qt made a widget inside another one: arrows of tab bars, crosses in text fields."""
    parent = widget.parentWidget()
    return parent is not None and parent.metaObject().className() in ("QTabBar", "QLineEdit", "QScrollBar")


def test_no_key_is_given_to_two_actions(window: MainWindow):
    actions = {id(action): action for action in window.findChildren(QAction) if action.shortcuts()}
    local = {id(action) for menu in window.people.findChildren(QMenu) for action in menu.actions()}
    keys = Counter(
        key.toString()
        for number, action in actions.items()
        if number not in local
        and action.shortcutContext() != Qt.ShortcutContext.WidgetWithChildrenShortcut
        and action.shortcutContext() != Qt.ShortcutContext.WidgetShortcut
        for key in action.shortcuts()
    )
    assert [key for key, count in keys.items() if count > 1] == []


def mnemonics(texts: list[str]) -> Counter[str]:
    """Return how often each letter is marked in texts that are seen together."""
    return Counter(key for text in texts if (key := QKeySequence.mnemonic(text).toString()))


def test_no_letter_is_marked_twice_in_a_menu(window: MainWindow):
    menus = [menu for menu in window.findChildren(QMenu) if menu.actions()]
    assert len(menus) > 6
    for menu in menus:
        twice = [key for key, count in mnemonics([a.text() for a in menu.actions()]).items() if count > 1]
        assert not twice, menu.title()
        plain = [a.text() for a in menu.actions() if a.text() and "&" not in a.text() and not a.isSeparator()]
        assert menu.parent() is not window.menuBar() or not plain, menu.title()


def test_no_letter_is_marked_twice_in_the_window(window: MainWindow, qtbot: QtBot):
    window.show_dock("plots")
    qtbot.waitUntil(lambda: window.plots.panel is not None, timeout=10_000)
    window.batch._pages.setCurrentWidget(window.batch._table)
    for page in (*PAGES, "batch"):
        window.tabs.setCurrentIndex(page == "batch")
        window.page.show_page(getattr(window.page, page, window.page.view))
        QApplication.processEvents()
        texts = [action.text() for action in window.menuBar().actions()]
        texts += [b.text() for b in window.findChildren(QAbstractButton) if b.isVisible() and not in_bar(b)]
        texts += [
            label.text() for label in window.findChildren(QLabel) if label.isVisible() and label.buddy()
        ]
        assert [key for key, count in mnemonics(texts).items() if count > 1] == [], page


def in_bar(button: QWidget) -> bool:
    """Whether a button is one of the tool bar, whose mnemonics Qt leaves out."""
    return button.parentWidget() is not None and button.parentWidget().objectName() == "tools"


def test_escape_leaves_the_full_screen_and_the_region_tool(window: MainWindow, qtbot: QtBot):
    window.page.show_page(window.page.view)
    window.actions_by_name["region"].setChecked(True)
    window.page.view.setFocus()
    press(window, "Esc")
    assert not window.actions_by_name["region"].isChecked()
    press(window, "F11")
    qtbot.waitUntil(window.isFullScreen)
    press(window, "Esc")
    qtbot.waitUntil(lambda: not window.isFullScreen())


def test_a_control_keeps_only_keys_without_ctrl_or_shift(qtbot: QtBot):
    slider = QSlider()
    qtbot.addWidget(slider)

    def event(key: Qt.Key, modifiers: Qt.KeyboardModifier = Qt.KeyboardModifier.NoModifier) -> QKeyEvent:
        return QKeyEvent(QEvent.Type.ShortcutOverride, key, modifiers)

    assert keeps_key(slider, event(Qt.Key.Key_Left))
    assert not keeps_key(slider, event(Qt.Key.Key_Left, Qt.KeyboardModifier.ShiftModifier))
    assert not keeps_key(slider, event(Qt.Key.Key_R))
    assert not keeps_key(None, event(Qt.Key.Key_Left))


def test_what_takes_no_focus_gets_none(qtbot: QtBot):
    root = QWidget()
    qtbot.addWidget(root)
    silent, button = QToolButton(root), QPushButton(root)
    silent.setFocusPolicy(Qt.FocusPolicy.NoFocus)
    leave_focus(root)
    assert silent.focusPolicy() == Qt.FocusPolicy.NoFocus
    assert button.focusPolicy() == Qt.FocusPolicy.TabFocus
