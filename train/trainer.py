"""The training loop, top to bottom: settings in, checkpoints out.

A run is a sequence of stages (input sizes) under one learning-rate curve. Everything that a resumed run
needs to go on is in `last.pt`: weights, averaged weights, optimiser, step. Samples are numbered, so the data
go on where they stopped, in however many processes.
"""

import copy
import logging
import math
import os
from collections.abc import Generator, Sequence
from contextlib import closing, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import nn

from engine.errors import SteadyPoseError, TrainingError, UsageError
from engine.skeleton import open_skeleton
from engine.stopping import RunStopped, StopRequest
from train.checkpoint import check_fit, load_weights, save_checkpoint
from train.data.labels import ImageLabel
from train.data.samples import epoch_length, load_sources
from train.data.sources import load_labels
from train.distributed import Processes, distribute, join_processes, share_statistics
from train.evaluate import Selection, predict, summarise
from train.export import wrap_network
from train.feeding import feed_batches
from train.models import build_network
from train.optimisation import (
    Plan,
    average_decay,
    learning_rate,
    make_optimiser,
    make_plan,
    update_average,
)
from train.run_folder import BEST, FINAL, LAST, forget_after, is_complete, open_folder, read_state
from train.settings import Stage, TrainSettings
from train.stepping import Batch, StepReport, bottom_up_losses, take_step, top_down_losses, train_step
from train.watching import Clock, Watch

__all__ = ["RunStopped", "bottom_up_losses", "fit", "set_prior", "top_down_losses", "train_step"]

log = logging.getLogger(__name__)


@dataclass(slots=True)
class Run:
    """A run in progress.

    network: the weights in training. model: what is called for it, which exchanges gradients. average: the
    averaged weights, in evaluation mode. tally: name → (sum, number) of what the next row of the log is the
    mean of. saved: step of `last.pt`, -1 while there is none.
    """

    settings: TrainSettings
    processes: Processes
    folder: Path
    plan: Plan
    network: nn.Module
    model: nn.Module
    average: nn.Module
    optimiser: torch.optim.Optimizer
    scaler: torch.amp.GradScaler | None = None
    step: int = 0
    best: float = -1.0
    tally: dict[str, tuple[float, int]] = field(default_factory=dict)
    saved: int = -1

    def save(self, name: str) -> None:
        """Write the whole state to a file of the run's folder; one process does it for all.

        Raises:
            SinkError: the disk is full or the folder is gone; an older file is left as it was.
        """
        if self.processes.first:
            save_checkpoint(
                self.folder / name,
                {
                    "model": self.network.state_dict(),
                    "ema": self.average.state_dict(),
                    "optimizer": self.optimiser.state_dict(),
                    "scaler": {} if self.scaler is None else self.scaler.state_dict(),
                    "step": self.step,
                    "best": self.best,
                    "tally": dict(self.tally),
                    "random": torch.get_rng_state(),
                    "config": self.settings.model_dump_json(),
                },
            )
        if name == LAST:
            self.saved = self.step

    def restore(self, state: dict[str, Any]) -> None:
        """Take over what `save` wrote.

        Raises:
            ModelFileError: the weights do not fit the network.
        """
        path = self.folder / LAST
        for module, name in ((self.network, "model"), (self.average, "ema")):
            check_fit(path, module, state[name], module.state_dict())
            module.load_state_dict(state[name])
        self.optimiser.load_state_dict(state["optimizer"])
        if self.scaler is not None and state.get("scaler"):
            self.scaler.load_state_dict(state["scaler"])
        self.step, self.best = int(state["step"]), float(state["best"])
        self.tally = {name: (total, count) for name, (total, count) in state.get("tally", {}).items()}
        if "random" in state:
            torch.set_rng_state(state["random"])
        self.saved = self.step


