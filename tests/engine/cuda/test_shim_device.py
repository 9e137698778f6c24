import ctypes
import threading

import numpy as np
import pytest

from engine.cuda.device import Device, DeviceTensor
from engine.errors import DeviceError
from tests.engine.cuda import shim_device, shim_library
from tests.engine.cuda.shim_device import POISON, Misuse, ShimDevice

needs_compiler = pytest.mark.skipif(shim_library.compiler() is None, reason="needs g++")

KERNEL_TEXT = """
#include "pose.cuh"
extern "C" __global__ void scale(const float* __restrict__ source, float* target, int count, float factor) {
    const int place = blockIdx.x * blockDim.x + threadIdx.x;
    if (place < count) target[place] = source[place] * factor;
}
"""


@pytest.fixture
def device():
    return ShimDevice()


@pytest.fixture(scope="module")
def kernel_folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("kernels")
    (folder / "trial.cu").write_text(KERNEL_TEXT)
    (folder / "pose.cuh").write_text((shim_library.KERNELS / "pose.cuh").read_text())
    return folder


@pytest.fixture
def kernel(device, kernel_folder, monkeypatch):
    monkeypatch.setattr(shim_library, "KERNELS", kernel_folder)
    monkeypatch.setattr(shim_device, "KERNELS", kernel_folder)
    return device.kernel("trial", "scale")


def pinned(device, values):
    memory = device.pin(len(values))
    memory.array[:] = values
    return memory


def test_it_keeps_the_protocol(device):
    def take(given: Device) -> str:
        return given.info.name

    assert take(device)


def test_work_waits_until_somebody_waits_for_it(device):
    stream, buffer, result = device.stream(), device.allocate(4), device.pin(4)
    stream.upload(buffer.address, pinned(device, [1, 2, 3, 4]).array)
    stream.download(result.array, buffer.address)
    assert (result.array == POISON).all()
    stream.synchronize()
    assert result.array.tolist() == [1, 2, 3, 4]


def test_an_eager_device_works_at_once():
    device = ShimDevice(lazy=False)
    stream, buffer, result = device.stream(), device.allocate(4), device.pin(4)
    stream.clear(buffer.address, 4)
    stream.download(result.array, buffer.address)
    assert not result.array.any()


def test_pinned_memory_overwritten_too_early_shows(device):
    stream, buffer = device.stream(), device.allocate(2)
    source = pinned(device, [1, 1])
    stream.upload(buffer.address, source.array)
    source.array[:] = 9
    got = np.empty(2, np.uint8)
    stream.download(got, buffer.address)
    assert got.tolist() == [9, 9]


def test_other_memory_may_be_overwritten_at_once_and_is_there_on_return(device):
    stream, buffer = device.stream(), device.allocate(2)
    source = np.ones(2, np.uint8)
    stream.upload(buffer.address, source)
    source[:] = 9
    got = np.empty(2, np.uint8)
    stream.download(got, buffer.address)
    assert got.tolist() == [1, 1]


def test_a_stream_waits_for_a_mark_of_another(device):
    first, second, event = device.stream(), device.stream(), device.event()
    order = []
    first.call(lambda: order.append("first"))
    first.record(event)
    first.call(lambda: order.append("later"))
    second.wait(event)
    second.call(lambda: order.append("second"))
    second.synchronize()
    assert order == ["first", "second"]


def test_waiting_for_a_mark_never_set_is_no_wait(device):
    first, second, event = device.stream(), device.stream(), device.event()
    done = []
    second.wait(event)
    first.call(lambda: done.append("first"))
    first.record(event)
    second.call(lambda: done.append("second"))
    second.synchronize()
    event_of_nothing = device.event()
    event_of_nothing.synchronize()
    assert done == ["second"]


def test_a_wait_is_for_the_mark_as_it_was_then(device):
    first, second, event = device.stream(), device.stream(), device.event()
    done = []
    first.record(event)
    second.wait(event)
    first.call(lambda: done.append("first"))
    first.record(event)
    second.synchronize()
    assert not done
    event.synchronize()
    assert done == ["first"]


