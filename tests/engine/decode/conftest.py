"""Reference vectors, model descriptions, and crowds made of Gaussians."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from engine.model_file import ModelSpec
from engine.skeleton import COCO17

VECTORS = Path(__file__).parents[2] / "data" / "reference" / "vectors"


@pytest.fixture(scope="session")
def vectors() -> Callable[[str], dict[str, np.ndarray]]:
    """Function from the name of a reference vector file to its arrays."""
    cache: dict[str, dict[str, np.ndarray]] = {}

    def read(name: str) -> dict[str, np.ndarray]:
        if name not in cache:
            with np.load(VECTORS / f"{name}.npz") as content:
                cache[name] = dict(content)
        return cache[name]

    return read


@pytest.fixture(scope="session")
def make_spec() -> Callable[..., ModelSpec]:
    """Function (kind, **changes) to the description of a model with 17 keypoints, 256 × 192 or 256 × 256."""

    def make(kind: str = "top-down", **changes: object) -> ModelSpec:
        bottom_up = kind == "bottom-up"
        outputs = [("heatmaps_0", 4), ("heatmaps_1", 2)] if bottom_up else [("heatmaps", 4)]
        values: dict[str, object] = {
            "name": f"test-{kind}",
            "architecture": "none",
            "kind": kind,
            "input_size": (256, 256) if bottom_up else (256, 192),
            "dynamic_size": bottom_up,
            "mean": (0.485, 0.456, 0.406),
            "std": (0.229, 0.224, 0.225),
            "heatmap_outputs": [{"name": name, "stride": stride} for name, stride in outputs],
            "tag_outputs": [{"name": "tags_0", "stride": 4}] if bottom_up else [],
            "skeleton": COCO17,
            "licence": "Apache-2.0",
            "training_data": "none",
        }
        return ModelSpec.model_validate(values | changes)

    return make


def paint(points: np.ndarray, size: tuple[int, int], heatmap_sigma: float = 2.0) -> np.ndarray:
    """(..., H, W) Gaussians of height 1 at (..., 2) heatmap px; NaN paints nothing."""
    rows, columns = np.mgrid[: size[0], : size[1]]
    squared = (columns - points[..., 0, None, None]) ** 2 + (rows - points[..., 1, None, None]) ** 2
    return np.nan_to_num(np.exp(-squared / (2 * heatmap_sigma**2))).astype(np.float32)


@pytest.fixture(scope="session")
def gaussians() -> Callable[..., np.ndarray]:
    return paint


@dataclass(frozen=True)
class Crowd:
    """People in heatmap px at stride 2, the outputs that show them, and the size of the input."""

    points: np.ndarray
    outputs: dict[str, np.ndarray]
    input_size: tuple[int, int]


@pytest.fixture(scope="session")
def make_crowd() -> Callable[..., Crowd]:
    """Function (points (P, K, 2) input px, heights (P, K), input_size) to a `Crowd`, half-pixel convention.

    Maps at strides 4 and 2, tags at stride 4: 5 for the first person, 10 for the second, and so on.
    """

    def make(
        points: np.ndarray, heights: np.ndarray | None = None, input_size: tuple[int, int] = (256, 256)
    ) -> Crowd:
        heights = np.full(points.shape[:2], 0.9) if heights is None else heights
        outputs = {}
        for name, stride in (("heatmaps_0", 4), ("heatmaps_1", 2)):
            size = (input_size[0] // stride, input_size[1] // stride)
            maps = paint((points + 0.5) / stride - 0.5, size) * heights[..., None, None]
            outputs[name] = maps.max(axis=0, initial=0)[None].astype(np.float32)
        quarter = (input_size[0] // 4, input_size[1] // 4)
        tags = np.zeros((points.shape[1], *quarter), np.float32)
        for person, shown in enumerate(paint((points + 0.5) / 4 - 0.5, quarter, 1.0)):
            tags[shown > 0.05] = 5.0 * (person + 1)
        outputs["tags_0"] = tags[None]
        return Crowd((points + 0.5) / 2 - 0.5, outputs, input_size)

    return make
