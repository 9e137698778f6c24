"""Every architecture that is shipped has plans: TensorRT-RTX builds them without a GPU."""

from pathlib import Path

import numpy as np
import pytest
import torch

from engine.model_file import ModelSpec, read_spec
from engine.runtime import Arithmetic
from engine.runtime.build_progress import BuildProgress
from engine.runtime.calibration import Calibration
from engine.runtime.plan_builder import build_plan, make_typed_network, parse_network
from engine.runtime.plan_shapes import plan_shapes
from engine.runtime.tensorrt_package import load_package
from engine.zoo_catalogue import CATALOGUE
from train.config_file import load_settings
from train.export import export_onnx, wrap_network
from train.models import build_network
from train.settings import TrainSettings

pytest.importorskip("tensorrt_rtx")

# torch's exporter warns of deprecations inside torch itself.
pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")

SIDE = 128
"""Of the input, px; a plan's layers do not depend on it, its building time hardly does."""
SMALL = "hourglass-1-bearpaw-mpii-256x256"
IN_EVERY_PRECISION = (
    "hrnet-w32-coco-256x192", "higherhrnet-w32-coco-512", "hourglass-2-mpii-256x256",
    "hourglass-2-bearpaw-mpii-256x256",
)  # fmt: skip
"""One of each kind; wider and deeper ones hold the same operators, and their plans in fp16 say enough."""
PATHS = sorted((Path(__file__).parents[2] / "train" / "configs").glob("*.yaml"))


def recipe(settings: TrainSettings) -> tuple[object, ...]:
    """What the graph of a network depends on."""
    return settings.architecture, tuple(sorted(settings.architecture_options.items())), settings.tag_losses


DISTINCT = {recipe(load_settings(path)): path.stem for path in reversed(PATHS)}


def make_file(folder: Path, name: str) -> Path:
    """The model file of a config with random weights, for small inputs."""
    settings = load_settings(next(path for path in PATHS if path.stem == name))
    stage = settings.stages[0].model_copy(update={"input_size": (SIDE, SIDE)})
    settings = settings.model_copy(update={"stages": (stage,)})
    torch.manual_seed(0)
    path = folder / f"{name}.onnx"
    export_onnx(wrap_network(build_network(settings).eval(), settings), path)
    return path


@pytest.fixture(autouse=True)
def _noise_to_calibrate_with(monkeypatch: pytest.MonkeyPatch) -> None:
    def inputs(self: Calibration, spec: ModelSpec) -> list[np.ndarray]:
        return [np.random.default_rng(0).standard_normal((1, 3, *spec.input_size)).astype(np.float32)]

    monkeypatch.setattr(Calibration, "inputs", inputs)
    # Whether the file equals torch is another test's question, and takes as long as the plans.
    monkeypatch.setattr("train.export.torch_difference", lambda *_: 0.0)


def check_plan(path: Path, precision: Arithmetic) -> None:
    package, spec = load_package("tensorrt-rtx"), read_spec(path)
    types = package.module.DataType
    kind = types.FLOAT if precision == "fp32" else types.HALF
    builder = package.module.Builder(package.logger)
    network = builder.create_network(0)
    model = make_typed_network(path, spec, precision, None, BuildProgress())
    parser = parse_network(model, network, path, spec, package)
    assert network.get_input(0).dtype == kind
    assert {network.get_output(index).dtype for index in range(network.num_outputs)} == {kind}
    layers = [network.get_layer(index) for index in range(network.num_layers)]
    convolutions = [layer for layer in layers if layer.type == package.module.LayerType.CONVOLUTION]
    assert len(convolutions) > 20
    assert {layer.get_output(0).dtype for layer in convolutions} == {kind}
    quantised = [layer for layer in layers if layer.type == package.module.LayerType.QUANTIZE]
    assert (len(quantised) > 10) == (precision == "int8")
    del layers, convolutions, quantised, network, parser
    plan = build_plan(path, spec, package, precision, plan_shapes(spec))
    assert plan.startswith(b"vtrt")
    least = {"fp32": 0.95, "fp16": 0.45, "int8": 0.2}[precision]
    assert len(plan) > least * path.stat().st_size


def test_the_published_models_are_among_these_architectures() -> None:
    known = {(architecture, options) for architecture, options, _ in DISTINCT}
    assert {
        (model.architecture, tuple(sorted(model.architecture_options.items())))
        for model in CATALOGUE.values()
    } <= known


@pytest.mark.slow
def test_a_small_architecture_has_a_plan(tmp_path: Path) -> None:
    check_plan(make_file(tmp_path, SMALL), "fp16")


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(DISTINCT.values()))
def test_every_shipped_architecture_has_plans(name: str, tmp_path: Path) -> None:
    path = make_file(tmp_path, name)
    precisions: tuple[Arithmetic, ...] = ("fp32", "fp16", "int8") if name in IN_EVERY_PRECISION else ("fp16",)
    for precision in precisions:
        check_plan(path, precision)


def test_one_of_each_kind_is_built_in_every_precision() -> None:
    assert set(IN_EVERY_PRECISION) <= set(DISTINCT.values())
