"""The doctor on GPUs that are made up, with runtimes that compute on the CPU."""

from collections.abc import Callable
from pathlib import Path

import pytest

import engine.doctor
import engine.doctor_models
from engine import doctor_nvidia
from engine.cuda.device import DeviceInfo
from engine.cuda.driver import DriverState
from engine.cuda.probe import Probe
from engine.cuda.self_check import KernelCheck
from engine.doctor import Diagnosis, diagnose
from engine.doctor_nvidia import best_runtime
from engine.errors import RuntimeUnavailableError
from engine.model import open_model

RTX = DeviceInfo("NVIDIA GeForce RTX 4090", 0, (8, 9), 24 << 30, (13, 0))
H200 = DeviceInfo("NVIDIA H200", 0, (9, 0), 140 << 30, (13, 0))
Pretend = Callable[..., None]


@pytest.fixture
def folder(tmp_path: Path, write_marker_model: Callable[..., Path]) -> Path:
    for name, kind in (("steadypose-td-w16", "top-down"), ("steadypose-bu-w16", "bottom-up")):
        write_marker_model(tmp_path / f"{name}.onnx", kind)
    return tmp_path


@pytest.fixture
def pretend(monkeypatch: pytest.MonkeyPatch) -> Pretend:
    """Function that puts a GPU into this machine: what the driver says, what is installed and what works."""

    def put(
        gpu: DeviceInfo,
        *,
        cuda: tuple[int, int] = (13, 0),
        bindings: str | None = "13.5.0",
        usable: bool = True,
        installed: tuple[str, ...] = ("openvino", "onnxruntime"),
        works: tuple[str, ...] = ("openvino", "onnxruntime"),
        checks: tuple[KernelCheck, ...] = (),
    ) -> None:
        problem = None if usable else "the driver is too old for CUDA 13"
        devices = (gpu,) if usable else ()
        monkeypatch.setattr(doctor_nvidia, "probe_gpus", lambda: Probe("580.95.05", cuda, (gpu,)))
        monkeypatch.setattr(
            doctor_nvidia, "driver_state", lambda: DriverState(bindings, bindings, cuda, devices, problem)
        )
        monkeypatch.setattr(doctor_nvidia, "open_device", lambda: gpu)
        monkeypatch.setattr("engine.cuda.self_check.check_kernels", lambda device: list(checks))
        monkeypatch.setattr(engine.doctor, "installed_runtimes", lambda: installed)

        def check(name: str, arithmetic: str) -> None:
            if name not in works:
                raise RuntimeUnavailableError(f"{name} is not for you")

        monkeypatch.setattr(engine.doctor, "check_arithmetic", check)

    return put


def test_a_gpu_without_its_runtime_is_advice_with_the_line(folder: Path, pretend: Pretend) -> None:
    pretend(RTX)
    found = diagnose(folder)
    assert found.healthy
    assert [(item.what, item.remedy) for item in found.advice] == [
        ("NVIDIA GeForce RTX 4090 is not used yet: runtime 'tensorrt-rtx' is not installed",
         'pip install "steadypose[rtx]"')
    ]  # fmt: skip
    assert found.nvidia.driver == "580.95.05" and found.nvidia.cuda == "13.0"
    assert found.nvidia.gpus[0].compute_capability == "8.9" and found.nvidia.gpus[0].memory_gib == 24


@pytest.mark.parametrize(
    ("capability", "runtime"),
    [((7, 5), "tensorrt-rtx"), ((8, 0), "tensorrt"), ((8, 6), "tensorrt-rtx"), ((9, 0), "tensorrt"),
     ((10, 0), "tensorrt"), ((12, 0), "tensorrt-rtx"), ((12, 1), "tensorrt-rtx")],
)  # fmt: skip
def test_each_gpu_has_its_runtime(capability: tuple[int, int], runtime: str) -> None:
    assert best_runtime(capability) == runtime


def test_a_data_centre_gpu_is_advised_tensorrt_with_the_index_of_nvidia(
    folder: Path, pretend: Pretend
) -> None:
    pretend(H200)
    assert [item.remedy for item in diagnose(folder).advice] == [
        'pip install "steadypose[tensorrt]" --extra-index-url https://pypi.nvidia.com'
    ]


def test_an_old_driver_is_a_problem_only_for_those_who_installed_the_gpu_path(
    folder: Path, pretend: Pretend
) -> None:
    pretend(RTX, cuda=(12, 4), usable=False)
    found = diagnose(folder)
    assert [item.what for item in found.problems] == ["the driver is too old for CUDA 13"]
    assert "580" in found.problems[0].remedy and found.nvidia.problem == "the driver is too old for CUDA 13"
    pretend(RTX, cuda=(12, 4), usable=False, bindings=None)
    found = diagnose(folder)
    assert found.healthy and any("CUDA 12.4" in item.what for item in found.advice)


