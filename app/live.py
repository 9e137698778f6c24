"""`steadypose live`: records a camera or a stream without a window."""

import threading
import time

from rich.console import Console

from app.console import duration, say
from app.inputs import request_for
from app.session_takes import SessionTakes, can_record
from app.takes import TakeOptions, TakeStatus
from engine.errors import SourceError
from engine.live import LiveSession
from engine.settings import TrackSettings
from engine.stopping import StopRequest

LOOK_S = 0.2
PLAIN_INTERVAL_S = 10.0
DONE, FAILED = 0, 1


def run_live(
    source: str,
    settings: TrackSettings,
    options: TakeOptions,
    console: Console,
    *,
    seconds: float | None = None,
    quiet: bool = False,
) -> int:
    """Record until a signal comes, `seconds` are over or the source ends; return the exit code.

    Args:
        source: camera's number or device, or address; a file is played at its own pace.
        settings: how people are followed.
        options: what is recorded, and where; the name is the source's.
        console: for progress and errors.
        seconds: of recording, None until stopped.
        quiet: say nothing but errors.

    Raises:
        SourceError: the source or its models cannot be opened.
    """
    session = LiveSession(settings)
    run = _LiveRun(session, options, console, seconds, quiet=quiet)
    try:
        with StopRequest() as stop:
            session.open(request_for(source))
            while not stop.requested and run.goes_on():
                run.wait()
    finally:
        session.close()
        run.close()
    return stop.exit_code if stop.requested else run.code


class _LiveRun:
    """One recording from start to end."""

    def __init__(
        self,
        session: LiveSession,
        options: TakeOptions,
        console: Console,
        seconds: float | None,
        *,
        quiet: bool,
    ) -> None:
        self.code = DONE
        self._session, self._options, self._console = session, options, console
        self._seconds, self._quiet = seconds, quiet
        self._news = threading.Event()
        self._takes = SessionTakes(session, self._news.set)
        self._begin_s: float | None = None
        self._told_s = time.monotonic()
        self._told: set[int] = set()

    def wait(self) -> None:
        """Wait a moment, or until the frames break off."""
        self._news.wait(LOOK_S)
        self._news.clear()

    def goes_on(self) -> bool:
        """Do what is due; return whether there is more to record.

        Raises:
            SourceError: nothing was recorded yet, and nothing can be.
        """
        self._session.take_results()
        status = self._session.status
        for notice in self._session.take_notices():
            self._say(notice.text)
        ended = self._takes.settle()
        if ended is not None and status.state != "ended":
            self._say(f"{ended.reason}; the take is closed")
        if status.state == "failed":
            if self._begin_s is None:
                raise SourceError(status.message)
            self._fail(status.message)
            return False
        if status.state == "ended":
            return False
        if self._begin_s is None and can_record(status) and self._takes.start(self._options):
            self._begin_s = time.monotonic()
        take = self._takes.status
        if take is not None and take.state == "failed":
            self._fail(take.message)
            return False
        self._tell(take)
        return self._seconds is None or self._begin_s is None or self._elapsed_s() < self._seconds

    def close(self) -> None:
        """Finish the files, and say what they are."""
        self._takes.close()
        self._tell_end(self._takes.status)

    def _elapsed_s(self) -> float:
        return time.monotonic() - (self._begin_s or 0.0)

    def _tell(self, take: TakeStatus | None) -> None:
        if take is None:
            return
        if take.state == "done":
            self._tell_end(take)
        elif time.monotonic() - self._told_s >= PLAIN_INTERVAL_S:
            self._told_s = time.monotonic()
            self._say(_take_text(take))

    def _tell_end(self, take: TakeStatus | None) -> None:
        if take is not None and take.paths is not None and take.number not in self._told:
            self._told.add(take.number or 0)
            if not self._quiet:
                say(f"{_take_text(take)} -> {take.paths.csv}")

    def _say(self, text: str) -> None:
        if not self._quiet:
            self._console.print(text)

    def _fail(self, text: str) -> None:
        self.code = FAILED
        self._console.print(f"error: {text}")


def _take_text(take: TakeStatus) -> str:
    lost = take.lost_rows + take.lost_video_frames
    losses = f", {take.lost_rows} rows and {take.lost_video_frames} video frames lost" if lost else ""
    return f"take {take.number}: {duration(take.seconds)}, {take.frames} frames, {take.rows} rows{losses}"
