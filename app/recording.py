"""One input, from its source to its files: rows are written as they come, the sidecar says how it ended."""

import logging
import time
from collections.abc import Callable
from contextlib import ExitStack, closing
from dataclasses import dataclass

from app.outputs import OutputPaths
from app.progress import Reporter
from app.summary import Summary, build_sidecar
from engine.errors import SinkError, SourceError
from engine.pipeline import Pipeline
from engine.sinks import Sink
from engine.sinks.annotated_video import AnnotatedVideoSink
from engine.sinks.csv_file import CsvSink, describe_columns
from engine.sinks.sidecar import Sidecar, Status, write_sidecar
from engine.sources import Source
from engine.stopping import Stop
from engine.structures import Result

LOGGER = logging.getLogger(__name__)

ResultHook = Callable[[Result], None]


@dataclass(frozen=True, slots=True)
class WriteOptions:
    """What is written: see `engine.sinks.csv_file.CsvSink`."""

    raw: bool = False
    keep_empty: bool = False
    long: bool = False
    overwrite: bool = False


def record(
    pipeline: Pipeline,
    source: Source,
    paths: OutputPaths,
    options: WriteOptions,
    *,
    reporter: Reporter,
    stop: Stop,
    on_result: ResultHook | None = None,
) -> Summary:
    """Track a source into its files until it ends, breaks, or a stop is asked for.

    However it ends, the CSV holds every row up to then, and the sidecar says `complete`, `interrupted` or
    `failed` and why.

    Args:
        pipeline: models in hand.
        source: opened; the caller closes it.
        paths: what to write.
        options: how.
        reporter: is told of every frame.
        stop: is asked after every frame, and may wait then.
        on_result: is called with every result, after it was written.

    Raises:
        SourceError: the source breaks, or is cut short.
        SinkError: a file cannot be written.
    """
    summary = Summary()
    begin = time.perf_counter()
    try:
        with ExitStack() as stack:
            sinks = _open_sinks(stack, pipeline, source, paths, options)
            for result in pipeline.run(source):
                written = time.perf_counter()
                for sink in sinks:
                    sink.write(result)
                summary.add(result, (time.perf_counter() - written) * 1e3)
                reporter.advance(summary.totals.frames, len(result.people))
                if on_result:
                    on_result(result)
                if stop.requested:
                    summary.interrupted = True
                    break
        summary.seconds = time.perf_counter() - begin - stop.paused_s
        if source.missing_end and not summary.interrupted:
            raise SourceError(f"{source.missing_end}; the rows up to there are in {paths.csv}")
    except BaseException as error:
        summary.seconds = time.perf_counter() - begin - stop.paused_s
        status: Status = "interrupted" if isinstance(error, KeyboardInterrupt) else "failed"
        try:
            write_sidecar(paths.sidecar, _sidecar(pipeline, source, options, summary, status, error))
        except SinkError as second:
            LOGGER.warning("%s", second)
        raise
    status = "interrupted" if summary.interrupted else "complete"
    write_sidecar(paths.sidecar, _sidecar(pipeline, source, options, summary, status))
    return summary


def _open_sinks(
    stack: ExitStack, pipeline: Pipeline, source: Source, paths: OutputPaths, options: WriteOptions
) -> list[Sink]:
    skeleton, overwrite = pipeline.skeleton, options.overwrite
    sinks: list[Sink] = [
        CsvSink(
            paths.csv,
            skeleton,
            raw=options.raw,
            keep_empty=options.keep_empty,
            long=options.long,
            wall_time=source.info.live,
            overwrite=overwrite,
        )
    ]
    stack.enter_context(closing(sinks[0]))
    if paths.video:
        sinks.append(AnnotatedVideoSink(paths.video, skeleton, source.info, overwrite=overwrite))
        stack.enter_context(closing(sinks[1]))
    return sinks


def _sidecar(
    pipeline: Pipeline,
    source: Source,
    options: WriteOptions,
    summary: Summary,
    status: Status,
    error: BaseException | None = None,
) -> Sidecar:
    return build_sidecar(
        summary,
        status,
        error,
        info=source.info,
        skeleton=pipeline.skeleton,
        description=pipeline.describe(),
        frames_read=source.frames_read,
        frames_dropped=source.frames_dropped,
        columns=describe_columns(raw=options.raw, long=options.long, wall_time=source.info.live),
        warnings=source.warnings,
    )
