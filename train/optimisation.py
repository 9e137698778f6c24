"""How a run is paced: its plan in steps, its learning rate, its optimiser.

A `Plan` turns stages, which may count epochs, into optimiser steps and numbered samples. Everything that
depends on where a run is follows from the step alone, so a resumed run goes on as if it had not stopped.
"""

import math
from bisect import bisect_right
from dataclasses import dataclass

import torch
from torch import nn

from engine.errors import UsageError
from train.settings import Stage, TrainSettings


@dataclass(frozen=True, slots=True)
class Plan:
    """The steps and samples of a run.

    stages: S stretches of training. first_steps: (S + 1) step at which each begins, then the end.
    first_samples: (S + 1) number of the sample at which each begins, then the end; samples are counted over
    all processes. milestones: steps at which a multi-step schedule lowers the rate.
    """

    stages: tuple[Stage, ...]
    first_steps: tuple[int, ...]
    first_samples: tuple[int, ...]
    milestones: tuple[int, ...]

    @property
    def total_steps(self) -> int:
        """Optimiser steps of the whole run."""
        return self.first_steps[-1]

    def stage_index(self, step: int) -> int:
        """Return which stage the step belongs to; steps past the end belong to the last."""
        return min(bisect_right(self.first_steps, step) - 1, len(self.stages) - 1)

    def sample_at(self, step: int) -> int:
        """Return the number of the first sample of a step."""
        index = self.stage_index(step)
        return self.first_samples[index] + (step - self.first_steps[index]) * self.stages[index].batch


def make_plan(settings: TrainSettings, epoch_length: int) -> Plan:
    """Lay out a run.

    A stage of E epochs takes as many whole batches as hold E times `epoch_length` samples: only its very last
    batch may reach past its data, where the papers' loaders end each epoch with a smaller batch.

    Args:
        settings: the run. epoch_length: samples of one pass over its data.

    Raises:
        UsageError: a milestone lies after the end.
    """
    steps, samples, epochs = [0], [0], [0]
    for stage in settings.stages:
        length = stage.steps or math.ceil((stage.epochs or 0) * epoch_length / stage.batch)
        steps.append(steps[-1] + length)
        samples.append(samples[-1] + length * stage.batch)
        epochs.append(epochs[-1] + (stage.epochs or 0))
    in_epochs = settings.stages[0].epochs is not None
    end = epochs[-1] if in_epochs else steps[-1]
    late = [milestone for milestone in settings.milestones if milestone >= end]
    if settings.schedule == "multi-step" and late:
        raise UsageError(
            f"milestone {late[0]:g} lies after the end of the run, which has {end} "
            f"{'epochs' if in_epochs else 'steps'}; lower it or lengthen the stages"
        )
    milestones = []
    for milestone in settings.milestones:
        index = min(bisect_right(epochs, milestone), len(settings.stages)) - 1
        batches = (milestone - epochs[index]) * epoch_length / settings.stages[index].batch
        milestones.append(math.ceil(steps[index] + batches if in_epochs else milestone))
    return Plan(settings.stages, tuple(steps), tuple(samples), tuple(milestones))


def learning_rate(settings: TrainSettings, plan: Plan, step: int) -> float:
    """Return the rate of a step: a linear warm-up, then the cosine or the falling steps of the schedule.

    The cosine (Loshchilov & Hutter 2017, eq. 5, one period) ends at `final_learning_rate` of the peak; the
    multi-step rate is multiplied by `decay` at each milestone.
    """
    peak, warmup = settings.learning_rate, settings.warmup_steps
    if settings.schedule == "multi-step":
        rate = peak * settings.decay ** bisect_right(plan.milestones, step)
        return rate * min((step + 1) / warmup, 1.0) if warmup else rate
    if step < warmup:
        return peak * (step + 1) / warmup
    progress = min((step - warmup) / max(plan.total_steps - warmup, 1), 1.0)
    low = settings.final_learning_rate
    return peak * (low + (1 - low) * 0.5 * (1 + math.cos(math.pi * progress)))


def make_optimiser(network: nn.Module, settings: TrainSettings) -> torch.optim.Optimizer:
    """Build the optimiser of a run.

    AdamW's decay pulls weights toward zero beside the gradient (Loshchilov & Hutter 2019); it is kept from
    batch norms and biases, which have no reason to be small. Adam and SGD decay every parameter through the
    gradient, as the published runs do.
    """
    rate, decay = settings.learning_rate, settings.weight_decay
    if settings.optimizer == "adamw":
        matrices = [p for p in network.parameters() if p.ndim > 1]
        vectors = [p for p in network.parameters() if p.ndim <= 1]
        groups = [{"params": matrices, "weight_decay": decay}, {"params": vectors, "weight_decay": 0.0}]
        return torch.optim.AdamW(groups, lr=rate)
    if settings.optimizer == "adam":
        return torch.optim.Adam(network.parameters(), lr=rate, weight_decay=decay)
    return torch.optim.SGD(
        network.parameters(),
        lr=rate,
        momentum=settings.momentum,
        nesterov=settings.nesterov,
        weight_decay=decay,
    )


@torch.no_grad()
def update_average(average: nn.Module, network: nn.Module, decay: float) -> None:
    """Move the averaged weights toward the present ones, which decay 0 copies; counters are copied."""
    target, source = average.state_dict(), network.state_dict()
    floats = [name for name in source if source[name].is_floating_point()]
    torch._foreach_lerp_([target[name] for name in floats], [source[name] for name in floats], 1 - decay)
    for name in source.keys() - set(floats):
        target[name].copy_(source[name])


def average_decay(settings: TrainSettings, step: int) -> float:
    """Return the decay of the average after `step` steps, lower at the start, when weights move fast."""
    return min(settings.ema, (1 + step) / (10 + step))
