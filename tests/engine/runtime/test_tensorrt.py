import ctypes
import json
import logging
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine.cuda.device import DeviceInfo
from engine.errors import DeviceError, ModelFileError, RuntimeUnavailableError
from engine.model_file import read_spec
from engine.runtime import open_runtime, parity, plan_builder, tensorrt
from engine.runtime.calibration import Calibration
from engine.runtime.plan_cache import FOLDER
from engine.runtime.plan_shapes import PlanShapes
from engine.runtime.tensorrt import TensorRtRuntime
from engine.runtime.tensorrt_package import load_package
from tests.engine.cuda.shim_device import ShimDevice
from tests.engine.runtime.fake_tensorrt import World, fake_module, fake_plan

MODULES = {"tensorrt": "tensorrt", "tensorrt-rtx": "tensorrt_rtx"}
VERSIONS = {"tensorrt": "11.4.0", "tensorrt-rtx": "1.7.1"}
PACKAGES = sorted(MODULES)
Install = Callable[..., World]


class Builds:
    """Stands in for the builder. count: plans built; result: what it gives instead of a plan."""

    def __init__(self) -> None:
        self.count = 0
        self.result: bytes | None = None

    def __call__(self, *arguments: Any, **options: Any) -> bytes:
        self.count += 1
        if options.get("on_progress") is not None:
            options["on_progress"](0.5, "building the plan")
        return self.result if self.result is not None else fake_plan(*arguments, **options)


@pytest.fixture
def builds(monkeypatch: pytest.MonkeyPatch) -> Builds:
    builds = Builds()
    monkeypatch.setattr(plan_builder, "build_plan", builds)
    return builds


