"""Runtimes on ONNX Runtime: its providers for CPUs, CUDA, Core ML and DirectML, one of them chosen by name.

On CPUs it is smaller and more portable than OpenVINO and about half as fast. On CUDA it also gives a network
for inputs and outputs in the device's memory. Core ML and DirectML want shapes that are known when a network
is loaded: it is loaded once per input size there, and runs picture by picture.
"""

import logging
import platform
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.cuda.device import Device, Stream
from engine.errors import ModelFileError, RuntimeUnavailableError
from engine.model_file import ModelSpec
from engine.runtime import Arithmetic, output_strides
from engine.runtime.device_network import DeviceNetwork
from engine.runtime.onnxruntime_device import OnnxDeviceNetwork, element_type
from engine.runtime.onnxruntime_package import (
    PROVIDERS,
    Provider,
    brief,
    check_loaded,
    check_provider,
    native_errors,
    preload_cuda,
    translated,
)

LOGGER = logging.getLogger(__name__)

Float = NDArray[np.float32]

KEPT_SIZES = 8
"""So many input sizes stay loaded where each needs a session of its own."""


def check_arithmetic(arithmetic: Arithmetic, provider: Provider = "cpu") -> None:
    """Refuse what ONNX Runtime cannot compute here.

    INT8 is for CPUs only: the CUDA provider has no quantised convolution (QLinearConv), it would undo every
    quantisation before each layer and be slower than in fp32; Core ML's takes no quantised nodes either.

    Raises:
        RuntimeUnavailableError: ONNX Runtime or the provider is absent, or cannot do `arithmetic`.
    """
    check_provider(provider)
    kind = PROVIDERS[provider]
    if arithmetic in kind.arithmetic:
        return
    able = " and ".join(kind.arithmetic)
    instead = {
        "bf16": "choose the runtime openvino for bf16",
        "int8": "it would undo each quantisation and be slower than in fp16; choose precision fp16, or the "
        "runtime tensorrt or tensorrt-rtx for int8",
        "fp16": "choose precision fp32, or a runtime on a GPU",
    }
    raise RuntimeUnavailableError(f"{kind.runtime} computes in {able} only; {instead[arithmetic]}")


