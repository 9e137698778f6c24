"""The window in a made-up language, in which every text stands in brackets."""

import re
import subprocess
import sysconfig
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from PySide6.QtCore import QLocale, Qt, QTranslator
from PySide6.QtGui import QAction
from PySide6.QtWidgets import (
    QApplication,
    QComboBox,
    QDialog,
    QLineEdit,
    QMenu,
    QTabBar,
    QTableView,
    QTabWidget,
    QWidget,
)
from pytestqt.qtbot import QtBot

from app.batch_item import BatchItem, BatchTotals
from app.desktop.about import about_dialog
from app.desktop.application import install_translations
from app.desktop.camera_dialog import CameraDialog
from app.desktop.controls_choices import REASON_ROLE, ChoiceCombo
from app.desktop.main_window import MainWindow
from app.desktop.shortcuts import shortcuts_dialog
from app.desktop.source_dialogs import FolderDialog, StreamDialog
from app.take_values import TakePaths, TakeStatus
from engine.choices import LABELS
from engine.live_numbers import LATE, UNREADABLE, UNSHOWN
from engine.live_values import LiveNumbers

SOURCES = Path(__file__).parents[3] / "app" / "desktop"
SCRIPTS = Path(sysconfig.get_path("scripts"))
NAMES = {"SteadyPose", "Python", *(label for label in LABELS.values() if label != "Automatic")}
DATA = re.compile(
    r"SteadyPose [\d.]+"
    r"|[+-]?[\d.,:×/ –%]*|(rtsp|http|udp)://\S+|[~/]\S*|C:\\\S*|\S+\.(mp4|csv|onnx)"  # values
    r"|default-(top-down|bottom-up)"
    r"|(steadypose|hrnet|higherhrnet|hourglass)-\S+(\nsteadypose-\S+)?|device \d"  # models and devices
    r"|PySide6-Essentials|openvino|onnxruntime|opencv-python|av|numpy|pyqtgraph"  # packages
    r"|.*\b(LGPL|BSD|MIT|PSF|Apache|CC0)\b.*"  # licences
    r"|[A-Z0-9\]]|F\d+|OpenVINO INT8  ·  device 0"  # keys
)


class Brackets(QTranslator):
    """Translates every text into itself in brackets, and keeps what it was asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: set[tuple[str, str]] = set()

    def translate(self, context: str, source: str, disambiguation: str | None = None, n: int = -1) -> str:
        """Return the text in brackets."""
        self.asked.add((context, source))
        return f"[{source}]"

    def isEmpty(self) -> bool:
        """Qt asks only translators that have something."""
        return False


@pytest.fixture
def brackets(qapp: QApplication) -> Iterator[Brackets]:
    """The made-up language."""
    translator = Brackets()
    qapp.installTranslator(translator)
    yield translator
    qapp.removeTranslator(translator)


@pytest.fixture
def window(brackets: Brackets, make_desk: Callable[[], object], qtbot: QtBot) -> MainWindow:
    """The window in that language, with all its panels."""
    window = make_desk().window  # type: ignore[attr-defined]
    for name in ("people", "numbers", "models", "plots", "settings"):
        window.show_dock(name)
    qtbot.waitUntil(lambda: window.plots.panel is not None and bool(window.models._cards), timeout=10_000)
    return window


def fill(window: MainWindow) -> None:
    """Bring as many texts to light as there are states."""
    window._timer.stop()
    losses = {LATE: 3, UNREADABLE: 2, UNSHOWN: 1}
    numbers = LiveNumbers(
        30, 24, 24, 41, 64, {"infer": 9.0, "track": 1.0}, losses, 2, "top-down", ("steadypose-x",)
    )
    window.numbers.show_numbers(numbers)
    window.status_line.show_numbers(window.session.status, numbers)
    page = window.page
    page.show_page(page.view)
    page.loading.show_loading("[Loading]")
    page.transport.set_playing(True)
    page.transport.set_state("[Paused]", "warning")
    paths = TakePaths(Path("/a.csv"), Path("/a.json"), None, None, Path("/a.m"))
    for state in ("recording", "finishing", "done", "failed"):
        page.record_bar.show_take(TakeStatus(1, state, 2.0, 2_000_000, 9, 9, 1, 2, 1, paths, "/a.mp4"))  # type: ignore[arg-type]
    window.controls.set_loading("steadypose-x", 0.5)
    window.controls._on_changed("max_people", 7, 0)
    items = [
        BatchItem(n, Path(f"{n}.mp4"), state)
        for n, state in enumerate(("waiting", "done", "failed", "paused"))
    ]  # type: ignore[arg-type]
    items.append(BatchItem(9, Path("9.mp4"), "done", done_before=True))
    items += [BatchItem(10, Path("10.mp4"), "running", 9, 9, step=step) for step in ("smoothing", "writing")]
    window.batch._model.show_items([*items, BatchItem(11, Path("11.mp4"), "running", 9, 9)])
    window.batch._options._offline.setChecked(True)
    window.batch._options._menu.switch("coco").trigger()
    window.batch._pages.setCurrentWidget(window.batch._table)
    window.batch._footer.show_totals(BatchTotals("running", 4, 1, 1, 1, 1, 0.5, 60.0, 1))
    window.tell("good", "[Saved]")
    for tab in (1, 0):
        window.tabs.setCurrentIndex(tab)
        window.grab()


def dialogs(window: MainWindow) -> list[QDialog]:
    """Return every dialog that is the window's own."""
    made = [
        CameraDialog(list, lambda _camera: [], window),
        StreamDialog(["rtsp://10.0.0.3/a"], window),
        FolderDialog(Path("/pictures"), parent=window),
        about_dialog(window, window.actions_by_name["diagnostics"]),
        shortcuts_dialog(window, window.actions_by_name),
    ]
    for dialog in made:
        dialog.show()
    return made


