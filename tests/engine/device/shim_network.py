"""Networks on a `ShimDevice`: ONNX Runtime's CPU provider on the memory that stands in for a GPU's."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

from engine.cuda.device import DeviceTensor
from engine.errors import ModelFileError
from engine.model import Model
from engine.model_file import ModelSpec, file_sha256, read_spec
from engine.runtime import Arithmetic, output_strides
from tests.engine.cuda.shim_device import ShimDevice, ShimMemory, ShimStream


class ShimBinding:
    """See `engine.runtime.device_network.Binding`. runs: how often the network has run."""

    def __init__(self, network: "ShimNetwork", batch: int, size: tuple[int, int]) -> None:
        self.network, self.runs, self.closed = network, 0, False
        self._memory: list[ShimMemory] = []
        self.inputs = self._tensor((batch, 3, *size))
        keypoints = network.spec.skeleton.count
        self.outputs: Mapping[str, DeviceTensor] = {
            name: self._tensor((batch, keypoints, size[0] // stride, size[1] // stride))
            for name, stride in output_strides(network.spec).items()
        }

    def enqueue(self, stream: ShimStream) -> None:
        """Put one run on the stream."""
        assert not self.closed
        stream.call(self._run)

    def close(self) -> None:
        """Free the memory."""
        self.closed = True
        for piece in self._memory:
            piece.close()
        self.network.open_bindings.remove(self)

    def _tensor(self, shape: tuple[int, ...]) -> DeviceTensor:
        dtype = self.network.dtype
        self._memory.append(self.network.device.allocate(int(np.prod(shape)) * dtype.itemsize))
        return DeviceTensor(self._memory[-1].address, shape, dtype)

    def _run(self) -> None:
        self.runs += 1
        device = self.network.device
        results = self.network.compute(device.view(self.inputs).astype(np.float32))
        for name, tensor in self.outputs.items():
            device.view(tensor)[...] = results[name]


class ShimNetwork:
    """See `engine.runtime.device_network.DeviceNetwork`. open_bindings: those that were not closed."""

    def __init__(
        self,
        device: ShimDevice,
        path: Path,
        dtype: Any = np.float32,
        *,
        spec: ModelSpec | None = None,
        max_batch: int = 64,
        capturable: bool = True,
    ) -> None:
        self.device, self.dtype, self.max_batch = device, np.dtype(dtype), max_batch
        self.capturable = capturable
        self.spec = spec or read_spec(path)
        self.open_bindings: list[ShimBinding] = []
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.log_severity_level = 3
        self._session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])

    def bind(self, batch: int, size: tuple[int, int]) -> ShimBinding:
        """Make the network ready for `batch` inputs of (height, width) px."""
        if batch > self.max_batch:
            raise ModelFileError(f"the network takes 1 to {self.max_batch} inputs in one run, got {batch}")
        self.open_bindings.append(ShimBinding(self, batch, size))
        return self.open_bindings[-1]

    def compute(self, inputs: np.ndarray) -> dict[str, np.ndarray]:
        """Run the network on the host: (N, 3, h, w) float32 to output name and float32 array."""
        names = list(output_strides(self.spec))
        return dict(zip(names, self._session.run(names, {self.spec.input_name: inputs}), strict=True))


class ShimRuntime:
    """See `engine.runtime.Runtime`: a network on the shim's device, `run` from host memory."""

    name = "shim"
    device = "CPU behind a shim"

    def __init__(self, network: ShimNetwork) -> None:
        self.device_network = network
        self.precision: Arithmetic = "fp16" if network.dtype == np.float16 else "fp32"

    def run(self, inputs: np.ndarray) -> dict[str, np.ndarray]:
        """Run the network on a batch in host memory."""
        rounded = inputs.astype(self.device_network.dtype).astype(np.float32)
        return self.device_network.compute(rounded)

    def close(self) -> None:
        """Check that nobody has the network bound any more."""
        assert not self.device_network.open_bindings


def shim_model(device: ShimDevice, path: Path, dtype: Any = np.float32, **options: Any) -> Model:
    """Return a model file as a `Model` on the shim's device; options are those of `ShimNetwork`."""
    network = ShimNetwork(device, path, dtype, **options)
    return Model(network.spec, path, file_sha256(path), ShimRuntime(network))
