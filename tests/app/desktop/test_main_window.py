import gc
import json
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from PySide6.QtCore import Qt
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QApplication, QDialog

from app.desktop.preferences import Preferences
from app.desktop.theme import apply_theme, is_dark

KEYS = Qt.Key


def reopened(make_desk: Any, desk: Any, preferences: Preferences) -> Any:
    """Close a window and open the next one with the same file."""
    desk.window.close()
    return make_desk(Preferences(preferences.folder / "settings.ini"))


@pytest.fixture
def _light_afterwards() -> Any:
    yield
    application = QApplication.instance()
    assert isinstance(application, QApplication)
    apply_theme(application, "light")
    application.setStyleSheet("")


def test_the_first_run_asks_where_the_picture_comes_from(desk: Any) -> None:
    assert desk.page.stack.currentWidget() is desk.page.welcome
    assert desk.window.windowTitle() == "SteadyPose"
    assert not desk.actions["record"].isEnabled()
    assert not desk.told
    desk.until(lambda: desk.session.live.status.ready)
    desk.window._show_numbers()
    assert "Choose a source" in desk.window.status_line.text


def test_closing_while_playing_and_recording_leaves_whole_files_and_no_thread(
    desk: Any, long_clip: Path, tmp_path: Path
) -> None:
    before = {thread.name for thread in threading.enumerate()}
    desk.window.show_dock("plots")
    desk.open(long_clip)
    desk.press(KEYS.Key_R)
    desk.until(lambda: (status := desk.window.recording.takes.status) and status.frames > 3)
    desk.window.close()
    sidecar = json.loads((tmp_path / "takes" / "long-take-001.json").read_text())
    assert sidecar["status"] == "complete"
    left = {thread.name for thread in threading.enumerate()} - before
    assert not left & {"follow people", "record take", "load models", "open source"}
    desk.window.shut_down()


def test_closing_while_the_models_are_loaded_is_no_harm(make_desk: Any) -> None:
    make_desk().window.close()


def test_layout_overlay_and_settings_are_there_again_after_a_restart(
    make_desk: Any, preferences: Preferences
) -> None:
    desk = make_desk()
    desk.window.resize(1000, 700)
    desk.window.show_dock("plots")
    desk.window.docks["people"].hide()
    desk.actions["boxes"].trigger()
    desk.window.view.set_palette("vivid")
    desk.window.controls.set_open_sections(["models"])
    open_sections = desk.window.controls.open_sections()
    again = reopened(make_desk, desk, preferences)
    assert again.window.docks["plots"].isVisible()
    assert again.window.docks["people"].isHidden()
    assert again.actions["boxes"].isChecked()
    assert again.page.view.options.palette == "vivid"
    assert again.window.controls.open_sections() == open_sections
    assert again.window.settings.settings == desk.window.settings.settings


def test_the_layout_is_put_back_from_the_menu(desk: Any) -> None:
    desk.window.docks["settings"].hide()
    desk.window.show_dock("models")
    (action,) = [
        a for a in desk.window.findChildren(type(desk.actions["quit"])) if a.objectName() == "reset_layout"
    ]
    action.trigger()
    assert not desk.window.docks["settings"].isHidden()
    assert desk.window.docks["models"].isHidden()


def test_the_batch_tab_is_left_as_it_was_chosen(
    make_desk: Any, preferences: Preferences, tmp_path: Path
) -> None:
    desk = make_desk()
    chosen = replace(desk.window.queue.options, out=tmp_path / "results", video=True, fps=12.0)
    desk.window.queue.set_options(chosen)
    desk.window.batch.show_options()
    desk.window.batch.options_changed.emit()
    again = reopened(make_desk, desk, preferences)
    options = again.window.queue.options
    assert (options.out, options.video, options.fps) == (tmp_path / "results", True, 12.0)
    assert options.settings == again.window.settings.settings
    assert again.window.batch.options_with(options.settings) == options, "and it is shown"


def test_a_region_of_the_live_view_is_not_for_the_batch(desk: Any, clip: Path) -> None:
    desk.open(clip)
    desk.page.view.region_drawn.emit((0.0, 0.0, 50.0, 50.0))
    assert desk.window.settings.settings.estimator.region is not None
    assert desk.window.queue.options.settings.estimator.region is None


