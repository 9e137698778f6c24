"""Progress of a run on stderr: a live bar on a terminal, plain lines now and then elsewhere, or nothing."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Protocol, Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn
from rich.table import Column

from app.console import duration
from app.second_pass import Step

PLAIN_INTERVAL_S = 10.0
BAR_INTERVAL_S = 0.1
RATE_WINDOW_S = 3.0
NAME_WIDTH, BAR_WIDTH = 20, 20
"""Columns; with the words beside it the bar fits a terminal of 80, where it becomes shorter."""

SECOND_SHARE, SECOND_SHARE_WITH_VIDEO = 0.1, 0.4
"""Of the work on an input that has a second pass: what that counts in the whole. A rough guess."""
SMOOTHING_SHARE = 0.05
"""Of the same work: the smoothing, with which the second pass begins."""
STEP_TEXTS: Mapping[Step, str] = {"smoothing": "smoothing again", "writing": "writing again"}

Clock = Callable[[], float]


class Reporter(Protocol):
    """What the batch tells of its progress; a context manager around all inputs.

    Inputs have numbers (`key`), as several may be at work at once.
    """

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def expect(self, sizes: Mapping[int, int], *, second_share: float = 0.0) -> None:
        """These inputs will come, each of so many bytes; the second pass is `second_share` of the work."""
        ...

    def start(self, name: str, total: int | None, key: int = 0) -> None:
        """An input begins; `total` is its number of frames, None where it is not known."""
        ...

    def advance(self, frames: int, people: int, key: int = 0) -> None:
        """So many `frames` of the input are done in all, with so many `people` in the last one."""
        ...

    def second_pass(self, step: Step, share: float, key: int = 0) -> None:
        """The second pass of the input is at this step, of which a `share` is done, 0 to 1."""
        ...

    def finish(self, key: int = 0) -> None:
        """The input is over, well or not."""
        ...


def second_share(*, offline: bool, video: bool) -> float:
    """Return what the second pass counts of the work on an input, 0 where there is none.

    Args:
        offline: there is a second pass.
        video: which also writes the annotated video.
    """
    if not offline:
        return 0.0
    return SECOND_SHARE_WITH_VIDEO if video else SECOND_SHARE


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


class Whole:
    """How far a batch is: by the bytes of its inputs, as lengths are not known before inputs are opened."""

    def __init__(self, clock: Clock = time.monotonic) -> None:
        self._clock = clock
        self._sizes: dict[int, int] = {}
        self._shares: dict[int, float] = {}
        self._first_share = 1.0
        self._done = 0
        self._since_s: float | None = None

    @property
    def several(self) -> bool:
        """Whether there is more than one input."""
        return len(self._sizes) > 1

    def expect(self, sizes: Mapping[int, int], *, second_share: float = 0.0) -> None:
        """Take note of all inputs that will come, and of what a second pass counts of each."""
        self._sizes = dict(sizes)
        self._first_share = 1.0 - second_share

    def start(self) -> None:
        """Take note that an input begins; time is counted from the first on."""
        if self._since_s is None:
            self._since_s = self._clock()

    def advance(self, key: int, frames: int, total: int | None) -> None:
        """Take note that so many frames of an input are done."""
        self._shares[key] = self._first_share * min(frames / total, 1.0) if total else 0.0

    def second_pass(self, key: int, step: Step, share: float) -> None:
        """Take note that so much of a step of an input's second pass is done."""
        smoothed = min(self._first_share + SMOOTHING_SHARE, 1.0)
        begin, end = (self._first_share, smoothed) if step == "smoothing" else (smoothed, 1.0)
        self._shares[key] = begin + (end - begin) * share

    def finish(self, key: int) -> None:
        """Take note that an input is over."""
        self._shares[key] = 1.0
        self._done += 1

    @property
    def share(self) -> float:
        """Share of all bytes that are done, 0 to 1."""
        size = sum(self._sizes.values())
        done = sum(self._shares.get(key, 0.0) * bytes_ for key, bytes_ in self._sizes.items())
        return done / size if size else 0.0

    def text(self) -> str:
        """Return inputs done, share, and the time left at the mean rate so far."""
        share = self.share
        parts = [f"{self._done}/{len(self._sizes)} files ({int(100 * share)} %)"]
        if share > 0 and self._since_s is not None:
            parts.append(f"ETA {duration((self._clock() - self._since_s) * (1 - share) / share)}")
        return ", ".join(parts)