def test_work_that_waits_for_itself_is_an_error(device):
    stream = device.stream()
    stream.call(stream.synchronize)
    with pytest.raises(Misuse, match="deadlock"):
        stream.synchronize()


def test_time_between_marks_is_known_once_both_are_reached(device):
    stream, start, end = device.stream(), device.event(), device.event()
    stream.record(start)
    stream.record(end)
    with pytest.raises(DeviceError, match="before both were reached"):
        end.elapsed_ms(start)
    end.synchronize()
    assert end.elapsed_ms(start) >= 0


@needs_compiler
def test_a_kernel_runs_with_the_arguments_as_they_were(device, kernel):
    stream = device.stream()
    source = device.tensor(np.arange(40, dtype=np.float32))
    target = device.tensor(np.zeros(40, np.float32))
    count = ctypes.c_int(40)
    arguments = [
        ctypes.c_void_p(source.address),
        ctypes.c_void_p(target.address),
        count,
        ctypes.c_float(2),
    ]
    stream.launch(kernel, (2, 1, 1), (32, 1, 1), arguments)
    count.value = 0
    stream.synchronize()
    assert np.array_equal(device.view(target), np.arange(40, dtype=np.float32) * 2)


@needs_compiler
def test_a_kernel_that_writes_past_the_end_is_caught(device, kernel):
    stream = device.stream()
    source = device.tensor(np.arange(64, dtype=np.float32))
    target = device.allocate(4 * 63)
    arguments = [ctypes.c_void_p(source.address), ctypes.c_void_p(target.address), ctypes.c_int(64)]
    stream.launch(kernel, (2, 1, 1), (32, 1, 1), [*arguments, ctypes.c_float(1)])
    with pytest.raises(Misuse, match="bytes after a buffer of 252 bytes were written"):
        stream.synchronize()


@needs_compiler
@pytest.mark.parametrize(
    ("grid", "block", "drop", "message"),
    [
        ((0, 1, 1), (32, 1, 1), 0, "out of range"),
        ((1, 1, 1), (33, 1, 1), 0, "multiple of 32"),
        ((1, 1, 1), (2048, 1, 1), 0, "up to 1024"),
        ((1, 1, 1), (32, 1, 1), 1, r"takes parameters of \[8, 8, 4, 4\] bytes, got \[8, 8, 4\]"),
    ],
)
def test_a_launch_out_of_range_is_caught(device, kernel, grid, block, drop, message):
    address = ctypes.c_void_p(device.allocate(256).address)
    arguments = [address, address, ctypes.c_int(1), ctypes.c_float(1)]
    with pytest.raises(Misuse, match=message):
        device.stream().launch(kernel, grid, block, arguments[: 4 - drop])


@needs_compiler
def test_an_entry_that_is_not_there_is_an_error(device, kernel):
    with pytest.raises(DeviceError, match="no entry turn"):
        device.kernel("trial", "turn")


def test_a_graph_replays_what_was_captured(device):
    stream, buffer, source, result = device.stream(), device.allocate(2), device.pin(2), device.pin(2)
    seen = []

    def enqueue():
        stream.upload(buffer.address, source.array)
        stream.call(
            lambda: seen.append(device.view(DeviceTensor(buffer.address, (2,), np.dtype(np.uint8)))[0])
        )
        stream.download(result.array, buffer.address)

    graph = stream.capture(enqueue)
    stream.synchronize()
    assert not seen and (result.array == POISON).all()
    for value in (3, 7):
        source.array[:] = value
        graph.launch(stream)
        stream.synchronize()
        assert result.array.tolist() == [value, value]
    assert seen == [3, 7]


