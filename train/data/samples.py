"""Draw training samples: crops of one person for top-down, whole views for bottom-up.

Sample number n of a run is a pure function of (seed, n): it does not matter which process makes it, and a
resumed run goes on with the very samples it would have seen.
"""

from collections.abc import Sequence

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from engine.errors import UsageError
from engine.geometry import Size, crop_matrix, input_to_heatmap
from engine.skeleton import Skeleton
from train.data.coco import load_coco, read_split
from train.data.labels import ImageLabel, PersonLabel, read_image
from train.data.targets import gaussian_patch, tag_indices, unbiased_heatmaps
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
from train.settings import AugmentSettings, DataSource, Stage

MAX_PEOPLE = 30
Float = NDArray[np.float32]
Batch = dict[str, Tensor]


def load_sources(sources: Sequence[DataSource], skeleton: Skeleton) -> list[tuple[ImageLabel, float]]:
    """Read every file of a run; return its images with the weight that each is drawn by."""
    weighted: list[tuple[ImageLabel, float]] = []
    for source in sources:
        ids = None if source.split is None else read_split(source.split, "train")
        labels = load_coco(
            source.annotations,
            source.images,
            skeleton,
            image_ids=ids,
            min_teacher_agreement=source.min_teacher_agreement,
        )
        weights = np.array([source.source_weights.get(label.source, 1.0) for label in labels])
        if not labels or weights.sum() <= 0:
            raise UsageError(
                f"{source.annotations} gives no sample to learn from; check its split and weights"
            )
        weights *= source.share / weights.sum()
        weighted += list(zip(labels, weights.tolist(), strict=True))
    return weighted


def _empty_images(images: Sequence[ImageLabel]) -> list[ImageLabel]:
    return [label for label in images if not label.people and not len(label.ignore_bboxes)]


class _Draw:
    """Draw an index by weight from a generator."""

    def __init__(self, weights: NDArray[np.float64]) -> None:
        self.cumulative = np.cumsum(weights / weights.sum())

    def __call__(self, rng: np.random.Generator) -> int:
        return min(int(np.searchsorted(self.cumulative, rng.random())), len(self.cumulative) - 1)


class TopDownSamples(Dataset[dict[str, NDArray]]):
    """Crops of single people.

    Item n holds image (h, w, 3) uint8 RGB, points (K, 2) float32 input px, weights (K,) float32 loss weight
    of keypoints inside the crop, absent (K,) float32 1 where a labelled keypoint is outside the crop.
    """

    def __init__(
        self,
        images: Sequence[tuple[ImageLabel, float]],
        skeleton: Skeleton,
        input_size: Size,
        augment: AugmentSettings,
        seed: int,
    ) -> None:
        self.people = [
            (label, person, weight / len(label.people)) for label, weight in images for person in label.people
        ]
        if not self.people:
            raise UsageError("no labelled person in the training data; check annotations and split")
        self.draw = _Draw(np.array([weight for _, _, weight in self.people]))
        self.empty = _empty_images([label for label, _ in images])
        self.skeleton, self.input_size, self.augment, self.seed = skeleton, input_size, augment, seed

    def __getitem__(self, number: int) -> dict[str, NDArray]:
        rng = np.random.default_rng([self.seed, number])
        if self.empty and rng.random() < self.augment.negative:
            return self._nobody(rng)
        label, person, _ = self.people[self.draw(rng)]
        height, width = self.input_size
        view = random_person_view(
            person.bbox, person.keypoints, person.visibility > 0, self.input_size, self.augment, rng
        )
        crop = apply_view(read_image(label.path), view, self.input_size)
        points = view_points(person.keypoints, view, self.input_size)
        labelled, weights = person.visibility > 0, person.weights
        if view.mirrored:
            points = mirror_order(points, self.skeleton, 0)
            labelled, weights = (mirror_order(v, self.skeleton, 0) for v in (labelled, weights))
        inside = (points >= -0.5).all(axis=1) & (points < [width - 0.5, height - 0.5]).all(axis=1)
        if rng.random() < self.augment.cut:
            inside &= ~cut_by_frame(crop, points, rng)
        if rng.random() < self.augment.cover:
            cover(crop, rng)
        crop = change_look(crop, self.augment, rng)
        return {
            "image": np.ascontiguousarray(crop[:, :, ::-1]),
            "points": points,
            "weights": np.where(labelled & inside, weights, 0).astype(np.float32),
            "absent": np.where(labelled & ~inside, 1, 0).astype(np.float32),
        }

    def _nobody(self, rng: np.random.Generator) -> dict[str, NDArray]:
        """Return a crop of a picture without people: a finder errs, and the crop has to tell."""
        image = read_image(self.empty[int(rng.integers(len(self.empty)))].path)
        extent = min(image.shape[:2])
        width = extent * float(np.exp(rng.uniform(np.log(0.1), np.log(1.0))))
        centre = rng.uniform(width / 2, np.maximum(np.array(image.shape[1::-1]) - width / 2, width / 2 + 1))
        view = View(crop_matrix(centre, (width, width), self.input_size), bool(rng.random() < 0.5))
        crop = change_look(apply_view(image, view, self.input_size), self.augment, rng)
        count = self.skeleton.count
        return {
            "image": np.ascontiguousarray(crop[:, :, ::-1]),
            "points": np.full((count, 2), -100, np.float32),
            "weights": np.zeros(count, np.float32),
            "absent": np.ones(count, np.float32),
        }


