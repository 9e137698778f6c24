"""One input of a batch from opening it to what came of it, in whatever process does it."""

import logging
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, Protocol

from app.inputs import TrackInput
from app.outputs import OutputPaths
from app.recording import AfterHook, Extras, FrameReporter, ResultHook, WriteOptions, record
from app.resume import Request, fingerprint_input, make_request
from app.second_pass import StepHook
from app.summary import Summary
from engine.errors import SourceError, SteadyPoseError
from engine.pipeline import Pipeline
from engine.settings import TrackSettings, VideoDecoder
from engine.sinks.sidecar import RunRecord, Sidecar
from engine.sources import Source, open_source
from engine.stopping import Stop

LOGGER = logging.getLogger(__name__)

OutcomeStatus = Literal["waiting", "complete", "done before", "interrupted", "failed"]


@dataclass(frozen=True, slots=True)
class Task:
    """One input to do. key: its number in the batch; replace: its files may exist."""

    key: int
    item: TrackInput
    paths: OutputPaths
    replace: bool


@dataclass(frozen=True, slots=True)
class Recipe:
    """How every input of a batch is done; it can be sent to another process.

    settings: that are followed, with everything chosen; asked: those that were asked for, which the sidecars
    state. choice: what was chosen for the whole batch. fps: frame rate
    of image folders; stills: their images are independent pictures. decoder: of video files. after: what
    follows the last row of each input; functions that can be pickled.
    """

    settings: TrackSettings
    asked: TrackSettings
    request: Request
    write: WriteOptions
    choice: Mapping[str, Any] = field(default_factory=dict)
    fps: float = 30.0
    stills: bool = False
    decoder: VideoDecoder = "software"
    after: Sequence[AfterHook] = ()


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one input.

    frames: written; dropped: that could not be read; people: told apart; seconds: of work; text: the summary
    in words; stages: mean milliseconds in words; error: one line. files: that it made.
    """

    key: int
    status: OutcomeStatus
    frames: int = 0
    dropped: int = 0
    people: int = 0
    seconds: float = 0.0
    text: str = ""
    stages: str = ""
    warnings: tuple[str, ...] = ()
    error: str = ""
    files: tuple[Path, ...] = ()


def ask_recipe(
    settings: TrackSettings,
    write: WriteOptions,
    *,
    fps: float = 30.0,
    stills: bool = False,
    decoder: VideoDecoder = "software",
    plots: bool = False,
    after: Sequence[AfterHook] = (),
) -> Recipe:
    """Return a recipe of what is asked for, before anything is chosen; see `Recipe`.

    Args:
        plots: write the report of each input, with plots, after everything else.

    Raises:
        ModelFileError: no model is called so.
    """
    request = make_request(
        settings,
        {
            "raw": write.raw,
            "keep_empty": write.keep_empty,
            "long": write.long,
            "fps": fps,
            "stills": stills,
            "decoder": decoder,
            "formats": sorted(write.formats),
            "offline": write.offline,
            "plots": plots,
        },
    )
    if plots:
        from app.report.writing import ReportHook

        after = (*after, ReportHook())
    return Recipe(
        settings, settings, request, write, fps=fps, stills=stills, decoder=decoder, after=tuple(after)
    )


class Watcher(FrameReporter, Protocol):
    """What is told of an input while it is done."""

    def begin(self, total: int | None) -> None:
        """It is open and has so many frames, None where that is not known."""


class Models:
    """The models, opened with the first input that needs them."""

    def __init__(self, settings: TrackSettings, opened: Pipeline | None = None) -> None:
        self._settings, self._pipeline = settings, opened

    def open(self) -> Pipeline:
        """Return the pipeline.

        Raises:
            SteadyPoseError: as `Pipeline`.
        """
        if self._pipeline is None:
            self._pipeline = Pipeline(self._settings)
        return self._pipeline

    def close(self) -> None:
        """Free the models."""
        if self._pipeline is not None:
            self._pipeline.close()
            self._pipeline = None


def open_item(item: TrackInput, recipe: Recipe) -> Source:
    """Open the source of an input.

    Raises:
        SourceError: it cannot be read.
    """
    return open_source(item.path, fps=recipe.fps, stills=recipe.stills, decoder=recipe.decoder)


def track_task(
    task: Task,
    recipe: Recipe,
    models: Models,
    *,
    watcher: Watcher,
    stop: Stop,
    on_result: ResultHook | None = None,
    on_step: StepHook | None = None,
) -> Outcome:
    """Track one input into its files and return what came of it, also where it failed.

    Args:
        task: the input.
        recipe: how.
        models: opened with the first input that needs them.
        watcher: is told of its frames.
        stop: is asked after every frame.
        on_result: is called with every result, after it was written.
        on_step: is told how far the second pass is.

    Raises:
        SteadyPoseError: the models cannot be opened, so that no input can be done.
    """
    try:
        source = open_item(task.item, recipe)
    except SourceError as error:
        LOGGER.debug("%s failed", task.item.label, exc_info=error)
        return Outcome(task.key, "failed", error=_name(task.item, str(error)))
    with closing(source):
        pipeline = models.open()
        watcher.begin(source.info.frame_count)
        try:
            summary = record(
                pipeline,
                source,
                task.paths,
                replace(recipe.write, overwrite=task.replace),
                reporter=watcher,
                stop=stop,
                on_result=on_result,
                on_step=on_step,
                extras=_extras(task, recipe),
            )
        except SteadyPoseError as error:
            LOGGER.debug("%s failed", task.item.label, exc_info=error)
            return _failed(task, source, str(error))
        except Exception as error:
            # One defect must not end a night's work: it is logged with its trace and told as one line.
            LOGGER.debug("while tracking %s", task.item.label, exc_info=True)
            return _failed(task, source, f"unexpected {type(error).__name__}: {error}; -vv shows where")
        return _succeeded(task, source, summary)


def done_before(key: int, paths: OutputPaths, sidecar: Sidecar) -> Outcome:
    """Return the outcome of an input that an earlier run has done, as its sidecar tells it."""
    recorded = [paths.csv.with_name(name) for name in sidecar.run.files] if sidecar.run else []
    return Outcome(
        key,
        "done before",
        frames=sidecar.frames_read,
        dropped=sidecar.frames_dropped,
        people=sidecar.tracks,
        seconds=float(str(sidecar.performance.get("seconds", 0.0))),
        text="done before",
        files=(*paths.all, *(path for path in recorded if path not in paths.all)),
    )


def _extras(task: Task, recipe: Recipe) -> Extras:
    run = RunRecord(input=fingerprint_input(task.item.path), request=recipe.request.digest)
    return Extras(run, recipe.asked.model_dump(mode="json"), recipe.choice, recipe.after)


def _succeeded(task: Task, source: Source, summary: Summary) -> Outcome:
    return Outcome(
        task.key,
        "interrupted" if summary.interrupted else "complete",
        frames=summary.totals.frames,
        dropped=source.frames_dropped,
        people=len(summary.track_ids),
        seconds=summary.seconds,
        text=summary.text(),
        stages=summary.stages_text(),
        warnings=tuple(source.warnings),
        files=(*task.paths.all, *summary.extras),
    )


def _failed(task: Task, source: Source, error: str) -> Outcome:
    return Outcome(
        task.key,
        "failed",
        frames=source.frames_read,
        dropped=source.frames_dropped,
        warnings=tuple(source.warnings),
        error=_name(task.item, error),
    )


def _name(item: TrackInput, text: str) -> str:
    """Return an error that names its input."""
    return text if item.label in text else f"{item.label}: {text}"
