import ast
import ctypes
import inspect
import os
import shutil
import subprocess
import sys
import threading
from enum import IntEnum
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from engine.cuda import cuda_device, driver, nvrtc, results
from engine.cuda.cuda_device import CudaDevice
from engine.cuda.device import Device, DeviceInfo
from engine.cuda.results import FAILED, UNAVAILABLE, Calls
from engine.errors import DeviceError, RuntimeUnavailableError

HERE = Path(__file__).parent
NAMES = ("CUDA_SUCCESS", *dict.fromkeys([*UNAVAILABLE, *FAILED, "CUDA_ERROR_INVALID_VALUE"]))
Code = IntEnum("Code", {name: number for number, name in enumerate(NAMES)})
INFO = DeviceInfo("Fake GPU", 0, (8, 6), 8 << 30, (13, 0))
PIECE = ctypes.create_string_buffer(64)


GIVES = {
    "cuDriverGetVersion": 13020,
    "cuDeviceGetCount": 1,
    "cuDeviceGet": 0,
    "cuDeviceGetName": b"Fake GPU\0\0\0",
    "cuDeviceGetAttribute": 9,
    "cuDeviceTotalMem": 8 << 30,
    "cuDevicePrimaryCtxRetain": "context",
    "cuMemAlloc": 4096,
    "cuMemHostAlloc": ctypes.addressof(PIECE),
    "cuStreamCreate": 77,
    "cuEventCreate": "event",
    "cuEventElapsedTime": 1.5,
    "cuStreamEndCapture": "graph",
    "cuGraphInstantiate": "exec",
    "cuModuleLoadData": "module",
    "cuModuleGetFunction": "function",
}


class FakeCuda:
    """`cuda.bindings.driver` that notes what is called and answers as told."""

    CUresult = Code
    CUstream_flags = SimpleNamespace(CU_STREAM_NON_BLOCKING=SimpleNamespace(value=1))
    CUevent_flags = SimpleNamespace(CU_EVENT_BLOCKING_SYNC=SimpleNamespace(value=1))
    CUstreamCaptureMode = SimpleNamespace(CU_STREAM_CAPTURE_MODE_THREAD_LOCAL="thread local")
    CUdevice_attribute = SimpleNamespace(
        CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR="major",
        CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR="minor",
        CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT="multiprocessors",
        CU_DEVICE_ATTRIBUTE_CLOCK_RATE="clock",
        CU_DEVICE_ATTRIBUTE_MEMORY_CLOCK_RATE="memory clock",
        CU_DEVICE_ATTRIBUTE_GLOBAL_MEMORY_BUS_WIDTH="memory bus",
    )

    def __init__(self, **answers):
        self.answers = answers
        self.gives = dict(GIVES)
        self.calls = []
        self.threads = []

    def __getattr__(self, name):
        if not name.startswith("cu"):
            raise AttributeError(name)

        def function(*arguments):
            self.calls.append((name, *arguments))
            self.threads.append((name, threading.get_ident()))
            answer = self.answers.get(name, "CUDA_SUCCESS")
            if isinstance(answer, Exception):
                raise answer
            value = self.gives.get(name)
            failed = answer != "CUDA_SUCCESS"
            return (Code[answer],) if name not in self.gives else (Code[answer], None if failed else value)

        function.__name__ = name
        return function

    def names(self):
        return [call[0] for call in self.calls]


def made(**answers):
    cuda = FakeCuda(**answers)
    return cuda, CudaDevice(INFO, Calls(cuda, object()))


@pytest.mark.parametrize("name", [name for name in NAMES if name != "CUDA_SUCCESS"])
def test_every_answer_has_a_sentence(name):
    _, device = made(cuMemsetD8Async=name)
    with pytest.raises(DeviceError) as caught:
        device.stream().clear(4096, 8)
    sentence = FAILED.get(name, "the GPU refused what was asked of it")
    assert str(caught.value).startswith(sentence) and f"(cuMemsetD8Async: {name})" in str(caught.value)


@pytest.mark.parametrize("name", [name for name in NAMES if name != "CUDA_SUCCESS"])
def test_every_answer_while_opening_makes_the_runtime_unavailable(name, monkeypatch):
    monkeypatch.setattr(driver, "_bindings", lambda: FakeCuda(cuInit=name))
    sentence = UNAVAILABLE.get(name, "the NVIDIA driver does not work here")
    with pytest.raises(RuntimeUnavailableError, match="cuInit") as caught:
        driver.open_device()
    assert str(caught.value).startswith(sentence)
    state = driver.driver_state()
    assert state.devices == () and state.driver == (13, 2) and state.problem == str(caught.value)


