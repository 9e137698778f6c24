"""Which NVIDIA GPUs there are, asked of the driver's own libraries: no package needs to be installed.

`driver.driver_state` says what the engine can use; this says what it could, so that `doctor` names what is
missing.
"""

import ctypes
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from engine.cuda.device import DeviceInfo

CAPABILITY_MAJOR, CAPABILITY_MINOR = 75, 76
"""CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR and _MINOR."""
NO_DEVICE = 100
"""CUDA_ERROR_NO_DEVICE."""
LIBRARIES = {"linux": ("libcuda.so.1", "libnvidia-ml.so.1"), "win32": ("nvcuda.dll", "nvml.dll")}
NAME_BYTES = 256

Load = Callable[[str], Any]


@dataclass(frozen=True, slots=True)
class Probe:
    """What the driver says.

    release: of the driver, such as 580.95.05. cuda: the newest CUDA it serves, (major, minor). gpus: those
    that this process sees. problem: why the driver does not answer, None where it does or there is none.
    """

    release: str | None = None
    cuda: tuple[int, int] | None = None
    gpus: tuple[DeviceInfo, ...] = ()
    problem: str | None = None


def probe_gpus(load: Load = ctypes.CDLL, system: str = sys.platform) -> Probe:
    """Ask the driver; never raises.

    Args:
        load: loads a shared library. system: as `sys.platform` names it.
    """
    if system not in LIBRARIES:
        return Probe()
    driver_library, management_library = LIBRARIES[system]
    try:
        driver = load(driver_library)
    except OSError:
        return Probe()
    version = ctypes.c_int()
    if driver.cuDriverGetVersion(ctypes.byref(version)) != 0:
        return Probe(problem="the NVIDIA driver does not tell its version; install it again")
    cuda = (version.value // 1000, version.value % 1000 // 10)
    release = _release(load, management_library)
    status = driver.cuInit(0)
    if status == NO_DEVICE:
        return Probe(release, cuda)
    if status != 0:
        return Probe(
            release,
            cuda,
            problem=f"the NVIDIA driver does not start (CUDA error {status}); restart the computer",
        )
    count = ctypes.c_int()
    if driver.cuDeviceGetCount(ctypes.byref(count)) != 0:
        return Probe(release, cuda, problem="the NVIDIA driver does not count its GPUs; restart the computer")
    return Probe(release, cuda, tuple(_describe(driver, index, cuda) for index in range(count.value)))


def _describe(driver: Any, index: int, cuda: tuple[int, int]) -> DeviceInfo:
    device, memory = ctypes.c_int(), ctypes.c_size_t()
    name = ctypes.create_string_buffer(NAME_BYTES)
    # What cannot be told stays empty or 0.
    driver.cuDeviceGet(ctypes.byref(device), index)
    driver.cuDeviceGetName(name, NAME_BYTES, device)
    driver.cuDeviceTotalMem_v2(ctypes.byref(memory), device)
    capability = (
        _attribute(driver, device, CAPABILITY_MAJOR),
        _attribute(driver, device, CAPABILITY_MINOR),
    )
    return DeviceInfo(name.value.decode(errors="replace"), index, capability, memory.value, cuda)


def _attribute(driver: Any, device: ctypes.c_int, attribute: int) -> int:
    value = ctypes.c_int()
    driver.cuDeviceGetAttribute(ctypes.byref(value), attribute, device)
    return value.value


def _release(load: Load, library: str) -> str | None:
    """Return the driver's release from NVML, None where NVML is not there or does not answer."""
    try:
        management = load(library)
    except OSError:
        return None
    if management.nvmlInit_v2() != 0:
        return None
    text = ctypes.create_string_buffer(NAME_BYTES)
    status = management.nvmlSystemGetDriverVersion(text, NAME_BYTES)
    management.nvmlShutdown()
    return text.value.decode(errors="replace") if status == 0 else None
