"""The door to training samples: from a run's settings to its numbered samples and batches.

Sample number n of a run is a pure function of (seed, n): it does not matter which process makes it, and a
resumed run goes on with the very samples it would have seen.
"""

from collections.abc import Sequence

import cv2
import numpy as np
import torch

from engine.errors import UsageError
from engine.skeleton import Skeleton, open_skeleton
from train.data.bottom_up_samples import BottomUpSamples, picture_weights
from train.data.bottom_up_targets import BottomUpCollate
from train.data.labels import ImageLabel
from train.data.sources import load_labels
from train.data.top_down_samples import Batch, TopDownCollate, TopDownSamples, people_of
from train.settings import DataSource, Stage, TrainSettings

__all__ = [
    "Batch",
    "BottomUpCollate",
    "BottomUpSamples",
    "TopDownCollate",
    "TopDownSamples",
    "ensure_single_thread",
    "epoch_length",
    "load_sources",
    "make_collate",
    "make_dataset",
]


def load_sources(sources: Sequence[DataSource], skeleton: Skeleton) -> list[tuple[ImageLabel, float]]:
    """Read every file of a run; return its images with the weight that each is drawn by.

    Raises:
        UsageError: a file is missing or is not what its source says, or gives nothing to learn from.
    """
    weighted: list[tuple[ImageLabel, float]] = []
    for source in sources:
        labels = load_labels(source, skeleton, side="train")
        weights = np.array([source.source_weights.get(label.source, 1.0) for label in labels])
        if not labels or weights.sum() <= 0:
            raise UsageError(
                f"{source.annotations} gives no sample to learn from; check its split and weights"
            )
        weights *= source.share / weights.sum()
        weighted += list(zip(labels, weights.tolist(), strict=True))
    return weighted


def make_dataset(
    settings: TrainSettings, stage: Stage, images: Sequence[tuple[ImageLabel, float]]
) -> TopDownSamples | BottomUpSamples:
    """Return the numbered samples of a stage, from the images of `load_sources`.

    Raises:
        UsageError: nobody is labelled in them, or the skeleton is unknown.
    """
    kind = TopDownSamples if settings.kind == "top-down" else BottomUpSamples
    return kind(
        images,
        open_skeleton(settings.skeleton),
        stage.input_size,
        settings.augment,
        settings.seed,
        convention=settings.coordinates,
        sampling=settings.sampling,
        cache_mib=settings.cache_mib,
    )


def make_collate(settings: TrainSettings, stage: Stage) -> TopDownCollate | BottomUpCollate:
    """Return the function that stacks samples of `make_dataset` into a batch with its targets.

    Raises:
        UsageError: the settings have more outputs than a bottom-up network.
    """
    if settings.kind == "top-down":
        return TopDownCollate(stage, targets=settings.targets, convention=settings.coordinates)
    return BottomUpCollate(
        stage,
        targets=settings.targets,
        convention=settings.coordinates,
        tag_losses=settings.tag_losses,
        tag_per_keypoint=settings.tag_per_keypoint,
        max_people=settings.max_people,
        scale_aware_base_px=settings.scale_aware_base_px if settings.scale_aware_sigma else None,
        scale_aware_range=settings.scale_aware_range,
    )


def epoch_length(settings: TrainSettings, images: Sequence[tuple[ImageLabel, float]]) -> int:
    """Return the samples of an epoch: people for top-down, pictures with people for bottom-up."""
    if settings.kind == "top-down":
        return len(people_of(images))
    return sum(weight > 0 for weight in picture_weights(images, "epochs"))


def ensure_single_thread(_: int) -> None:
    """Keep a sample-making process to one thread; the cores belong to the network.

    For OpenCV that is 0: setting 1 would end its threads and wait for them, for ever in a process forked from
    one where they sleep, since threads are not forked.
    """
    cv2.setNumThreads(0)
    torch.set_num_threads(1)