def test_a_library_that_is_not_there_is_a_missing_driver(monkeypatch):
    missing = RuntimeError("libcuda.so.1 not found")
    monkeypatch.setattr(driver, "_bindings", lambda: FakeCuda(cuDriverGetVersion=missing))
    with pytest.raises(
        RuntimeUnavailableError, match=r"no NVIDIA driver .*libcuda.so.1 not found.*release 580"
    ):
        driver.open_device()
    state = driver.driver_state()
    assert state.driver is None and state.problem is not None and "no NVIDIA driver" in state.problem


def test_missing_bindings_are_said_with_the_line_that_installs_them(monkeypatch):
    monkeypatch.setitem(sys.modules, "cuda.bindings", None)
    with pytest.raises(RuntimeUnavailableError, match=r'pip install "steadypose\[cuda\]"'):
        driver.open_device()
    problem = driver.driver_state().problem
    assert problem is not None and "cuda-bindings" in problem


def test_a_function_that_an_old_driver_lacks_is_told(monkeypatch):
    _, device = made(cuGraphLaunch=RuntimeError('Function "cuGraphLaunch" not found'))
    graph = device.stream().capture(lambda: None)
    with pytest.raises(DeviceError, match=r"cuGraphLaunch.*release 580"):
        graph.launch(device.stream())


def test_an_answer_without_a_name_is_told():
    _, device = made(cuMemAlloc=ValueError("12345 is not a valid CUresult"))
    with pytest.raises(DeviceError, match=r"answered cuMemAlloc .*12345.*upgrade cuda-bindings"):
        device.allocate(8)


def test_an_opened_device_is_opened_once(monkeypatch):
    cuda = FakeCuda()
    monkeypatch.setattr(driver, "_bindings", lambda: cuda)
    driver._open_device.cache_clear()
    try:
        first: Device = driver.open_device()
        assert driver.open_device() is first
        assert cuda.names().count("cuDevicePrimaryCtxRetain") == 1
        assert first.info == DeviceInfo("Fake GPU", 0, (9, 9), 8 << 30, (13, 2), 9, 9, 9, 9)
        with pytest.raises(RuntimeUnavailableError, match="GPU 3 was asked for, this process sees 1"):
            driver.open_device(3)
    finally:
        driver._open_device.cache_clear()


def test_what_only_benchmarks_ask_for_may_be_unknown(monkeypatch):
    class Silent(FakeCuda):
        def __getattr__(self, name):
            function = super().__getattr__(name)
            if name != "cuDeviceGetAttribute":
                return function

            def attribute(kind, device):
                if kind in ("major", "minor"):
                    return function(kind, device)
                return (Code.CUDA_ERROR_INVALID_VALUE,) if "clock" in kind else (Code.CUDA_SUCCESS, 0)

            attribute.__name__ = name
            return attribute

    monkeypatch.setattr(driver, "_bindings", Silent)
    (info,) = driver.driver_state().devices
    assert info == DeviceInfo("Fake GPU", 0, (9, 9), 8 << 30, (13, 2))


def test_a_driver_too_old_is_refused_before_it_is_started(monkeypatch):
    cuda = FakeCuda()
    cuda.gives["cuDriverGetVersion"] = 12040
    monkeypatch.setattr(driver, "_bindings", lambda: cuda)
    with pytest.raises(
        RuntimeUnavailableError, match=r"serves CUDA 12\.4, CUDA 13\.0 is needed.*release 580"
    ):
        driver.open_device()
    assert "cuInit" not in cuda.names()


def test_the_context_is_made_current_once_in_each_thread():
    cuda, device = made()
    stream = device.stream()

    def work():
        for _ in range(3):
            stream.synchronize()

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert cuda.names().count("cuCtxSetCurrent") == 4
    for ident in {ident for _, ident in cuda.threads}:
        assert next(name for name, own in cuda.threads if own == ident) == "cuCtxSetCurrent"


def test_two_devices_in_one_thread_change_the_context():
    cuda = FakeCuda()
    first, second = (CudaDevice(INFO, Calls(cuda, context)) for context in ("one", "two"))
    for device in (first, second, second, first):
        device.event()
    assert [call[1] for call in cuda.calls if call[0] == "cuCtxSetCurrent"] == ["one", "two", "one"]


def test_a_capture_calls_in_order_and_keeps_only_what_runs():
    cuda, device = made()
    stream = device.stream()
    cuda.calls.clear()
    graph = stream.capture(lambda: stream.clear(4096, 8))
    graph.launch(stream)
    graph.close()
    graph.close()
    assert cuda.calls == [
        ("cuStreamBeginCapture", 77, "thread local"),
        ("cuMemsetD8Async", 4096, 0, 8, 77),
        ("cuStreamEndCapture", 77),
        ("cuGraphInstantiate", "graph", 0),
        ("cuGraphDestroy", "graph"),
        ("cuGraphLaunch", "exec", 77),
        ("cuGraphExecDestroy", "exec"),
    ]


