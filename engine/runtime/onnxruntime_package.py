"""The packages of ONNX Runtime: which one is installed, what its providers need, what it raises.

The wheels for CPUs, CUDA and DirectML are different distributions of one import name: two of them in one
environment overwrite each other's files, and the one installed last decides what works.
"""

import io
import platform
import re
from contextlib import redirect_stdout
from dataclasses import dataclass
from typing import Any, Literal

from engine.errors import DeviceError, ModelFileError, RuntimeUnavailableError
from engine.packages import installed_versions
from engine.runtime import Arithmetic

Provider = Literal["cpu", "cuda", "coreml", "directml"]

DISTRIBUTIONS = (
    "onnxruntime", "onnxruntime-gpu", "onnxruntime-directml", "onnxruntime-openvino", "onnxruntime-qnn",
    "onnxruntime-training", "onnxruntime-migraphx", "onnxruntime-rocm", "onnxruntime-silicon",
)  # fmt: skip
"""Everything on the package index that installs the import name `onnxruntime`."""

DEVICE_WORDS = (
    "CUDA failure", "CUDA error", "CUDNN failure", "CUDNN_STATUS", "CUBLAS failure", "CUFFT failure",
    "Failed to allocate memory", "BFCArena", "out of memory", "887A00", "DXGI_ERROR",
)  # fmt: skip
"""What stands in an error of ONNX Runtime that a processor made, not a model; 887A00 begins the codes of a
DirectX device that was removed, reset or hung."""


@dataclass(frozen=True, slots=True)
class ProviderKind:
    """One of ONNX Runtime's providers.

    runtime: our name for it. provider: ONNX Runtime's. wheel: what pip installs. system: as
    `platform.system` says it, None for any. arithmetic: what it computes in.
    """

    runtime: str
    provider: str
    wheel: str
    system: tuple[str, ...] | None
    arithmetic: tuple[Arithmetic, ...]


PROVIDERS: dict[Provider, ProviderKind] = {
    "cpu": ProviderKind("onnxruntime", "CPUExecutionProvider", "onnxruntime", None, ("fp32", "int8")),
    "cuda": ProviderKind(
        "onnxruntime-cuda",
        "CUDAExecutionProvider",
        "onnxruntime-gpu[cuda,cudnn]",
        ("Linux", "Windows"),
        ("fp16", "fp32"),
    ),
    "coreml": ProviderKind(
        "onnxruntime-coreml", "CoreMLExecutionProvider", "onnxruntime", ("Darwin",), ("fp32", "fp16")
    ),
    "directml": ProviderKind(
        "onnxruntime-directml",
        "DmlExecutionProvider",
        "onnxruntime-directml",
        ("Windows",),
        ("fp32", "fp16"),
    ),
}
"""The extras `cuda` and `cudnn` bring NVIDIA's libraries, which the GPU wheel needs and does not hold."""


def installed_distributions() -> dict[str, str]:
    """Return the distributions of ONNX Runtime that are installed, with their versions."""
    return installed_versions(DISTRIBUTIONS)


def install_line(provider: Provider) -> str:
    """Return the line that makes a provider the one that is installed."""
    wheel = PROVIDERS[provider].wheel
    others = [name for name in installed_distributions() if name != wheel]
    quoted = f'"{wheel}"' if "[" in wheel else wheel
    if not others:
        return f"pip install {quoted}"
    # Removing one of two takes files of the other along, so all go before the wanted one comes.
    gone = list(dict.fromkeys([*others, *installed_distributions()]))
    return f"pip uninstall -y {' '.join(gone)} && pip install {quoted}"


def conflict() -> str | None:
    """Say which distributions overwrite each other here; None where at most one is installed."""
    found = installed_distributions()
    if len(found) < 2:
        return None
    names = " and ".join(f"{name} {number}" for name, number in found.items())
    return f"{names} are both installed and overwrite each other's files"


def conflict_line() -> str:
    """Return the line that mends a conflict: the wheel for an accelerator stays, since it serves CPUs too."""
    found = installed_distributions()
    if "onnxruntime-gpu" in found:
        return install_line("cuda")
    return install_line("directml" if "onnxruntime-directml" in found else "cpu")


