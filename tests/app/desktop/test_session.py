import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PySide6.QtCore import QThread
from pytestqt.qtbot import QtBot

from app.desktop.session import Session
from engine.errors import ModelFileError
from engine.estimator import open_estimator
from engine.live_values import LiveResult, Notice, SourceRequest
from engine.settings import EstimatorSettings, TrackSettings

PATIENCE_MS = 30_000


@pytest.fixture
def session(qtbot: QtBot, marker_settings: TrackSettings) -> Iterator[Session]:
    made = Session(marker_settings)
    yield made
    made.close()


def test_results_come_in_the_windows_thread_in_order_and_the_newest_is_shown(
    session: Session, qtbot: QtBot, marker_folder: Path
) -> None:
    followed: list[LiveResult] = []
    shown: list[LiveResult] = []
    threads = set()

    def follow(live: LiveResult) -> None:
        followed.append(live)
        threads.add(QThread.currentThread())

    session.result_followed.connect(follow)
    session.result_shown.connect(shown.append)
    session.live.open(SourceRequest(marker_folder, "frames"))
    qtbot.waitUntil(lambda: session.status.state == "ended", timeout=PATIENCE_MS)
    indices = [live.result.frame.index for live in followed]
    assert indices == sorted(indices)
    assert indices[-1] == 23
    assert shown[-1] is followed[-1]
    assert threads == {session.thread()}


def test_a_status_is_told_when_it_changed_and_not_with_every_frame(
    session: Session, qtbot: QtBot, marker_folder: Path
) -> None:
    states: list[str] = []
    session.status_changed.connect(lambda: states.append(session.status.state))
    session.live.open(SourceRequest(marker_folder, "frames"))
    qtbot.waitUntil(lambda: session.status.state == "ended", timeout=PATIENCE_MS)
    assert len(states) < 10
    assert states[-1] == "ended"


def test_pausing_is_told_though_no_frame_follows(session: Session, qtbot: QtBot, marker_folder: Path) -> None:
    session.live.open(SourceRequest(marker_folder, "frames"))
    qtbot.waitUntil(lambda: session.status.state == "playing", timeout=PATIENCE_MS)
    session.live.pause()
    qtbot.waitUntil(lambda: not session.status.playing, timeout=PATIENCE_MS)
    session.live.play()
    qtbot.waitUntil(lambda: session.status.playing, timeout=PATIENCE_MS)


def test_models_are_tried_again_with_the_next_source(
    qtbot: QtBot, marker_settings: TrackSettings, marker_folder: Path
) -> None:
    tries: list[EstimatorSettings] = []

    def opener(settings: EstimatorSettings) -> Any:
        tries.append(settings)
        if len(tries) == 1:
            raise ModelFileError("model.onnx is missing")
        return open_estimator(settings)

    session = Session(marker_settings, opener=opener)
    try:
        qtbot.waitUntil(lambda: session.status.state == "failed", timeout=PATIENCE_MS)
        assert session.status.message == "model.onnx is missing"
        session.live.open(SourceRequest(marker_folder, "frames"))
        qtbot.waitUntil(lambda: session.status.state == "ended", timeout=PATIENCE_MS)
        assert len(tries) == 2
    finally:
        session.close()


def test_results_of_a_model_that_was_replaced_are_left_out(
    session: Session, qtbot: QtBot, marker_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown: list[LiveResult] = []
    session.result_shown.connect(shown.append)
    session.live.open(SourceRequest(marker_folder, "frames"))
    qtbot.waitUntil(lambda: bool(shown and shown[-1].result.people), timeout=PATIENCE_MS)
    session.live.pause()
    qtbot.waitUntil(lambda: session.status.state == "paused", timeout=PATIENCE_MS)
    count = len(shown)

    class Other:
        count = 17

    monkeypatch.setattr(type(session.live), "skeleton", Other())
    monkeypatch.setattr(session.live, "take_results", lambda: [shown[-1]])
    session._look()
    assert len(shown) == count


def test_notices_pass_on(session: Session, qtbot: QtBot, tmp_path: Path) -> None:
    told: list[Notice] = []
    session.noticed.connect(told.append)
    qtbot.waitUntil(lambda: session.live.status.ready, timeout=PATIENCE_MS)
    estimator = session.status.settings.estimator.model_copy(
        update={"top_down_model": str(tmp_path / "missing.onnx")}
    )
    session.live.change_settings(session.status.settings.model_copy(update={"estimator": estimator}))
    qtbot.waitUntil(lambda: any("missing.onnx" in notice.text for notice in told), timeout=PATIENCE_MS)


def test_nothing_comes_after_closing(session: Session, qtbot: QtBot, marker_folder: Path) -> None:
    heard: list[object] = []
    session.live.open(SourceRequest(marker_folder, "frames"))
    qtbot.waitUntil(lambda: session.status.state == "playing", timeout=PATIENCE_MS)
    session.close()
    session.result_followed.connect(heard.append)
    session.status_changed.connect(lambda: heard.append("status"))
    session._wake()
    qtbot.wait(20)
    assert not heard
    assert not [thread for thread in threading.enumerate() if thread.name == "follow people"]
