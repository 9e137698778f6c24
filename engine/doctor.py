"""Doctor: looks at this machine and this installation, runs the bundled models, and says what is amiss.

Every problem comes with the line that mends it. What would make this machine faster is advice, not a problem.
"""

import os
import platform
import re
import sys
from pathlib import Path
from typing import get_args

from engine import __version__
from engine.cache import cache_dir, writable_cache_dir
from engine.doctor_models import CPU_RUNTIMES, Bench, model_reports
from engine.doctor_nvidia import advise_on_nvidia, look_at_nvidia
from engine.doctor_records import (
    Diagnosis,
    Difference,
    GpuReport,
    KernelReport,
    ModelReport,
    ModelRun,
    NvidiaReport,
    ParityReport,
    Problem,
    RuntimeReport,
)
from engine.doctor_versions import package_versions
from engine.errors import DeviceError, RuntimeUnavailableError
from engine.packages import installed_version
from engine.runtime import RUNTIMES, check_arithmetic, installed_runtimes
from engine.runtime.onnxruntime_package import PROVIDERS, import_onnxruntime, install_line
from engine.runtime.openvino import openvino_devices
from engine.settings import RuntimeName

__all__ = [
    "Diagnosis", "Difference", "GpuReport", "KernelReport", "ModelReport", "ModelRun", "NvidiaReport",
    "ParityReport", "Problem", "RuntimeReport", "cpu_name", "diagnose", "usable_cores",
]  # fmt: skip

RUNTIME_NAMES = tuple(name for name in get_args(RuntimeName) if name != "auto")


def diagnose(models_folder: Path | None = None) -> Diagnosis:
    """Look at everything; takes a few seconds, on a GPU a minute where its plans are not built yet.

    Args:
        models_folder: where the bundled models lie, if not in their place.
    """
    problems: list[Problem] = []
    advice: list[Problem] = []
    packages = package_versions(problems)
    nvidia = look_at_nvidia(problems)
    bench = Bench([_runtime_report(name, nvidia, problems) for name in RUNTIME_NAMES], problems)
    models = list(model_reports(models_folder, bench))
    runtimes = list(bench.reports.values())
    advise_on_nvidia(nvidia, runtimes, installed_runtimes(), problems, advice)
    cache_writable = writable_cache_dir("openvino") is not None
    if not cache_writable:
        problems.append(
            Problem(
                what=f"the cache folder {cache_dir()} cannot be written, so every start compiles models",
                remedy=f"mkdir -p {cache_dir()} && chmod u+rwx {cache_dir()}",
            )
        )
    return Diagnosis(
        version=__version__,
        python=f"{platform.python_implementation()} {platform.python_version()} ({sys.executable})",
        system=platform.platform(),
        cpu=cpu_name(),
        cores=usable_cores(),
        memory_gib=_memory_gib(),
        packages=packages,
        nvidia=nvidia,
        runtimes=runtimes,
        models=models,
        cache_dir=str(cache_dir()),
        cache_writable=cache_writable,
        problems=problems,
        advice=advice,
    )


def cpu_name() -> str:
    """Return the processor's name as the system tells it."""
    info = Path("/proc/cpuinfo")
    if info.is_file():
        found = re.search(r"^model name\s*:\s*(.+)$", info.read_text(errors="replace"), re.MULTILINE)
        if found:
            return found.group(1).strip()
    return platform.processor() or platform.machine()


def usable_cores() -> int:
    """Return how many logical processors this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _memory_gib() -> float | None:
    if "SC_PHYS_PAGES" not in getattr(os, "sysconf_names", {}):
        return None
    return round(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30, 1)


def _runtime_report(name: str, nvidia: NvidiaReport, problems: list[Problem]) -> RuntimeReport:
    kind = RUNTIMES[name]
    version = next(filter(None, map(installed_version, kind.packages)), None)
    install = _install_line(name)
    try:
        check_arithmetic(name, kind.usual)
        devices = _devices(name, nvidia)
    except (DeviceError, RuntimeUnavailableError) as error:
        if name in CPU_RUNTIMES:
            problems.append(Problem(what=str(error), remedy=install or kind.install))
        return RuntimeReport(
            name=name, version=version, works=False, devices={}, error=str(error), install=install
        )
    return RuntimeReport(name=name, version=version, works=True, devices=devices, install=install)


def _install_line(name: str) -> str | None:
    """Return the line that gets a runtime, None where this system cannot have it."""
    for provider, kind in PROVIDERS.items():
        if kind.runtime == name:
            fits = kind.system is None or platform.system() in kind.system
            return install_line(provider) if fits else None
    return RUNTIMES[name].install


def _devices(name: str, nvidia: NvidiaReport) -> dict[str, str]:
    if name == "openvino":
        return openvino_devices()
    if RUNTIMES[name].on_nvidia:
        return {f"CUDA {gpu.index}": gpu.name for gpu in nvidia.gpus}
    offered = import_onnxruntime().get_available_providers()
    if name == "onnxruntime":
        return dict.fromkeys(offered, "provider")
    return {kind.provider: "provider" for kind in PROVIDERS.values() if kind.runtime == name}
