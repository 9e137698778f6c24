"""ONNX Runtime's providers, on a stand-in whose accelerators compute with the CPU provider."""

import sys
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest

import engine.runtime.onnxruntime as runtime_module
from engine.errors import DeviceError, ModelFileError, RuntimeUnavailableError
from engine.model_file import read_spec
from engine.runtime.onnxruntime import OnnxRuntime, check_arithmetic
from engine.runtime.onnxruntime_device import OnnxDeviceNetwork
from tests.engine.cuda.shim_device import ShimDevice

CPU = "CPUExecutionProvider"
PROVIDERS = {
    "cuda": "CUDAExecutionProvider",
    "coreml": "CoreMLExecutionProvider",
    "directml": "DmlExecutionProvider",
}


class FakeBinding:
    """An IOBinding whose device memory is the host's."""

    def __init__(self, session: "FakeSession") -> None:
        self.session = session
        self.real = session.real.io_binding()
        self.addresses: list[int] = []

    def bind_input(self, name: str, kind: str, index: int, *rest: Any) -> None:
        assert (kind, index) == ("cuda", 0)
        self.addresses.append(rest[-1])
        self.real.bind_input(name, "cpu", 0, *rest)

    def bind_output(self, name: str, kind: str, index: int, *rest: Any) -> None:
        assert (kind, index) == ("cuda", 0)
        self.addresses.append(rest[-1])
        self.real.bind_output(name, "cpu", 0, *rest)


class FakeSession:
    """A session that says it has the accelerator, and computes on the CPU, on a device's stream if given."""

    def __init__(
        self, package: "FakePackage", model: Any, options: Any, providers: Any, **extra: Any
    ) -> None:
        assert extra == {"enable_fallback": 0}
        if package.error is not None:
            raise package.error
        self.package, self.options = package, options
        self.providers = [name if isinstance(name, str) else name[0] for name in providers]
        self.given = dict(entry for entry in providers if not isinstance(entry, str))
        self.real = onnxruntime.InferenceSession(model, options, providers=[CPU])
        self.shapes: list[tuple[int, ...]] = []
        package.sessions.append(self)

    def get_providers(self) -> list[str]:
        return [CPU] if self.package.falls_back else self.providers

    def get_inputs(self) -> Any:
        return self.real.get_inputs()

    def get_outputs(self) -> Any:
        return self.real.get_outputs()

    def run(self, names: list[str], feed: dict[str, Any]) -> Any:
        self.shapes += [value.shape for value in feed.values()]
        if self.package.run_error is not None:
            raise self.package.run_error
        return self.real.run(names, feed)

    def io_binding(self) -> FakeBinding:
        return FakeBinding(self)

    def run_with_iobinding(self, binding: FakeBinding, options: Any) -> None:
        if self.package.run_error is not None:
            raise self.package.run_error
        assert options.get_run_config_entry("disable_synchronize_execution_providers") == "1"
        handle = int(self.given["CUDAExecutionProvider"]["user_compute_stream"])
        stream = next(stream for stream in self.package.device.streams if stream.handle == handle)
        stream.call(lambda: self.real.run_with_iobinding(binding.real))


class FakePackage(types.ModuleType):
    """The package `onnxruntime` as a wheel for accelerators has it."""

    def __init__(self, device: ShimDevice) -> None:
        super().__init__("onnxruntime")
        self.device = device
        self.offered = [*PROVIDERS.values(), CPU]
        self.falls_back = False
        self.error: Exception | None = None
        self.run_error: Exception | None = None
        self.told = ""
        self.sessions: list[FakeSession] = []
        self.SessionOptions = onnxruntime.SessionOptions
        self.RunOptions = onnxruntime.RunOptions
        self.ExecutionMode = onnxruntime.ExecutionMode

    def get_available_providers(self) -> list[str]:
        return self.offered

    def InferenceSession(self, *arguments: Any, **named: Any) -> FakeSession:
        return FakeSession(self, *arguments, **named)

    def preload_dlls(self, directory: str) -> None:
        print(self.told)


@pytest.fixture
def device() -> ShimDevice:
    return ShimDevice()


@pytest.fixture
def package(monkeypatch: pytest.MonkeyPatch, device: ShimDevice) -> FakePackage:
    """ONNX Runtime with every accelerator, and a device for CUDA."""
    fake = FakePackage(device)
    fake.capi = onnxruntime.capi  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "onnxruntime", fake)
    driver = types.ModuleType("engine.cuda.driver")
    driver.open_device = lambda index=0: device  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "engine.cuda.driver", driver)
    return fake


