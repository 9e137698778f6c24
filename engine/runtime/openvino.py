"""Runtime on OpenVINO: the fastest one on CPUs.

A network of fixed input size is compiled for one picture and run once per picture of a batch: measured on
two cores, a W16 HRNet INT8 takes 3.6 ms for two crops so and 4.0 ms as a dynamic batch. A network of dynamic
size is compiled once for all sizes, about 10 % slower than for one size, since each size would cost a
compilation of 0.4 s.
"""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.cache import writable_cache_dir
from engine.errors import ModelFileError, RuntimeUnavailableError
from engine.model_file import ModelSpec
from engine.runtime import Arithmetic, output_strides

Float = NDArray[np.float32]


def _import_openvino() -> Any:
    try:
        import openvino
    except ImportError as error:
        raise RuntimeUnavailableError(
            f"runtime 'openvino' cannot be loaded ({error}); install it with `pip install openvino`, "
            "or choose the runtime onnxruntime"
        ) from error
    return openvino


def _first_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__


def openvino_devices() -> dict[str, str]:
    """Return the devices OpenVINO sees: short name to full name.

    Raises:
        RuntimeUnavailableError: OpenVINO is not installed.
    """
    core = _import_openvino().Core()
    return {name: str(core.get_property(name, "FULL_DEVICE_NAME")).strip() for name in core.available_devices}


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

    def __init__(self, path: Path, spec: ModelSpec, arithmetic: Arithmetic, threads: int = 0) -> None:
        openvino = _import_openvino()
        core = openvino.Core()
        if arithmetic == "bf16" and "BF16" not in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
            raise RuntimeUnavailableError("this CPU has no bf16 arithmetic; choose precision fp32 or int8")
        self.precision: Arithmetic = arithmetic
        self.device = str(core.get_property("CPU", "FULL_DEVICE_NAME")).strip() or "CPU"
        self._path = path
        self._outputs = list(output_strides(spec))
        self._one_by_one = not spec.dynamic_size
        config: dict[str, Any] = {
            "PERFORMANCE_HINT": "LATENCY",
            "NUM_STREAMS": "1",
            "INFERENCE_PRECISION_HINT": "bf16" if arithmetic == "bf16" else "f32",
        }
        if threads:
            config["INFERENCE_NUM_THREADS"] = threads
        if (folder := writable_cache_dir("openvino")) is not None:
            config["CACHE_DIR"] = str(folder)
        try:
            network = core.read_model(path)
            wanted = [-1, 3, -1, -1] if spec.dynamic_size else [-1, 3, *spec.input_size]
            taken = network.input(spec.input_name).partial_shape
            if not taken.compatible(openvino.PartialShape(wanted)):
                raise ModelFileError(
                    f"{path} takes inputs of shape {taken}, but its spec says {wanted}; export it again"
                )
            if self._one_by_one:
                network.reshape({spec.input_name: [1, 3, *spec.input_size]})
            compiled = core.compile_model(network, "CPU", config)
            self._request = compiled.create_infer_request()
            for name in self._outputs:
                self._request.get_tensor(name)
        except RuntimeError as error:
            raise ModelFileError(
                f"openvino cannot load {path}: {_first_line(error)}; export it again"
            ) from error

    def run(self, inputs: Float) -> dict[str, Float]:
        """Run the network on a batch; see `engine.runtime.Runtime.run`."""
        try:
            if not self._one_by_one:
                self._request.infer([inputs], share_inputs=True, share_outputs=True)
                return {name: self._copy(name) for name in self._outputs}
            results: dict[str, Float] = {}
            for index in range(len(inputs)):
                self._request.infer([inputs[index : index + 1]], share_inputs=True, share_outputs=True)
                for name in self._outputs:
                    data = self._request.get_tensor(name).data
                    if index == 0:
                        results[name] = np.empty((len(inputs), *data.shape[1:]), np.float32)
                    results[name][index] = data[0]
        except RuntimeError as error:
            raise ModelFileError(
                f"openvino cannot run {self._path} on inputs of shape {inputs.shape}: {_first_line(error)}"
            ) from error
        return results

    def _copy(self, name: str) -> Float:
        return np.array(self._request.get_tensor(name).data, np.float32)

    def close(self) -> None:
        """Free the network."""
        self._request = None
