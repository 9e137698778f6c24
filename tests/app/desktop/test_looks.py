"""Every control has a name and says what it does, and no text of the window is cut, in small windows too."""

from collections.abc import Callable, Iterator

import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import (
    QAbstractButton,
    QAbstractItemView,
    QAbstractSlider,
    QAbstractSpinBox,
    QApplication,
    QComboBox,
    QDialog,
    QLabel,
    QLineEdit,
    QPushButton,
    QScrollBar,
    QTabBar,
    QToolButton,
    QWidget,
)
from pytestqt.qtbot import QtBot

from app.desktop.about import about_dialog
from app.desktop.camera_dialog import CameraDialog
from app.desktop.main_window import MainWindow
from app.desktop.shortcuts import shortcuts_dialog
from app.desktop.source_dialogs import FolderDialog, StreamDialog
from app.desktop.theme import apply_theme
from app.take_values import TakeStatus

CONTROLS = (QAbstractButton, QComboBox, QAbstractSpinBox, QAbstractSlider, QLineEdit, QAbstractItemView)
OF_QT = ("QTabBar", "QLineEdit", "QComboBoxPrivateContainer", "QAbstractSpinBox", "QMenuBar", "QToolBar")
"""Classes whose inner widgets are Qt's own: arrows, crosses, popups."""
PAGES = ("welcome", "loading", "error", "view")


@pytest.fixture
def theme(qapp: QApplication) -> Iterator[None]:
    """The light theme, as long as the test runs."""
    palette, sheet, style = qapp.palette(), qapp.styleSheet(), qapp.style().name()
    apply_theme(qapp, "light")
    yield
    qapp.setStyleSheet(sheet)
    qapp.setStyle(style)
    qapp.setPalette(palette)


@pytest.fixture
def window(theme: None, make_desk: Callable[[], object], qtbot: QtBot) -> MainWindow:
    """The window with all panels."""
    window = make_desk().window  # type: ignore[attr-defined]
    for name in ("people", "numbers", "models", "plots", "settings"):
        window.show_dock(name)
    qtbot.waitUntil(lambda: window.plots.panel is not None and bool(window.models._cards), timeout=10_000)
    return window


def windows(window: MainWindow, tmp_path: object) -> list[QWidget]:
    """Return the window and its dialogs."""
    dialogs: list[QDialog] = [
        CameraDialog(list, lambda _camera: [], window),
        StreamDialog(["rtsp://10.0.0.3/a"], window),
        FolderDialog(tmp_path, parent=window),  # type: ignore[arg-type]
        about_dialog(window, window.actions_by_name["diagnostics"]),
        shortcuts_dialog(window, window.actions_by_name),
    ]
    for dialog in dialogs:
        dialog.show()
    return [window, *dialogs]


def of_qt(widget: QWidget) -> bool:
    """Whether Qt made a widget inside another one."""
    parent = widget.parentWidget()
    inner = isinstance(widget, QScrollBar) or widget.objectName().startswith(("qt_", "_q_"))
    return inner or (
        parent is not None
        and any(parent.inherits(kind) for kind in OF_QT)
        and not (
            parent.objectName() == "tools" and isinstance(widget, QToolButton) and widget.defaultAction()
        )
    )


def text_of(widget: QWidget) -> str:
    """Return the text on a button or label, "" where there is none."""
    return widget.text() if isinstance(widget, QAbstractButton | QLabel) else ""


def name_of(widget: QWidget, labels: list[QLabel]) -> str:
    """Return what a screen reader calls a widget."""
    buddies = [label.text() for label in labels if label.buddy() is widget]
    return widget.accessibleName() or text_of(widget) or "".join(buddies)


def test_a_screen_reader_finds_a_name_for_all_that_takes_the_focus(window: MainWindow, tmp_path: object):
    for top in windows(window, tmp_path):
        labels = top.findChildren(QLabel)
        nameless = [
            (type(widget).__name__, widget.objectName(), widget.toolTip())
            for widget in top.findChildren(QWidget)
            if widget.focusPolicy() & Qt.FocusPolicy.TabFocus
            and not isinstance(widget, QTabBar)
            and widget.focusProxy() is None
            and not of_qt(widget)
            and not name_of(widget, labels)
            and not (isinstance(widget, QLabel) and not widget.text())
        ]
        assert nameless == [], top.windowTitle()


def test_all_that_can_be_clicked_says_what_it_does(window: MainWindow, tmp_path: object):
    for top in windows(window, tmp_path):
        silent = [
            (type(widget).__name__, widget.accessibleName(), text_of(widget))
            for kind in CONTROLS
            for widget in top.findChildren(kind)
            if not of_qt(widget) and not tip_of(widget)
        ]
        assert silent == [], top.windowTitle()


