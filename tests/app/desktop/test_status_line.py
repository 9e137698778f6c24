from dataclasses import replace

import pytest
from PySide6.QtWidgets import QMainWindow
from pytestqt.qtbot import QtBot

from app.desktop.status_line import StatusLine
from engine.live_values import LiveNumbers, SessionStatus
from engine.settings import TrackSettings
from engine.sources.source import SourceInfo

STATUS = SessionStatus(
    state="empty",
    message="",
    request=None,
    info=None,
    position_s=0.0,
    playing=True,
    loading=None,
    ready=True,
    settings=TrackSettings(),
)
INFO = SourceInfo("clip.mp4", None, (360, 640), 30.0, 4.0, 120)


@pytest.fixture
def window(qtbot: QtBot) -> QMainWindow:
    made = QMainWindow()
    qtbot.addWidget(made)
    made.resize(640, 200)
    made.show()
    return made


@pytest.fixture
def line(window: QMainWindow) -> StatusLine:
    return StatusLine(window.statusBar())


def test_each_state_is_said_in_words(line: StatusLine) -> None:
    said = set()
    for state in ("empty", "playing", "paused", "ended"):
        line.show_numbers(replace(STATUS, state=state), LiveNumbers())
        said.add(line.text)
    assert len(said) == 4
    line.show_numbers(replace(STATUS, state="failed", message="clip.mp4 is empty"), LiveNumbers())
    assert line.text == "clip.mp4 is empty | "


def test_models_being_loaded_are_said(line: StatusLine) -> None:
    line.show_numbers(replace(STATUS, state="playing", ready=False, loading="x"), LiveNumbers())
    assert "Loading the models" in line.text
    line.show_numbers(replace(STATUS, state="playing", loading="other-model"), LiveNumbers())
    assert "Following people" in line.text
    assert "other-model" in line.text


def test_numbers_are_shown_once_they_are_known(line: StatusLine) -> None:
    playing = replace(STATUS, state="playing", info=INFO)
    line.show_numbers(playing, LiveNumbers(runtime="openvino", precision="int8", device="CPU"))
    assert "fps" not in line.text
    assert "CPU" in line.text
    line.show_numbers(playing, LiveNumbers(people=2, display_rate=29.6, latency_p50_ms=18.2))
    assert "2 people" in line.text
    assert "30 fps" in line.text
    assert "18 ms" in line.text


def test_a_long_message_leaves_the_window_as_it_is_and_shows_no_password(
    line: StatusLine, window: QMainWindow, qtbot: QtBot
) -> None:
    message = "rtsp://user:secret@camera/stream cannot be opened: " + "a long reason " * 40
    line.show_numbers(replace(STATUS, state="reconnecting", message=message), LiveNumbers())
    qtbot.wait(1)
    assert window.width() == 640
    assert window.minimumSizeHint().width() < 640
    assert "secret" not in line.text
