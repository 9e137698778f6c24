"""Runtimes: what turns network inputs into network outputs on this machine, behind one protocol.

Each runtime lives in one module that is the only one to import its package. `RUNTIMES` says what is known of
each before it is loaded; what was opened is logged and stands in `Runtime.name`, `.precision` and `.device`.
"""

import logging
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from engine.cuda.driver import driver_state
from engine.errors import DeviceError, ModelFileError, RuntimeUnavailableError
from engine.model_file import ModelSpec
from engine.packages import installed_version
from engine.runtime.device_network import DeviceNetwork

LOGGER = logging.getLogger(__name__)

Float = NDArray[np.float32]
Arithmetic = Literal["fp32", "fp16", "bf16", "int8"]
Progress = Callable[[str, float], None]
"""Told what is being done, in a few words, and the share that is done, in [0, 1]."""
T = TypeVar("T")


class Runtime(Protocol):
    """One loaded network."""

    @property
    def name(self) -> str:
        """Which runtime."""
        ...

    @property
    def precision(self) -> Arithmetic:
        """Arithmetic that is really used."""
        ...

    @property
    def device(self) -> str:
        """The processor, in words."""
        ...

    @property
    def device_network(self) -> DeviceNetwork | None:
        """The same network for inputs and outputs in the device's memory; None where it runs on a CPU."""
        ...

    def run(self, inputs: Float) -> dict[str, Float]:
        """Run the network on a batch.

        Args:
            inputs: (N, 3, h, w) float32, contiguous, N ≥ 1.

        Returns:
            Output name to (N, ...) float32, owned by the caller.

        Raises:
            ModelFileError: the network does not take inputs of this shape.
            DeviceError: the GPU failed.
        """
        ...

    def close(self) -> None:
        """Free the network; `run` must not be called again."""
        ...


def output_strides(spec: ModelSpec) -> dict[str, int]:
    """Return the outputs that a spec names, in its order, each with its stride in input px."""
    strides = {output.name: output.stride for output in spec.heatmap_outputs}
    return strides | {output.name: output.stride for output in spec.tag_outputs}


@dataclass(frozen=True, slots=True)
class Opening:
    """What a runtime is opened with.

    path: the ONNX file; spec: its spec; threads: of a CPU runtime, 0 for all cores; on_progress: is told how
    far a compilation is.
    """

    path: Path
    spec: ModelSpec
    arithmetic: Arithmetic
    threads: int = 0
    on_progress: Progress | None = None


@dataclass(frozen=True, slots=True)
class RuntimeKind:
    """What is known of a runtime before it is loaded.

    label: for people. packages: distributions of which one must be installed. install: the line that gets it.
    on_nvidia: whether it needs an NVIDIA GPU. from_float: whether every precision is made from the float
    file; elsewhere INT8 is the quantised file beside it. usual: arithmetic that precision `auto` takes from
    the float file. open: loads a network. check: refuses arithmetic that it cannot do on this machine.
    """

    label: str
    packages: tuple[str, ...]
    install: str
    on_nvidia: bool
    from_float: bool
    usual: Arithmetic
    open: Callable[[Opening], Runtime]
    check: Callable[[Arithmetic], None]


def _open_openvino(opening: Opening) -> Runtime:
    from engine.runtime.openvino import OpenVinoRuntime

    return OpenVinoRuntime(opening.path, opening.spec, opening.arithmetic, opening.threads)


def _check_openvino(arithmetic: Arithmetic) -> None:
    from engine.runtime.openvino import check_arithmetic

    check_arithmetic(arithmetic)


Provider = Literal["cpu", "cuda", "coreml", "directml"]
Package = Literal["tensorrt", "tensorrt-rtx"]


def _onnxruntime(provider: Provider) -> tuple[Callable[[Opening], Runtime], Callable[[Arithmetic], None]]:
    def open_it(opening: Opening) -> Runtime:
        from engine.runtime.onnxruntime import OnnxRuntime

        return OnnxRuntime(opening.path, opening.spec, opening.arithmetic, opening.threads, provider=provider)

    def check_it(arithmetic: Arithmetic) -> None:
        from engine.runtime.onnxruntime import check_arithmetic

        check_arithmetic(arithmetic, provider)

    return open_it, check_it


def _tensorrt(package: Package) -> tuple[Callable[[Opening], Runtime], Callable[[Arithmetic], None]]:
    def open_it(opening: Opening) -> Runtime:
        from engine.runtime.tensorrt import TensorRtRuntime

        return TensorRtRuntime(
            opening.path,
            opening.spec,
            opening.arithmetic,
            opening.threads,
            package=package,
            on_progress=opening.on_progress,
        )

    def check_it(arithmetic: Arithmetic) -> None:
        from engine.runtime.tensorrt import check_arithmetic

        check_arithmetic(arithmetic, package)

    return open_it, check_it


def _kind(
    label: str,
    packages: tuple[str, ...],
    install: str,
    made: tuple[Callable[[Opening], Runtime], Callable[[Arithmetic], None]],
    *,
    on_nvidia: bool = False,
    from_float: bool = False,
    usual: Arithmetic = "fp32",
) -> RuntimeKind:
    opener, check = made
    return RuntimeKind(label, packages, install, on_nvidia, from_float, usual, opener, check)


