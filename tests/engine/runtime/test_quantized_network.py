import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from assets import models_dir
from engine.errors import ModelFileError
from engine.model_file import read_spec
from engine.runtime.quantized_network import LEVELS, float_nodes, quantized_network
from engine.runtime.typed_network import load_float_network, to_float16
from tests.engine.runtime.demo_inputs import demo_inputs

HEATMAP_ERROR = 0.06
"""Root mean square difference to float on demo frames not calibrated with, in units of the heatmaps' own; the
unsigned INT8 files for CPUs have 0.03 to 0.045."""


def run(model: onnx.ModelProto, inputs: np.ndarray) -> dict[str, np.ndarray]:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    names = [output.name for output in session.get_outputs()]
    got = session.run(names, {session.get_inputs()[0].name: inputs})
    return {name: array.astype(np.float32) for name, array in zip(names, got, strict=True)}


def make_model(nodes: list[onnx.NodeProto], **constants: np.ndarray) -> onnx.ModelProto:
    graph = helper.make_graph(
        nodes,
        "test",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["batch", 3, 8, 8])],
        [helper.make_tensor_value_info("heatmaps", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(values, name) for name, values in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)


def make_small(op: str = "Conv") -> onnx.ModelProto:
    """Two convolutions without names, the first one quantisable; one of its channels is zero."""
    rng = np.random.default_rng(0)
    first = rng.standard_normal((5, 3, 3, 3) if op == "Conv" else (3, 5, 3, 3)).astype(np.float32)
    channels = [slice(None)] * 4
    channels[0 if op == "Conv" else 1] = 2
    first[tuple(channels)] = 0.0
    nodes = [
        helper.make_node(op, ["image", "first", "bias"], ["a"], pads=[1] * 4),
        helper.make_node("Relu", ["a"], ["b"]),
        helper.make_node("Conv", ["b", "last"], ["heatmaps"]),
    ]
    return make_model(
        nodes,
        first=first,
        bias=rng.standard_normal(5).astype(np.float32),
        last=rng.standard_normal((2, 5, 1, 1)).astype(np.float32),
    )


def noise(count: int = 4, seed: int = 0) -> list[np.ndarray]:
    return list(np.random.default_rng(seed).standard_normal((count, 1, 3, 8, 8)).astype(np.float32))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["steadypose-td-w16", "steadypose-bu-w16"])
def test_the_bundled_networks_in_int8_stay_near_the_float_ones(name: str) -> None:
    path = models_dir() / f"{name}.onnx"
    spec = read_spec(path)
    inputs = demo_inputs(name)
    model = load_float_network(path, spec)
    quantised = quantized_network(model, inputs[::4])
    mixed = to_float16(quantised)
    onnx.checker.check_model(mixed, full_check=True)
    unseen = np.concatenate(inputs[1::8][:8])
    expected = run(model, unseen)
    for got in (run(quantised, unseen), run(mixed, unseen.astype(np.float16))):
        for output in spec.heatmap_outputs:
            difference = np.sqrt(np.square(got[output.name] - expected[output.name]).mean())
            assert 0.0 < difference < HEATMAP_ERROR * np.sqrt(np.square(expected[output.name]).mean())


def test_the_form_is_what_tensorrt_takes() -> None:
    path = models_dir() / "steadypose-td-w16.onnx"
    spec = read_spec(path)
    model = load_float_network(path, spec)
    graph = to_float16(quantized_network(model, demo_inputs("steadypose-td-w16")[:2])).graph
    constants = {i.name: numpy_helper.to_array(i) for i in graph.initializer}
    makers = {node.output[0]: node for node in graph.node}
    pairs = [node for node in graph.node if node.op_type in ("QuantizeLinear", "DequantizeLinear")]
    for node in pairs:
        scale, zero = constants[node.input[1]], constants[node.input[2]]
        assert scale.dtype == np.float16 and (scale > 0).all() and np.isfinite(scale).all()
        assert zero.dtype == np.int8 and not zero.any()
    quantised = [node for node in graph.node if node.op_type == "Conv" and node.input[1] in makers]
    assert len(quantised) == 58  # all 59 but the last
    for node in quantised:
        levels = constants[makers[node.input[1]].input[0]]
        assert levels.dtype == np.int8 and np.abs(levels.astype(int)).max() == LEVELS
        assert len(constants[makers[node.input[1]].input[1]]) == len(levels)  # a scale for each channel
        assert makers[node.input[0]].op_type == "DequantizeLinear"
        assert node.input[2] in constants and constants[node.input[2]].dtype == np.float16  # biases are float
    assert not {"first", "last"} & {*makers}
    sizes = {node.input[0] for node in graph.node if node.op_type == "QuantizeLinear"}
    readers = [node for node in graph.node if sizes & {*node.input} and node.op_type != "QuantizeLinear"]
    assert readers == [] or all(node.output[0] in float_nodes(model.graph) for node in readers)


