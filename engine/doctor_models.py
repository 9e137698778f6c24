"""The doctor on models: runs the bundled ones on every runtime that works, and compares what comes out."""

import time
from collections.abc import Iterator, Sequence
from itertools import combinations
from pathlib import Path

import numpy as np

from engine.doctor_nvidia import finite
from engine.doctor_records import Difference, ModelReport, ModelRun, ParityReport, Problem, RuntimeReport
from engine.errors import DeviceError, ModelFileError, RuntimeUnavailableError, SourceError
from engine.model import Model, open_model
from engine.runtime import RUNTIMES, Arithmetic
from engine.zoo import ALIASES, ZooEntry, find_model, model_names

REINSTALL = "pip install --force-reinstall .  # in a fresh clone"

RUNTIME_TOLERANCE = 0.05
"""Largest difference of heatmaps in [0, 1] between two runtimes in one precision that passes as rounding."""

CPU_RUNTIMES = ("openvino", "onnxruntime")
"""Those that run the files as they are; the others make their own forms from the float file."""

Heatmaps = dict[tuple[str, str], np.ndarray]


class Bench:
    """The runtimes that models are tried on; one that fails a model is taken off."""

    def __init__(self, runtimes: Sequence[RuntimeReport], problems: list[Problem]) -> None:
        """Take what seems to work. problems: is added to."""
        self.reports = {report.name: report for report in runtimes}
        self.problems = problems

    @property
    def working(self) -> list[str]:
        """The names of the runtimes that have not failed."""
        return [name for name, report in self.reports.items() if report.works]

    def take_off(self, name: str, model: str, error: Exception) -> None:
        """Note that a runtime cannot run a model."""
        report = self.reports[name]
        self.reports[name] = report.model_copy(update={"works": False, "error": str(error)})
        remedy = "steadypose doctor" if report.install is None else report.install
        self.problems.append(Problem(what=f"{name} cannot run {model}: {error}", remedy=remedy))


def model_reports(folder: Path | None, bench: Bench) -> Iterator[ModelReport]:
    """Try every bundled model; adds what is amiss to the bench's problems."""
    names = model_names(folder)
    for alias, target in ALIASES.items():
        if target not in names:
            what = f"the bundled model {target!r} behind {alias!r} is missing"
            bench.problems.append(Problem(what=what, remedy=REINSTALL))
    for name in names:
        try:
            yield _model_report(find_model(name, folder), bench)
        except ModelFileError as error:
            bench.problems.append(Problem(what=str(error), remedy=REINSTALL))


def _model_report(entry: ZooEntry, bench: Bench) -> ModelReport:
    inputs = _picture(entry)
    runs: list[ModelRun] = []
    heatmaps: Heatmaps = {}
    parity: list[ParityReport] = []
    for runtime in bench.working:
        if runtime in CPU_RUNTIMES:
            for form, file in entry.files.items():
                runs.append(
                    _run(runtime, file, "int8" if form == "int8" else "fp32", inputs, entry, heatmaps)
                )
            continue
        precision = RUNTIMES[runtime].usual
        path = entry.files.get("fp32")
        if path is None:
            continue
        try:
            model = open_model(path, runtime=runtime, precision=precision)  # type: ignore[arg-type]
        except (DeviceError, ModelFileError, RuntimeUnavailableError) as error:
            bench.take_off(runtime, entry.name, error)
            continue
        try:
            runs.append(_measure(model, precision, inputs, entry, heatmaps))
            parity.append(_parity(model, path, entry, precision, bench.problems))
        except (DeviceError, ModelFileError, SourceError) as error:
            bench.take_off(runtime, entry.name, error)
        finally:
            model.close()
    differences = list(_differences(entry, heatmaps, bench.problems))
    return ModelReport(about=entry.describe(), runs=runs, differences=differences, parity=parity)


def _run(
    runtime: str, path: Path, precision: Arithmetic, inputs: np.ndarray, entry: ZooEntry, heatmaps: Heatmaps
) -> ModelRun:
    model = open_model(path, runtime=runtime, precision=precision)  # type: ignore[arg-type]
    try:
        return _measure(model, precision, inputs, entry, heatmaps)
    finally:
        model.close()


def _measure(
    model: Model, precision: Arithmetic, inputs: np.ndarray, entry: ZooEntry, heatmaps: Heatmaps
) -> ModelRun:
    name = model.runtime.name
    heatmaps[name, precision] = model.run(inputs)[entry.spec.heatmap_outputs[0].name]
    return ModelRun(runtime=name, precision=precision, latency_ms=_latency_ms(model, inputs))


def _parity(
    model: Model, path: Path, entry: ZooEntry, precision: Arithmetic, problems: list[Problem]
) -> ParityReport:
    from engine.runtime.parity import measure_parity  # with the decoders, half a second where none is needed

    found = measure_parity(model.runtime, path, entry.spec, precision)
    name = model.runtime.name
    if not found.passed:
        problems.append(
            Problem(
                what=f"{entry.name} on {name} in {precision} does not compute what the model does: {found}",
                remedy=f"steadypose track --runtime {name} --precision fp32  # or another runtime",
            )
        )
    return ParityReport(
        model=entry.name,
        runtime=name,
        precision=precision,
        maximum=finite(found.maximum),
        mean=finite(found.mean),
        keypoint_px=finite(found.keypoint_px),
        keypoints=found.keypoints,
        allowed_maximum=found.tolerance.maximum,
        allowed_mean=found.tolerance.mean,
        allowed_keypoint_px=found.tolerance.keypoint_px,
        passed=found.passed,
    )


def _differences(entry: ZooEntry, heatmaps: Heatmaps, problems: list[Problem]) -> Iterator[Difference]:
    for first, second in combinations(heatmaps, 2):
        gap = np.abs(heatmaps[first] - heatmaps[second])
        names = " ".join(first), " ".join(second)
        if first[1] == second[1] and not gap.max() <= RUNTIME_TOLERANCE:
            problems.append(
                Problem(
                    what=f"{entry.name} differs by {gap.max():.3f} between {names[0]} and {names[1]}",
                    remedy="pip install --upgrade openvino onnxruntime",
                )
            )
        yield Difference(first=names[0], second=names[1], maximum=float(gap.max()), mean=float(gap.mean()))


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