def test_a_capture_that_fails_is_ended_and_its_graph_freed():
    cuda, device = made()
    stream = device.stream()
    cuda.calls.clear()

    def enqueue():
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        stream.capture(enqueue)
    assert cuda.names() == ["cuStreamBeginCapture", "cuStreamEndCapture", "cuGraphDestroy"]


def test_a_capture_that_cuda_ended_itself_tells_the_first_error():
    cuda, device = made(
        cuMemAlloc="CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED",
        cuStreamEndCapture="CUDA_ERROR_STREAM_CAPTURE_INVALIDATED",
    )
    with pytest.raises(DeviceError, match=r"cannot be captured .*CAPTURE_UNSUPPORTED"):
        device.stream().capture(lambda: device.allocate(8) and None)
    assert "cuGraphDestroy" not in cuda.names()


def test_a_graph_that_cannot_be_made_ready_is_freed():
    cuda, device = made(cuGraphInstantiate="CUDA_ERROR_OUT_OF_MEMORY")
    with pytest.raises(DeviceError, match="memory does not suffice"):
        device.stream().capture(lambda: None)
    assert cuda.calls[-1] == ("cuGraphDestroy", "graph")


def test_memory_that_is_not_pinned_is_refused_in_a_capture_and_waited_for_outside():
    cuda, device = made()
    stream, array = device.stream(), np.zeros(8, np.uint8)
    for copy in (lambda: stream.upload(4096, array), lambda: stream.download(array, 4096)):
        with pytest.raises(DeviceError, match=r"not pinned cannot be .* in a graph"):
            stream.capture(copy)
        cuda.calls.clear()
        copy()
        assert cuda.names()[1:] == ["cuStreamSynchronize"]


def test_pinned_memory_is_copied_without_a_wait_until_it_is_freed():
    cuda, device = made()
    stream, memory = device.stream(), device.pin(64)
    part = memory.array[8:24]
    cuda.calls.clear()
    stream.upload(4096, part)
    stream.download(part, 4096)
    address = ctypes.addressof(PIECE) + 8
    assert cuda.calls == [
        ("cuMemcpyHtoDAsync", 4096, address, 16, 77),
        ("cuMemcpyDtoHAsync", address, 4096, 16, 77),
    ]
    assert device.is_pinned(address, 56) and not device.is_pinned(address, 57)
    memory.close()
    assert not device.is_pinned(address, 1) and memory.array.size == 0


def test_arrays_that_cannot_be_copied_are_refused():
    _, device = made()
    stream, array = device.stream(), np.zeros((4, 4), np.uint8)
    with pytest.raises(ValueError, match="contiguous"):
        stream.upload(4096, array[:, 1:])
    array.flags.writeable = False
    with pytest.raises(ValueError, match="read-only"):
        stream.download(array, 4096)


def test_everything_is_freed_once():
    cuda, device = made()
    pieces = [device.allocate(8), device.pin(8), device.stream(), device.event()]
    cuda.calls.clear()
    for piece in pieces * 2:
        piece.close()
    assert cuda.calls == [
        ("cuMemFree", 4096),
        ("cuMemFreeHost", ctypes.addressof(PIECE)),
        ("cuStreamDestroy", 77),
        ("cuEventDestroy", "event"),
    ]


def test_freeing_on_a_lost_device_warns_once_and_goes_on(caplog):
    _, device = made(cuMemFree="CUDA_ERROR_ILLEGAL_ADDRESS", cuStreamDestroy="CUDA_ERROR_ILLEGAL_ADDRESS")
    pieces = [device.allocate(8), device.allocate(8), device.stream()]
    for piece in pieces:
        piece.close()
    assert [record.levelname for record in caplog.records] == ["WARNING"]


def test_a_kernel_is_compiled_for_the_device_and_loaded_once(monkeypatch):
    asked = []
    monkeypatch.setattr(cuda_device, "compile_kernel_file", lambda *given: asked.append(given) or b"image")
    cuda, device = made()
    cuda.calls.clear()
    kernel = device.kernel("prepare", "prepare_half")
    assert device.kernel("prepare", "prepare_half") is kernel
    device.kernel("prepare", "prepare_float")
    assert asked == [("prepare", "sm_86")]
    assert [call for call in cuda.calls if call[0] != "cuCtxSetCurrent"] == [
        ("cuModuleLoadData", b"image"),
        ("cuModuleGetFunction", "module", b"prepare_half"),
        ("cuFuncLoad", "function"),
        ("cuModuleGetFunction", "module", b"prepare_float"),
        ("cuFuncLoad", "function"),
    ]


