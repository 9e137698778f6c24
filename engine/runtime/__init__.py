"""Runtimes: what turns network inputs into network outputs on this machine, behind one protocol.

Each runtime lives in one module that is the only one to import its package. `open_runtime` picks; what was
picked is logged and stands in `Runtime.name`, `.precision` and `.device`.
"""

import logging
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from engine.errors import RuntimeUnavailableError
from engine.model_file import ModelSpec

LOGGER = logging.getLogger(__name__)

Float = NDArray[np.float32]
Arithmetic = Literal["fp32", "bf16", "int8"]


class Runtime(Protocol):
    """One loaded network.

    name: which runtime; precision: arithmetic that is really used; device: the processor, in words.
    """

    name: str
    precision: Arithmetic
    device: str

    def run(self, inputs: Float) -> dict[str, Float]:
        """Run the network on a batch.

        Args:
            inputs: (N, 3, h, w) float32, contiguous, N ≥ 1.

        Returns:
            Output name to (N, ...) float32, owned by the caller.

        Raises:
            ModelFileError: the network does not take inputs of this shape.
        """
        ...

    def close(self) -> None:
        """Free the network; `run` must not be called again."""
        ...


def output_strides(spec: ModelSpec) -> dict[str, int]:
    """Return the outputs that a spec names, in its order, each with its stride in input px."""
    strides = {output.name: output.stride for output in spec.heatmap_outputs}
    return strides | {output.name: output.stride for output in spec.tag_outputs}


Opener = Callable[[Path, ModelSpec, Arithmetic, int], Runtime]


def _open_openvino(path: Path, spec: ModelSpec, arithmetic: Arithmetic, threads: int) -> Runtime:
    from engine.runtime.openvino import OpenVinoRuntime

    return OpenVinoRuntime(path, spec, arithmetic, threads)


def _open_onnxruntime(path: Path, spec: ModelSpec, arithmetic: Arithmetic, threads: int) -> Runtime:
    from engine.runtime.onnxruntime import OnnxRuntime

    return OnnxRuntime(path, spec, arithmetic, threads)


def _check_openvino(arithmetic: Arithmetic) -> None:
    from engine.runtime.openvino import check_arithmetic

    check_arithmetic(arithmetic)


def _check_onnxruntime(arithmetic: Arithmetic) -> None:
    from engine.runtime.onnxruntime import check_arithmetic

    check_arithmetic(arithmetic)


RUNTIMES: dict[str, Opener] = {"openvino": _open_openvino, "onnxruntime": _open_onnxruntime}
"""Name to opener, in the order in which `auto` tries them (OpenVINO is the faster one on CPUs)."""

CHECKS: dict[str, Callable[[Arithmetic], None]] = {
    "openvino": _check_openvino,
    "onnxruntime": _check_onnxruntime,
}
"""Name to what refuses arithmetic that the runtime cannot do on this machine."""


def installed_runtimes() -> tuple[str, ...]:
    """Return the names of the runtimes whose package is installed, best first."""
    return tuple(name for name in RUNTIMES if find_spec(name) is not None)


def check_arithmetic(name: str, arithmetic: Arithmetic) -> None:
    """Refuse what a runtime of `RUNTIMES` cannot compute on this machine; no model is opened.

    Raises:
        RuntimeUnavailableError: the runtime is not installed or cannot do `arithmetic` here.
    """
    CHECKS[name](arithmetic)


def open_runtime(
    path: Path, spec: ModelSpec, *, name: str = "auto", arithmetic: Arithmetic = "fp32", threads: int = 0
) -> Runtime:
    """Load an ONNX file.

    Args:
        path: the ONNX file.
        spec: its spec.
        name: a key of `RUNTIMES`, or "auto" for the first that is there and works.
        arithmetic: "int8" for a quantised file, else "fp32" or "bf16".
        threads: 0 for all cores.

    Raises:
        RuntimeUnavailableError: the runtime is unknown, not installed or cannot do `arithmetic` here.
        ModelFileError: the runtime cannot load the file.
    """
    if name != "auto":
        if name not in RUNTIMES:
            raise RuntimeUnavailableError(
                f"there is no runtime {name!r}; choose one of auto, {', '.join(RUNTIMES)}"
            )
        runtime = RUNTIMES[name](path, spec, arithmetic, threads)
        LOGGER.info("%s runs in %s on %s, %s", path.name, runtime.name, runtime.device, runtime.precision)
        return runtime
    return _open_first(path, spec, arithmetic, threads, tuple(RUNTIMES))


def _open_first(
    path: Path, spec: ModelSpec, arithmetic: Arithmetic, threads: int, names: Sequence[str]
) -> Runtime:
    reasons = []
    for name in names:
        try:
            runtime = RUNTIMES[name](path, spec, arithmetic, threads)
        except RuntimeUnavailableError as error:
            LOGGER.warning("runtime auto passes over %s: %s", name, error)
            reasons.append(str(error))
            continue
        LOGGER.info(
            "runtime auto chose %s on %s, %s, for %s", name, runtime.device, runtime.precision, path.name
        )
        return runtime
    raise RuntimeUnavailableError("no runtime can run the model here: " + "; ".join(reasons))
