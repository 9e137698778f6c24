"""One step of training: a batch through the network, its losses, its gradient, the optimiser.

A batch may come in parts, in one process after the other or in several at once. Each loss is the part's sum
divided by what the whole batch divides by, so the parts' losses and gradients add up to those of the whole
batch. Batch norm alone sees one part at a time.
"""

import math
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from engine.errors import TrainingError, UsageError
from train.distributed import Processes
from train.losses import (
    associative_embedding,
    keypoint_mse,
    keypoint_ohkm_mse,
    masked_heatmap_mse,
    place_tags,
    quality_focal,
    spatial_cross_entropy,
)
from train.models.normalisation import input_normalisation
from train.settings import TrainSettings

Batch = dict[str, Tensor]
Sums = Mapping[str, Tensor]

ADVICE = "lower learning_rate, set clip_norm, or train with precision: fp32"
SMALLEST_LOSS_SCALE = 1.0
"""fp16 halves the scale of its loss while gradients overflow; below this the cause is another one."""


@dataclass(frozen=True, slots=True)
class StepReport:
    """What a step came to.

    losses: by name, weighted, of the whole batch. gradient_norm: before clipping; infinite in the few first
    steps of fp16, which seek their loss scale and change no weight.
    """

    losses: dict[str, float] = field(default_factory=dict)
    gradient_norm: float = 0.0


def train_step(
    model: nn.Module, optimiser: torch.optim.Optimizer, batch: Batch, settings: TrainSettings
) -> dict[str, float]:
    """Take one optimiser step on one batch of `train.data.samples`; return the losses by name."""
    return take_step(model, optimiser, [batch], settings).losses


def take_step(
    model: nn.Module,
    optimiser: torch.optim.Optimizer,
    parts: Sequence[Batch],
    settings: TrainSettings,
    *,
    processes: Processes | None = None,
    scaler: torch.amp.GradScaler | None = None,
    step: int = 0,
) -> StepReport:
    """Take one optimiser step on a batch that comes in parts and, with several processes, in slices.

    Args:
        model: what `train.distributed.distribute` returned, in the mode that is wanted.
        optimiser: of its parameters. parts: this process's share of the batch.
        settings: name losses, clipping and precision. processes: of the run.
        scaler: of the loss, for fp16. step: named in errors.

    Raises:
        TrainingError: a loss or the gradient is not finite, in any process; no weight is changed then.
    """
    processes = processes or Processes()
    device = next(model.parameters()).device
    parts = [{name: value.to(device, non_blocking=True) for name, value in part.items()} for part in parts]
    whole = _whole_sums(parts, settings, processes)
    optimiser.zero_grad(set_to_none=True)
    sums: dict[str, Tensor] = {}
    for number, part in enumerate(parts):
        with _gradient_sync(model, number == len(parts) - 1):
            losses = compute_losses(model, part, settings, whole)
            # torch averages gradients over processes, but the shares of a batch add up.
            total = torch.stack(list(losses.values())).sum() * processes.world
            (total if scaler is None else scaler.scale(total)).backward()
        for name, value in losses.items():
            sums[name] = sums.get(name, 0) + value.detach()
    if scaler is not None:
        scaler.unscale_(optimiser)
    norm = _clip(model, settings.clip_norm)
    values = processes.total(torch.stack(list(sums.values())).double())
    *figures, gradient_norm = torch.cat([values, norm.double()[None]]).tolist()
    report = StepReport(dict(zip(sums, figures, strict=True)), gradient_norm)
    _check_finite(report, step, scaler)
    if scaler is None:
        optimiser.step()
    else:
        scaler.step(optimiser)
        scaler.update()
    return report