def fit(settings: TrainSettings) -> Path:
    """Train to the end, resuming from `last.pt` in the run's folder where there is one.

    Under `torchrun` all processes call it, and the first writes. A run whose `final.pt` is there is complete,
    and nothing is done. Whatever ends it early, `last.pt` is the last good state.

    Returns:
        The folder with `last.pt`, `best.pt` (where validation data are given), `final.pt`, `log.jsonl` and
        the curves.

    Raises:
        UsageError: a setting does not fit the data, the machine, or the run that is in the folder.
        SourceError: a picture cannot be read; progress is saved.
        SinkError: the disk is full or the folder cannot be written.
        ModelFileError: a checkpoint is damaged or does not fit.
        TrainingError: a loss or a gradient is not finite, or a process was lost.
        RunStopped: Ctrl-C or SIGTERM; progress is saved.
    """
    with join_processes(settings) as processes, StopRequest() as stop:
        _prepare_torch(settings)
        folder = settings.out / settings.name
        if processes.share(processes.first and is_complete(open_folder(settings), settings)):
            return folder
        skeleton = open_skeleton(settings.skeleton)
        _check(settings, skeleton.count)
        images = load_sources(settings.data, skeleton)
        judged = _validation_labels(settings)
        run = _begin(settings, processes, folder, make_plan(settings, epoch_length(settings, images)))
        if processes.first:
            log.info("%d images; %d steps in all", len(images), run.plan.total_steps)
        with Watch(settings, folder, run.step) if processes.first else nullcontext() as watch:
            _train(run, images, judged, stop, watch)
        run.save(FINAL)
    return folder


def _train(
    run: Run,
    images: Sequence[tuple[ImageLabel, float]],
    judged: Sequence[ImageLabel],
    stop: StopRequest,
    watch: Watch | None,
) -> None:
    settings, plan, clock = run.settings, run.plan, Clock()
    if watch is not None and run.step == 0:
        watch.graph(run.average, plan.stages[0])
    run.network.train()
    run.average.eval()
    clock.restart()
    feed = feed_batches(settings, plan, images, run.step, run.processes)
    with closing(feed):
        while run.step < plan.total_steps:
            stage, parts = _next_batch(run, feed, stop)
            with clock.step(stage.batch):
                report = _take_step(run, parts)
            _add_to_tally(run, report)
            done = run.step == plan.total_steps
            if watch is not None:
                if done or run.step % settings.log_every == 0:
                    watch.figures(run.step, _read_tally(run) | clock.read())
                if run.step == 1 or run.step % settings.pictures_every == 0:
                    watch.pictures(run.step, run.average, stage, parts[0])
            elif done or run.step % settings.log_every == 0:
                run.tally.clear()
            if judged and (done or run.step % settings.evaluate_every == 0):
                with clock.pause():
                    _validate(run, judged, stage, watch)
            if done or run.step % settings.save_every == 0:
                run.save(LAST)


def _next_batch(
    run: Run, feed: Generator[tuple[Stage, list[Batch]]], stop: StopRequest
) -> tuple[Stage, list[Batch]]:
    """Return the next batch; where some process has none, or is to stop, save and raise in all of them."""
    failure: SteadyPoseError | None = None
    try:
        batch = next(feed)
    except SteadyPoseError as error:
        failure = error
    failed, signal_number = run.processes.largest(int(failure is not None), stop.signal_number)
    if not failed and not signal_number:
        return batch
    if run.step > max(run.saved, 0):
        run.save(LAST)
    if failure is not None:
        raise failure
    if failed:
        raise TrainingError("another process of the run could not go on; see its message")
    raise RunStopped(
        f"stopped at step {run.step} of {run.plan.total_steps}; the same command goes on from there",
        signal_number,
    )


def _take_step(run: Run, parts: list[Batch]) -> StepReport:
    settings = run.settings
    for group in run.optimiser.param_groups:
        group["lr"] = learning_rate(settings, run.plan, run.step)
    try:
        report = take_step(
            run.model,
            run.optimiser,
            parts,
            settings,
            processes=run.processes,
            scaler=run.scaler,
            step=run.step,
        )
    except TrainingError as error:
        kept = f"{run.folder / LAST} holds the good state of step {run.saved}"
        raise TrainingError(f"{error}; {kept if run.saved >= 0 else 'nothing was saved yet'}") from error
    run.step += 1
    update_average(run.average, run.network, average_decay(settings, run.step))
    return report


def _add_to_tally(run: Run, report: StepReport) -> None:
    for name, value in {**report.losses, "gradient_norm": report.gradient_norm}.items():
        if math.isfinite(value):
            total, count = run.tally.get(name, (0.0, 0))
            run.tally[name] = (total + value, count + 1)


def _read_tally(run: Run) -> dict[str, float]:
    """Return the means since the last row, and forget them."""
    means = {name: total / count for name, (total, count) in run.tally.items()}
    run.tally.clear()
    return {"lr": learning_rate(run.settings, run.plan, run.step - 1)} | means


