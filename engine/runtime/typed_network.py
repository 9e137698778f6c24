"""From our float32 ONNX to one whose tensors are float16, in memory.

TensorRT's networks are strongly typed: a layer computes in the type of its tensors. Every float32 tensor
becomes float16, the network's inputs and outputs too; indices and shapes stay integers, and what ONNX wants
in float32 (the scales of Resize, the bounds of Range) stays so.
"""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import onnx
from google.protobuf.message import DecodeError
from onnx import TensorProto, helper, numpy_helper
from onnx.inliner import inline_local_functions

from engine.errors import ModelFileError
from engine.model_file import ModelSpec

FLOAT32_INPUTS = {"Resize": (1, 2), "Range": (0, 1, 2)}
"""Operator to the inputs that are float32 in ONNX whatever the others are."""
LARGEST = float(np.finfo(np.float16).max)


def load_float_network(path: Path, spec: ModelSpec) -> onnx.ModelProto:
    """Read a float32 model file with the types of all its tensors inferred.

    Raises:
        ModelFileError: it is cut short, quantised already, or holds control flow.
    """
    if spec.precision != "fp32":
        raise ModelFileError(f"{path} is {spec.precision} already; plans are built from the float32 file")
    try:
        model = onnx.load(str(path))
    except (DecodeError, ValueError, OSError) as error:
        raise ModelFileError(
            f"{path} is not an ONNX model or is cut short; export or copy it again"
        ) from error
    if model.functions:
        model = inline_local_functions(model)
    nested = {
        node.op_type
        for node in model.graph.node
        for attribute in node.attribute
        if attribute.type in (onnx.AttributeProto.GRAPH, onnx.AttributeProto.GRAPHS)
    }
    if nested:
        raise ModelFileError(
            f"{path} branches or loops ({', '.join(sorted(nested))}), which plans are not built from; "
            "export the network without control flow"
        )
    return onnx.shape_inference.infer_shapes(model)


def to_float16(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return the network with float16 tensors.

    Args:
        model: of `load_float_network`, or that with QDQ from `quantized_network`.

    Raises:
        ModelFileError: a weight is not finite or too large for float16.
    """
    result = onnx.shape_inference.infer_shapes(model)
    graph = result.graph
    ranges = _float_ranges(graph)
    _keep_float32_inputs(graph)
    kept = {name for node in graph.node for name in _float32_inputs(node)}
    for initializer in graph.initializer:
        if initializer.name not in kept:
            _halve(initializer, initializer.name)
    for node in graph.node:
        if kept.isdisjoint(node.output):
            _halve_attributes(node)
    for value in (*graph.input, *graph.output):
        if value.type.tensor_type.elem_type == TensorProto.FLOAT:
            value.type.tensor_type.elem_type = TensorProto.FLOAT16
    del graph.value_info[:]
    _halve_outputs(graph, ranges)
    _drop_unused(graph)
    return result


def _float_ranges(graph: onnx.GraphProto) -> set[str]:
    """Return the outputs of Range that are float32; ONNX has none in float16."""
    types = {value.name: value.type.tensor_type.elem_type for value in graph.value_info}
    return {
        node.output[0]
        for node in graph.node
        if node.op_type == "Range" and types.get(node.output[0]) == TensorProto.FLOAT
    }


def _float32_inputs(node: onnx.NodeProto) -> Iterable[str]:
    for place in FLOAT32_INPUTS.get(node.op_type, ()):
        if place < len(node.input) and node.input[place]:
            yield node.input[place]


def _keep_float32_inputs(graph: onnx.GraphProto) -> None:
    """Give what must stay float32 a tensor of its own: a copy of a constant, else a cast back."""
    types = {value.name: value.type.tensor_type.elem_type for value in graph.value_info}
    types |= {initializer.name: initializer.data_type for initializer in graph.initializer}
    constants = {initializer.name: initializer for initializer in graph.initializer}
    casts = {node.output[0]: node.input[0] for node in graph.node if node.op_type == "Cast"}
    nodes = []
    for node in graph.node:
        for place in FLOAT32_INPUTS.get(node.op_type, ()):
            name = node.input[place] if place < len(node.input) else ""
            if types.get(name) != TensorProto.FLOAT:
                continue
            # A size that was cast to float is cast anew: float16 holds integers up to 2048 only.
            given = casts.get(name, name)
            kept = f"{name}_of_{node.output[0]}_float32"
            if name in constants:
                copy = graph.initializer.add()
                copy.CopyFrom(constants[name])
                copy.name = kept
            else:
                nodes.append(helper.make_node("Cast", [given], [kept], name=kept, to=TensorProto.FLOAT))
            node.input[place] = kept
        nodes.append(node)
    _replace_nodes(graph, nodes)


def _halve(tensor: onnx.TensorProto, name: str) -> None:
    """Turn a float32 tensor into float16.

    Raises:
        ModelFileError: a value is not finite or would become infinite.
    """
    if tensor.data_type != TensorProto.FLOAT:
        return
    values = numpy_helper.to_array(tensor)
    if not np.isfinite(values).all():
        raise ModelFileError(
            f"tensor {name!r} of the network holds NaN or infinity; train or export it again"
        )
    largest = float(np.abs(values).max(initial=0.0))
    if largest > LARGEST:
        raise ModelFileError(
            f"tensor {name!r} of the network must stay within ±{LARGEST:.0f} for float16, got {largest:.3g}; "
            "choose precision fp32"
        )
    tensor.CopyFrom(numpy_helper.from_array(values.astype(np.float16), tensor.name))


def _halve_attributes(node: onnx.NodeProto) -> None:
    for attribute in node.attribute:
        if node.op_type == "Cast" and attribute.name == "to" and attribute.i == TensorProto.FLOAT:
            attribute.i = TensorProto.FLOAT16
        elif attribute.type == onnx.AttributeProto.TENSOR:
            _halve(attribute.t, node.name or node.output[0])
        elif node.op_type == "Constant" and attribute.name in ("value_float", "value_floats"):
            values = attribute.f if attribute.name == "value_float" else list(attribute.floats)
            tensor = numpy_helper.from_array(np.asarray(values, np.float32))
            _halve(tensor, node.name or node.output[0])
            attribute.CopyFrom(helper.make_attribute("value", tensor))


def _halve_outputs(graph: onnx.GraphProto, names: set[str]) -> None:
    """Cast these float32 tensors to float16 for all who read them."""
    if not names:
        return
    nodes = []
    for node in graph.node:
        for place, name in enumerate(node.input):
            if name in names:
                node.input[place] = f"{name}_float16"
        nodes.append(node)
        nodes += [
            helper.make_node(
                "Cast", [name], [f"{name}_float16"], name=f"{name}_float16", to=TensorProto.FLOAT16
            )
            for name in node.output
            if name in names
        ]
    _replace_nodes(graph, nodes)


def _drop_unused(graph: onnx.GraphProto) -> None:
    """Remove constants and nodes that nobody reads any more."""
    read = {name for node in graph.node for name in node.input} | {value.name for value in graph.output}
    _replace_nodes(graph, [node for node in graph.node if not read.isdisjoint(node.output)])
    kept = [initializer for initializer in graph.initializer if initializer.name in read]
    copies = [onnx.TensorProto.FromString(initializer.SerializeToString()) for initializer in kept]
    del graph.initializer[:]
    graph.initializer.extend(copies)


def _replace_nodes(graph: onnx.GraphProto, nodes: Iterable[onnx.NodeProto]) -> None:
    copies = [onnx.NodeProto.FromString(node.SerializeToString()) for node in nodes]
    del graph.node[:]
    graph.node.extend(copies)