@pytest.fixture
def distributions(monkeypatch: pytest.MonkeyPatch) -> Callable[[dict[str, str]], None]:
    """Function that says which distributions of ONNX Runtime are installed."""

    def pretend(found: dict[str, str]) -> None:
        from engine.runtime import onnxruntime_package

        monkeypatch.setattr(onnxruntime_package, "installed_distributions", lambda: found)

    return pretend


def random_inputs(count: int, size: tuple[int, int]) -> np.ndarray:
    return np.random.default_rng(3).random((count, 3, *size), np.float32)


def open_it(path: Path, provider: str = "cpu", arithmetic: str = "fp32") -> OnnxRuntime:
    return OnnxRuntime(path, read_spec(path), arithmetic, provider=provider)  # type: ignore[arg-type]


def upload(device: ShimDevice, stream: Any, target: int, values: np.ndarray) -> Any:
    pinned = device.pin(values.nbytes)
    array = pinned.array.view(values.dtype).reshape(values.shape)
    array[...] = values
    stream.upload(target, array)
    return pinned


@pytest.mark.parametrize("provider", PROVIDERS)
def test_every_provider_gives_what_the_cpu_gives(
    provider: str, package: FakePackage, bottom_up_file: Path
) -> None:
    runtime = open_it(bottom_up_file, provider)
    assert runtime.name == f"onnxruntime-{provider}" and runtime.device
    real = onnxruntime.InferenceSession(str(bottom_up_file), providers=[CPU])
    for size in ((192, 192), (96, 160)):
        inputs = random_inputs(2, size)
        found = runtime.run(inputs)
        for name, wanted in zip(found, real.run(list(found), {"image": inputs}), strict=True):
            np.testing.assert_allclose(found[name], wanted, atol=1e-6)
            assert found[name].dtype == np.float32
    runtime.close()


def test_cuda_gets_our_stream_and_no_tensorfloat(
    package: FakePackage, top_down_file: Path, device: ShimDevice
) -> None:
    open_it(top_down_file, "cuda")
    given = package.sessions[0].given["CUDAExecutionProvider"]
    assert given["user_compute_stream"] == str(device.streams[0].handle)
    assert given["use_tf32"] == "0" and given["device_id"] == "0"
    assert all(isinstance(value, str) for value in given.values())


def test_directml_runs_in_order_without_a_memory_pattern(package: FakePackage, top_down_file: Path) -> None:
    open_it(top_down_file, "directml")
    options = package.sessions[0].options
    assert options.enable_mem_pattern is False
    assert options.execution_mode == onnxruntime.ExecutionMode.ORT_SEQUENTIAL


@pytest.mark.parametrize("provider", ["coreml", "directml"])
def test_where_shapes_are_fixed_each_size_has_its_session_and_each_picture_its_run(
    provider: str, package: FakePackage, bottom_up_file: Path
) -> None:
    runtime = open_it(bottom_up_file, provider)
    for size in ((192, 192), (96, 160), (192, 192)):
        runtime.run(random_inputs(2, size))
    assert len(package.sessions) == 2
    assert package.sessions[0].shapes == [(1, 3, 192, 192)] * 4
    assert package.sessions[1].get_inputs()[0].shape == [1, 3, 96, 160]


def test_a_provider_that_silently_became_the_cpu_is_refused(
    package: FakePackage, top_down_file: Path, device: ShimDevice, capsys: pytest.CaptureFixture[str]
) -> None:
    package.falls_back = True
    package.told = "Failed to load libcublas.so.13: cannot open shared object file"
    with pytest.raises(RuntimeUnavailableError, match=r"on the CPU \(.*libcublas.so.13.*onnxruntime-gpu"):
        open_it(top_down_file, "cuda")
    assert capsys.readouterr().out == "" and device.left_open() == []


