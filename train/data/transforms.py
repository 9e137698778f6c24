"""Augmentations: random crops of a person, random views of a crowd, and changes of colour and detail.

Every function takes a `numpy.random.Generator`, so that a seed repeats a run.
Geometry is `engine.geometry`'s.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from engine.geometry import Convention, Size, bbox_to_centre_size, crop_matrix, transform_points
from engine.skeleton import Skeleton
from train.settings import AugmentSettings

Float = NDArray[np.float32]
Image = NDArray[np.uint8]

HALF_BODY_KEYPOINTS = 8
"""Half a body is shown of people with more labels than this (NUM_JOINTS_HALF_BODY, Sun et al. 2019), or than
half of a smaller skeleton's."""
UPPER_HALF_SHARE = 0.69
"""How often it is the upper half: published as a draw from a normal distribution below 0.5."""
PUBLISHED_VIEW_PX = 200
"""Width of the view that the papers count translations in."""


@dataclass(frozen=True, slots=True, eq=False)
class View:
    """A random view.

    matrix: (2, 3) from image px to input px, mirroring included. mirrored: whether it mirrors, so that left
    and right keypoints have to change places (`mirror_order`).
    """

    matrix: NDArray[np.float64]
    mirrored: bool = False

    @property
    def scale(self) -> float:
        """Input px per image px."""
        return float(np.hypot(*self.matrix[:, 0]))

    def mirror(self, middle: float) -> "View":
        """Return the view mirrored about the column `middle`, input px."""
        matrix = self.matrix.copy()
        matrix[0] *= -1
        matrix[0, 2] += 2 * middle
        return View(matrix, not self.mirrored)


def half_body_bbox(
    keypoints: Float, labelled: NDArray[np.bool_], upper_body: Sequence[int], rng: np.random.Generator
) -> Float | None:
    """Return the xyxy box of one body half, or None with too few keypoints (Wang et al. 2018).

    Sun et al. 2019, lib/dataset/JointsDataset.py: the upper half with probability 0.69, the other one where
    it has fewer than three keypoints; around the mean of its keypoints, 1.2 times their extent, which with
    the usual padding makes the published 1.5.
    """
    upper = np.zeros(len(keypoints), bool)
    upper[list(upper_body)] = True
    upper, lower = labelled & upper, labelled & ~upper
    chosen = upper
    if (rng.random() >= UPPER_HALF_SHARE or upper.sum() < 3) and lower.sum() > 2:
        chosen = lower
    if chosen.sum() < 2:
        return None
    points = keypoints[chosen]
    centre, half = points.mean(axis=0), np.maximum(np.ptp(points, axis=0) * 0.6, 4)
    return np.concatenate([centre - half, centre + half]).astype(np.float32)