def test_an_old_gpu_is_neither_advised_nor_a_problem(folder: Path, pretend: Pretend) -> None:
    pretend(DeviceInfo("NVIDIA GeForce GTX 1080", 0, (6, 1), 8 << 30, (12, 4)), usable=False)
    found = diagnose(folder)
    assert found.healthy and found.advice == [] and found.nvidia.gpus


def test_a_runtime_that_is_installed_and_does_not_work_is_a_problem(folder: Path, pretend: Pretend) -> None:
    pretend(RTX, installed=("tensorrt-rtx", "openvino", "onnxruntime"))
    found = diagnose(folder)
    assert [item.what for item in found.problems] == ["tensorrt-rtx is not for you"]
    assert found.advice == []


def test_a_kernel_unlike_its_twin_is_a_problem(folder: Path, pretend: Pretend) -> None:
    checks = (
        KernelCheck("prepare", "float16", "grey levels", 0.0, 0.0),
        KernelCheck("peaks_topdown", "float32", "heatmap px", 0.5, 0.01),
        KernelCheck("peaks_bottomup", "float32", "heatmap px", float("nan"), 0.01, "it does not compile"),
    )
    pretend(RTX, checks=checks)
    found = diagnose(folder)
    assert [kernel.passed for kernel in found.nvidia.kernels] == [True, False, False]
    whats = [item.what for item in found.problems]
    assert "differs from its twin by 0.5 heatmap px" in whats[0] and "it does not compile" in whats[1]
    assert Diagnosis.model_validate_json(found.model_dump_json()) == found


def test_models_on_a_gpu_are_compared_with_their_float_model(
    folder: Path, pretend: Pretend, monkeypatch: pytest.MonkeyPatch
) -> None:
    pretend(RTX, works=("openvino", "onnxruntime", "tensorrt-rtx"))

    class Relabelled:
        """A CPU runtime under the name of a GPU's, off by what it is told to be."""

        name, precision, device, device_network = "tensorrt-rtx", "fp16", "a GPU", None

        def __init__(self, real: object, off: float) -> None:
            self.real, self.off = real, off

        def run(self, inputs: object) -> dict[str, object]:
            return {key: value + self.off for key, value in self.real.run(inputs).items()}  # type: ignore[attr-defined]

        def close(self) -> None:
            self.real.close()  # type: ignore[attr-defined]

    off = {"markers-td": 0.0, "markers-bu": 0.3}

    def open_it(path: Path, *, runtime: str, precision: str):  # type: ignore[no-untyped-def]
        if runtime != "tensorrt-rtx":
            return open_model(path, runtime=runtime, precision=precision)  # type: ignore[arg-type]
        model = open_model(path, runtime="onnxruntime", precision="fp32")
        runtime_there = Relabelled(model.runtime, off[model.spec.name])
        return type(model)(model.spec, model.path, model.sha256, runtime_there)  # type: ignore[arg-type]

    monkeypatch.setattr(engine.doctor_models, "open_model", open_it)
    found = diagnose(folder)
    parity = {report.model: report for model in found.models for report in model.parity}
    assert len(parity) == 2 and sorted(report.passed for report in parity.values()) == [False, True]
    failed = next(report for report in parity.values() if not report.passed)
    assert failed.maximum == pytest.approx(0.3, abs=0.01) and failed.runtime == "tensorrt-rtx"
    assert any("does not compute what the model does" in problem.what for problem in found.problems)


def test_a_runtime_that_fails_a_model_no_longer_works(
    folder: Path, pretend: Pretend, monkeypatch: pytest.MonkeyPatch
) -> None:
    pretend(RTX, works=("openvino", "onnxruntime", "onnxruntime-cuda"))

    def open_it(path: Path, *, runtime: str, precision: str):  # type: ignore[no-untyped-def]
        if runtime == "onnxruntime-cuda":
            raise RuntimeUnavailableError("ONNX Runtime would have computed on the CPU")
        return open_model(path, runtime=runtime, precision=precision)  # type: ignore[arg-type]

    monkeypatch.setattr(engine.doctor_models, "open_model", open_it)
    found = diagnose(folder)
    report = next(item for item in found.runtimes if item.name == "onnxruntime-cuda")
    assert not report.works and report.error is not None and "on the CPU" in report.error
    assert len([item for item in found.problems if "onnxruntime-cuda" in item.what]) == 1