class OnnxRuntime:
    """See `engine.runtime.Runtime`.

    Raises:
        RuntimeUnavailableError: ONNX Runtime or the provider is absent, cannot do `arithmetic`, or would have
            moved to the CPU.
        ModelFileError: ONNX Runtime cannot load the file.
        DeviceError: the GPU failed.
    """

    def __init__(
        self,
        path: Path,
        spec: ModelSpec,
        arithmetic: Arithmetic,
        threads: int = 0,
        *,
        provider: Provider = "cpu",
    ) -> None:
        """Load a network.

        Args:
            path: the ONNX file; the float one, unless `arithmetic` is int8. spec: its spec.
            arithmetic: what to compute in. threads: on CPUs, 0 for all cores. provider: where.
        """
        check_arithmetic(arithmetic, provider)
        self.name = PROVIDERS[provider].runtime
        self.precision: Arithmetic = arithmetic
        self.device_network: DeviceNetwork | None = None
        self._onnxruntime = check_provider(provider)
        self._errors = native_errors()
        self._path, self._spec, self._provider, self._threads = path, spec, provider, threads
        self._outputs = list(output_strides(spec))
        self._model: str | bytes = half_model(path, spec) if arithmetic == "fp16" else str(path)
        self._sessions: OrderedDict[tuple[int, int] | None, Any] = OrderedDict()
        self._device: Device | None = None
        self._stream: Stream | None = None
        if provider == "cuda":
            self._open_on_cuda()
        else:
            self._session(spec.input_size)
        self.device = _device_name(provider, self._device)

    def run(self, inputs: Float) -> dict[str, Float]:
        """Run the network on a batch; see `engine.runtime.Runtime.run`."""
        session = self._session((inputs.shape[2], inputs.shape[3]))
        dtype = element_type(session.get_inputs()[0].type)
        batches = [inputs] if self._any_shape else [inputs[row : row + 1] for row in range(len(inputs))]
        parts: list[list[Any]] = []
        for batch in batches:
            feed = {self._spec.input_name: np.ascontiguousarray(batch, dtype)}
            try:
                parts.append(session.run(self._outputs, feed))
            except self._errors as error:
                raise self._error(error, f"run {self._path} on inputs of shape {inputs.shape}") from error
        columns = zip(*parts, strict=True)
        return {
            name: (column[0] if len(column) == 1 else np.concatenate(column)).astype(np.float32, copy=False)
            for name, column in zip(self._outputs, columns, strict=True)
        }

    def close(self) -> None:
        """Free the network; bindings of its device network must be closed."""
        if self._stream is not None:
            self._stream.synchronize()
        self.device_network = None
        self._sessions.clear()
        if self._stream is not None:
            self._stream.close()
            self._stream = None

    @property
    def _any_shape(self) -> bool:
        """Whether one session serves every batch and size."""
        return self._provider in ("cpu", "cuda")

    def _session(self, size: tuple[int, int]) -> Any:
        """Return the session for an input size, opened where there is none yet."""
        key = None if self._any_shape else size
        if key in self._sessions:
            self._sessions.move_to_end(key)
            return self._sessions[key]
        self._sessions[key] = self._open_session(size)
        if len(self._sessions) > KEPT_SIZES:
            self._sessions.popitem(last=False)
        return self._sessions[key]

    def _open_on_cuda(self) -> None:
        from engine.cuda.driver import open_device

        self._device = open_device()
        self._stream = self._device.stream()
        try:
            session = self._session(self._spec.input_size)
            self.device_network = OnnxDeviceNetwork(
                session, self._onnxruntime, self._spec, self._path, self._device, self._stream
            )
        except BaseException:
            self.close()
            raise

    def _open_session(self, size: tuple[int, int]) -> Any:
        kind = PROVIDERS[self._provider]
        told = preload_cuda(self._onnxruntime) if self._provider == "cuda" else ""
        providers: list[Any] = ["CPUExecutionProvider"]
        if self._provider != "cpu":
            providers.insert(0, (kind.provider, self._provider_options()))
        try:
            session = self._onnxruntime.InferenceSession(
                self._model,
                self._session_options(size),
                providers=providers,
                enable_fallback=0,  # else a provider that fails is replaced by the CPU, with a print
            )
        except self._errors as error:
            if self._provider != "cpu" and type(error) is RuntimeError:
                raise RuntimeUnavailableError(
                    f"ONNX Runtime cannot start its {kind.provider}: {brief(error)}; update the graphics "
                    "driver and look at what `steadypose doctor` says"
                ) from error
            raise self._error(error, f"load {self._path}") from error
        check_loaded(self._provider, session, told)
        return session

    def _session_options(self, size: tuple[int, int]) -> Any:
        options = self._onnxruntime.SessionOptions()
        options.intra_op_num_threads = self._threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        # Threads that spin between runs steal the cores from decoding and drawing.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        if self._provider == "directml":
            # DirectML refuses to start with either of them on.
            options.enable_mem_pattern = False
            options.execution_mode = self._onnxruntime.ExecutionMode.ORT_SEQUENTIAL
        if not self._any_shape:
            for name, value in zip(_free_dimensions(self._model, self._path), (1, 3, *size), strict=True):
                if name:
                    options.add_free_dimension_override_by_name(name, value)
        return options

    def _provider_options(self) -> dict[str, str]:
        if self._provider == "coreml":
            # The older format computes in fp16 on the neural engine whatever the network says.
            return {"ModelFormat": "MLProgram", "MLComputeUnits": "ALL"}
        if self._provider == "directml":
            return {"device_id": "0"}
        assert self._device is not None and self._stream is not None
        return {
            "device_id": str(self._device.info.index),
            "user_compute_stream": str(self._stream.handle),
            # Batches change from frame to frame: an exhaustive search would stop at each new one for seconds.
            "cudnn_conv_algo_search": "HEURISTIC",
            "cudnn_conv_use_max_workspace": "1",
            "arena_extend_strategy": "kSameAsRequested",
            "do_copy_in_default_stream": "1",
            "use_tf32": "0",
        }

    def _error(self, error: Exception, what: str) -> Exception:
        return translated(
            error, self._provider, f"{self.name} cannot {what}", "does the file fit its spec? export it again"
        )


def half_model(path: Path, spec: ModelSpec) -> bytes:
    """Return the float32 network of a file with every tensor in float16, serialised.

    Raises:
        ModelFileError: the file cannot be read, is quantised, or holds what float16 does not.
    """
    from engine.runtime.typed_network import load_float_network, to_float16

    return bytes(to_float16(load_float_network(path, spec)).SerializeToString())


def _free_dimensions(model: str | bytes, path: Path) -> list[str]:
    """Return the names of the input's dimensions, empty for those of fixed size."""
    import onnx
    from google.protobuf.message import DecodeError

    try:
        network = (
            onnx.load_model_from_string(model)
            if isinstance(model, bytes)
            else onnx.load(model, load_external_data=False)
        )
    except (DecodeError, OSError) as error:
        raise ModelFileError(
            f"{path} cannot be read as ONNX ({error}); download or export it again"
        ) from error
    return [dimension.dim_param for dimension in network.graph.input[0].type.tensor_type.shape.dim]


def _device_name(provider: Provider, device: Device | None) -> str:
    if device is not None:
        return f"{device.info.name} (CUDA {device.info.index})"
    if provider == "coreml":
        return "Apple Core ML: neural engine, GPU or CPU"
    if provider == "directml":
        return "DirectX 12 adapter 0"
    return platform.processor() or platform.machine() or "CPU"
