from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from assets import models_dir
from engine.errors import ModelFileError
from engine.model_file import ModelSpec, read_spec
from engine.runtime.typed_network import load_float_network, to_float16
from tests.engine.runtime.demo_inputs import demo_inputs

HALF_ERROR = 3e-3
"""Largest difference of a heatmap, about one at most, between float16 and float32 tensors on demo frames."""


def run(model: onnx.ModelProto, inputs: np.ndarray) -> dict[str, np.ndarray]:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, {session.get_inputs()[0].name: inputs}), strict=True))


def make_model(nodes: list[onnx.NodeProto], **constants: np.ndarray) -> onnx.ModelProto:
    graph = helper.make_graph(
        nodes,
        "test",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["batch", 3, "height", "width"])],
        [helper.make_tensor_value_info("heatmaps", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(values, name) for name, values in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)


@pytest.mark.parametrize("name", ["steadypose-td-w16", "steadypose-bu-w16"])
def test_the_bundled_networks_in_float16_give_the_same_heatmaps_on_demo_frames(name: str) -> None:
    path = models_dir() / f"{name}.onnx"
    spec = read_spec(path)
    model = load_float_network(path, spec)
    half = to_float16(model)
    onnx.checker.check_model(half, full_check=True)
    inputs = np.concatenate(demo_inputs(name)[::16])
    expected, got = run(model, inputs), run(half, inputs.astype(np.float16))
    for output in spec.heatmap_outputs:
        maps = got[output.name]
        assert maps.dtype == np.float16
        assert expected[output.name].max() > 0.5  # there is somebody to see
        assert np.abs(maps.astype(np.float32) - expected[output.name]).max() < HALF_ERROR
    for output in spec.tag_outputs:
        # Tags of one person differ by less than one, those of two people by more.
        assert np.abs(got[output.name].astype(np.float32) - expected[output.name]).max() < 0.05


@pytest.mark.parametrize("name", ["steadypose-td-w16", "steadypose-bu-w16"])
def test_no_float32_is_left_but_what_onnx_wants_so(name: str) -> None:
    path = models_dir() / f"{name}.onnx"
    half = onnx.shape_inference.infer_shapes(to_float16(load_float_network(path, read_spec(path))))
    read_as_float32 = {
        taken
        for node in half.graph.node
        for taken in node.input
        if node.op_type in ("Resize", "Range") and taken != node.input[0]
    } | {node.input[0] for node in half.graph.node if node.op_type == "Range"}
    left = {i.name for i in half.graph.initializer if i.data_type == TensorProto.FLOAT}
    left |= {v.name for v in half.graph.value_info if v.type.tensor_type.elem_type == TensorProto.FLOAT}
    ranges = {name for node in half.graph.node if node.op_type == "Range" for name in node.output}
    assert left <= read_as_float32 | ranges
    for value in (*half.graph.input, *half.graph.output):
        assert value.type.tensor_type.elem_type == TensorProto.FLOAT16


def test_the_float_network_is_left_as_it_was() -> None:
    path = models_dir() / "steadypose-td-w16.onnx"
    model = load_float_network(path, read_spec(path))
    before = model.SerializeToString(deterministic=True)
    to_float16(model)
    assert model.SerializeToString(deterministic=True) == before


def test_a_constant_that_scales_both_a_resize_and_values_gets_two_types() -> None:
    nodes = [
        helper.make_node("Resize", ["image", "", "twos"], ["large"], mode="nearest"),
        helper.make_node("Reshape", ["twos", "shape"], ["gain"]),
        helper.make_node("Mul", ["large", "gain"], ["heatmaps"]),
    ]
    model = make_model(nodes, twos=np.array([1, 1, 2, 2], np.float32), shape=np.array([1, 4, 1, 1], np.int64))
    half = to_float16(_with_four_channels(model))
    inputs = np.random.default_rng(0).random((1, 4, 6, 5)).astype(np.float16)
    expected = inputs.repeat(2, 2).repeat(2, 3) * np.array([1, 1, 2, 2], np.float16).reshape(1, 4, 1, 1)
    np.testing.assert_array_equal(run(half, inputs)["heatmaps"], expected)


def _with_four_channels(model: onnx.ModelProto) -> onnx.ModelProto:
    model.graph.input[0].type.tensor_type.shape.dim[1].dim_value = 4
    return model


@pytest.mark.parametrize("width", [5, 2049, 3001])
def test_sizes_that_float16_cannot_count_are_counted_all_the_same(width: int) -> None:
    nodes = [
        helper.make_node("Shape", ["image"], ["size"], start=3, end=4),
        helper.make_node("Squeeze", ["size"], ["columns"]),
        helper.make_node("Cast", ["columns"], ["end"], to=TensorProto.FLOAT),
        helper.make_node("Range", ["zero", "end", "one"], ["xs"]),
        helper.make_node("Mul", ["xs", "step"], ["scaled"]),
        helper.make_node("Add", ["image", "scaled"], ["heatmaps"]),
    ]
    model = make_model(
        nodes, zero=np.float32(0).reshape(()), one=np.float32(1).reshape(()), step=np.float32(0.5).reshape(())
    )
    got = run(to_float16(model), np.zeros((1, 3, 2, width), np.float16))["heatmaps"]
    np.testing.assert_allclose(got[0, 0, 0], 0.5 * np.arange(width), rtol=1e-3)


def test_constants_within_nodes_become_float16_too() -> None:
    nodes = [
        helper.make_node("Constant", [], ["a"], value_float=0.5),
        helper.make_node("Constant", [], ["b"], value=numpy_helper.from_array(np.float32([2.0]))),
        helper.make_node("Mul", ["image", "a"], ["c"]),
        helper.make_node("Mul", ["c", "b"], ["heatmaps"]),
    ]
    inputs = np.random.default_rng(0).random((1, 3, 2, 2)).astype(np.float16)
    np.testing.assert_allclose(run(to_float16(make_model(nodes)), inputs)["heatmaps"], inputs, rtol=1e-3)


@pytest.mark.parametrize(
    ("value", "told"), [(1e5, "within ±65504"), (np.nan, "NaN or infinity"), (-np.inf, "NaN or infinity")]
)
def test_a_weight_that_float16_cannot_hold_is_named(value: float, told: str) -> None:
    model = make_model([helper.make_node("Mul", ["image", "gain"], ["heatmaps"])], gain=np.float32([value]))
    with pytest.raises(ModelFileError, match=rf"'gain'.*{told}"):
        to_float16(model)


def some_spec(**changes: object) -> ModelSpec:
    return read_spec(models_dir() / "steadypose-td-w16.onnx").model_copy(update=changes)


def test_a_quantised_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match="int8 already"):
        load_float_network(models_dir() / "steadypose-td-w16.int8.onnx", some_spec(precision="int8"))


