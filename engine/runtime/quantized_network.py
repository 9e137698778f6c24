"""From our float32 ONNX to one with Q/DQ pairs as TensorRT takes them, in memory.

Signed and symmetric, weights per output channel, biases not quantised. Pairs stand where a convolution reads,
and what else reads that tensor (the sum behind a residual block) reads the same pair, so that eight bits
travel. The last convolutions stay float: their values are the heatmap itself, and they cost little.
"""

from collections.abc import Callable, Sequence

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from engine.errors import ModelFileError
from engine.runtime.typed_network import LARGEST

QUANTISED = ("Conv", "ConvTranspose")
LEVELS = 127
SMALLEST_SCALE = 2.0**-20
"""Scales become float16, whose smallest number is 2**-24: below this their rounding would be coarse."""

Ranges = dict[str, float]
OnStep = Callable[[int, int], None]
"""Told how many calibration inputs are done, of how many; what it raises ends the calibration."""


def quantized_network(
    model: onnx.ModelProto,
    inputs: Sequence[NDArray[np.float32]],
    *,
    on_step: OnStep | None = None,
) -> onnx.ModelProto:
    """Return the network with Q/DQ pairs, float32 elsewhere, its scales fit for float16.

    Args:
        model: float32 network of `typed_network.load_float_network`.
        inputs: arrays (n, 3, h, w) float32 to calibrate with.
        on_step: see `OnStep`.

    Raises:
        ModelFileError: the network holds no convolution to quantise, or gives NaN or infinity on the inputs.
    """
    skipped = float_nodes(model.graph)
    weights = {initializer.name for initializer in model.graph.initializer}
    nodes = [
        node
        for node in model.graph.node
        if node.op_type in QUANTISED and node.output[0] not in skipped and node.input[1] in weights
    ]
    if not nodes:
        raise ModelFileError(
            "the network holds no convolution that could be quantised; choose precision fp16"
        )
    ranges = activation_ranges(model, sorted({node.input[0] for node in nodes}), inputs, on_step=on_step)
    result = onnx.ModelProto()
    result.CopyFrom(model)
    _quantize_weights(result.graph, {node.output[0] for node in nodes})
    _quantize_activations(result.graph, ranges, skipped)
    del result.graph.value_info[:]
    return result


def float_nodes(graph: onnx.GraphProto) -> set[str]:
    """Return what stays float: the last convolutions and the nodes behind them, each by its first output.

    ONNX lets nodes go without a name, so that is what they are known by here.
    """
    maker = {name: node for node in graph.node for name in node.output}
    names: set[str] = set()
    waiting = [output.name for output in graph.output]
    while waiting:
        node = maker.get(waiting.pop())
        if node is None or node.output[0] in names:
            continue
        names.add(node.output[0])
        if node.op_type != "Conv":
            waiting += list(node.input)
    return names


def activation_ranges(
    model: onnx.ModelProto,
    names: Sequence[str],
    inputs: Sequence[NDArray[np.float32]],
    *,
    on_step: OnStep | None = None,
) -> Ranges:
    """Return the largest absolute value of each tensor over all inputs.

    Raises:
        ModelFileError: one is not finite.
    """
    measured = onnx.ModelProto()
    measured.CopyFrom(model)
    graph = measured.graph
    del graph.output[:]
    for name in names:
        size, largest = f"{name}__size", f"{name}__largest"
        graph.node.append(helper.make_node("Abs", [name], [size]))
        graph.node.append(helper.make_node("ReduceMax", [size], [largest], keepdims=0))
        graph.output.append(helper.make_tensor_value_info(largest, TensorProto.FLOAT, []))
    session = _open_session(measured)
    taken = session.get_inputs()[0].name
    worst = np.zeros(len(names))
    for index, item in enumerate(inputs):
        worst = np.maximum(worst, np.asarray(session.run(None, {taken: item}), np.float64))
        if on_step is not None:
            on_step(index + 1, len(inputs))
    if not np.isfinite(worst).all():
        raise ModelFileError("the network gives NaN or infinity on calibration pictures; train it further")
    return dict(zip(names, worst.tolist(), strict=True))


def _open_session(model: onnx.ModelProto) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )


