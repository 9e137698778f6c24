import json
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import Result

import engine.zoo
from engine import doctor
from engine.model_file import file_sha256
from engine.zoo_catalogue import CATALOGUE

Invoke = Callable[..., Result]


@pytest.fixture
def zoo(tmp_path: Path, write_marker_model: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of two models in the place of the bundled ones."""
    folder = tmp_path / "models"
    folder.mkdir()
    write_marker_model(folder / "steadypose-td-w16.onnx", "top-down", accuracy={"mean_oks": 0.61234})
    write_marker_model(folder / "steadypose-bu-w16.onnx", "bottom-up")
    monkeypatch.setattr(engine.zoo, "models_dir", lambda: folder)
    monkeypatch.setenv("STEADYPOSE_DATA_DIR", str(tmp_path / "data"))
    return folder


def test_models_are_listed_with_aliases_and_accuracy(invoke: Invoke, zoo: Path):
    result = invoke("models", "list")
    assert result.exit_code == 0
    header, _, top_down, bottom_up, *published = result.stdout.splitlines()
    assert header.split()[:4] == ["name", "kind", "input", "state"]
    assert all("available" in line or "by hand" in line for line in published)
    assert "steadypose-td-w16" in top_down and "mean_oks 0.612" in top_down and "default-top-down" in top_down
    assert "steadypose-bu-w16" in bottom_up and "192x192" in bottom_up


def test_models_are_listed_as_json(invoke: Invoke, zoo: Path):
    listed = json.loads(invoke("models", "list", "--json").stdout)
    assert [model["kind"] for model in listed if model["state"] == "bundled"] == ["top-down", "bottom-up"]
    assert len({model["name"] for model in listed}) == len(listed) == 2 + len(CATALOGUE)


@pytest.mark.parametrize("as_path", [False, True])
def test_one_model_is_shown_by_alias_or_path(invoke: Invoke, zoo: Path, as_path: bool):
    path = zoo / "steadypose-td-w16.onnx"
    name = path if as_path else "default-top-down"
    text = invoke("models", "info", name).stdout
    assert "steadypose-td-w16" in text and "left_hand" in text and "Apache-2.0" in text
    told = json.loads(invoke("models", "info", name, "--json").stdout)
    assert told["sha256"] == {"fp32": file_sha256(path)}
    assert told["decoder"] == "dark" and told["accuracy"] == {"mean_oks": 0.61234}


def test_a_file_that_is_no_model_is_told_as_such(invoke: Invoke, tmp_path: Path):
    path = tmp_path / "notes.onnx"
    path.write_bytes(b"not a network")
    result = invoke("models", "info", path)
    assert result.exit_code == 2 and "is not an ONNX model or is cut short" in result.stderr
    missing = invoke("models", "info", tmp_path / "none.onnx")
    assert missing.exit_code == 2 and "does not exist" in missing.stderr


def make_diagnosis(problems: list[doctor.Problem]) -> doctor.Diagnosis:
    return doctor.Diagnosis(
        version="1.2.3", python="3.11", system="Linux", cpu="a processor", cores=2, memory_gib=None,
        packages={"numpy": "2.0", "av": None},
        runtimes=[
            doctor.RuntimeReport(name="onnxruntime", version=None, works=False, devices={}, error="absent")
        ],
        models=[
            doctor.ModelReport(
                about={"name": "net"},
                runs=[doctor.ModelRun(runtime="openvino", precision="int8", latency_ms=1.234)],
                differences=[
                    doctor.Difference(first="openvino fp32", second="openvino int8", maximum=0.01, mean=0.001)
                ],
            )
        ],
        cache_dir="/cache", cache_writable=False, problems=problems,
    )  # fmt: skip


def test_the_doctor_tells_problems_with_their_remedies_and_leaves_with_1(
    invoke: Invoke, monkeypatch: pytest.MonkeyPatch
):
    found = make_diagnosis([doctor.Problem(what="av is absent", remedy="pip install av")])
    monkeypatch.setattr("app.diagnosis.diagnose", lambda: found)
    result = invoke("doctor")
    assert result.exit_code == 1
    for words in (
        "a processor, 2 cores",
        "memory      unknown",
        "NOT writable",
        "absent",
        "1.2 ms",
        "0.0100",
    ):
        assert words in result.stdout
    assert result.stdout.endswith("problem: av is absent\n    mend: pip install av\n")


def test_the_doctor_tells_of_gpus_kernels_parity_and_what_would_be_faster(
    invoke: Invoke, monkeypatch: pytest.MonkeyPatch
):
    found = make_diagnosis([])
    nvidia = doctor.NvidiaReport(
        driver="580.95.05", cuda="13.0",
        gpus=[doctor.GpuReport(index=0, name="NVIDIA H200", compute_capability="9.0", memory_gib=139.8)],
        packages={"cuda-bindings": "13.5.0", "tensorrt-cu13": None},
        kernels=[
            doctor.KernelReport(
                kernel="prepare", dtype="float16", unit="grey levels", maximum=None, tolerance=0.0,
                passed=False, error="it does not compile",
            )
        ],
    )  # fmt: skip
    parity = doctor.ParityReport(
        model="net", runtime="tensorrt", precision="fp16", maximum=0.004, mean=1e-4, keypoint_px=0.03,
        keypoints=40, allowed_maximum=0.02, allowed_mean=1e-3, allowed_keypoint_px=0.25, passed=True,
    )  # fmt: skip
    changes = {
        "nvidia": nvidia,
        "models": [found.models[0].model_copy(update={"parity": [parity]})],
        "advice": [doctor.Problem(what="NVIDIA H200 is not used yet", remedy="pip install it")],
    }
    monkeypatch.setattr("app.diagnosis.diagnose", lambda: found.model_copy(update=changes))
    result = invoke("doctor")
    assert result.exit_code == 0
    for words in (
        "580.95.05, CUDA 13.0",
        "139.8 GiB",
        "tensorrt-cu13  absent",
        "none (0)",
        "0.004 (0.02)",
        "0.03 (0.25)",
        "onnxruntime: absent",
        "advice: NVIDIA H200 is not used yet\n    do: pip install it",
    ):
        assert words in result.stdout
    told = json.loads(invoke("doctor", "--json").stdout)
    assert told["nvidia"]["gpus"][0]["name"] == "NVIDIA H200" and told["advice"]
    assert told["models"][0]["parity"][0]["passed"] is True


def test_a_healthy_machine_leaves_with_0_also_as_json(invoke: Invoke, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("app.diagnosis.diagnose", lambda: make_diagnosis([]))
    assert invoke("doctor").stdout.endswith("nothing is amiss\n")
    result = invoke("doctor", "--json")
    assert result.exit_code == 0 and json.loads(result.stdout)["cores"] == 2
