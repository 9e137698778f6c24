from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from app.bench.network_cost import NetworkCost, network_cost
from engine.errors import ModelFileError
from engine.model_file import HeatmapOutput, ModelSpec, read_spec
from engine.skeleton import COCO17
from engine.zoo import model_path


def spec_of(size: tuple[int, int]) -> ModelSpec:
    return ModelSpec(
        name="net", architecture="none", kind="top-down", input_size=size, mean=(0, 0, 0), std=(1, 1, 1),
        heatmap_outputs=(HeatmapOutput(name="maps", stride=1),), skeleton=COCO17, licence="none",
        training_data="none",
    )  # fmt: skip


def save(path: Path, nodes: list[onnx.NodeProto], weights: dict[str, tuple[int, ...]]) -> Path:
    graph = helper.make_graph(
        nodes,
        "net",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["n", 3, "h", "w"])],
        [helper.make_tensor_value_info("maps", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(np.zeros(shape, np.float32), name) for name, shape in weights.items()],
    )
    domains = [helper.make_opsetid("", 17), helper.make_opsetid("far.away", 1)]
    onnx.save(helper.make_model(graph, opset_imports=domains, ir_version=9), str(path))
    return path


def test_convolutions_are_counted_by_hand(tmp_path: Path):
    nodes = [
        helper.make_node("Conv", ["image", "a"], ["x"], kernel_shape=[3, 3], pads=[1] * 4, strides=[2, 2]),
        helper.make_node("Conv", ["x", "b"], ["y"], kernel_shape=[3, 3], pads=[1] * 4, group=8),
        helper.make_node("ConvTranspose", ["y", "c"], ["maps"], strides=[2, 2], pads=[1] * 4),
    ]
    weights = {"a": (8, 3, 3, 3), "b": (8, 1, 3, 3), "c": (8, 17, 4, 4)}
    path = save(tmp_path / "net.onnx", nodes, weights)
    cost = network_cost(path, spec_of((10, 12)), (10, 12))
    first, second, third = 8 * 5 * 6 * 27, 8 * 5 * 6 * 9, 8 * 5 * 6 * 17 * 16
    assert cost.macs == first + second + third
    assert cost.weights == 216 + 72 + 2176
    assert cost.values == 3 * 120 + 17 * 120


def test_products_of_matrices_are_counted_by_hand(tmp_path: Path):
    nodes = [
        helper.make_node("GlobalAveragePool", ["image"], ["mean"]),
        helper.make_node("Flatten", ["mean"], ["flat"]),
        helper.make_node("Gemm", ["flat", "a"], ["x"], transB=1),
        helper.make_node("MatMul", ["x", "b"], ["maps"]),
    ]
    path = save(tmp_path / "net.onnx", nodes, {"a": (5, 3), "b": (5, 17)})
    assert network_cost(path, spec_of((4, 4)), (4, 4)).macs == 3 * 5 + 5 * 17


def test_a_run_reads_weights_once_and_pictures_each():
    work = NetworkCost(macs=100, weights=1000, values=10).work(4, "int8", 2)
    assert work.memory_bytes == 1000 + 4 * 10 * 2
    assert work.operations == {"int8": 400}
    assert NetworkCost(100, 1000, 10).work(1, "fp16", 2).memory_bytes == 2020


@pytest.mark.parametrize(
    ("name", "size", "giga"),
    [
        ("td", (256, 192), 0.571),
        ("td", (192, 128), 0.285),
        ("bu", (512, 512), 3.578),
        ("bu", (256, 256), 0.894),
    ],
)
def test_the_bundled_networks_cost_what_was_counted_in_torch(name: str, size: tuple[int, int], giga: float):
    path = model_path(f"steadypose-{name}-w16")
    assert network_cost(path, read_spec(path), size).macs / 1e9 == pytest.approx(giga, abs=5e-4)


def test_what_cannot_be_counted_is_said(tmp_path: Path):
    nodes = [
        helper.make_node("Unheard", ["image"], ["x"], domain="far.away"),
        helper.make_node("Conv", ["x", "a"], ["maps"], kernel_shape=[1, 1]),
    ]
    path = save(tmp_path / "net.onnx", nodes, {"a": (17, 3, 1, 1)})
    with pytest.raises(ModelFileError, match=r"cannot be counted: the shape of 'x' is not known"):
        network_cost(path, spec_of((4, 4)), (4, 4))
    (tmp_path / "cut.onnx").write_bytes(b"\x08\x07\x12")
    with pytest.raises(ModelFileError, match="cannot be counted"):
        network_cost(tmp_path / "cut.onnx", spec_of((4, 4)), (4, 4))