def texts_of(widget: QWidget) -> list[str]:
    """Return all texts that a widget shows or tells a screen reader."""
    texts = [widget.toolTip(), widget.accessibleName(), widget.accessibleDescription(), widget.windowTitle()]
    texts.append(widget.statusTip())
    if not isinstance(widget, QLineEdit):
        text = getattr(widget, "text", "")
        texts.append(text() if callable(text) else str(text))
    else:
        texts.append(widget.placeholderText())
    if isinstance(widget, QTabBar | QTabWidget):
        texts += [widget.tabText(place) for place in range(widget.count())]
        texts += [widget.tabToolTip(place) for place in range(widget.count())]
    if isinstance(widget, QComboBox):
        for role in (Qt.ItemDataRole.DisplayRole, Qt.ItemDataRole.ToolTipRole):
            texts += [str(widget.itemData(place, role) or "") for place in range(widget.count())]
    if isinstance(widget, QTableView):
        model = widget.model()
        header = [model.headerData(n, Qt.Orientation.Horizontal) for n in range(model.columnCount())]
        texts += [str(text) for text in header if isinstance(text, str)]
    if isinstance(widget, QMenu):
        texts.append(widget.title())
    for action in widget.actions():
        texts += [action.text(), action.toolTip(), action.iconText(), action.statusTip()]
    return texts


def reasons(window: MainWindow) -> set[str]:
    """Return why choices cannot be had, which the engine says in English."""
    combos = window.controls.findChildren(ChoiceCombo)
    return {str(combo.itemData(place, REASON_ROLE)) for combo in combos for place in range(combo.count())}


def plain_texts(root: QWidget) -> set[str]:
    """Return the texts of a window that are neither translated nor data."""
    found = {text for widget in (root, *root.findChildren(QWidget)) for text in texts_of(widget)}
    return {
        text for text in found if text and "[" not in text and text not in NAMES and not DATA.fullmatch(text)
    }


def test_every_text_of_the_window_is_translated(window: MainWindow):
    fill(window)
    own = {card.row.name for card in window.models._cards.values()}
    own |= {card.row.licence for card in window.models._cards.values()}
    assert plain_texts(window) - own - reasons(window) - {window.numbers.value_text("device")} == set()
    assert set().union(*(plain_texts(dialog) for dialog in dialogs(window))) == set()


def test_every_text_is_found_by_the_tool_for_translators(
    window: MainWindow, brackets: Brackets, tmp_path: Path
):
    fill(window)
    dialogs(window)
    file = tmp_path / "steadypose.ts"
    sources = [str(path) for path in sorted(SOURCES.glob("*.py"))]
    subprocess.run([SCRIPTS / "pyside6-lupdate", *sources, "-ts", file], check=True, capture_output=True)
    contexts = ElementTree.parse(file).getroot().findall("context")
    known = {
        (str(context.findtext("name")), str(message.findtext("source")))
        for context in contexts
        for message in context.findall("message")
    }
    of_qt = re.compile(r"Q[A-Z]\w+")
    asked = {(context, text) for context, text in brackets.asked if not of_qt.fullmatch(context)}
    assert len(asked) > 300
    assert asked - known == set()


def test_keys_do_not_depend_on_the_language(window: MainWindow):
    portable = {
        name: window.actions_by_name[name].shortcut().toString()
        for name in ("play", "step_on", "open_file", "fullscreen")
    }
    assert portable == {"play": "Space", "step_on": "Right", "open_file": "Ctrl+O", "fullscreen": "F11"}


def test_a_translation_in_the_folder_is_shown(qapp: QApplication, tmp_path: Path, qtbot: QtBot):
    source = tmp_path / "steadypose_de.ts"
    source.write_text(
        '<?xml version="1.0" encoding="utf-8"?><!DOCTYPE TS><TS version="2.1" language="de_DE"><context>'
        "<name>Actions</name><message><source>&amp;Quit</source><translation>&amp;Beenden</translation></message>"
        "</context></TS>",
        encoding="utf-8",
    )
    subprocess.run(
        [SCRIPTS / "pyside6-lrelease", source, "-qm", tmp_path / "steadypose_de.qm"],
        check=True,
        capture_output=True,
    )
    before = set(qapp.findChildren(QTranslator))
    try:
        found = install_translations(qapp, tmp_path, QLocale("de_AT"))
        assert str(tmp_path / "steadypose_de.qm") in [str(Path(path)) for path in found]
        from app.desktop.actions import make_actions

        window = QWidget()
        qtbot.addWidget(window)
        assert make_actions(window)["quit"].text() == "&Beenden"
    finally:
        for translator in set(qapp.findChildren(QTranslator)) - before:
            qapp.removeTranslator(translator)


def test_no_translation_is_no_matter(qapp: QApplication, tmp_path: Path):
    before = set(qapp.findChildren(QTranslator))
    assert install_translations(qapp, tmp_path / "none", QLocale("tlh")) == []
    for translator in set(qapp.findChildren(QTranslator)) - before:
        translator.deleteLater()
    assert QAction("x").text() == "x"
