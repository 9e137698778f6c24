"""Ctrl-C and SIGTERM: the first asks a run to stop after the step at hand, the second ends it at once."""

import signal
import threading
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Any, Protocol, Self

from engine.errors import SteadyPoseError

SIGNALS = (signal.SIGINT, signal.SIGTERM)

Handler = Callable[[int, FrameType | None], Any] | int | None


class RunStopped(SteadyPoseError):
    """A signal ended the run after its state was saved; `exit_code` is 128 plus the signal's number."""

    def __init__(self, message: str, signal_number: int) -> None:
        super().__init__(message)
        self.exit_code = 128 + signal_number


class Stop(Protocol):
    """What a run asks after every frame, whether it should end there; asking may wait while it is paused.

    requested: whether the run should stop. paused_s: seconds that asking has waited in all.
    """

    @property
    def requested(self) -> bool: ...  # noqa: D102

    @property
    def paused_s(self) -> float: ...  # noqa: D102


class StopRequest:
    """Context within which the first SIGINT or SIGTERM is only noted, in `signal_number` (0: none came).

    A second one raises `KeyboardInterrupt`. The handlers that were there before come back on leaving. Outside
    the main thread Python takes no handlers, and nothing is noted.
    """

    paused_s = 0.0

    def __init__(self) -> None:
        self.signal_number = 0
        self._before: dict[int, Handler] = {}

    @property
    def requested(self) -> bool:
        """Whether the run should stop."""
        return self.signal_number != 0

    @property
    def exit_code(self) -> int:
        """128 plus the signal's number, as shells report it; 0 where none came."""
        return 128 + self.signal_number if self.requested else 0

    @property
    def reason(self) -> str:
        """What came, in words for one line."""
        return {signal.SIGINT: "Ctrl-C", signal.SIGTERM: "SIGTERM"}.get(
            signal.Signals(self.signal_number or signal.SIGINT), "a signal"
        )

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
        if self.requested:
            raise KeyboardInterrupt
        self.signal_number = number
