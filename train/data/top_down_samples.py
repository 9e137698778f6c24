"""Crops of single people and their heatmaps: what top-down networks learn from."""

from collections.abc import Sequence

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from engine.errors import UsageError
from engine.geometry import Convention, Size, crop_matrix, input_to_heatmap
from engine.skeleton import Skeleton
from train.data.cache import ImageCache
from train.data.labels import ImageLabel
from train.data.sampling import SampleOrder, Sampling
from train.data.targets import rounded_heatmaps, udp_heatmaps, unbiased_heatmaps
from train.data.transforms import (
    View,
    apply_view,
    change_look,
    cover,
    cut_by_frame,
    mirror_order,
    random_person_view,
    view_points,
)
from train.settings import AugmentSettings, Stage, TargetKind

Batch = dict[str, Tensor]
Sample = dict[str, NDArray]
STRIDE = 4


def people_of(images: Sequence[tuple[ImageLabel, float]]) -> list[tuple[int, int, float]]:
    """Return (image, person, weight) of each person that may be drawn; an image's weight is shared out."""
    return [
        (image, person, weight / len(label.people))
        for image, (label, weight) in enumerate(images)
        for person in range(len(label.people))
        if weight > 0
    ]


def empty_images(images: Sequence[tuple[ImageLabel, float]]) -> list[ImageLabel]:
    """Return the images that certainly show nobody."""
    return [
        label
        for label, _ in images
        if not label.people and not len(label.ignore_bboxes) and label.ignore_mask is None
    ]


class TopDownSamples(Dataset[Sample]):
    """Crops of single people.

    Item n, a pure function of (seed, n), holds image (h, w, 3) uint8 RGB, points (K, 2) float32 input px,
    weights (K,) float32 loss weight, 0 where there is no label, and absent (K,) float32, 1 where it is known
    that nothing of the keypoint is to be seen. Keypoints outside the crop are for `TopDownCollate` to judge.
    """

    def __init__(
        self,
        images: Sequence[tuple[ImageLabel, float]],
        skeleton: Skeleton,
        input_size: Size,
        augment: AugmentSettings,
        seed: int,
        *,
        convention: Convention = "half-pixel",
        sampling: Sampling = "weighted",
        cache_mib: float = 0,
    ) -> None:
        self.images = [label for label, _ in images]
        self.people = people_of(images)
        if not self.people:
            raise UsageError("no labelled person in the training data; check annotations and split")
        self.order = SampleOrder([weight for *_, weight in self.people], sampling, seed)
        self.empty = empty_images(images)
        self.skeleton, self.input_size, self.augment, self.seed = skeleton, input_size, augment, seed
        self.convention: Convention = convention
        self.cache = ImageCache(cache_mib)

    def __getitem__(self, number: int) -> Sample:
        rng = np.random.default_rng([self.seed, number])
        if self.empty and rng.random() < self.augment.negative:
            return self._nobody(rng)
        image_index, person_index, _ = self.people[self.order.index(number, rng)]
        label = self.images[image_index]
        person = label.people[person_index]
        labelled, weights = person.visibility > 0, person.weights
        view = random_person_view(
            person.bbox,
            person.keypoints,
            labelled,
            self.input_size,
            self.augment,
            rng,
            upper_body=self.skeleton.upper_body,
            convention=self.convention,
        )
        crop = apply_view(self.cache.read(label.path), view, self.input_size)
        points = view_points(person.keypoints, view)
        if view.mirrored:
            points = mirror_order(points, self.skeleton, 0)
            labelled, weights = (mirror_order(v, self.skeleton, 0) for v in (labelled, weights))
        cut = np.zeros(len(points), bool)
        if rng.random() < self.augment.cut:
            cut = cut_by_frame(crop, points, rng)
        if rng.random() < self.augment.cover:
            cover(crop, rng)
        crop = change_look(crop, self.augment, rng)
        return {
            "image": cv2.cvtColor(crop, cv2.COLOR_BGR2RGB),
            "points": points,
            "weights": np.where(labelled & ~cut, weights, 0).astype(np.float32),
            "absent": (labelled & cut).astype(np.float32),
        }

    def _nobody(self, rng: np.random.Generator) -> Sample:
        """Return a crop of a picture without people: a finder errs, and the crop has to tell."""
        image = self.cache.read(self.empty[int(rng.integers(len(self.empty)))].path)
        extent = min(image.shape[:2])
        width = extent * float(np.exp(rng.uniform(np.log(0.1), np.log(1.0))))
        centre = rng.uniform(width / 2, np.maximum(np.array(image.shape[1::-1]) - width / 2, width / 2 + 1))
        view = View(crop_matrix(centre, (width, width), self.input_size, convention=self.convention))
        if rng.random() < self.augment.flip:
            view = view.mirror((self.input_size[1] - 1) / 2)
        crop = change_look(apply_view(image, view, self.input_size), self.augment, rng)
        count = self.skeleton.count
        return {
            "image": cv2.cvtColor(crop, cv2.COLOR_BGR2RGB),
            "points": np.full((count, 2), -1000, np.float32),
            "weights": np.zeros(count, np.float32),
            "absent": np.ones(count, np.float32),
        }


class TopDownCollate:
    """Stack samples and paint their heatmaps at stride 4.

    ``unbiased``: a keypoint counts where it lies inside the crop; ``gaussian`` and ``udp``: where its patch
    touches the heatmap, as published.
    """

    def __init__(
        self, stage: Stage, *, targets: TargetKind = "unbiased", convention: Convention = "half-pixel"
    ) -> None:
        self.stage, self.targets = stage, targets
        self.convention: Convention = convention

    def __call__(self, samples: list[Sample]) -> Batch:
        """Return image (B, 3, h, w) uint8, heatmaps (B, K, h/4, w/4), weights and absent (B, K)."""
        stacked = {name: np.stack([sample[name] for sample in samples]) for name in samples[0]}
        maps, counted = self._paint(stacked["points"], stacked["weights"] > 0)
        weights, absent = stacked["weights"], stacked["absent"]
        absent = np.where((weights > 0) & ~counted, np.float32(1), absent)
        return {
            "image": torch.from_numpy(stacked["image"]).permute(0, 3, 1, 2),
            "heatmaps": torch.from_numpy(maps),
            "weights": torch.from_numpy(np.where(counted, weights, np.float32(0))),
            "absent": torch.from_numpy(absent),
        }

    def _paint(
        self, points: NDArray[np.float32], labelled: NDArray[np.bool_]
    ) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """Return (B, K, h/4, w/4) maps and (B, K) whether the keypoint counts."""
        height, width = self.stage.input_size
        size = (height // STRIDE, width // STRIDE)
        heatmap_sigma = self.stage.sigmas(1)[0]
        places = input_to_heatmap(points, size, (height, width), self.convention)
        if self.targets == "unbiased":
            inside = (points >= -0.5).all(axis=-1) & (points < [width - 0.5, height - 0.5]).all(axis=-1)
            counted = labelled & inside
            return unbiased_heatmaps(places, counted, size, heatmap_sigma), counted
        if self.targets == "gaussian":
            maps, weights = rounded_heatmaps(places, labelled, size, 1, heatmap_sigma)
        else:
            maps, weights = udp_heatmaps(places, labelled, size, heatmap_sigma)
        return maps, weights > 0
