"""Plans are built by TensorRT-RTX, which needs no GPU for that. TensorRT is the same library under another
name, its answers changed where they must differ: the API is one."""

import threading
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

import engine.runtime.plan_builder as plan_builder
from assets import models_dir
from engine.cuda.device import DeviceInfo
from engine.errors import DeviceError, ModelFileError, RuntimeUnavailableError, SteadyPoseError
from engine.model_file import ModelSpec, read_spec, write_spec
from engine.runtime import Arithmetic
from engine.runtime.build_progress import BuildProgress
from engine.runtime.calibration import Calibration
from engine.runtime.plan_builder import (
    build_plan,
    check_precision,
    configure,
    make_profiles,
    make_typed_network,
    obtain_plan,
    parse_network,
)
from engine.runtime.plan_cache import PORTABLE, find_plan
from engine.runtime.plan_shapes import plan_shapes
from engine.runtime.tensorrt_package import ErrorLog, TensorRtPackage, load_package
from tests.engine.runtime.demo_inputs import demo_inputs

rtx = pytest.importorskip("tensorrt_rtx")

ADA = DeviceInfo("NVIDIA RTX 4090", 0, (8, 9), 24 << 30, (13, 0))
TURING = DeviceInfo("RTX 2080", 0, (7, 5), 8 << 30, (13, 0))
HEADER = b"vtrt"
"""How a plan of TensorRT-RTX begins."""
BUNDLED = ["steadypose-td-w16", "steadypose-bu-w16"]


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture
def package() -> TensorRtPackage:
    return load_package("tensorrt-rtx")


@pytest.fixture(autouse=True)
def _few_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    """INT8 is calibrated on a few frames of the clip, decoded once."""
    real = Calibration.inputs

    def inputs(self: Calibration, spec: ModelSpec) -> list[np.ndarray]:
        return list(demo_inputs(spec.name)[::16]) if spec.name in BUNDLED else real(self, spec)

    monkeypatch.setattr(Calibration, "inputs", inputs)


def parse(path: Path, precision: Arithmetic, package: TensorRtPackage) -> tuple[Any, Any, list[Any]]:
    """What must live as long as the INetworkDefinition, that, and its layers."""
    spec = read_spec(path)
    builder = package.module.Builder(package.logger)
    network = builder.create_network(0)
    parse_network(
        make_typed_network(path, spec, precision, None, BuildProgress()), network, path, spec, package
    )
    return builder, network, [network.get_layer(index) for index in range(network.num_layers)]


