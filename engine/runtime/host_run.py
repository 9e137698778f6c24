"""Running a network on a device from host memory: upload, enqueue, download.

This serves `Runtime.run`, parity checks and whoever has arrays in hand. The frame path keeps everything on
the device instead, see `engine.device`.
"""

from collections import OrderedDict
from contextlib import suppress
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engine.cuda.device import Device, DeviceTensor, Pinned, Stream
from engine.errors import DeviceError, ModelFileError
from engine.runtime.device_network import Binding, DeviceNetwork

Float = NDArray[np.float32]
Size = tuple[int, int]

KEPT_BINDINGS = 12
"""So many shapes stay bound, each with memory of its own: the batches of up to 32 people, and a few sizes."""


def padded_batch(count: int, max_batch: int) -> int:
    """Return the batch that `count` pictures run in: 1, 2, 3, 4, 6, 8, 12, 16, 24 … up to `max_batch`.

    A bound shape costs memory and, on TensorRT-RTX, kernels compiled for it, while the number of people in a
    frame changes all the time; rounding up wastes at most a third of a run.
    """
    step = 1 << max((count - 1).bit_length() - 1, 0)
    half = max(step // 2, 1)
    return min(-(-count // half) * half, max_batch)


@dataclass(slots=True, eq=False)
class _Bound:
    """A binding with pinned memory for its inputs and outputs."""

    binding: Binding
    inputs: NDArray
    outputs: dict[str, NDArray]
    pinned: list[Pinned]

    def close(self) -> None:
        self.inputs, self.outputs = np.empty(0), {}
        for piece in self.pinned:
            piece.close()
        self.binding.close()


class HostRunner:
    """Runs a network on host arrays, with the shapes met last kept bound. Not for two threads at once."""

    def __init__(self, network: DeviceNetwork) -> None:
        self._network = network
        self._stream: Stream = network.device.stream()
        self._bound: OrderedDict[tuple[int, Size], _Bound] = OrderedDict()

    def run(self, inputs: Float) -> dict[str, Float]:
        """Run the network on a batch, in several runs where it is larger than the network takes.

        Args:
            inputs: (N, 3, h, w) float32, contiguous, N ≥ 1.

        Returns:
            Output name to (N, ...) float32, owned by the caller.

        Raises:
            ModelFileError: the network takes no inputs of this shape.
            DeviceError: the device failed.
        """
        if inputs.ndim != 4 or inputs.shape[1] != 3 or 0 in inputs.shape:
            raise ModelFileError(
                f"the network takes inputs of shape (N, 3, h, w), got inputs of shape {inputs.shape}"
            )
        most = self._network.max_batch
        parts = [self._run(inputs[start : start + most]) for start in range(0, len(inputs), most)]
        if len(parts) == 1:
            return parts[0]
        return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}

    def close(self) -> None:
        """Free all memory; `run` must not be called again."""
        # A run that broke off may have left work; on a GPU that is lost there is nothing to wait for.
        with suppress(DeviceError):
            self._stream.synchronize()
        self._stream.close()
        while self._bound:
            self._bound.popitem()[1].close()

    def _run(self, inputs: Float) -> dict[str, Float]:
        count = len(inputs)
        bound = self._bind(padded_batch(count, self._network.max_batch), (inputs.shape[2], inputs.shape[3]))
        # Rows beyond `count` keep what an earlier run left there; the rows of a network do not mix.
        np.copyto(bound.inputs[:count], inputs, casting="same_kind")
        self._stream.upload(bound.binding.inputs.address, bound.inputs)
        bound.binding.enqueue(self._stream)
        for name, tensor in bound.binding.outputs.items():
            self._stream.download(bound.outputs[name], tensor.address)
        self._stream.synchronize()
        return {name: array[:count].astype(np.float32) for name, array in bound.outputs.items()}

    def _bind(self, batch: int, size: Size) -> _Bound:
        key = (batch, size)
        if key in self._bound:
            self._bound.move_to_end(key)
            return self._bound[key]
        # The oldest goes before the new one comes, so that memory never holds one more than is kept.
        while len(self._bound) >= KEPT_BINDINGS:
            self._stream.synchronize()
            self._bound.popitem(last=False)[1].close()
        binding = self._network.bind(batch, size)
        pinned: list[Pinned] = []
        try:
            inputs = _pinned_array(self._network.device, binding.inputs, pinned)
            outputs = {
                name: _pinned_array(self._network.device, tensor, pinned)
                for name, tensor in binding.outputs.items()
            }
        except BaseException:
            for piece in pinned:
                piece.close()
            binding.close()
            raise
        inputs[...] = 0
        self._bound[key] = _Bound(binding, inputs, outputs, pinned)
        return self._bound[key]


def run_on_device(network: DeviceNetwork, inputs: Float) -> dict[str, Float]:
    """Run a network on a batch once, leaving nothing behind; see `HostRunner.run`."""
    runner = HostRunner(network)
    try:
        return runner.run(inputs)
    finally:
        runner.close()


def _pinned_array(device: Device, tensor: DeviceTensor, pinned: list[Pinned]) -> NDArray:
    """Return pinned memory in the shape of a tensor; the piece is added to `pinned`."""
    pinned.append(device.pin(tensor.nbytes))
    return pinned[-1].array.view(tensor.dtype).reshape(tensor.shape)
