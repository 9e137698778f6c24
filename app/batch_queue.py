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
from pathlib import Path

from app.batch_item import BatchItem, BatchTotals, ItemState, Job, QueueOptions, QueueState, sum_up
from app.inputs import TrackInput, count_bytes, expand_inputs
from app.outputs import OutputPaths, check_inputs_kept, find_existing, output_paths, prepare_folder
from app.recording import WriteOptions, record
from engine.errors import SinkError, SourceError, SteadyPoseError
from engine.pipeline import Pipeline
from engine.settings import TrackSettings
from engine.sources import open_source

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
        with closing(_Models()) as models:
            while (job := self._next_job()) is not None:
                try:
                    self._do(job, models)
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

    def _do(self, job: Job, models: "_Models") -> None:
        """Track one file; how it ended is noted in the job, or raised."""
        options = self._options
        source_input = job.source or self._look_again(job)
        folder = options.out or job.path.parent
        paths = output_paths(source_input, folder, video=options.video)
        prepare_folder(folder, remedy=REMEDY)
        check_inputs_kept([source_input], [paths], remedy=REMEDY)
        overwrite = self._may_write(job, paths, options.write)
        with closing(open_source(job.path, fps=options.fps, stills=options.stills)) as source:
            pipeline = models.open(options.settings)
            gate = _Gate(self._lock, lambda: self._paused, lambda: job.stop or self._closed)
            with self._lock:
                job.begin(source.info.frame_count, paths.all, gate)
            write = WriteOptions(options.write.raw, options.write.keep_empty, options.write.long, overwrite)
            try:
                summary = record(
                    pipeline, source, paths, write, reporter=_Progress(job, self._advance), stop=gate
                )
            finally:
                job.warnings = tuple(source.warnings)
        self._end(job, "cancelled" if summary.interrupted else "done", summary.text())

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

    def _may_write(self, job: Job, paths: OutputPaths, write: WriteOptions) -> bool:
        """Return whether files that exist are to be replaced.

        Raises:
            SinkError: there are some, and they must not be.
        """
        with self._lock:
            others = [other for other in self._jobs if other.path != job.path and other.state == "done"]
        for other in others:
            if set(other.outputs) & set(paths.all):
                raise SinkError(
                    f"{paths.csv.name} in {paths.csv.parent} holds the results of {other.path}, done in this "
                    "queue; choose another output folder for one of the two"
                )
        existing = set(find_existing(paths))
        overwrite = write.overwrite or job.overwrite or bool(existing and existing <= job.written)
        if existing and not overwrite:
            job.overwritable = True
            names = " and ".join(path.name for path in paths.all if path in existing)
            verb = "exists" if len(existing) == 1 else "exist"
            raise SinkError(
                f"{names} {verb} already in {paths.csv.parent}; retry with overwrite, or choose another "
                "output folder"
            )
        return overwrite

    def _advance(self, job: Job, frames: int) -> None:
        with self._lock:
            job.advance(frames)
        self._tell(often=True)

    def _end(self, job: Job, state: ItemState, message: str) -> None:
        with self._lock:
            job.end(state, message)
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


class _Progress:
    """Passes the number of frames done on to the queue."""

    def __init__(self, job: Job, advance: Callable[[Job, int], None]) -> None:
        self._job, self._advance = job, advance

    def advance(self, frames: int, people: int) -> None:
        """Pass it on."""
        self._advance(self._job, frames)


class _Models:
    """The models in hand, kept from file to file while the settings stay."""

    def __init__(self) -> None:
        self._pipeline: Pipeline | None = None

    def open(self, settings: TrackSettings) -> Pipeline:
        """Return a pipeline with these settings."""
        if self._pipeline is None or self._pipeline.settings != settings:
            self.close()
            self._pipeline = Pipeline(settings)
        return self._pipeline

    def close(self) -> None:
        """Free the models."""
        if self._pipeline is not None:
            self._pipeline.close()
            self._pipeline = None


def _expand(path: Path) -> tuple[list[TrackInput], str]:
    """Return the inputs that a path stands for, or why there is none."""
    try:
        inputs, failures = expand_inputs([str(path)])
    except SteadyPoseError as error:
        return [], str(error)
    return inputs, " ".join(failures)
