"""A run over many inputs: each gets its files, a failed one is named and the others go on.

An output folder that cannot be written, or that another batch writes to, is refused before any model is
loaded. A stop (Ctrl-C, SIGTERM) ends after the row at hand: files are closed and the sidecar says
`interrupted`. However a run ends, `--resume` does what is left: `app.resume` tells what is done,
`app.batch_choice` keeps to what was chosen.
"""

import logging
import math
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from app.batch_choice import choose_jobs, with_choice, with_earlier
from app.batch_report import BatchReport
from app.batch_task import Models, Outcome, Task, ask_recipe, done_before, track_task
from app.console import say
from app.extra_files import check_formats, refuse_clashes
from app.folder_lock import only_batch_in
from app.inputs import TrackInput, count_bytes, expand_inputs, set_apart
from app.outputs import OutputPaths, check_inputs_kept, clear_parts, output_paths, prepare_folder
from app.progress import Reporter, make_reporter, second_share
from app.recording import AfterHook, ResultHook, WriteOptions
from app.resume import Found, look_for_results, tell_changes
from app.second_pass import Step
from app.workers import run_in_workers
from engine.errors import SourceError, UsageError
from engine.model_file import read_spec
from engine.pipeline import Pipeline
from engine.settings import EstimatorSettings, TrackSettings, VideoDecoder
from engine.skeleton import Skeleton
from engine.stopping import StopRequest
from engine.zoo import model_path

LOGGER = logging.getLogger(__name__)

ALL_DONE, SOME_FAILED, INTERRUPTED = 0, 1, 130
MOST_NAMED = 12
"""Files of one input that are named when it is done."""