class BottomUpSamples(Dataset[dict[str, NDArray]]):
    """Views of whole pictures, or of several side by side.

    Item n holds image (h, w, 3) uint8 RGB, points (MAX_PEOPLE, K, 2) float32 input px, weights
    (MAX_PEOPLE, K) float32, and unknown (U, 5) float32 rows of keypoint index (-1 for all) and xyxy box in
    input px inside which nothing may be said of that keypoint.
    """

    def __init__(
        self,
        images: Sequence[tuple[ImageLabel, float]],
        skeleton: Skeleton,
        input_size: Size,
        augment: AugmentSettings,
        seed: int,
    ) -> None:
        self.images = [label for label, _ in images]
        self.draw = _Draw(np.array([weight for _, weight in images]))
        self.empty = _empty_images(self.images)
        self.skeleton, self.input_size, self.augment, self.seed = skeleton, input_size, augment, seed

    def __getitem__(self, number: int) -> dict[str, NDArray]:
        rng = np.random.default_rng([self.seed, number])
        canvas = self._background(rng)
        points, weights, unknown = [], [], []
        for top, left, tile in self._tiles(rng):
            place = canvas[top : top + tile[0], left : left + tile[1]]
            place[:], tile_points, tile_weights, tile_unknown = self._view(place, rng)
            offset = np.array([left, top], np.float32)
            points += [p + offset for p in tile_points]
            weights += tile_weights
            unknown += [np.concatenate([u[:1], u[1:3] + offset, u[3:] + offset]) for u in tile_unknown]
        if rng.random() < self.augment.cover:
            cover(canvas, rng)
        canvas = change_look(canvas, self.augment, rng)
        count = self.skeleton.count
        padded_points = np.zeros((MAX_PEOPLE, count, 2), np.float32)
        padded_weights = np.zeros((MAX_PEOPLE, count), np.float32)
        for index, (p, w) in enumerate(zip(points[:MAX_PEOPLE], weights[:MAX_PEOPLE], strict=True)):
            padded_points[index], padded_weights[index] = p, w
        return {
            "image": np.ascontiguousarray(canvas[:, :, ::-1]),
            "points": padded_points,
            "weights": padded_weights,
            "unknown": np.array(unknown, np.float32).reshape(-1, 5),
        }

    def _background(self, rng: np.random.Generator) -> NDArray[np.uint8]:
        """Return a canvas of the input size: a picture without people, or one colour."""
        height, width = self.input_size
        if not self.empty or rng.random() < 0.15:
            return np.full((height, width, 3), rng.integers(0, 256, 3), np.uint8)
        image = read_image(self.empty[int(rng.integers(len(self.empty)))].path)
        size = np.array(image.shape[:2]) * rng.uniform(0.4, 1.0)
        centre = rng.uniform(size[::-1] / 2, np.array(image.shape[1::-1]) - size[::-1] / 2)
        region = min(size[1], size[0] * width / height)
        return apply_view(
            image, View(crop_matrix(centre, (region, region), self.input_size), False), self.input_size
        )

    def _tiles(self, rng: np.random.Generator) -> list[tuple[int, int, Size]]:
        height, width = self.input_size
        if rng.random() >= self.augment.mosaic:
            return [(0, 0, (height, width))]
        middle = int(width * rng.uniform(0.35, 0.65))
        if rng.random() < 0.5:
            return [(0, 0, (height, middle)), (0, middle, (height, width - middle))]
        level = int(height * rng.uniform(0.4, 0.6))
        return [
            (0, 0, (level, middle)),
            (0, middle, (level, width - middle)),
            (level, 0, (height - level, middle)),
            (level, middle, (height - level, width - middle)),
        ]

    def _view(
        self, background: NDArray[np.uint8], rng: np.random.Generator
    ) -> tuple[NDArray[np.uint8], list[Float], list[Float], list[Float]]:
        size = background.shape[:2]
        label = self.images[self.draw(rng)]
        image = read_image(label.path)
        view = self._random_view(label, image.shape[:2], size, rng)
        picture = apply_view(image, view, size, background)
        points, weights, unknown = [], [], []
        for person in label.people:
            moved = view_points(person.keypoints, view, size)
            labelled, weight = person.visibility > 0, person.weights
            if view.mirrored:
                moved, labelled, weight = (
                    mirror_order(v, self.skeleton, 0) for v in (moved, labelled, weight)
                )
            inside = (moved >= 0).all(axis=1) & (moved < [size[1], size[0]]).all(axis=1)
            box = _moved_box(person.bbox, view, size)
            unknown += [np.array([k, *box], np.float32) for k in np.flatnonzero(~labelled)]
            if (inside & labelled).any():
                points.append(moved)
                weights.append(np.where(inside & labelled, weight, 0).astype(np.float32))
        unknown += [np.array([-1, *_moved_box(box, view, size)], np.float32) for box in label.ignore_bboxes]
        return picture, points, weights, unknown

    def _random_view(self, label: ImageLabel, image_size: Size, size: Size, rng: np.random.Generator) -> View:
        mirrored = bool(rng.random() < 0.5)
        rotation = float(np.clip(rng.normal() * 15, -45, 45)) if rng.random() < 0.6 else 0.0
        if not label.people:
            centre = rng.uniform(0.3, 0.7, 2) * np.array(image_size[::-1])
            width = size[1] * max(image_size) / max(size) * rng.uniform(0.6, 1.2)
            return View(crop_matrix(centre, (width, width), size, rotation_deg=rotation), mirrored)
        person: PersonLabel = label.people[int(rng.integers(len(label.people)))]
        box = person.bbox.astype(np.float64)
        extent = max(box[2] - box[0], box[3] - box[1], 8.0)
        wanted = float(np.exp(rng.uniform(*np.log(self.augment.extent)))) * size[0]
        scale = wanted / extent
        if len(label.people) > 1 and rng.random() < 0.6:
            scale = min(size[0] / image_size[0], size[1] / image_size[1]) * rng.uniform(0.8, 1.5)
        centre = (box[:2] + box[2:]) / 2 + rng.uniform(-0.25, 0.25, 2) * np.array(size[::-1]) / scale
        matrix = crop_matrix(centre, (size[1] / scale, size[0] / scale), size, rotation_deg=rotation)
        return View(matrix, mirrored)


