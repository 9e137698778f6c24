"""Doctor: looks at this machine and this installation, runs the bundled models, and says what is amiss.

Every problem comes with the line that mends it.
"""

import os
import platform
import re
import sys
import time
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, requires, version
from itertools import combinations
from pathlib import Path

import numpy as np
from pydantic import BaseModel, ConfigDict

from engine import __version__
from engine.cache import cache_dir, writable_cache_dir
from engine.errors import ModelFileError, RuntimeUnavailableError
from engine.model import Model, open_model
from engine.runtime import RUNTIMES
from engine.runtime.onnxruntime import onnxruntime_providers
from engine.runtime.openvino import openvino_devices
from engine.settings import Precision, RuntimeName
from engine.zoo import ALIASES, ZooEntry, find_model, model_names

PACKAGES = (
    "numpy", "opencv-python", "opencv-python-headless", "av", "openvino", "onnxruntime", "onnx", "scipy",
    "filterpy", "pydantic", "PyYAML", "typer", "rich", "PySide6-Essentials", "pyqtgraph",
    "cv2-enumerate-cameras",
)  # fmt: skip
"""What is looked for: the dependencies and the drop-in for OpenCV."""

REINSTALL = "pip install --force-reinstall .  # in a fresh clone"

RUNTIME_TOLERANCE = 0.05
"""Largest difference of heatmaps in [0, 1] between two runtimes in one precision that passes as rounding."""


class Record(BaseModel):
    """Base of what the doctor writes down."""

    model_config = ConfigDict(frozen=True)


class Problem(Record):
    """Something amiss and the line that mends it."""

    what: str
    remedy: str


class RuntimeReport(Record):
    """Whether a runtime works here. devices: accelerators it sees; error: why it does not work."""

    name: str
    version: str | None
    works: bool
    devices: dict[str, str]
    error: str | None = None


class ModelRun(Record):
    """One bundled model on one runtime in one precision: fastest of five runs on one picture, ms."""

    runtime: str
    precision: str
    latency_ms: float


class Difference(Record):
    """Largest and mean absolute difference of the first heatmaps between two runs of one model."""

    first: str
    second: str
    maximum: float
    mean: float


class ModelReport(Record):
    """A bundled model: what its file says, how it runs, how far its runs differ."""

    about: dict[str, object]
    runs: list[ModelRun]
    differences: list[Difference]


class Diagnosis(Record):
    """All that the doctor found; `model_dump_json()` makes JSON of it."""

    version: str
    python: str
    system: str
    cpu: str
    cores: int
    memory_gib: float | None
    packages: dict[str, str | None]
    runtimes: list[RuntimeReport]
    models: list[ModelReport]
    cache_dir: str
    cache_writable: bool
    problems: list[Problem]

    @property
    def healthy(self) -> bool:
        """Whether nothing is amiss."""
        return not self.problems


def diagnose(models_folder: Path | None = None) -> Diagnosis:
    """Look at everything; takes a few seconds.

    Args:
        models_folder: where the bundled models lie, if not in their place.
    """
    problems: list[Problem] = []
    packages = _packages(problems)
    runtimes = [_runtime_report(name, problems) for name in RUNTIMES]
    working: list[RuntimeName] = [report.name for report in runtimes if report.works]  # type: ignore[misc]
    models = list(_model_reports(models_folder, working, problems))
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
        runtimes=runtimes,
        models=models,
        cache_dir=str(cache_dir()),
        cache_writable=cache_writable,
        problems=problems,
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


def _packages(problems: list[Problem]) -> dict[str, str | None]:
    found = {name: _version(name) for name in PACKAGES}
    found["opencv"] = found.pop("opencv-python") or found.pop("opencv-python-headless")
    found.pop("opencv-python-headless", None)
    for name in sorted(name for name, installed in found.items() if installed is None):
        wanted = next((line for line in _requirements() if line.lower().startswith(name.lower())), name)
        problems.append(Problem(what=f"package {name} is not installed", remedy=f'pip install "{wanted}"'))
    return found


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _requirements() -> list[str]:
    try:
        return [line for line in requires("steadypose") or [] if "extra ==" not in line]
    except PackageNotFoundError:
        return []


def _runtime_report(name: str, problems: list[Problem]) -> RuntimeReport:
    try:
        if name == "openvino":
            devices = openvino_devices()
        else:
            devices = dict.fromkeys(onnxruntime_providers(), "provider")
    except RuntimeUnavailableError as error:
        problems.append(Problem(what=str(error), remedy=f"pip install {name}"))
        return RuntimeReport(name=name, version=_version(name), works=False, devices={}, error=str(error))
    return RuntimeReport(name=name, version=_version(name), works=True, devices=devices)


def _model_reports(
    folder: Path | None, runtimes: list[RuntimeName], problems: list[Problem]
) -> Iterator[ModelReport]:
    names = model_names(folder)
    for alias, target in ALIASES.items():
        if target not in names:
            problems.append(
                Problem(
                    what=f"the bundled model {target!r} behind {alias!r} is missing",
                    remedy=REINSTALL,
                )
            )
    for name in names:
        try:
            entry = find_model(name, folder)
            yield _model_report(entry, runtimes, problems)
        except ModelFileError as error:
            problems.append(Problem(what=str(error), remedy=REINSTALL))


def _model_report(entry: ZooEntry, runtimes: list[RuntimeName], problems: list[Problem]) -> ModelReport:
    inputs = _picture(entry)
    first_output = entry.spec.heatmap_outputs[0].name
    runs: list[ModelRun] = []
    heatmaps: dict[tuple[str, str], np.ndarray] = {}
    for runtime in runtimes:
        for precision, path in entry.files.items():
            form: Precision = "int8" if precision == "int8" else "fp32"
            model = open_model(path, runtime=runtime, precision=form)
            heatmaps[runtime, precision] = model.run(inputs)[first_output]
            runs.append(ModelRun(runtime=runtime, precision=precision, latency_ms=_latency_ms(model, inputs)))
            model.close()
    differences = []
    for first, second in combinations(heatmaps, 2):
        gap = np.abs(heatmaps[first] - heatmaps[second])
        names = " ".join(first), " ".join(second)
        differences.append(
            Difference(first=names[0], second=names[1], maximum=float(gap.max()), mean=float(gap.mean()))
        )
        if first[1] == second[1] and gap.max() > RUNTIME_TOLERANCE:
            problems.append(
                Problem(
                    what=f"{entry.name} differs by {gap.max():.3f} between {names[0]} and {names[1]}",
                    remedy="pip install --upgrade openvino onnxruntime",
                )
            )
    return ModelReport(about=entry.describe(), runs=runs, differences=differences)


def _picture(entry: ZooEntry) -> np.ndarray:
    """A smooth coloured pattern as network input, the same on every machine."""
    height, width = entry.spec.input_size
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    waves = [np.sin(x / 9 + phase) * np.cos(y / 13 - phase) for phase in (0.0, 2.0, 4.0)]
    return np.stack(waves)[None].astype(np.float32)


def _latency_ms(model: Model, inputs: np.ndarray) -> float:
    times = []
    for _ in range(5):
        start = time.perf_counter()
        model.run(inputs)
        times.append(time.perf_counter() - start)
    return round(min(times) * 1e3, 3)
