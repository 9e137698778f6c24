import logging
import threading

import pytest
from PySide6.QtCore import QObject
from pytestqt.qtbot import QtBot

from app.desktop.lookup import Lookup
from engine.errors import SourceError

Answers = list[tuple[object, str]]


def ask(lookup: Lookup, question, answers: Answers) -> None:
    lookup.ask(question, lambda value, problem: answers.append((value, problem)))


@pytest.fixture
def lookup(qtbot: QtBot) -> Lookup:
    owner = QObject()
    found = Lookup[int](owner)
    found.owner_of_the_test = owner
    return found


def test_the_question_runs_beside_the_window_and_the_answer_comes_to_it(lookup: Lookup, qtbot: QtBot):
    threads, answers = [], []

    def question() -> int:
        threads.append(threading.current_thread())
        return 7

    lookup.ask(question, lambda value, problem: answers.append((value, problem, threading.current_thread())))
    assert lookup.busy and not answers
    qtbot.waitUntil(lambda: bool(answers))
    assert answers == [(7, "", threading.main_thread())]
    assert threads != [threading.main_thread()]
    assert not lookup.busy


def test_an_error_of_ours_comes_as_its_sentence(lookup: Lookup, qtbot: QtBot):
    answers: Answers = []

    def question() -> int:
        raise SourceError("the camera is busy")

    ask(lookup, question, answers)
    qtbot.waitUntil(lambda: bool(answers))
    assert answers == [(None, "the camera is busy")]


def test_a_defect_is_logged_and_said(lookup: Lookup, qtbot: QtBot, caplog: pytest.LogCaptureFixture):
    answers: Answers = []
    with caplog.at_level(logging.ERROR):
        ask(lookup, lambda: 1 // 0, answers)
        qtbot.waitUntil(lambda: bool(answers))
    assert answers[0][0] is None and answers[0][1].startswith("ZeroDivisionError")
    assert "in the background failed" in caplog.text


def test_only_the_newest_question_is_answered(lookup: Lookup, qtbot: QtBot):
    answers: Answers = []
    gate = threading.Event()
    ask(lookup, lambda: gate.wait(5) and 1, answers)
    ask(lookup, lambda: 2, answers)
    qtbot.waitUntil(lambda: bool(answers))
    gate.set()
    qtbot.wait(80)
    assert answers == [(2, "")]


def test_a_forgotten_question_is_not_answered(lookup: Lookup, qtbot: QtBot):
    answers: Answers = []
    ask(lookup, lambda: 1, answers)
    lookup.forget()
    qtbot.wait(80)
    assert not answers and not lookup.busy


def test_a_thread_may_outlive_who_asked(qtbot: QtBot):
    owner, gate, answers = QObject(), threading.Event(), []
    ask(Lookup[int](owner), lambda: gate.wait(5) and 1, answers)
    owner.deleteLater()
    qtbot.wait(20)
    gate.set()
    qtbot.wait(80)
    assert not answers