@pytest.mark.parametrize("op", ["Conv", "ConvTranspose"])
def test_each_output_channel_has_its_own_scale_and_a_zero_channel_does_no_harm(op: str) -> None:
    model = make_small(op)
    quantised = quantized_network(model, noise())
    constants = {i.name: numpy_helper.to_array(i) for i in quantised.graph.initializer}
    weight_scales = [value for name, value in constants.items() if name.endswith("scale") and value.ndim == 1]
    assert [len(scale) for scale in weight_scales] == [5]
    assert "first" not in constants and constants["last"].dtype == np.float32
    inputs = np.concatenate(noise(seed=1))
    expected, got = run(model, inputs)["heatmaps"], run(quantised, inputs)["heatmaps"]
    assert np.abs(got - expected).max() < 0.05 * np.abs(expected).max()


def test_values_as_they_occur_are_not_clipped() -> None:
    inputs = noise()
    quantised = quantized_network(make_small(), inputs)
    scale = next(
        float(numpy_helper.to_array(i)) for i in quantised.graph.initializer if i.name == "image_scale"
    )
    largest = float(np.abs(np.concatenate(inputs)).max())
    assert largest <= LEVELS * scale <= largest * 1.002
    assert scale == float(np.float16(scale))


def test_weights_shared_by_two_convolutions_are_quantised_for_each() -> None:
    nodes = [
        helper.make_node("Conv", ["image", "shared"], ["a"], pads=[1] * 4),
        helper.make_node("Conv", ["a", "shared"], ["b"], pads=[1] * 4),
        helper.make_node("Conv", ["b", "last"], ["heatmaps"]),
    ]
    rng = np.random.default_rng(0)
    model = make_model(
        nodes,
        shared=rng.standard_normal((3, 3, 3, 3)).astype(np.float32),
        last=rng.standard_normal((2, 3, 1, 1)).astype(np.float32),
    )
    inputs = np.concatenate(noise(seed=1))
    expected = run(model, inputs)["heatmaps"]
    got = run(quantized_network(model, noise()), inputs)["heatmaps"]
    assert np.abs(got - expected).max() < 0.06 * np.abs(expected).max()


def test_a_network_without_a_convolution_to_quantise_is_refused() -> None:
    model = make_model([helper.make_node("Relu", ["image"], ["heatmaps"])])
    with pytest.raises(ModelFileError, match="choose precision fp16"):
        quantized_network(model, noise())


def test_a_network_that_gives_nan_is_refused() -> None:
    inputs = noise()
    inputs[1][0, 0, 0, 0] = np.nan
    with pytest.raises(ModelFileError, match="NaN or infinity"):
        quantized_network(make_small(), inputs)


def test_values_too_large_for_what_stays_float16_are_refused() -> None:
    inputs = [item * np.float32(1e5) for item in noise()]
    with pytest.raises(ModelFileError, match="choose precision fp32"):
        quantized_network(make_small(), inputs)


def test_progress_is_told_and_ctrl_c_ends_the_calibration() -> None:
    seen: list[tuple[int, int]] = []

    def stop_at_two(done: int, total: int) -> None:
        seen.append((done, total))
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        quantized_network(make_small(), noise(), on_step=stop_at_two)
    assert seen == [(1, 4), (2, 4)]


@pytest.mark.parametrize(
    ("name", "kinds"),
    [("steadypose-td-w16", {"Conv": 1, "Sigmoid": 1}), ("steadypose-bu-w16", {"Conv": 2, "Sigmoid": 2})],
)
def test_the_last_convolutions_and_what_follows_stay_float(name: str, kinds: dict[str, int]) -> None:
    graph = onnx.load(str(models_dir() / f"{name}.onnx")).graph
    kept = float_nodes(graph)
    found = [node.op_type for node in graph.node if node.output[0] in kept]
    assert {kind: found.count(kind) for kind in kinds} == kinds
