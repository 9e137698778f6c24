"""Takes of a live session: closed whole when the frames break off, begun anew when a lost source is back."""

import threading
from collections.abc import Callable
from dataclasses import dataclass, replace

from app.takes import Recorder, TakeOptions, TakeStatus
from engine.live import LiveSession
from engine.live_values import LiveResult, SessionStatus


@dataclass(frozen=True, slots=True)
class Break:
    """Why a take ended by itself. lost: the source was lost, and the next take begins when it is back."""

    reason: str
    lost: bool


class SessionTakes:
    """A `LiveSink` around a recorder. All but `write` and `break_off` is called from one thread.

    Args:
        session: whose results are recorded.
        changed: is called from the session's thread when `settle` has something to do.
    """

    def __init__(self, session: LiveSession, changed: Callable[[], None]) -> None:
        self.recorder = Recorder()
        self._session, self._changed = session, changed
        self._lock = threading.Lock()
        self._break: Break | None = None
        self._resume: TakeOptions | None = None
        self._options: TakeOptions | None = None

    @property
    def recording(self) -> bool:
        """Whether results are recorded now."""
        return self.recorder.recording

    @property
    def status(self) -> TakeStatus | None:
        """How the newest take goes or went; None before the first."""
        return self.recorder.status

    def start(self, options: TakeOptions) -> bool:
        """Begin a take named after the source; False where there is nothing to record."""
        self._options, self._resume = options, None
        with self._lock:
            self._break = None
        # Heard from now on, so that no break between looking at the source and recording it is missed.
        self._session.add_sink(self)
        status, skeleton = self._session.status, self._session.skeleton
        if not can_record(status) or status.info is None or status.request is None or skeleton is None:
            self._session.remove_sink(self)
            return False
        label = status.request.label if status.info.path is None else status.info.path.stem
        self.recorder.start(replace(options, name=label), skeleton, status.info, self._session.describe)
        return True

    def stop(self) -> None:
        """End the take, and wait for no source to come back."""
        self._resume = None
        self._end()

    def settle(self) -> Break | None:
        """End the take where the frames broke off, begin one where a lost source is back.

        Call it after `changed`, and when the session's status changes. It does one of the two at a time, and
        calls `changed` where it is to be called again.

        Returns:
            the break that ended a take in this call.
        """
        with self._lock:
            broken = self._break
        if broken is not None and self.recorder.recording:
            self._end()
            self._resume = self._options if broken.lost else None
            if broken.lost:
                self._changed()
            return broken
        state = self._session.status.state
        if state in ("empty", "failed"):
            self._resume = None
        elif self._resume is not None and state == "playing" and not self.recorder.recording:
            self.start(self._resume)
        return None

    def close(self) -> None:
        """Close the take whole; waits for its files."""
        self._end()
        self.recorder.close()

    def _end(self) -> None:
        self._session.remove_sink(self)
        self.recorder.stop()

    def write(self, live: LiveResult) -> None:
        """See `LiveSink`; after a break nothing is recorded until the next take."""
        if self._break is None:
            self.recorder.write(live)

    def break_off(self, reason: str, *, lost: bool) -> None:
        """See `LiveSink`."""
        with self._lock:
            if self._break is not None:
                return
            self._break = Break(reason, lost)
        self._changed()


def can_record(status: SessionStatus) -> bool:
    """Whether there are, or will be, results to record."""
    return status.ready and status.info is not None and status.state not in ("empty", "opening", "failed")
