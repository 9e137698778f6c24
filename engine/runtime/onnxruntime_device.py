"""The CUDA provider of ONNX Runtime on memory of our own: inputs and outputs stay on the device.

A session belongs to one CUDA stream for its life, while a binding is put on whatever stream is at hand. Where
these differ, each waits for the other by an event, on the device; the host waits for neither.
"""

import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from engine.cuda.device import Buffer, Device, DeviceTensor, Event, Stream
from engine.errors import ModelFileError
from engine.model_file import ModelSpec
from engine.prepare import SIZE_MULTIPLE
from engine.runtime import output_strides
from engine.runtime.onnxruntime_package import native_errors, translated

MAX_BATCH = 64
"""Most pictures in one run: what the largest group in a frame and the benchmark need. There is no profile to
exceed, but activations of an unbounded batch would take the GPU from other programs."""

_ELEMENTS = {"tensor(float)": np.float32, "tensor(float16)": np.float16}


def element_type(name: str) -> np.dtype[Any]:
    """Return the NumPy type for ONNX Runtime's name of one.

    Raises:
        ModelFileError: it is neither float32 nor float16.
    """
    if name not in _ELEMENTS:
        raise ModelFileError(f"inputs and outputs must be float32 or float16, got {name}; export it again")
    return np.dtype(_ELEMENTS[name])


class OnnxDeviceNetwork:
    """See `engine.runtime.device_network.DeviceNetwork`; runs are never captured in a graph.

    ONNX Runtime allocates from its arena and may call cuDNN's heuristics in any run, neither of which a
    capture of ours allows.
    """

    max_batch = MAX_BATCH
    capturable = False

    def __init__(
        self, session: Any, onnxruntime: Any, spec: ModelSpec, path: Path, device: Device, stream: Stream
    ) -> None:
        """Take a session.

        Args:
            session: an InferenceSession on the CUDA provider whose `user_compute_stream` is `stream`.
            onnxruntime: the package. spec, path: of the network. device, stream: where it computes.
        """
        self.device = device
        self.dtype = element_type(session.get_inputs()[0].type)
        self.session, self.spec, self.path, self.stream = session, spec, path, stream
        self.errors = native_errors()
        self.lock = threading.Lock()
        self.options = onnxruntime.RunOptions()
        # Else every run ends with the host waiting for the stream.
        self.options.add_run_config_entry("disable_synchronize_execution_providers", "1")
        self.dtypes = {output.name: element_type(output.type) for output in session.get_outputs()}

    def bind(self, batch: int, size: tuple[int, int]) -> "OnnxBinding":
        """Make the network ready for inputs of one shape; see `DeviceNetwork.bind`."""
        height, width = size
        fits = size == self.spec.input_size
        if self.spec.dynamic_size:
            fits = height > 0 < width and height % SIZE_MULTIPLE == 0 == width % SIZE_MULTIPLE
        if not fits:
            wanted = (
                f"sizes that are multiples of {SIZE_MULTIPLE}"
                if self.spec.dynamic_size
                else f"the size {self.spec.input_size}"
            )
            raise ModelFileError(f"{self.path} takes {wanted}, got {size}; prepare the pictures for its spec")
        if not 1 <= batch <= MAX_BATCH:
            raise ModelFileError(
                f"{self.path} takes 1 to {MAX_BATCH} pictures in one run here, got {batch}; split the batch"
            )
        return OnnxBinding(self, batch, size)


class OnnxBinding:
    """See `engine.runtime.device_network.Binding`."""

    inputs: DeviceTensor
    outputs: Mapping[str, DeviceTensor]

    def __init__(self, network: OnnxDeviceNetwork, batch: int, size: tuple[int, int]) -> None:
        """Allocate inputs and outputs and tell ONNX Runtime where they are."""
        self._network = network
        self._buffers: list[Buffer] = []
        self._events: list[Event] = []
        keypoints = network.spec.skeleton.count
        height, width = size
        try:
            self.inputs = self._tensor((batch, 3, height, width), network.dtype)
            self.outputs = {
                name: self._tensor(
                    (batch, keypoints, height // stride, width // stride), network.dtypes[name]
                )
                for name, stride in output_strides(network.spec).items()
            }
            self._events = [network.device.event(), network.device.event()]
            self._bound = self._bind()
        except BaseException:
            self.close()
            raise

    def enqueue(self, stream: Stream) -> None:
        """Put one run on the stream.

        Raises:
            ModelFileError: the network's outputs are not those of its spec.
            DeviceError: the GPU failed.
        """
        network = self._network
        own = network.stream
        begun, done = self._events
        # One run at a time: the events tie a run to its streams, and the session's arena belongs to one.
        with network.lock:
            if stream.handle != own.handle:
                stream.record(begun)
                own.wait(begun)
            try:
                network.session.run_with_iobinding(self._bound, network.options)
            except network.errors as error:
                raise self._error(error, f"run on inputs of shape {self.inputs.shape}") from error
            if stream.handle != own.handle:
                own.record(done)
                stream.wait(done)

    def close(self) -> None:
        """Free the memory; work that uses it must be done."""
        self._bound = None
        for event in self._events:
            event.close()
        for buffer in self._buffers:
            buffer.close()
        self._events, self._buffers = [], []

    def _tensor(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> DeviceTensor:
        buffer = self._network.device.allocate(int(np.prod(shape)) * dtype.itemsize)
        self._buffers.append(buffer)
        return DeviceTensor(buffer.address, shape, dtype)

    def _bind(self) -> Any:
        network = self._network
        index = network.device.info.index
        bound = network.session.io_binding()
        try:
            bound.bind_input(
                network.spec.input_name,
                "cuda",
                index,
                network.dtype.type,
                self.inputs.shape,
                self.inputs.address,
            )
            for name, tensor in self.outputs.items():
                bound.bind_output(name, "cuda", index, tensor.dtype.type, tensor.shape, tensor.address)
        except network.errors as error:
            raise self._error(error, f"bind inputs of shape {self.inputs.shape}") from error
        return bound

    def _error(self, error: Exception, what: str) -> Exception:
        return translated(
            error,
            "cuda",
            f"onnxruntime-cuda cannot {what} ({self._network.path})",
            "was the model exported with another skeleton or stride?",
        )
