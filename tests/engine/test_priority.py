import os
import sys
import threading

import pytest

from engine.priority import BACKGROUND, SPARE, stand_back


def in_thread(niceness: int) -> tuple[int, int]:
    """The niceness of a thread after it stood back, and of one that it made."""
    found: list[int] = []

    def note() -> None:
        found.append(os.getpriority(os.PRIO_PROCESS, threading.get_native_id()))

    def work() -> None:
        stand_back(niceness)
        note()
        inner = threading.Thread(target=note)
        inner.start()
        inner.join()

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    return found[0], found[1]


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has a niceness for each thread")
@pytest.mark.parametrize("niceness", [BACKGROUND, SPARE])
def test_a_thread_and_those_it_makes_stand_back_and_nobody_else(niceness: int) -> None:
    before = os.getpriority(os.PRIO_PROCESS, threading.get_native_id())
    assert in_thread(niceness) == (niceness, niceness)
    assert os.getpriority(os.PRIO_PROCESS, threading.get_native_id()) == before


def test_elsewhere_nothing_is_done(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("the niceness of all threads would have been changed")

    monkeypatch.setattr("engine.priority.sys.platform", "darwin")
    monkeypatch.setattr(os, "setpriority", refuse, raising=False)
    stand_back(SPARE)


def test_what_can_wait_stands_back_behind_what_results_wait_for() -> None:
    assert 0 < BACKGROUND < SPARE
