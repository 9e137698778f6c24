"""One process, or several under `torchrun` that train one network on slices of the same batches.

torch sums the gradients. What is here makes the processes equal to one: they share the sums that losses are
divided by, batch norm's statistics, and the decision to go on, to stop or to give up.
"""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.parallel import DistributedDataParallel

from engine.errors import TrainingError, UsageError
from train.settings import TrainSettings

T = TypeVar("T")

VARIABLES = ("RANK", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT")
PATIENCE = timedelta(hours=2)
"""How long a process waits for the others; a slow disk or a long evaluation is no failure."""
MOVING_SHARE = 0.1
"""Of new statistics in batch norm's running ones, where a layer names none (torch's own default)."""


@dataclass(frozen=True, slots=True)
class Processes:
    """The processes of a run as one of them sees it: its number, how many there are, and its device."""

    rank: int = 0
    world: int = 1
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))

    @property
    def first(self) -> bool:
        """Whether this is the process that writes files and logs."""
        return self.rank == 0

    def total(self, values: Tensor) -> Tensor:
        """Return the sum of a tensor over all processes.

        Raises:
            TrainingError: another process has ended.
        """
        if self.world == 1:
            return values
        values = values.clone()
        with _company(self):
            dist.all_reduce(values)
        return values

    def largest(self, *values: int) -> list[int]:
        """Return the largest of each number over all processes, so that all of them decide alike."""
        if self.world == 1:
            return list(values)
        numbers = torch.tensor(values)
        with _company(self):
            dist.all_reduce(numbers, dist.ReduceOp.MAX)
        return [int(number) for number in numbers]

    def share(self, value: T) -> T:
        """Return the first process's value in all of them."""
        if self.world == 1:
            return value
        box: list[Any] = [value]
        with _company(self):
            dist.broadcast_object_list(box)
        return box[0]

    def take(self, items: Sequence[T]) -> Sequence[T]:
        """Return this process's items: every `world`-th."""
        return items[self.rank :: self.world]

    def gather(self, items: Sequence[T]) -> list[T]:
        """Undo `take`: return the items of all processes in their first order, in all of them."""
        if self.world == 1:
            return list(items)
        boxes: list[Any] = [None] * self.world
        with _company(self):
            dist.all_gather_object(boxes, list(items))
        count = sum(len(box) for box in boxes)
        return [boxes[number % self.world][number // self.world] for number in range(count)]


@contextmanager
def join_processes(settings: TrainSettings) -> Iterator[Processes]:
    """Join the other processes where `torchrun` started several; leave them at the end.

    Raises:
        UsageError: the environment is torchrun's in part only, or the device is not there.
    """
    world = int(os.environ.get("WORLD_SIZE", "1"))
    if world == 1:
        yield Processes(device=choose_device(settings))
        return
    missing = [name for name in VARIABLES if name not in os.environ]
    if missing:
        raise UsageError(
            f"WORLD_SIZE is {world}, but {', '.join(missing)} is not set; start several processes by "
            "torchrun --nproc-per-node N -m train fit CONFIG"
        )
    device = choose_device(settings, int(os.environ["LOCAL_RANK"]))
    if device.type == "cuda":
        torch.cuda.set_device(device)
    dist.init_process_group("cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo", timeout=PATIENCE)
    try:
        yield Processes(dist.get_rank(), world, device)
    finally:
        dist.destroy_process_group()


def choose_device(settings: TrainSettings, local_rank: int = 0) -> torch.device:
    """Return the device that a process computes on.

    Raises:
        UsageError: a GPU is asked for that is not there, or fp16 without one.
    """
    name = settings.device
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name == "cuda" and torch.cuda.device_count() <= local_rank:
        raise UsageError(
            f"device cuda: process {local_rank} of this machine needs GPU {local_rank}, torch "
            f"{torch.__version__} sees {torch.cuda.device_count()}; start fewer processes, install a build "
            "of torch for CUDA, or set device: cpu"
        )
    if name == "cpu" and settings.precision == "fp16":
        raise UsageError("precision fp16 needs a GPU; on the CPU take bf16 or fp32")
    return torch.device("cuda", local_rank) if name == "cuda" else torch.device("cpu")


def distribute(network: nn.Module, processes: Processes, unused: bool) -> nn.Module:
    """Return the module to call in training: its gradients are averaged over the processes.

    Args:
        network: on its device, with `share_statistics` applied. processes: of the run.
        unused: whether some parameters get no gradient, which torch has to be told.
    """
    if processes.world == 1:
        return network
    gpu = processes.device.type == "cuda"
    return DistributedDataParallel(
        network,
        device_ids=[processes.device] if gpu else None,
        forward_sync_buffers=False,
        find_unused_parameters=unused,
    )


def share_statistics(network: nn.Module, processes: Processes) -> nn.Module:
    """Let batch norm see the batch of all processes, as it would in one; keys of the weights stay.

    On GPUs this is torch's `SyncBatchNorm`, which refuses CPU tensors; there it is `CpuSyncBatchNorm`.
    """
    if processes.world == 1:
        return network
    if processes.device.type == "cuda":
        return nn.SyncBatchNorm.convert_sync_batchnorm(network)
    for module in network.modules():
        for name, child in module.named_children():
            if type(child) is nn.BatchNorm2d:
                setattr(module, name, CpuSyncBatchNorm(child))
    return network


class CpuSyncBatchNorm(nn.BatchNorm2d):
    """Batch norm over the samples of all processes, for gloo; takes over the tensors of `source`."""

    def __init__(self, source: nn.BatchNorm2d) -> None:
        super().__init__(source.num_features, source.eps, source.momentum)
        self.weight, self.bias = source.weight, source.bias
        self.running_mean, self.running_var = source.running_mean, source.running_var
        self.num_batches_tracked = source.num_batches_tracked
        self.train(source.training)

    def forward(self, images: Tensor) -> Tensor:
        """Normalise (B, C, H, W); outside training by the running statistics."""
        if not self.training:
            return super().forward(images)
        maps, mean, variance, count = _SharedNorm.apply(images, self.weight, self.bias, self.eps)
        with torch.no_grad():
            share = MOVING_SHARE if self.momentum is None else self.momentum
            assert self.running_mean is not None and self.running_var is not None
            assert self.num_batches_tracked is not None
            self.running_mean.lerp_(mean, share)
            self.running_var.lerp_(variance * (count / (count - 1)), share)
            self.num_batches_tracked.add_(1)
        return maps


class _SharedNorm(torch.autograd.Function):
    """The normalisation of Ioffe & Szegedy 2015 with sums over all processes, and its gradient."""

    @staticmethod
    def forward(
        ctx: Any, images: Tensor, weight: Tensor, bias: Tensor, eps: float
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        exact = images.to(torch.promote_types(images.dtype, weight.dtype))
        variance, mean = torch.var_mean(exact, dim=(0, 2, 3), correction=0)
        own = torch.cat([mean, variance, mean.new_tensor([images.numel() / images.shape[1]])]).double()
        boxes = [torch.empty_like(own) for _ in range(dist.get_world_size())]
        dist.all_gather(boxes, own)
        table = torch.stack(boxes)
        means, variances, counts = table.tensor_split([len(mean), 2 * len(mean)], dim=1)
        count = counts.sum()
        shares = counts / count
        middle = (shares * means).sum(dim=0)
        # Chan et al. 1979: variances of parts add up with the squared distances of their means.
        spread = (shares * (variances + (means - middle).square())).sum(dim=0)
        mean, variance, count = (value.to(weight.dtype) for value in (middle, spread, count))
        ctx.save_for_backward(images, weight, mean, variance, count)
        ctx.eps = eps
        ctx.mark_non_differentiable(mean, variance, count)
        maps = functional.batch_norm(images, mean, variance, weight, bias, False, 0.0, eps)
        return maps, mean, variance, count

    @staticmethod
    def backward(ctx: Any, gradient: Tensor, *_: Tensor) -> tuple[Tensor, Tensor, Tensor, None]:
        images, weight, mean, variance, count = ctx.saved_tensors
        inverse = (variance + ctx.eps).rsqrt()
        upper = gradient.to(mean.dtype)
        normal = (images.to(mean.dtype) - mean[:, None, None]) * inverse[:, None, None]
        for_bias, for_weight = upper.sum(dim=(0, 2, 3)), (upper * normal).sum(dim=(0, 2, 3))
        sums = torch.cat([for_bias, for_weight])
        dist.all_reduce(sums)
        bias_mean, weight_mean = (sums / count)[:, None, None].tensor_split(2)
        for_images = (upper - bias_mean - normal * weight_mean) * (weight * inverse)[:, None, None]
        return for_images.to(images.dtype), for_weight, for_bias, None


@contextmanager
def _company(processes: Processes) -> Iterator[None]:
    """Name the loss of another process, which torch reports as an error of the connection."""
    try:
        yield
    except RuntimeError as error:
        raise TrainingError(
            f"process {processes.rank} of {processes.world} lost the others ({error}); see their messages, "
            "then start the run again: it goes on from last.pt"
        ) from error
