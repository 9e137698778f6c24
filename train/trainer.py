"""The training loop, top to bottom: settings in, checkpoints out.

A run is a sequence of stages (input sizes) under one learning-rate curve. Everything that a resumed run
needs to go on is in `last.pt`: weights, averaged weights, optimiser, step. Samples are numbered, so the data
go on where they stopped.
"""

import copy
import json
import logging
import math
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from engine.errors import UsageError
from engine.skeleton import SKELETONS
from train.checkpoint import load_weights, read_checkpoint, save_checkpoint
from train.data.samples import (
    Batch,
    BottomUpCollate,
    BottomUpSamples,
    TopDownCollate,
    TopDownSamples,
    ensure_single_thread,
    load_sources,
)
from train.losses import (
    associative_embedding,
    keypoint_mse,
    keypoint_ohkm_mse,
    masked_heatmap_mse,
    place_tags,
    quality_focal,
    spatial_cross_entropy,
)
from train.models import build_model
from train.settings import Stage, TrainSettings

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
LOG_EVERY = 50

log = logging.getLogger(__name__)


def fit(settings: TrainSettings) -> Path:
    """Train to the end, resuming from `last.pt` in the run's folder where there is one.

    Returns:
        The folder with `last.pt`, `best.pt` (where validation data are given), `final.pt` and `log.jsonl`.
    """
    if settings.threads:
        torch.set_num_threads(settings.threads)
    torch.manual_seed(settings.seed)
    folder = settings.out / settings.name
    folder.mkdir(parents=True, exist_ok=True)
    skeleton = SKELETONS[settings.skeleton]
    model = build_model(settings.architecture, keypoints=skeleton.count)
    model = model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimiser = torch.optim.AdamW(parameter_groups(model, settings.weight_decay), lr=settings.learning_rate)
    step, best = 0, -1.0
    last = folder / "last.pt"
    average = copy.deepcopy(model)
    if last.exists():
        state = read_checkpoint(last)
        model.load_state_dict(state["model"])
        average.load_state_dict(state["ema"])
        optimiser.load_state_dict(state["optimizer"])
        step, best = state["step"], state["best"]
        log.info("resumed %s at step %d", last, step)
    else:
        if settings.loss == "cross-entropy+focal":
            set_prior(model, skeleton.count)
        if settings.init_weights is not None:
            load_weights(settings.init_weights, model, part="backbone")
        average.load_state_dict(model.state_dict())
    images = load_sources(settings.data, skeleton)
    log.info("%d images; %d steps in all", len(images), total_steps(settings))
    model.train()
    average.eval()
    started, running = time.monotonic(), dict[str, float]()
    for stage, batch in _batches(settings, images, step):
        rate = learning_rate(settings, step)
        for group in optimiser.param_groups:
            group["lr"] = rate
        losses = train_step(model, optimiser, batch, settings)
        step += 1
        update_average(average, model, min(settings.ema, (1 + step) / (10 + step)))
        for name, value in losses.items():
            running[name] = 0.98 * running.get(name, value) + 0.02 * value
        if step % LOG_EVERY == 0:
            speed = LOG_EVERY * stage.batch / (time.monotonic() - started)
            started = time.monotonic()
            figures = {name: round(value, 4) for name, value in running.items()}
            _append_log(
                folder, {"step": step, "lr": round(rate, 6), "samples_per_s": round(speed, 1), **figures}
            )
        done = step == total_steps(settings)
        if (done or step % settings.evaluate_every == 0) and settings.validation is not None:
            score = _validate(average, settings, stage, folder, step)
            if score > best:
                best = score
                _save(folder / "best.pt", model, average, optimiser, step, best, settings)
            started = time.monotonic()
        if done or step % settings.save_every == 0:
            _save(last, model, average, optimiser, step, best, settings)
    _save(folder / "final.pt", model, average, optimiser, step, best, settings)
    return folder