def test_a_launch_hands_over_the_addresses_of_its_arguments(monkeypatch):
    monkeypatch.setattr(cuda_device, "compile_kernel_file", lambda *given: b"image")
    cuda, device = made()
    stream, kernel = device.stream(), device.kernel("prepare", "prepare_half")
    seen = []

    def launch(*arguments):
        addresses = (ctypes.c_void_p * 2).from_address(arguments[9])
        seen.append((arguments[:9], ctypes.c_int.from_address(addresses[0]).value, arguments[10]))
        seen.append(ctypes.c_float.from_address(addresses[1]).value)
        return (Code.CUDA_SUCCESS,)

    cuda.cuLaunchKernel = launch
    stream.launch(kernel, (1, 2, 3), (32, 4, 1), [ctypes.c_int(7), ctypes.c_float(0.5)])
    assert seen == [(("function", 1, 2, 3, 32, 4, 1, 0, 77), 7, 0), 0.5]


def used_of(module, prefix):
    """Yield (function, how many arguments it gets) for each call of a binding in a module's text."""
    for node in ast.walk(ast.parse(inspect.getsource(module))):
        if not isinstance(node, ast.Call):
            continue
        if isinstance(node.func, ast.Attribute) and node.func.attr.startswith(prefix):
            yield node.func.attr, count_of(node.args)
        for place, argument in enumerate(node.args):
            if isinstance(argument, ast.Attribute) and argument.attr.startswith(prefix):
                yield argument.attr, count_of(node.args[place + 1 :])


def count_of(arguments):
    count = 0
    for argument in arguments:
        if not isinstance(argument, ast.Starred):
            count += 1
        elif isinstance(argument.value, ast.Tuple):
            count += count_of(argument.value.elts)
        else:
            count += {"grid": 3, "block": 3}[argument.value.id]
    return count


def test_the_bindings_have_every_function_with_as_many_parameters_as_it_gets():
    cuda = pytest.importorskip("cuda.bindings.driver")
    used = {
        pair
        for module in (driver, cuda_device, results)
        for pair in used_of(module, "cu")
        if pair[0] != "cuda"
    }
    assert len(used) >= 30
    for name, count in used:
        parameters = inspect.signature(getattr(cuda, name)).parameters
        assert len(parameters) == count, name


def test_nvrtc_has_every_function_that_is_used():
    library = pytest.importorskip("cuda.bindings.nvrtc")
    used = {
        node.attr
        for node in ast.walk(ast.parse(inspect.getsource(nvrtc)))
        if isinstance(node, ast.Attribute) and node.attr.startswith("nvrtc") and node.attr != "nvrtc"
    }
    assert len(used) >= 10
    for name in used:
        assert hasattr(library, name), name


def test_the_bindings_have_every_name_of_an_answer_and_a_flag():
    cuda = pytest.importorskip("cuda.bindings.driver")
    for name in NAMES:
        assert hasattr(cuda.CUresult, name), name
    kinds = {"CUstream_flags", "CUevent_flags", "CUstreamCaptureMode", "CUdevice_attribute"}
    for kind in kinds:
        for name in vars(getattr(FakeCuda, kind)):
            assert hasattr(getattr(cuda, kind), name), name
    text = "".join(inspect.getsource(module) for module in (driver, cuda_device, results))
    named = {node.attr for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Attribute)}
    known = {name for kind in kinds for name in vars(getattr(FakeCuda, kind))} | kinds
    assert {name for name in named if name.startswith("CU")} <= known | {"CUresult", "CUDA_SUCCESS"}


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="stands in for libcuda.so.1")
@pytest.mark.skipif(shutil.which("g++") is None, reason="needs g++")
def test_the_real_bindings_run_it_over_a_driver_on_the_cpu(tmp_path):
    pytest.importorskip("cuda.bindings.driver")
    library = tmp_path / "libcuda.so.1"
    command = ["g++", "-std=c++20", "-O1", "-Wall", "-Werror", "-fPIC", "-shared", "-Wl,-soname,libcuda.so.1"]
    built = subprocess.run(
        [*command, "-o", str(library), str(HERE / "fake_libcuda.cpp")], capture_output=True, text=True
    )
    assert built.returncode == 0, built.stderr
    environment = {**os.environ, "LD_LIBRARY_PATH": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path / "cache")}
    lean = ["-q", "--noconftest", "-p", "no:cacheprovider", "-p", "no:pytestqt"]
    checks = [sys.executable, "-m", "pytest", *lean, str(HERE / "with_fake_libcuda.py")]
    done = subprocess.run(
        checks, capture_output=True, text=True, env=environment, cwd=HERE.parents[2], timeout=120
    )
    assert done.returncode == 0, done.stdout + done.stderr