def test_a_file_is_worked_on_in_the_batch_tab_beside_the_live_view(
    desk: Any, clip: Path, long_clip: Path, tmp_path: Path
) -> None:
    desk.actions["loop"].trigger()
    desk.open(long_clip)
    desk.window.tabs.setCurrentIndex(1)
    desk.window.queue.set_options(replace(desk.window.queue.options, out=tmp_path / "results"))
    desk.window.batch.add_paths([clip])
    desk.until(lambda: desk.window.queue.snapshot())
    desk.window.queue.start()
    desk.until(lambda: desk.window.queue.snapshot()[0].state == "done")
    assert (tmp_path / "results" / "clip.csv").exists()
    assert desk.session.live.status.state == "playing"


@pytest.mark.usefixtures("_light_afterwards")
def test_the_theme_changes_at_run_time_and_is_remembered(
    make_desk: Any, preferences: Preferences, clip: Path
) -> None:
    desk = make_desk()
    desk.open(clip)
    for theme, dark in (("dark", True), ("light", False), ("high-contrast", True)):
        desk.window.set_theme(theme)
        desk.until(lambda dark=dark: is_dark(desk.window.palette()) is dark)
        assert not desk.window.grab().isNull()
        assert Preferences(preferences.folder / "settings.ini").theme == theme
    desk.window.set_theme("system")
    QGuiApplication.styleHints().colorSchemeChanged.emit(Qt.ColorScheme.Light)
    assert preferences.theme == "system"


def test_the_full_screen_comes_and_goes_by_key(desk: Any, clip: Path) -> None:
    desk.open(clip)
    desk.press(KEYS.Key_F11)
    assert desk.window.isFullScreen()
    assert not desk.window.menuBar().isVisible()
    assert desk.told_of("leaves the full screen")
    desk.press(KEYS.Key_Space)
    desk.press(KEYS.Key_Escape)
    desk.until(lambda: not desk.window.isFullScreen())
    assert desk.window.menuBar().isVisible()
    assert desk.window.docks["settings"].isVisible()
    assert not desk.actions["fullscreen"].isChecked()
    assert not desk.told


def test_undo_has_its_key_on_the_full_screen_too(desk: Any) -> None:
    before = desk.window.settings.settings
    desk.press(KEYS.Key_F11)
    tracker = before.tracker.model_copy(update={"confirm_s": 0.5})
    desk.window.controls.apply_settings(before.model_copy(update={"tracker": tracker}), "Change")
    assert desk.window.settings.settings != before
    desk.press(KEYS.Key_Z, Qt.KeyboardModifier.ControlModifier)
    assert desk.window.settings.settings == before
    desk.press(KEYS.Key_F11)


def test_diagnostics_are_copied_without_the_sources_address(desk: Any, clip: Path) -> None:
    desk.open(clip)
    desk.actions["diagnostics"].trigger()
    text = QApplication.clipboard().text()
    assert "SteadyPose" in text
    assert "markers-td" in text
    assert "clip.mp4" not in text
    assert desk.told_of("on the clipboard")


@pytest.mark.parametrize("name", ["about", "shortcuts"])
def test_dialogs_open_beside_the_running_view(desk: Any, name: str) -> None:
    desk.actions[name].trigger()
    (dialog,) = [d for d in desk.window.findChildren(QDialog) if d.isVisible()]
    assert not dialog.grab().isNull()
    dialog.close()


def test_a_damaged_file_of_preferences_opens_the_window_with_the_defaults(
    make_desk: Any, preferences: Preferences, caplog: pytest.LogCaptureFixture
) -> None:
    path = preferences.folder / "settings.ini"
    preferences.sync()
    text = path.read_text(encoding="utf-8")
    path.write_text(
        text + "overlay={broken\ngeometry=7\nopen_sections=3\nbatch=[]\nmirrored=maybe\nplots=1\n"
    )
    desk = make_desk(Preferences(path))
    assert desk.page.view.options.limbs
    for name in ("overlay", "open_sections", "batch", "mirrored"):
        assert f"setting {name}" in caplog.text


def test_losses_of_a_take_are_among_the_numbers(
    desk: Any, clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.open(clip)
    desk.press(KEYS.Key_R)
    desk.until(lambda: desk.window.recording.takes.status)
    take = desk.window.recording.takes.recorder._take
    take._lost["rows"] += 3
    desk.window.show_dock("numbers")
    shown: list[Any] = []
    monkeypatch.setattr(desk.window.numbers, "show_numbers", shown.append)
    desk.until(lambda: desk.window.numbers.isVisible())
    desk.window._show_numbers()
    assert shown[-1].dropped["disk behind"] == 3


def test_windows_opened_and_closed_leave_no_thread(make_desk: Any, clip: Path) -> None:
    count = threading.active_count()
    for _ in range(3):
        desk = make_desk()
        desk.open(clip)
        desk.window.close()
    gc.collect()
    assert threading.active_count() <= count
