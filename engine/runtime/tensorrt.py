"""Runtime on NVIDIA GPUs: TensorRT, or TensorRT-RTX on GeForce and RTX cards, through one API.

A plan comes from the cache or is built, which takes from seconds to minutes; a plan that the package refuses
is built anew once. No plan is used before it was compared with its float model, see `parity`.
"""

import logging
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from engine.cuda.device import Device, DeviceInfo
from engine.cuda.driver import open_device
from engine.errors import ModelFileError
from engine.model_file import ModelSpec
from engine.runtime import Arithmetic, Progress
from engine.runtime.build_progress import OnProgress
from engine.runtime.device_network import DeviceNetwork
from engine.runtime.host_run import HostRunner
from engine.runtime.jit_cache import jit_cache_file
from engine.runtime.parity import check_parity
from engine.runtime.plan_builder import check_precision, obtain_plan
from engine.runtime.plan_cache import StoredPlan
from engine.runtime.tensorrt_errors import PlanRefusedError, supported_capabilities, unsupported_gpu
from engine.runtime.tensorrt_network import TensorRtNetwork
from engine.runtime.tensorrt_package import PackageName, TensorRtPackage, load_package

LOGGER = logging.getLogger(__name__)

Float = NDArray[np.float32]


def check_arithmetic(arithmetic: Arithmetic, package: PackageName) -> None:
    """Refuse what a package cannot compute here; no model is opened.

    Raises:
        RuntimeUnavailableError: the package is absent or too old, there is no NVIDIA GPU that it can use, or
            it has no such arithmetic.
    """
    loaded = load_package(package)
    check_precision(loaded, arithmetic)
    device = open_device()
    _check_gpu(loaded, device)
    check_precision(loaded, arithmetic, device.info)


class TensorRtRuntime:
    """See `engine.runtime.Runtime`.

    Raises:
        RuntimeUnavailableError: package, driver or GPU are absent or do not go together, or the package lacks
            the arithmetic.
        ModelFileError: the file cannot be built, or its plan does not compute what the model does.
        DeviceError: the GPU ran out of memory or failed.
    """

    def __init__(
        self,
        path: Path,
        spec: ModelSpec,
        arithmetic: Arithmetic,
        threads: int = 0,
        *,
        package: PackageName,
        device: Device | None = None,
        on_progress: Progress | None = None,
    ) -> None:
        """Open a float model file.

        Args:
            path: the ONNX file.
            spec: its spec.
            arithmetic: fp32, fp16 or int8.
            threads: means nothing on a GPU.
            package: which of the two.
            device: the GPU; None takes the first.
            on_progress: is told how far building a plan is.
        """
        loaded = load_package(package)
        check_precision(loaded, arithmetic)
        if device is None:
            device = open_device()
        _check_gpu(loaded, device)
        self.name: str = package
        self.precision: Arithmetic = arithmetic
        self.device = device.info.name
        self._spec = spec
        stored, network = _open_network(path, spec, arithmetic, loaded, device, on_progress)
        self._network: TensorRtNetwork | None = network
        self.device_network: DeviceNetwork | None = network
        self._runner = HostRunner(network)
        try:
            self._check_parity(path, stored, device.info, on_progress)
        except BaseException:
            self.close()
            raise

    def run(self, inputs: Float) -> dict[str, Float]:
        """Run the network on a batch; see `engine.runtime.Runtime.run`."""
        return self._runner.run(inputs)

    def close(self) -> None:
        """Free the network; bindings that others made of `device_network` must be closed before."""
        if self._network is None:
            return
        self._runner.close()
        self._network.close()
        self._network = self.device_network = None

    def _check_parity(
        self, path: Path, stored: StoredPlan, gpu: DeviceInfo, on_progress: Progress | None
    ) -> None:
        """Compare the plan with the float model unless that was done on such a GPU already."""
        where = _gpu_text(gpu)
        if stored.parity is not None and stored.parity.get("gpu") == where:
            return
        if on_progress is not None:
            on_progress("comparing with the float model", 1.0)
        parity = check_parity(self, path, self._spec, self.precision)
        LOGGER.info("%s of %s in %s: %s", self.name, path.name, self.precision, parity)
        stored.mark_parity(
            {
                "gpu": where,
                "maximum": parity.maximum,
                "mean": parity.mean,
                "keypoint_px": parity.keypoint_px,
            }
        )


def _open_network(
    path: Path,
    spec: ModelSpec,
    arithmetic: Arithmetic,
    package: TensorRtPackage,
    device: Device,
    on_progress: Progress | None,
) -> tuple[StoredPlan, TensorRtNetwork]:
    """Load the plan of a model; one from the cache that is refused is built anew, once.

    Raises:
        ModelFileError: the package refuses the plan that it has just built.
        others: see `TensorRtRuntime`.
    """
    refused: PlanRefusedError | None = None
    for force in (False, True):
        stored, plan, is_new = obtain_plan(
            path,
            spec,
            package,
            arithmetic,
            gpu=device.info,
            on_progress=_share_first(on_progress),
            any_calibration=True,
            force=force,
        )
        kernels = jit_cache_file(stored.sha256, _gpu_text(device.info)) if package.portable else None
        try:
            return stored, TensorRtNetwork(package, plan, spec, device, kernels)
        except PlanRefusedError as error:
            stored.discard()
            refused = error
            if is_new:
                break
            LOGGER.warning("%s; it is built again", error)
    raise ModelFileError(f"{refused}, although it was built just now; choose another runtime") from refused


def _share_first(on_progress: Progress | None) -> OnProgress | None:
    return None if on_progress is None else lambda share, what: on_progress(what, share)


def _gpu_text(gpu: DeviceInfo) -> str:
    """Return what decides on the kernels that are used."""
    major, minor = gpu.compute_capability
    return f"{gpu.name}, sm_{major}{minor}, driver {gpu.driver[0]}.{gpu.driver[1]}"


def _check_gpu(package: TensorRtPackage, device: Device) -> None:
    """Refuse a GPU for which the package builds no kernels; TensorRT itself says so when it builds."""
    major, minor = device.info.compute_capability
    if package.portable and 10 * major + minor not in supported_capabilities(package):
        raise unsupported_gpu(package, device)
