"""Ctrl-C and SIGTERM: the first lets the step at hand end, so that its state is saved; the second ends it."""

import signal
import threading
from types import FrameType, TracebackType
from typing import Any, Self

from engine.errors import SteadyPoseError

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class RunStopped(SteadyPoseError):
    """A signal ended the run after its state was saved; `exit_code` is 128 plus the signal's number."""

    def __init__(self, message: str, signal_number: int) -> None:
        super().__init__(message)
        self.exit_code = 128 + signal_number


class StopRequest:
    """Context within which the first SIGINT or SIGTERM is only noted, in `signal_number` (0: none came).

    A second one raises `KeyboardInterrupt`. The handlers that were there before come back on leaving. Outside
    the main thread Python takes no handlers, and nothing is noted.
    """

    def __init__(self) -> None:
        self.signal_number = 0
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            self._before = {number: signal.signal(number, self._note) for number in SIGNALS}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _note(self, number: int, _frame: FrameType | None) -> None:
        if self.signal_number:
            raise KeyboardInterrupt
        self.signal_number = number
