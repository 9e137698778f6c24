import logging
import threading
from collections.abc import Iterator

import pytest
from PySide6.QtCore import QThread
from pytestqt.qtbot import QtBot

from app.desktop.errands import Errands
from engine.errors import SinkError, SteadyPoseError


@pytest.fixture
def errands(qtbot: QtBot) -> Iterator[Errands]:
    made = Errands("test errands")
    yield made
    made.close()


def test_every_task_is_done_in_order_and_reported_in_the_windows_thread(
    errands: Errands, qtbot: QtBot
) -> None:
    done: list[tuple[str, int]] = []
    reported: list[object] = []
    threads = set()

    def report(made: object) -> None:
        reported.append(made)
        threads.add(QThread.currentThread())

    for number in range(20):
        errands.run(lambda n=number: (done.append((threading.current_thread().name, n)), n)[1], report)
    qtbot.waitUntil(lambda: len(reported) == 20)
    assert reported == list(range(20))
    assert [number for _, number in done] == reported
    assert all(name.startswith("test errands") for name, _ in done)
    assert threads == {errands.thread()}


def test_what_went_wrong_is_reported_and_the_next_task_done(
    errands: Errands, qtbot: QtBot, caplog: pytest.LogCaptureFixture
) -> None:
    reported: list[object] = []

    def fail(error: Exception) -> None:
        raise error

    with caplog.at_level(logging.ERROR):
        errands.run(lambda: fail(SinkError("the disk is full")), reported.append)
        errands.run(lambda: fail(ValueError("a defect")), reported.append)
        errands.run(lambda: "done", reported.append)
        qtbot.waitUntil(lambda: len(reported) == 3)
    assert str(reported[0]) == "the disk is full"
    assert isinstance(reported[1], SteadyPoseError)
    assert "a defect" in str(reported[1])
    assert "ValueError" in caplog.text
    assert reported[2] == "done"


def test_closing_waits_for_what_was_asked_and_reports_no_more(qtbot: QtBot) -> None:
    errands = Errands("test errands")
    begun, done, reported = threading.Event(), [], []

    def work() -> None:
        begun.wait(5)
        done.append(True)

    errands.run(work, reported.append)
    errands.run(lambda: done.append(True), reported.append)
    begun.set()
    errands.close()
    assert len(done) == 2
    qtbot.wait(1)
    assert not reported
