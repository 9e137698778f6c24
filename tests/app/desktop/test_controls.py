import math

import pytest
from PySide6.QtCore import QPoint, QPointF, Qt
from PySide6.QtGui import QKeySequence, QUndoStack, QWheelEvent
from PySide6.QtWidgets import (
    QApplication,
    QCheckBox,
    QDoubleSpinBox,
    QMainWindow,
    QPushButton,
    QSlider,
    QSpinBox,
    QStyleOptionViewItem,
    QToolButton,
)
from pytestqt.qtbot import QtBot

from app.desktop.controls import ControlsPanel
from app.desktop.controls_choices import ChoiceCombo
from app.desktop.controls_fields import CONTROLLED, DEFAULTS, FIELDS, value_at, with_values
from engine.choices import Choice, Choices, list_choices
from engine.settings import EstimatorSettings, TrackerSettings, TrackSettings
from engine.smoothing_scale import share_of, smoothing_at

PUBLISHED = "hrnet-w32-coco-256x192"


def offer(value: str, reason: str = "") -> Choice:
    return Choice(value=value, label=value.capitalize(), available=not reason, reason=reason)


CHOICES = Choices(
    modes=(offer("auto"), offer("top-down"), offer("bottom-up")),
    top_down_models=(offer("default-top-down"), offer("other"), offer(PUBLISHED, "not downloaded")),
    bottom_up_models=(offer("default-bottom-up"),),
    runtimes=(offer("auto"), offer("openvino"), offer("onnxruntime", "is not installed")),
    precisions=(offer("auto"), offer("fp32"), offer("int8")),
)


@pytest.fixture
def panel(qtbot: QtBot) -> ControlsPanel:
    """A shown panel with choices."""
    made = ControlsPanel()
    qtbot.addWidget(made)
    made.set_choices(CHOICES)
    made.resize(320, 900)
    made.show()
    return made


@pytest.fixture
def told(panel: ControlsPanel) -> list[TrackSettings]:
    """The settings at each `settings_changed`."""
    settings: list[TrackSettings] = []
    panel.settings_changed.connect(lambda: settings.append(panel.settings))
    return settings


def choose(combo: ChoiceCombo, value: str) -> None:
    """What Qt does when somebody clicks an entry of the list."""
    place = combo.findData(value)
    combo.setCurrentIndex(place)
    combo.activated.emit(place)


def reset_button(panel: ControlsPanel, key: str) -> QToolButton:
    return panel._rows[key].reset


def test_a_new_panel_shows_the_defaults_and_offers_no_reset(panel: ControlsPanel):
    assert panel.settings == TrackSettings()
    assert not any(row.reset.isVisible() for row in panel._rows.values())
    assert panel.findChild(QSpinBox, "max_people").value() == 30
    assert panel.findChild(QSlider, "min_person_score").value() == 40


def test_set_settings_shows_them_without_saying_so(panel: ControlsPanel, told: list[TrackSettings]):
    settings = TrackSettings(
        estimator=EstimatorSettings(mode="bottom-up", flip_test=True, find_interval_s=0.75, max_people=3),
        tracker=TrackerSettings(keep_alive_s=4.0, min_similarity=0.35),
    )
    panel.set_settings(settings)
    assert told == [] and panel.settings == settings and not panel.undo_stack().canUndo()
    assert panel.findChild(ChoiceCombo, "mode").value() == "bottom-up"
    assert panel.findChild(QCheckBox, "flip_test").isChecked()
    assert panel.findChild(QDoubleSpinBox, "keep_alive").value() == 4.0
    assert panel.findChild(QSlider, "min_similarity").value() == 35
    assert not panel.findChild(QCheckBox, "find_interval").isChecked()
    assert reset_button(panel, "keep_alive").isVisible() and not reset_button(panel, "coast").isVisible()


def test_every_row_writes_settings_that_it_reads_back(panel: ControlsPanel, told: list[TrackSettings]):
    values = {
        "mode": "top-down", "top_down_model": "other", "bottom_up_model": "net.onnx", "runtime": "openvino",
        "precision": "int8", "min_person_score": 0.6, "min_keypoint_score": 0.3, "max_people": 4,
        "find_interval": 0.8, "flip_test": True, "smoothing_method": "one-euro", "steadiness": 0.8,
        "coast": 1.0, "keep_alive": 3.0, "confirm": 0.5, "min_similarity": 0.4,
    }  # fmt: skip
    assert set(values) == set(FIELDS)
    for key, value in values.items():
        panel._rows[key].editor.changed.emit(value, 0)
        assert FIELDS[key].read(told[-1]) == pytest.approx(value, abs=0.01), key
        assert reset_button(panel, key).isVisible(), key
    assert len(told) == len(values)
    for key in values:
        reset_button(panel, key).click()
    assert panel.settings == TrackSettings()


