"""Versions, licences and diagnostics."""

import pytest
from PySide6.QtCore import Qt
from PySide6.QtGui import QAction, QGuiApplication
from PySide6.QtWidgets import QLabel, QPushButton, QWidget
from pytestqt.qtbot import QtBot

from app.desktop.about import about_dialog, copy_diagnostics, diagnostics, package_licence, package_versions
from engine import __version__
from engine.live_values import LiveNumbers, SessionStatus, SourceRequest
from engine.settings import TrackSettings

STATUS = SessionStatus(
    "playing",
    "",
    SourceRequest("rtsp://user:secret@10.0.0.3/a", "Door"),
    None,
    1.0,
    True,
    None,
    True,
    TrackSettings(),
)
NUMBERS = LiveNumbers(
    30.0,
    24.0,
    24.0,
    41.0,
    64.0,
    {"infer": 9.0},
    {"window behind": 3},
    2,
    "top-down",
    ("m",),
    "openvino",
    "int8",
    "CPU",
)


@pytest.fixture
def window(qtbot: QtBot) -> QWidget:
    window = QWidget()
    qtbot.addWidget(window)
    window.show()
    return window


def test_diagnostics_say_what_runs_how_and_keep_addresses_to_themselves():
    text = diagnostics(STATUS, NUMBERS)
    for part in (
        f"SteadyPose {__version__}",
        "numpy",
        "openvino int8, CPU",
        "41 ms median",
        "window behind 3",
    ):
        assert part in text
    assert "secret" not in text and "10.0.0.3" not in text


def test_diagnostics_go_to_the_clipboard(qapp: object):
    copy_diagnostics(STATUS, NUMBERS)
    assert QGuiApplication.clipboard().text() == diagnostics(STATUS, NUMBERS)


def test_every_package_has_a_version_and_a_licence():
    versions = package_versions()
    assert {"numpy", "PySide6-Essentials", "openvino"} <= set(versions)
    assert all(version[0].isdigit() for version in versions.values())
    assert all(package_licence(name) for name in versions)
    assert "LGPL" in package_licence("PySide6-Essentials")


def test_the_dialog_names_versions_and_licences(window: QWidget):
    dialog = about_dialog(window, QAction("&Copy diagnostics", window))
    dialog.open()
    texts = {label.text() for label in dialog.findChildren(QLabel)}
    assert f"SteadyPose {__version__}" in texts
    assert {"numpy", package_versions()["numpy"]} <= texts
    assert any("Apache License 2.0" in text for text in texts)
    dialog.reject()


def test_diagnostics_are_copied_from_the_dialog_by_its_button(window: QWidget, qtbot: QtBot):
    copy = QAction("&Copy diagnostics", window)
    pressed: list[bool] = []
    copy.triggered.connect(lambda: pressed.append(True))
    dialog = about_dialog(window, copy)
    dialog.open()
    button = next(b for b in dialog.findChildren(QPushButton) if "Copy" in b.text())
    qtbot.mouseClick(button, Qt.MouseButton.LeftButton)
    assert pressed == [True] and dialog.isVisible()
    dialog.reject()


def test_escape_closes_the_dialog(window: QWidget, qtbot: QtBot):
    dialog = about_dialog(window, QAction("Copy", window))
    dialog.open()
    qtbot.keyClick(dialog, Qt.Key.Key_Escape)
    assert not dialog.isVisible()
