import math
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QPushButton

from app.desktop.preferences import Preferences
from engine.errors import ModelFileError
from engine.estimator import open_estimator
from engine.settings import TrackSettings
from engine.smoothing_scale import smoothing_at

KEYS, CTRL = Qt.Key, Qt.KeyboardModifier.ControlModifier


@pytest.fixture
def playing(desk: Any, long_clip: Path) -> Any:
    """The window with a long clip that plays round and round."""
    desk.actions["loop"].trigger()
    desk.open(long_clip)
    return desk


def change(desk: Any, part: str, **values: Any) -> TrackSettings:
    """Change settings as the panel does; `part` is a dotted place in them."""
    settings: TrackSettings = desk.window.settings.settings
    tree = settings.model_dump()
    inner = tree
    for name in part.split("."):
        inner = inner[name]
    inner.update(values)
    wanted = TrackSettings.model_validate(tree)
    desk.window.controls.apply_settings(wanted, "Change")
    return wanted


def in_use(desk: Any) -> TrackSettings:
    settings: TrackSettings = desk.session.live._player.tracker.settings
    return settings


CHANGES: tuple[tuple[str, dict[str, Any]], ...] = (
    ("tracker.smoothing", smoothing_at(0.9, TrackSettings().tracker.smoothing).model_dump()),
    ("tracker.smoothing", {"method": "one-euro"}),
    ("tracker.smoothing", {"method": "none"}),
    ("tracker", {"confirm_s": 0.2}),
    ("estimator", {"min_keypoint_score": 0.4, "max_people": 3}),
    ("estimator", {"mode": "bottom-up"}),
    ("estimator", {"mode": "auto"}),
    ("estimator", {"precision": "fp32"}),
    ("estimator", {"runtime": "openvino"}),
)


def test_settings_changed_while_playing_take_effect_and_the_picture_goes_on(
    playing: Any, preferences: Preferences
) -> None:
    for part, values in CHANGES:
        wanted = change(playing, part, **values)
        playing.until(lambda wanted=wanted: in_use(playing) == wanted)
        shown = len(playing.shown)
        playing.until(lambda shown=shown: len(playing.shown) > shown + 3 and playing.people)
        assert preferences.settings == wanted
        assert playing.window.queue.options.settings == wanted, "the batch tab works with the same"
        assert not playing.told


def test_a_model_that_cannot_be_had_is_told_and_the_controls_go_back(
    playing: Any, preferences: Preferences, tmp_path: Path
) -> None:
    before = playing.window.settings.settings
    change(playing, "estimator", top_down_model=str(tmp_path / "missing.onnx"))
    playing.until(lambda: playing.told_of("missing.onnx"))
    playing.until(lambda: playing.window.settings.settings == before)
    assert preferences.settings == before
    assert playing.window.queue.options.settings == before
    shown = len(playing.shown)
    playing.until(lambda: len(playing.shown) > shown)