def tip_of(widget: QWidget) -> str:
    """Return the tooltip that the mouse brings up: without one, that of what is around."""
    place: QWidget | None = widget
    while place is not None and not place.isWindow():
        if place.toolTip():
            return place.toolTip()
        place = place.parentWidget()
    return ""


def test_every_action_of_the_menus_says_what_it_does(window: MainWindow):
    for name, action in window.actions_by_name.items():
        assert len(action.toolTip()) > len(action.text().replace("&", "")) / 2, name
        assert action.statusTip().endswith(tuple("abcdefghijklmnopqrstuvwxyz")), name


@pytest.mark.parametrize("size", [(1000, 640), (1360, 860)])
def test_no_text_is_cut(window: MainWindow, size: tuple[int, int], qtbot: QtBot):
    window.docks["plots"].hide()
    QApplication.processEvents()
    window.resize(*size)
    window.page.record_bar.show_take(TakeStatus(12, "recording", 754.0, 123_456_789, 9, 9, 0, 0, 12))
    window.controls.set_loading("steadypose-td-w16", 0.5)
    for page in PAGES:
        window.page.show_page(getattr(window.page, page))
        for name in ("settings", "people", "numbers", "models"):
            window.show_dock(name)
            assert settled(window, qtbot) == [], (page, name)
    window.tabs.setCurrentIndex(1)
    window.batch._pages.setCurrentWidget(window.batch._table)
    assert settled(window, qtbot) == []
    assert (window.width(), window.height()) == size


def test_no_text_of_the_dialogs_is_cut(window: MainWindow, tmp_path: object, qtbot: QtBot):
    for dialog in windows(window, tmp_path)[1:]:
        assert settled(dialog, qtbot) == [], dialog.windowTitle()


def settled(top: QWidget, qtbot: QtBot) -> list[str]:
    """Return the texts that are still cut once everything has found its place."""
    for _ in range(20):
        QApplication.processEvents()
        if not cut_texts(top):
            return []
        qtbot.wait(20)
    return cut_texts(top)


def cut_texts(top: QWidget) -> list[str]:
    """Return the texts of buttons and labels that have less room than they need."""
    cut = []
    for kind in (QPushButton, QToolButton, QLabel):
        for widget in top.findChildren(kind):
            text = text_of(widget).replace("&", "")
            if not text or not widget.isVisible() or widget.visibleRegion().isEmpty() or shortens(widget):
                continue
            if (
                isinstance(widget, QToolButton)
                and widget.toolButtonStyle() == Qt.ToolButtonStyle.ToolButtonIconOnly
            ):
                continue
            lines = text.split("\n")
            wide = max(widget.fontMetrics().horizontalAdvance(line) for line in lines)
            high = widget.fontMetrics().height()
            if isinstance(widget, QLabel) and (widget.wordWrap() or "<" in text):
                if widget.height() < widget.heightForWidth(widget.width()):
                    cut.append(text)
            elif widget.width() < wide or widget.height() < high:
                cut.append(f"{text}: {widget.width()}×{widget.height()} px")
    return cut


def shortens(widget: QWidget) -> bool:
    """Whether a widget shortens its text itself and tells the whole in its tooltip."""
    return type(widget).__name__ in ("ElidedLabel", "PathLabel", "FolderButton")


def test_controls_side_by_side_are_of_one_height(window: MainWindow):
    window.page.show_page(window.page.view)
    window.show_dock("settings")
    QApplication.processEvents()
    fields = [
        field
        for kind in (QComboBox, QAbstractSpinBox)
        for field in window.controls.findChildren(kind)
        if field.isVisible()
    ]
    assert len({field.height() for field in fields}) == 1
    bar = window.page.record_bar
    small = {bar.marker_button.height(), bar.write_button.height(), bar.folder_button.height()}
    assert small == {bar.show_button.height()}


def test_icons_of_the_tool_bar_are_all_different(window: MainWindow):
    actions = [action for action in window.tool_bar.actions() if not action.isSeparator()]
    pictures = [bytes(action.icon().pixmap(20, 20).toImage().constBits()) for action in actions]
    assert len(set(pictures)) == len(actions) > 12


def test_a_switch_of_the_tool_bar_looks_different_when_it_is_on(window: MainWindow):
    button = window.tool_bar.widgetForAction(window.actions_by_name["trails"])
    images = []
    for on in (False, True):
        window.actions_by_name["trails"].setChecked(on)
        QApplication.processEvents()
        images.append(button.grab().toImage())
    assert images[0] != images[1]
