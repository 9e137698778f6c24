"""Finds and opens NVIDIA GPUs, and says what is missing where there are none.

The primary context of a GPU is used, the one that TensorRT and ONNX Runtime work in.
"""

import threading
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from types import ModuleType
from typing import Any, cast

from engine.cuda.cuda_device import CudaDevice
from engine.cuda.device import Device, DeviceInfo
from engine.cuda.nvrtc import INSTALL
from engine.cuda.results import OTHERWISE, UPDATE, Calls, strange, unavailable
from engine.errors import RuntimeUnavailableError
from engine.packages import installed_version

NEEDED_DRIVER = (13, 0)
NEEDED_CAPABILITY = (7, 5)
OPENING = threading.Lock()


@dataclass(frozen=True, slots=True)
class DriverState:
    """What there is to run CUDA with. bindings, nvrtc: versions of the packages, None where not installed.

    driver: CUDA version of the NVIDIA driver, (major, minor), None without one. devices: the GPUs that serve.
    problem: why there are none, None where there are.
    """

    bindings: str | None
    nvrtc: str | None
    driver: tuple[int, int] | None
    devices: tuple[DeviceInfo, ...]
    problem: str | None


def driver_state() -> DriverState:
    """Look for GPUs and what they need; never raises."""
    bindings, nvrtc = installed_version("cuda-bindings"), installed_version("nvidia-cuda-nvrtc")
    driver = None
    devices: list[DeviceInfo] = []
    problem = None
    try:
        cuda = _bindings()
        driver = _driver_version(cuda)
        devices, problem = _usable_devices(cuda, driver)
    except RuntimeUnavailableError as error:
        problem = str(error)
    return DriverState(bindings, nvrtc, driver, tuple(devices), None if devices else problem)


def open_device(index: int = 0) -> Device:
    """Open a GPU; the same one comes back for the same index as long as the process lives.

    Args:
        index: its place among those that the process sees.

    Raises:
        RuntimeUnavailableError: cuda-bindings or the driver is missing or too old, or there is no such GPU.
    """
    with OPENING:
        return _open_device(index)


@cache
def _open_device(index: int) -> CudaDevice:
    cuda = _bindings()
    driver = _driver_version(cuda)
    _initialise(cuda, driver)
    info = _describe(cuda, index, driver)
    refusal = _refusal(info)
    if refusal:
        raise RuntimeUnavailableError(refusal)
    context = _ask(cuda, cuda.cuDevicePrimaryCtxRetain, _ask(cuda, cuda.cuDeviceGet, index))
    return CudaDevice(info, Calls(cuda, context))


def _bindings() -> ModuleType:
    try:
        from cuda.bindings import driver
    except ImportError as error:
        raise RuntimeUnavailableError(
            f"NVIDIA GPUs are used through cuda-bindings, which does not load ({error}); {INSTALL}"
        ) from error
    return cast(ModuleType, driver)


def _ask(cuda: ModuleType, function: Callable[..., Any], *arguments: object) -> Any:
    """Call a function while a device is opened: without a context.

    Raises:
        RuntimeUnavailableError: it did not succeed.
    """
    try:
        result, *values = function(*arguments)
    except RuntimeError as error:  # the bindings: no library of the driver, or one without this function
        raise RuntimeUnavailableError(
            f"no NVIDIA driver that serves CUDA 13 was found ({error}); {UPDATE}, or {OTHERWISE}"
        ) from error
    except ValueError as error:
        raise RuntimeUnavailableError(strange(function, error)) from error
    if result != cuda.CUresult.CUDA_SUCCESS:
        raise unavailable(result, function.__name__)
    return values[0] if values else None


def _driver_version(cuda: ModuleType) -> tuple[int, int]:
    number = int(_ask(cuda, cuda.cuDriverGetVersion))
    return number // 1000, number % 1000 // 10


def _initialise(cuda: ModuleType, driver: tuple[int, int]) -> None:
    if driver < NEEDED_DRIVER:
        raise RuntimeUnavailableError(
            f"the NVIDIA driver serves CUDA {driver[0]}.{driver[1]}, CUDA 13.0 is needed: {UPDATE}"
        )
    _ask(cuda, cuda.cuInit, 0)


def _describe(cuda: ModuleType, index: int, driver: tuple[int, int]) -> DeviceInfo:
    count = int(_ask(cuda, cuda.cuDeviceGetCount))
    if not 0 <= index < count:
        raise RuntimeUnavailableError(
            f"GPU {index} was asked for, this process sees {count}, counted from 0: "
            "choose one of those, or check CUDA_VISIBLE_DEVICES"
        )
    device = _ask(cuda, cuda.cuDeviceGet, index)
    name = _ask(cuda, cuda.cuDeviceGetName, 256, device).partition(b"\0")[0].decode(errors="replace")
    kinds = cuda.CUdevice_attribute
    major, minor = (
        int(_ask(cuda, cuda.cuDeviceGetAttribute, kind, device))
        for kind in (
            kinds.CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR,
            kinds.CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR,
        )
    )
    return DeviceInfo(
        name=name,
        index=index,
        compute_capability=(major, minor),
        memory_bytes=int(_ask(cuda, cuda.cuDeviceTotalMem, device)),
        driver=driver,
        multiprocessors=_known(cuda, kinds.CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT, device),
        clock_khz=_known(cuda, kinds.CU_DEVICE_ATTRIBUTE_CLOCK_RATE, device),
        memory_clock_khz=_known(cuda, kinds.CU_DEVICE_ATTRIBUTE_MEMORY_CLOCK_RATE, device),
        memory_bus_bits=_known(cuda, kinds.CU_DEVICE_ATTRIBUTE_GLOBAL_MEMORY_BUS_WIDTH, device),
    )


def _known(cuda: ModuleType, kind: object, device: object) -> int | None:
    """Return an attribute that only benchmarks look at; None where the driver does not tell it."""
    try:
        return int(_ask(cuda, cuda.cuDeviceGetAttribute, kind, device)) or None
    except RuntimeUnavailableError:
        return None


def _refusal(info: DeviceInfo) -> str | None:
    """Say why a GPU does not serve; None where it does."""
    if info.compute_capability >= NEEDED_CAPABILITY:
        return None
    have, need = (".".join(map(str, pair)) for pair in (info.compute_capability, NEEDED_CAPABILITY))
    return f"{info.name} has compute capability {have}, {need} is needed (Turing or newer); {OTHERWISE}"


def _usable_devices(cuda: ModuleType, driver: tuple[int, int]) -> tuple[list[DeviceInfo], str | None]:
    _initialise(cuda, driver)
    count = int(_ask(cuda, cuda.cuDeviceGetCount))
    found = [_describe(cuda, index, driver) for index in range(count)]
    refusals = [refusal for refusal in map(_refusal, found) if refusal]
    problem = "; ".join(refusals) or "no NVIDIA GPU is visible: check CUDA_VISIBLE_DEVICES"
    return [info for info in found if not _refusal(info)], problem
