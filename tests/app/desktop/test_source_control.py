from pathlib import Path
from typing import Any

import pytest
from PySide6.QtCore import QMimeData, QPoint, Qt, QUrl
from PySide6.QtGui import QDragEnterEvent, QDropEvent
from PySide6.QtWidgets import QFileDialog

from app.desktop.camera_dialog import CameraDialog
from app.desktop.preferences import Preferences
from app.desktop.source_dialogs import FolderDialog, StreamDialog
from engine.live_values import SourceRequest


def drop(desk: Any, *paths: Path | str) -> None:
    """Drag files onto the window and let them go."""
    data = QMimeData()
    data.setUrls([QUrl(path) if isinstance(path, str) else QUrl.fromLocalFile(str(path)) for path in paths])
    copy, none = Qt.DropAction.CopyAction, Qt.KeyboardModifier.NoModifier
    enter = QDragEnterEvent(QPoint(9, 9), copy, data, Qt.MouseButton.LeftButton, none)
    desk.window.dragEnterEvent(enter)
    assert enter.isAccepted()
    desk.window.dropEvent(QDropEvent(QPoint(9, 9), copy, data, Qt.MouseButton.LeftButton, none))


def labels(preferences: Preferences) -> list[str]:
    return [request.label for request in preferences.recent]


def test_a_file_dropped_on_the_window_plays(desk: Any, clip: Path) -> None:
    drop(desk, clip)
    desk.until(lambda: desk.people)
    assert desk.window.windowTitle() == "clip.mp4 – SteadyPose"


def test_of_many_files_dropped_the_first_plays_and_the_batch_tab_is_named(
    desk: Any, clip: Path, marker_folder: Path
) -> None:
    drop(desk, marker_folder, clip)
    desk.until(lambda: desk.people)
    assert desk.session.status.request.label == "frames"
    assert desk.told_of("batch tab")


def test_opening_brings_the_picture_to_the_front(desk: Any, clip: Path) -> None:
    desk.window.tabs.setCurrentIndex(1)
    desk.open(clip)
    assert desk.window.tabs.currentIndex() == 0


def test_only_what_played_is_among_the_recent(
    desk: Any, preferences: Preferences, clip: Path, tmp_path: Path
) -> None:
    desk.window.sources.open_text(str(tmp_path / "missing.mp4"))
    desk.until_state("failed")
    desk.open(clip)
    desk.until(lambda: labels(preferences) == ["clip.mp4"])
    desk.actions["close_source"].trigger()
    desk.until(lambda: desk.page.stack.currentWidget() is desk.page.welcome)
    assert [request.label for request in desk.page.welcome.recent] == ["clip.mp4"]
    assert desk.window.sources.recent_menu.actions()[0].text() == "clip.mp4"


def test_a_recent_source_opens_from_the_welcome_page_and_from_the_menu(
    make_desk: Any, preferences: Preferences, clip: Path
) -> None:
    preferences.add_recent(SourceRequest(clip, "walk"))
    desk = make_desk()
    desk.page.welcome.recent_chosen.emit(desk.page.welcome.recent[0])
    desk.until(lambda: desk.people)
    desk.actions["close_source"].trigger()
    desk.until_state("empty")
    desk.window.sources.recent_menu.actions()[0].trigger()
    desk.until(lambda: desk.people)
    assert desk.window.windowTitle().startswith("walk")


def test_a_relative_path_is_remembered_so_that_it_is_found_again(
    desk: Any, preferences: Preferences, clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(clip.parent)
    desk.open(clip.name)
    desk.until(lambda: preferences.recent)
    assert str(preferences.recent[0].spec) == str(clip)


def test_a_recent_source_can_be_forgotten_and_remembered_anew(
    desk: Any, preferences: Preferences, clip: Path
) -> None:
    desk.open(clip)
    desk.until(lambda: preferences.recent)
    desk.page.welcome.recent_removed.emit(preferences.recent[0])
    assert not preferences.recent
    assert not desk.window.sources.recent_menu.isEnabled()
    desk.actions["close_source"].trigger()
    desk.until_state("empty")
    desk.open(clip)
    desk.until(lambda: preferences.recent)
    desk.window.sources.recent_menu.actions()[-1].trigger()
    assert not preferences.recent


@pytest.mark.parametrize("secret", ["somebody:pass@", "", "token"])
def test_an_address_with_a_password_is_neither_remembered_nor_shown(
    desk: Any, preferences: Preferences, mjpeg_server: Any, secret: str
) -> None:
    address = mjpeg_server.address
    if secret == "token":
        desk.window.sources.open_text(address.replace("/video", "/gone?token=hidden1"))
        desk.until_state("failed")
        assert "hidden1" not in desk.page.error.text + desk.window.windowTitle()
    else:
        desk.open(address.replace("http://", f"http://{secret}"))
        desk.until(lambda: desk.session.status.state == "playing")
        assert "pass" not in desk.window.windowTitle()
        mjpeg_server.stop()
        desk.until_state("reconnecting")
        assert "pass" not in desk.page.transport.state_text
    assert labels(preferences) == ([] if secret else [address])


def test_the_demo_is_not_among_the_recent(desk: Any, preferences: Preferences) -> None:
    desk.window.sources.open_demo()
    desk.until_state("playing")
    desk.until(lambda: desk.painted)
    assert not preferences.recent


def test_a_video_is_chosen_in_a_dialog_that_begins_where_the_last_one_lay(
    make_desk: Any, preferences: Preferences, clip: Path
) -> None:
    preferences.add_recent(SourceRequest(clip, "walk"))
    desk = make_desk()
    desk.page.welcome.file_wanted.emit()
    dialog = desk.window.findChild(QFileDialog)
    assert dialog.directory().absolutePath() == str(clip.parent)
    dialog.fileSelected.emit(str(clip))
    dialog.close()
    desk.until(lambda: desk.people)


def test_a_folder_is_asked_about_before_it_plays(desk: Any, marker_folder: Path) -> None:
    desk.page.welcome.folder_wanted.emit()
    chooser = desk.window.findChild(QFileDialog)
    chooser.fileSelected.emit(str(marker_folder))
    chooser.close()
    dialog = desk.window.findChild(FolderDialog)
    dialog.chosen.emit(SourceRequest(marker_folder, "frames", fps=60.0))
    dialog.close()
    desk.until(lambda: desk.people)
    assert desk.session.status.info.fps == 60.0


def test_an_address_is_typed(desk: Any, mjpeg_server: Any) -> None:
    desk.page.welcome.stream_wanted.emit()
    dialog = desk.window.findChild(StreamDialog)
    dialog.chosen.emit(SourceRequest(mjpeg_server.address, "camera"))
    dialog.close()
    desk.until(lambda: desk.people)
    assert desk.session.status.info.live


def test_a_camera_is_looked_for_without_standing_in_the_way(desk: Any) -> None:
    desk.window.sources.list_cameras = list
    desk.page.welcome.camera_wanted.emit()
    dialog = desk.window.findChild(CameraDialog)
    assert dialog.isVisible()
    dialog.close()
