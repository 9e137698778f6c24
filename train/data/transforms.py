"""Augmentations: random crops of a person, random views of a crowd, and changes of colour and detail.

Every function takes a `numpy.random.Generator`, so that a seed repeats a run.
Geometry is `engine.geometry`'s.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from engine.geometry import Size, bbox_to_centre_size, crop_matrix, transform_points
from engine.skeleton import Skeleton
from train.settings import AugmentSettings

Float = NDArray[np.float32]
Image = NDArray[np.uint8]


@dataclass(frozen=True, slots=True, eq=False)
class View:
    """A random view: (2, 3) matrix from image px to input px, and whether it is mirrored afterwards."""

    matrix: NDArray[np.float64]
    mirrored: bool


UPPER_BODY = 11
"""In COCO order the first eleven keypoints are above the hips."""


def half_body_bbox(keypoints: Float, labelled: NDArray[np.bool_], rng: np.random.Generator) -> Float | None:
    """Return the xyxy box of one body half, or None with too few keypoints (Wang et al. 2018).

    The upper half is taken with probability 0.69, the other one where it has fewer than three keypoints;
    the box grows to 1.2 times on both sides (the papers' 1.5 over the usual 1.25).
    """
    upper = np.zeros(len(keypoints), bool)
    upper[:UPPER_BODY] = True
    halves = [labelled & upper, labelled & ~upper]
    if rng.random() >= 0.69:
        halves.reverse()
    chosen = halves[0] if halves[0].sum() > 2 else halves[1]
    if chosen.sum() < 3:
        return None
    low, high = keypoints[chosen].min(axis=0), keypoints[chosen].max(axis=0)
    centre, half = (low + high) / 2, np.maximum((high - low) * 0.6, 4)
    return np.concatenate([centre - half, centre + half]).astype(np.float32)


def random_person_view(
    bbox: Float,
    keypoints: Float,
    labelled: NDArray[np.bool_],
    input_size: Size,
    settings: AugmentSettings,
    rng: np.random.Generator,
) -> View:
    """Draw a crop of one person: half body, scale, shift, rotation, mirror (Sun et al. 2019, §4.1)."""
    if labelled.sum() > 7 and rng.random() < settings.half_body:
        half = half_body_bbox(keypoints, labelled, rng)
        bbox = bbox if half is None else half
    centre, size = bbox_to_centre_size(bbox, input_size)
    size = size * rng.uniform(*settings.scale)
    centre = centre + rng.uniform(-1, 1, 2) * settings.shift * size / 1.25
    rotation = 0.0
    if rng.random() < settings.rotation_probability:
        rotation = float(rng.normal() * settings.rotation_deg / 2)
        rotation = float(np.clip(rotation, -settings.rotation_deg, settings.rotation_deg))
    if rng.random() < settings.any_rotation:
        rotation = float(rng.uniform(-180, 180))
    matrix = crop_matrix(centre, size, input_size, rotation_deg=rotation)
    return View(matrix, bool(rng.random() < 0.5))


def apply_view(image: Image, view: View, input_size: Size, background: Image | None = None) -> Image:
    """Return the (h, w, 3) crop that a view describes; outside the image `background`, or black."""
    size = (input_size[1], input_size[0])
    if background is None:
        crop = cv2.warpAffine(image, view.matrix, size, flags=cv2.INTER_LINEAR)
    else:
        crop = np.array(background)
        cv2.warpAffine(
            image, view.matrix, size, dst=crop, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_TRANSPARENT
        )
    return np.ascontiguousarray(crop[:, ::-1] if view.mirrored else crop)


def view_points(points: Float, view: View, input_size: Size) -> Float:
    """Map (..., 2) image px to input px of a view; mirrored keypoints keep their index (`mirror_order`)."""
    moved = transform_points(view.matrix, points)
    if view.mirrored:
        moved[..., 0] = input_size[1] - 1 - moved[..., 0]
    return moved.astype(np.float32)


def mirror_order(values: NDArray, skeleton: Skeleton, axis: int) -> NDArray:
    """Exchange left and right along the keypoint axis."""
    return np.take(values, skeleton.flip_index, axis=axis)


def jitter_colour(image: Image, strength: float, rng: np.random.Generator) -> Image:
    """Change gain, contrast, saturation and colour balance at random; sometimes drop colour altogether."""
    values = image.astype(np.float32)
    gain = 1 + strength * rng.uniform(-1, 1, 3) * 0.35 + strength * rng.uniform(-1, 1)
    values *= gain.astype(np.float32)
    middle = values.mean()
    values = middle + (values - middle) * np.float32(1 + strength * rng.uniform(-1, 1))
    grey = values.mean(axis=2, keepdims=True)
    saturation = 0.0 if rng.random() < 0.06 else 1 + 1.5 * strength * rng.uniform(-1, 1)
    values = grey + (values - grey) * np.float32(saturation)
    return np.clip(values, 0, 255).astype(np.uint8)


def lose_detail(image: Image, rng: np.random.Generator) -> Image:
    """Do what cheap cameras do: shrink and enlarge, blur, compress, or add noise."""
    height, width = image.shape[:2]
    kind = rng.integers(4)
    if kind == 0:
        factor = rng.uniform(0.25, 0.7)
        small = cv2.resize(
            image, (max(8, int(width * factor)), max(8, int(height * factor))), interpolation=cv2.INTER_AREA
        )
        return np.asarray(cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR), np.uint8)
    if kind == 1:
        return np.asarray(cv2.GaussianBlur(image, (0, 0), rng.uniform(0.5, 1.8)), np.uint8)
    if kind == 2:
        _, packed = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(15, 60))])
        return np.asarray(cv2.imdecode(packed, cv2.IMREAD_COLOR), np.uint8)
    noise = rng.normal(0, rng.uniform(3, 14), image.shape).astype(np.float32)
    return np.clip(image + noise, 0, 255).astype(np.uint8)


def cover(image: Image, rng: np.random.Generator) -> None:
    """Cover a part in place by a flat, noisy or copied patch; labels stay, as occluded labels do."""
    height, width = image.shape[:2]
    for _ in range(rng.integers(1, 3)):
        h, w = (np.array([height, width]) * rng.uniform(0.08, 0.4, 2)).astype(int)
        y, x = rng.integers(0, height - h + 1), rng.integers(0, width - w + 1)
        kind = rng.integers(3)
        if kind == 0:
            image[y : y + h, x : x + w] = rng.integers(0, 256, 3)
        elif kind == 1:
            coarse = rng.integers(0, 256, (4, 4, 3), dtype=np.uint8)
            image[y : y + h, x : x + w] = cv2.resize(coarse, (int(w), int(h)))
        else:
            ys, xs = rng.integers(0, height - h + 1), rng.integers(0, width - w + 1)
            image[y : y + h, x : x + w] = image[ys : ys + h, xs : xs + w].copy()


def cut_by_frame(image: Image, points: Float, rng: np.random.Generator) -> NDArray[np.bool_]:
    """Black out one side in place, as if the frame ended there; return which (K, 2) points were cut off."""
    height, width = image.shape[:2]
    side, share = rng.integers(4), rng.uniform(0.08, 0.4)
    if side == 0:
        limit = int(width * share)
        image[:, :limit] = 0
        return points[:, 0] < limit
    if side == 1:
        limit = int(width * (1 - share))
        image[:, limit:] = 0
        return points[:, 0] >= limit
    limit = int(height * (1 - share)) if side == 2 else int(height * share * 0.6)
    if side == 2:
        image[limit:] = 0
        return points[:, 1] >= limit
    image[:limit] = 0
    return points[:, 1] < limit


def change_look(image: Image, settings: AugmentSettings, rng: np.random.Generator) -> Image:
    """Apply colour and detail changes with the probabilities of the settings."""
    if rng.random() < settings.colour_probability:
        image = jitter_colour(image, settings.colour, rng)
    if rng.random() < settings.lose_detail:
        image = lose_detail(image, rng)
    return image
