import time

from app.bench.timing import measure


def test_median_and_minimum_come_from_as_many_runs_as_the_budget_allows():
    calls = []

    def action():
        calls.append(None)
        time.sleep(0.02 if len(calls) == 3 else 0.002)

    timing = measure(action, budget_s=0.0, min_runs=5)
    assert len(calls) == 2 + 5 and timing.runs == 5
    assert 2.0 <= timing.min_ms <= timing.median_ms < 20.0


def test_a_timing_goes_into_json_rounded():
    numbers = measure(lambda: None, budget_s=0.0, min_runs=1).as_dict()
    assert set(numbers) == {"median_ms", "min_ms", "runs"} and numbers["runs"] == 1