@dataclass(frozen=True, slots=True)
class BatchOptions:
    """What `track` was asked for beside its inputs.

    fps: frame rate of image folders; stills: their images are independent pictures. decoder: of video files.
    jobs: inputs done at once, 0 chooses. resume: skip what is done and do what is not. plots: write the
    report of each input, with plots. after: what else follows the last row of each input. ray: address of the
    cluster that does the work, "" for this machine.
    """

    settings: TrackSettings
    out: Path
    write: WriteOptions
    video: bool = False
    fps: float = 30.0
    stills: bool = False
    decoder: VideoDecoder = "software"
    jobs: int = 0
    resume: bool = False
    plots: bool = False
    after: Sequence[AfterHook] = ()
    ray: str = ""


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
        on_result: is called with every result, after it was written; inputs are done one by one then.

    Raises:
        UsageError: nothing was started: an impossible option, all names clash, a format that cannot hold the
            skeleton, an output folder that cannot be written or that another batch writes to.
        ModelFileError: there is no model to work with.
        RuntimeUnavailableError: nothing can run the models here.
    """
    if not (math.isfinite(options.fps) and options.fps > 0):
        raise UsageError(f"--fps must be a number above 0, got {options.fps:g}")
    if options.ray and options.jobs:
        raise UsageError("--jobs is for this machine alone; with --ray the cluster's devices set it")
    if options.resume and options.write.overwrite:
        raise UsageError("--resume and --overwrite exclude each other: the one keeps what is done")
    if options.plots and options.stills:
        raise UsageError("--plots are of people over time; --stills takes the images as independent pictures")
    inputs, failures = expand_inputs(texts)
    distinct, refused = set_apart(inputs)
    if refused and not distinct:
        raise UsageError(next(iter(refused.values())))
    clashing = refuse_clashes(distinct, options.write.formats, plots=options.plots)
    refused |= clashing
    distinct = [item for item in distinct if item.path not in clashing]
    paths = {item.path: output_paths(item, options.out, video=options.video) for item in distinct}
    check_inputs_kept(distinct, paths.values())
    if options.write.formats:
        check_formats(
            options.write.formats, _read_skeleton(options.settings.estimator), stills=options.stills
        )
    prepare_folder(options.out)
    names = [item.label for item in inputs] + [line.partition(": ")[0] for line in failures]
    with (
        only_batch_in(options.out),
        StopRequest() as stop,
        make_reporter(console, verbosity) as reporter,
    ):
        batch = _Batch(options, console, reporter, names, quiet=verbosity < 0)
        for key, line in enumerate(failures, len(inputs)):
            batch.end(Outcome(key, "failed", error=line))
        for key, item in enumerate(inputs):
            if item.path in refused:
                batch.end(Outcome(key, "failed", error=refused[item.path]))
        tasks = batch.plan({key: item for key, item in enumerate(inputs) if item.path in paths}, paths)
        try:
            batch.run(tasks, stop, on_result)
        except KeyboardInterrupt:
            console.print("stopped at once: the sidecar of the last input may be missing")
            return stop.exit_code or INTERRUPTED
        batch.tell_failures()
    if stop.requested:
        console.print(f"stopped by {stop.reason}: {batch.report.done} of {len(names)} inputs done")
        return stop.exit_code
    return ALL_DONE if batch.report.done == len(names) else SOME_FAILED


class _Batch:
    """All inputs, what came of those that are over, and how the others are done."""

    def __init__(
        self,
        options: BatchOptions,
        console: Console,
        reporter: Reporter,
        names: Sequence[str],
        *,
        quiet: bool,
    ) -> None:
        self._options, self._console, self._reporter, self._quiet = options, console, reporter, quiet
        self._names = names
        self._recipe = ask_recipe(
            options.settings,
            options.write,
            fps=options.fps,
            stills=options.stills,
            decoder=options.decoder,
            plots=options.plots,
            after=options.after,
        )
        self._second_share = second_share(offline=options.write.offline, video=options.video)
        self._earlier: Mapping[str, object] | None = None
        self._replaced: list[Found] = []
        self.report = BatchReport(options.out, names)

    def plan(self, items: Mapping[int, TrackInput], paths: Mapping[Path, OutputPaths]) -> list[Task]:
        """Return the inputs to be done, and note those that are done or must not be.

        Where a resumed batch replaces results of another request or content, that is said.
        """
        if self._options.resume:
            clear_parts([self.report.path, *(one.csv for one in paths.values())])
        tasks = []
        for key, item in items.items():
            task = self._plan_one(key, item, paths[item.path])
            if task is not None:
                tasks.append(task)
        if self._replaced:
            count = len(self._replaced)
            LOGGER.warning(
                "--resume does %d of %d inputs anew and replaces their files: %s",
                count, len(self._names), tell_changes(self._replaced),
            )  # fmt: skip
        if len(self._names) > 1:
            self.report.write()
        return tasks

    def run(self, tasks: Sequence[Task], stop: StopRequest, on_result: ResultHook | None) -> None:
        """Do them."""
        if not tasks:
            return
        sizes = {task.key: count_bytes(task.item.path) for task in tasks}
        if self._options.ray:
            self._run_on_cluster(tasks, sizes, stop)
            return
        jobs = 1 if on_result else choose_jobs(self._options.jobs, self._recipe, sizes.values())
        self._reporter.expect(sizes, second_share=self._second_share)
        pipeline: Pipeline | None = None
        if self._earlier is None:
            self._recipe, pipeline = with_choice(self._recipe, tasks, jobs)
        else:
            self._recipe = with_earlier(self._recipe, self._earlier)
        if jobs > 1:
            LOGGER.info("%d inputs at once, %d threads each", jobs, self._recipe.settings.estimator.threads)
            run_in_workers(tasks, self._recipe, jobs, self, stop)
            return
        with closing(Models(self._recipe.settings, pipeline)) as models:
            for task in tasks:
                watcher = _OneByOne(self, task)
                outcome = track_task(
                    task,
                    self._recipe,
                    models,
                    watcher=watcher,
                    stop=stop,
                    on_result=on_result,
                    on_step=watcher.second_pass,
                )
                self.finish(task, outcome)
                if stop.requested:
                    return

    def _run_on_cluster(self, tasks: Sequence[Task], sizes: Mapping[int, int], stop: StopRequest) -> None:
        from app.cluster import run_on_cluster

        if self._earlier is not None:
            self._recipe = with_earlier(self._recipe, self._earlier)
        self._reporter.expect(sizes, second_share=self._second_share)
        run_on_cluster(tasks, self._recipe, self._options.ray, self, stop)

    def begin(self, task: Task, total: int | None) -> None:
        """Show that an input is at work."""
        self._reporter.start(task.item.label, total, task.key)

    def advance(self, task: Task, frames: int, people: int) -> None:
        """Show how far it is."""
        self._reporter.advance(frames, people, task.key)

    def second_pass(self, task: Task, step: Step, share: float) -> None:
        """Show how far its second pass is."""
        self._reporter.second_pass(step, share, task.key)

    def finish(self, task: Task, outcome: Outcome) -> None:
        """Show that it is over, and what came of it."""
        self._reporter.finish(task.key)
        self.end(outcome)

    def end(self, outcome: Outcome) -> None:
        """Note and say what came of one input."""
        self.report.set(outcome)
        name = self._names[outcome.key]
        for warning in outcome.warnings:
            LOGGER.warning("%s: %s", name, warning)
        if outcome.error:
            self._console.print(f"error: {outcome.error}")
        if outcome.stages:
            LOGGER.info("%s: mean per frame: %s", name, outcome.stages)
        if outcome.text and not self._quiet:
            how = " (interrupted)" if outcome.status == "interrupted" else ""
            files = _named(outcome.files)
            say(f"{name}{how}: {outcome.text}{f' -> {files}' if files else ''}")
        if len(self._names) > 1:
            self.report.write()

    def tell_failures(self) -> None:
        """Say at the end of several inputs which of them failed."""
        failures = self.report.failures
        if not failures or len(self._names) == 1:
            return
        self._console.print(f"{len(failures)} of {len(self._names)} inputs failed, see {self.report.path}:")
        for outcome in failures:
            self._console.print(f"  {self._names[outcome.key]}")

    def _plan_one(self, key: int, item: TrackInput, paths: OutputPaths) -> Task | None:
        if self._options.write.overwrite:
            return Task(key, item, paths, replace=True)
        try:
            found = look_for_results(paths, item.path, self._recipe.request)
        except SourceError as error:
            self.end(Outcome(key, "failed", error=str(error)))
            return None
        if found.state == "absent":
            return Task(key, item, paths, replace=False)
        if found.choice and self._earlier is None:
            self._earlier = found.choice
        if self._options.resume and found.sidecar is not None:
            self.end(done_before(key, paths, found.sidecar))
            return None
        if self._options.resume and found.state != "foreign":
            if found.state == "other":
                self._replaced.append(found)
            what = f"was {found.why}" if found.state == "other" else found.why
            LOGGER.info("%s is done again: what is there %s", item.label, what)
            return Task(key, item, paths, replace=True)
        self.end(Outcome(key, "failed", error=_refusal(item, paths, found, resume=self._options.resume)))
        return None


class _OneByOne:
    """Passes on what happens to one input."""

    def __init__(self, batch: _Batch, task: Task) -> None:
        self._batch, self._task = batch, task

    def begin(self, total: int | None) -> None:
        """Pass it on."""
        self._batch.begin(self._task, total)

    def advance(self, frames: int, people: int) -> None:
        """Pass it on."""
        self._batch.advance(self._task, frames, people)

    def second_pass(self, step: Step, share: float) -> None:
        """Pass it on."""
        self._batch.second_pass(self._task, step, share)


def _read_skeleton(settings: EstimatorSettings) -> Skeleton:
    """Return the skeleton that comes out, without opening a model."""
    name = settings.bottom_up_model if settings.mode == "bottom-up" else settings.top_down_model
    return read_spec(model_path(name)).skeleton


def _named(files: Sequence[Path]) -> str:
    """Return the files in words; of very many the first."""
    more = f" and {len(files) - MOST_NAMED} more" if len(files) > MOST_NAMED else ""
    return ", ".join(str(path) for path in files[:MOST_NAMED]) + more


def _refusal(item: TrackInput, paths: OutputPaths, found: Found, *, resume: bool) -> str:
    """Return why what is there is not touched, and what to do."""
    there = f"{item.label}: {found.why if found.state == 'foreign' else paths.csv} exists already"
    match found.state:
        case "foreign" if resume:
            return f"{there}, without a sidecar that says what it is; --overwrite replaces it"
        case "foreign":
            return f"{there}; --overwrite replaces it"
        case "other":
            return (
                f"{there}, {found.why}; --overwrite replaces it, and so does --resume, which keeps the rest"
            )
        case "begun":
            return f"{there}, and {found.why}; --resume does it again, and --overwrite all"
    return f"{there}, complete; --resume skips what is done, --overwrite replaces it"
