from collections.abc import Callable
from pathlib import Path

import pytest

from engine.errors import ModelFileError
from engine.zoo import ALIASES, find_model, list_models, model_names, model_path, variants


@pytest.fixture
def folder(tmp_path: Path, write_marker_model: Callable[..., Path]) -> Path:
    write_marker_model(tmp_path / "steadypose-td-w16.onnx", "top-down", accuracy={"ap": 0.5})
    write_marker_model(tmp_path / "steadypose-td-w16.int8.onnx", "top-down", precision="int8")
    write_marker_model(tmp_path / "lonely.int8.onnx", "bottom-up", precision="int8")
    return tmp_path


def test_a_model_and_its_int8_form_are_one_entry(folder: Path) -> None:
    assert model_names(folder) == ["lonely", "steadypose-td-w16"]
    entry = find_model("steadypose-td-w16", folder)
    assert entry.precisions == ("fp32", "int8")
    assert entry.aliases == ("default-top-down",)
    assert entry.file_bytes["fp32"] == (folder / "steadypose-td-w16.onnx").stat().st_size


def test_an_entry_tells_what_its_file_says(folder: Path) -> None:
    about = find_model("steadypose-td-w16", folder).describe()
    assert about["kind"] == "top-down" and about["input_size"] == [128, 96]
    assert about["accuracy"] == {"ap": 0.5} and about["licence"] == "Apache-2.0"
    # Six 1×1 colour filters over three channels with a bias, six 7×7 blurs and one gain.
    assert about["parameters"] == 6 * 3 + 6 + 6 * 49 + 1


def test_the_list_is_sorted_by_kind_and_name(folder: Path) -> None:
    assert [entry.name for entry in list_models(folder)] == ["steadypose-td-w16", "lonely"]


def test_an_alias_names_the_present_best(folder: Path) -> None:
    assert model_path("default-top-down", folder) == folder / "steadypose-td-w16.onnx"


def test_a_model_that_is_there_only_as_int8_is_found(folder: Path) -> None:
    assert model_path("lonely", folder) == folder / "lonely.int8.onnx"
    assert variants(folder / "lonely.onnx") == {"int8": folder / "lonely.int8.onnx"}


def test_a_slip_of_the_pen_gets_the_nearest_name(folder: Path) -> None:
    with pytest.raises(
        ModelFileError, match="no model called 'default-topdown'; did you mean 'default-top-down'"
    ):
        model_path("default-topdown", folder)


def test_a_name_like_no_other_gets_the_list(folder: Path) -> None:
    with pytest.raises(ModelFileError, match="known are default-top-down, default-bottom-up, lonely"):
        model_path("zzz", folder)


def test_an_alias_whose_file_is_gone_says_so(tmp_path: Path) -> None:
    with pytest.raises(
        ModelFileError, match="bundled model 'steadypose-td-w16' behind 'default-top-down' is not in"
    ):
        model_path("default-top-down", tmp_path)


@pytest.mark.parametrize("text", ["mine.onnx", "some/where/mine", "./mine"])
def test_what_looks_like_a_path_is_one(text: str, tmp_path: Path) -> None:
    assert model_path(text, tmp_path) == Path(text)


def test_every_alias_has_its_own_model() -> None:
    assert len(set(ALIASES.values())) == len(ALIASES)


@pytest.mark.skipif(not model_names(), reason="no model is bundled yet")
@pytest.mark.parametrize(
    ("alias", "kind"), [("default-top-down", "top-down"), ("default-bottom-up", "bottom-up")]
)
def test_bundled_defaults_are_of_the_right_kind_and_have_an_int8_form(alias: str, kind: str) -> None:
    entry = find_model(alias)
    assert entry.spec.kind == kind and entry.precisions == ("fp32", "int8")
    assert entry.spec.licence and entry.spec.training_data and entry.spec.accuracy