@pytest.fixture
def install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, builds: Builds) -> Iterator[Install]:
    """Function (package, **options of World) that puts the fake in place of a package; memory is checked."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    # The real ones are frames of a film; the marker networks of these tests see any colours.
    monkeypatch.setattr(parity, "parity_inputs", lambda spec: [random_inputs(2, spec.input_size)])
    worlds: list[World] = []

    def put(
        package: str, *, version: str | None = None, memory_bytes: int = 1 << 30, **options: Any
    ) -> World:
        device = ShimDevice(memory_bytes=memory_bytes)
        world = World(device, package == "tensorrt-rtx", version or VERSIONS[package], **options)
        monkeypatch.setitem(sys.modules, MODULES[package], fake_module(world))
        worlds.append(world)
        return world

    yield put
    for world in worlds:
        world.device.close()
        assert world.device.left_open() == []


def open_it(world: World, path: Path, precision: str = "fp16", **options: Any) -> TensorRtRuntime:
    package = "tensorrt-rtx" if world.portable else "tensorrt"
    return TensorRtRuntime(path, read_spec(path), precision, package=package, device=world.device, **options)


def random_inputs(count: int, size: tuple[int, int], seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).random((count, 3, *size), np.float32)


def plans(tmp_path: Path) -> list[Path]:
    return sorted((tmp_path / "steadypose" / FOLDER).glob("*.plan"))


@pytest.mark.parametrize("precision", ["fp32", "fp16", "int8"])
@pytest.mark.parametrize("package", PACKAGES)
def test_a_model_opens_runs_and_closes(
    package: str, precision: str, top_down_file: Path, install: Install
) -> None:
    world = install(package)
    runtime = open_it(world, top_down_file, precision)
    assert (runtime.name, runtime.precision, runtime.device) == (package, precision, "CPU behind a shim")
    inputs = random_inputs(5, (128, 96))
    outputs = runtime.run(inputs)
    wanted = open_runtime(top_down_file, read_spec(top_down_file), name="onnxruntime").run(inputs)
    assert outputs["heatmaps"].dtype == np.float32
    np.testing.assert_allclose(
        outputs["heatmaps"], wanted["heatmaps"], atol=1e-6 if precision == "fp32" else 2e-3
    )
    runtime.close()
    runtime.close()


@pytest.mark.parametrize("package", PACKAGES)
def test_inputs_and_outputs_of_fp16_plans_are_float16_on_the_device(
    package: str, bottom_up_file: Path, install: Install
) -> None:
    world = install(package)
    for precision, dtype in (("fp32", np.float32), ("fp16", np.float16)):
        runtime = open_it(world, bottom_up_file, precision)
        network = runtime.device_network
        assert network is not None and network.dtype == dtype and network.capturable
        binding = network.bind(2, (192, 352))
        assert binding.inputs.shape == (2, 3, 192, 352) and binding.inputs.dtype == dtype
        assert {name: tensor.shape for name, tensor in binding.outputs.items()} == {
            "heatmaps_0": (2, 6, 48, 88),
            "heatmaps_1": (2, 6, 96, 176),
            "tags_0": (2, 6, 48, 88),
        }
        binding.close()
        runtime.close()


@pytest.mark.parametrize("package", PACKAGES)
def test_a_fresh_binding_can_be_captured_and_replayed(
    package: str, top_down_file: Path, install: Install
) -> None:
    world = install(package)
    runtime = open_it(world, top_down_file, "fp32")
    assert runtime.device_network is not None
    binding = runtime.device_network.bind(2, (128, 96))
    stream = world.device.stream()
    graph = stream.capture(lambda: binding.enqueue(stream))
    for seed in (1, 2):
        inputs = random_inputs(2, (128, 96), seed)
        stream.upload(binding.inputs.address, inputs)
        graph.launch(stream)
        stream.synchronize()
        got = world.device.view(binding.outputs["heatmaps"])
        np.testing.assert_array_equal(got, runtime.run(inputs)["heatmaps"])
    graph.close()
    stream.close()
    binding.close()
    runtime.close()


def test_bindings_of_one_shape_do_not_share_memory(top_down_file: Path, install: Install) -> None:
    world = install("tensorrt")
    runtime = open_it(world, top_down_file, "fp32")
    assert runtime.device_network is not None
    bindings = [runtime.device_network.bind(1, (128, 96)) for _ in range(2)]
    stream = world.device.stream()
    inputs = [random_inputs(1, (128, 96), seed) for seed in range(2)]
    for binding, picture in zip(bindings, inputs, strict=True):
        stream.upload(binding.inputs.address, picture)
    for binding in bindings:
        binding.enqueue(stream)
    stream.synchronize()
    for binding, picture in zip(bindings, inputs, strict=True):
        got = world.device.view(binding.outputs["heatmaps"])
        np.testing.assert_array_equal(got, runtime.run(picture)["heatmaps"])
        binding.close()
    stream.close()
    runtime.close()


@pytest.mark.parametrize("package", PACKAGES)
def test_the_plan_and_its_parity_are_kept_for_the_next_start(
    package: str, top_down_file: Path, install: Install, builds: Builds, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = install(package)
    checks: list[str] = []
    measure = parity.measure_parity
    monkeypatch.setattr(
        parity, "measure_parity", lambda *arguments: (checks.append("once"), measure(*arguments))[1]
    )
    for _ in range(3):
        open_it(world, top_down_file).close()
    assert builds.count == 1 and checks == ["once"]


def test_a_portable_plan_is_compared_again_on_another_gpu(
    top_down_file: Path, install: Install, builds: Builds, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = install("tensorrt-rtx")
    open_it(world, top_down_file).close()
    checks: list[str] = []
    monkeypatch.setattr(tensorrt, "check_parity", lambda *_: checks.append("again") or _passed())
    world.device.info = DeviceInfo("another GPU", 0, (8, 9), 1 << 30, (13, 0))
    open_it(world, top_down_file).close()
    assert builds.count == 1 and checks == ["again"]


def _passed() -> parity.Parity:
    return parity.Parity(0.0, 0.0, 0.0, 1, parity.TOLERANCES["fp16"])


@pytest.mark.parametrize("spoil", ["truncated", "of another version"])
@pytest.mark.parametrize("package", PACKAGES)
def test_a_plan_that_is_refused_is_built_again(
    package: str, spoil: str, top_down_file: Path, install: Install, builds: Builds,
    tmp_path: Path, caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    world = install(package)
    good = fake_plan(top_down_file, read_spec(top_down_file), load_package(package), "fp16", SHAPES)
    builds.result = (
        good[: len(good) // 2] if spoil == "truncated" else good.replace(b'"version": "1', b'"version": "9')
    )
    with pytest.raises(ModelFileError, match=f"{package} .* does not take the plan"):
        open_it(world, top_down_file)
    assert builds.count == 1 and plans(tmp_path) == []
    # The same bytes from the cache: they are dropped with a warning and built once more.
    _store(world, top_down_file, builds)
    builds.result = None
    open_it(world, top_down_file).close()
    assert builds.count == 3 and "it is built again" in caplog.text and len(plans(tmp_path)) == 1


SHAPES = PlanShapes(1, 4, (128, 96), (128, 96), (128, 96))


def _store(world: World, path: Path, builds: Builds) -> None:
    package = load_package("tensorrt-rtx" if world.portable else "tensorrt")
    plan_builder.obtain_plan(path, read_spec(path), package, "fp16", gpu=world.device.info)


def test_a_plan_cut_short_on_disk_is_built_again(
    top_down_file: Path, install: Install, builds: Builds, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    world = install("tensorrt")
    open_it(world, top_down_file).close()
    (plan,) = plans(tmp_path)
    plan.write_bytes(plan.read_bytes()[:100])
    open_it(world, top_down_file).close()
    assert builds.count == 2 and "built again" in caplog.text


def test_a_refused_plan_that_cannot_be_deleted_is_not_tried_for_ever(
    top_down_file: Path, install: Install, builds: Builds, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = install("tensorrt")
    builds.result = b"{"
    _store(world, top_down_file, builds)
    monkeypatch.setattr("engine.runtime.plan_cache._delete", lambda _: None)
    with pytest.raises(ModelFileError, match="although it was built just now; choose another runtime"):
        open_it(world, top_down_file)
    assert builds.count == 2


def test_a_plan_calibrated_with_own_pictures_is_the_one_that_runs(
    top_down_file: Path, install: Install, builds: Builds, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = install("tensorrt")
    own = Calibration(tmp_path)
    monkeypatch.setattr(Calibration, "digest", lambda self: "own" if self.folder else "clip")
    obtain = partial(
        plan_builder.obtain_plan,
        top_down_file,
        read_spec(top_down_file),
        load_package("tensorrt"),
        "int8",
        gpu=world.device.info,
    )
    assert obtain()[0].key.calibration == "clip"
    obtain(calibration=own)
    assert obtain(any_calibration=True)[0].key.calibration == "own"
    open_it(world, top_down_file, "int8").close()
    assert builds.count == 2
    time.sleep(0.05)  # the times of files are coarse
    obtain(calibration=Calibration())
    assert obtain(any_calibration=True)[0].key.calibration == "clip" and builds.count == 2


def test_a_plan_of_another_gpu_is_not_even_tried(
    top_down_file: Path, install: Install, builds: Builds
) -> None:
    world = install("tensorrt")
    open_it(world, top_down_file).close()
    world.device.info = DeviceInfo("another GPU", 0, (8, 9), 1 << 30, (13, 0))
    open_it(world, top_down_file).close()
    assert builds.count == 2 and world.loaded == 2


@pytest.mark.parametrize("package", PACKAGES)
def test_a_plan_that_computes_something_else_is_never_used(
    package: str, top_down_file: Path, install: Install, builds: Builds
) -> None:
    world = install(package, bias=0.4)
    for _ in range(2):
        with pytest.raises(ModelFileError, match=r"differ by 0\.4.*choose precision fp32"):
            open_it(world, top_down_file)
    assert builds.count == 1, "the plan is the same, only its mark is missing"
    world.bias = 0.0
    open_it(world, top_down_file).close()


def test_building_is_told_in_words_and_share(top_down_file: Path, install: Install) -> None:
    told: list[tuple[str, float]] = []
    open_it(
        install("tensorrt"), top_down_file, on_progress=lambda what, share: told.append((what, share))
    ).close()
    assert told == [("building the plan", 0.5), ("comparing with the float model", 1.0)]


@pytest.mark.parametrize("package", PACKAGES)
@pytest.mark.parametrize(
    ("batch", "size", "words"),
    [(65, (128, 96), "1 to 64 inputs in one run, got 65"), (1, (128, 128), "128 x 96 px, got 128 x 128")],
)
def test_inputs_beyond_the_profile_are_refused_with_the_limit(
    package: str, batch: int, size: tuple[int, int], words: str, top_down_file: Path, install: Install
) -> None:
    runtime = open_it(install(package), top_down_file)
    assert runtime.device_network is not None and runtime.device_network.max_batch == 64
    with pytest.raises(ModelFileError, match=words):
        runtime.device_network.bind(batch, size)
    runtime.close()


def test_the_tightest_of_several_profiles_is_taken(
    top_down_file: Path, install: Install, builds: Builds, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = install("tensorrt")
    spec = read_spec(top_down_file)
    many = [PlanShapes(8, 16, *[spec.input_size] * 3), PlanShapes(1, 1, *[spec.input_size] * 3)]
    builds.result = fake_plan(top_down_file, spec, load_package("tensorrt"), "fp16", many)
    runtime = open_it(world, top_down_file)
    assert runtime.device_network is not None and runtime.device_network.max_batch == 16
    world.contexts.clear()
    bindings = [runtime.device_network.bind(batch, spec.input_size) for batch in (1, 2, 16)]
    assert [context._profile for context in world.contexts] == [1, 0, 0]
    for binding in bindings:
        binding.close()
    runtime.close()


@pytest.mark.parametrize("package", PACKAGES)
def test_too_little_memory_is_a_device_error_and_leaves_nothing(
    package: str, bottom_up_file: Path, install: Install
) -> None:
    world = install(package, memory_bytes=8 << 20)
    runtime = open_it(world, bottom_up_file)
    assert runtime.device_network is not None
    with pytest.raises(DeviceError, match="out of memory"):
        runtime.device_network.bind(2, (768, 768))
    runtime.close()


OUT_OF_MEMORY = "Error Code 2: OutOfMemory (Requested size was 9)"
NO_DRIVER = "CUDA driver version is insufficient"
REFUSALS: list[tuple[str, str, type[Exception], str]] = [
    ("deserialize_cuda_engine", OUT_OF_MEMORY, DeviceError, "memory of .* load the plan"),
    ("deserialize_cuda_engine", "Cuda Runtime (unspecified launch failure)", DeviceError, "load the plan"),
    ("deserialize_cuda_engine", NO_DRIVER, RuntimeUnavailableError, "newer driver"),
    ("Runtime", "cudaError 999", RuntimeUnavailableError, "cannot start on .*cudaError 999"),
    ("create_runtime_config", "odd", ModelFileError, "odd"),
    ("create_execution_context", "out of memory", DeviceError, "memory of .* prepare the network"),
    ("set_input_shape", "odd", ModelFileError, "does not take inputs of shape .*odd"),
    ("infer_shapes", "odd", DeviceError, "work out the shapes.*odd"),
    ("set_tensor_address", "odd", DeviceError, "place tensor.*odd"),
    ("execute_async_v3", "cudaError 700: illegal address", DeviceError, "run the network .*illegal"),
]


@pytest.mark.parametrize(("method", "line", "kind", "words"), REFUSALS)
@pytest.mark.parametrize("package", PACKAGES)
def test_every_refusal_says_what_the_package_said(
    package: str,
    method: str,
    line: str,
    kind: type[Exception],
    words: str,
    top_down_file: Path,
    install: Install,
) -> None:
    world = install(package, faults={method: line})
    with pytest.raises(kind, match=words):
        open_it(world, top_down_file)
    world.faults.clear()
    open_it(world, top_down_file).close()


@pytest.mark.parametrize("package", PACKAGES)
def test_a_gpu_lost_in_the_middle_is_a_device_error_and_can_be_closed(
    package: str, top_down_file: Path, install: Install
) -> None:
    world = install(package)
    runtime = open_it(world, top_down_file)
    runtime.run(random_inputs(2, (128, 96)))
    world.device.lose()
    with pytest.raises(DeviceError, match="lost"):
        runtime.run(random_inputs(2, (128, 96)))
    with pytest.raises(DeviceError, match="lost"):
        runtime.run(random_inputs(3, (128, 96)))
    runtime.close()


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("inputs", ["pixels"], "must have the input 'image'"),
        ("outputs", ["heatmaps_0"], "the outputs .* got"),
    ],
)
def test_a_plan_with_other_tensors_is_refused(
    field: str, value: list[str], words: str, bottom_up_file: Path, install: Install, builds: Builds
) -> None:
    world = install("tensorrt")
    plan = json.loads(
        fake_plan(bottom_up_file, read_spec(bottom_up_file), load_package("tensorrt"), "fp16", SHAPES)
    )
    builds.result = json.dumps(plan | {field: value}).encode()
    with pytest.raises(ModelFileError, match=words):
        open_it(world, bottom_up_file)


def test_rtx_refuses_gpus_that_it_is_not_made_for_before_building(
    top_down_file: Path, install: Install, builds: Builds
) -> None:
    world = install("tensorrt-rtx")
    world.device.info = DeviceInfo("NVIDIA H200", 0, (9, 0), 1 << 30, (13, 0))
    with pytest.raises(
        RuntimeUnavailableError,
        match=r"7\.5, 8\.0, .*12\.0, but NVIDIA H200 has 9\.0; choose the runtime tensorrt",
    ):
        open_it(world, top_down_file)
    assert builds.count == 0


@pytest.mark.parametrize(("code", "words"), [("2", "runs on GPUs of compute"), ("16", "memory of")])
def test_rtx_says_why_a_plan_is_not_for_this_gpu(
    code: str, words: str, top_down_file: Path, install: Install
) -> None:
    world = install("tensorrt-rtx", faults={"deserialize_cuda_engine": "odd", "get_engine_validity": code})
    with pytest.raises((RuntimeUnavailableError, DeviceError), match=words):
        open_it(world, top_down_file)


def test_what_rtx_compiles_is_kept_and_loaded_again(
    top_down_file: Path, install: Install, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    world = install("tensorrt-rtx")
    open_it(world, top_down_file).close()
    (kept,) = (tmp_path / "steadypose" / "tensorrt-rtx").iterdir()
    compiled, world.compiled = world.compiled, []
    open_it(world, top_down_file).close()
    assert world.compiled == compiled != []
    kept.write_bytes(b"of another driver")
    world.compiled = []
    runtime = open_it(world, top_down_file)
    runtime.run(random_inputs(1, (128, 96)))
    runtime.close()
    assert "compiled again" in caplog.text and kept.read_bytes().startswith(b"kernels of")


def test_a_folder_that_cannot_be_written_costs_only_the_next_start(
    top_down_file: Path, install: Install, tmp_path: Path, builds: Builds, caplog: pytest.LogCaptureFixture
) -> None:
    world = install("tensorrt-rtx")
    (tmp_path / "steadypose").write_text("in the way")
    for _ in range(2):
        open_it(world, top_down_file).close()
    assert builds.count == 2 and "cannot be written" in caplog.text


def test_rtx_contexts_that_cannot_be_captured_are_run_without_a_graph(
    top_down_file: Path, install: Install
) -> None:
    runtime = open_it(install("tensorrt-rtx", capturable=False), top_down_file)
    assert runtime.device_network is not None and not runtime.device_network.capturable
    runtime.close()


@pytest.mark.parametrize("package", PACKAGES)
def test_bf16_is_refused(package: str, top_down_file: Path, install: Install) -> None:
    world = install(package)
    with pytest.raises(RuntimeUnavailableError, match="not bf16"):
        open_it(world, top_down_file, "bf16")


def test_an_old_package_is_refused(top_down_file: Path, install: Install) -> None:
    world = install("tensorrt", version="10.13.3")
    with pytest.raises(RuntimeUnavailableError, match=r"needs version 11\.0 .* 10\.13\.3 is installed"):
        open_it(world, top_down_file)


def test_an_absent_package_names_the_install_line(
    top_down_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for package, module in MODULES.items():
        monkeypatch.setitem(sys.modules, module, None)
        with pytest.raises(RuntimeUnavailableError, match="pip install"):
            TensorRtRuntime(top_down_file, read_spec(top_down_file), "fp16", package=package)
        with pytest.raises(RuntimeUnavailableError, match="pip install"):
            tensorrt.check_arithmetic("fp16", package)


def has_driver() -> bool:
    try:
        ctypes.CDLL("libcuda.so.1")
    except OSError:
        return False
    return True


@pytest.mark.skipif(has_driver(), reason="an NVIDIA driver is installed")
def test_without_a_driver_opening_says_so(top_down_file: Path, tmp_path: Path) -> None:
    pytest.importorskip("tensorrt_rtx")
    pytest.importorskip("cuda.bindings")
    with pytest.raises(RuntimeUnavailableError, match="NVIDIA driver"):
        TensorRtRuntime(top_down_file, read_spec(top_down_file), "fp16", package="tensorrt-rtx")


@pytest.mark.skipif(has_driver(), reason="an NVIDIA driver is installed")
def test_a_real_plan_is_not_loaded_without_a_driver(
    top_down_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("tensorrt_rtx")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    device = ShimDevice()
    with pytest.raises(RuntimeUnavailableError, match="no NVIDIA driver that it can use"):
        TensorRtRuntime(
            top_down_file, read_spec(top_down_file), "fp16", package="tensorrt-rtx", device=device
        )
    assert len(plans(tmp_path)) == 1, "the plan is good, only the driver is missing"
    assert device.left_open() == []
