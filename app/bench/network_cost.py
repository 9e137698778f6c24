"""What a network costs, read from its ONNX graph: multiply-adds, weights, inputs and outputs."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path

import onnx
from google.protobuf.message import DecodeError
from onnx import shape_inference

from app.bench.floors import Work
from engine.errors import ModelFileError
from engine.geometry import Size
from engine.model_file import ModelSpec
from engine.runtime import Arithmetic, output_strides

WEIGHT_BYTES: Mapping[str, int] = {"fp32": 4, "fp16": 2, "bf16": 2, "int8": 1}
COUNTED = ("Conv", "ConvTranspose", "MatMul", "Gemm")

Shape = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class NetworkCost:
    """One picture through a network.

    macs: multiply-adds; weights: trained numbers; values: numbers of input and outputs.
    """

    macs: int
    weights: int
    values: int

    def work(self, batch: int, arithmetic: Arithmetic, value_bytes: int) -> Work:
        """Return what a run on `batch` pictures does at least.

        Weights are read once, inputs once, outputs written once; what lies in between may stay in caches.
        value_bytes: of a number of inputs and outputs.
        """
        moved = self.weights * WEIGHT_BYTES[arithmetic] + batch * self.values * value_bytes
        return Work(memory_bytes=moved, operations={arithmetic: batch * self.macs}, launches=1)


def network_cost(path: Path, spec: ModelSpec, size: Size) -> NetworkCost:
    """Count a float model file for inputs of (height, width) px.

    Convolutions, transposed convolutions and matrix products are counted, as in the papers; normalisation is
    folded into them, and what else there is costs bytes rather than multiply-adds.

    Raises:
        ModelFileError: the file cannot be read, or the shape of something in it cannot be worked out.
    """
    model, shapes = _with_shapes(path, spec, size)
    macs = sum(_macs(node, shapes, path) for node in model.graph.node if node.op_type in COUNTED)
    wanted = [spec.input_name, *output_strides(spec)]
    values = sum(prod(_known(shapes, name, path)) for name in wanted)
    floats = (onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16)
    weights = sum(prod(tensor.dims) for tensor in model.graph.initializer if tensor.data_type in floats)
    return NetworkCost(macs, weights, values)


def _with_shapes(path: Path, spec: ModelSpec, size: Size) -> tuple[onnx.ModelProto, dict[str, Shape]]:
    """Return a model for one picture of a size, and the shapes of all that could be worked out."""
    try:
        model = onnx.load(str(path))
        for value in model.graph.input:
            if value.name == spec.input_name:
                for place, side in zip(value.type.tensor_type.shape.dim, (1, 3, *size), strict=True):
                    place.dim_value = side
        # They hold for any batch and size.
        del model.graph.value_info[:]
        for value in model.graph.output:
            value.type.tensor_type.ClearField("shape")
        model = shape_inference.infer_shapes(model, data_prop=True)
    except (DecodeError, OSError, ValueError, shape_inference.InferenceError) as error:
        raise ModelFileError(f"the multiply-adds of {path} cannot be counted: {error}") from error
    shapes = {tensor.name: tuple(tensor.dims) for tensor in model.graph.initializer}
    for value in (*model.graph.input, *model.graph.output, *model.graph.value_info):
        tensor = value.type.tensor_type
        if tensor.HasField("shape") and all(place.HasField("dim_value") for place in tensor.shape.dim):
            shapes[value.name] = tuple(place.dim_value for place in tensor.shape.dim)
    return model, shapes


def _macs(node: onnx.NodeProto, shapes: Mapping[str, Shape], path: Path) -> int:
    first, second = (_known(shapes, name, path) for name in node.input[:2])
    if node.op_type == "ConvTranspose":
        # Each px of the input is multiplied with the kernel.
        return prod(first) * prod(second[1:])
    output = _known(shapes, node.output[0], path)
    if node.op_type == "Conv":
        return prod(output) * prod(second[1:])
    if node.op_type == "Gemm":
        transposed = any(attribute.name == "transA" and attribute.i for attribute in node.attribute)
        return prod(output) * first[0 if transposed else 1]
    return prod(output) * first[-1]


def _known(shapes: Mapping[str, Shape], name: str, path: Path) -> Shape:
    if name not in shapes:
        raise ModelFileError(
            f"the multiply-adds of {path} cannot be counted: the shape of {name!r} is not known; export the "
            "model again"
        )
    return shapes[name]
