"""A network that reads its inputs from device memory and leaves its outputs there."""

from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np

from engine.cuda.device import Device, DeviceTensor, Stream


class Binding(Protocol):
    """A network made ready for inputs of one shape, with memory of its own.

    inputs: (B, 3, h, w), to be written. outputs: name to (B, K, h / stride, w / stride), valid once what
    `enqueue` put on the stream is done.
    """

    inputs: DeviceTensor
    outputs: Mapping[str, DeviceTensor]

    def enqueue(self, stream: Stream) -> None:
        """Put one run on the stream."""
        ...

    def close(self) -> None:
        """Free the memory."""
        ...


class DeviceNetwork(Protocol):
    """A network on a device.

    dtype: of inputs and heatmaps, float16 or float32. max_batch: most pictures in one run. capturable:
    whether `Binding.enqueue` may be captured in a graph, from its second run on.
    """

    device: Device
    dtype: np.dtype[Any]
    max_batch: int
    capturable: bool

    def bind(self, batch: int, size: tuple[int, int]) -> Binding:
        """Make the network ready for `batch` inputs of (height, width) px.

        Raises:
            ModelFileError: the network takes no inputs of this shape.
            DeviceError: the memory does not suffice.
        """
        ...
