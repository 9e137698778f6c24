import pytest

from engine import timing
from engine.timing import StageTotals, Stopwatch


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [0.0]
    monkeypatch.setattr(timing.time, "perf_counter", lambda: now[0])
    return now


def test_a_stage_entered_twice_adds_up(clock: list[float]) -> None:
    watch = Stopwatch()
    for spent in (0.002, 0.003):
        with watch.stage("infer"):
            clock[0] += spent
    with watch.stage("track"):
        clock[0] += 0.001
    assert watch.take() == pytest.approx({"infer": 5.0, "track": 1.0})
    assert watch.take() == {}


def test_a_stage_that_fails_is_still_charged(clock: list[float]) -> None:
    watch = Stopwatch()

    def fail() -> None:
        with watch.stage("infer"):
            clock[0] += 0.004
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert watch.take() == pytest.approx({"infer": 4.0})


def test_totals_count_frames_without_a_stage_as_zero() -> None:
    totals = StageTotals()
    totals.add({"infer": 4.0, "find": 10.0})
    totals.add({"infer": 6.0})
    assert totals.frames == 2
    assert totals.mean_ms() == {"infer": 5.0, "find": 5.0}
    assert totals.max_ms() == {"infer": 6.0, "find": 10.0}
