"""`steadypose live`: records a camera or a stream without a window."""

import threading
import time

from rich.console import Console

from app.console import duration, say
from app.inputs import request_for
from app.outputs import prepare_folder
from app.session_takes import SessionTakes, can_record
from app.takes import TakeOptions, TakeStatus
from engine.errors import SourceError, UsageError
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
        UsageError: `seconds` is not above 0, or the folder cannot be written.
    """
    if seconds is not None and not seconds > 0:
        raise UsageError(f"--seconds must be above 0, got {seconds:g}; leave it out to record until Ctrl-C")
    prepare_folder(options.folder)
    news = threading.Event()
    session = LiveSession(settings, wake=news.set)
    run = _LiveRun(session, options, console, seconds, news, quiet=quiet)
    try:
        with StopRequest() as stop:
            # Nothing is shown before it is recorded: the first frame of a file comes but once.
            session.open(request_for(source), paused=True)
            while not stop.requested and run.goes_on():
                news.wait(LOOK_S)
                news.clear()
            run.close()
    finally:
        # Again where something came between: the files are closed whole before anything else is waited for.
        run.close()
        session.close()
    if not stop.requested:
        return run.code
    run.tell(f"stopped by {stop.reason}")
    return stop.exit_code


class _LiveRun:
    """One recording from start to end, take after take where the source is lost and comes back."""

    def __init__(
        self,
        session: LiveSession,
        options: TakeOptions,
        console: Console,
        seconds: float | None,
        news: threading.Event,
        *,
        quiet: bool,
    ) -> None:
        self.code = DONE
        self._session, self._options, self._console = session, options, console
        self._seconds, self._quiet = seconds, quiet
        self._takes = SessionTakes(session, news.set)
        self._begin_s: float | None = None
        self._told_s = time.monotonic()
        self._told: set[int | None] = set()

    def goes_on(self) -> bool:
        """Do what is due; return whether there is more to record.

        Raises:
            SourceError: nothing was recorded yet, and nothing can be.
        """
        self._session.take_results()
        status = self._session.status
        for notice in self._session.take_notices():
            self.tell(notice.text)
        ended = self._takes.settle()
        if ended is not None:
            self._takes.recorder.wait()
            self._tell_end(self._takes.status)
            if ended.lost:
                self.tell(f"{ended.reason}; the next take begins when it is back")
        if status.state == "failed":
            if self._begin_s is None:
                raise SourceError(status.message)
            self._fail(status.message)
            return False
        if status.state == "ended":
            return False
        if self._begin_s is None and can_record(status) and self._takes.start(self._options):
            self._begin_s = time.monotonic()
            self._session.play()
        take = self._takes.status
        if take is not None and take.state == "failed":
            return False
        if take is not None and time.monotonic() - self._told_s >= PLAIN_INTERVAL_S:
            self._told_s = time.monotonic()
            self.tell(_take_text(take))
        return (
            self._seconds is None or self._begin_s is None or time.monotonic() - self._begin_s < self._seconds
        )

    def close(self) -> None:
        """Finish the files, and say what they are; safe to call more than once."""
        self._takes.close()
        self._tell_end(self._takes.status)

    def tell(self, text: str) -> None:
        """Say something that is no error."""
        if not self._quiet:
            self._console.print(text)

    def _tell_end(self, take: TakeStatus | None) -> None:
        """Say once of each take what it is, and why it failed if it did."""
        if take is None or take.number in self._told:
            return
        self._told.add(take.number)
        if take.paths is not None and not self._quiet:
            say(f"{_take_text(take)} -> {take.paths.csv}")
        if take.state == "failed":
            self._fail(take.message)

    def _fail(self, text: str) -> None:
        self.code = FAILED
        self._console.print(f"error: {text}")


def _take_text(take: TakeStatus) -> str:
    lost = take.lost_rows + take.lost_video_frames
    losses = f", {take.lost_rows} rows and {take.lost_video_frames} video frames lost" if lost else ""
    return f"take {take.number}: {duration(take.seconds)}, {take.frames} frames, {take.rows} rows{losses}"