def random_person_view(
    bbox: Float,
    keypoints: Float,
    labelled: NDArray[np.bool_],
    input_size: Size,
    settings: AugmentSettings,
    rng: np.random.Generator,
    *,
    upper_body: Sequence[int] = (),
    convention: Convention = "half-pixel",
) -> View:
    """Draw a crop of one person: half body, scale, shift, rotation, mirror (Sun et al. 2019, §4.1).

    As in the paper's code the scale is normal around the middle of its range with half the range as
    deviation, clipped to it, and the rotation normal and clipped at two deviations. Mirroring the picture
    before the crop, as there, is mirroring the crop about the place of its centre: in the ``hrnet``
    convention w/2, which is half a px right of the middle column.
    """
    enough = min(HALF_BODY_KEYPOINTS, len(keypoints) // 2)
    if upper_body and labelled.sum() > enough and rng.random() < settings.half_body:
        half = half_body_bbox(keypoints, labelled, upper_body, rng)
        bbox = bbox if half is None else half
    centre, size = bbox_to_centre_size(bbox, input_size)
    low, high = settings.scale
    size = size * np.clip(rng.normal((low + high) / 2, (high - low) / 2), low, high)
    centre = centre + rng.uniform(-1, 1, 2) * settings.shift * size / 1.25
    rotation = 0.0
    if rng.random() < settings.rotation_probability:
        rotation = float(rng.normal() * settings.rotation_deg / 2)
        rotation = float(np.clip(rotation, -settings.rotation_deg, settings.rotation_deg))
    if rng.random() < settings.any_rotation:
        rotation = float(rng.uniform(-180, 180))
    view = View(crop_matrix(centre, size, input_size, rotation_deg=rotation, convention=convention))
    if rng.random() >= settings.flip:
        return view
    return view.mirror((input_size[1] - (convention != "hrnet")) / 2)


def random_picture_view(
    image_size: Size,
    input_size: Size,
    settings: AugmentSettings,
    rng: np.random.Generator,
    *,
    convention: Convention = "half-pixel",
) -> View:
    """Draw the random affine of HigherHRNet (Cheng et al. 2020, lib/dataset/transforms).

    The view's short side is `settings.scale` times the short side of the picture, uniformly; rotation and
    translation are uniform too, the translation in px of a view of 200 px (MAX_TRANSLATE). The mirror maps x
    to w - 1 - x of the input. The published code mirrors the keypoints again in each heatmap's own px, which
    moves the targets of mirrored samples by up to 3 input px off the picture; here both stay together.
    """
    centre = (np.array(image_size[::-1]) - (convention != "hrnet")) * 0.5
    share = rng.uniform(*settings.scale)
    region = min(image_size) * share * input_size[1] / min(input_size)
    unit = min(image_size) * share / PUBLISHED_VIEW_PX
    centre = centre + rng.uniform(-1, 1, 2) * settings.translate_px * unit
    rotation = 0.0
    if rng.random() < settings.rotation_probability:
        rotation = float(rng.uniform(-1, 1) * settings.rotation_deg)
    matrix = crop_matrix(centre, (region, region), input_size, rotation_deg=rotation, convention=convention)
    view = View(matrix)
    return view.mirror((input_size[1] - 1) / 2) if rng.random() < settings.flip else view


def apply_view(image: Image, view: View, input_size: Size, background: Image | None = None) -> Image:
    """Return the (h, w, 3) crop that a view describes; outside the image `background`, or black."""
    size = (input_size[1], input_size[0])
    if background is None:
        return np.asarray(cv2.warpAffine(image, view.matrix, size, flags=cv2.INTER_LINEAR), np.uint8)
    crop = np.array(background)
    cv2.warpAffine(
        image, view.matrix, size, dst=crop, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_TRANSPARENT
    )
    return crop


def view_points(points: Float, view: View) -> Float:
    """Map (..., 2) image px to input px of a view; mirrored keypoints keep their index (`mirror_order`)."""
    return transform_points(view.matrix, points).astype(np.float32)


def mirror_order(values: NDArray, skeleton: Skeleton, axis: int) -> NDArray:
    """Exchange left and right along the keypoint axis."""
    return np.take(values, skeleton.flip_index, axis=axis)


def jitter_colour(image: Image, strength: float, rng: np.random.Generator) -> Image:
    """Change gain, contrast, saturation and colour balance at random; sometimes drop colour altogether.

    Gain, contrast about the mean and saturation about each px's grey are linear in the colour, so that one
    3×4 matrix does them all.
    """
    gain = 1 + strength * rng.uniform(-1, 1, 3) * 0.35 + strength * rng.uniform(-1, 1)
    contrast = 1 + strength * rng.uniform(-1, 1)
    saturation = 0.0 if rng.random() < 0.06 else 1 + 1.5 * strength * rng.uniform(-1, 1)
    middle = float(np.dot(cv2.mean(image)[:3], gain)) / 3
    mix = saturation * np.eye(3) + (1 - saturation) / 3
    matrix = np.column_stack([contrast * mix * gain, np.full(3, middle * (1 - contrast))])
    return np.asarray(cv2.transform(image, matrix), np.uint8)


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
    noise = rng.standard_normal(image.shape, np.float32) * np.float32(rng.uniform(3, 14))
    return np.asarray(cv2.add(image, noise, dtype=cv2.CV_8U), np.uint8)


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