def _validate(run: Run, judged: Sequence[ImageLabel], stage: Stage, watch: Watch | None) -> None:
    """Judge the averaged weights, each process on its share of the pictures; keep them if they are best."""
    settings = run.settings
    trained = wrap_network(run.average, settings.model_copy(update={"stages": (stage,)}))
    try:
        predictions = run.processes.gather(predict(trained, run.processes.take(judged)))
    except SteadyPoseError:
        run.save(LAST)
        raise
    selection = Selection(settings.validation_min_keypoints, settings.validation_min_height)
    everything = summarise(predictions, trained.spec.skeleton, selection)
    figures = {name: everything[name] for name in ("mean_oks", "ap", "ap50")}
    if watch is not None:
        log.info("step %d: %s", run.step, figures)
        watch.validation(run.step, figures)
    if figures["mean_oks"] > run.best:
        run.best = figures["mean_oks"]
        run.save(BEST)


def _begin(settings: TrainSettings, processes: Processes, folder: Path, plan: Plan) -> Run:
    """Build the network and its optimiser; fill them from `last.pt`, or from `init_weights`."""
    torch.manual_seed(settings.seed)
    network = build_network(settings).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    state = processes.share(read_state(folder, settings) if processes.first else None)
    if state is None:
        if settings.sigmoid:
            set_prior(network, open_skeleton(settings.skeleton).count)
        if settings.init_weights is not None:
            load_weights(settings.init_weights, network, part=settings.init_part)
    network.to(processes.device)
    average = copy.deepcopy(network)
    network = share_statistics(network, processes)
    unused = processes.world > 1 and has_unused_parameters(average, settings)
    gpu = processes.device.type == "cuda"
    run = Run(
        settings=settings,
        processes=processes,
        folder=folder,
        plan=plan,
        network=network,
        model=distribute(network, processes, unused),
        average=average,
        optimiser=make_optimiser(network, settings),
        scaler=torch.amp.GradScaler("cuda") if gpu and settings.precision == "fp16" else None,
    )
    if state is not None:
        run.restore(state)
        if processes.first:
            forget_after(folder, run.step)
            log.info("resumed %s at step %d", folder / LAST, run.step)
    return run


def _validation_labels(settings: TrainSettings) -> list[ImageLabel]:
    if settings.validation is None:
        return []
    everyone = settings.validation.model_copy(update={"min_teacher_agreement": 0.0})
    return load_labels(everyone, open_skeleton(settings.skeleton), side="val")


def _prepare_torch(settings: TrainSettings) -> None:
    if settings.threads:
        torch.set_num_threads(settings.threads)
    if settings.deterministic:
        # cuBLAS needs this for reproducible sums, before its first use.
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(settings.deterministic)
    torch.backends.cudnn.benchmark = not settings.deterministic


def _check(settings: TrainSettings, keypoints: int) -> None:
    if settings.kind == "top-down" and settings.loss == "ohkm" and settings.ohkm_top > keypoints:
        raise UsageError(
            f"ohkm_top is {settings.ohkm_top}, but skeleton {settings.skeleton} has {keypoints} keypoints"
        )
    if settings.kind == "bottom-up" and not any((*settings.heatmap_losses, *settings.tag_losses)):
        raise UsageError("heatmap_losses and tag_losses are all false: there is nothing to learn")


def set_prior(model: nn.Module, keypoints: int) -> None:
    """Start the last layers at a probability of 1 % per pixel, which calms focal loss (Lin et al. 2017)."""
    for name, module in model.named_modules():
        last = name.startswith(("final_layer", "outs.", "score."))
        if last and isinstance(module, nn.Conv2d) and module.bias is not None:
            with torch.no_grad():
                module.bias[:keypoints] = -math.log(99.0)


def has_unused_parameters(network: nn.Module, settings: TrainSettings) -> bool:
    """Whether some parameters have no say in the losses, as the spare shortcuts of an hourglass.

    Tried on a copy, in evaluation mode, with an empty picture.
    """
    trial = copy.deepcopy(network).eval()
    device = next(trial.parameters()).device
    outputs = trial(torch.zeros(1, 3, 64, 64, device=device))
    if settings.kind == "bottom-up":
        wanted = zip(settings.heatmap_losses, settings.tag_losses, strict=True)
        outputs = [maps for maps, has_loss in zip(outputs, wanted, strict=True) if any(has_loss)]
    sum(maps.sum() for maps in outputs).backward()
    return any(parameter.grad is None for parameter in trial.parameters())
