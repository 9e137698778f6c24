import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QComboBox, QLineEdit, QToolButton
from pytestqt.qtbot import QtBot

from app.desktop.preset_bar import PresetBar
from app.desktop.presets import BUILT_IN, Preset
from engine.settings import TrackerSettings, TrackSettings

MINE = Preset("Mine", TrackSettings(tracker=TrackerSettings(keep_alive_s=9)))


@pytest.fixture
def bar(qtbot: QtBot) -> PresetBar:
    made = PresetBar()
    qtbot.addWidget(made)
    made.set_presets([MINE])
    made.resize(280, 60)
    made.show()
    return made


def tool(bar: PresetBar, name: str) -> QToolButton:
    return next(
        button for button in bar.findChildren(QToolButton) if button.accessibleName().startswith(name)
    )


def combo(bar: PresetBar) -> QComboBox:
    return bar.findChild(QComboBox)


def test_it_names_the_preset_that_the_settings_are(bar: PresetBar):
    assert combo(bar).currentText() == "Balanced" and not tool(bar, "Delete").isEnabled()
    bar.show_settings(MINE.settings)
    assert combo(bar).currentText() == "Mine" and tool(bar, "Delete").isEnabled()
    bar.show_settings(TrackSettings(tracker=TrackerSettings(keep_alive_s=8)))
    assert combo(bar).currentIndex() == -1 and not tool(bar, "Delete").isEnabled()


def test_choosing_one_is_told_and_shown_once_the_settings_are_taken(bar: PresetBar):
    chosen: list[str] = []
    bar.preset_chosen.connect(chosen.append)
    place = combo(bar).findData("Steady")
    combo(bar).setCurrentIndex(place)
    combo(bar).activated.emit(place)
    assert chosen == ["Steady"] and combo(bar).currentText() == "Balanced"
    preset = bar.preset_named("Steady")
    assert preset is BUILT_IN[1]
    bar.show_settings(preset.settings)
    assert combo(bar).currentText() == "Steady"


def test_saving_asks_for_a_name_in_place(bar: PresetBar, qtbot: QtBot):
    saved: list[str] = []
    bar.save_wanted.connect(saved.append)
    tool(bar, "Save these").click()
    name = bar.findChild(QLineEdit)
    assert name.isVisible() and not combo(bar).isVisible()
    qtbot.keyClicks(name, "steady")
    qtbot.keyClick(name, Qt.Key.Key_Return)
    assert saved == [] and bar._problem.isVisible() and "take another name" in bar._problem.text()
    qtbot.keyClicks(name, " hands")
    assert not bar._problem.isVisible()
    qtbot.keyClick(name, Qt.Key.Key_Return)
    assert saved == ["steady hands"] and combo(bar).isVisible()


def test_escape_saves_nothing(bar: PresetBar, qtbot: QtBot):
    saved: list[str] = []
    bar.save_wanted.connect(saved.append)
    tool(bar, "Save these").click()
    qtbot.keyClicks(bar.findChild(QLineEdit), "x")
    qtbot.keyClick(bar.findChild(QLineEdit), Qt.Key.Key_Escape)
    assert saved == [] and combo(bar).isVisible()


def test_what_was_just_saved_is_named_although_another_is_the_same(bar: PresetBar, qtbot: QtBot):
    bar.save_wanted.connect(lambda name: bar.set_presets([Preset(name, TrackSettings())]))
    tool(bar, "Save these").click()
    qtbot.keyClicks(bar.findChild(QLineEdit), "as it comes")
    qtbot.keyClick(bar.findChild(QLineEdit), Qt.Key.Key_Return)
    assert combo(bar).currentText() == "as it comes" and tool(bar, "Delete").isEnabled()


def test_deleting_is_asked_about_in_place(bar: PresetBar):
    deleted: list[str] = []
    bar.delete_wanted.connect(deleted.append)
    bar.show_settings(MINE.settings)
    tool(bar, "Delete").click()
    assert bar._question.text() == "Delete “Mine”?" and deleted == []
    bar._delete_now.click()
    assert deleted == ["Mine"] and combo(bar).isVisible()