@pytest.mark.parametrize(
    "forbidden",
    [
        lambda device, stream, event: stream.upload(device.memory[0].address, np.zeros(2, np.uint8)),
        lambda device, stream, event: stream.download(np.zeros(2, np.uint8), device.memory[0].address),
        lambda device, stream, event: stream.synchronize(),
        lambda device, stream, event: event.synchronize(),
        lambda device, stream, event: stream.wait(event),
        lambda device, stream, event: device.allocate(8),
        lambda device, stream, event: device.pin(8),
        lambda device, stream, event: device.memory[0].close(),
        lambda device, stream, event: stream.capture(lambda: None),
    ],
)
def test_what_cuda_forbids_in_a_capture_is_an_error_and_the_stream_goes_on(device, forbidden):
    stream, event = device.stream(), device.event()
    device.allocate(8)
    stream.record(event)
    with pytest.raises(DeviceError, match="capture"):
        stream.capture(lambda: forbidden(device, stream, event))
    done = []
    stream.call(lambda: done.append(1))
    stream.synchronize()
    assert done


def test_another_thread_may_wait_while_this_one_captures(device):
    stream, other = device.stream(), device.stream()
    done = []
    other.call(lambda: done.append(1))

    def enqueue():
        thread = threading.Thread(target=other.synchronize)
        thread.start()
        thread.join()

    stream.capture(enqueue)
    assert done


def test_a_mark_set_in_a_graph_cannot_be_waited_for(device):
    stream, event = device.stream(), device.event()
    stream.capture(lambda: stream.record(event))
    with pytest.raises(DeviceError, match="recorded inside a graph"):
        event.synchronize()


@pytest.mark.parametrize("shift", [-1, 1, 8])
def test_copies_out_of_range_are_caught(device, shift):
    stream, buffer = device.stream(), device.allocate(8)
    with pytest.raises(Misuse, match="in no memory of the device"):
        stream.upload(buffer.address + shift, np.zeros(8, np.uint8))
    with pytest.raises(Misuse, match="in no memory of the device"):
        stream.clear(buffer.address + shift, 8)


def test_host_and_device_memory_are_told_apart(device):
    stream, buffer, host = device.stream(), device.allocate(8), device.pin(8)
    with pytest.raises(Misuse, match="this is host memory"):
        stream.upload(host.array.ctypes.data, np.zeros(8, np.uint8))
    with pytest.raises(Misuse, match="lies in device memory"):
        stream.upload(buffer.address, buffer.array)


def test_memory_cannot_be_closed_under_its_work_nor_twice(device):
    stream, buffer = device.stream(), device.allocate(8)
    stream.clear(buffer.address, 8)
    with pytest.raises(Misuse, match="under work that uses it"):
        buffer.close()
    stream.synchronize()
    buffer.close()
    with pytest.raises(Misuse, match="closed twice"):
        buffer.close()


def test_a_graph_over_freed_memory_is_caught(device):
    stream, buffer = device.stream(), device.allocate(8)
    graph = stream.capture(lambda: stream.clear(buffer.address, 8))
    buffer.close()
    with pytest.raises(Misuse, match="freed, or out of range"):
        graph.launch(stream)


def test_what_was_closed_cannot_be_used(device):
    stream, event = device.stream(), device.event()
    graph = stream.capture(lambda: None)
    graph.close()
    event.close()
    with pytest.raises(Misuse, match="graph was launched after"):
        graph.launch(stream)
    with pytest.raises(Misuse, match="event was used after"):
        stream.record(event)
    stream.close()
    with pytest.raises(Misuse, match="stream was used after"):
        stream.synchronize()
    assert device.left_open() == []


def test_memory_runs_out_and_the_device_can_be_lost():
    device = ShimDevice(memory_bytes=100)
    device.allocate(60)
    with pytest.raises(DeviceError, match="out of memory"):
        device.allocate(60)
    stream = device.stream()
    device.lose()
    for call in (stream.synchronize, device.event, lambda: stream.clear(device.memory[0].address, 1)):
        with pytest.raises(DeviceError, match="lost"):
            call()
    stream.close()
    device.memory[0].close()
    assert device.left_open() == []


def test_what_is_left_open_is_named(device):
    device.allocate(3)
    device.pin(4)
    device.stream()
    assert device.left_open() == ["buffer of 3 bytes", "pinned memory of 4 bytes", "stream"] or (
        device.left_open() == ["pinned memory of 4 bytes", "buffer of 3 bytes", "stream"]
    )
