"""A device that must be left as it was found, and models on it."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine.device.frames import FrameRing
from engine.model import Model, open_model
from tests.engine.cuda.shim_device import ShimDevice
from tests.engine.cuda.shim_library import compiler
from tests.engine.device.shim_network import shim_model

Twins = Callable[..., tuple[Model, Model]]


@pytest.fixture
def device() -> Iterator[ShimDevice]:
    """A device on which nothing may be left open."""
    if compiler() is None:
        pytest.skip("there is no g++ to compile the kernels with")
    device = ShimDevice()
    yield device
    device.close()
    assert device.left_open() == []


@pytest.fixture
def ring(device: ShimDevice) -> Iterator[FrameRing]:
    """A ring of frames on the device."""
    ring = FrameRing(device)
    yield ring
    ring.close()


@pytest.fixture
def on_device(device: ShimDevice) -> Callable[..., Model]:
    """Function (path, dtype, **options of `ShimNetwork`) that gives a model on the device."""

    def make(path: Path, dtype: Any = np.float32, **options: Any) -> Model:
        return shim_model(device, path, dtype, **options)

    return make


@pytest.fixture
def on_host() -> Iterator[Callable[[Path], Model]]:
    """Function (path) that gives the same model on the host."""
    made: list[Model] = []

    def make(path: Path) -> Model:
        made.append(open_model(path, runtime="onnxruntime", precision="fp32", threads=1))
        return made[-1]

    yield make
    for model in made:
        model.close()


@pytest.fixture
def walking_image(walking_pair: Any, marker_image: Any) -> Callable[..., np.ndarray]:
    """Function (index, size) that paints the walking pair."""

    def paint(index: int = 0, size: tuple[int, int] = (360, 640)) -> np.ndarray:
        return np.asarray(marker_image(size, walking_pair(index)))

    return paint


@pytest.fixture
def boxes_of(walking_pair: Any) -> Callable[..., np.ndarray]:
    """Function (index, count) from a frame to `count` boxes, the pair's over and over, moved a little."""

    def make(index: int = 0, count: int = 2) -> np.ndarray:
        pair = walking_pair(index)
        places = [pair[number % 2] + number // 2 for number in range(count)]
        return np.array([[*place.min(axis=0) - 10, *place.max(axis=0) + 10] for place in places])

    return make
