"""Several inputs at once, each in a process of its own with its own models and its share of the threads.

The parent hands out inputs and hears of progress over one pipe per worker. A worker that is lost (killed, out
of memory) is replaced and its input done again, once. Workers leave at once when their parent is gone, so
whoever resumes its batch finds nobody at work.
"""

import logging
import multiprocessing
import os
import signal
import threading
import time
from collections import deque
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import NoReturn, Protocol

import cv2

from app.batch_task import Models, Outcome, Recipe, Task, track_task
from app.console import PACKAGES
from app.outputs import clear_parts
from app.second_pass import Step
from engine.errors import SteadyPoseError, UsageError
from engine.stopping import Stop

LOGGER = logging.getLogger(__name__)

TELL_S = 0.1
"""Between two words of a worker on its frames."""
LOOK_S = 0.2
"""Between two looks of the parent at a stop that was asked for."""
CLOSE_S = 10.0
"""What a worker may take to free its models."""
STOP = "stop"


class Listener(Protocol):
    """What hears of the inputs while they are done."""

    def begin(self, task: Task, total: int | None) -> None:
        """An input is open and has so many frames, None where that is not known."""

    def advance(self, task: Task, frames: int, people: int) -> None:
        """So many `frames` of it are done, with so many `people` in the last one."""

    def second_pass(self, task: Task, step: Step, share: float) -> None:
        """Its second pass is at this step, of which a `share` is done, 0 to 1."""

    def finish(self, task: Task, outcome: Outcome) -> None:
        """It is over."""


@dataclass(frozen=True, slots=True)
class _Begin:
    total: int | None


@dataclass(frozen=True, slots=True)
class _Advance:
    frames: int
    people: int


@dataclass(frozen=True, slots=True)
class _SecondPass:
    step: Step
    share: float


@dataclass(frozen=True, slots=True)
class _Log:
    logger: str
    level: int
    message: str


@dataclass(frozen=True, slots=True)
class _Fatal:
    """The models cannot be opened."""

    kind: type[SteadyPoseError]
    message: str


class _Worker:
    """A process, its pipe, and what it is doing."""

    def __init__(self, recipe: Recipe, level: int) -> None:
        context = multiprocessing.get_context("spawn")
        self.pipe, theirs = context.Pipe()
        self.task: Task | None = None
        self.process: BaseProcess = context.Process(
            target=_work, args=(theirs, recipe, level), name="steadypose worker", daemon=True
        )
        self.process.start()
        theirs.close()  # Else the end of the worker would not be the end of the pipe.

    def give(self, task: Task) -> None:
        """Hand it an input; that it is gone is noticed when it is listened to."""
        self.task = task
        self.send(task)

    def send(self, message: Task | str | None) -> None:
        """Tell it something, if it still listens."""
        try:
            self.pipe.send(message)
        except OSError:
            LOGGER.debug("a worker does not listen any more")

    def close(self, patience_s: float) -> None:
        """See it end; killed where it takes too long."""
        self.send(None)
        self.process.join(patience_s)
        if self.process.is_alive():
            self.process.kill()
            self.process.join()
        self.pipe.close()


def run_in_workers(tasks: Sequence[Task], recipe: Recipe, jobs: int, listener: Listener, stop: Stop) -> None:
    """Do all inputs in `jobs` processes, or end after the frames at hand where a stop is asked for.

    Raises:
        SteadyPoseError: the models cannot be opened; nothing more is done then.
    """
    _Pool(tasks, recipe, jobs, listener).run(stop)


class _Pool:
    def __init__(self, tasks: Sequence[Task], recipe: Recipe, jobs: int, listener: Listener) -> None:
        self._waiting = deque(tasks)
        self._recipe, self._listener = recipe, listener
        self._level = logging.getLogger(PACKAGES[0]).getEffectiveLevel()
        self._lost: set[int] = set()
        self._stopping = False
        self._workers = [_Worker(recipe, self._level) for _ in range(min(jobs, len(tasks)))]

    def run(self, stop: Stop) -> None:
        patience_s = 0.0
        try:
            for worker in self._workers:
                self._give(worker)
            while busy := [worker for worker in self._workers if worker.task is not None]:
                if stop.requested and not self._stopping:
                    self._stopping = True
                    self._waiting.clear()
                    for worker in busy:
                        worker.send(STOP)
                ready = wait([worker.pipe for worker in busy], LOOK_S)
                for worker in busy:
                    if worker.pipe in ready:
                        self._hear(worker)
            patience_s = CLOSE_S
        finally:
            for worker in self._workers:
                worker.close(patience_s)

    def _give(self, worker: _Worker) -> None:
        worker.task = None
        if self._waiting:
            worker.give(self._waiting.popleft())

    def _hear(self, worker: _Worker) -> None:
        task = worker.task
        if task is None:
            return
        try:
            message = worker.pipe.recv()
        except (EOFError, OSError):
            self._replace(worker, task)
            return
        match message:
            case _Begin():
                self._listener.begin(task, message.total)
            case _Advance():
                self._listener.advance(task, message.frames, message.people)
            case _SecondPass():
                self._listener.second_pass(task, message.step, message.share)
            case _Log():
                logging.getLogger(message.logger).log(message.level, "%s", message.message)
            case _Fatal():
                raise message.kind(message.message)
            case Outcome():
                self._listener.finish(task, message)
                self._give(worker)

    def _replace(self, worker: _Worker, task: Task) -> None:
        """Put another in the place of a worker that is gone; its input is tried once more."""
        worker.close(CLOSE_S)
        how = _how_it_ended(worker.process.exitcode)
        try:
            clear_parts([task.paths.csv], writer=worker.process.pid)
        except UsageError as failure:
            LOGGER.warning("%s", failure)
        self._workers.remove(worker)
        if self._stopping:
            self._listener.finish(task, Outcome(task.key, "interrupted"))
        elif task.key in self._lost:
            error = (
                f"{task.item.label}: its process {how} twice; try fewer --jobs, or look at this input alone"
            )
            self._listener.finish(task, Outcome(task.key, "failed", error=error))
        else:
            self._lost.add(task.key)
            LOGGER.warning("%s: its process %s; it is done again from its start", task.item.label, how)
            # What the lost one had begun may be replaced, and nothing else was there.
            self._waiting.appendleft(replace(task, replace=True))
        if self._waiting:
            fresh = _Worker(self._recipe, self._level)
            self._workers.append(fresh)
            self._give(fresh)


