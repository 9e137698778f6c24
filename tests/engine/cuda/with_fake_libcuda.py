"""What `test_driver` runs in a process where ``libcuda.so.1`` is `fake_libcuda.cpp`."""

import ctypes
import threading
import time

import numpy as np
import pytest

from engine.cuda import driver, nvrtc
from engine.errors import DeviceError, RuntimeUnavailableError
from tests.engine.cuda import shim_library

KERNEL_TEXT = """
#include "pose.cuh"
extern "C" __global__ void scale_of_4(const float* source, float* target, int count, float factor) {
    const int place = blockIdx.x * blockDim.x + threadIdx.x;
    if (place < count) target[place] = source[place] * factor;
}
"""


@pytest.fixture
def live():
    return ctypes.CDLL("libcuda.so.1").fake_live


@pytest.fixture
def device(live):
    before = live()
    yield driver.open_device()
    assert live() == before, "something was left open"


@pytest.fixture
def stream(device):
    stream = device.stream()
    yield stream
    stream.close()


@pytest.fixture(scope="module")
def kernel_folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("kernels")
    (folder / "trial.cu").write_text(KERNEL_TEXT)
    (folder / "pose.cuh").write_text((shim_library.KERNELS / "pose.cuh").read_text())
    return folder


@pytest.fixture
def kernel(device, kernel_folder, monkeypatch):
    monkeypatch.setattr(shim_library, "KERNELS", kernel_folder)
    monkeypatch.setattr(nvrtc, "KERNELS", kernel_folder)
    monkeypatch.setenv("FAKE_CUDA_KERNELS", shim_library.load_shim("trial")._name)
    return device.kernel("trial", "scale_of_4")


def test_the_device_is_found_and_described():
    state = driver.driver_state()
    assert state.problem is None and state.driver == (13, 2)
    (info,) = state.devices
    assert (info.name, info.compute_capability, info.memory_bytes) == ("Fake GPU 0", (8, 6), 1 << 30)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("FAKE_CUDA_DRIVER", "12090", "serves CUDA 12.9, CUDA 13.0 is needed"),
        ("FAKE_CUDA_INIT", "12345", "answered cuInit with what cuda-bindings does not know"),
        ("FAKE_CUDA_INIT", "803", "parts of the NVIDIA driver have different versions"),
        ("FAKE_CUDA_DEVICES", "0", "no NVIDIA GPU is visible"),
        ("FAKE_CUDA_CAPABILITY", "70", "Fake GPU 0 has compute capability 7.0, 7.5 is needed"),
    ],
)
def test_what_does_not_serve_is_told(monkeypatch, name, value, message):
    monkeypatch.setenv(name, value)
    driver._open_device.cache_clear()
    with pytest.raises(RuntimeUnavailableError, match=message):
        driver.open_device()
    problem = driver.driver_state().problem
    assert driver.driver_state().devices == () and problem is not None and message in problem


def test_bytes_come_back_as_they_went(device, stream):
    buffer, memory = device.allocate(64), device.pin(64)
    memory.array[:] = range(64)
    stream.upload(buffer.address, memory.array)
    stream.clear(buffer.address + 8, 8)
    got = np.empty((4, 4), np.float32)
    stream.download(got, buffer.address)
    want = np.arange(64, dtype=np.uint8)
    want[8:16] = 0
    assert got.tobytes() == want.tobytes()
    buffer.close()
    memory.close()


def test_a_kernel_is_compiled_loaded_and_run(device, stream, kernel):
    buffer = device.allocate(256)
    stream.upload(buffer.address, np.arange(32, dtype=np.float32))
    source, target = ctypes.c_void_p(buffer.address), ctypes.c_void_p(buffer.address + 128)
    stream.launch(kernel, (1, 1, 1), (32, 1, 1), [source, target, ctypes.c_int(32), ctypes.c_float(3)])
    got = np.empty(32, np.float32)
    stream.download(got, buffer.address + 128)
    assert np.array_equal(got, np.arange(32) * 3)
    buffer.close()


def test_a_graph_replays_its_work_with_the_arguments_of_then(device, stream, kernel):
    buffer, memory = device.allocate(256), device.pin(256)
    values, result = (half.view(np.float32) for half in np.split(memory.array, 2))
    factor = ctypes.c_float(2)
    source, target = ctypes.c_void_p(buffer.address), ctypes.c_void_p(buffer.address + 128)

    def enqueue():
        stream.upload(buffer.address, values)
        stream.launch(kernel, (1, 1, 1), (32, 1, 1), [source, target, ctypes.c_int(32), factor])
        stream.download(result, buffer.address + 128)

    result[:] = -1
    graph = stream.capture(enqueue)
    factor.value = 100
    assert (result == -1).all()
    for start in (0, 50):
        values[:] = np.arange(start, start + 32)
        graph.launch(stream)
        stream.synchronize()
        assert np.array_equal(result, np.arange(start, start + 32) * 2)
    graph.close()
    buffer.close()
    memory.close()


def test_a_capture_that_cuda_refuses_leaves_the_stream_as_it_was(device, stream):
    with pytest.raises(DeviceError, match=r"cannot be captured in a graph .*STREAM_CAPTURE_UNSUPPORTED"):
        stream.capture(lambda: device.allocate(8) and None)
    with pytest.raises(DeviceError, match="cannot be captured"):
        stream.capture(stream.synchronize)
    with pytest.raises(ZeroDivisionError):
        stream.capture(lambda: 1 // 0 and None)
    stream.capture(lambda: None).close()
    stream.synchronize()


def test_marks_measure_time(device, stream):
    start, end = device.event(), device.event()
    with pytest.raises(DeviceError, match="cuEventElapsedTime"):
        end.elapsed_ms(start)
    stream.record(start)
    stream.wait(start)
    stream.record(end)
    end.synchronize()
    assert end.elapsed_ms(start) >= 0
    start.close()
    end.close()


def test_too_much_memory_is_told_with_its_size(device):
    with pytest.raises(
        DeviceError, match=r"memory does not suffice.*2048.0 MiB of the 1.0 GiB of Fake GPU 0"
    ):
        device.allocate(2 << 30)
    with pytest.raises(DeviceError, match="CUDA_ERROR_INVALID_VALUE"):
        device.allocate(0)


def test_a_function_that_the_driver_lacks_is_told(device):
    with pytest.raises(DeviceError, match=r"lacks cuCtxSynchronize .*release 580"):
        device.call(device.cuda.cuCtxSynchronize)


def test_an_entry_that_is_not_there_is_told(device, kernel):
    with pytest.raises(DeviceError, match=r"no such entry \(turn of trial.cu"):
        device.kernel("trial", "turn")


def test_threads_of_their_own_may_use_the_device(device, stream):
    failures = []

    def work():
        try:
            buffer = device.allocate(64)
            stream.clear(buffer.address, 64)
            buffer.close()
        except DeviceError as error:
            failures.append(error)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures


@pytest.mark.parametrize("what", ["stream", "event"])
def test_other_threads_run_while_one_waits(device, stream, monkeypatch, what):
    event = device.event()
    stream.record(event)
    monkeypatch.setenv("FAKE_CUDA_WAIT_MS", "1000")
    wait = stream.synchronize if what == "stream" else event.synchronize
    thread = threading.Thread(target=wait)
    thread.start()
    longest_s, last_s = 0.0, time.monotonic()
    while thread.is_alive():
        now_s = time.monotonic()
        longest_s, last_s = max(longest_s, now_s - last_s), now_s
    thread.join()
    assert longest_s < 0.8, "the interpreter stood still during the wait"
    event.close()