def train_step(
    model: nn.Module, optimiser: torch.optim.Optimizer, batch: Batch, settings: TrainSettings
) -> dict[str, float]:
    """Take one optimiser step on a batch of `train.data.samples`; return the losses by name."""
    images = normalise_images(batch["image"]).contiguous(memory_format=torch.channels_last)
    with torch.autocast("cpu", torch.bfloat16, enabled=settings.precision == "bf16"):
        outputs = model(images)
    parts = (
        top_down_losses(outputs, batch, settings)
        if settings.kind == "top-down"
        else bottom_up_losses(outputs, batch, settings)
    )
    total = torch.stack(list(parts.values())).sum()
    optimiser.zero_grad(set_to_none=True)
    total.backward()
    norm = nn.utils.clip_grad_norm_(model.parameters(), settings.clip_norm or math.inf)
    if not math.isfinite(float(norm)):
        raise FloatingPointError(
            "the gradient is not finite; lower learning_rate or train with precision: fp32"
        )
    optimiser.step()
    return {name: float(value.detach()) for name, value in parts.items()}


def top_down_losses(output: Tensor, batch: Batch, settings: TrainSettings) -> dict[str, Tensor]:
    """Return the weighted losses of (B, K, h, w) maps."""
    output, target, weight = output.float(), batch["heatmaps"], batch["weights"]
    if settings.loss == "mse":
        return {"mse": keypoint_mse(output, target, weight)}
    if settings.loss == "ohkm":
        return {"ohkm": keypoint_ohkm_mse(output, target, weight)}
    told = torch.maximum(weight, batch["absent"])[..., None, None]
    focal = quality_focal(output, target, told, norm=float(target.sum().clamp(min=1)))
    return {
        "cross_entropy": spatial_cross_entropy(output, target, weight),
        "focal": settings.focal_weight * focal,
    }


def bottom_up_losses(outputs: list[Tensor], batch: Batch, settings: TrainSettings) -> dict[str, Tensor]:
    """Return the weighted losses of HigherHRNet's two outputs."""
    keypoints = outputs[1].shape[1]
    losses: dict[str, Tensor] = {}
    for stride, maps in ((4, outputs[0][:, :keypoints]), (2, outputs[1])):
        target, mask = batch[f"heatmaps_{stride}"], batch[f"mask_{stride}"]
        if settings.loss == "mse":
            losses[f"mse_{stride}"] = masked_heatmap_mse(
                maps.float() * mask, target * mask, torch.ones_like(mask[:, 0])
            ).mean()
        elif settings.loss == "cross-entropy+focal":
            norm = float(target.sum().clamp(min=1))
            losses[f"focal_{stride}"] = settings.focal_weight * quality_focal(maps, target, mask, norm=norm)
        else:
            raise UsageError(
                f"loss {settings.loss!r} is for top-down networks; take mse or cross-entropy+focal"
            )
    tags = outputs[0][:, keypoints:].float()
    if settings.tag_unit_px > 0:
        tags = place_tags(tags, settings.tag_unit_px)
    push, pull = associative_embedding(tags.flatten(1)[..., None], batch["indices"])
    losses["push"] = settings.push_weight * push.mean()
    losses["pull"] = settings.pull_weight * pull.mean()
    return losses


def normalise_images(images: Tensor) -> Tensor:
    """Turn (B, 3, h, w) uint8 RGB into float32 with ImageNet mean and deviation."""
    mean = torch.tensor(IMAGENET_MEAN).reshape(1, 3, 1, 1) * 255
    std = torch.tensor(IMAGENET_STD).reshape(1, 3, 1, 1) * 255
    return (images.float() - mean) / std


def total_steps(settings: TrainSettings) -> int:
    """Return the optimiser steps of all stages."""
    return sum(stage.steps or 0 for stage in settings.stages)


