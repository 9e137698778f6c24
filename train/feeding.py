"""Batches for the trainer: numbered samples, made by worker processes, in the order of the run.

Samples are numbered over all processes and all stages. Each process takes its slice of every batch, so that
however many there are, and wherever a run was resumed, the same samples meet in the same step.
"""

import re
import signal
from collections.abc import Generator, Iterable, Iterator, Sequence
from typing import Any

import cv2
import torch
from torch.utils.data import DataLoader, Dataset, Sampler

from engine.errors import SteadyPoseError, TrainingError, UsageError
from train.data.labels import ImageLabel
from train.data.samples import make_collate, make_dataset
from train.distributed import Processes
from train.optimisation import Plan
from train.settings import Stage, TrainSettings
from train.stepping import Batch

PREFETCH = 4
"""Parts of batches that each worker makes ahead, so that a slow picture does not stall the network."""


def feed_batches(
    settings: TrainSettings,
    plan: Plan,
    images: Sequence[tuple[ImageLabel, float]],
    start: int,
    processes: Processes,
) -> Generator[tuple[Stage, list[Batch]]]:
    """Yield, from step `start` to the end, each step's stage and this process's parts of its batch.

    The workers of a stage live until its end. Until then OpenCV has one thread here: a worker forked from a
    process with its threads running waits for them for ever.

    Raises:
        UsageError: a stage's batch is too small to give every process its parts; or nothing to learn from.
        SourceError: a picture cannot be read; raised at the step that needs it.
        TrainingError: a worker was killed.
    """
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        for index, stage in enumerate(plan.stages):
            first, end = max(start, plan.first_steps[index]), plan.first_steps[index + 1]
            if first >= end:
                continue
            numbers = PartNumbers(plan, range(first, end), settings.accumulate, processes)
            parts = iter(_load(settings, stage, images, numbers, processes))
            for _ in range(first, end):
                yield stage, [_next(parts) for _ in range(settings.accumulate)]
    finally:
        cv2.setNumThreads(threads)


class PartNumbers(Sampler[list[int]]):
    """The sample numbers of one process's parts of the batches of some steps, part after part."""

    def __init__(self, plan: Plan, steps: range, parts: int, processes: Processes) -> None:
        self.plan, self.steps, self.parts, self.processes = plan, steps, parts, processes
        batch, pieces = plan.stages[plan.stage_index(steps.start)].batch, parts * processes.world
        if batch < pieces:
            raise UsageError(
                f"a batch of {batch} cannot be split over {processes.world} processes with accumulate "
                f"{parts}; raise batch to {pieces} or more, or use fewer"
            )

    def __iter__(self) -> Iterator[list[int]]:
        world, rank = self.processes.world, self.processes.rank
        for step in self.steps:
            first = self.plan.sample_at(step)
            batch = range(first, first + self.plan.stages[self.plan.stage_index(step)].batch)
            # Parts first: what the processes hold at a time is what one process would, also to batch norm.
            for part in range(self.parts):
                yield list(_slice(_slice(batch, part, self.parts), rank, world))


def _slice(numbers: range, index: int, count: int) -> range:
    """Return one of `count` pieces, as equal as can be."""
    length = len(numbers)
    return numbers[length * index // count : length * (index + 1) // count]


def _load(
    settings: TrainSettings,
    stage: Stage,
    images: Sequence[tuple[ImageLabel, float]],
    numbers: PartNumbers,
    processes: Processes,
) -> Iterable[Batch | SteadyPoseError]:
    return DataLoader(
        _Reporting(make_dataset(settings, stage, images)),
        batch_sampler=numbers,
        num_workers=settings.workers,
        collate_fn=_ReportingCollate(make_collate(settings, stage)),
        worker_init_fn=_start_worker,
        prefetch_factor=PREFETCH if settings.workers else None,
        pin_memory=processes.device.type == "cuda",
        # Seeds of the workers come from here, so that starting them leaves the trainer's numbers alone.
        generator=torch.Generator().manual_seed(settings.seed),
    )


def _next(parts: Iterator[Any]) -> Batch:
    try:
        part = next(parts)
    except RuntimeError as error:
        if not re.search(r"DataLoader worker .* (exited unexpectedly|is killed by signal)", str(error)):
            raise
        raise TrainingError(
            f"a process that makes samples was killed ({str(error).strip()}), mostly for want of memory; "
            "lower workers, cache_mib or batch"
        ) from error
    if isinstance(part, SteadyPoseError):
        raise part
    return part


class _Reporting(Dataset[Any]):
    """Hand on errors of the user's as values: torch would wrap what a worker raises in its traceback."""

    def __init__(self, samples: Dataset[Any]) -> None:
        self.samples = samples

    def __getitem__(self, number: int) -> Any:
        try:
            return self.samples[number]
        except SteadyPoseError as error:
            return error


class _ReportingCollate:
    """Collate samples, or hand on the first error among them."""

    def __init__(self, collate: Any) -> None:
        self.collate = collate

    def __call__(self, samples: list[Any]) -> Any:
        errors = [sample for sample in samples if isinstance(sample, SteadyPoseError)]
        return errors[0] if errors else self.collate(samples)


def _start_worker(_: int) -> None:
    """Keep a worker to one thread, the cores belong to the network, and let Ctrl-C stop the trainer alone."""
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
