"""Asking in the background for what may take seconds: the window polls, the thread touches no widget."""

import logging
import threading
from collections.abc import Callable
from typing import Generic, TypeVar

from PySide6.QtCore import QObject, QTimer

from engine.errors import SteadyPoseError

T = TypeVar("T")
_POLL_MS = 25
_logger = logging.getLogger(__name__)


class _Answer(Generic[T]):
    """What a thread found; set once, read after `ready`."""

    def __init__(self) -> None:
        self.ready = threading.Event()
        self.value: T | None = None
        self.problem = ""


class Lookup(QObject, Generic[T]):
    """Runs one question at a time in a plain thread and hands the answer over in the GUI's thread.

    The thread knows nothing of Qt, so that it does no harm when the asker is gone before it ends.
    """

    def __init__(self, parent: QObject) -> None:
        super().__init__(parent)
        self._answer: _Answer[T] | None = None
        self._take: Callable[[T | None, str], None] | None = None
        self._timer = QTimer(self)
        self._timer.setInterval(_POLL_MS)
        self._timer.timeout.connect(self._poll)

    @property
    def busy(self) -> bool:
        """Whether an answer is waited for."""
        return self._answer is not None

    def ask(self, question: Callable[[], T], take: Callable[[T | None, str], None]) -> None:
        """Ask in the background; an older question's answer is not waited for any more.

        Args:
            question: called in a thread; may block.
            take: called in the GUI's thread with the answer and "", or with None and what went wrong.
        """
        answer: _Answer[T] = _Answer()
        self._answer, self._take = answer, take
        threading.Thread(target=_run, args=(question, answer), name="lookup", daemon=True).start()
        self._timer.start()

    def forget(self) -> None:
        """Wait for no answer any more."""
        self._timer.stop()
        self._answer = self._take = None

    def _poll(self) -> None:
        answer, take = self._answer, self._take
        if answer is None or take is None or not answer.ready.is_set():
            return
        self.forget()
        take(answer.value, answer.problem)


def _run(question: Callable[[], T], answer: _Answer[T]) -> None:
    try:
        answer.value = question()
    except SteadyPoseError as error:
        answer.problem = str(error)
    except Exception as error:  # top of a thread: logged, and said in the window
        _logger.exception("a question asked in the background failed")
        answer.problem = f"{type(error).__name__}: {error}"
    finally:
        answer.ready.set()