@pytest.mark.parametrize("precision", ["fp32", "fp16", "int8"])
@pytest.mark.parametrize("name", BUNDLED)
def test_the_network_has_the_names_types_and_shapes_of_the_spec(
    name: str, precision: Arithmetic, package: TensorRtPackage
) -> None:
    path = models_dir() / f"{name}.onnx"
    spec = read_spec(path)
    _, network, _ = parse(path, precision, package)
    kind = package.module.DataType.FLOAT if precision == "fp32" else package.module.DataType.HALF
    image = network.get_input(0)
    size = (-1, -1) if spec.dynamic_size else spec.input_size
    assert (image.name, tuple(image.shape), image.dtype) == (spec.input_name, (-1, 3, *size), kind)
    outputs = {output.name: output for output in map(network.get_output, range(network.num_outputs))}
    assert set(outputs) == {output.name for output in (*spec.heatmap_outputs, *spec.tag_outputs)}
    for output in spec.heatmap_outputs:
        tensor = outputs[output.name]
        sides = (-1, -1) if spec.dynamic_size else tuple(side // output.stride for side in spec.input_size)
        assert (tuple(tensor.shape), tensor.dtype) == ((-1, spec.skeleton.count, *sides), kind)


@pytest.mark.parametrize("precision", ["fp32", "fp16", "int8"])
@pytest.mark.parametrize("name", BUNDLED)
def test_every_layer_computes_in_the_type_that_was_asked_for(
    name: str, precision: Arithmetic, package: TensorRtPackage
) -> None:
    types, layers = package.module.DataType, package.module.LayerType
    _, _, found = parse(models_dir() / f"{name}.onnx", precision, package)
    taken = {layers.CONVOLUTION: 0, layers.DECONVOLUTION: 0, layers.QUANTIZE: 0}
    for layer in found:
        taken[layer.type] = taken.get(layer.type, 0) + 1
        if layer.type in (layers.CONVOLUTION, layers.DECONVOLUTION, layers.ACTIVATION, layers.RESIZE):
            assert layer.get_output(0).dtype == (types.FLOAT if precision == "fp32" else types.HALF)
        if layer.type == layers.QUANTIZE:
            assert layer.get_output(0).dtype == types.INT8
    assert taken[layers.CONVOLUTION] >= 59
    assert (taken[layers.QUANTIZE] > 40) == (precision == "int8")


@pytest.mark.parametrize(
    ("name", "precision"),
    [
        ("steadypose-td-w16", "fp32"),
        ("steadypose-td-w16", "fp16"),
        ("steadypose-td-w16", "int8"),
        ("steadypose-bu-w16", "fp32"),
        ("steadypose-bu-w16", "fp16"),
        pytest.param("steadypose-bu-w16", "int8", marks=pytest.mark.slow),
    ],
)
def test_the_bundled_models_have_plans_without_a_gpu(
    name: str, precision: Arithmetic, package: TensorRtPackage
) -> None:
    path = models_dir() / f"{name}.onnx"
    spec = read_spec(path)
    seen: list[tuple[float, str]] = []
    data = build_plan(
        path, spec, package, precision, plan_shapes(spec), on_progress=lambda *told: seen.append(told)
    )
    assert data.startswith(HEADER)
    weights = path.stat().st_size
    least = {"fp32": 1.0, "fp16": 0.5, "int8": 0.25}[precision]
    assert least * 0.95 * weights < len(data) < 3 * weights
    # Weights are laid out anew for the kernels, but biases stand in the plan as they are, in its type.
    kind = np.float32 if precision == "fp32" else np.float16
    biases = [numpy_helper.to_array(i) for i in onnx.load(str(path)).graph.initializer if len(i.dims) == 1]
    found = [values.astype(kind).tobytes() in data for values in biases if len(values) >= 8]
    assert sum(found) > 0.8 * len(found) > 40
    shares = [share for share, _ in seen]
    assert shares == sorted(shares) and shares[0] == 0.0 and shares[-1] == 1.0
    assert ("calibrating" in {what for _, what in seen}) == (precision == "int8")


def test_turing_has_a_plan_of_its_own_and_no_int8(package: TensorRtPackage) -> None:
    path = models_dir() / "steadypose-td-w16.onnx"
    spec = read_spec(path)
    config = package.module.Builder(package.logger).create_builder_config()
    configure(config, package, "fp16", TURING)
    assert config.num_compute_capabilities == 1
    assert config.get_compute_capability(0) == package.module.ComputeCapability.SM75
    stored, data, is_new = obtain_plan(path, spec, package, "fp16", gpu=TURING)
    assert is_new and data.startswith(HEADER) and stored.key.gpu != PORTABLE
    with pytest.raises(RuntimeUnavailableError, match="no int8 on RTX 2080"):
        check_precision(package, "int8", TURING)
    check_precision(package, "int8", ADA)


def test_float32_is_not_rounded_to_tf32_and_plans_can_be_captured(package: TensorRtPackage) -> None:
    flags = package.module.BuilderFlag
    config = package.module.Builder(package.logger).create_builder_config()
    assert config.get_flag(flags.TF32)  # as it is by default
    configure(config, package, "fp32", None)
    assert not config.get_flag(flags.TF32)
    assert config.get_flag(flags.REQUIRE_USER_ALLOCATION)
    assert config.get_preview_feature(package.module.PreviewFeature.RUNTIME_ACTIVATION_RESIZE_10_10)


@pytest.mark.parametrize("name", BUNDLED)
def test_the_profile_spans_the_shapes(name: str, package: TensorRtPackage) -> None:
    spec = read_spec(models_dir() / f"{name}.onnx")
    shapes = plan_shapes(spec)
    (profile,) = make_profiles(package.module.Builder(package.logger), spec, shapes, package)
    low, usual, high = (tuple(shape) for shape in profile.get_shape(spec.input_name))
    assert low == (1, 3, *shapes.min_size)
    assert usual == (shapes.typical_batch, 3, *shapes.typical_size)
    assert high == (shapes.max_batch, 3, *shapes.max_size)


@pytest.mark.parametrize(
    ("name", "max_batch", "batches"),
    [
        ("steadypose-td-w16", None, [(1, 1, 1), (1, 8, 8), (1, 32, 64)]),
        ("steadypose-td-w16", 4, [(1, 1, 1), (1, 4, 4)]),
        ("steadypose-td-w16", 1, [(1, 1, 1)]),
        ("steadypose-bu-w16", None, [(1, 1, 2)]),
    ],
)
def test_tensorrt_is_tuned_for_one_crop_for_some_and_for_many(
    name: str,
    max_batch: int | None,
    batches: list[tuple[int, int, int]],
    make_tensorrt: Callable[..., TensorRtPackage],
) -> None:
    spec = read_spec(models_dir() / f"{name}.onnx")
    package = make_tensorrt()
    profiles = make_profiles(rtx.Builder(package.logger), spec, plan_shapes(spec, max_batch), package)
    assert [
        tuple(shape[0] for shape in profile.get_shape(spec.input_name)) for profile in profiles
    ] == batches


def test_the_second_time_the_plan_comes_from_the_cache(package: TensorRtPackage, top_down_file: Path) -> None:
    spec = read_spec(top_down_file)
    first, data, is_new = obtain_plan(top_down_file, spec, package, "fp16", gpu=None)
    assert is_new and first.path is not None and float(first.about["seconds"]) >= 0
    again, same, is_new = obtain_plan(
        top_down_file, spec, package, "fp16", gpu=ADA, on_progress=lambda *_: pytest.fail("nothing to build")
    )
    assert not is_new and same == data and again.path == first.path
    assert obtain_plan(top_down_file, spec, package, "fp16", gpu=None, force=True)[2]
    assert obtain_plan(top_down_file, spec, package, "fp32", gpu=None)[2]


@pytest.mark.parametrize("damage", [lambda data: data[: len(data) // 2], lambda data: data[::-1]])
def test_a_damaged_plan_is_built_again(
    damage: Callable[[bytes], bytes],
    package: TensorRtPackage,
    top_down_file: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    spec = read_spec(top_down_file)
    first, _, _ = obtain_plan(top_down_file, spec, package, "fp16", gpu=None)
    assert first.path is not None
    first.path.write_bytes(damage(first.path.read_bytes()))
    again, data, is_new = obtain_plan(top_down_file, spec, package, "fp16", gpu=None)
    assert is_new and data.startswith(HEADER) and again.read() == data
    assert "again" in caplog.text


@pytest.mark.slow
def test_other_calibration_pictures_are_another_plan(
    package: TensorRtPackage, top_down_file: Path, marker_folder: Path, bottom_up_file: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr("engine.runtime.calibration.FINDER", str(bottom_up_file))
    spec = read_spec(top_down_file)
    one = Calibration(marker_folder)
    first, _, _ = obtain_plan(top_down_file, spec, package, "int8", gpu=None, calibration=one)
    assert first.about["calibration"] == one.source
    assert not obtain_plan(top_down_file, spec, package, "int8", gpu=None, calibration=one)[2]
    assert obtain_plan(top_down_file, spec, package, "int8", gpu=None)[2]


def test_ctrl_c_while_the_plan_is_built_leaves_nothing(package: TensorRtPackage) -> None:
    path = models_dir() / "steadypose-td-w16.onnx"
    spec = read_spec(path)

    def interrupt(share: float, what: str) -> None:
        if what not in ("preparing the network", "building the plan"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        obtain_plan(path, spec, package, "fp16", gpu=None, on_progress=interrupt)
    assert not [thread for thread in threading.enumerate() if thread.name == "plan-build"]
    key = obtain_plan(path, spec, package, "fp16", gpu=None)[0].key
    assert find_plan(key) is not None


def write_with(path: Path, spec: ModelSpec, change: Callable[[onnx.ModelProto], None], source: Path) -> Path:
    model = onnx.load(str(source))
    change(model)
    write_spec(model, spec)
    onnx.save(model, str(path))
    return path


def test_an_operator_that_the_package_lacks_is_named(
    tmp_path: Path, package: TensorRtPackage, top_down_file: Path
) -> None:
    spec = read_spec(top_down_file)

    def put_det(model: onnx.ModelProto) -> None:
        model.graph.node.append(helper.make_node("Det", ["image"], ["unused"]))

    path = write_with(tmp_path / "m.onnx", spec, put_det, top_down_file)
    with pytest.raises(ModelFileError, match=r"operator Det, which tensorrt-rtx 1\.") as caught:
        build_plan(path, spec, package, "fp32", plan_shapes(spec))
    assert "export the network without it" in str(caught.value)


def test_what_the_parser_cannot_take_is_told_with_operator_and_reason(
    tmp_path: Path, package: TensorRtPackage, top_down_file: Path
) -> None:
    spec = read_spec(top_down_file)

    def spoil(model: onnx.ModelProto) -> None:
        conv = next(node for node in model.graph.node if node.op_type == "Conv")
        conv.name = "spoilt"
        weights = next(i for i in model.graph.initializer if i.name == conv.input[1])
        weights.CopyFrom(numpy_helper.from_array(np.zeros((6, 5, 1, 1), np.float32), weights.name))

    path = write_with(tmp_path / "m.onnx", spec, spoil, top_down_file)
    with pytest.raises(ModelFileError, match=r"Conv 'spoilt'"):
        build_plan(path, spec, package, "fp32", plan_shapes(spec))
    assert package.errors.take() == []


def test_outputs_that_the_spec_names_must_be_there(package: TensorRtPackage, top_down_file: Path) -> None:
    spec = read_spec(top_down_file)
    output = spec.heatmap_outputs[0].model_copy(update={"name": "other"})
    wrong = spec.model_copy(update={"heatmap_outputs": (output,)})
    with pytest.raises(ModelFileError, match=r"outputs \['other'\]"):
        build_plan(top_down_file, wrong, package, "fp32", plan_shapes(spec))


def test_bf16_is_refused(package: TensorRtPackage, top_down_file: Path) -> None:
    spec = read_spec(top_down_file)
    with pytest.raises(RuntimeUnavailableError, match="not bf16; choose fp16"):
        obtain_plan(top_down_file, spec, package, "bf16", gpu=None)


class Timings:
    """The timing cache of a config that has none."""

    def __init__(self, config: Any) -> None:
        self._config = config

    def __getattr__(self, name: str) -> Any:
        return getattr(self._config, name)

    def __setattr__(self, name: str, value: Any) -> None:
        if name == "_config":
            object.__setattr__(self, name, value)
        else:
            setattr(self._config, name, value)

    def create_timing_cache(self, data: bytes) -> bytes:
        return data

    def set_timing_cache(self, cache: bytes, ignore_mismatch: bool) -> bool:
        return True

    def get_timing_cache(self) -> SimpleNamespace:
        return SimpleNamespace(serialize=lambda: b"measured")


@pytest.fixture
def make_tensorrt() -> Callable[..., TensorRtPackage]:
    """Function (told, fails) to a TensorRT that makes no builder, or no plan, and tells these words."""

    def make(told: str = "", *, fails: str = "") -> TensorRtPackage:
        errors = ErrorLog()
        real = load_package("tensorrt-rtx")

        class Builder:
            def __init__(self, logger: Any) -> None:
                if fails == "builder":
                    errors.add(told)
                    raise TypeError("pybind11::init(): factory function returned nullptr")
                self._builder = rtx.Builder(logger)

            def __getattr__(self, name: str) -> Any:
                return getattr(self._builder, name)

            def create_builder_config(self) -> Timings:
                return Timings(self._builder.create_builder_config())

            def build_serialized_network(self, network: Any, config: Timings) -> Any:
                if fails == "plan":
                    errors.add(told)
                    return None
                return self._builder.build_serialized_network(network, config._config)

        module = SimpleNamespace(**{**vars(rtx), "Builder": Builder, "__version__": "11.4.0"})
        return TensorRtPackage("tensorrt", module, "11.4.0", real.logger, errors)

    return make


@pytest.mark.parametrize(
    ("fails", "told", "kind"),
    [
        ("builder", "Unable to initialize CUDA: cudaError 35", RuntimeUnavailableError),
        ("plan", "CUDA driver version is insufficient for CUDA runtime version", RuntimeUnavailableError),
        ("plan", "no CUDA-capable device is detected (cudaError 100)", RuntimeUnavailableError),
        ("plan", "Error Code 2: OutOfMemory (Requested size was 8 bytes)", DeviceError),
        ("plan", "CUDA error 2: out of memory", DeviceError),
        ("plan", "Cuda Runtime (an illegal memory access): CUDA error 700", DeviceError),
        ("plan", "Error Code 10: Could not find any implementation for node", ModelFileError),
    ],
)
def test_a_build_that_fails_says_whose_fault_it_is(
    fails: str,
    told: str,
    kind: type[SteadyPoseError],
    make_tensorrt: Callable[..., TensorRtPackage],
    top_down_file: Path,
) -> None:
    spec = read_spec(top_down_file)
    with pytest.raises(kind) as caught:
        build_plan(top_down_file, spec, make_tensorrt(told, fails=fails), "fp16", plan_shapes(spec), gpu=ADA)
    assert told in str(caught.value)


def test_tensorrt_keeps_its_measurements_and_a_plan_for_this_gpu(
    make_tensorrt: Callable[..., TensorRtPackage], top_down_file: Path
) -> None:
    spec = read_spec(top_down_file)
    stored, data, _ = obtain_plan(top_down_file, spec, make_tensorrt(), "fp16", gpu=ADA)
    assert stored.key.gpu == "NVIDIA RTX 4090, sm_89, driver 13.0"
    assert stored.path is not None and stored.read() == data
    timings = stored.path.parent / "timings-11.4.0-NVIDIA-RTX-4090.cache"
    assert timings.read_bytes() == b"measured"


def test_an_error_on_the_host_comes_back_as_it_is(
    package: TensorRtPackage, top_down_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> bytes:
        raise MemoryError("no memory on the host")

    monkeypatch.setattr(plan_builder, "_serialize", fail)
    with pytest.raises(MemoryError):
        obtain_plan(top_down_file, read_spec(top_down_file), package, "fp16", gpu=None)
