"""Asking in the background for what may take seconds: the window polls, the thread touches no widget."""

import logging
from collections.abc import Callable
from typing import Generic, TypeVar

from PySide6.QtCore import QObject, QTimer

from engine.background import Background
from engine.errors import SteadyPoseError

T = TypeVar("T")
_POLL_MS = 25
_logger = logging.getLogger(__name__)


class Lookup(QObject, Generic[T]):
    """Runs one question at a time in a plain thread and hands the answer over in the GUI's thread.

    The thread knows nothing of Qt, so that it does no harm when the asker is gone before it ends.
    """

    def __init__(self, parent: QObject) -> None:
        super().__init__(parent)
        self._background: Background[Callable[[], T], T] = Background(
            _answer, lambda _unwanted: None, lambda: None, "lookup"
        )
        self._take: Callable[[T | None, str], None] | None = None
        self._timer = QTimer(self)
        self._timer.setInterval(_POLL_MS)
        self._timer.timeout.connect(self._poll)

    @property
    def busy(self) -> bool:
        """Whether an answer is waited for."""
        return self._background.wanted is not None

    def ask(self, question: Callable[[], T], take: Callable[[T | None, str], None]) -> None:
        """Ask in the background; an older question's answer is not waited for any more.

        Args:
            question: called in a thread; may block.
            take: called in the GUI's thread with the answer and "", or with None and what went wrong.
        """
        self._take = take
        self._background.ask(question)
        self._timer.start()

    def forget(self) -> None:
        """Wait for no answer any more."""
        self._timer.stop()
        self._background.cancel()
        self._take = None

    def _poll(self) -> None:
        outcome, take = self._background.take(), self._take
        if outcome is None or take is None:
            return
        self.forget()
        if isinstance(outcome[1], SteadyPoseError):
            take(None, str(outcome[1]))
        else:
            take(outcome[1], "")


def _answer(question: Callable[[], T]) -> T:
    try:
        return question()
    except SteadyPoseError:
        raise
    except Exception as error:  # in a thread of its own: logged, and said in the window
        _logger.exception("a question asked in the background failed")
        raise SteadyPoseError(f"{type(error).__name__}: {error}") from error
