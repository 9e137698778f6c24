"""Small tasks with files that the window must not wait for: done in a thread, in order, every one of them."""

import logging
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from PySide6.QtCore import QObject, Signal

from engine.errors import SteadyPoseError

LOGGER = logging.getLogger(__name__)

Made = TypeVar("Made")


class Errands(QObject):
    """Runs one task after the other; unlike `engine.background.Background` a newer one replaces none.

    Args:
        name: of the thread.
        parent: as of every object.
    """

    _ended = Signal()

    def __init__(self, name: str, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._name = name
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=name)
        self._lock = threading.Lock()
        self._reports: deque[Callable[[], None]] = deque()
        self._ended.connect(self._report)

    def run(self, task: Callable[[], Made], then: Callable[[Made | SteadyPoseError], None]) -> None:
        """Do something in the thread, after all that was asked for before.

        Args:
            task: what to do.
            then: is called in the window's thread with what came of it, or why nothing did.
        """
        self._thread.submit(self._work, task, then)

    def close(self) -> None:
        """Wait until everything is done; nothing is reported any more."""
        self._thread.shutdown(wait=True)
        with self._lock:
            self._reports.clear()

    def _work(self, task: Callable[[], Made], then: Callable[[Made | SteadyPoseError], None]) -> None:
        made: Made | SteadyPoseError
        try:
            made = task()
        except SteadyPoseError as error:
            made = error
        except Exception as error:
            LOGGER.exception("%s: failed", self._name)
            made = SteadyPoseError(f"unexpected {type(error).__name__}: {error}")
        with self._lock:
            self._reports.append(lambda: then(made))
        self._ended.emit()

    def _report(self) -> None:
        with self._lock:
            reports = list(self._reports)
            self._reports.clear()
        for report in reports:
            report()
