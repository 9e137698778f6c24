import pytest
from PySide6.QtCore import Qt
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QLabel, QToolButton, QWidget
from pytestqt.qtbot import QtBot

from app.desktop.numbers import NumbersPanel, numbers_text
from engine.live_values import LiveNumbers

NUMBERS = LiveNumbers(
    capture_rate=29.97,
    inference_rate=24.31,
    display_rate=30.02,
    latency_p50_ms=41.2,
    latency_p95_ms=63.8,
    stages_ms={"decode_source": 3.2, "infer": 18.4},
    dropped={"waiting too long": 120, "damaged": 2, "never": 0},
    people=4,
    mode="auto",
    models=("steadypose-td-w16", "steadypose-bu-w16"),
    runtime="openvino",
    precision="int8",
    device="CPU",
)


@pytest.fixture
def panel(qtbot: QtBot) -> NumbersPanel:
    widget = NumbersPanel()
    qtbot.addWidget(widget)
    widget.resize(280, 480)
    widget.show()
    return widget


def test_every_number_is_shown(panel: NumbersPanel):
    panel.show_numbers(NUMBERS)
    fields = ("capture_rate", "inference_rate", "display_rate", "latency_p50_ms", "latency_p95_ms", "people")
    assert [panel.value_text(name) for name in fields] == ["30.0", "24.3", "30.0", "41", "64", "4"]
    assert panel.value_text("dropped") == "Waiting too long: 120\nDamaged: 2"
    assert panel.value_text("models") == "steadypose-td-w16\nsteadypose-bu-w16"
    used = [panel.value_text(name) for name in ("mode", "runtime", "precision", "device")]
    assert used == ["Automatic", "OpenVINO", "INT8", "CPU"]
    shown = {label.text() for label in panel.findChildren(QLabel) if label.isVisible()}
    assert {"read", "3.2", "network", "18.4"} <= shown


def test_what_is_not_known_is_a_dash(panel: NumbersPanel):
    panel.show_numbers(NUMBERS)
    panel.show_numbers(LiveNumbers())
    for name in ("capture_rate", "latency_p95_ms", "mode", "models", "runtime", "precision", "device"):
        assert panel.value_text(name) == "–"
    assert panel.value_text("dropped") == "None"


def test_every_number_says_what_it_measures(panel: NumbersPanel):
    panel.show_numbers(NUMBERS)
    titles = {"Speed", "Time per frame, ms", "Dropped frames", "In use"}
    silent = [label.text() for label in panel.findChildren(QLabel) if not label.toolTip()]
    assert set(silent) == titles


def test_running_numbers_move_nothing(panel: NumbersPanel):
    places = set()
    for rate in (0.1, 9.9, 29.97, 120.4, 999.9, float("nan")):
        panel.show_numbers(
            LiveNumbers(capture_rate=rate, latency_p95_ms=rate * 10, people=int(rate == 29.97))
        )
        panel.grab()
        places.add(tuple(child.geometry().getRect() for child in panel.findChildren(QWidget)))
    assert len(places) == 1


@pytest.mark.parametrize("height", [240, 480, 960])
def test_nothing_is_cut_in_a_small_panel(panel: NumbersPanel, qtbot: QtBot, height: int):
    panel.resize(280, height)
    panel.show_numbers(NUMBERS)
    qtbot.wait(20)
    assert panel.widget().width() <= 280
    for label in panel.findChildren(QLabel):
        if label.isVisible() and not label.wordWrap():
            assert label.width() >= label.sizeHint().width(), label.text()
        elif label.isVisible():
            assert label.height() >= label.heightForWidth(label.width()), label.text()


@pytest.mark.parametrize("by_key", [False, True])
def test_all_numbers_are_copied_as_text(panel: NumbersPanel, qtbot: QtBot, by_key: bool):
    QGuiApplication.clipboard().clear()
    panel.show_numbers(NUMBERS)
    button = panel.findChild(QToolButton)
    if by_key:
        qtbot.keyClick(button, Qt.Key.Key_Space)
    else:
        qtbot.mouseClick(button, Qt.MouseButton.LeftButton)
    assert QGuiApplication.clipboard().text() == numbers_text(NUMBERS)


def test_the_text_has_units_and_stages(qtbot: QtBot):
    lines = numbers_text(NUMBERS).splitlines()
    assert lines[0] == "Capture: 30.0 fps"
    assert "Latency p95: 64 ms" in lines
    assert "Dropped: Waiting too long: 120, Damaged: 2" in lines
    assert "Models: steadypose-td-w16, steadypose-bu-w16" in lines
    assert lines[-1] == "Time per frame: read 3.2 ms, network 18.4 ms"
    empty = numbers_text(LiveNumbers()).splitlines()
    assert empty[0] == "Capture: –" and empty[-1] == "Time per frame: –"