def compute_losses(
    model: nn.Module, batch: Batch, settings: TrainSettings, whole: Sums | None = None
) -> dict[str, Tensor]:
    """Run the network on a batch, or on a part of one, and return its weighted losses by name.

    Args:
        model: the network. batch: on the network's device. settings: of the run.
        whole: `batch_sums` of the whole batch; None where `batch` is all of it.
    """
    images = normalise_images(batch["image"], settings).contiguous(memory_format=torch.channels_last)
    kind = torch.float16 if settings.precision == "fp16" else torch.bfloat16
    with torch.autocast(images.device.type, kind, enabled=settings.precision != "fp32"):
        outputs = model(images)
    if settings.kind == "top-down":
        return top_down_losses(outputs, batch, settings, whole)
    return bottom_up_losses(outputs, batch, settings, whole)


def batch_sums(batch: Batch, settings: TrainSettings) -> dict[str, Tensor]:
    """Return what the losses of a batch are divided by; those of the parts of a batch add up."""
    sums = {"samples": torch.tensor(float(len(batch["image"])), device=batch["image"].device)}
    if not settings.sigmoid:
        return sums
    if settings.kind == "top-down":
        return sums | {"weight": batch["weights"].sum(), "mass": batch["heatmaps"].sum()}
    return sums | {f"mass_{s}": batch[f"heatmaps_{s}"].sum() for s in _strides(settings.heatmap_losses)}


def top_down_losses(
    output: Tensor, batch: Batch, settings: TrainSettings, whole: Sums | None = None
) -> dict[str, Tensor]:
    """Return the weighted losses of (B, K, h, w) maps, or the mean over the stacks of (B, S, K, h, w) maps.

    Every stack of an hourglass is asked for the same maps (Newell et al. 2016, §3.2; the mean as in
    princeton-vl/pytorch_stacked_hourglass).
    """
    whole = batch_sums(batch, settings) if whole is None else whole
    stacks = output.float().unbind(1) if output.ndim == 5 else (output.float(),)
    each = [_stack_losses(maps, batch, settings, whole) for maps in stacks]
    if len(each) == 1:
        return each[0]
    return {name: torch.stack([losses[name] for losses in each]).mean() for name in each[0]}


def _stack_losses(maps: Tensor, batch: Batch, settings: TrainSettings, whole: Sums) -> dict[str, Tensor]:
    target, weight = batch["heatmaps"], batch["weights"]
    share = len(maps) / whole["samples"]
    if settings.loss == "mse":
        return {"mse": keypoint_mse(maps, target, weight) * share}
    if settings.loss == "ohkm":
        return {"ohkm": keypoint_ohkm_mse(maps, target, weight, top=settings.ohkm_top) * share}
    told = torch.maximum(weight, batch["absent"])[..., None, None]
    focal = quality_focal(maps, target, told, norm=whole["mass"].clamp(min=1))
    return {
        "cross_entropy": spatial_cross_entropy(maps, target, weight, norm=whole["weight"].clamp(min=1)),
        "focal": settings.focal_weight * focal,
    }


def bottom_up_losses(
    outputs: Sequence[Tensor], batch: Batch, settings: TrainSettings, whole: Sums | None = None
) -> dict[str, Tensor]:
    """Return the weighted losses of HigherHRNet's outputs, named by their stride.

    Raises:
        UsageError: the network has other outputs than the settings tell.
    """
    whole = batch_sums(batch, settings) if whole is None else whole
    _check_outputs(outputs, batch, settings)
    share = len(batch["image"]) / whole["samples"]
    losses: dict[str, Tensor] = {}
    for stride in _strides(settings.heatmap_losses):
        target, mask = batch[f"heatmaps_{stride}"], batch[f"mask_{stride}"]
        maps = outputs[_STRIDES.index(stride)][:, : target.shape[1]].float()
        if settings.sigmoid:
            norm = whole[f"mass_{stride}"].clamp(min=1)
            losses[f"focal_{stride}"] = settings.focal_weight * quality_focal(maps, target, mask, norm=norm)
        else:
            losses[f"mse_{stride}"] = masked_heatmap_mse(maps, target, mask).mean() * share
    for stride in _strides(settings.tag_losses):
        output = outputs[_STRIDES.index(stride)].float()
        tags = output[:, -(_keypoints(batch) if settings.tag_per_keypoint else 1) :]
        if settings.tag_unit_px > 0:
            tags = place_tags(tags, settings.tag_unit_px, stride)
        indices = batch[f"indices_{stride}"]
        if not settings.tag_per_keypoint:
            place = indices[..., 0] % (tags.shape[2] * tags.shape[3])
            indices = torch.stack([place, indices[..., 1]], dim=-1)
        push, pull = associative_embedding(tags.flatten(1)[..., None], indices, push=settings.push)
        losses[f"push_{stride}"] = settings.push_weight * push.mean() * share
        losses[f"pull_{stride}"] = settings.pull_weight * pull.mean() * share
    return losses