class SilentReporter:
    """Says nothing."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return

    def expect(self, sizes: Mapping[int, int], *, second_share: float = 0.0) -> None:
        """Say nothing."""

    def start(self, name: str, total: int | None, key: int = 0) -> None:
        """Say nothing."""

    def advance(self, frames: int, people: int, key: int = 0) -> None:
        """Say nothing."""

    def second_pass(self, step: Step, share: float, key: int = 0) -> None:
        """Say nothing."""

    def finish(self, key: int = 0) -> None:
        """Say nothing."""


@dataclass(slots=True, eq=False)
class _Running:
    """An input that is at work.

    last_s: when it was shown last. task: its row among the bars, where there are any. step: of its second
    pass, with the time at which it began; None in the first.
    """

    name: str
    total: int | None
    meter: RateMeter
    last_s: float
    task: TaskID
    step: Step | None = None
    step_since_s: float = 0.0

    def begins(self, step: Step, now_s: float) -> bool:
        """Take note of a step of the second pass; return whether it is another than before."""
        begins = step != self.step
        if begins:
            self.step, self.step_since_s = step, now_s
        return begins


class PlainReporter(SilentReporter):
    """A plain line per input every `PLAIN_INTERVAL_S`, for logs and pipes; no control codes.

    Where there are several inputs, the line ends with how far all of them are.
    """

    def __init__(self, console: Console, clock: Clock = time.monotonic) -> None:
        self._console = console
        self._clock = clock
        self._running: dict[int, _Running] = {}
        self._whole = Whole(clock)

    def expect(self, sizes: Mapping[int, int], *, second_share: float = 0.0) -> None:
        """Take note of all inputs."""
        self._whole.expect(sizes, second_share=second_share)

    def start(self, name: str, total: int | None, key: int = 0) -> None:
        """Begin counting; the first line comes after one interval."""
        self._whole.start()
        self._running[key] = _Running(name, total, RateMeter(self._clock), self._clock(), TaskID(0))

    def advance(self, frames: int, people: int, key: int = 0) -> None:
        """Write a line where the last one is an interval ago."""
        running = self._running.get(key)
        if running is None:
            return
        self._whole.advance(key, frames, running.total)
        now = self._clock()
        if now - running.last_s < PLAIN_INTERVAL_S:
            return
        running.last_s = now
        self._print(running, progress_text(frames, running.total, running.meter.update(frames), people))

    def second_pass(self, step: Step, share: float, key: int = 0) -> None:
        """Write a line where the last one is an interval ago."""
        running = self._running.get(key)
        if running is None:
            return
        self._whole.second_pass(key, step, share)
        now = self._clock()
        running.begins(step, now)
        if now - running.last_s < PLAIN_INTERVAL_S:
            return
        running.last_s = now
        self._print(running, step_text(step, share, now - running.step_since_s))

    def _print(self, running: _Running, text: str) -> None:
        whole = f"; all: {self._whole.text()}" if self._whole.several else ""
        self._console.print(f"{running.name}: {text}{whole}")

    def finish(self, key: int = 0) -> None:
        """Forget the input."""
        self._running.pop(key, None)
        self._whole.finish(key)


class BarReporter(SilentReporter):
    """A live bar per input at work, with frames, rate, people now and the time that is left.

    Where there are several inputs, a last bar tells of all. A bar is gone when its input is over; the second
    pass has it run again.
    """

    def __init__(self, console: Console, clock: Clock = time.monotonic) -> None:
        self._console = console
        self._clock = clock
        self._progress: Progress | None = None
        self._running: dict[int, _Running] = {}
        self._whole = Whole(clock)
        self._whole_task: TaskID | None = None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._running.clear()
        self._stop()

    def expect(self, sizes: Mapping[int, int], *, second_share: float = 0.0) -> None:
        """Take note of all inputs."""
        self._whole.expect(sizes, second_share=second_share)

    def start(self, name: str, total: int | None, key: int = 0) -> None:
        """Show a fresh bar; it pulses where the number of frames is not known."""
        self._whole.start()
        progress = self._progress or self._open()
        if key in self._running:  # It was begun before, in a process that was lost.
            progress.remove_task(self._running[key].task)
        if self._whole_task is not None:
            progress.remove_task(self._whole_task)  # It is put back, below the new one.
        task = progress.add_task(shorten(name, NAME_WIDTH), total=total, text=progress_text(0, total, 0.0, 0))
        self._running[key] = _Running(name, total, RateMeter(self._clock), 0.0, task)
        if self._whole.several:
            self._whole_task = progress.add_task("all", total=1.0, text=self._whole.text())
            progress.update(self._whole_task, completed=self._whole.share)

    def advance(self, frames: int, people: int, key: int = 0) -> None:
        """Move the bars, at most every `BAR_INTERVAL_S`."""
        running = self._running.get(key)
        if running is None or self._progress is None:
            return
        self._whole.advance(key, frames, running.total)
        now = self._clock()
        if now - running.last_s < BAR_INTERVAL_S:
            return
        running.last_s = now
        text = progress_text(frames, running.total, running.meter.update(frames), people)
        self._progress.update(running.task, completed=frames, text=text)
        self._show_whole(self._progress)

    def second_pass(self, step: Step, share: float, key: int = 0) -> None:
        """Let the bar run once more for each step, moved at most every `BAR_INTERVAL_S`."""
        running = self._running.get(key)
        if running is None or self._progress is None:
            return
        self._whole.second_pass(key, step, share)
        now = self._clock()
        if not running.begins(step, now) and now - running.last_s < BAR_INTERVAL_S:
            return
        running.last_s = now
        text = step_text(step, share, now - running.step_since_s)
        self._progress.update(running.task, total=1.0, completed=share, text=text)
        self._show_whole(self._progress)

    def _show_whole(self, progress: Progress) -> None:
        if self._whole_task is not None:
            progress.update(self._whole_task, completed=self._whole.share, text=self._whole.text())

    def finish(self, key: int = 0) -> None:
        """Take the bar away."""
        self._whole.finish(key)
        running = self._running.pop(key, None)
        if running is not None and self._progress is not None:
            self._progress.remove_task(running.task)
        if not self._running:
            self._stop()

    def _open(self) -> Progress:
        # Redirection would send to this console what is meant for stdout.
        self._progress = Progress(
            TextColumn("{task.description}", markup=False, table_column=Column(no_wrap=True)),
            BarColumn(bar_width=BAR_WIDTH),
            TextColumn("{task.fields[text]}", markup=False, table_column=Column(no_wrap=True)),
            console=self._console,
            transient=True,
            refresh_per_second=1 / BAR_INTERVAL_S,
            redirect_stdout=False,
            redirect_stderr=False,
        )
        self._progress.start()
        return self._progress

    def _stop(self) -> None:
        if self._progress is not None:
            self._progress.stop()
            self._progress, self._whole_task = None, None


def shorten(name: str, width: int) -> str:
    """Return the end of a name that is too long, which tells more than its beginning."""
    return name if len(name) <= width else "…" + name[len(name) - width + 1 :]


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


def step_text(step: Step, share: float, spent_s: float) -> str:
    """Return a step of the second pass, its share and, after `spent_s` of it, the time left as one line."""
    text = f"{STEP_TEXTS[step]} ({int(100 * share)} %)"
    return f"{text}, ETA {duration(spent_s * (1 - share) / share)}" if share > 0 and spent_s > 0 else text


def make_reporter(console: Console, verbosity: int) -> Reporter:
    """Return what fits the console and the loudness: silence, plain lines or a bar."""
    if verbosity < 0:
        return SilentReporter()
    return BarReporter(console) if console.is_terminal else PlainReporter(console)
