"""Turns what the CUDA driver answers into sentences.

`driver` calls through `Calls`, which makes the device's context current in each thread and raises for every
answer but success.
"""

import threading
from collections.abc import Callable
from types import ModuleType
from typing import Any

from engine.errors import DeviceError, RuntimeUnavailableError

UPDATE = "install a driver of release 580 or newer from nvidia.com/drivers"
OLD = f"the NVIDIA driver is too old for CUDA 13 on this GPU: {UPDATE}"
OTHERWISE = "choose a runtime that needs no NVIDIA GPU"

UNAVAILABLE = {
    "CUDA_ERROR_NO_DEVICE": "no NVIDIA GPU is visible: check that one is built in, and CUDA_VISIBLE_DEVICES",
    "CUDA_ERROR_INVALID_DEVICE": "there is no such NVIDIA GPU here: count them with nvidia-smi",
    "CUDA_ERROR_STUB_LIBRARY": f"the CUDA library found is a stub without a driver behind it: {UPDATE}",
    "CUDA_ERROR_SYSTEM_DRIVER_MISMATCH": "parts of the NVIDIA driver have different versions: restart the "
    "machine after an update of the driver",
    "CUDA_ERROR_COMPAT_NOT_SUPPORTED_ON_DEVICE": OLD,
    "CUDA_ERROR_CALL_REQUIRES_NEWER_DRIVER": OLD,
    "CUDA_ERROR_INSUFFICIENT_LOADER_VERSION": OLD,
    "CUDA_ERROR_SYSTEM_NOT_READY": "the NVIDIA system services are not running: start nvidia-fabricmanager",
    "CUDA_ERROR_OPERATING_SYSTEM": "the NVIDIA driver is installed but its kernel module does not answer: "
    "restart the machine, or let the container see the GPU",
    "CUDA_ERROR_UNKNOWN": "the NVIDIA driver is installed but does not answer: restart the machine",
    "CUDA_ERROR_OUT_OF_MEMORY": "GPU memory does not suffice to begin: close what else uses the GPU",
    "CUDA_ERROR_DEVICE_UNAVAILABLE": "the GPU is taken by another program, or busy: close what uses it",
    "CUDA_ERROR_DEVICE_NOT_LICENSED": "the virtual GPU has no licence: ask its administrator",
    "CUDA_ERROR_MPS_CONNECTION_FAILED": "the NVIDIA MPS service does not answer: start or stop it",
}
"""What may go wrong while a device is opened; anything else is told by its name."""

MEMORY = "GPU memory does not suffice: choose a smaller model or input, or close what else uses the GPU"
KERNEL = "a kernel went wrong on the GPU and its work is lost: start again, and report this if it comes back"
LOST = "the GPU was lost: start again; if it comes back, update the driver and check power and heat"
IMAGE = f"the driver cannot load a kernel that was compiled for this GPU: {UPDATE}"
CAPTURE = "this work cannot be captured in a graph"

