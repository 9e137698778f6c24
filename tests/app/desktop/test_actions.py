"""What the window can be told to do: words, keys, icons."""

import re

from PySide6.QtGui import QAction
from PySide6.QtWidgets import QWidget
from pytestqt.qtbot import QtBot

from app.desktop.actions import ACTIONS, make_actions


def actions(qtbot: QtBot) -> dict[str, QAction]:
    """Return the actions of a window that is nothing else."""
    window = QWidget()
    qtbot.addWidget(window)
    made = make_actions(window)
    for action in made.values():
        action.setParent(None)
    return made


def test_every_action_has_its_words_and_key(qtbot: QtBot):
    made = actions(qtbot)
    assert list(made) == list(ACTIONS)
    for name, action in made.items():
        assert action.objectName() == name
        assert re.match("[A-Z0-9]", action.text().replace("&", ""))
        assert action.text().count("&") == 1, name
        keys = [key.toString() for key in action.shortcuts()]
        assert keys == list(ACTIONS[name].keys)
        assert action.toolTip().startswith(ACTIONS[name].tip)
        assert not keys or action.toolTip().endswith(f"({keys[0]})")


def test_words_are_sentence_case_without_a_shout(qtbot: QtBot):
    for spec in ACTIONS.values():
        for text in (spec.text.replace("&", ""), spec.tip):
            assert not text.endswith((".", "!"))
            later = [word for word in text.split()[1:] if word[:1].isupper()]
            assert set(later) <= {"RTSP", "HTTP", "SteadyPose"}, text


def test_switches_can_be_switched_and_others_cannot(qtbot: QtBot):
    for name, action in actions(qtbot).items():
        assert action.isCheckable() == (ACTIONS[name].on is not None)
        assert action.isChecked() == bool(ACTIONS[name].on)
        # A menu shows a check mark where there is no icon.
        assert not action.isCheckable() or not action.isIconVisibleInMenu()


def test_the_tool_bar_has_shorter_words(qtbot: QtBot):
    made = actions(qtbot)
    assert [made[f"open_{kind}"].iconText() for kind in ("camera", "file", "stream", "demo")] == [
        "Camera", "Video", "Stream", "Demo",
    ]  # fmt: skip
    assert made["snapshot"].iconText() == "Save snapshot"