def _moved_box(box: Float, view: View, size: Size) -> Float:
    corners = np.array([[box[0], box[1]], [box[2], box[1]], [box[2], box[3]], [box[0], box[3]]])
    moved = np.clip(view_points(corners, view, size), 0, [size[1], size[0]])
    return np.concatenate([moved.min(axis=0), moved.max(axis=0)]).astype(np.float32)


class TopDownCollate:
    """Stack samples and paint their heatmaps at stride 4."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage

    def __call__(self, samples: list[dict[str, NDArray]]) -> Batch:
        """Return image (B, 3, h, w) uint8, heatmaps (B, K, h/4, w/4), weights and absent (B, K)."""
        stacked = {name: np.stack([sample[name] for sample in samples]) for name in samples[0]}
        size = self.stage.input_size
        heatmap_size = (size[0] // 4, size[1] // 4)
        points = input_to_heatmap(stacked["points"], heatmap_size, size, "half-pixel")
        maps = unbiased_heatmaps(points, stacked["weights"] > 0, heatmap_size, self.stage.sigmas(1)[0])
        return {
            "image": torch.from_numpy(stacked["image"]).permute(0, 3, 1, 2),
            "heatmaps": torch.from_numpy(maps),
            "weights": torch.from_numpy(stacked["weights"]),
            "absent": torch.from_numpy(stacked["absent"]),
        }


class BottomUpCollate:
    """Stack samples and paint heatmaps and loss weights at strides 4 and 2, tag indices at stride 4."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage

    def __call__(self, samples: list[dict[str, NDArray]]) -> Batch:
        """Return image, and per stride s: heatmaps_s, mask_s (B, K, h/s, w/s); indices (B, P, K, 2)."""
        size = self.stage.input_size
        images = np.stack([sample["image"] for sample in samples])
        batch: Batch = {"image": torch.from_numpy(images).permute(0, 3, 1, 2)}
        for stride in (4, 2):
            heatmap_size = (size[0] // stride, size[1] // stride)
            painted = [self._paint(sample, heatmap_size, stride) for sample in samples]
            batch[f"heatmaps_{stride}"] = torch.from_numpy(np.stack([maps for maps, _ in painted]))
            batch[f"mask_{stride}"] = torch.from_numpy(np.stack([mask for _, mask in painted]))
        quarter = (size[0] // 4, size[1] // 4)
        indices = [
            tag_indices(
                np.round(input_to_heatmap(sample["points"], quarter, size, "half-pixel")),
                sample["weights"],
                quarter,
                MAX_PEOPLE,
            )
            for sample in samples
        ]
        batch["indices"] = torch.from_numpy(np.stack(indices))
        return batch

    def _paint(self, sample: dict[str, NDArray], size: Size, stride: int) -> tuple[Float, Float]:
        count = sample["weights"].shape[1]
        mask = np.ones((count, *size), np.float32)
        for row in sample["unknown"]:
            x1, y1, x2, y2 = (row[1:] / stride).round().astype(int)
            channels = slice(None) if row[0] < 0 else int(row[0])
            mask[channels, y1:y2, x1:x2] = 0
        points = input_to_heatmap(sample["points"], size, self.stage.input_size, "half-pixel")
        maps = np.zeros((count, *size), np.float32)
        for person, keypoint in zip(*np.nonzero(sample["weights"] > 0), strict=True):
            weight = sample["weights"][person, keypoint]
            rows, columns, patch = gaussian_patch(points[person, keypoint], size, self.stage.sigmas(1)[0])
            region, told = maps[keypoint, rows, columns], mask[keypoint, rows, columns]
            np.maximum(region, patch, out=region)
            told[patch > 0.02] = weight
        return maps, mask


def ensure_single_thread(_: int) -> None:
    """Keep a sample-making process to one thread; the cores belong to the network."""
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
