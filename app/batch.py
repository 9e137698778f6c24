"""A run over many inputs: each gets its files, a failed one is named and the others go on.

The output folder is tried and names that clash are refused before any model is loaded. A stop (Ctrl-C,
SIGTERM) ends after the row at hand: files are closed and the sidecar says `interrupted`.
"""

import logging
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from app.console import say
from app.inputs import TrackInput, check_distinct, expand_inputs
from app.outputs import OutputPaths, check_absent, check_inputs_kept, output_paths, prepare_folder
from app.progress import Reporter, make_reporter
from app.recording import RecordOptions, Summary, record
from app.stopping import StopRequest
from engine.errors import SinkError, SourceError, SteadyPoseError, UsageError
from engine.pipeline import Pipeline
from engine.settings import TrackSettings
from engine.sources import Source, open_source
from engine.structures import Result

LOGGER = logging.getLogger(__name__)

ALL_DONE, SOME_FAILED = 0, 1


@dataclass(frozen=True, slots=True)
class BatchOptions:
    """What `track` was asked for beside its inputs."""

    settings: TrackSettings
    out: Path
    video: bool = False
    record: RecordOptions = RecordOptions()
    fps: float = 30.0
    stills: bool = False
    overwrite: bool = False


def run_batch(
    texts: Sequence[str],
    options: BatchOptions,
    console: Console,
    verbosity: int,
    on_result: Callable[[Result], None] | None = None,
) -> int:
    """Track all inputs and return the exit code.

    Args:
        texts: files, folders, patterns, `demo`.
        options: how.
        console: where progress and errors go.
        verbosity: -1 quiet to 2.
        on_result: is called with every result, after it was written.

    Raises:
        UsageError: nothing was started: names clash, the output folder cannot be written.
        ModelFileError, RuntimeUnavailableError: nothing was started: no model to work with.
    """
    if options.fps <= 0:
        raise UsageError(f"--fps must be above 0, got {options.fps:g}")
    inputs, failures = expand_inputs(texts)
    check_distinct(inputs)
    jobs = [(item, output_paths(item, options.out, video=options.video)) for item in inputs]
    check_inputs_kept(inputs, [paths for _, paths in jobs])
    prepare_folder(options.out)
    for line in failures:
        console.print(f"error: {line}")
    with StopRequest() as stop, make_reporter(console, verbosity) as reporter:
        batch = _Batch(options, console, reporter, stop, quiet=verbosity < 0, on_result=on_result)
        try:
            done = sum(batch.track(item, paths) for item, paths in jobs if not stop.requested)
        finally:
            batch.close()
        if stop.requested:
            console.print(f"stopped by {stop.reason}: {batch.stopped_text(len(jobs))}")
            return stop.exit_code
    return ALL_DONE if done == len(jobs) and not failures else SOME_FAILED
