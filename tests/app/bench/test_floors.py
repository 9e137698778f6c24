import json

import pytest

from app.bench.floors import PER_CLOCK, Limits, Work, floor_of, nominal_memory_rate, nominal_rates
from engine.cuda.device import DeviceInfo

LIMITS = Limits(
    memory_nominal=2e12,
    memory_measured=1e12,
    upload=25e9,
    download=20e9,
    rates={"fp32": 10e12, "fp16": 100e12},
    launch_ms=0.002,
    round_trip_ms=0.01,
)


def test_floors_are_bytes_over_bandwidth_and_operations_over_rate():
    floor = floor_of(Work(memory_bytes=4_000_000, operations={"fp16": 10**9}, launches=3), LIMITS)
    assert floor.bytes_ms == pytest.approx(4e6 / 2e12 * 1e3)
    assert floor.operations_ms == pytest.approx(0.01)
    assert floor.launches_ms == pytest.approx(0.006)
    assert floor.ratio(0.03) == pytest.approx(3.0)
    assert floor.launch_ratio(0.03) == pytest.approx(5.0)


def test_what_goes_over_memory_and_link_goes_one_after_the_other():
    floor = floor_of(Work(2_000_000, upload_bytes=50_000_000, download_bytes=20_000), LIMITS)
    assert floor.bytes_ms == pytest.approx(0.001 + 2.0 + 0.001)


def test_work_adds_up():
    first = Work(1, 2, 3, {"fp32": 4}, 1)
    second = Work(10, 20, 30, {"fp32": 40, "fp16": 5}, 2)
    assert first + second == Work(11, 22, 33, {"fp32": 44, "fp16": 5}, 3)
    assert floor_of(first + second, LIMITS).operations_ms == pytest.approx(44 / 10e9 + 5 / 100e9)


def test_the_higher_bandwidth_counts():
    assert LIMITS.memory == 2e12
    unknown = Limits(None, 1e12, 1e9, 1e9, {}, 0.0, 0.0)
    assert unknown.memory == 1e12


def test_nothing_is_divided_by_zero():
    nothing = Limits(None, 0.0, 0.0, 0.0, {}, 0.0, 0.0)
    floor = floor_of(Work(8, 8, 8, {"int8": 8}, 2), nothing)
    assert (floor.bytes_ms, floor.operations_ms) == (None, None)
    assert floor.ratio(1.0) is None and floor.launch_ratio(1.0) is None
    idle = floor_of(Work(), LIMITS)
    assert (idle.bytes_ms, idle.operations_ms, idle.ratio(1.0)) == (0.0, 0.0, None)
    assert json.loads(json.dumps(nothing.as_dict(), allow_nan=False))["memory_nominal_gb_s"] is None


def test_an_unknown_rate_leaves_the_other_floor():
    floor = floor_of(Work(2_000_000, operations={"int8": 10}), LIMITS)
    assert floor.operations_ms is None and floor.ratio(0.004) == pytest.approx(4.0)


@pytest.mark.parametrize(
    ("capability", "multiprocessors", "clock_khz", "form", "tera_operations"),
    [
        ((7, 5), 40, 1_590_000, "fp16", 65),
        ((7, 5), 40, 1_590_000, "int8", 130),
        ((8, 0), 108, 1_410_000, "fp16", 312),
        ((8, 0), 108, 1_410_000, "fp32", 19.5),
        ((8, 6), 72, 1_695_000, "fp16", 125),
        ((8, 9), 128, 2_520_000, "fp32", 82.6),
        ((9, 0), 132, 1_830_000, "fp16", 989),
        ((9, 0), 132, 1_830_000, "int8", 1979),
        ((12, 0), 170, 2_407_000, "fp16", 419),
    ],
)
def test_nominal_rates_are_the_published_peaks(
    capability: tuple[int, int], multiprocessors: int, clock_khz: int, form: str, tera_operations: float
):
    info = DeviceInfo("GPU", 0, capability, 1, (13, 0), multiprocessors, clock_khz)
    assert 2 * nominal_rates(info)[form] / 1e12 == pytest.approx(tera_operations, rel=0.01)


def test_nominal_bandwidth_is_clock_and_width_and_may_be_unknown():
    a100 = DeviceInfo("A100", 0, (8, 0), 1, (13, 0), 108, 1_410_000, 1_215_000, 5120)
    rate = nominal_memory_rate(a100)
    assert rate is not None and rate / 1e9 == pytest.approx(1555, rel=0.01)
    silent = DeviceInfo("GPU", 0, (8, 0), 1, (13, 0))
    assert nominal_memory_rate(silent) is None and nominal_rates(silent) == {}
    assert nominal_rates(DeviceInfo("new", 0, (99, 0), 1, (13, 0), 100, 1_000_000)) == {}


def test_every_kind_of_gpu_that_kernels_are_compiled_for_has_rates():
    assert set(PER_CLOCK) == {(7, 5), (8, 0), (8, 6), (8, 9), (9, 0), (10, 0), (12, 0)}
    for rates in PER_CLOCK.values():
        assert rates["fp32"] < rates["fp16"] < rates["int8"]
