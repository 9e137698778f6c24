"""Progress of a run on stderr: a live bar on a terminal, plain lines now and then elsewhere, or nothing."""

import time
from collections.abc import Callable
from types import TracebackType
from typing import Protocol, Self

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TaskID, TextColumn
from rich.table import Column
from rich.text import Text

from app.console import duration

PLAIN_INTERVAL_S = 10.0
BAR_INTERVAL_S = 0.1
RATE_WINDOW_S = 3.0
NAME_WIDTH, BAR_WIDTH = 20, 20
"""Columns; with the words beside it the bar fits a terminal of 80, where it becomes shorter."""

Clock = Callable[[], float]


class Reporter(Protocol):
    """What the batch tells of its progress; a context manager around all inputs."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def start(self, name: str, total: int | None) -> None:
        """A new input begins; `total` is its number of frames, None where it is not known."""
        ...

    def advance(self, frames: int, people: int) -> None:
        """So many `frames` of the input are done in all, with so many `people` in the last one."""
        ...

    def finish(self) -> None:
        """The input is over, well or not."""
        ...


class RateMeter:
    """Frames per second over the last seconds, so that a slow start is forgotten."""

    def __init__(self, clock: Clock = time.monotonic) -> None:
        self._clock = clock
        self._marks = [(clock(), 0)]

    def update(self, frames: int) -> float:
        """Note the number of frames done and return frames per second, 0 before it can be told."""
        now = self._clock()
        self._marks.append((now, frames))
        while len(self._marks) > 2 and now - self._marks[1][0] > RATE_WINDOW_S:
            self._marks.pop(0)
        since, before = self._marks[0]
        span = now - since
        return (frames - before) / span if span > 0 else 0.0


class SilentReporter:
    """Says nothing."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return

    def start(self, name: str, total: int | None) -> None:
        """Say nothing."""

    def advance(self, frames: int, people: int) -> None:
        """Say nothing."""

    def finish(self) -> None:
        """Say nothing."""


class PlainReporter(SilentReporter):
    """A plain line every `PLAIN_INTERVAL_S`, for logs and pipes; no control codes."""

    def __init__(self, console: Console, clock: Clock = time.monotonic) -> None:
        self._console = console
        self._clock = clock
        self._name = ""
        self._total: int | None = None
        self._meter = RateMeter(clock)
        self._last_s = clock()

    def start(self, name: str, total: int | None) -> None:
        """Begin counting; the first line comes after one interval."""
        self._name, self._total = name, total
        self._meter, self._last_s = RateMeter(self._clock), self._clock()

    def advance(self, frames: int, people: int) -> None:
        """Write a line where the last one is an interval ago."""
        now = self._clock()
        if now - self._last_s < PLAIN_INTERVAL_S:
            return
        self._last_s = now
        rate = self._meter.update(frames)
        self._console.print(f"{self._name}: {progress_text(frames, self._total, rate, people)}")


class BarReporter(SilentReporter):
    """A live bar with frames, rate, people now and the time that is left; gone when its input is over."""

    def __init__(self, console: Console, clock: Clock = time.monotonic) -> None:
        self._console = console
        self._clock = clock
        self._meter = RateMeter(clock)
        self._progress: Progress | None = None
        self._task = TaskID(0)
        self._last_s = 0.0

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.finish()

    def start(self, name: str, total: int | None) -> None:
        """Show a fresh bar; it pulses where the number of frames is not known."""
        self.finish()
        self._meter, self._last_s = RateMeter(self._clock), self._clock()
        # Redirection would send to this console what is meant for stdout.
        self._progress = Progress(
            TextColumn("{task.description}", markup=False, table_column=Column(no_wrap=True)),
            BarColumn(bar_width=BAR_WIDTH),
            _StatusColumn(table_column=Column(no_wrap=True)),
            console=self._console,
            transient=True,
            refresh_per_second=1 / BAR_INTERVAL_S,
            redirect_stdout=False,
            redirect_stderr=False,
        )
        self._task = self._progress.add_task(shorten(name, NAME_WIDTH), total=total, rate=0.0, people=0)
        self._progress.start()

    def advance(self, frames: int, people: int) -> None:
        """Move the bar, at most every `BAR_INTERVAL_S`."""
        now = self._clock()
        if self._progress is None or now - self._last_s < BAR_INTERVAL_S:
            return
        self._last_s = now
        rate = self._meter.update(frames)
        self._progress.update(self._task, completed=frames, rate=rate, people=people)

    def finish(self) -> None:
        """Take the bar away."""
        if self._progress is not None:
            self._progress.stop()
            self._progress = None


def shorten(name: str, width: int) -> str:
    """Return the end of a name that is too long, which tells more than its beginning."""
    return name if len(name) <= width else "…" + name[len(name) - width + 1 :]


class _StatusColumn(ProgressColumn):
    """The words to the right of the bar."""

    def render(self, task: Task) -> Text:
        """Return the words for one task."""
        total = None if task.total is None else round(task.total)
        rate, people = float(task.fields["rate"]), int(task.fields["people"])
        return Text(progress_text(round(task.completed), total, rate, people))


def progress_text(frames: int, total: int | None, rate: float, people: int) -> str:
    """Return frames done, share, rate, people now and the time left as one line.

    `total` is an estimate from the container: more frames than that simply show no share and no time left.
    """
    parts = [f"{frames} frames"]
    if total is not None and 0 < frames <= total:
        parts = [f"{frames}/{total} frames ({100 * frames // total} %)"]
    parts += [f"{rate:.1f} fps", "1 person" if people == 1 else f"{people} people"]
    if total is not None and frames <= total and rate > 0:
        parts.append(f"ETA {duration((total - frames) / rate)}")
    return ", ".join(parts)


def make_reporter(console: Console, verbosity: int) -> Reporter:
    """Return what fits the console and the loudness: silence, plain lines or a bar."""
    if verbosity < 0:
        return SilentReporter()
    return BarReporter(console) if console.is_terminal else PlainReporter(console)
