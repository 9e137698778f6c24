"""What is offered must open, and what is not must say why."""

import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import get_args

import pytest

import engine.choices
from engine.choices import Choice, list_choices
from engine.errors import RuntimeUnavailableError
from engine.model import open_model
from engine.runtime import RUNTIMES
from engine.settings import EstimatorSettings, Mode, Precision, RuntimeName
from engine.skeleton import COCO17, MPII16
from engine.zoo_catalogue import CATALOGUE
from engine.zoo_store import downloaded_dir


@pytest.fixture(autouse=True)
def _own_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STEADYPOSE_DATA_DIR", str(tmp_path / "data"))


def pick(choices: Sequence[Choice], value: str) -> Choice:
    (choice,) = [choice for choice in choices if choice.value == value]
    return choice


def available(choices: Sequence[Choice]) -> list[str]:
    return [choice.value for choice in choices if choice.available]


def test_by_default_the_bundled_models_and_everything_of_the_runtime_can_be_had() -> None:
    choices = list_choices(EstimatorSettings())
    assert available(choices.modes) == list(get_args(Mode))
    assert available(choices.top_down_models) == ["default-top-down"]
    assert available(choices.bottom_up_models) == ["default-bottom-up"]
    assert pick(choices.top_down_models, "default-top-down").label == "steadypose-td-w16 (default)"
    assert {"auto", "openvino", "onnxruntime"} <= set(available(choices.runtimes))
    assert [choice.value for choice in choices.runtimes] == list(get_args(RuntimeName))
    assert [choice.value for choice in choices.precisions] == list(get_args(Precision))
    assert {"auto", "fp32", "int8"} <= set(available(choices.precisions))


def test_whoever_is_not_available_says_why_and_nobody_else_does() -> None:
    choices = list_choices(EstimatorSettings(), skeleton=COCO17)
    for part in ("modes", "top_down_models", "bottom_up_models", "runtimes", "precisions"):
        listed = getattr(choices, part)
        assert all(bool(choice.reason) != choice.available and choice.label for choice in listed)
        assert len({choice.value for choice in listed}) == len(listed)


def test_published_models_are_listed_by_kind_as_not_downloaded() -> None:
    choices = list_choices(EstimatorSettings())
    for name, model in CATALOGUE.items():
        listed = choices.top_down_models if model.kind == "top-down" else choices.bottom_up_models
        reason = pick(listed, name).reason
        assert reason == "not downloaded" if model.path else "converted" in reason


@pytest.mark.parametrize("runtime", ["auto", "openvino", "onnxruntime"])
def test_every_precision_offered_opens_and_every_other_is_refused(runtime: RuntimeName) -> None:
    choices = list_choices(EstimatorSettings(runtime=runtime))
    for choice in choices.precisions:
        arguments = {"runtime": runtime, "precision": choice.value}
        if choice.available:
            open_model("default-top-down", **arguments).close()
        else:
            with pytest.raises(RuntimeUnavailableError):
                open_model("default-top-down", **arguments)


def test_bf16_and_a_runtime_without_it_exclude_each_other() -> None:
    assert (
        "fp32 and int8 only"
        in pick(list_choices(EstimatorSettings(runtime="onnxruntime")).precisions, "bf16").reason
    )
    assert (
        "fp32 and int8 only"
        in pick(list_choices(EstimatorSettings(precision="bf16")).runtimes, "onnxruntime").reason
    )


def test_a_cpu_without_bf16_offers_none(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(arithmetic: str) -> None:
        if arithmetic == "bf16":
            raise RuntimeUnavailableError("this CPU has no bf16 arithmetic; choose precision fp32 or int8")

    monkeypatch.setitem(RUNTIMES, "openvino", replace(RUNTIMES["openvino"], check=refuse))
    assert "this CPU has no bf16" in pick(list_choices(EstimatorSettings()).precisions, "bf16").reason


def test_a_runtime_that_is_not_installed_comes_with_its_install_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine.choices, "installed_runtimes", lambda: ("openvino",))
    missing = pick(list_choices(EstimatorSettings()).runtimes, "onnxruntime")
    assert missing == Choice("onnxruntime", "ONNX Runtime", False, "not installed; `pip install onnxruntime`")
    rtx = pick(list_choices(EstimatorSettings()).runtimes, "tensorrt-rtx")
    assert rtx.label == "TensorRT-RTX" and rtx.reason == 'not installed; `pip install "steadypose[rtx]"`'
    monkeypatch.setattr(engine.choices, "installed_runtimes", tuple)
    assert not available(list_choices(EstimatorSettings()).runtimes)