def import_onnxruntime(provider: Provider = "cpu") -> Any:
    """Import ONNX Runtime.

    Raises:
        RuntimeUnavailableError: it is not installed, or damaged.
    """
    try:
        import onnxruntime
    except ImportError as error:
        raise RuntimeUnavailableError(
            f"runtime {PROVIDERS[provider].runtime!r} cannot be loaded ({error}); install it with "
            f"`{install_line(provider)}`, or choose the runtime openvino"
        ) from error
    return onnxruntime


def check_provider(provider: Provider) -> Any:
    """Import ONNX Runtime and refuse a provider that the installed package does not have.

    Raises:
        RuntimeUnavailableError: the provider is not in the package, or not of this system.
    """
    onnxruntime = import_onnxruntime(provider)
    kind = PROVIDERS[provider]
    if kind.provider in onnxruntime.get_available_providers():
        return onnxruntime
    if kind.system is not None and platform.system() not in kind.system:
        raise RuntimeUnavailableError(
            f"runtime {kind.runtime!r} works on {' and '.join(map(_system_name, kind.system))} only, "
            f"this is {_system_name(platform.system())}; choose another runtime"
        )
    found = ", ".join(f"{name} {number}" for name, number in installed_distributions().items())
    clash = conflict()
    raise RuntimeUnavailableError(
        f"runtime {kind.runtime!r} needs ONNX Runtime's {kind.provider}, which the installed package "
        f"({clash or found or 'of unknown origin'}) does not have; `{install_line(provider)}`"
    )


def preload_cuda(onnxruntime: Any) -> str:
    """Load CUDA and cuDNN from their wheels, where ONNX Runtime does not look by itself.

    Returns:
        What could not be loaded, in ONNX Runtime's words; it prints them.
    """
    if not hasattr(onnxruntime, "preload_dlls"):
        return ""
    told = io.StringIO()
    with redirect_stdout(told):
        # The empty folder means the wheels of NVIDIA, not those inside torch.
        onnxruntime.preload_dlls(directory="")
    return "; ".join(line.strip() for line in told.getvalue().splitlines() if line.strip())


def check_loaded(provider: Provider, session: Any, told: str = "") -> None:
    """Refuse a session that ONNX Runtime moved to the CPU, which it does without an error.

    Args:
        provider: what was asked for. session: what came. told: why libraries could not be loaded.

    Raises:
        RuntimeUnavailableError: the provider is not in the session.
    """
    kind = PROVIDERS[provider]
    if kind.provider in session.get_providers():
        return
    why = conflict() or told or "its libraries or the driver could not be loaded"
    raise RuntimeUnavailableError(
        f"ONNX Runtime could not start its {kind.provider} and would have computed on the CPU ({why}); "
        f"`{install_line(provider)}`, and update the graphics driver if that does not help"
    )


def native_errors() -> tuple[type[Exception], ...]:
    """Return what ONNX Runtime raises; its own exceptions share no base below Exception."""
    from onnxruntime.capi import onnxruntime_pybind11_state as state

    return (
        state.DeviceReset,
        state.EPFail,
        state.EngineError,
        state.Fail,
        state.InvalidArgument,
        state.InvalidGraph,
        state.InvalidProtobuf,
        state.NoSuchFile,
        state.NotImplemented,
        state.RuntimeException,
        RuntimeError,
        ValueError,
    )


def translated(error: Exception, provider: Provider, what: str, remedy: str) -> ModelFileError | DeviceError:
    """Return our error for one of ONNX Runtime's.

    Args:
        error: what it raised. what: did not work, as a clause; remedy: what to do where the model is at
            fault.
    """
    text = str(error)
    if provider != "cpu" and (
        type(error).__name__ == "DeviceReset" or any(words in text for words in DEVICE_WORDS)
    ):
        return DeviceError(
            f"{what}: the GPU failed ({brief(error)}); close other programs that use it or choose a "
            "smaller batch, and start again"
        )
    return ModelFileError(f"{what}: {text}; {remedy}")


def brief(error: Exception) -> str:
    """Return the part of an error that says what the GPU's libraries said, else its first line.

    ONNX Runtime puts the source file, the expression and the host around it.
    """
    text = str(error)
    found = re.search(r"\b(?:CUDA|CUDNN|CUBLAS|CUFFT) failure [^;\n]*", text)
    if found is not None:
        return found[0].strip()
    return text.splitlines()[0].strip() if text.strip() else type(error).__name__


def _system_name(system: str) -> str:
    return "macOS" if system == "Darwin" else system
