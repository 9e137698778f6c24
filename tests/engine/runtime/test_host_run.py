from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from engine.cuda.device import DeviceTensor
from engine.errors import DeviceError, ModelFileError
from engine.runtime import host_run
from engine.runtime.host_run import HostRunner, padded_batch, run_on_device
from tests.engine.cuda.shim_device import ShimDevice, ShimStream, Work


class Doubling:
    """A network of one pixel for each picture: the sum of its colours, doubled."""

    capturable = False

    def __init__(self, device: ShimDevice, dtype: Any = np.float32, max_batch: int = 8) -> None:
        self.device, self.dtype, self.max_batch = device, np.dtype(dtype), max_batch
        self.bound: list[tuple[int, tuple[int, int]]] = []
        self.fails = ""

    def bind(self, batch: int, size: tuple[int, int]) -> Any:
        if self.fails == "bind":
            raise DeviceError("out of memory")
        self.bound.append((batch, size))
        item = self.dtype.itemsize
        memory = [
            self.device.allocate(batch * 3 * size[0] * size[1] * item),
            self.device.allocate(batch * item),
        ]
        inputs = DeviceTensor(memory[0].address, (batch, 3, *size), self.dtype)
        sums = DeviceTensor(memory[1].address, (batch,), self.dtype)

        def enqueue(stream: ShimStream) -> None:
            if self.fails == "enqueue":
                raise DeviceError("the GPU was lost")
            uses = tuple((tensor.address, tensor.nbytes) for tensor in (inputs, sums))
            stream.put(Work(compute, uses))

        def compute() -> None:
            view = self.device.view
            view(sums)[...] = 2 * view(inputs).astype(np.float64).sum(axis=(1, 2, 3))

        def close() -> None:
            for piece in memory:
                piece.close()

        return SimpleNamespace(inputs=inputs, outputs={"sums": sums}, enqueue=enqueue, close=close)


@pytest.fixture
def device() -> Iterator[ShimDevice]:
    device = ShimDevice()
    yield device
    device.close()
    assert device.left_open() == []


def pictures(count: int, size: tuple[int, int] = (4, 8)) -> np.ndarray:
    return np.random.default_rng(count).integers(0, 4, (count, 3, *size)).astype(np.float32)


def sums(inputs: np.ndarray) -> np.ndarray:
    return 2 * inputs.sum(axis=(1, 2, 3))


@pytest.mark.parametrize("dtype", [np.float32, np.float16])
@pytest.mark.parametrize("count", [1, 3, 5, 8])
def test_every_picture_gets_its_own_result_in_float32(device: ShimDevice, dtype: Any, count: int) -> None:
    outputs = run_on_device(Doubling(device, dtype), pictures(count))
    assert outputs["sums"].dtype == np.float32
    np.testing.assert_array_equal(outputs["sums"], sums(pictures(count)))


def test_more_pictures_than_the_network_takes_are_run_in_parts(device: ShimDevice) -> None:
    network = Doubling(device, max_batch=4)
    np.testing.assert_array_equal(run_on_device(network, pictures(11))["sums"], sums(pictures(11)))
    assert {batch for batch, _ in network.bound} == {3, 4}


def test_results_survive_the_next_run(device: ShimDevice) -> None:
    runner = HostRunner(Doubling(device))
    first = runner.run(pictures(2))["sums"]
    runner.run(pictures(2) + 1)
    np.testing.assert_array_equal(first, sums(pictures(2)))
    runner.close()


def test_a_changing_number_of_people_binds_few_shapes() -> None:
    batches = [padded_batch(count, 64) for count in range(1, 65)]
    assert sorted(set(batches)) == [1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64]
    assert all(count <= batch <= 1.5 * count for count, batch in enumerate(batches, 1))
    assert padded_batch(5, 5) == 5 and padded_batch(17, 20) == 20


def test_a_shape_is_bound_once_and_the_longest_unused_goes(
    device: ShimDevice, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(host_run, "KEPT_BINDINGS", 2)
    network = Doubling(device)
    runner = HostRunner(network)
    for height in (4, 6, 4, 8, 4, 6):
        runner.run(pictures(1, (height, 8)))
    assert [size[0] for _, size in network.bound] == [4, 6, 8, 6]
    assert sum(piece.kind == "buffer" for piece in device.memory) == 2 * 2
    runner.close()


def test_pictures_of_another_shape_are_refused_in_words(device: ShimDevice) -> None:
    with pytest.raises(ModelFileError, match=r"inputs of shape \(1, 5, 4, 8\)"):
        run_on_device(Doubling(device), np.zeros((1, 5, 4, 8), np.float32))


@pytest.mark.parametrize("place", ["bind", "enqueue"])
def test_a_device_that_fails_leaves_no_memory_behind(device: ShimDevice, place: str) -> None:
    network = Doubling(device)
    network.fails = place
    with pytest.raises(DeviceError):
        run_on_device(network, pictures(2))


def test_memory_that_cannot_be_pinned_frees_the_binding(
    device: ShimDevice, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: int) -> None:
        raise DeviceError("no memory can be pinned")

    monkeypatch.setattr(device, "pin", refuse)
    with pytest.raises(DeviceError, match="pinned"):
        run_on_device(Doubling(device), pictures(1))


def test_a_run_goes_on_after_one_that_failed(device: ShimDevice) -> None:
    network = Doubling(device)
    runner = HostRunner(network)
    network.fails = "enqueue"
    with pytest.raises(DeviceError):
        runner.run(pictures(2))
    network.fails = ""
    np.testing.assert_array_equal(runner.run(pictures(2))["sums"], sums(pictures(2)))
    runner.close()
