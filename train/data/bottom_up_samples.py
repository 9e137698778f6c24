"""Views of whole pictures with everybody in them: what bottom-up networks learn from."""

from collections.abc import Sequence
from typing import cast

import cv2
import numpy as np
from numpy.typing import NDArray
from torch.utils.data import Dataset

from engine.errors import UsageError
from engine.geometry import Convention, Size, crop_matrix
from engine.skeleton import Skeleton
from train.data.cache import ImageCache
from train.data.labels import Float, ImageLabel, PersonLabel
from train.data.sampling import SampleOrder, Sampling
from train.data.top_down_samples import empty_images
from train.data.transforms import (
    View,
    apply_view,
    change_look,
    cover,
    mirror_order,
    random_picture_view,
    view_points,
)
from train.settings import AugmentSettings

Sample = dict[str, NDArray]


class BottomUpSamples(Dataset[Sample]):
    """Views of whole pictures, or of several side by side.

    Item n, a pure function of (seed, n), holds, for P people with a label in view:

    - image (h, w, 3) uint8 RGB;
    - points (P, K, 2) float32 input px, weights (P, K) float32, 0 where there is no label in view;
    - extents (P,) float32, the longer side of each person's box, input px;
    - unknown (U, 5) float32, rows of keypoint index (-1 for all) and xyxy box in input px inside which
      nothing may be said of that keypoint;
    - ignored (h, w) bool, where nothing may be said of any keypoint; (0, 0) where that is nowhere.
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
        if not any(label.people and weight > 0 for label, weight in images):
            raise UsageError("no labelled person in the training data; check annotations and split")
        self.order = SampleOrder(picture_weights(images, sampling), sampling, seed)
        self.empty = empty_images(images)
        self.skeleton, self.input_size, self.augment, self.seed = skeleton, input_size, augment, seed
        self.convention: Convention = convention
        self.cache = ImageCache(cache_mib)

    def __getitem__(self, number: int) -> Sample:
        rng = np.random.default_rng([self.seed, number])
        canvas = self._background(rng)
        ignored = np.zeros((0, 0), bool)
        points, weights, extents, unknown = [], [], [], []
        for place, (top, left, tile) in enumerate(self._tiles(rng)):
            # Only the first tile goes through the epoch; those that are set beside it are drawn.
            label = self.images[self.order.index(number, rng) if place == 0 else self.order.draw(rng)]
            region = slice(top, top + tile[0]), slice(left, left + tile[1])
            canvas[region], view, mask = self._look(label, canvas[region], rng)
            if mask is not None:
                ignored = ignored if ignored.size else np.zeros(self.input_size, bool)
                ignored[region] = mask
            offset = np.array([left, top], np.float32)
            for person in label.people:
                moved, weight, hidden = self._person(person, view, tile)
                box = _moved_box(person.bbox, view, tile) + np.tile(offset, 2)
                unknown += [np.array([k, *box], np.float32) for k in hidden]
                if weight.any():
                    points.append(moved + offset)
                    weights.append(weight)
                    extents.append(view.scale * float((person.bbox[2:] - person.bbox[:2]).max()))
            if mask is None:
                boxes = [_moved_box(box, view, tile) + np.tile(offset, 2) for box in label.ignore_bboxes]
                unknown += [np.array([-1, *box], np.float32) for box in boxes]
        if rng.random() < self.augment.cover:
            cover(canvas, rng)
        canvas = change_look(canvas, self.augment, rng)
        count = self.skeleton.count
        return {
            "image": cv2.cvtColor(canvas, cv2.COLOR_BGR2RGB),
            "points": np.array(points, np.float32).reshape(-1, count, 2),
            "weights": np.array(weights, np.float32).reshape(-1, count),
            "extents": np.array(extents, np.float32),
            "unknown": np.array(unknown, np.float32).reshape(-1, 5),
            "ignored": ignored,
        }

    def _background(self, rng: np.random.Generator) -> NDArray[np.uint8]:
        """Return a canvas of the input size: a picture without people, one colour, or black as published."""
        height, width = self.input_size
        if self.augment.view == "published":
            return np.zeros((height, width, 3), np.uint8)
        if not self.empty or rng.random() < 0.15:
            return np.full((height, width, 3), rng.integers(0, 256, 3), np.uint8)
        image = self.cache.read(self.empty[int(rng.integers(len(self.empty)))].path)
        size = np.array(image.shape[:2]) * rng.uniform(0.4, 1.0)
        centre = rng.uniform(size[::-1] / 2, np.array(image.shape[1::-1]) - size[::-1] / 2)
        region = min(size[1], size[0] * width / height)
        return apply_view(
            image, View(crop_matrix(centre, (region, region), self.input_size)), self.input_size
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

    def _look(
        self, label: ImageLabel, background: NDArray[np.uint8], rng: np.random.Generator
    ) -> tuple[NDArray[np.uint8], View, NDArray[np.bool_] | None]:
        """Return a picture seen by a random view, the view, and where nothing may be said in it."""
        size = cast(Size, background.shape[:2])
        image = self.cache.read(label.path)
        image_size = cast(Size, image.shape[:2])
        if self.augment.view == "published":
            view = random_picture_view(image_size, size, self.augment, rng, convention=self.convention)
        else:
            view = self._random_view(label, image_size, size, rng)
        mask = None
        if label.ignore_mask is not None:
            painted = label.ignore_mask(image_size).astype(np.uint8) * np.uint8(255)
            # Published: warped as 0 and 255, and what is above one half counts.
            mask = cv2.warpAffine(painted, view.matrix, size[::-1], flags=cv2.INTER_LINEAR) > 127
        return apply_view(image, view, size, background), view, mask

    def _person(self, person: PersonLabel, view: View, size: Size) -> tuple[Float, Float, NDArray[np.int64]]:
        """Return a person's (K, 2) keypoints in the view, (K,) weights, and the unlabelled keypoints."""
        moved, labelled, weight = view_points(person.keypoints, view), person.visibility > 0, person.weights
        if view.mirrored:
            moved, labelled, weight = (mirror_order(v, self.skeleton, 0) for v in (moved, labelled, weight))
        inside = (moved >= 0).all(axis=1) & (moved < [size[1], size[0]]).all(axis=1)
        return moved, np.where(inside & labelled, weight, 0).astype(np.float32), np.flatnonzero(~labelled)

    def _random_view(self, label: ImageLabel, image_size: Size, size: Size, rng: np.random.Generator) -> View:
        """Draw a view around a person, now and then of the whole group."""
        mirrored = bool(rng.random() < self.augment.flip)
        rotation = float(np.clip(rng.normal() * 15, -45, 45)) if rng.random() < 0.6 else 0.0
        if not label.people:
            centre = rng.uniform(0.3, 0.7, 2) * np.array(image_size[::-1])
            width = size[1] * max(image_size) / max(size) * rng.uniform(0.6, 1.2)
        else:
            person: PersonLabel = label.people[int(rng.integers(len(label.people)))]
            box = person.bbox.astype(np.float64)
            extent = max(box[2] - box[0], box[3] - box[1], 8.0)
            wanted = float(np.exp(rng.uniform(*np.log(self.augment.extent)))) * size[0]
            scale = wanted / extent
            if len(label.people) > 1 and rng.random() < 0.6:
                scale = min(size[0] / image_size[0], size[1] / image_size[1]) * rng.uniform(0.8, 1.5)
            centre = (box[:2] + box[2:]) / 2 + rng.uniform(-0.25, 0.25, 2) * np.array(size[::-1]) / scale
            width = size[1] / scale
        view = View(
            crop_matrix(centre, (width, width), size, rotation_deg=rotation, convention=self.convention)
        )
        return view.mirror((size[1] - 1) / 2) if mirrored else view


def picture_weights(images: Sequence[tuple[ImageLabel, float]], sampling: Sampling) -> list[float]:
    """Return how often each picture is drawn; an epoch goes through those with people alone, as published."""
    return [weight if label.people or sampling == "weighted" else 0.0 for label, weight in images]


def _moved_box(box: Float, view: View, size: Size) -> Float:
    corners = np.array([[box[0], box[1]], [box[2], box[1]], [box[2], box[3]], [box[0], box[3]]])
    moved = np.clip(view_points(corners, view), 0, [size[1], size[0]])
    return np.concatenate([moved.min(axis=0), moved.max(axis=0)]).astype(np.float32)