def test_without_an_int8_file_there_is_no_int8(top_down_file: Path, bottom_up_file: Path) -> None:
    mixed = EstimatorSettings(top_down_model=str(top_down_file))
    choice = pick(list_choices(mixed).precisions, "int8")
    assert not choice.available and choice.reason == "markers-td has no INT8 file"
    alone = mixed.model_copy(update={"mode": "bottom-up"})
    assert pick(list_choices(alone).precisions, "int8").available


def test_a_path_in_the_settings_is_offered_under_its_file_name(top_down_file: Path) -> None:
    choices = list_choices(EstimatorSettings(top_down_model=str(top_down_file)))
    choice = pick(choices.top_down_models, str(top_down_file))
    assert choice.available and choice.label == top_down_file.name
    assert available(choices.top_down_models) == ["default-top-down", str(top_down_file)]


def test_a_model_of_the_other_kind_or_nowhere_is_listed_with_the_reason(bottom_up_file: Path) -> None:
    for named, reason in (
        (str(bottom_up_file), "a bottom-up model, top-down is needed here"),
        ("steadypose-bu-w16", "a bottom-up model, top-down is needed here"),
        ("higherhrnet-w32-coco-512x512", "a bottom-up model, top-down is needed here"),
        ("/nowhere/model.onnx", "does not exist"),
        ("hrnet-w99", "there is no model called"),
    ):
        choices = list_choices(EstimatorSettings(top_down_model=named))
        assert reason in pick(choices.top_down_models, named).reason
        assert available(choices.modes) == ["bottom-up"]


def test_a_real_name_in_the_settings_stands_for_its_alias() -> None:
    choices = list_choices(EstimatorSettings(top_down_model="steadypose-td-w16"))
    assert available(choices.top_down_models) == ["steadypose-td-w16"]


def test_other_keypoints_than_those_being_written_cannot_be_chosen(
    write_marker_model: Callable[..., Path], tmp_path: Path, top_down_file: Path
) -> None:
    settings = EstimatorSettings(top_down_model=str(top_down_file))
    choices = list_choices(settings, skeleton=COCO17)
    assert pick(choices.top_down_models, str(top_down_file)).reason == (
        "has the 6 keypoints of markers6, not the 17 of coco17"
    )
    assert available(choices.top_down_models) == ["default-top-down"]
    assert available(choices.modes) == ["bottom-up"]
    assert available(choices.bottom_up_models) == ["default-bottom-up"]
    mpii = pick(choices.top_down_models, "hrnet-w32-mpii-256x256")
    assert mpii.reason == "has the 16 keypoints of mpii16, not the 17 of coco17"
    whole = list_choices(EstimatorSettings(mode="bottom-up"), skeleton=MPII16)
    assert available(whole.bottom_up_models) == []


def test_downloaded_models_can_be_chosen_and_damaged_ones_say_so(top_down_file: Path) -> None:
    downloaded_dir().mkdir(parents=True)
    name = "hrnet-w32-coco-256x192"
    shutil.copy(top_down_file, downloaded_dir() / f"{name}.onnx")
    (downloaded_dir() / "broken.onnx").write_bytes(b"not a model")
    choices = list_choices(EstimatorSettings())
    assert pick(choices.top_down_models, name).available
    assert "not an ONNX model" in pick(choices.top_down_models, "broken").reason


def test_an_int8_file_of_another_checkpoint_is_none(
    write_marker_model: Callable[..., Path], tmp_path: Path
) -> None:
    path = write_marker_model(tmp_path / "own.onnx", "bottom-up")
    write_marker_model(tmp_path / "own.int8.onnx", "bottom-up", precision="int8", checkpoint_sha256="1" * 64)
    settings = EstimatorSettings(mode="bottom-up", bottom_up_model=str(path))
    assert "another checkpoint" in pick(list_choices(settings).precisions, "int8").reason
    quantised = settings.model_copy(update={"bottom_up_model": str(tmp_path / "own.int8.onnx")})
    precisions = list_choices(quantised).precisions
    assert available(precisions) == ["auto", "int8"]
    assert pick(precisions, "fp32").reason == "markers-bu is an INT8 file"


def test_a_file_is_read_once_until_it_changes(
    write_marker_model: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, read = write_marker_model(tmp_path / "own.onnx", "top-down"), []
    reader = engine.choices.read_spec
    monkeypatch.setattr(engine.choices, "read_spec", lambda file: read.append(file) or reader(file))
    settings = EstimatorSettings(top_down_model=str(path))
    list_choices(settings)
    list_choices(settings)
    assert read.count(path) == 1
    write_marker_model(path, "bottom-up")
    assert not pick(list_choices(settings).top_down_models, str(path)).available
    assert read.count(path) == 2
