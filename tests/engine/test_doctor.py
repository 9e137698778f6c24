import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from engine.cuda.driver import DriverState
from engine.cuda.probe import Probe
from engine.doctor import RUNTIME_NAMES, Diagnosis, diagnose


@pytest.fixture(autouse=True)
def _no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """Look at a machine without a GPU, whatever this one has."""
    monkeypatch.setattr("engine.doctor_nvidia.probe_gpus", Probe)
    monkeypatch.setattr(
        "engine.doctor_nvidia.driver_state", lambda: DriverState(None, None, None, (), "there is no driver")
    )


@pytest.fixture
def folder(tmp_path: Path, write_marker_model: Callable[..., Path]) -> Path:
    for name, kind in (("steadypose-td-w16", "top-down"), ("steadypose-bu-w16", "bottom-up")):
        write_marker_model(tmp_path / f"{name}.onnx", kind)
        write_marker_model(tmp_path / f"{name}.int8.onnx", kind, precision="int8", gain=2.4)
    return tmp_path


def test_a_sound_installation_has_no_problems(folder: Path) -> None:
    found = diagnose(folder)
    assert found.problems == [] and found.healthy
    assert found.cores >= 1 and found.cpu and found.cache_writable
    assert tuple(report.name for report in found.runtimes) == RUNTIME_NAMES
    assert {report.name for report in found.runtimes if report.works} >= {"openvino", "onnxruntime"}
    assert all(report.works or report.error for report in found.runtimes)
    assert found.packages["numpy"] and found.packages["opencv"]


def test_every_model_runs_on_every_runtime_in_every_form_and_is_compared(folder: Path) -> None:
    report = next(item for item in diagnose(folder).models if item.about["kind"] == "top-down")
    assert {(run.runtime, run.precision) for run in report.runs} == {
        ("openvino", "fp32"), ("openvino", "int8"), ("onnxruntime", "fp32"), ("onnxruntime", "int8"),
    }  # fmt: skip
    assert all(run.latency_ms > 0 for run in report.runs)
    gaps = {(gap.first, gap.second): gap.maximum for gap in report.differences}
    assert len(gaps) == 6
    assert gaps["openvino fp32", "onnxruntime fp32"] < 1e-4 < gaps["openvino fp32", "openvino int8"]


def test_a_diagnosis_is_json_and_back(folder: Path) -> None:
    found = diagnose(folder)
    text = found.model_dump_json()
    assert json.loads(text)["models"][0]["about"]["licence"] == "Apache-2.0"
    assert Diagnosis.model_validate_json(text) == found


def test_missing_models_are_problems_with_a_remedy(tmp_path: Path) -> None:
    found = diagnose(tmp_path)
    assert [problem.what.split("'")[1] for problem in found.problems] == [
        "steadypose-td-w16",
        "steadypose-bu-w16",
    ]
    assert all("pip install" in problem.remedy for problem in found.problems)


def test_a_damaged_model_is_a_problem_and_the_others_are_still_tried(folder: Path) -> None:
    (folder / "steadypose-bu-w16.onnx").write_bytes(b"broken")
    found = diagnose(folder)
    assert [problem for problem in found.problems if "steadypose-bu-w16.onnx" in problem.what]
    assert [report.about["name"] for report in found.models] == ["steadypose-td-w16"]


def test_an_absent_runtime_is_a_problem_and_the_other_is_still_tried(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "openvino", None)
    found = diagnose(folder)
    assert [problem.remedy for problem in found.problems] == ["pip install openvino"]
    assert {run.runtime for report in found.models for run in report.runs} == {"onnxruntime"}


def test_gpu_packages_that_are_missing_are_neither_problems_nor_advice_without_a_gpu(folder: Path) -> None:
    found = diagnose(folder)
    assert found.healthy and found.advice == [] and found.nvidia.gpus == []
    cuda = next(report for report in found.runtimes if report.name == "onnxruntime-cuda")
    assert cuda.works or (cuda.install is not None and "onnxruntime-gpu[cuda,cudnn]" in cuda.install)


def test_two_wheels_of_onnxruntime_are_a_problem_with_the_line_that_mends_it(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from engine import doctor_versions
    from engine.runtime import onnxruntime_package

    both = {"onnxruntime": "1.31.1", "onnxruntime-gpu": "1.30.0"}
    for module in (onnxruntime_package, doctor_versions):
        monkeypatch.setattr(module, "installed_distributions", lambda: both)
    found = diagnose(folder)
    assert [problem.what for problem in found.problems] == [
        "onnxruntime 1.31.1 and onnxruntime-gpu 1.30.0 are both installed and overwrite each other's files"
    ]
    assert found.problems[0].remedy == (
        'pip uninstall -y onnxruntime onnxruntime-gpu && pip install "onnxruntime-gpu[cuda,cudnn]"'
    )


def test_the_gpu_wheel_alone_serves_as_onnxruntime(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from engine import doctor_versions

    monkeypatch.setattr(doctor_versions, "installed_distributions", lambda: {"onnxruntime-gpu": "1.31.1"})
    found = diagnose(folder)
    assert found.healthy and found.packages["onnxruntime"] == "1.31.1"


def test_an_unwritable_cache_is_a_problem(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    found = diagnose(folder)
    assert not found.cache_writable
    assert any("cache folder" in problem.what and problem.remedy for problem in found.problems)