_STRIDES = (4, 2, 1)
"""Input px per heatmap px of HigherHRNet's outputs, coarse first: each deconvolution halves it."""


def _strides(wanted: Sequence[bool]) -> list[int]:
    return [stride for stride, is_wanted in zip(_STRIDES, wanted, strict=False) if is_wanted]


def _keypoints(batch: Batch) -> int:
    return next(value.shape[1] for name, value in batch.items() if name.startswith("heatmaps_"))


def _check_outputs(outputs: Sequence[Tensor], batch: Batch, settings: TrainSettings) -> None:
    keypoints = _keypoints(batch)
    tags = keypoints if settings.tag_per_keypoint else 1
    wanted = [keypoints + tags * has_tags for has_tags in settings.tag_losses]
    found = [maps.shape[1] for maps in outputs]
    if found != wanted:
        raise UsageError(
            f"with tag_losses {list(settings.tag_losses)} the outputs of a network for {keypoints} keypoints "
            f"have {wanted} maps, those of {settings.architecture} have {found}; fit tag_losses, "
            "heatmap_losses and tag_per_keypoint to the network"
        )


def normalise_images(images: Tensor, settings: TrainSettings) -> Tensor:
    """Turn (B, 3, h, w) uint8 RGB into float32 with the mean and deviation of the architecture."""
    mean, std = input_normalisation(settings.architecture, settings.architecture_options)
    middle = torch.tensor(mean, device=images.device).reshape(1, 3, 1, 1) * 255
    spread = torch.tensor(std, device=images.device).reshape(1, 3, 1, 1) * 255
    return (images.float() - middle) / spread


def _whole_sums(parts: Sequence[Batch], settings: TrainSettings, processes: Processes) -> Sums:
    each = [batch_sums(part, settings) for part in parts]
    total = torch.stack([torch.stack(list(sums.values())) for sums in each]).double().sum(dim=0)
    return dict(zip(each[0], processes.total(total).float(), strict=True))


def _gradient_sync(model: nn.Module, last_part: bool) -> AbstractContextManager[None]:
    """Hold back the exchange of gradients until the last part of a batch."""
    if isinstance(model, DistributedDataParallel) and not last_part:
        return model.no_sync()
    return nullcontext()


def _clip(model: nn.Module, limit: float | None) -> Tensor:
    if limit is not None:
        return nn.utils.clip_grad_norm_(model.parameters(), limit)
    return nn.utils.get_total_norm([p.grad for p in model.parameters() if p.grad is not None])


def _check_finite(report: StepReport, step: int, scaler: torch.amp.GradScaler | None) -> None:
    for name, value in report.losses.items():
        if not math.isfinite(value):
            raise TrainingError(f"the loss {name} of step {step + 1} is {value}; {ADVICE}")
    if math.isfinite(report.gradient_norm):
        return
    if scaler is None:
        raise TrainingError(f"the gradient of step {step + 1} is {report.gradient_norm}; {ADVICE}")
    if scaler.get_scale() < SMALLEST_LOSS_SCALE:
        raise TrainingError(
            f"the gradient of step {step + 1} overflows fp16 however its loss is scaled; lower "
            "learning_rate, or train with precision: bf16 or fp32"
        )
