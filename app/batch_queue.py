"""A queue of files that are tracked one after another in a thread, with the engine of the command line.

Everything here may be called from any thread and returns at once, but `close`. One file that fails is named
and the others go on; results that exist are never replaced unless that was asked for.
"""

import itertools
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import closing
from functools import partial
from pathlib import Path

from app.batch_item import BatchItem, BatchTotals, ItemState, Job, QueueOptions, QueueState, sum_up
from app.batch_recipe import Workbench, check_packages, files_of, refusal
from app.batch_task import Outcome, Task, done_before, track_task
from app.folder_lock import only_batch_in
from app.inputs import TrackInput, count_bytes, expand_inputs
from app.outputs import (
    OutputPaths,
    check_inputs_kept,
    clear_parts,
    output_paths,
    prepare_folder,
)
from app.resume import Found, look_for_results
from app.second_pass import Step
from engine.errors import SinkError, SourceError, SteadyPoseError

LOGGER = logging.getLogger(__name__)

REMEDY = "choose another output folder"
TELL_INTERVAL_S = 0.1
"""Progress within a file is told at most this often."""


class BatchQueue:
    """Files to be tracked, and the thread that does it while the queue is started.

    Args:
        options: how; `set_options` changes it.
        on_change: is called, without anything, from any thread, whenever `snapshot` would tell something new.
    """

    def __init__(
        self, options: QueueOptions | None = None, on_change: Callable[[], None] | None = None
    ) -> None:
        self.on_change = on_change
        self._options = options or QueueOptions()
        self._lock = threading.Condition()
        self._keys = itertools.count(1)
        self._jobs: list[Job] = []
        self._incoming: deque[Path] = deque()
        self._threads: list[threading.Thread] = []
        self._working = self._adding = self._paused = self._closed = False
        self._told_s = 0.0

    @property
    def options(self) -> QueueOptions:
        """How files are done that begin from now on."""
        return self._options

    def set_options(self, options: QueueOptions) -> None:
        """Do files that begin from now on in another way."""
        self._options = options

    def add(self, paths: Iterable[Path]) -> None:
        """Put files and folders at the end of the queue; what they hold is looked up in a thread.

        A folder stands for the videos in it, or for one sequence of images. What cannot be an input appears
        as a failed item. A file that waits or runs already is not taken twice; one that failed or was
        cancelled waits again.
        """
        with self._lock:
            self._incoming.extend(Path(path).absolute() for path in paths)
            if self._incoming and not self._adding and not self._closed:
                self._adding = True
                self._launch(self._expand_incoming, "batch add")

    def remove(self, keys: Iterable[int]) -> None:
        """Take items off the queue; one that runs is cancelled."""
        wanted = set(keys)
        with self._lock:
            for job in self._jobs:
                job.stop |= job.key in wanted
            self._jobs = [job for job in self._jobs if job.key not in wanted]
            self._lock.notify_all()
        self._tell()

    def start(self) -> None:
        """Go on after a pause, or begin with the items that wait."""
        with self._lock:
            self._paused = False
            self._lock.notify_all()
            if not self._working and not self._closed and any(job.state == "waiting" for job in self._jobs):
                self._working = True
                self._launch(self._work, "batch work")
        self._tell()

    def pause(self) -> None:
        """Rest after the frame at hand; models stay loaded. Nothing where the queue does not run."""
        with self._lock:
            self._paused = self._working
        self._tell()

    def cancel(self, keys: Iterable[int]) -> None:
        """Do not do these items; one that runs ends after the frame at hand and keeps what was written."""
        wanted = set(keys)
        with self._lock:
            for job in self._jobs:
                if job.key in wanted and job.state == "waiting":
                    job.state = "cancelled"
                elif job.key in wanted and job.state == "running":
                    job.stop = True
            self._lock.notify_all()
        self._tell()

    def retry(self, keys: Iterable[int] | None = None, *, overwrite: bool = False) -> None:
        """Let failed and cancelled items wait again; `start` begins with them.

        Args:
            keys: which; None takes all that failed.
            overwrite: replace results that exist.
        """
        wanted = None if keys is None else set(keys)
        with self._lock:
            for job in self._jobs:
                all_failed = wanted is None and job.state == "failed"
                if all_failed or (wanted and job.key in wanted and job.state in ("failed", "cancelled")):
                    job.wait_again(overwrite=overwrite)
        self._tell()

    def clear_finished(self) -> None:
        """Take done and cancelled items off the queue; those that failed stay."""
        with self._lock:
            self._jobs = [job for job in self._jobs if job.state not in ("done", "cancelled")]
        self._tell()

    def snapshot(self) -> list[BatchItem]:
        """Return all items as they stand, in order."""
        with self._lock:
            return [job.item(paused=self._paused) for job in self._jobs]

    def totals(self) -> BatchTotals:
        """Return how the whole queue stands."""
        with self._lock:
            state: QueueState = ("paused" if self._paused else "running") if self._working else "idle"
            return sum_up(self._jobs, state)

    def close(self) -> None:
        """End after the frame at hand, and wait until threads have ended and files are closed."""
        with self._lock:
            self._closed = True
            self._incoming.clear()
            self._lock.notify_all()
            threads = list(self._threads)
        for thread in threads:
            thread.join()

    def _launch(self, target: Callable[[], None], name: str) -> None:
        self._threads = [thread for thread in self._threads if thread.is_alive()]
        thread = threading.Thread(target=target, name=name, daemon=True)
        thread.start()
        self._threads.append(thread)

    def _tell(self, *, often: bool = False) -> None:
        """Call `on_change`; with `often` only where the last time is a while ago."""
        now = time.monotonic()
        if often and now - self._told_s < TELL_INTERVAL_S:
            return
        self._told_s = now
        if self.on_change:
            self.on_change()

    def _expand_incoming(self) -> None:
        while True:
            with self._lock:
                if not self._incoming:
                    self._adding = False
                    return
                path = self._incoming.popleft()
            inputs, failure = _expand(path)
            sizes = [count_bytes(item.path) for item in inputs]
            with self._lock:
                for item, size in zip(inputs, sizes, strict=True):
                    self._take_in(item, size)
                if failure:
                    self._jobs.append(Job(next(self._keys), path, state="failed", message=failure))
            self._tell()

    def _take_in(self, found: TrackInput, size: int) -> None:
        for job in self._jobs:
            if job.path == found.path and job.state != "done":
                if job.state in ("failed", "cancelled"):
                    job.wait_again(overwrite=False)
                    job.source = found
                return
        self._jobs.append(Job(next(self._keys), found.path, source=found, size=size))

    def _work(self) -> None:
        with closing(Workbench()) as bench:
            while (job := self._next_job()) is not None:
                try:
                    self._do(job, bench)
                except SteadyPoseError as error:
                    LOGGER.debug("%s failed", job.path, exc_info=error)
                    self._end(job, "failed", str(error))
                except Exception as error:
                    # One defect must not end a night's work.
                    LOGGER.exception("while tracking %s", job.path)
                    self._end(job, "failed", f"unexpected {type(error).__name__}: {error}")
        self._tell()

    def _next_job(self) -> Job | None:
        with self._lock:
            while True:
                job = next((job for job in self._jobs if job.state == "waiting"), None)
                if job is None or self._closed:
                    self._working = self._paused = False
                    return None
                if not self._paused:
                    job.state = "running"
                    break
                self._lock.wait()
        self._tell()
        return job

    def _do(self, job: Job, bench: Workbench) -> None:
        """Track one file; how it ended is noted in the job, or raised."""
        options = self._options
        source_input = job.source or self._look_again(job)
        check_packages(options)
        folder = options.out or job.path.parent
        paths = output_paths(source_input, folder, video=options.video)
        prepare_folder(folder, remedy=REMEDY)
        check_inputs_kept([source_input], [paths], remedy=REMEDY)
        recipe = bench.recipe(options)
        with only_batch_in(folder, remedy=REMEDY):
            self._check_owner(job, paths, options)
            found = look_for_results(paths, job.path, recipe.request)
            bench.note_earlier(recipe, found.choice)
            overwrite = job.overwrite or options.write.overwrite
            if options.skip_done and found.sidecar is not None and not overwrite:
                self._end_with(job, done_before(job.key, paths, found.sidecar))
                return
            task = Task(job.key, source_input, paths, self._may_replace(job, paths, options, found))
            if options.skip_done:
                clear_parts([paths.csv])
            recipe, models = bench.open(recipe, task)
            gate = _Gate(self._lock, lambda: self._paused, lambda: job.stop or self._closed)
            watcher = _Watcher(
                partial(self._begin, job, gate, paths, options.second_share), partial(self._advance, job)
            )
            try:
                outcome = track_task(
                    task, recipe, models, watcher=watcher, stop=gate, on_step=partial(self._smooth_again, job)
                )
            finally:
                with self._lock:
                    job.written.update(files_of(paths, options))
        self._end_with(job, outcome)

    def _look_again(self, job: Job) -> TrackInput:
        """Return the input that a path now stands for, after it stood for none; others of it are added."""
        inputs, failure = _expand(job.path)
        if not inputs:
            raise SourceError(failure or f"{job.path} holds nothing to track")
        sizes = [count_bytes(item.path) for item in inputs]
        with self._lock:
            job.source, job.path, job.size = inputs[0], inputs[0].path, sizes[0]
            for item, size in zip(inputs[1:], sizes[1:], strict=True):
                self._take_in(item, size)
        return inputs[0]

    def _check_owner(self, job: Job, paths: OutputPaths, options: QueueOptions) -> None:
        """Refuse to write over what another file of this queue has made.

        Raises:
            SinkError: it would.
        """
        names = {*paths.all, *files_of(paths, options)}
        with self._lock:
            others = [other for other in self._jobs if other.path != job.path and other.state == "done"]
        for other in others:
            taken = sorted(names & set(other.outputs))
            if taken:
                raise SinkError(
                    f"{taken[0].name} in {taken[0].parent} holds the results of {other.path}, done in this "
                    "queue; choose another output folder for one of the two"
                )

    def _may_replace(self, job: Job, paths: OutputPaths, options: QueueOptions, found: Found) -> bool:
        """Return whether files that exist are to be replaced.

        Raises:
            SinkError: there are some, and they must not be.
        """
        existing = files_of(paths, options)
        if not existing or options.write.overwrite or job.overwrite or set(existing) <= job.written:
            return bool(existing)
        if options.skip_done and found.state == "begun":
            LOGGER.info("%s is done again: what is there %s", job.path, found.why)
            return True
        job.overwritable = True
        raise SinkError(refusal(existing, paths, found, skip_done=options.skip_done))

    def _begin(self, job: Job, gate: "_Gate", paths: OutputPaths, second: float, total: int | None) -> None:
        with self._lock:
            job.begin(total, paths.all, gate, second_share=second)
        self._tell()

    def _advance(self, job: Job, frames: int) -> None:
        with self._lock:
            job.advance(frames)
        self._tell(often=True)

    def _smooth_again(self, job: Job, step: Step, share: float) -> None:
        with self._lock:
            job.smooth_again(step, share)
        self._tell(often=True)

    def _end(self, job: Job, state: ItemState, message: str) -> None:
        with self._lock:
            job.end(state, message)
        self._tell()

    def _end_with(self, job: Job, outcome: Outcome) -> None:
        """Note what came of an item."""
        states: dict[str, ItemState] = {"failed": "failed", "interrupted": "cancelled"}
        with self._lock:
            job.warnings = outcome.warnings
            job.outputs = outcome.files or job.outputs
            job.done_before = outcome.status == "done before"
            if job.done_before:
                job.frames, job.total = outcome.frames, outcome.frames
            # The table has a column for the file: its name is not needed in front of what is wrong.
            job.end(
                states.get(outcome.status, "done"),
                outcome.text or outcome.error.removeprefix(f"{job.path}: "),
            )
        self._tell()


class _Gate:
    """What a recording asks after every frame: waits while the queue is paused."""

    def __init__(
        self, lock: threading.Condition, paused: Callable[[], bool], ended: Callable[[], bool]
    ) -> None:
        self._lock, self._paused, self._ended = lock, paused, ended
        self.paused_s = 0.0

    @property
    def requested(self) -> bool:
        """Whether to end now; waits while paused."""
        with self._lock:
            begin = time.monotonic()
            self._lock.wait_for(lambda: self._ended() or not self._paused())
            self.paused_s += time.monotonic() - begin
            return self._ended()


class _Watcher:
    """Passes on what happens to one file."""

    def __init__(self, begin: Callable[[int | None], None], advance: Callable[[int], None]) -> None:
        self._begin, self._advance = begin, advance

    def begin(self, total: int | None) -> None:
        """Pass it on."""
        self._begin(total)

    def advance(self, frames: int, people: int) -> None:
        """Pass it on."""
        self._advance(frames)


def _expand(path: Path) -> tuple[list[TrackInput], str]:
    """Return the inputs that a path stands for, or why there is none."""
    try:
        inputs, failures = expand_inputs([str(path)])
    except SteadyPoseError as error:
        return [], str(error)
    return inputs, " ".join(failures)
