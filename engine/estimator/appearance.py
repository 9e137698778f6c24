"""What people wear: a short colour descriptor by which the tracker tells people apart whose poses do not.

Between decoding and tracking. Colours are sampled on a grid between shoulders and hips and along the thighs,
never on the whole box, which holds background and other people.
"""

from collections.abc import Sequence
from dataclasses import replace
from functools import cache

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
SAMPLES = (ALONG.size, len(THIGHS) * THIGH_AT.size)
"""Of the torso and of both thighs."""
CHROMA = (np.arange(256) - 128.0) / CHROMA_STEP + (BINS - 1) / 2
LEVEL = np.clip([np.arange(256) * ((BINS - 1) / 255.0), CHROMA, CHROMA], 0.0, BINS - 1)
"""(3, 256) where each value of L*, a* and b* lies among the bins."""


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
    corners, hips, knees = _indices(skeleton.keypoints)
    if not people or not corners:
        return list(people)
    keypoints = np.array([person.keypoints for person in people], np.float64)
    scores = np.array([person.scores for person in people], np.float64)
    sure: NDArray[np.bool_] = (scores >= MIN_SCORE) & np.isfinite(keypoints).all(axis=-1)
    keypoints = np.where(sure[..., None], keypoints, 0.0)
    first, last = keypoints[:, hips, None], keypoints[:, knees, None]
    thighs = first + (last - first) * THIGH_AT[:, None]
    places = np.concatenate([_torso_grid(keypoints[:, corners]), thighs.reshape(len(people), -1, 2)], axis=1)
    parts = [sure[:, corners].all(axis=1, keepdims=True), sure[:, hips] & sure[:, knees]]
    shown = np.repeat(np.concatenate(parts, axis=1), [ALONG.size, THIGH_AT.size, THIGH_AT.size], axis=1)
    descriptors = _histograms(image, places, shown)
    return [
        replace(person, appearance=descriptor if descriptor.any() else None)
        for person, descriptor in zip(people, descriptors, strict=True)
    ]


@cache
def _indices(keypoints: tuple[str, ...]) -> tuple[list[int], list[int], list[int]]:
    """Return the indices of `CORNERS`, of the hips and of the knees; none at all where one is lacking."""
    index = {name: position for position, name in enumerate(keypoints)}
    if not {*CORNERS, *sum(THIGHS, ())} <= index.keys():
        return [], [], []
    hips, knees = zip(*THIGHS, strict=True)
    return [index[name] for name in CORNERS], [index[name] for name in hips], [index[name] for name in knees]


def _torso_grid(corners: np.ndarray) -> np.ndarray:
    """Spread a grid over (N, 4, 2) shoulders and hips: (N, S, 2) frame px."""
    down, right = ALONG.ravel()[:, None], ACROSS.ravel()[:, None]
    left_shoulder, right_shoulder, right_hip, left_hip = (corners[:, None, corner] for corner in range(4))
    top = left_shoulder * (1 - right) + right_shoulder * right
    bottom = left_hip * (1 - right) + right_hip * right
    return np.asarray(top * (1 - down) + bottom * down)


def _histograms(image: Image, places: np.ndarray, shown: np.ndarray) -> Float:
    """Count the colours of both regions.

    Args:
        image: (H, W, 3) uint8 BGR, the frame.
        places: (N, S, 2) frame px, `SAMPLES` of the torso and of the thighs.
        shown: (N, S) which of them count.

    Returns:
        (N, 2, 24), each region of norm 1, or 0 where less than a quarter of it is shown inside the frame.
    """
    height, width = image.shape[:2]
    places = np.rint(places).astype(np.intp)
    column, row = places[..., 0], places[..., 1]
    inside = shown & (column >= 0) & (column < width) & (row >= 0) & (row < height)
    total = np.zeros((len(places), *APPEARANCE_SHAPE))
    if inside.any():
        colours = image[row[inside], column[inside]]
        level = LEVEL[[0, 1, 2], cv2.cvtColor(colours[:, None], cv2.COLOR_BGR2LAB)[:, 0]]
        low = np.minimum(level.astype(np.intp), BINS - 2)
        share = level - low
        region = 2 * np.arange(len(places))[:, None] + np.repeat([0, 1], SAMPLES)
        cell = (region[inside][:, None] * (3 * BINS) + BINS * np.arange(3) + low).ravel()
        counts = np.bincount(cell, (1 - share).ravel(), minlength=total.size)
        counts += np.bincount(cell + 1, share.ravel(), minlength=total.size)
        total = np.sqrt(counts.reshape(total.shape))
    seen = np.add.reduceat(inside, [0, SAMPLES[0]], axis=1, dtype=np.intp)
    enough = seen >= np.array(SAMPLES) / 4
    norm = np.linalg.norm(total, axis=-1, keepdims=True)
    return np.where(enough[..., None], total / np.maximum(norm, 1e-9), 0.0).astype(np.float32)
