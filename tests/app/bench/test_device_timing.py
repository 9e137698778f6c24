from collections.abc import Iterator

import numpy as np
import pytest

from app.bench import device_timing
from app.bench.device_timing import DeviceClock, DeviceRoom
from engine.errors import DeviceError
from tests.engine.cuda.shim_device import ShimDevice


@pytest.fixture
def device(monkeypatch: pytest.MonkeyPatch) -> Iterator[ShimDevice]:
    monkeypatch.setattr(device_timing, "BALLAST_BYTES", 1 << 16)
    monkeypatch.setattr(device_timing, "BUDGET_S", 0.0)
    device = ShimDevice()
    yield device
    device.close()
    assert device.left_open() == []


@pytest.fixture
def clock(device: ShimDevice) -> Iterator[DeviceClock]:
    clock = DeviceClock(device)
    yield clock
    clock.close()


def sleeper(clock: DeviceClock, seconds: float, done: list[None]):
    import time

    def sleep() -> None:
        done.append(None)
        time.sleep(seconds)

    return lambda: clock.stream.call(sleep)  # type: ignore[attr-defined]


def test_repeats_in_a_graph_are_divided_out(clock: DeviceClock):
    done: list[None] = []
    timing = clock.measure(sleeper(clock, 0.0002, done))
    assert timing.runs == device_timing.MIN_SAMPLES
    repeats = len(done) / device_timing.MIN_SAMPLES
    assert repeats > 3
    # Undivided, each sample would take as long as all its repeats.
    assert 0.2 <= timing.min_ms < 0.2 * repeats


def test_what_is_long_runs_once_in_each_sample(clock: DeviceClock):
    done: list[None] = []
    timing = clock.measure(sleeper(clock, 0.003, done))
    assert timing.min_ms >= 3.0
    assert len(done) == device_timing.WARM_UP_RUNS + 1 + 1 + timing.runs


def test_what_cannot_be_captured_is_not(clock: DeviceClock, device: ShimDevice, monkeypatch):
    def refuse(enqueue):
        raise AssertionError("captured")

    monkeypatch.setattr(clock.stream, "capture", refuse)
    assert clock.measure(sleeper(clock, 0.0002, []), capturable=False).min_ms >= 0.2


def test_a_capture_that_fails_is_left(clock: DeviceClock, monkeypatch, caplog):
    def refuse(enqueue):
        raise DeviceError("this cannot be captured")

    monkeypatch.setattr(clock.stream, "capture", refuse)
    with caplog.at_level("INFO", "app.bench.device_timing"):
        assert clock.measure(sleeper(clock, 0.0002, [])).min_ms >= 0.2
    assert "this cannot be captured" in caplog.text


def test_the_device_is_busy_while_the_host_queues(clock: DeviceClock, monkeypatch):
    order: list[str] = []
    record, clear = clock.stream.record, clock.stream.clear
    monkeypatch.setattr(clock.stream, "record", lambda event: (order.append("mark"), record(event)))
    monkeypatch.setattr(clock.stream, "clear", lambda *given: (order.append("ballast"), clear(*given)))
    clock.measure(lambda: order.append("work"), capturable=False)
    last = order[len(order) - 3 :]
    assert last == ["mark", "work", "mark"] and order[-4] == "ballast"
    assert order.count("ballast") >= device_timing.MIN_SAMPLES


def test_a_room_gives_back_all_that_was_taken(clock: DeviceClock, device: ShimDevice):
    before = sorted(device.left_open())
    with DeviceRoom(clock) as room:
        tensor = room.put(np.arange(6, dtype=np.float16).reshape(2, 3))
        host = room.pinned(12)
        empty = room.empty((3,), np.int32)
        clock.stream.download(host, tensor.address)
        clock.stream.synchronize()
        np.testing.assert_array_equal(host.view(np.float16), np.arange(6))
        assert (device.view(empty) == 0).all()
        assert len(device.left_open()) == len(before) + 3
    assert sorted(device.left_open()) == before


def test_a_device_that_fails_leaves_nothing_behind(device: ShimDevice, monkeypatch):
    monkeypatch.setattr(DeviceClock, "measure", lambda self, enqueue: device.lose() or device.alive())
    with pytest.raises(DeviceError, match="lost"):
        DeviceClock(device)
    assert device.left_open() == []