def test_a_model_that_fails_before_the_window_has_looked_takes_the_controls_back(
    playing: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    before, live = playing.window.settings.settings, playing.session.live
    change_settings = live.change_settings

    def change_and_fail(settings: TrackSettings) -> None:
        change_settings(settings)
        deadline = time.monotonic() + 10
        while live.status.settings != before and time.monotonic() < deadline:
            time.sleep(0.01)

    monkeypatch.setattr(live, "change_settings", change_and_fail)
    change(playing, "estimator", top_down_model=str(tmp_path / "missing.onnx"))
    playing.until(lambda: playing.window.settings.settings == before)


def test_loading_can_be_cancelled_and_the_models_in_hand_stay(
    playing: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    let_go = threading.Event()

    def slowly(settings: Any) -> Any:
        let_go.wait(20)
        return open_estimator(settings)

    monkeypatch.setattr(playing.session.live._settings, "_opener", slowly)
    before = playing.window.settings.settings
    change(playing, "estimator", mode="bottom-up")
    cancel = None
    strip = playing.window.controls._loading
    playing.until(strip.isVisible)
    at = len(playing.shown)
    playing.until(lambda: len(playing.shown) > at)
    cancel = playing.find(QPushButton, "Cancel", strip)
    playing.qtbot.mouseClick(cancel, Qt.MouseButton.LeftButton)
    playing.until(lambda: playing.window.settings.settings == before)
    playing.until(lambda: not strip.isVisible())
    let_go.set()


def test_the_first_models_cannot_be_cancelled_away(
    desk: Any, clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.until(lambda: desk.session.live.status.ready)
    desk.open(clip)
    monkeypatch.setattr(
        type(desk.session.live), "status", property(lambda _: NotReady(desk.session.status)), raising=True
    )
    desk.window.controls.loading_cancelled.emit()
    monkeypatch.undo()
    assert desk.told_of("choose others instead")


class NotReady:
    """A status as before the first models."""

    def __init__(self, status: Any) -> None:
        self._status = status
        self.ready = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._status, name)


def test_models_that_were_missing_at_the_start_are_tried_again_with_the_next_source(
    make_desk: Any, preferences: Preferences, tmp_path: Path, top_down_file: Path, clip: Path
) -> None:
    late = tmp_path / "late.onnx"
    estimator = preferences.settings.estimator.model_copy(update={"top_down_model": str(late)})
    preferences.settings = preferences.settings.model_copy(update={"estimator": estimator})
    desk = make_desk()
    desk.until_state("failed")
    assert "late.onnx" in desk.page.error.text
    late.write_bytes(top_down_file.read_bytes())
    desk.qtbot.mouseClick(desk.find(QPushButton, "Retry"), Qt.MouseButton.LeftButton)
    desk.until(lambda: desk.session.live.status.ready)
    desk.until(lambda: desk.page.stack.currentWidget() is desk.page.welcome)
    desk.open(clip)


def test_changes_are_undone_and_redone_by_key(playing: Any) -> None:
    before = playing.window.settings.settings
    wanted = change(playing, "tracker", confirm_s=0.5)
    playing.press(KEYS.Key_Z, CTRL)
    assert playing.window.settings.settings == before
    playing.until(lambda: in_use(playing) == before)
    playing.press(KEYS.Key_Y, CTRL)
    assert playing.window.settings.settings == wanted
    playing.until(lambda: in_use(playing) == wanted)


def test_all_settings_are_reset_in_one_step_that_can_be_undone(
    desk: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_settings: Any) -> Any:
        raise ModelFileError("the models are not at hand")

    desk.until(lambda: desk.session.live.status.ready)
    monkeypatch.setattr(desk.session.live._settings, "_opener", refuse)
    wanted = change(desk, "tracker", confirm_s=0.5)
    desk.window.controls.reset_all()
    assert desk.window.settings.settings.tracker == TrackSettings().tracker
    desk.until(lambda: desk.told_of("not at hand"))
    desk.press(KEYS.Key_Z, CTRL)
    assert desk.window.settings.settings == wanted


def own_presets(desk: Any) -> list[str]:
    return [preset.name for preset in desk.window.presets.presets() if not preset.built_in]


def test_presets_are_chosen_saved_and_deleted(desk: Any, preferences: Preferences) -> None:
    bar, control = desk.window.presets, desk.window.settings
    wanted = change(desk, "tracker", confirm_s=0.5)
    bar.save_wanted.emit("Mine")
    desk.until(lambda: own_presets(desk) == ["Mine"])
    bar.preset_chosen.emit("Steady")
    assert control.settings.tracker.keep_alive_s == 3.0
    bar.preset_chosen.emit("Mine")
    assert control.settings == wanted
    assert (preferences.folder / "presets.json").exists()
    bar.delete_wanted.emit("Mine")
    desk.until(lambda: own_presets(desk) == [])


def test_damaged_presets_are_told_and_put_aside(make_desk: Any, preferences: Preferences) -> None:
    preferences.folder.mkdir(exist_ok=True)
    (preferences.folder / "presets.json").write_text("not JSON")
    desk = make_desk()
    desk.until(lambda: desk.told_of("presets.damaged-"))
    desk.window.presets.save_wanted.emit("Mine")
    desk.until(lambda: own_presets(desk) == ["Mine"])


def test_the_preview_gets_numbers_while_people_are_followed(
    playing: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[tuple[float, float, float]] = []
    monkeypatch.setattr(playing.window.controls, "set_steadiness", lambda *values: told.append(values))
    playing.until(lambda: told and all(math.isfinite(value) for value in told[-1]))
    share, jitter_px, lag_ms = told[-1]
    assert share > 0
    assert jitter_px >= 0
    assert lag_ms > -50


def test_more_models_brings_the_panel_of_models_to_the_front(desk: Any) -> None:
    desk.window.controls.models_wanted.emit()
    assert desk.window.docks["models"].isVisible()


def test_a_model_of_the_panel_is_used(desk: Any, top_down_file: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.onnx"
    other.write_bytes(top_down_file.read_bytes())
    desk.window.models.use_wanted.emit(str(other), "top-down")
    desk.until(lambda: desk.session.live.status.ready)
    desk.until(lambda: in_use(desk).estimator.top_down_model == str(other))


def test_models_cannot_be_listed_is_told(desk: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise ModelFileError("the folder of models cannot be read")

    monkeypatch.setattr("app.desktop.settings_control.list_choices", fail)
    desk.window.models.models_changed.emit()
    desk.until(lambda: desk.told_of("cannot be read"))
