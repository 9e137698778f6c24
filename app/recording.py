"""One input, from its source to its files: rows are written as they come, the sidecar says how it ended."""

import logging
import time
from collections.abc import Callable
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from typing import Any

from app.outputs import OutputPaths
from app.progress import Reporter
from app.stopping import Stop
from engine import __version__
from engine.errors import SinkError, SourceError
from engine.pipeline import Pipeline
from engine.sinks import Sink
from engine.sinks.annotated_video import AnnotatedVideoSink
from engine.sinks.csv_file import CsvSink, describe_columns
from engine.sinks.sidecar import Sidecar, SourceRecord, Status, write_sidecar
from engine.sources import Source
from engine.structures import Result
from engine.timing import StageTotals

LOGGER = logging.getLogger(__name__)

ResultHook = Callable[[Result], None]


@dataclass(frozen=True, slots=True)
class WriteOptions:
    """What is written: see `engine.sinks.csv_file.CsvSink`."""

    raw: bool = False
    keep_empty: bool = False
    long: bool = False
    overwrite: bool = False


@dataclass(slots=True)
class Summary:
    """What happened to one input.

    seconds: wall time from the first frame asked for to the files closed, without pauses; interrupted: a stop
    was asked for before the end.
    """

    totals: StageTotals = field(default_factory=StageTotals)
    most_people: int = 0
    track_ids: set[int] = field(default_factory=set)
    seconds: float = 0.0
    interrupted: bool = False

    @property
    def frame_rate(self) -> float:
        """Frames per second, end to end."""
        return self.totals.frames / self.seconds if self.seconds > 0 else 0.0

    def add(self, result: Result, write_ms: float) -> None:
        """Count one result."""
        self.totals.add({**result.timings_ms, "write": write_ms})
        self.most_people = max(self.most_people, len(result.people))
        self.track_ids.update(person.track_id for person in result.people)

    def text(self) -> str:
        """Return the summary in words."""
        frames, tracks = self.totals.frames, len(self.track_ids)
        return (
            f"{_count(frames, 'frame', 'frames')}, {_count(tracks, 'track', 'tracks')}, "
            f"at most {_count(self.most_people, 'person', 'people')} at once, {self.frame_rate:.1f} frames/s"
        )

    def stages_text(self) -> str:
        """Return the mean milliseconds per stage and frame in words."""
        return ", ".join(f"{stage} {value:.2f} ms" for stage, value in self.totals.mean_ms().items())


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
    description: dict[str, Any] = pipeline.describe()
    stages_ms = {stage: round(value, 3) for stage, value in summary.totals.mean_ms().items()}
    return Sidecar(
        status=status,
        message=None if error is None else str(error) or type(error).__name__,
        software_version=__version__,
        source=SourceRecord.of(source.info),
        frames_read=source.frames_read,
        frames_dropped=source.frames_dropped,
        tracks=len(summary.track_ids),
        most_people=summary.most_people,
        models=tuple(description["models"]),
        choice=description["choice"],
        settings=description["settings"],
        performance={
            "frames_written": summary.totals.frames,
            "seconds": round(summary.seconds, 3),
            "frames_per_s": round(summary.frame_rate, 2),
            "mean_stage_ms": stages_ms,
        },
        warnings=tuple(source.warnings),
        skeleton=pipeline.skeleton,
        columns=describe_columns(raw=options.raw, long=options.long, wall_time=source.info.live),
    )


def _count(number: int, one: str, many: str) -> str:
    return f"{number} {one if number == 1 else many}"
