"""Words for modes, runtimes and precisions."""

import pytest

from app.desktop.choice_words import choice_text, value_text
from engine.choices import LABELS, Choice


@pytest.mark.parametrize("value", LABELS)
def test_a_value_is_called_alike_wherever_it_is_shown(value: str):
    assert value_text(value) == LABELS[value] == choice_text(Choice(value, LABELS[value]))


def test_names_stay_as_they_are():
    assert value_text("steadypose-td-w16") == "steadypose-td-w16"
    assert value_text("") == ""
    assert choice_text(Choice("x", "x-model (default)")) == "x-model (default)"
    assert choice_text(Choice("/a/b.onnx", "b.onnx")) == "b.onnx"