def test_a_provider_that_cannot_start_is_unavailable_and_a_broken_file_is_a_broken_file(
    package: FakePackage, top_down_file: Path, tmp_path: Path
) -> None:
    # As ONNX Runtime 1.31 says it where the driver is too old.
    package.error = RuntimeError(
        "/src/cuda_execution_provider_info.cc:63 [ONNXRuntimeError] : 1 : FAIL : options.h:187 "
        'Parse Failed to parse provider option "device_id": CUDA failure 35: CUDA driver version is '
        "insufficient for CUDA runtime version ; GPU=-1 ; hostname=vm ; file=/src/info.cc ; line=70 ; "
        "expr=cudaGetDeviceCount(&num_devices); \n"
    )
    wanted = "its CUDAExecutionProvider: CUDA failure 35: CUDA driver .* for CUDA runtime version; update"
    with pytest.raises(RuntimeUnavailableError, match=wanted):
        open_it(top_down_file, "cuda")
    package.error = None
    broken = tmp_path / "broken.onnx"
    broken.write_bytes(b"no model")
    with pytest.raises(ModelFileError, match="onnxruntime-cuda cannot load"):
        OnnxRuntime(broken, read_spec(top_down_file), "fp32", provider="cuda")


def test_a_gpu_that_fails_in_a_run_is_a_device_error(package: FakePackage, top_down_file: Path) -> None:
    from onnxruntime.capi.onnxruntime_pybind11_state import RuntimeException

    runtime = open_it(top_down_file, "cuda")
    package.run_error = RuntimeException(
        "BFCArena::AllocateRawInternal Failed to allocate memory for 9 bytes"
    )
    with pytest.raises(DeviceError, match="Failed to allocate memory"):
        runtime.run(random_inputs(1, (128, 96)))
    package.run_error = RuntimeException("[ShapeInferenceError] no")
    with pytest.raises(ModelFileError, match="ShapeInferenceError"):
        runtime.run(random_inputs(1, (128, 96)))


