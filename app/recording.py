"""One input, from its source to its files: rows are written as they come, the sidecar says how it ended.

At every moment the CSV holds whole rows and the sidecar says what it is: `recording` from before the first
row to after the last, `complete` only once all files are closed and on the disk.
"""

import logging
import os
import stat
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from app.extra_files import arriving, check_formats, find_extras, remove_arriving, stem_of
from app.outputs import OutputPaths, check_absent
from app.second_pass import StepHook, smooth_again
from app.summary import Summary, build_sidecar, check_frames
from engine.errors import SinkError, SourceError
from engine.pipeline import Pipeline
from engine.sinks import Sink
from engine.sinks.annotated_video import AnnotatedVideoSink
from engine.sinks.csv_file import CsvSink, describe_columns
from engine.sinks.formats import open_sinks, write_afterwards
from engine.sinks.sidecar import RunRecord, Sidecar, Status, write_sidecar
from engine.sinks.sink import write_failure
from engine.sources import Source
from engine.stopping import Stop
from engine.structures import Result
from engine.tracking.recorded import ResultRecorder

LOGGER = logging.getLogger(__name__)

ResultHook = Callable[[Result], None]
AfterHook = Callable[[OutputPaths], Sequence[Path]]
"""What is done with the files of an input once all rows are written: returns files that it made besides.

The sidecar is there with everything but its end: its status is still `recording`.
"""


class FrameReporter(Protocol):
    """What is told of the frames of one input."""

    def advance(self, frames: int, people: int) -> None:
        """So many `frames` are done in all, with so many `people` in the last one."""


@dataclass(frozen=True, slots=True)
class WriteOptions:
    """What is written: see `engine.sinks.csv_file.CsvSink`.

    formats: written beside the CSV, by their names in `engine.sinks.formats.FORMATS`. offline: the rows are
    smoothed once more when all are there, independent pictures aside.
    """

    raw: bool = False
    keep_empty: bool = False
    long: bool = False
    overwrite: bool = False
    formats: tuple[str, ...] = ()
    offline: bool = False


@dataclass(frozen=True, slots=True)
class Extras:
    """What a batch adds to a recording.

    run: by which it will know the results again. asked: settings that the sidecar states in the place of the
    pipeline's own. choice: what it adds to the pipeline's choice. after: is called in this order with the
    finished rows, and not where the recording was interrupted or failed.
    """

    run: RunRecord | None = None
    asked: Mapping[str, Any] | None = None
    choice: Mapping[str, Any] = field(default_factory=dict)
    after: Sequence[AfterHook] = ()


def record(
    pipeline: Pipeline,
    source: Source,
    paths: OutputPaths,
    options: WriteOptions,
    *,
    reporter: FrameReporter,
    stop: Stop,
    on_result: ResultHook | None = None,
    on_step: StepHook | None = None,
    extras: Extras | None = None,
) -> Summary:
    """Track a source into its files until it ends, breaks, or a stop is asked for.

    However it ends, the CSV holds every row up to then, and the sidecar says `complete`, `interrupted` or
    `failed` and why; where the program is killed, it says `recording`. With `offline` the rows are live ones
    until a second pass has come to its end, and whatever is made besides comes with that pass.

    Args:
        pipeline: models in hand.
        source: opened; the caller closes it.
        paths: what to write.
        options: how.
        reporter: is told of every frame.
        stop: is asked after every frame, and may wait then.
        on_result: is called with every result of the first pass, after it was written.
        on_step: is told how far the second pass is.
        extras: what a batch adds.

    Raises:
        UsageError: a format cannot hold the skeleton; nothing was written.
        SourceError: the source breaks, is cut short, or a frame of it is not accounted for.
        SinkError: a file cannot be written.
    """
    check_formats(options.formats, pipeline.skeleton, stills=source.info.stills)
    run = _Run(pipeline, source, paths, options, reporter, stop, on_result)
    files = _Sidecars(pipeline, source, paths, options, extras or Extras(), run.summary)
    if not options.overwrite:
        check_absent(paths)
        for path in find_extras(paths.csv, options.formats):
            raise SinkError(f"{path} exists already; --overwrite replaces it")
    try:
        # Before the CSV: results that are replaced must not look complete for a moment.
        files.write("recording")
        run.follow()
        if not run.summary.interrupted:
            run.smooth(on_step)
        if not run.summary.interrupted:
            files.finish()
    except BaseException as error:
        run.stop_clock()
        try:
            files.write("interrupted" if isinstance(error, KeyboardInterrupt) else "failed", error)
        except SinkError as second:
            LOGGER.warning("%s", second)
        raise
    files.write("interrupted" if run.summary.interrupted else "complete")
    return run.summary