def _how_it_ended(code: int | None) -> str:
    if code is None or code >= 0:
        return f"ended with code {code}"
    names = {number.value: number.name for number in signal.Signals}
    return f"was ended by {names.get(-code, f'signal {-code}')}"


class _Parent:
    """In a worker: the pipe to the parent. Any thread may send, as any may log."""

    def __init__(self, pipe: Connection) -> None:
        self._pipe = pipe
        self._sending = threading.Lock()

    @property
    def has_spoken(self) -> bool:
        """Whether something waits to be received."""
        return self._pipe.poll()

    def send(self, message: object) -> None:
        """Tell it something; where it is gone, leave."""
        try:
            with self._sending:
                self._pipe.send(message)
        except OSError:
            _leave()

    def receive(self) -> Task | str | None:
        """Wait for what it says; where it is gone, leave."""
        try:
            message: Task | str | None = self._pipe.recv()
        except (EOFError, OSError):
            _leave()
        return message


class _Reports:
    """In a worker: passes on what happens, and is the stop that its recording asks."""

    paused_s = 0.0

    def __init__(self, parent: _Parent) -> None:
        self._parent = parent
        self._stopped = False
        self._told_s = 0.0
        self._step: Step | None = None

    @property
    def requested(self) -> bool:
        """Whether the parent asked for a stop."""
        if not self._stopped and self._parent.has_spoken:
            self._stopped = self._parent.receive() == STOP
        return self._stopped

    def begin(self, total: int | None) -> None:
        """Pass it on."""
        self._step = None
        self._parent.send(_Begin(total))

    def advance(self, frames: int, people: int) -> None:
        """Pass it on now and then."""
        if self._is_time():
            self._parent.send(_Advance(frames, people))

    def second_pass(self, step: Step, share: float) -> None:
        """Pass on that a step begins, and now and then how far it is."""
        if self._is_time() or step != self._step:
            self._step = step
            self._parent.send(_SecondPass(step, share))

    def _is_time(self) -> bool:
        now = time.monotonic()
        if now - self._told_s < TELL_S:
            return False
        self._told_s = now
        return True


class _PipeHandler(logging.Handler):
    """Sends log records to the parent, which owns the console."""

    def __init__(self, parent: _Parent) -> None:
        super().__init__()
        self._parent = parent

    def emit(self, record: logging.LogRecord) -> None:
        """Send one record."""
        trace = f"\n{logging.Formatter().formatException(record.exc_info)}" if record.exc_info else ""
        self._parent.send(_Log(record.name, record.levelno, record.getMessage() + trace))


def _work(pipe: Connection, recipe: Recipe, level: int) -> None:
    """Run in the worker: do what comes through the pipe, until nothing more does."""
    threading.Thread(target=_leave_with_parent, name="parent watch", daemon=True).start()
    parent = _Parent(pipe)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)  # They reach the parent too, which tells us what to do.
    for name in PACKAGES:
        logger = logging.getLogger(name)
        logger.handlers, logger.propagate = [_PipeHandler(parent)], False
        logger.setLevel(level)
    cv2.setNumThreads(max(1, recipe.settings.estimator.threads))
    reports = _Reports(parent)
    with closing(Models(recipe.settings)) as models:
        while (task := parent.receive()) is not None:
            if not isinstance(task, Task):
                continue
            try:
                outcome = track_task(
                    task, recipe, models, watcher=reports, stop=reports, on_step=reports.second_pass
                )
            except SteadyPoseError as error:
                parent.send(_Fatal(type(error), str(error)))
                return
            parent.send(outcome)


def _leave_with_parent() -> None:
    """Wait for the end of the parent, also while a long step asks nothing of the pipe."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        _leave()


def _leave() -> NoReturn:
    """End at once: the parent is gone, and whoever resumes its batch may begin with our input any moment."""
    os._exit(1)
