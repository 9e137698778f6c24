from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest

from engine.errors import ModelFileError, UsageError
from engine.model import open_model
from engine.model_file import HeatmapOutput, file_sha256
from engine.skeleton import COCO17, Skeleton


@pytest.fixture
def pair(tmp_path: Path, write_marker_model: Callable[..., Path]) -> Path:
    write_marker_model(tmp_path / "net.int8.onnx", "top-down", precision="int8", gain=2.4)
    return write_marker_model(tmp_path / "net.onnx", "top-down")


def test_an_opened_model_tells_what_it_is(top_down_file: Path) -> None:
    model = open_model(top_down_file)
    assert model.path == top_down_file and model.sha256 == file_sha256(top_down_file)
    about = model.describe()
    assert about["runtime"] == "openvino" and about["precision"] == "fp32"
    assert about["name"] == "markers-td" and about["licence"] == "Apache-2.0"


def test_no_people_need_no_run(top_down_file: Path) -> None:
    outputs = open_model(top_down_file).run(np.zeros((0, 3, 128, 96), np.float32))
    assert outputs["heatmaps"].shape == (0, 6, 32, 24)


@pytest.mark.parametrize("precision", ["auto", "int8"])
def test_the_int8_form_is_taken_when_it_is_there(pair: Path, precision: str) -> None:
    model = open_model(pair, precision=precision)
    assert model.path.name == "net.int8.onnx" and model.runtime.precision == "int8"


def test_the_float_form_is_taken_on_request(pair: Path) -> None:
    model = open_model(pair, precision="fp32")
    assert model.path == pair and model.runtime.precision == "fp32"


def test_int8_is_refused_where_there_is_none(top_down_file: Path) -> None:
    with pytest.raises(ModelFileError, match=r"has no INT8 form beside it .*train quantize"):
        open_model(top_down_file, precision="int8")


def test_an_int8_file_does_not_pass_for_a_float_one(pair: Path) -> None:
    with pytest.raises(UsageError, match="INT8 model and cannot run in fp32"):
        open_model(pair.with_name("net.int8.onnx"), precision="fp32")


def test_an_int8_file_of_another_checkpoint_is_refused(
    pair: Path, write_marker_model: Callable[..., Path]
) -> None:
    write_marker_model(pair, "top-down", checkpoint_sha256="1" * 64)
    with pytest.raises(ModelFileError, match="not made from the same checkpoint"):
        open_model(pair)
    assert open_model(pair, precision="fp32").path == pair


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match=r"gone.onnx does not exist"):
        open_model(tmp_path / "gone.onnx")


def test_a_file_that_is_no_model_is_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.onnx").write_text("not a model")
    with pytest.raises(ModelFileError, match=r"notes.onnx"):
        open_model(tmp_path / "notes.onnx")


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9, 0.99])
def test_a_file_that_is_cut_short_is_refused(share: float, top_down_file: Path, tmp_path: Path) -> None:
    data = top_down_file.read_bytes()
    (tmp_path / "short.onnx").write_bytes(data[: int(len(data) * share)])
    with pytest.raises(ModelFileError, match=r"short.onnx"):
        open_model(tmp_path / "short.onnx")


def test_an_onnx_file_that_is_not_ours_is_refused(top_down_file: Path, tmp_path: Path) -> None:
    network = onnx.load(str(top_down_file))
    del network.metadata_props[:]
    onnx.save(network, str(tmp_path / "foreign.onnx"))
    with pytest.raises(ModelFileError, match="without a SteadyPose model spec"):
        open_model(tmp_path / "foreign.onnx")


def test_missing_outputs_are_named(tmp_path: Path, write_marker_model: Callable[..., Path]) -> None:
    path = write_marker_model(
        tmp_path / "net.onnx", "top-down", heatmap_outputs=(HeatmapOutput(name="maps", stride=4),)
    )
    with pytest.raises(ModelFileError, match=r"lacks the outputs \['maps'\]"):
        open_model(path)


@pytest.mark.parametrize("runtime", ["openvino", "onnxruntime"])
def test_another_count_of_keypoints_than_the_skeleton_is_found_at_once(
    runtime: str, tmp_path: Path, write_marker_model: Callable[..., Path]
) -> None:
    path = write_marker_model(tmp_path / "net.onnx", "top-down", skeleton=COCO17)
    with pytest.raises(
        ModelFileError, match=r"must have shape \(1, 17, 32, 24\) for skeleton 'coco17', got \(1, 6"
    ):
        open_model(path, runtime=runtime)


@pytest.mark.parametrize("runtime", ["openvino", "onnxruntime"])
def test_another_input_size_than_the_graph_takes_is_found_at_once(
    runtime: str, tmp_path: Path, write_marker_model: Callable[..., Path]
) -> None:
    path = write_marker_model(tmp_path / "net.onnx", "top-down", input_shape=[1, 3, 64, 64])
    with pytest.raises(ModelFileError, match=r"net.onnx"):
        open_model(path, runtime=runtime)


def test_another_kind_than_needed_is_refused(top_down_file: Path) -> None:
    with pytest.raises(ModelFileError, match="is a top-down model, but a bottom-up model is needed"):
        open_model(top_down_file, expect_kind="bottom-up")


def test_another_skeleton_than_needed_is_refused(top_down_file: Path) -> None:
    with pytest.raises(
        ModelFileError, match="6 keypoints of skeleton 'markers6', but 'coco17' with 17 keypoints"
    ):
        open_model(top_down_file, expect_skeleton=COCO17)


def test_a_skeleton_of_the_same_keypoints_will_do(top_down_file: Path) -> None:
    spec = open_model(top_down_file).spec
    renamed = Skeleton.model_validate(spec.skeleton.model_dump() | {"name": "dots"})
    assert open_model(top_down_file, expect_skeleton=renamed).spec.skeleton.count == 6


@pytest.mark.parametrize(
    ("shape", "dtype"),
    [((1, 3, 96, 128), np.float32), ((3, 128, 96), np.float32), ((1, 1, 128, 96), np.float32),
     ((1, 3, 128, 96), np.float64)],
)  # fmt: skip
def test_inputs_of_another_shape_or_type_are_refused(
    shape: tuple[int, ...], dtype: type, top_down_file: Path
) -> None:
    with pytest.raises(ValueError, match=r"must be float32 of shape \(N, 3, 128, 96\), got"):
        open_model(top_down_file).run(np.zeros(shape, dtype))


def test_a_dynamic_model_takes_multiples_of_32_only(bottom_up_file: Path) -> None:
    model = open_model(bottom_up_file)
    assert model.run(np.zeros((1, 3, 96, 160), np.float32))["tags_0"].shape == (1, 6, 24, 40)
    with pytest.raises(ValueError, match="multiples of 32"):
        model.run(np.zeros((1, 3, 100, 160), np.float32))