def _fit_scale(largest: NDArray[np.float64]) -> NDArray[np.float32]:
    """Return scales that float16 holds exactly, none smaller than it takes to reach the largest value.

    Raises:
        ModelFileError: a value is too large for float16, the type of all that is not quantised.
    """
    if float(largest.max()) > LARGEST:
        raise ModelFileError(
            f"values of the network must stay within ±{LARGEST:.0f} for float16, got {largest.max():.3g}; "
            "choose precision fp32"
        )
    wanted = np.maximum(largest / LEVELS, SMALLEST_SCALE)
    scale = wanted.astype(np.float16)
    short = scale.astype(np.float64) < wanted
    scale[short] = np.nextafter(scale[short], np.float16(np.inf))
    return scale.astype(np.float32)


def _quantize_weights(graph: onnx.GraphProto, names: set[str]) -> None:
    """Replace the weights of the nodes with these outputs by int8, with one scale per output channel."""
    weights = {initializer.name: initializer for initializer in graph.initializer}
    nodes: list[onnx.NodeProto] = []
    for node in graph.node:
        if node.output[0] in names:
            # ConvTranspose has weights (in, out / group, ...): the scale runs along the second axis.
            axis = 0 if node.op_type == "Conv" else 1
            values = numpy_helper.to_array(weights[node.input[1]]).astype(np.float64)
            others = tuple(index for index in range(values.ndim) if index != axis)
            scale = _fit_scale(np.abs(values).max(axis=others))
            shape = [-1 if index == axis else 1 for index in range(values.ndim)]
            levels = np.clip(np.rint(values / scale.astype(np.float64).reshape(shape)), -LEVELS, LEVELS)
            stem = f"{node.input[1]}_of_{node.output[0]}"
            graph.initializer.extend(
                [
                    numpy_helper.from_array(levels.astype(np.int8), f"{stem}_int8"),
                    numpy_helper.from_array(scale, f"{stem}_scale"),
                    numpy_helper.from_array(np.zeros(len(scale), np.int8), f"{stem}_zero"),
                ]
            )
            nodes.append(
                helper.make_node(
                    "DequantizeLinear",
                    [f"{stem}_int8", f"{stem}_scale", f"{stem}_zero"],
                    [f"{stem}_float"],
                    name=f"{stem}_dequantize",
                    axis=axis,
                )
            )
            node.input[1] = f"{stem}_float"
        nodes.append(node)
    _replace(graph, nodes)
    used = {name for node in graph.node for name in node.input}
    kept = [initializer for initializer in graph.initializer if initializer.name in used]
    copies = [onnx.TensorProto.FromString(initializer.SerializeToString()) for initializer in kept]
    del graph.initializer[:]
    graph.initializer.extend(copies)


def _quantize_activations(graph: onnx.GraphProto, ranges: Ranges, skipped: set[str]) -> None:
    """Let all readers of these tensors but the float ones read them through a Q/DQ pair."""
    scales = _fit_scale(np.asarray(list(ranges.values())))
    pairs: dict[str, list[onnx.NodeProto]] = {}
    graph.initializer.append(numpy_helper.from_array(np.zeros((), np.int8), "activations_zero"))
    for name, scale in zip(ranges, scales, strict=True):
        graph.initializer.append(numpy_helper.from_array(scale.reshape(()), f"{name}_scale"))
        taken = [f"{name}_scale", "activations_zero"]
        pairs[name] = [
            helper.make_node("QuantizeLinear", [name, *taken], [f"{name}_int8"], name=f"{name}_quantize"),
            helper.make_node(
                "DequantizeLinear", [f"{name}_int8", *taken], [f"{name}_float"], name=f"{name}_dequantize"
            ),
        ]
    nodes: list[onnx.NodeProto] = []
    for value in graph.input:
        nodes += pairs.get(value.name, [])
    for node in graph.node:
        if node.output[0] not in skipped:
            for place, name in enumerate(node.input):
                if name in pairs:
                    node.input[place] = f"{name}_float"
        nodes.append(node)
        for name in node.output:
            nodes += pairs.get(name, [])
    _replace(graph, nodes)


def _replace(graph: onnx.GraphProto, nodes: Sequence[onnx.NodeProto]) -> None:
    copies = [onnx.NodeProto.FromString(node.SerializeToString()) for node in nodes]
    del graph.node[:]
    graph.node.extend(copies)
