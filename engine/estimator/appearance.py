"""What people wear: a short colour descriptor by which the tracker tells people apart whose poses do not.

Between decoding and tracking. Colours are sampled on a grid between shoulders and hips and along the thighs,
never on the whole box, which holds background and other people.
"""

from collections.abc import Sequence
from dataclasses import replace

import cv2
import numpy as np
from numpy.typing import NDArray

from engine.skeleton import Skeleton
from engine.structures import APPEARANCE_SHAPE, Float, Image, Person

MIN_SCORE = 0.2
"""A region with a corner scored below this is not described: the colours there may be anybody's."""
BINS = APPEARANCE_SHAPE[1] // 3
"""Per colour channel; a colour between two bins counts in both: a little less light changes little."""
CHROMA_STEP = 10.0
"""Width of a bin of a* and b*; clothes hardly leave ±40."""
CORNERS = ("left_shoulder", "right_shoulder", "right_hip", "left_hip")
THIGHS = (("left_hip", "left_knee"), ("right_hip", "right_knee"))
ALONG, ACROSS = np.meshgrid(np.linspace(0.1, 0.9, 10), np.linspace(0.2, 0.8, 6), indexing="ij")
THIGH_AT = np.linspace(0.15, 0.85, 20)


def describe_people(image: Image, people: Sequence[Person], skeleton: Skeleton) -> list[Person]:
    """Return the people with their `appearance`, None where neither torso nor thighs show.

    A descriptor is (2, 24) float32: torso and thighs, each the square roots of the relative frequencies of
    8 bins of L*, a* and b*, of norm 1, or all 0 where the region does not show. The dot product of two such
    regions is their Bhattacharyya coefficient (Comaniciu, Ramesh and Meer 2003, sec. 3).

    Args:
        image: (H, W, 3) uint8 BGR, the frame.
        people: of the frame.
        skeleton: of the people; one without shoulders, hips and knees describes nobody.
    """
    index = {name: position for position, name in enumerate(skeleton.keypoints)}
    if not people or not {*CORNERS, *sum(THIGHS, ())} <= index.keys():
        return list(people)
    keypoints = np.array([person.keypoints for person in people], np.float64)
    scores = np.array([person.scores for person in people], np.float64)
    sure: NDArray[np.bool_] = (scores >= MIN_SCORE) & np.asarray(np.isfinite(keypoints).all(axis=-1))
    keypoints = np.where(sure[..., None], keypoints, 0.0)
    corners = [index[name] for name in CORNERS]
    descriptors = np.zeros((len(people), *APPEARANCE_SHAPE), np.float32)
    descriptors[:, 0] = _histograms(
        image, _torso_grid(keypoints[:, corners]), np.all(sure[:, corners], axis=1)
    )
    thighs = []
    for hip, knee in THIGHS:
        ends = [index[hip], index[knee]]
        first, last = keypoints[:, ends[0], None], keypoints[:, ends[1], None]
        places = first + (last - first) * THIGH_AT[:, None]
        thighs.append(np.where(np.all(sure[:, ends], axis=1)[:, None, None], places, -1.0))
    shown = np.any(sure[:, [index[hip] for hip, _ in THIGHS]], axis=1)
    descriptors[:, 1] = _histograms(image, np.concatenate(thighs, axis=1), shown)
    return [
        replace(person, appearance=descriptor if descriptor.any() else None)
        for person, descriptor in zip(people, descriptors, strict=True)
    ]


def _torso_grid(corners: np.ndarray) -> np.ndarray:
    """Spread a grid over (N, 4, 2) shoulders and hips: (N, S, 2) frame px."""
    down, right = ALONG.ravel()[:, None], ACROSS.ravel()[:, None]
    left_shoulder, right_shoulder, right_hip, left_hip = (corners[:, None, corner] for corner in range(4))
    top = left_shoulder * (1 - right) + right_shoulder * right
    bottom = left_hip * (1 - right) + right_hip * right
    return np.asarray(top * (1 - down) + bottom * down)


def _histograms(image: Image, places: np.ndarray, shown: np.ndarray) -> Float:
    """Count the colours at (N, S, 2) frame px: (N, 24), of norm 1, or 0 where not `shown` or outside."""
    count, samples = places.shape[:2]
    height, width = image.shape[:2]
    column, row = np.rint(places).astype(np.intp).reshape(-1, 2).T
    inside = (column >= 0) & (column < width) & (row >= 0) & (row < height) & np.repeat(shown, samples)
    colours = image[np.where(inside, row, 0), np.where(inside, column, 0)]
    lab = cv2.cvtColor(colours[:, None], cv2.COLOR_BGR2LAB)[:, 0].astype(np.float64)
    lightness = lab[:, :1] * ((BINS - 1) / 255.0)
    chroma = (lab[:, 1:] - 128.0) / CHROMA_STEP + (BINS - 1) / 2
    level = np.clip(np.concatenate([lightness, chroma], axis=1), 0.0, BINS - 1)
    low = np.minimum(level.astype(np.intp), BINS - 2)
    share = level - low
    cell = np.repeat(np.arange(count), samples)[:, None] * (3 * BINS) + np.arange(3) * BINS + low
    weight = np.broadcast_to(inside[:, None], cell.shape)
    size = count * 3 * BINS
    total = np.bincount(cell.ravel(), (weight * (1 - share)).ravel(), minlength=size)
    total += np.bincount(cell.ravel() + 1, (weight * share).ravel(), minlength=size)
    total = np.sqrt(total.reshape(count, -1))
    enough = inside.reshape(count, samples).sum(axis=1) >= samples / 4
    norm = np.linalg.norm(total, axis=1, keepdims=True)
    return np.where(enough[:, None], total / np.maximum(norm, 1e-9), 0.0).astype(np.float32)
