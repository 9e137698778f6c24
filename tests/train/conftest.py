"""Coloured stick people, enough to learn from in seconds; and the reference data."""

import importlib.util
import json
from pathlib import Path
from types import ModuleType

import cv2
import numpy as np
import pytest
import torch

from engine.skeleton import COCO17

REFERENCE = Path(__file__).parents[1] / "data" / "reference"

POSE = np.array(
    [
        (0, -40), (4, -44), (-4, -44), (8, -42), (-8, -42), (14, -26), (-14, -26), (20, -8), (-20, -8),
        (22, 10), (-22, 10), (9, 10), (-9, 10), (10, 32), (-10, 32), (11, 54), (-11, 54),
    ],
    np.float32,
)  # fmt: skip


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> None:
    """The networks here are tiny: threads wait for one another longer than they compute."""
    torch.set_num_threads(1)


def draw_person(image: np.ndarray, keypoints: np.ndarray) -> None:
    for first, second in COCO17.limbs:
        a, b = (tuple(int(v) for v in np.round(keypoints[i])) for i in (first, second))
        cv2.line(image, a, b, (200, 60 + 8 * first, 255 - 9 * second), 3, cv2.LINE_AA)


@pytest.fixture(scope="session")
def stick_people(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with people.json (COCO format) and images/ of one or two stick people each."""
    folder = tmp_path_factory.mktemp("stick")
    (folder / "images").mkdir()
    rng = np.random.default_rng(0)
    images, annotations = [], []
    for number in range(12):
        image = rng.integers(0, 60, (160, 200, 3), dtype=np.uint8)
        for place in range(1 + number % 2):
            keypoints = POSE * rng.uniform(0.8, 1.1) + [60 + 80 * place, 75] + rng.normal(0, 1, (17, 2))
            draw_person(image, keypoints)
            low, high = keypoints.min(axis=0) - 4, keypoints.max(axis=0) + 4
            width, height = high - low
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": number + 1,
                    "category_id": 1,
                    "iscrowd": 0,
                    "bbox": [float(low[0]), float(low[1]), float(width), float(height)],
                    "area": float(0.53 * width * height),
                    "num_keypoints": 17,
                    "keypoints": np.column_stack([keypoints, np.full(17, 2)]).ravel().tolist(),
                }
            )
        cv2.imwrite(str(folder / "images" / f"{number}.png"), image)
        images.append({"id": number + 1, "file_name": f"{number}.png", "width": 200, "height": 160})
    annotations.append(
        {"id": 99, "image_id": 1, "category_id": 1, "iscrowd": 1, "bbox": [150, 10, 30, 40], "area": 1200,
         "num_keypoints": 0, "keypoints": [0] * 51}
    )  # fmt: skip
    content = {"images": images, "annotations": annotations, "categories": [{"id": 1, "name": "person"}]}
    (folder / "people.json").write_text(json.dumps(content))
    return folder


@pytest.fixture(scope="session")
def fill() -> ModuleType:
    """Deterministic weights and inputs, each a pure function of its name."""
    spec = importlib.util.spec_from_file_location("reference_fill", REFERENCE / "fill.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def reference() -> Path:
    return REFERENCE


@pytest.fixture(scope="session")
def official_entries():
    """Ordered (key, shape) pairs of an official network's state_dict."""

    def read(name: str) -> list[tuple[str, tuple[int, ...]]]:
        content = json.loads((REFERENCE / "state_dict" / f"{name}.json").read_text())
        return [(entry[0], tuple(entry[1])) for entry in content["entries"]]

    return read


@pytest.fixture(scope="session")
def entries_of():
    """Ordered (key, shape) pairs of a module's state_dict."""

    def read(module: torch.nn.Module) -> list[tuple[str, tuple[int, ...]]]:
        return [(key, tuple(value.shape)) for key, value in module.state_dict().items()]

    return read
