import math
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from engine.live_numbers import NumberMeter
from engine.live_values import LiveResult
from engine.structures import Frame, Result


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def live(captured_s: float, done_s: float, **timings_ms: float) -> LiveResult:
    return LiveResult(
        Result(Frame(np.zeros((2, 2, 3), np.uint8), 0, 0.0), (), timings_ms), captured_s, done_s
    )


def test_rates_count_the_last_two_seconds() -> None:
    clock = Clock()
    meter = NumberMeter(clock)
    for step in range(100):
        clock.now = 100 + step / 10
        meter.add_result(live(clock.now, clock.now))
        if step % 2:
            meter.add_painted(live(clock.now, clock.now), clock.now)
    numbers = meter.numbers(None, None, lost=0, unshown=0)
    assert numbers.inference_rate == pytest.approx(10, abs=0.6)
    assert numbers.display_rate == pytest.approx(5, abs=0.6)


def test_latency_is_from_capture_to_paint() -> None:
    clock = Clock()
    meter = NumberMeter(clock)
    for ms in range(1, 101):
        meter.add_painted(live(clock.now, clock.now), clock.now + ms / 1e3)
    clock.now += 0.2
    numbers = meter.numbers(None, None, lost=0, unshown=0)
    assert numbers.latency_p50_ms == pytest.approx(50.5)
    assert numbers.latency_p95_ms == pytest.approx(95.05)


def test_stages_are_means_per_frame_where_a_stage_may_be_absent() -> None:
    meter = NumberMeter(clock := Clock())
    meter.add_result(live(100, 100, infer=4.0, find=10.0))
    meter.add_result(live(100, 100, infer=6.0))
    clock.now = 100.5
    assert meter.numbers(None, None, lost=0, unshown=0).stages_ms == {"find": 5.0, "infer": 5.0}


def test_nothing_is_known_at_first_and_after_a_reset() -> None:
    meter = NumberMeter(clock := Clock())
    meter.add_result(live(100, 100))
    clock.now = 101
    meter.reset()
    numbers = meter.numbers(None, None, lost=0, unshown=0)
    assert math.isnan(numbers.latency_p50_ms)
    assert math.isnan(numbers.inference_rate)
    assert numbers.dropped == {}


@pytest.mark.parametrize(("is_live", "cause"), [(True, "newer frame came first"), (False, "unreadable")])
def test_losses_are_told_by_cause(is_live: bool, cause: str) -> None:
    source = cast(Any, SimpleNamespace(info=SimpleNamespace(live=is_live)))
    numbers = NumberMeter().numbers(source, None, lost=3, unshown=2)
    assert numbers.dropped == {cause: 3, "window behind": 2}


def test_a_live_source_tells_its_own_rate() -> None:
    source = cast(Any, SimpleNamespace(info=SimpleNamespace(live=True), capture_rate=29.9))
    assert NumberMeter().numbers(source, None, lost=0, unshown=0).capture_rate == 29.9
