"""Runtime on ONNX Runtime's CPU provider: smaller and more portable than OpenVINO, about half as fast."""

import platform
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.errors import ModelFileError, RuntimeUnavailableError
from engine.model_file import ModelSpec
from engine.runtime import Arithmetic, output_strides

Float = NDArray[np.float32]


def _import_onnxruntime() -> Any:
    try:
        import onnxruntime
    except ImportError as error:
        raise RuntimeUnavailableError(
            f"runtime 'onnxruntime' cannot be loaded ({error}); install it with `pip install onnxruntime`, "
            "or choose the runtime openvino"
        ) from error
    return onnxruntime


def _native_errors() -> tuple[type[Exception], ...]:
    """ONNX Runtime's own exceptions; they share no base below Exception."""
    from onnxruntime.capi import onnxruntime_pybind11_state as state

    return (
        state.Fail,
        state.InvalidArgument,
        state.InvalidGraph,
        state.InvalidProtobuf,
        state.NoSuchFile,
        state.NotImplemented,
        state.RuntimeException,
    )


def onnxruntime_providers() -> tuple[str, ...]:
    """Return the execution providers of the installed ONNX Runtime.

    Raises:
        RuntimeUnavailableError: ONNX Runtime is not installed.
    """
    return tuple(_import_onnxruntime().get_available_providers())


def check_arithmetic(arithmetic: Arithmetic) -> None:
    """Refuse what ONNX Runtime cannot compute here.

    Raises:
        RuntimeUnavailableError: ONNX Runtime is absent, or bf16 was asked for.
    """
    _import_onnxruntime()
    if arithmetic == "bf16":
        raise RuntimeUnavailableError(
            "onnxruntime computes in fp32 and int8 only; choose the runtime openvino for bf16"
        )


class OnnxRuntime:
    """See `engine.runtime.Runtime`.

    Raises:
        RuntimeUnavailableError: ONNX Runtime is absent, or bf16 was asked for.
        ModelFileError: ONNX Runtime cannot load the file.
    """

    name = "onnxruntime"

    def __init__(self, path: Path, spec: ModelSpec, arithmetic: Arithmetic, threads: int = 0) -> None:
        check_arithmetic(arithmetic)
        onnxruntime = _import_onnxruntime()
        self.precision: Arithmetic = arithmetic
        self.device = platform.processor() or platform.machine() or "CPU"
        self._path = path
        self._errors: tuple[type[Exception], ...] = (*_native_errors(), ValueError)
        self._input = spec.input_name
        self._outputs = list(output_strides(spec))
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        # Threads that spin between runs steal the cores from decoding and drawing.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        try:
            self._session = onnxruntime.InferenceSession(
                str(path), options, providers=["CPUExecutionProvider"]
            )
        except self._errors as error:
            raise ModelFileError(f"onnxruntime cannot load {path}: {error}; export it again") from error

    def run(self, inputs: Float) -> dict[str, Float]:
        """Run the network on a batch; see `engine.runtime.Runtime.run`."""
        try:
            outputs = self._session.run(self._outputs, {self._input: inputs})
        except self._errors as error:
            raise ModelFileError(
                f"onnxruntime cannot run {self._path} on inputs of shape {inputs.shape}: {error}"
            ) from error
        return {
            name: output.astype(np.float32, copy=False)
            for name, output in zip(self._outputs, outputs, strict=True)
        }

    def close(self) -> None:
        """Free the network."""
        self._session = None
