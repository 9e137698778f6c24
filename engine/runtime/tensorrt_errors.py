"""What TensorRT says where it fails, in sentences: its calls return nothing then, and its log tells why."""

import re
from typing import Any

from engine.cuda.device import Device
from engine.errors import DeviceError, ModelFileError, RuntimeUnavailableError, SteadyPoseError
from engine.runtime.tensorrt_package import TensorRtPackage

_OUT_OF_MEMORY = re.compile(r"out ?of ?memory", re.IGNORECASE)
_GPU_FAILED = re.compile(
    r"illegal memory access|unspecified launch failure|launch timed out|uncorrectable ECC|"
    r"hardware stack error|busy or unavailable|unknown error",
    re.IGNORECASE,
)
"""How CUDA names a GPU that failed; the plan may be good."""
_BAD_DRIVER = re.compile(r"driver version is insufficient|no CUDA-capable device", re.IGNORECASE)


class PlanRefusedError(ModelFileError):
    """The package does not take a plan: another version, another GPU, damaged."""


def refusal(package: TensorRtPackage, runtime: Any, plan: bytes, device: Device) -> SteadyPoseError:
    """Return the error of a plan that was not taken: whether to build it anew depends on it."""
    why = package.why()
    if _OUT_OF_MEMORY.search(why) or _GPU_FAILED.search(why):
        return device_error(package, device, "load the plan", why)
    if _BAD_DRIVER.search(why):
        return RuntimeUnavailableError(
            f"{package.name} {package.version} found no NVIDIA driver that it can use ({why}); install a "
            "newer driver, or choose another runtime"
        )
    if package.portable:
        reason = package.module.EngineInvalidityDiagnostics
        _, found = runtime.get_engine_validity(plan)
        if found & int(reason.UNSUPPORTED_CC):
            return unsupported_gpu(package, device)
        if found & int(reason.INSUFFICIENT_GPU_MEMORY):
            return device_error(package, device, "load the plan", "out of memory")
    return PlanRefusedError(f"{package.name} {package.version} does not take the plan: {why}")


def unsupported_gpu(package: TensorRtPackage, device: Device) -> RuntimeUnavailableError:
    """Return the error of TensorRT-RTX on a GPU that it is not made for."""
    known = ", ".join(f"{value // 10}.{value % 10}" for value in supported_capabilities(package))
    major, minor = device.info.compute_capability
    return RuntimeUnavailableError(
        f"{package.name} runs on GPUs of compute capability {known}, but {device.info.name} has "
        f"{major}.{minor}; choose the runtime tensorrt or onnxruntime-cuda"
    )


def supported_capabilities(package: TensorRtPackage) -> list[int]:
    """Return the compute capabilities, 10 times major plus minor, that TensorRT-RTX is made for."""
    names = package.module.ComputeCapability.__members__
    return sorted(int(name[2:]) for name in names if re.fullmatch(r"SM\d+", name))


def device_error(package: TensorRtPackage, device: Device, what: str, why: str) -> DeviceError:
    """Return the error of a call that failed: `what` was not possible, `why` is what the package said."""
    if _OUT_OF_MEMORY.search(why):
        return DeviceError(
            f"the memory of {device.info.name} does not suffice to {what} ({package.name}: {why}); close "
            "what else uses the GPU, or choose a smaller model"
        )
    return DeviceError(f"{package.name} could not {what} on {device.info.name}: {why}")