@pytest.mark.parametrize("length", [0, 1000])
def test_a_file_that_is_cut_short_is_refused(length: int, tmp_path: Path, top_down_file: Path) -> None:
    path = tmp_path / "short.onnx"
    path.write_bytes(top_down_file.read_bytes()[:length] if length else b"\x00\xff not onnx")
    with pytest.raises(ModelFileError, match="cut short"):
        load_float_network(path, some_spec())


def test_a_network_that_branches_is_refused(tmp_path: Path) -> None:
    result = helper.make_empty_tensor_value_info("x")
    branch = helper.make_graph([helper.make_node("Identity", ["image"], ["x"])], "branch", [], [result])
    model = make_model(
        [helper.make_node("If", ["yes"], ["heatmaps"], then_branch=branch, else_branch=branch)],
        yes=np.array(True),
    )
    onnx.save(model, str(tmp_path / "if.onnx"))
    with pytest.raises(ModelFileError, match=r"branches or loops \(If\)"):
        load_float_network(tmp_path / "if.onnx", some_spec())


def test_functions_are_written_out(tmp_path: Path, write_marker_model: Callable[..., Path]) -> None:
    path = write_marker_model(tmp_path / "m.onnx", "top-down")
    model = onnx.load(str(path))
    tanh = next(node for node in model.graph.node if node.op_type == "Tanh")
    model.functions.append(
        helper.make_function(
            "own", "Squash", ["x"], ["y"], [helper.make_node("Tanh", ["x"], ["y"])],
            [helper.make_opsetid("", model.opset_import[0].version)],
        )
    )  # fmt: skip
    tanh.op_type, tanh.domain = "Squash", "own"
    model.opset_import.append(helper.make_opsetid("own", 1))
    onnx.save(model, str(path))
    operators = {node.op_type for node in load_float_network(path, read_spec(path)).graph.node}
    assert "Tanh" in operators and "Squash" not in operators
