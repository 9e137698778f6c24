"""A run over many inputs: each gets its files, a failed one is named and the others go on.

Names that clash and an output folder that cannot be written are refused before any model is loaded. A stop
(Ctrl-C, SIGTERM) ends after the row at hand: files are closed and the sidecar says `interrupted`.
"""

import logging
import math
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from app.console import say
from app.inputs import TrackInput, check_distinct, expand_inputs
from app.outputs import OutputPaths, check_absent, check_inputs_kept, output_paths, prepare_folder
from app.progress import Reporter, make_reporter
from app.recording import ResultHook, WriteOptions, record
from app.summary import Summary
from engine.errors import SinkError, SourceError, SteadyPoseError, UsageError
from engine.pipeline import Pipeline
from engine.settings import TrackSettings
from engine.sources import Source, open_source
from engine.stopping import StopRequest

LOGGER = logging.getLogger(__name__)

ALL_DONE, SOME_FAILED, INTERRUPTED = 0, 1, 130


@dataclass(frozen=True, slots=True)
class BatchOptions:
    """What `track` was asked for beside its inputs.

    fps: frame rate of image folders; stills: their images are independent pictures.
    """

    settings: TrackSettings
    out: Path
    write: WriteOptions
    video: bool = False
    fps: float = 30.0
    stills: bool = False


def run_batch(
    texts: Sequence[str],
    options: BatchOptions,
    console: Console,
    verbosity: int,
    on_result: ResultHook | None = None,
) -> int:
    """Track all inputs and return the exit code: 0 all done, 1 some failed, 128 + signal when stopped.

    Args:
        texts: files, folders, patterns, `demo`.
        options: how.
        console: where progress and errors go.
        verbosity: -1 quiet to 2.
        on_result: is called with every result, after it was written.

    Raises:
        UsageError: nothing was started: an impossible option, names that clash, an output folder that cannot
            be written.
        ModelFileError: there is no model to work with.
        RuntimeUnavailableError: nothing can run the models here.
    """
    if not (math.isfinite(options.fps) and options.fps > 0):
        raise UsageError(f"--fps must be a number above 0, got {options.fps:g}")
    inputs, failures = expand_inputs(texts)
    check_distinct(inputs)
    jobs = [(item, output_paths(item, options.out, video=options.video)) for item in inputs]
    check_inputs_kept(inputs, [paths for _, paths in jobs])
    prepare_folder(options.out)
    for line in failures:
        console.print(f"error: {line}")
    done = 0
    with StopRequest() as stop, make_reporter(console, verbosity) as reporter:
        batch = _Batch(options, console, reporter, stop, quiet=verbosity < 0, on_result=on_result)
        try:
            with closing(batch):
                for item, paths in jobs:
                    done += batch.track(item, paths)
                    if stop.requested:
                        break
        except KeyboardInterrupt:
            console.print("stopped at once: the sidecar of the last input may be missing")
            return INTERRUPTED
    if stop.requested:
        console.print(f"stopped by {stop.reason}: {done} of {len(jobs)} inputs done")
        return stop.exit_code
    return ALL_DONE if done == len(jobs) and not failures else SOME_FAILED


class _Batch:
    """The models, opened with the first input that needs them, and what every input shares."""

    def __init__(
        self,
        options: BatchOptions,
        console: Console,
        reporter: Reporter,
        stop: StopRequest,
        *,
        quiet: bool,
        on_result: ResultHook | None,
    ) -> None:
        self._options, self._console, self._reporter, self._stop = options, console, reporter, stop
        self._quiet, self._on_result = quiet, on_result
        self._pipeline: Pipeline | None = None

    def track(self, item: TrackInput, paths: OutputPaths) -> bool:
        """Track one input and say how it went; return whether all of it was done."""
        try:
            if not self._options.write.overwrite:
                check_absent(paths)
            source = open_source(item.path, fps=self._options.fps, stills=self._options.stills)
        except (SourceError, SinkError) as error:
            self._fail(item, error)
            return False
        with closing(source):
            # Not among the errors of this input: without models no input can be done.
            self._pipeline = self._pipeline or Pipeline(self._options.settings)
            self._reporter.start(item.label, source.info.frame_count)
            try:
                summary = self._record(self._pipeline, source, paths)
            except SteadyPoseError as error:
                self._fail(item, error)
                return False
            except Exception as error:
                # One defect must not end a night's work: it is logged with its trace and told as one line.
                LOGGER.debug("while tracking %s", item.label, exc_info=True)
                self._fail(item, f"unexpected {type(error).__name__}: {error}; -vv shows where")
                return False
            finally:
                self._reporter.finish()
                for warning in source.warnings:
                    LOGGER.warning("%s: %s", item.label, warning)
        self._tell(item, paths, summary)
        return not summary.interrupted

    def close(self) -> None:
        """Free the models."""
        if self._pipeline:
            self._pipeline.close()

    def _record(self, pipeline: Pipeline, source: Source, paths: OutputPaths) -> Summary:
        return record(
            pipeline,
            source,
            paths,
            self._options.write,
            reporter=self._reporter,
            stop=self._stop,
            on_result=self._on_result,
        )

    def _fail(self, item: TrackInput, error: SteadyPoseError | str) -> None:
        text = str(error)
        self._console.print(f"error: {text if item.label in text else f'{item.label}: {text}'}")
        if isinstance(error, SteadyPoseError):
            LOGGER.debug("%s failed", item.label, exc_info=error)

    def _tell(self, item: TrackInput, paths: OutputPaths, summary: Summary) -> None:
        LOGGER.info("%s: mean per frame: %s", item.label, summary.stages_text())
        if not self._quiet:
            files = ", ".join(str(path) for path in paths.all)
            how = " (interrupted)" if summary.interrupted else ""
            say(f"{item.label}{how}: {summary.text()} -> {files}")
