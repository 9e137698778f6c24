"""What this machine and this software are, in words, for reports and benchmarks."""

import os
import platform
import tomllib
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

DISTRIBUTION = "steadypose"
REPORTED_PACKAGES = ("numpy", "opencv-python", "av", "openvino", "onnxruntime")
CPUINFO = Path("/proc/cpuinfo")


def software_version() -> str:
    """Return the version of SteadyPose, also in a clone that was never installed."""
    try:
        return version(DISTRIBUTION)
    except PackageNotFoundError:
        project = tomllib.loads(Path(__file__).parents[1].joinpath("pyproject.toml").read_text("utf-8"))
        return str(project["project"]["version"])


def package_versions() -> dict[str, str]:
    """Return the versions of the packages on which speed depends; absent ones are left out."""
    found = {}
    for name in REPORTED_PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def processor_name() -> str:
    """Return the processor's name as the system tells it."""
    if CPUINFO.is_file():
        for line in CPUINFO.read_text("utf-8", errors="replace").splitlines():
            key, _, value = line.partition(":")
            if key.strip() == "model name":
                return value.strip()
    return platform.processor() or platform.machine()


def usable_cores() -> int:
    """Return the number of cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def describe_machine() -> dict[str, object]:
    """Return processor, cores, system and versions, ready for JSON."""
    return {
        "processor": processor_name(),
        "cores": usable_cores(),
        "system": platform.platform(),
        "python": platform.python_version(),
        "steadypose": software_version(),
        "packages": package_versions(),
    }


def machine_line() -> str:
    """Return the machine in one line for the head of a table."""
    versions = ", ".join(f"{name} {number}" for name, number in package_versions().items())
    return (
        f"{processor_name()}, {usable_cores()} cores, {platform.system()} {platform.machine()}, "
        f"Python {platform.python_version()}, {versions}"
    )
