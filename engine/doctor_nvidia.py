"""The doctor on NVIDIA GPUs: driver, GPUs, packages, kernels, and what to install.

On a machine without such a GPU nothing of this is a problem, and nothing of it is advised.
"""

import math

from engine.cuda.driver import driver_state, open_device
from engine.cuda.probe import Probe, probe_gpus
from engine.doctor_records import GpuReport, KernelReport, NvidiaReport, Problem, RuntimeReport
from engine.errors import DeviceError, RuntimeUnavailableError
from engine.packages import installed_version

PACKAGES = (
    "cuda-bindings",
    "nvidia-cuda-nvrtc",
    "tensorrt-cu13",
    "tensorrt-rtx-cu13",
    "onnxruntime-gpu",
)

RTX_CAPABILITIES = ((7, 5), (8, 6), (8, 9), (12, 0), (12, 1))
"""What TensorRT-RTX is made for, by NVIDIA's support matrix of its version 1.5: GeForce and RTX cards. The
GPUs of data centres (A100, H100, H200, B200) want TensorRT."""
OLDEST_CAPABILITY = (7, 5)
"""What CUDA 13 still compiles for."""
OLDEST_CUDA = (13, 0)
DRIVER_LINE = "install the NVIDIA driver 580 or later from https://www.nvidia.com/drivers"
"""580 is the first with CUDA 13."""
MORE_NVIDIA = ("onnxruntime-cuda",)
TENSORRT = ("tensorrt", "tensorrt-rtx")


def look_at_nvidia(problems: list[Problem]) -> NvidiaReport:
    """Say what there is, and run the kernels where there is a GPU; adds what is amiss to `problems`."""
    probe = probe_gpus()
    state = driver_state()
    if probe.problem is not None:
        problems.append(Problem(what=probe.problem, remedy=DRIVER_LINE))
    if probe.gpus and state.bindings is not None and not state.devices and _new_enough(probe):
        remedy = (
            DRIVER_LINE if (probe.cuda or OLDEST_CUDA) < OLDEST_CUDA else 'pip install "steadypose[cuda]"'
        )
        problems.append(Problem(what=state.problem or "the GPU cannot be used", remedy=remedy))
    return NvidiaReport(
        driver=probe.release,
        cuda=_dotted(probe.cuda),
        gpus=[
            GpuReport(
                index=gpu.index,
                name=gpu.name,
                compute_capability=_dotted(gpu.compute_capability) or "",
                memory_gib=round(gpu.memory_bytes / 2**30, 1),
            )
            for gpu in probe.gpus
        ],
        packages={name: installed_version(name) for name in PACKAGES},
        problem=None if state.devices else probe.problem or state.problem,
        kernels=_kernel_reports(problems) if state.devices else [],
    )


def advise_on_nvidia(
    nvidia: NvidiaReport,
    runtimes: list[RuntimeReport],
    installed: tuple[str, ...],
    problems: list[Problem],
    advice: list[Problem],
) -> None:
    """Say which runtime would use the GPU that there is, and name those that are installed and do not work.

    Args:
        nvidia: what there is. runtimes: all of them, after they were tried. installed: the names of those
            whose package is there. problems, advice: are added to.
    """
    fitting = [gpu for gpu in nvidia.gpus if _capability(gpu) >= OLDEST_CAPABILITY]
    if not fitting:
        return
    reports = {report.name: report for report in runtimes}
    wanted = best_runtime(_capability(fitting[0]))
    known = {problem.what for problem in problems}
    for name in (wanted, *MORE_NVIDIA):
        report = reports[name]
        if name in installed and not report.works and report.error not in known | {nvidia.problem}:
            problems.append(
                Problem(what=report.error or f"{name} does not work", remedy=report.install or "")
            )
    if any(reports[name].works for name in TENSORRT) or wanted in installed:
        return
    advice.append(
        Problem(
            what=f"{fitting[0].name} is not used yet: runtime {wanted!r} is not installed",
            remedy=reports[wanted].install or "",
        )
    )
    if nvidia.cuda is not None and tuple(map(int, nvidia.cuda.split("."))) < OLDEST_CUDA:
        advice.append(
            Problem(
                what=f"the NVIDIA driver serves CUDA {nvidia.cuda}, which is too old for it",
                remedy=DRIVER_LINE,
            )
        )


def best_runtime(capability: tuple[int, int]) -> str:
    """Return the runtime that is made for a GPU of (major, minor) compute capability."""
    return "tensorrt-rtx" if capability in RTX_CAPABILITIES else "tensorrt"


def finite(number: float) -> float | None:
    """Return a number that JSON can hold, None for one that is infinite or none."""
    return number if math.isfinite(number) else None


def _kernel_reports(problems: list[Problem]) -> list[KernelReport]:
    from engine.cuda.self_check import check_kernels

    try:
        checks = check_kernels(open_device())
    except (DeviceError, RuntimeUnavailableError) as error:
        problems.append(Problem(what=str(error), remedy=DRIVER_LINE))
        return []
    for check in checks:
        if not check.passed:
            what = check.error or f"differs from its twin by {check.maximum:g} {check.unit}"
            problems.append(
                Problem(what=f"kernel {check.kernel} in {check.dtype}: {what}", remedy=DRIVER_LINE)
            )
    return [
        KernelReport(
            kernel=check.kernel,
            dtype=check.dtype,
            unit=check.unit,
            maximum=finite(check.maximum),
            tolerance=check.tolerance,
            passed=check.passed,
            error=check.error,
        )
        for check in checks
    ]


def _new_enough(probe: Probe) -> bool:
    return any(gpu.compute_capability >= OLDEST_CAPABILITY for gpu in probe.gpus)


def _capability(gpu: GpuReport) -> tuple[int, int]:
    major, minor = gpu.compute_capability.split(".")
    return int(major), int(minor)


def _dotted(version: tuple[int, int] | None) -> str | None:
    return None if version is None else f"{version[0]}.{version[1]}"