def learning_rate(settings: TrainSettings, step: int) -> float:
    """Linear warm-up, then a cosine down to `final_learning_rate` of the peak."""
    if step < settings.warmup_steps:
        return settings.learning_rate * (step + 1) / settings.warmup_steps
    span = max(total_steps(settings) - settings.warmup_steps, 1)
    progress = min((step - settings.warmup_steps) / span, 1.0)
    low = settings.final_learning_rate
    return settings.learning_rate * (low + (1 - low) * 0.5 * (1 + math.cos(math.pi * progress)))


def parameter_groups(model: nn.Module, weight_decay: float) -> list[dict[str, object]]:
    """Split parameters so that only matrices decay, not batch norms and biases."""
    matrices = [p for p in model.parameters() if p.ndim > 1]
    vectors = [p for p in model.parameters() if p.ndim <= 1]
    return [{"params": matrices, "weight_decay": weight_decay}, {"params": vectors, "weight_decay": 0.0}]


def set_prior(model: nn.Module, keypoints: int) -> None:
    """Start the last layers at a probability of 1 % per pixel, which calms focal loss (Lin et al. 2017)."""
    for name, module in model.named_modules():
        if name.startswith("final_layer") and isinstance(module, nn.Conv2d) and module.bias is not None:
            with torch.no_grad():
                module.bias[:keypoints] = -math.log(99.0)


@torch.no_grad()
def update_average(average: nn.Module, model: nn.Module, decay: float) -> None:
    """Move the averaged weights toward the present ones; counters are copied."""
    target, source = average.state_dict(), model.state_dict()
    floats = [name for name in source if source[name].is_floating_point()]
    torch._foreach_lerp_([target[name] for name in floats], [source[name] for name in floats], 1 - decay)
    for name in source.keys() - set(floats):
        target[name].copy_(source[name])


def _batches(settings: TrainSettings, images: list, start: int) -> Iterator[tuple[Stage, Batch]]:
    skeleton = SKELETONS[settings.skeleton]
    first_step, first_sample = 0, 0
    for stage in settings.stages:
        end = first_step + stage.steps
        if start < end:
            skip = max(start - first_step, 0)
            samples_type = TopDownSamples if settings.kind == "top-down" else BottomUpSamples
            collate = TopDownCollate(stage) if settings.kind == "top-down" else BottomUpCollate(stage)
            dataset = samples_type(images, skeleton, stage.input_size, settings.augment, settings.seed)
            numbers = range(first_sample + skip * stage.batch, first_sample + stage.steps * stage.batch)
            for batch in _loader(dataset, numbers, stage.batch, collate, settings.workers):
                yield stage, batch
        first_step, first_sample = end, first_sample + stage.steps * stage.batch


def _loader(
    dataset: Dataset, numbers: range, batch: int, collate: TopDownCollate | BottomUpCollate, workers: int
) -> Iterable[Batch]:
    return DataLoader(
        dataset,
        batch_size=batch,
        sampler=numbers,
        num_workers=workers,
        collate_fn=collate,
        worker_init_fn=ensure_single_thread,
        prefetch_factor=4 if workers else None,
    )


def _validate(average: nn.Module, settings: TrainSettings, stage: Stage, folder: Path, step: int) -> float:
    from train.evaluate import evaluate_network  # evaluation needs the engine's decoders, training does not

    figures = evaluate_network(average, settings, stage)
    _append_log(folder, {"step": step, "validation": figures})
    log.info("step %d: %s", step, figures)
    return figures["mean_oks"]


def _append_log(folder: Path, row: dict) -> None:
    with (folder / "log.jsonl").open("a", encoding="utf-8") as stream:
        stream.write(json.dumps(row) + "\n")


def _save(
    path: Path,
    model: nn.Module,
    average: nn.Module,
    optimiser: torch.optim.Optimizer,
    step: int,
    best: float,
    settings: TrainSettings,
) -> None:
    save_checkpoint(
        path,
        {
            "model": model.state_dict(),
            "ema": average.state_dict(),
            "optimizer": optimiser.state_dict(),
            "step": step,
            "best": best,
            "config": settings.model_dump_json(),
        },
    )
