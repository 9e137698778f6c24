"""Versions of installed packages, and which of ours are missing."""

from importlib.metadata import PackageNotFoundError, requires

from engine.doctor_records import Problem
from engine.packages import installed_version
from engine.runtime.onnxruntime_package import conflict, conflict_line, installed_distributions

PACKAGES = (
    "numpy", "opencv-python", "opencv-python-headless", "av", "openvino", "onnxruntime", "onnx", "scipy",
    "filterpy", "pydantic", "PyYAML", "typer", "rich", "PySide6-Essentials", "pyqtgraph",
    "cv2-enumerate-cameras",
)  # fmt: skip
"""What is looked for: the dependencies and the drop-in for OpenCV."""


def package_versions(problems: list[Problem]) -> dict[str, str | None]:
    """Return each package's version, None where it is absent; adds the absent ones to `problems`.

    Any distribution of ONNX Runtime will do, but only one of them.
    """
    found = {name: installed_version(name) for name in PACKAGES}
    found["opencv"] = found.pop("opencv-python") or found.pop("opencv-python-headless")
    found.pop("opencv-python-headless", None)
    runtimes = installed_distributions()
    found["onnxruntime"] = next(iter(runtimes.values()), None)
    for name in sorted(name for name, installed in found.items() if installed is None):
        wanted = next((line for line in _requirements() if line.lower().startswith(name.lower())), name)
        problems.append(Problem(what=f"package {name} is not installed", remedy=f'pip install "{wanted}"'))
    clash = conflict()
    if clash is not None:
        problems.append(Problem(what=clash, remedy=conflict_line()))
    return found


def _requirements() -> list[str]:
    try:
        return [line for line in requires("steadypose") or [] if "extra ==" not in line]
    except PackageNotFoundError:
        return []
