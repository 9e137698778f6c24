"""People made of numbers, for stages whose cost depends on how many there are and not on the picture."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from engine.geometry import Size
from engine.model_file import ModelSpec
from engine.skeleton import Skeleton
from engine.structures import Float, Person

TAG_STEP = 3.0
"""Distance between the tags of two people; grouping takes those within 1 for one person."""


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


def crowd_outputs(spec: ModelSpec, count: int, size: int | Size) -> dict[str, Float]:
    """Return what a bottom-up network would put out for `count` people standing in a grid.

    Args:
        spec: names and strides of the outputs.
        count: people.
        size: side, or (height, width), of the finest heatmaps in px; coarser ones are as much smaller as
            their stride says.

    Returns:
        Output name to (1, K, h, w) float32: Gaussians of heights 0.5 to 0.95 on a floor of noise below 0.01,
        as networks have it; tags 3 apart from person to person, with noise of 0.1.
    """
    finest = min(output.stride for output in spec.heatmap_outputs)
    full = np.array((size, size) if isinstance(size, int) else size) * finest
    rng = np.random.default_rng(7)
    per_row = int(np.ceil(np.sqrt(count)))
    cells = np.stack([np.arange(count) % per_row, np.arange(count) // per_row], axis=1)
    places = (cells[:, None] + rng.uniform(0.15, 0.85, (count, spec.skeleton.count, 2))) / per_row
    heights = rng.uniform(0.5, 0.95, (count, spec.skeleton.count, 1, 1))
    outputs = {}
    for output in spec.heatmap_outputs:
        sides = full // output.stride
        distances = _squared_distance(places * sides[::-1], sides)
        gaussians = np.exp(-distances / (2 * spec.heatmap_sigma**2))
        noise = rng.uniform(0.0, 0.01, gaussians.shape[1:])
        outputs[output.name] = np.maximum((heights * gaussians).max(axis=0), noise).astype(np.float32)[None]
    for tags in spec.tag_outputs:
        sides = full // tags.stride
        nearest = _squared_distance(places * sides[::-1], sides).argmin(axis=0)
        values = TAG_STEP * nearest + rng.normal(0.0, 0.1, nearest.shape)
        outputs[tags.name] = values.astype(np.float32)[None]
    return outputs


def crop_heatmaps(spec: ModelSpec, count: int, size: Size) -> Float:
    """Return what a top-down network would put out for `count` crops.

    Args:
        spec: gives keypoints and the width of the Gaussians.
        count: crops.
        size: (height, width) of the heatmaps in px.

    Returns:
        (count, K, h, w) float32: one Gaussian in each map, as in `crowd_outputs`.
    """
    rng = np.random.default_rng(7)
    places = rng.uniform(0.1, 0.9, (count, spec.skeleton.count, 2)) * size[::-1]
    heights = rng.uniform(0.5, 0.95, (count, spec.skeleton.count, 1, 1))
    gaussians = np.exp(-_squared_distance(places, np.array(size)) / (2 * spec.heatmap_sigma**2))
    noise = rng.uniform(0.0, 0.01, size)
    return np.maximum(heights * gaussians, noise).astype(np.float32)


def _squared_distance(points: NDArray[np.float64], sides: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return (N, K, h, w) squared distances in px of every pixel from (N, K, 2) points, `sides` (h, w)."""
    across = (np.arange(sides[1]) - points[..., :1]) ** 2
    down = (np.arange(sides[0]) - points[..., 1:]) ** 2
    return across[..., None, :] + down[..., :, None]


def _box(points: NDArray[np.float64]) -> Float:
    return np.concatenate([points.min(axis=0), points.max(axis=0)]).astype(np.float32)
