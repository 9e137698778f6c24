"""What this machine and this software are, in words, for the head of a benchmark."""

import platform

from engine import __version__
from engine.doctor import cpu_name, usable_cores
from engine.packages import installed_versions

SPEED_PACKAGES = ("numpy", "opencv-python", "opencv-python-headless", "av", "openvino", "onnxruntime")
"""Packages on which speed depends."""


def package_versions() -> dict[str, str]:
    """Return the versions of the packages on which speed depends; absent ones are left out."""
    return installed_versions(SPEED_PACKAGES)


def describe_machine() -> dict[str, object]:
    """Return processor, cores, system and versions, ready for JSON."""
    return {
        "processor": cpu_name(),
        "cores": usable_cores(),
        "system": platform.platform(),
        "python": platform.python_version(),
        "steadypose": __version__,
        "packages": package_versions(),
    }


def machine_line() -> str:
    """Return the machine in one line."""
    versions = ", ".join(f"{name} {number}" for name, number in package_versions().items())
    return (
        f"{cpu_name()}, {usable_cores()} cores, {platform.system()} {platform.machine()}, "
        f"Python {platform.python_version()}, steadypose {__version__}, {versions}"
    )