FAILED = {
    "CUDA_ERROR_OUT_OF_MEMORY": MEMORY,
    "CUDA_ERROR_ILLEGAL_ADDRESS": KERNEL,
    "CUDA_ERROR_MISALIGNED_ADDRESS": KERNEL,
    "CUDA_ERROR_INVALID_ADDRESS_SPACE": KERNEL,
    "CUDA_ERROR_ILLEGAL_INSTRUCTION": KERNEL,
    "CUDA_ERROR_INVALID_PC": KERNEL,
    "CUDA_ERROR_HARDWARE_STACK_ERROR": KERNEL,
    "CUDA_ERROR_ASSERT": KERNEL,
    "CUDA_ERROR_LAUNCH_FAILED": KERNEL,
    "CUDA_ERROR_LAUNCH_TIMEOUT": "a kernel took longer than the system lets a GPU with a screen work: use a "
    "smaller model or input, or another GPU",
    "CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES": "a kernel asks for more than this GPU has: report its name",
    "CUDA_ERROR_ECC_UNCORRECTABLE": LOST,
    "CUDA_ERROR_NVLINK_UNCORRECTABLE": LOST,
    "CUDA_ERROR_CONTAINED": LOST,
    "CUDA_ERROR_DEVICE_UNAVAILABLE": LOST,
    "CUDA_ERROR_EXTERNAL_DEVICE": LOST,
    "CUDA_ERROR_UNKNOWN": LOST,
    "CUDA_ERROR_DEINITIALIZED": "the CUDA driver is shutting down: the program is at its end",
    "CUDA_ERROR_CONTEXT_IS_DESTROYED": "another part of the program reset the GPU: start again",
    "CUDA_ERROR_NO_BINARY_FOR_GPU": IMAGE,
    "CUDA_ERROR_INVALID_IMAGE": IMAGE,
    "CUDA_ERROR_INVALID_PTX": IMAGE,
    "CUDA_ERROR_UNSUPPORTED_PTX_VERSION": IMAGE,
    "CUDA_ERROR_JIT_COMPILER_NOT_FOUND": IMAGE,
    "CUDA_ERROR_NOT_FOUND": "the kernel file has no such entry",
    "CUDA_ERROR_NOT_READY": "the work asked about is not done yet: wait for it first",
    "CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED": CAPTURE,
    "CUDA_ERROR_STREAM_CAPTURE_INVALIDATED": CAPTURE,
    "CUDA_ERROR_STREAM_CAPTURE_MERGE": CAPTURE,
    "CUDA_ERROR_STREAM_CAPTURE_UNMATCHED": CAPTURE,
    "CUDA_ERROR_STREAM_CAPTURE_UNJOINED": CAPTURE,
    "CUDA_ERROR_STREAM_CAPTURE_ISOLATION": CAPTURE,
    "CUDA_ERROR_STREAM_CAPTURE_IMPLICIT": CAPTURE,
    "CUDA_ERROR_STREAM_CAPTURE_WRONG_THREAD": CAPTURE,
    "CUDA_ERROR_CAPTURED_EVENT": CAPTURE,
}
"""What may go wrong later; anything else is told by its name."""


def unavailable(result: Any, what: str) -> RuntimeUnavailableError:
    """Return the error for an answer that came while a device was opened: `what` was not possible."""
    sentence = UNAVAILABLE.get(result.name, f"the NVIDIA driver does not work here; {OTHERWISE}")
    return RuntimeUnavailableError(f"{sentence} ({what}: {result.name})")


def failed(result: Any, what: str) -> DeviceError:
    """Return the error for an answer that came while a device worked: `what` was not possible."""
    sentence = FAILED.get(result.name, f"the GPU refused what was asked of it: start again, or {OTHERWISE}")
    return DeviceError(f"{sentence} ({what}: {result.name})")


def strange(function: Callable[..., Any], error: ValueError) -> str:
    """Return the sentence for an answer that the bindings have no name for."""
    return (
        f"the NVIDIA driver answered {function.__name__} with what cuda-bindings does not know ({error}): "
        "pip install --upgrade cuda-bindings"
    )


CURRENT = threading.local()
"""context: the one that is current in this thread."""


class Calls:
    """The functions of `cuda.bindings.driver`, called with a device's context current.

    The bindings let other Python threads run during every call, waiting ones too.
    """

    def __init__(self, cuda: ModuleType, context: Any) -> None:
        """Take the module and a CUcontext."""
        self.cuda = cuda
        self._context = context

    def __call__(self, function: Callable[..., Any], *arguments: object, what: str = "") -> Any:
        """Call a function of the module and return what it gives: None, one value, or a tuple.

        Args:
            function: of `cuda`. arguments: as it takes them. what: for the message, if it says more than the
                function's name.

        Raises:
            DeviceError: it did not succeed.
        """
        if getattr(CURRENT, "context", None) is not self._context:
            (result,) = self.cuda.cuCtxSetCurrent(self._context)
            if result != self.cuda.CUresult.CUDA_SUCCESS:
                raise failed(result, "cuCtxSetCurrent")
            CURRENT.context = self._context
        try:
            result, *values = function(*arguments)
        except RuntimeError as error:  # the bindings did not find it in the driver's library
            raise DeviceError(f"the NVIDIA driver lacks {function.__name__} ({error}): {UPDATE}") from error
        except ValueError as error:
            raise DeviceError(strange(function, error)) from error
        if result != self.cuda.CUresult.CUDA_SUCCESS:
            raise failed(result, what or function.__name__)
        return values[0] if len(values) == 1 else tuple(values) or None