def test_a_package_without_the_provider_names_the_line_that_gets_it(
    package: FakePackage, distributions: Callable[[dict[str, str]], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    package.offered = ["AzureExecutionProvider", CPU]
    monkeypatch.setattr("platform.system", lambda: "Windows")
    distributions({"onnxruntime": "1.31.1"})
    with pytest.raises(RuntimeUnavailableError) as caught:
        check_arithmetic("fp32", "cuda")
    assert 'pip uninstall -y onnxruntime && pip install "onnxruntime-gpu[cuda,cudnn]"' in str(caught.value)
    with pytest.raises(RuntimeUnavailableError, match="onnxruntime && pip install onnxruntime-directml`"):
        check_arithmetic("fp32", "directml")
    with pytest.raises(RuntimeUnavailableError, match="works on macOS only, this is Windows"):
        check_arithmetic("fp32", "coreml")


def test_two_wheels_in_one_environment_are_named(
    package: FakePackage, distributions: Callable[[dict[str, str]], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    package.offered = [CPU]
    monkeypatch.setattr("platform.system", lambda: "Linux")
    distributions({"onnxruntime": "1.31.1", "onnxruntime-gpu": "1.30.0"})
    with pytest.raises(RuntimeUnavailableError, match="overwrite each other's files") as caught:
        check_arithmetic("fp16", "cuda")
    assert "pip uninstall -y onnxruntime onnxruntime-gpu && pip install" in str(caught.value)


@pytest.mark.parametrize("provider", PROVIDERS)
def test_int8_and_bf16_are_refused_on_accelerators(provider: Any, package: FakePackage) -> None:
    for arithmetic in ("int8", "bf16"):
        with pytest.raises(RuntimeUnavailableError, match=f"onnxruntime-{provider} computes in fp"):
            check_arithmetic(arithmetic, provider)  # type: ignore[arg-type]


def test_the_cpu_refuses_fp16(top_down_file: Path) -> None:
    with pytest.raises(
        RuntimeUnavailableError, match="computes in fp32 and int8 only; choose precision fp32"
    ):
        open_it(top_down_file, arithmetic="fp16")
    assert open_it(top_down_file).device_network is None


@pytest.mark.parametrize("other", [False, True], ids=["own stream", "other stream"])
def test_a_binding_computes_on_the_device_in_order_on_any_stream(
    other: bool, package: FakePackage, bottom_up_file: Path, device: ShimDevice
) -> None:
    runtime = open_it(bottom_up_file, "cuda")
    network = runtime.device_network
    assert network is not None and network.capturable is False and network.dtype == np.float32
    binding = network.bind(2, (96, 160))
    stream = device.stream() if other else network.stream
    inputs = random_inputs(2, (96, 160))
    host = {name: device.pin(tensor.nbytes) for name, tensor in binding.outputs.items()}
    for values in (inputs[::-1].copy(), inputs):
        upload(device, stream, binding.inputs.address, values)
        binding.enqueue(stream)
        for name, tensor in binding.outputs.items():
            stream.download(host[name].array, tensor.address)
    stream.synchronize()
    real = onnxruntime.InferenceSession(str(bottom_up_file), providers=[CPU])
    for name, wanted in zip(host, real.run(list(host), {"image": inputs}), strict=True):
        found = host[name].array.view(np.float32).reshape(binding.outputs[name].shape)
        np.testing.assert_allclose(found, wanted, atol=1e-6)
    binding.close()
    runtime.close()
    assert [left for left in device.left_open() if "pinned" not in left] == (["stream"] if other else [])


def test_shapes_that_the_network_does_not_take_are_refused(
    package: FakePackage, top_down_file: Path, bottom_up_file: Path
) -> None:
    fixed, free = open_it(top_down_file, "cuda"), open_it(bottom_up_file, "cuda")
    assert fixed.device_network is not None and free.device_network is not None
    with pytest.raises(ModelFileError, match=r"takes the size \(128, 96\), got \(128, 128\)"):
        fixed.device_network.bind(1, (128, 128))
    with pytest.raises(ModelFileError, match="multiples of 32"):
        free.device_network.bind(1, (100, 96))
    with pytest.raises(ModelFileError, match="1 to 64 pictures in one run here, got 65"):
        fixed.device_network.bind(65, (128, 96))


def test_a_binding_that_does_not_fit_into_memory_leaves_nothing_behind(
    package: FakePackage, top_down_file: Path, device: ShimDevice
) -> None:
    network = open_it(top_down_file, "cuda").device_network
    assert isinstance(network, OnnxDeviceNetwork)
    device.info = type(device.info)("small", 0, (8, 6), 300_000, (13, 0))
    with pytest.raises(DeviceError, match="out of memory"):
        network.bind(2, (128, 96))
    assert device.left_open() == ["stream"]


def test_a_binding_that_the_gpu_fails_is_a_device_error(
    package: FakePackage, top_down_file: Path, device: ShimDevice
) -> None:
    network = open_it(top_down_file, "cuda").device_network
    assert network is not None
    binding = network.bind(1, (128, 96))
    package.run_error = RuntimeError("CUDA failure 719: unspecified launch failure")
    with pytest.raises(DeviceError, match="unspecified launch failure"):
        binding.enqueue(device.stream())


def test_real_bindings_take_addresses_of_ours(top_down_file: Path) -> None:
    # The same calls on ONNX Runtime itself, with host memory.
    session = onnxruntime.InferenceSession(str(top_down_file), providers=[CPU])
    inputs, outputs = random_inputs(2, (128, 96)), np.zeros((2, 6, 32, 24), np.float32)
    bound = session.io_binding()
    bound.bind_input("image", "cpu", 0, np.dtype(np.float32).type, inputs.shape, inputs.ctypes.data)
    bound.bind_output("heatmaps", "cpu", 0, np.dtype(np.float32).type, outputs.shape, outputs.ctypes.data)
    options = onnxruntime.RunOptions()
    options.add_run_config_entry("disable_synchronize_execution_providers", "1")
    session.run_with_iobinding(bound, options)
    np.testing.assert_array_equal(outputs, session.run(["heatmaps"], {"image": inputs})[0])


def test_fp16_on_cuda_computes_with_half_inputs(
    package: FakePackage, top_down_file: Path, device: ShimDevice
) -> None:
    runtime = open_it(top_down_file, "cuda", "fp16")
    network = runtime.device_network
    assert network is not None and network.dtype == np.float16 and runtime.precision == "fp16"
    inputs = random_inputs(2, (128, 96))
    wanted = open_it(top_down_file, "cuda").run(inputs)["heatmaps"]
    np.testing.assert_allclose(runtime.run(inputs)["heatmaps"], wanted, atol=0.02)
    assert network.bind(1, (128, 96)).outputs["heatmaps"].dtype == np.float16


def test_only_the_sizes_met_last_stay_loaded(
    package: FakePackage, bottom_up_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runtime_module, "KEPT_SIZES", 2)
    runtime = open_it(bottom_up_file, "directml")
    for size in ((96, 96), (128, 96), (96, 96), (192, 192)):
        runtime.run(random_inputs(1, size))
    # 192 × 192 was opened first, given up for 128 × 96, and opened again.
    assert [session.get_inputs()[0].shape[2:] for session in package.sessions] == [
        [192, 192], [96, 96], [128, 96], [192, 192],
    ]  # fmt: skip
