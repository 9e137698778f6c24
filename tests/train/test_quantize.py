from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

from engine.errors import ModelFileError, UsageError
from engine.model_file import read_spec
from engine.skeleton import COCO17
from train.data.coco import load_coco
from train.export import export_onnx, wrap_network
from train.models import build_model
from train.quantize import calibration_inputs, quantize_model
from train.settings import DataSource, Stage, TrainSettings

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")


@pytest.fixture(scope="module")
def float_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    settings = TrainSettings(
        name="tiny",
        kind="top-down",
        architecture="hrnet_w16",
        data=(DataSource(annotations=Path("people.json"), images=Path("images")),),
        stages=(Stage(steps=1, input_size=(64, 64), batch=1),),
    )
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("quantize") / "tiny.onnx"
    export_onnx(wrap_network(build_model("hrnet_w16").eval(), settings), path)
    return path


def test_the_int8_file_is_close_smaller_and_says_what_it_is(float_file: Path, stick_people: Path) -> None:
    spec = read_spec(float_file)
    labels = load_coco(stick_people / "people.json", stick_people / "images", COCO17)
    inputs = calibration_inputs(labels, spec, count=8)
    assert [item.shape for item in inputs] == [(1, 3, 64, 64)] * 8
    out = float_file.with_name("tiny.int8.onnx")
    assert quantize_model(float_file, out, inputs) < 0.1
    assert read_spec(out) == spec.model_copy(update={"precision": "int8"})
    assert out.stat().st_size < 0.5 * float_file.stat().st_size
    assert sorted(path.name for path in float_file.parent.iterdir()) == ["tiny.int8.onnx", "tiny.onnx"]
    with pytest.raises(ModelFileError, match="is int8 already"):
        quantize_model(out, out, inputs)


def test_the_last_convolution_stays_float(float_file: Path) -> None:
    spec = read_spec(float_file)
    inputs = [np.random.default_rng(0).random((1, 3, *spec.input_size), np.float32)]
    out = float_file.with_name("tiny.int8.onnx")
    quantize_model(float_file, out, inputs)
    graph = onnx.load(out).graph
    makers = {name: node for node in graph.node for name in node.output}
    last = makers[makers[graph.output[0].name].input[0]]
    assert last.op_type == "Conv" and last.input[1] not in makers  # its weights are a constant as before
    others = [node for node in graph.node if node.op_type == "Conv" and node is not last]
    assert others and all(makers[node.input[1]].op_type == "DequantizeLinear" for node in others)


def test_calibration_needs_people(float_file: Path, stick_people: Path) -> None:
    labels = load_coco(stick_people / "people.json", stick_people / "images", COCO17)
    empty = [
        type(label)(label.image_id, label.path, "", (), np.zeros((0, 4), np.float32)) for label in labels
    ]
    with pytest.raises(UsageError, match="needs images with labelled people"):
        calibration_inputs(empty, read_spec(float_file))
