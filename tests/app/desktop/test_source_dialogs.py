from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QCheckBox, QComboBox, QDialog, QDoubleSpinBox, QLabel, QPushButton
from pytestqt.qtbot import QtBot

from app.desktop.source_dialogs import EXAMPLES, FolderDialog, StreamDialog, address_problem
from app.desktop.theme import make_palette, status_colour
from engine.live_values import SourceRequest

LEFT = Qt.MouseButton.LeftButton


def button(dialog: QDialog, text: str) -> QPushButton:
    (found,) = [b for b in dialog.findChildren(QPushButton) if b.text().replace("&", "") == text]
    return found


@pytest.fixture
def stream(qtbot: QtBot) -> StreamDialog:
    dialog = StreamDialog()
    qtbot.addWidget(dialog)
    dialog.open()
    return dialog


@pytest.fixture
def folder(qtbot: QtBot) -> FolderDialog:
    dialog = FolderDialog(Path("/pictures/walk"))
    qtbot.addWidget(dialog)
    dialog.open()
    return dialog


@pytest.mark.parametrize(
    "address",
    [
        *EXAMPLES,
        "RTSP://user:pass%20word@cam.local/ch1?x=1",
        "https://example.org/live.m3u8",
        "rtmp://10.0.0.1/app",
        "tcp://[::1]:5000",
        "srt://:9000?mode=listener",
        "udp://@:1234",
    ],
)
def test_a_good_address_has_no_problem(address: str):
    assert address_problem(address) == ""


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("", "begins with its kind"),
        ("192.168.0.20", "begins with its kind"),
        ("ftp://a.b/c", "ftp:// is not understood"),
        ("rtsp://", "the name or number of the machine is missing"),
        ("http:///video", "the name or number of the machine is missing"),
        ("http://a b/video", "no spaces"),
        ("rtsp://cam:99999/x", "port"),
        ("rtsp://cam:abc/x", "port"),
        ("udp://10.0.0.1", "udp://10.0.0.1:5000"),
    ],
)
def test_a_wrong_address_is_told_in_a_line(address: str, words: str):
    assert words in address_problem(address)
    assert "\n" not in address_problem(address)


def test_an_address_is_typed_and_opened_by_enter(stream: StreamDialog, qtbot: QtBot):
    box = stream.findChild(QComboBox)
    assert not button(stream, "Open").isEnabled()
    assert stream.problem == "", "an empty field is no mistake yet"
    qtbot.keyClicks(box.lineEdit(), "  rtsp://10.0.0.2:554/live ")
    assert stream.problem == ""
    with qtbot.waitSignal(stream.chosen) as signal:
        qtbot.keyClick(box.lineEdit(), Qt.Key.Key_Return)
    assert signal.args == [SourceRequest("rtsp://10.0.0.2:554/live", "rtsp://10.0.0.2:554/live")]
    assert not stream.isVisible()


def test_a_wrong_address_cannot_be_opened(stream: StreamDialog, qtbot: QtBot):
    chosen: list[object] = []
    stream.chosen.connect(chosen.append)
    edit = stream.findChild(QComboBox).lineEdit()
    qtbot.keyClicks(edit, "ftp://x.y/z")
    assert "ftp:// is not understood" in stream.problem
    assert not button(stream, "Open").isEnabled()
    qtbot.keyClick(edit, Qt.Key.Key_Return)
    stream.accept()
    assert not chosen and stream.isVisible()


def test_a_password_is_kept_for_opening_and_left_out_of_the_label(stream: StreamDialog, qtbot: QtBot):
    qtbot.keyClicks(stream.findChild(QComboBox).lineEdit(), "rtsp://anna:secret@cam/live")
    with qtbot.waitSignal(stream.chosen) as signal:
        qtbot.mouseClick(button(stream, "Open"), LEFT)
    (request,) = signal.args
    assert request.spec == "rtsp://anna:secret@cam/live"
    assert "secret" not in request.label and "cam/live" in request.label


def test_addresses_used_before_are_offered(qtbot: QtBot):
    dialog = StreamDialog(["rtsp://one/a", "http://two/b"])
    qtbot.addWidget(dialog)
    box = dialog.findChild(QComboBox)
    assert box.currentText() == "rtsp://one/a"
    assert button(dialog, "Open").isEnabled()
    qtbot.keyClick(box, Qt.Key.Key_Down)
    with qtbot.waitSignal(dialog.chosen) as signal:
        dialog.accept()
    assert signal.args[0].spec == "http://two/b"


def test_examples_are_shown(stream: StreamDialog):
    shown = "\n".join(label.text() for label in stream.findChildren(QLabel) if label.isVisible())
    assert all(example in shown for example in EXAMPLES)


def test_escape_opens_nothing(stream: StreamDialog, qtbot: QtBot):
    chosen: list[object] = []
    stream.chosen.connect(chosen.append)
    qtbot.keyClick(stream, Qt.Key.Key_Escape)
    assert not stream.isVisible() and not chosen


def test_the_problem_is_coloured_by_the_theme(stream: StreamDialog):
    stream.findChild(QComboBox).setEditText("nonsense")
    (label,) = [found for found in stream.findChildren(QLabel) if found.text() == stream.problem]
    for theme in ("light", "dark"):
        palette = make_palette(theme)
        stream.setPalette(palette)
        assert label.palette().windowText().color() == status_colour("bad", palette)


def test_a_folder_is_a_sequence_at_thirty_frames_by_default(folder: FolderDialog, qtbot: QtBot):
    with qtbot.waitSignal(folder.chosen) as signal:
        qtbot.keyClick(folder.findChild(QDoubleSpinBox), Qt.Key.Key_Return)
    assert signal.args == [SourceRequest(Path("/pictures/walk"), "walk", fps=30.0)]
    assert not folder.isVisible()


def test_a_rate_is_typed(folder: FolderDialog, qtbot: QtBot):
    spin = folder.findChild(QDoubleSpinBox)
    spin.selectAll()
    qtbot.keyClicks(spin, f"12{spin.locale().decimalPoint()}5")
    with qtbot.waitSignal(folder.chosen) as signal:
        qtbot.mouseClick(button(folder, "Open"), LEFT)
    assert signal.args[0].fps == 12.5


def test_independent_pictures_have_no_rate(folder: FolderDialog, qtbot: QtBot):
    qtbot.keyClick(folder.findChild(QCheckBox), Qt.Key.Key_Space)
    assert not folder.findChild(QDoubleSpinBox).isEnabled()
    with qtbot.waitSignal(folder.chosen) as signal:
        qtbot.mouseClick(button(folder, "Open"), LEFT)
    assert signal.args[0].stills


def test_a_folder_dialog_remembers_what_it_is_given(qtbot: QtBot):
    dialog = FolderDialog(Path("/"), fps=5.0, stills=True)
    qtbot.addWidget(dialog)
    assert not dialog.findChild(QDoubleSpinBox).isEnabled()
    with qtbot.waitSignal(dialog.chosen) as signal:
        dialog.accept()
    assert signal.args == [SourceRequest(Path("/"), "/", fps=5.0, stills=True)]