class _Run:
    """The passes over one source, and the summary of them; see `record`."""

    def __init__(
        self,
        pipeline: Pipeline,
        source: Source,
        paths: OutputPaths,
        options: WriteOptions,
        reporter: FrameReporter,
        stop: Stop,
        on_result: ResultHook | None,
    ) -> None:
        self._pipeline, self._source, self._paths, self._options = pipeline, source, paths, options
        self._reporter, self._stop, self._on_result = reporter, stop, on_result
        self._recorder = _open_recorder(source, options)
        self._begin = time.perf_counter()
        self.summary = Summary(offline=None if self._recorder is None else False)

    def stop_clock(self) -> None:
        """Note how long it took so far."""
        self.summary.seconds = time.perf_counter() - self._begin - self._stop.paused_s

    def follow(self) -> None:
        """Write the rows as people are followed, until the source ends or a stop is asked for.

        Raises:
            SourceError: the source breaks, is cut short, or a frame of it is not accounted for.
            SinkError: a file cannot be written.
        """
        summary = self.summary
        with ExitStack() as stack:
            sinks = self._open_sinks(stack, self._paths.csv, alone=self._recorder is not None)
            for result in self._pipeline.run(self._source):
                written = time.perf_counter()
                for sink in sinks:
                    sink.write(result)
                if self._recorder is not None:
                    self._recorder.add(result)
                summary.add(result, (time.perf_counter() - written) * 1e3)
                self._reporter.advance(summary.totals.frames, len(result.people))
                if self._on_result:
                    self._on_result(result)
                if self._stop.requested:
                    summary.interrupted = True
                    break
        self.stop_clock()
        if self._source.missing_end and not summary.interrupted:
            raise SourceError(f"{self._source.missing_end}; the rows up to there are in {self._paths.csv}")
        check_frames(summary, self._source)

    def smooth(self, on_step: StepHook | None) -> None:
        """Do the second pass if there is one; the summary knows then who is in the rows, or of a stop.

        Raises:
            SourceError: the source does not give the same frames again, which the video needs.
            SinkError: a file cannot be written; the live rows are still there.
        """
        if self._recorder is None:
            return
        found = smooth_again(
            self._recorder.finish(),
            self._pipeline.settings.tracker.smoothing,
            self._pipeline.skeleton,
            self._paths.csv,
            self._open_sinks,
            undo=self._remove_second_files,
            pictures=self._source.info if self._paths.video else None,
            stop=self._stop,
            on_step=on_step,
        )
        self.stop_clock()
        if found is None:
            self.summary.interrupted = True
            return
        self.summary.offline = True
        self.summary.track_ids, self.summary.most_people = set(found.track_ids), found.most

    def _open_sinks(self, stack: ExitStack, csv: Path, *, alone: bool = False) -> list[Sink]:
        """Open the CSV under some name and, unless it stands `alone`, what else comes with each frame."""
        options, info, paths = self._options, self._source.info, self._paths
        skeleton, overwrite = self._pipeline.skeleton, options.overwrite
        raw, keep_empty = options.raw, options.keep_empty
        sink: Sink = CsvSink(
            csv,
            skeleton,
            raw=raw,
            keep_empty=keep_empty,
            long=options.long,
            wall_time=info.live,
            overwrite=overwrite,
        )
        sinks = [stack.enter_context(closing(sink))]
        if alone:
            return sinks
        stem, formats = stem_of(paths.csv), arriving(options.formats)
        for sink in open_sinks(
            formats, stem, skeleton, info, raw=raw, keep_empty=keep_empty, overwrite=overwrite
        ):
            sinks.append(stack.enter_context(closing(sink)))
        if paths.video:
            sink = AnnotatedVideoSink(paths.video, skeleton, info, overwrite=overwrite)
            sinks.append(stack.enter_context(closing(sink)))
        return sinks

    def _remove_second_files(self) -> None:
        remove_arriving(self._paths.csv, self._options.formats)
        if self._paths.video:
            with suppress(OSError):
                self._paths.video.unlink(missing_ok=True)


