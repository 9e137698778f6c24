"""Runtime on OpenVINO: the fastest one on CPUs.

A network is compiled for one picture of each size that it meets and run once per picture of a batch: measured
on two cores, a W16 HRNet INT8 takes 3.6 ms for two crops so and 4.0 ms as a dynamic batch. Compiling once for
all sizes would save the 0.4 s of each new size, but OpenVINO 2026.4 computes INT8 networks wrongly then: the
heatmaps of a W16 HigherHRNet are off by 0.02 on average, against 0.002 when it is compiled for the size.
"""

import sys
from collections import OrderedDict
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.cache import writable_cache_dir
from engine.errors import ModelFileError, RuntimeUnavailableError
from engine.model_file import ModelSpec
from engine.runtime import Arithmetic, output_strides

Float = NDArray[np.float32]

_TELEMETRY = "openvino_telemetry"

KEPT_SIZES = 8
"""So many input sizes stay compiled; a folder of pictures of many shapes compiles again and again."""


def _import_openvino() -> Any:
    """Import OpenVINO without its telemetry, which reports every import to a web service in a thread.

    OpenVINO takes a stand-in that does nothing where the telemetry package cannot be imported.
    """
    if _TELEMETRY not in sys.modules:
        sys.modules[_TELEMETRY] = None  # type: ignore[assignment]
    try:
        import openvino
    except ImportError as error:
        raise RuntimeUnavailableError(
            f"runtime 'openvino' cannot be loaded ({error}); install it with `pip install openvino`, "
            "or choose the runtime onnxruntime"
        ) from error
    return openvino


@cache
def _core(openvino: Any) -> Any:
    """Return the process's one OpenVINO core, which is never freed.

    On CPUs with AMX the CPU plugin of each core installs a signal stack of its own, and puts back the one it
    found there when the core goes. Of two cores freed in the order they were made, the second puts back the
    stack of the first, which is freed: the next signal, such as Ctrl-C, crashes the process (seen in
    OpenVINO 2026.4).
    """
    return openvino.Core()


def _first_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__


def openvino_devices() -> dict[str, str]:
    """Return the devices OpenVINO sees: short name to full name.

    Raises:
        RuntimeUnavailableError: OpenVINO is not installed.
    """
    core = _core(_import_openvino())
    return {name: str(core.get_property(name, "FULL_DEVICE_NAME")).strip() for name in core.available_devices}


def check_arithmetic(arithmetic: Arithmetic) -> None:
    """Refuse what OpenVINO cannot compute here.

    Raises:
        RuntimeUnavailableError: OpenVINO is absent, bf16 was asked for and the CPU lacks it, or fp16 was.
    """
    core = _core(_import_openvino())
    if arithmetic == "fp16":
        raise RuntimeUnavailableError(
            "openvino computes in fp32, bf16 and int8 here; fp16 is for GPUs, choose one of these"
        )
    if arithmetic == "bf16" and "BF16" not in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
        raise RuntimeUnavailableError("this CPU has no bf16 arithmetic; choose precision fp32 or int8")


class OpenVinoRuntime:
    """See `engine.runtime.Runtime`.

    Float networks compute in float32 unless bf16 is asked for: OpenVINO would take bf16 by itself where the
    CPU has it, twice as fast, but then one file gives other keypoints on another machine. The unquantised
    rest of an INT8 network also stays in float32; bf16 gains nothing there.

    Raises:
        RuntimeUnavailableError: OpenVINO is absent, or bf16 was asked for and the CPU lacks it.
        ModelFileError: OpenVINO cannot read or compile the file.
    """

    name = "openvino"
    device_network = None

    def __init__(self, path: Path, spec: ModelSpec, arithmetic: Arithmetic, threads: int = 0) -> None:
        check_arithmetic(arithmetic)
        openvino = _import_openvino()
        core = _core(openvino)
        self.precision: Arithmetic = arithmetic
        self.device = str(core.get_property("CPU", "FULL_DEVICE_NAME")).strip() or "CPU"
        self._path = path
        self._outputs = list(output_strides(spec))
        self._input = spec.input_name
        self._requests: OrderedDict[tuple[int, int], Any] = OrderedDict()
        self._core, self._tensor = core, openvino.Tensor
        self._config: dict[str, Any] = {
            "PERFORMANCE_HINT": "LATENCY",
            "NUM_STREAMS": "1",
            "INFERENCE_PRECISION_HINT": "bf16" if arithmetic == "bf16" else "f32",
            # Pinned threads take the first cores, in every process the same ones: two processes of one thread
            # each then share one core and leave the second one idle (375 crops/s unpinned, 218 pinned).
            "ENABLE_CPU_PINNING": False,
        }
        if threads:
            self._config["INFERENCE_NUM_THREADS"] = threads
        if (folder := writable_cache_dir("openvino")) is not None:
            self._config["CACHE_DIR"] = str(folder)
        try:
            network = core.read_model(path)
        except RuntimeError as error:
            raise self._load_error(error) from error
        wanted = [-1, 3, -1, -1] if spec.dynamic_size else [-1, 3, *spec.input_size]
        taken = network.input(spec.input_name).partial_shape
        if not taken.compatible(openvino.PartialShape(wanted)):
            raise ModelFileError(
                f"{path} takes inputs of shape {taken}, but its spec says {wanted}; export it again"
            )
        self._request(spec.input_size)

    def run(self, inputs: Float) -> dict[str, Float]:
        """Run the network on a batch; see `engine.runtime.Runtime.run`."""
        request = self._request((inputs.shape[2], inputs.shape[3]))
        inputs = np.require(inputs, np.float32, ["C_CONTIGUOUS", "WRITEABLE"])
        results: dict[str, Float] = {}
        try:
            for index in range(len(inputs)):
                picture = self._tensor(inputs[index : index + 1], shared_memory=True)
                request.set_input_tensor(picture)
                # `infer` also asks for all inputs and outputs in Python: 0.2 ms more per picture.
                request.start_async()
                request.wait()
                for name in self._outputs:
                    data = request.get_tensor(name).data
                    if index == 0:
                        results[name] = np.empty((len(inputs), *data.shape[1:]), np.float32)
                    results[name][index] = data[0]
        except RuntimeError as error:
            raise ModelFileError(
                f"openvino cannot run {self._path} on inputs of shape {inputs.shape}: {_first_line(error)}"
            ) from error
        return results

    def _request(self, size: tuple[int, int]) -> Any:
        """Return the network compiled for one picture of (height, width), compiling it where needed."""
        if size in self._requests:
            self._requests.move_to_end(size)
            return self._requests[size]
        try:
            network = self._core.read_model(self._path)
            network.reshape({self._input: [1, 3, *size]})
            request = self._core.compile_model(network, "CPU", self._config).create_infer_request()
            for name in self._outputs:
                request.get_tensor(name)
        except RuntimeError as error:
            raise self._load_error(error) from error
        self._requests[size] = request
        if len(self._requests) > KEPT_SIZES:
            self._requests.popitem(last=False)
        return request

    def _load_error(self, error: Exception) -> ModelFileError:
        return ModelFileError(f"openvino cannot load {self._path}: {_first_line(error)}; export it again")

    def close(self) -> None:
        """Free the network."""
        self._requests.clear()