def test_a_lower_person_score_reaches_the_estimator_too(panel: ControlsPanel):
    panel.findChild(QSlider, "min_person_score").setValue(10)
    settings = panel.settings
    assert (settings.tracker.min_person_score, settings.estimator.min_person_score) == (0.1, 0.1)
    panel.findChild(QSlider, "min_person_score").setValue(70)
    assert panel.settings.estimator.min_person_score == EstimatorSettings().min_person_score


def test_a_click_tells_at_once_and_can_be_undone(
    panel: ControlsPanel, told: list[TrackSettings], qtbot: QtBot
):
    box = panel.findChild(QCheckBox, "flip_test")
    qtbot.mouseClick(box, Qt.MouseButton.LeftButton, pos=QPoint(8, box.height() // 2))
    assert [settings.estimator.flip_test for settings in told] == [True]
    assert panel.undo_stack().undoText() == "change of “Flip test”"
    panel.undo_stack().undo()
    assert not box.isChecked() and told[-1] == TrackSettings()
    panel.undo_stack().redo()
    assert box.isChecked() and told[-1].estimator.flip_test


def test_a_drag_is_told_of_now_and_then_and_is_one_undo(
    panel: ControlsPanel, told: list[TrackSettings], qtbot: QtBot
):
    slider = panel.findChild(QSlider, "min_person_score")
    slider.setSliderDown(True)
    for step in range(41, 61):
        slider.setSliderPosition(step)
    assert told == [] and panel.settings.tracker.min_person_score == 0.6
    qtbot.waitUntil(lambda: len(told) == 1, timeout=1000)
    slider.setSliderPosition(65)
    slider.setSliderDown(False)
    qtbot.waitUntil(lambda: len(told) == 2, timeout=1000)
    assert told[-1].tracker.min_person_score == 0.65 and panel.undo_stack().count() == 1
    slider.setSliderDown(True)
    slider.setSliderPosition(30)
    slider.setSliderDown(False)
    assert panel.undo_stack().count() == 2
    panel.undo_stack().undo()
    panel.undo_stack().undo()
    assert panel.settings == TrackSettings() and slider.value() == 40


def test_a_drag_that_comes_back_leaves_nothing_to_undo(panel: ControlsPanel):
    slider = panel.findChild(QSlider, "min_similarity")
    slider.setSliderDown(True)
    for step in (30, 50, 20):
        slider.setSliderPosition(step)
    slider.setSliderDown(False)
    assert not panel.undo_stack().canUndo() and panel.settings == TrackSettings()


def test_steadiness_moves_what_the_scale_says_and_stays_where_the_hand_is(panel: ControlsPanel):
    slider = panel.findChild(QSlider, "steadiness")
    slider.setValue(90)
    assert panel.settings.tracker.smoothing == smoothing_at(0.9, TrackSettings().tracker.smoothing)
    assert slider.value() == 90
    reset_button(panel, "steadiness").click()
    assert slider.value() == round(100 * share_of(TrackSettings().tracker.smoothing))


def test_the_interval_of_the_finder_can_be_left_to_the_machine(panel: ControlsPanel):
    auto = panel.findChild(QCheckBox, "find_interval")
    auto.click()
    assert panel.settings.estimator.find_interval_s == 0.5
    auto.click()
    assert panel.settings.estimator.find_interval_s is None


def test_reset_all_is_one_undo_and_leaves_the_region(panel: ControlsPanel):
    before = TrackSettings(
        estimator=EstimatorSettings(mode="bottom-up", region=(1, 2, 3, 4)),
        tracker=TrackerSettings(keep_alive_s=9),
    )
    panel.set_settings(before)
    button = next(b for b in panel.findChildren(QPushButton) if b.text() == "Reset all")
    button.click()
    assert panel.settings == TrackSettings(estimator=EstimatorSettings(region=(1, 2, 3, 4)))
    assert not button.isEnabled()
    panel.undo_stack().undo()
    assert panel.settings == before and button.isEnabled()


def test_undoing_leaves_what_others_set_meanwhile(panel: ControlsPanel):
    panel.findChild(QSpinBox, "max_people").setValue(2)
    panel.set_settings(with_values(panel.settings, {"estimator.region": (0.0, 0.0, 9.0, 9.0)}))
    panel.undo_stack().undo()
    assert panel.settings.estimator.max_people == 30 and panel.settings.estimator.region == (0, 0, 9, 9)


def test_settings_from_elsewhere_are_applied_as_one_change(panel: ControlsPanel, told: list[TrackSettings]):
    wanted = TrackSettings(
        estimator=EstimatorSettings(flip_test=True), tracker=TrackerSettings(appearance_weight=0.1)
    )
    panel.apply_settings(wanted, "Preset “Mine”")
    assert told == [wanted] and panel.undo_stack().undoText() == "Preset “Mine”"
    panel.apply_settings(wanted, "again")
    assert panel.undo_stack().count() == 1


def test_the_stack_of_the_window_is_used(qtbot: QtBot):
    stack = QUndoStack()
    panel = ControlsPanel(stack)
    qtbot.addWidget(panel)
    panel.findChild(QSpinBox, "max_people").setValue(7)
    assert panel.undo_stack() is stack and stack.count() == 1


def test_what_is_unavailable_is_greyed_with_the_reason(panel: ControlsPanel):
    combo = panel.findChild(ChoiceCombo, "runtime")
    place = combo.findData("onnxruntime")
    assert not combo.model().index(place, 0).flags() & Qt.ItemFlag.ItemIsEnabled
    assert combo.itemData(place, Qt.ItemDataRole.ToolTipRole) == "is not installed"
    delegate = combo.itemDelegate()
    option = QStyleOptionViewItem()
    tall, low = (delegate.sizeHint(option, combo.model().index(row, 0)) for row in (place, 0))
    assert tall.height() > 1.5 * low.height()


def test_choosing_a_published_model_asks_for_it_and_keeps_the_present_one(
    panel: ControlsPanel, told: list[TrackSettings]
):
    wanted: list[str] = []
    panel.download_wanted.connect(wanted.append)
    combo = panel.findChild(ChoiceCombo, "top_down_model")
    choose(combo, PUBLISHED)
    assert wanted == [PUBLISHED] and told == []
    assert combo.currentData() == "default-top-down"
    choose(combo, "other")
    assert panel.settings.estimator.top_down_model == "other"


def test_keys_open_the_list_instead_of_starting_a_download(panel: ControlsPanel, qtbot: QtBot):
    wanted: list[str] = []
    panel.download_wanted.connect(wanted.append)
    combo = panel.findChild(ChoiceCombo, "top_down_model")
    combo.setFocus()
    for key in (Qt.Key.Key_Down, Qt.Key.Key_End):
        qtbot.keyClick(combo, key)
        assert combo.view().isVisible()
        combo.hidePopup()
    qtbot.keyClicks(combo, "h")
    assert combo.view().isVisible() and wanted == [] and combo.value() == "default-top-down"
    combo.hidePopup()


def test_a_model_that_is_not_offered_is_shown_by_its_file(panel: ControlsPanel):
    panel.set_settings(TrackSettings(estimator=EstimatorSettings(top_down_model="/some/where/mine.onnx")))
    combo = panel.findChild(ChoiceCombo, "top_down_model")
    assert combo.currentText() == "mine.onnx"
    panel.set_choices(CHOICES)
    assert (combo.currentText(), combo.value()) == ("mine.onnx", "/some/where/mine.onnx")


def test_rows_without_effect_are_greyed_and_say_why(panel: ControlsPanel):
    choose(panel.findChild(ChoiceCombo, "mode"), "bottom-up")
    choose(panel.findChild(ChoiceCombo, "smoothing_method"), "none")
    assert not panel.findChild(ChoiceCombo, "top_down_model").isEnabled()
    assert "Not used in bottom-up mode" in panel._rows["top_down_model"].label.toolTip()
    assert not panel.findChild(QSlider, "steadiness").isEnabled()
    panel.undo_stack().undo()
    panel.undo_stack().undo()
    assert panel.findChild(ChoiceCombo, "top_down_model").isEnabled()
    assert panel.findChild(QSlider, "steadiness").isEnabled()


def test_undo_keys_reach_the_settings_from_within_a_spin_box(qtbot: QtBot):
    window, panel = QMainWindow(), ControlsPanel()
    qtbot.addWidget(window)
    window.setCentralWidget(panel)
    undo = panel.undo_stack().createUndoAction(window)
    undo.setShortcut(QKeySequence.StandardKey.Undo)
    window.addAction(undo)
    window.show()
    window.activateWindow()
    qtbot.waitUntil(window.isActiveWindow, timeout=3000)
    spin = panel.findChild(QSpinBox, "max_people")
    spin.setFocus()
    spin.selectAll()
    qtbot.keyClicks(spin, "7")
    qtbot.keyClick(spin, Qt.Key.Key_Return)
    assert panel.settings.estimator.max_people == 7
    qtbot.keyClick(spin, Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    assert panel.settings.estimator.max_people == 30 and spin.value() == 30


def test_the_wheel_changes_only_what_has_the_focus(panel: ControlsPanel):
    spin = panel.findChild(QSpinBox, "max_people")
    spin.clearFocus()

    def turn() -> None:
        event = QWheelEvent(
            QPointF(5, 5), QPointF(spin.mapToGlobal(QPoint(5, 5))), QPoint(), QPoint(0, 120),
            Qt.MouseButton.NoButton, Qt.KeyboardModifier.NoModifier, Qt.ScrollPhase.NoScrollPhase, False,
        )  # fmt: skip
        QApplication.sendEvent(spin, event)

    turn()
    assert spin.value() == 30
    panel.activateWindow()
    spin.setFocus()
    turn()
    assert spin.value() == 31


def test_the_meters_tell_jitter_and_lag(panel: ControlsPanel):
    assert panel._preview.texts() == ("Jitter –", "Lag –")
    panel.set_steadiness(0.41, 0.8, 7.2)
    assert panel._preview.texts() == ("Jitter 41 % of raw", "Lag 7 ms")
    panel.set_steadiness(math.nan, math.nan, 300.0)
    assert panel._preview.texts() == ("Jitter –", "Lag 300 ms")
    panel.grab()


def test_loading_shows_a_strip_with_cancel_and_leaves_the_controls_usable(panel: ControlsPanel, qtbot: QtBot):
    strip = panel._loading
    assert not strip.isVisible()
    panel.set_loading("Loading hrnet-w32…", 0.25)
    assert strip.isVisible() and strip._bar.value() == 250
    panel.set_loading("Loading hrnet-w32…", None)
    assert strip._bar.maximum() == 0
    with qtbot.waitSignal(panel.loading_cancelled, timeout=1000):
        strip.findChild(QPushButton).click()
    panel.findChild(QSpinBox, "max_people").setValue(5)
    assert panel.settings.estimator.max_people == 5
    panel.set_loading(None, None)
    assert not strip.isVisible()


def test_sections_fold_and_are_remembered_by_name(panel: ControlsPanel):
    assert panel.open_sections() == ["models", "people", "smoothing", "tracking"]
    panel.findChild(QToolButton, "tracking").click()
    assert not panel.findChild(QDoubleSpinBox, "keep_alive").isVisible()
    remembered = panel.open_sections()
    panel.set_open_sections([])
    assert panel.open_sections() == []
    panel.set_open_sections(remembered)
    assert panel.findChild(QCheckBox, "flip_test").isVisible()


def test_everything_has_a_tooltip_a_name_and_a_place_in_the_tab_order(panel: ControlsPanel):
    for row in panel._rows.values():
        assert len(row.editor.toolTip()) > 40 and row.label.toolTip() == row.editor.toolTip()
        widget = row.editor.focus_widget()
        assert widget.accessibleName().startswith(row.name) and row.label.buddy() is widget
        assert widget.focusPolicy() & Qt.FocusPolicy.TabFocus


@pytest.mark.parametrize("width", [280, 480])
def test_nothing_is_wider_than_the_panel(panel: ControlsPanel, width: int, qtbot: QtBot):
    panel.resize(width, 900)
    qtbot.waitUntil(lambda: panel.width() == width, timeout=1000)
    QApplication.processEvents()
    for row in panel._rows.values():
        right = row.reset.mapTo(panel, QPoint(row.reset.width(), 0)).x()
        assert right <= width, row.name


def test_the_default_of_every_row_lies_in_its_range():
    for field in FIELDS.values():
        value = field.read(DEFAULTS)
        if isinstance(value, int | float) and field.editor not in ("switch", "steadiness"):
            assert field.low <= value <= field.high, field.key
    assert len(set(CONTROLLED)) == len(CONTROLLED)
    assert all(value_at(TrackSettings(), path) == value_at(DEFAULTS, path) for path in CONTROLLED)


@pytest.fixture(scope="module")
def real_choices() -> Choices:
    """What this machine has; read once, since the runtimes it asks keep threads of their own."""
    return list_choices(EstimatorSettings())


def test_what_can_really_be_chosen_offers_the_published_models(panel: ControlsPanel, real_choices: Choices):
    """Holds the panel to the words of `engine.choices`."""
    panel.set_choices(real_choices)
    combo = panel.findChild(ChoiceCombo, "top_down_model")
    wanted: list[str] = []
    panel.download_wanted.connect(wanted.append)
    choose(combo, "hrnet-w48-coco-384x288-udp")
    assert wanted == ["hrnet-w48-coco-384x288-udp"] and combo.value() == "default-top-down"
    by_hand = combo.model().index(combo.findData("hourglass-8-mpii-256x256-princeton"), 0)
    assert not by_hand.flags() & Qt.ItemFlag.ItemIsEnabled and "by hand" not in combo.currentText()