class _Sidecars:
    """Writes the sidecar of one recording again and again, and what comes after its last row."""

    def __init__(
        self,
        pipeline: Pipeline,
        source: Source,
        paths: OutputPaths,
        options: WriteOptions,
        extras: Extras,
        summary: Summary,
    ) -> None:
        self._pipeline, self._source, self._paths = pipeline, source, paths
        self._options, self._extras, self._summary = options, extras, summary
        self._run = extras.run

    def write(self, status: Status, error: BaseException | None = None) -> None:
        """Write it as things stand."""
        write_sidecar(self._paths.sidecar, self._build(status, error))

    def finish(self) -> None:
        """Do what comes after the last row, and see to it that everything is on the disk."""
        files = [path for path in self._paths.all if path != self._paths.sidecar]
        hooks = [self._write_formats, *self._extras.after] if self._options.formats else self._extras.after
        made: list[Path] = []
        if hooks:
            self.write("recording")
            for hook in hooks:
                made += hook(self._paths)
        self._summary.extras = tuple(made)
        files += made
        sizes = {path.name: _flush(path) for path in files}
        if self._run is not None:
            self._run = self._run.model_copy(update={"files": sizes})

    def _write_formats(self, paths: OutputPaths) -> list[Path]:
        return write_afterwards(self._options.formats, paths.csv, overwrite=self._options.overwrite)

    def _build(self, status: Status, error: BaseException | None) -> Sidecar:
        source, options, extras = self._source, self._options, self._extras
        description: dict[str, Any] = self._pipeline.describe()
        description["choice"] = {**description["choice"], **extras.choice}
        if extras.asked is not None:
            description["settings"] = extras.asked
        return build_sidecar(
            self._summary,
            status,
            error,
            info=source.info,
            skeleton=self._pipeline.skeleton,
            description=description,
            frames_read=source.frames_read,
            frames_dropped=source.frames_dropped,
            columns=describe_columns(raw=options.raw, long=options.long, wall_time=source.info.live),
            warnings=source.warnings,
            run=self._run,
        )


def _open_recorder(source: Source, options: WriteOptions) -> ResultRecorder | None:
    """Return what keeps the rows for a second pass, None where there will be none."""
    if options.offline and source.info.stills:
        LOGGER.warning(
            "%s: independent pictures have nothing before and after them; --offline leaves them as they are",
            source.info.name,
        )
    return ResultRecorder() if options.offline and not source.info.stills else None


def _flush(path: Path) -> int:
    """Put a finished file on the disk; return its size in bytes, of a folder that of its files."""
    try:
        if path.is_dir():
            return sum(_flush(entry) for entry in sorted(path.rglob("*")) if entry.is_file())
        with path.open("rb+") as stream:
            status = os.fstat(stream.fileno())
            if stat.S_ISREG(status.st_mode):  # What is no regular file (a pipe, a device) has no disk.
                os.fsync(stream.fileno())
            return status.st_size
    except OSError as error:
        raise write_failure(path, error) from error
