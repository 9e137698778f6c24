"""People made of numbers, for stages whose cost depends on how many there are and not on the picture."""

from collections.abc import Iterator

import numpy as np

from engine.skeleton import Skeleton
from engine.structures import Float, Person

TAG_STEP = 3.0
"""Distance between the tags of two people; grouping takes those within 1 for one person."""
HEATMAP_SIGMA = 2.0


def walking_people(skeleton: Skeleton, count: int, frames: int, fps: float = 30.0) -> Iterator[list[Person]]:
    """Yield the people of one frame after another: `count` figures 200 px high that walk to and fro.

    Keypoints are random within each figure but keep their place in it, plus a pixel of noise.
    """
    rng = np.random.default_rng(7)
    shape = rng.uniform(0.0, 1.0, (count, skeleton.count, 2)) * (80.0, 200.0)
    home = np.stack([np.arange(count) * 110.0 + 60.0, np.full(count, 150.0)], axis=1)
    scores = np.full(skeleton.count, 0.8, np.float32)
    for frame in range(frames):
        sway = 60.0 * np.sin(2.0 * frame / fps + np.arange(count))
        corner = home + np.stack([sway, np.zeros(count)], axis=1)
        keypoints = shape + corner[:, None] + rng.normal(0.0, 1.0, shape.shape)
        yield [Person(points.astype(np.float32), scores, _box(points), 0.8) for points in keypoints]


def crowd_maps(keypoints: int, count: int, size: int = 256) -> tuple[Float, Float]:
    """Return heatmaps and tags, (1, K, size, size) float32 each, of `count` people standing in a grid."""
    rng = np.random.default_rng(7)
    heatmaps = np.zeros((keypoints, size, size), np.float32)
    tags = rng.normal(0.0, 0.1, heatmaps.shape).astype(np.float32)
    rows, columns = np.mgrid[:size, :size].astype(np.float32)
    per_row = int(np.ceil(np.sqrt(count)))
    cell = size / per_row
    for person in range(count):
        origin = np.array([person % per_row, person // per_row]) * cell
        for keypoint in range(keypoints):
            x, y = origin + rng.uniform(0.15, 0.85, 2) * cell
            distance = (columns - x) ** 2 + (rows - y) ** 2
            heatmaps[keypoint] = np.maximum(
                heatmaps[keypoint], 0.9 * np.exp(-distance / (2 * HEATMAP_SIGMA**2))
            )
            tags[keypoint][distance < (3 * HEATMAP_SIGMA) ** 2] = TAG_STEP * person
    return heatmaps[None], tags[None]


def _box(points: Float) -> Float:
    return np.concatenate([points.min(axis=0), points.max(axis=0)]).astype(np.float32)