RUNTIMES: dict[str, RuntimeKind] = {
    "tensorrt": _kind(
        "TensorRT",
        ("tensorrt-cu13", "tensorrt"),
        'pip install "steadypose[tensorrt]" --extra-index-url https://pypi.nvidia.com',
        _tensorrt("tensorrt"),
        on_nvidia=True,
        from_float=True,
        usual="fp16",
    ),
    "tensorrt-rtx": _kind(
        "TensorRT-RTX",
        ("tensorrt-rtx-cu13", "tensorrt-rtx"),
        'pip install "steadypose[rtx]"',
        _tensorrt("tensorrt-rtx"),
        on_nvidia=True,
        from_float=True,
        usual="fp16",
    ),
    "openvino": _kind("OpenVINO", ("openvino",), "pip install openvino", (_open_openvino, _check_openvino)),
    "onnxruntime": _kind(
        "ONNX Runtime",
        ("onnxruntime", "onnxruntime-gpu", "onnxruntime-directml"),
        "pip install onnxruntime",
        _onnxruntime("cpu"),
    ),
    "onnxruntime-cuda": _kind(
        "ONNX Runtime, CUDA",
        ("onnxruntime-gpu",),
        'pip uninstall -y onnxruntime && pip install "onnxruntime-gpu[cuda,cudnn]"',
        _onnxruntime("cuda"),
        on_nvidia=True,
        from_float=True,
        usual="fp16",
    ),
    "onnxruntime-coreml": _kind(
        "ONNX Runtime, Core ML",
        ("onnxruntime",) if sys.platform == "darwin" else (),
        "pip install onnxruntime  # on macOS",
        _onnxruntime("coreml"),
        from_float=True,
    ),
    "onnxruntime-directml": _kind(
        "ONNX Runtime, DirectML",
        ("onnxruntime-directml",),
        "pip uninstall -y onnxruntime && pip install onnxruntime-directml  # on Windows",
        _onnxruntime("directml"),
        from_float=True,
    ),
}
"""Name to kind, the fastest first."""

AUTO = ("tensorrt", "tensorrt-rtx", "openvino", "onnxruntime")
"""What `auto` tries, in this order; the other providers of ONNX Runtime are for those who name them."""


def installed_runtimes() -> tuple[str, ...]:
    """Return the names of the runtimes whose package is installed, best first."""
    return tuple(name for name, kind in RUNTIMES.items() if any(map(_is_installed, kind.packages)))


def _is_installed(package: str) -> bool:
    return installed_version(package) is not None


def auto_runtimes() -> tuple[str, ...]:
    """Return the runtimes worth trying here, best first: without an NVIDIA GPU those that need one are not.

    Where no runtime for CPUs is installed they come nevertheless, since their errors say how to get them.
    """
    installed = installed_runtimes()
    wanted = [name for name in AUTO if name in installed]
    if any(RUNTIMES[name].on_nvidia for name in wanted):
        state = driver_state()
        if not state.devices:
            LOGGER.info("runtime auto leaves out what needs an NVIDIA GPU: %s", state.problem)
            wanted = [name for name in wanted if not RUNTIMES[name].on_nvidia]
    return tuple(wanted) or cpu_runtimes()


def cpu_runtimes() -> tuple[str, ...]:
    """Return the runtimes for CPUs that `auto` tries: the installed ones, or all where none is."""
    names = [name for name in AUTO if not RUNTIMES[name].on_nvidia]
    installed = installed_runtimes()
    return tuple(name for name in names if name in installed) or tuple(names)


def check_arithmetic(name: str, arithmetic: Arithmetic) -> None:
    """Refuse what a runtime of `RUNTIMES` cannot compute on this machine; no model is opened.

    Raises:
        RuntimeUnavailableError: the runtime is not installed or cannot do `arithmetic` here.
    """
    RUNTIMES[name].check(arithmetic)


def find_kind(name: str) -> RuntimeKind:
    """Return the kind of a runtime.

    Raises:
        RuntimeUnavailableError: there is no runtime of this name.
    """
    if name not in RUNTIMES:
        raise RuntimeUnavailableError(
            f"there is no runtime {name!r}; choose one of auto, {', '.join(RUNTIMES)}"
        )
    return RUNTIMES[name]


def open_runtime(
    path: Path,
    spec: ModelSpec,
    *,
    name: str,
    arithmetic: Arithmetic = "fp32",
    threads: int = 0,
    on_progress: Progress | None = None,
) -> Runtime:
    """Load an ONNX file.

    Args:
        path: the ONNX file.
        spec: its spec.
        name: a key of `RUNTIMES`.
        arithmetic: of a CPU runtime "int8" for a quantised file, else "fp32" or "bf16".
        threads: of a CPU runtime, 0 for all cores.
        on_progress: is told how far a compilation is.

    Raises:
        RuntimeUnavailableError: the runtime is unknown, not installed or cannot do `arithmetic` here.
        ModelFileError: the runtime cannot load the file.
        DeviceError: the GPU failed.
    """
    runtime = find_kind(name).open(Opening(path, spec, arithmetic, threads, on_progress))
    LOGGER.info("%s runs in %s on %s, %s", path.name, runtime.name, runtime.device, runtime.precision)
    return runtime


def open_first(names: Sequence[str], attempt: Callable[[str], T]) -> T:
    """Return what the first runtime makes that works, with a warning for each that does not.

    Args:
        names: keys of `RUNTIMES`, in order.
        attempt: opens something with the runtime of a name.

    Raises:
        RuntimeUnavailableError: none works; names every reason.
        ModelFileError: the model cannot run at all.
    """
    reasons = []
    for name in names:
        try:
            return attempt(name)
        except RuntimeUnavailableError as error:
            reasons.append(str(error))
        except (DeviceError, ModelFileError) as error:
            # What a GPU cannot take, a CPU may; a file that a CPU refuses is broken.
            if not RUNTIMES[name].on_nvidia:
                raise
            reasons.append(str(error))
        LOGGER.warning("runtime auto passes over %s: %s", name, reasons[-1])
    raise RuntimeUnavailableError("no runtime can run the model here: " + "; ".join(reasons))
