import threading
from collections.abc import Callable

import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QComboBox, QLabel, QListWidget, QPushButton
from pytestqt.qtbot import QtBot

from app.desktop.camera_dialog import CameraDialog
from engine.errors import SourceError
from engine.live_values import CameraMode, SourceRequest
from engine.sources.camera import Camera

LEFT = Qt.MouseButton.LeftButton
WEBCAM = Camera(0, "HD Webcam", "/dev/video0", 200)
CARD = Camera(2, "Capture card", None, 200)
MODES = {0: [CameraMode(1920, 1080, 30.0), CameraMode(1280, 720, 60.0)], 2: []}
Open = Callable[..., CameraDialog]


@pytest.fixture
def show(qtbot: QtBot) -> Open:
    """Function that opens a dialog on cameras and waits until it has found them."""

    def show(
        list_cameras=lambda: [WEBCAM, CARD], camera_modes=lambda camera: MODES[camera.number], wait=True
    ):
        dialog = CameraDialog(list_cameras, camera_modes)
        qtbot.addWidget(dialog)
        dialog.open()
        if wait:
            qtbot.waitUntil(lambda: dialog.state != "looking")
        return dialog

    return show


def button(dialog: CameraDialog, text: str) -> QPushButton:
    (found,) = [b for b in dialog.findChildren(QPushButton) if b.text().replace("&", "") == text]
    return found


def texts(dialog: CameraDialog) -> list[str]:
    return [label.text() for label in dialog.findChildren(QLabel) if label.isVisible() and label.text()]


def modes(dialog: CameraDialog) -> list[str]:
    box = dialog.findChild(QComboBox)
    return [box.itemText(index) for index in range(box.count())]


def test_cameras_are_listed_by_name_with_their_modes(show: Open, qtbot: QtBot):
    dialog = show()
    names = dialog.findChild(QListWidget)
    assert [names.item(row).text() for row in range(names.count())] == ["HD Webcam", "Capture card"]
    qtbot.waitUntil(lambda: len(modes(dialog)) == 3)
    assert modes(dialog) == ["As the camera likes", "1920×1080, 30 fps", "1280×720, 60 fps"]


def test_the_first_camera_is_opened_as_it_likes_by_enter(show: Open, qtbot: QtBot):
    dialog = show()
    with qtbot.waitSignal(dialog.chosen) as signal:
        qtbot.keyClick(dialog.findChild(QListWidget), Qt.Key.Key_Return)
    assert signal.args == [SourceRequest("0", "HD Webcam")]
    assert not dialog.isVisible()


def test_another_camera_is_chosen_by_key(show: Open, qtbot: QtBot):
    dialog = show()
    qtbot.keyClick(dialog.findChild(QListWidget), Qt.Key.Key_Down)
    with qtbot.waitSignal(dialog.chosen) as signal:
        qtbot.mouseClick(button(dialog, "Open"), LEFT)
    assert signal.args == [SourceRequest("2", "Capture card")]


def test_a_mode_is_chosen(show: Open, qtbot: QtBot):
    dialog = show()
    qtbot.waitUntil(lambda: len(modes(dialog)) == 3)
    qtbot.keyClick(dialog.findChild(QComboBox), Qt.Key.Key_End)
    with qtbot.waitSignal(dialog.chosen) as signal:
        qtbot.mouseClick(button(dialog, "Open"), LEFT)
    assert signal.args == [SourceRequest("0", "HD Webcam", camera_mode=CameraMode(1280, 720, 60.0))]


def test_a_double_click_opens(show: Open, qtbot: QtBot):
    dialog = show()
    names = dialog.findChild(QListWidget)
    place = names.visualItemRect(names.item(1)).center()
    qtbot.mouseClick(names.viewport(), LEFT, pos=place)
    with qtbot.waitSignal(dialog.chosen) as signal:
        qtbot.mouseDClick(names.viewport(), LEFT, pos=place)
    assert signal.args[0].spec == "2"


def test_no_camera_says_what_to_do_and_a_rescan_finds_one(show: Open, qtbot: QtBot):
    plugged_in: list[Camera] = []
    dialog = show(lambda: list(plugged_in))
    assert dialog.state == "nothing"
    assert texts(dialog)[0] == "No camera found"
    assert "Plug one in" in texts(dialog)[1]
    assert not button(dialog, "Open").isEnabled()
    plugged_in.append(WEBCAM)
    qtbot.mouseClick(button(dialog, "Rescan"), LEFT)
    assert dialog.state == "looking" and texts(dialog) == ["Looking for cameras…"]
    qtbot.waitUntil(lambda: dialog.state == "choice")
    assert button(dialog, "Open").isEnabled()


def test_a_list_that_fails_says_why(show: Open):
    def fail() -> list[Camera]:
        raise SourceError("the system lists no cameras")

    assert "the system lists no cameras" in texts(show(fail))


def test_a_camera_without_modes_can_still_be_opened(show: Open, qtbot: QtBot):
    def fail(camera: Camera) -> list[CameraMode]:
        raise SourceError("camera busy")

    dialog = show(camera_modes=fail)
    qtbot.waitUntil(lambda: "It does not say what it can do: camera busy" in texts(dialog))
    assert modes(dialog) == ["As the camera likes"]
    with qtbot.waitSignal(dialog.chosen):
        qtbot.mouseClick(button(dialog, "Open"), LEFT)


def test_modes_that_come_late_are_those_of_the_chosen_camera(show: Open, qtbot: QtBot):
    gate = threading.Event()

    def slow(camera: Camera) -> list[CameraMode]:
        if camera is WEBCAM:
            gate.wait(5)
        return MODES[camera.number]

    dialog = show(camera_modes=slow)
    dialog.findChild(QListWidget).setCurrentRow(1)
    gate.set()
    qtbot.waitUntil(lambda: "It does not say what it can do" in texts(dialog))
    assert modes(dialog) == ["As the camera likes"]
    dialog.findChild(QListWidget).setCurrentRow(0)
    qtbot.waitUntil(lambda: len(modes(dialog)) == 3)


def test_each_camera_is_asked_once(show: Open, qtbot: QtBot):
    asked: list[str] = []

    def ask(camera: Camera) -> list[CameraMode]:
        asked.append(camera.name)
        return MODES[camera.number]

    dialog = show(camera_modes=ask)
    for row in (1, 0, 1, 0):
        qtbot.waitUntil(lambda: "Asking the camera what it can do…" not in texts(dialog))
        dialog.findChild(QListWidget).setCurrentRow(row)
    assert asked == ["HD Webcam", "Capture card"]


def test_closing_while_it_looks_opens_nothing(show: Open, qtbot: QtBot):
    gate = threading.Event()
    dialog = show(lambda: [WEBCAM] if gate.wait(5) else [], wait=False)
    chosen: list[object] = []
    dialog.chosen.connect(chosen.append)
    assert not button(dialog, "Open").isEnabled()
    dialog.accept()
    assert dialog.isVisible()
    qtbot.keyClick(dialog, Qt.Key.Key_Escape)
    assert not dialog.isVisible()
    gate.set()
    qtbot.wait(80)
    assert not chosen and dialog.state == "looking"
    dialog.open()
    qtbot.waitUntil(lambda: dialog.state == "choice")
