import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from pytestqt.qtbot import QtBot

from app.desktop.preset_bar import PresetBar
from app.desktop.preset_control import PresetControl
from app.desktop.presets import Preset
from engine.settings import EstimatorSettings, TrackSettings

MINE = TrackSettings(estimator=EstimatorSettings(max_people=3))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "presets.json"


@pytest.fixture
def bar(qtbot: QtBot) -> PresetBar:
    made = PresetBar()
    qtbot.addWidget(made)
    return made


@pytest.fixture
def control(bar: PresetBar, path: Path) -> Iterator[PresetControl]:
    made = PresetControl(bar, path, lambda: MINE, bar)
    yield made
    made.close()


def own(bar: PresetBar) -> list[str]:
    return [preset.name for preset in bar.presets() if not preset.built_in]


def test_a_preset_is_saved_chosen_and_deleted(
    control: PresetControl, bar: PresetBar, path: Path, qtbot: QtBot
) -> None:
    chosen: list[Preset] = []
    control.chosen.connect(chosen.append)
    bar.save_wanted.emit("Mine")
    qtbot.waitUntil(lambda: own(bar) == ["Mine"])
    bar.preset_chosen.emit("Mine")
    assert chosen[-1].settings == MINE
    bar.preset_chosen.emit("no such preset")
    assert len(chosen) == 1
    bar.delete_wanted.emit("Mine")
    qtbot.waitUntil(lambda: own(bar) == [])
    assert json.loads(path.read_text()) == {"presets": []}


def test_presets_saved_one_right_after_the_other_are_all_kept(
    control: PresetControl, bar: PresetBar, qtbot: QtBot
) -> None:
    for name in "abcd":
        bar.save_wanted.emit(name)
    bar.delete_wanted.emit("b")
    qtbot.waitUntil(lambda: own(bar) == ["a", "c", "d"])


def test_a_preset_saved_while_the_window_closes_is_written(bar: PresetBar, path: Path) -> None:
    control = PresetControl(bar, path, lambda: MINE, bar)
    bar.save_wanted.emit("Mine")
    control.close()
    assert "Mine" in path.read_text()


def test_of_a_damaged_file_what_can_be_read_is_offered_and_the_rest_told(
    bar: PresetBar, path: Path, qtbot: QtBot
) -> None:
    good = {"name": "Good", "settings": MINE.model_dump(mode="json")}
    path.write_text(json.dumps({"presets": [good, {"name": "Bad", "settings": {"tracker": 3}}]}))
    told: list[tuple[str, str]] = []
    control = PresetControl(bar, path, lambda: MINE, bar)
    control.told.connect(lambda role, text: told.append((role, text)))
    qtbot.waitUntil(lambda: own(bar) == ["Good"])
    control.close()
    assert told[0][0] == "warning"
    assert "damaged" in told[0][1]


def test_a_file_that_cannot_be_written_is_told(bar: PresetBar, tmp_path: Path, qtbot: QtBot) -> None:
    (tmp_path / "file").write_text("")
    told: list[str] = []
    control = PresetControl(bar, tmp_path / "file" / "presets.json", lambda: MINE, bar)
    control.told.connect(lambda _role, text: told.append(text))
    bar.save_wanted.emit("Mine")
    qtbot.waitUntil(lambda: any("presets.json" in text for text in told))
    control.close()
    assert own(bar) == []
