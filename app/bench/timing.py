"""Times of repeated actions: the median tells what to expect, the minimum what is possible."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median

WARM_UP_RUNS = 2
BUDGET_S = 1.0
"""How long an action is repeated."""


@dataclass(frozen=True, slots=True)
class Timing:
    """Milliseconds of an action over some runs."""

    median_ms: float
    min_ms: float
    runs: int

    def as_dict(self) -> dict[str, float | int]:
        """Return the numbers rounded to microseconds, ready for JSON."""
        return {"median_ms": round(self.median_ms, 3), "min_ms": round(self.min_ms, 3), "runs": self.runs}


def measure(action: Callable[[], object], *, budget_s: float | None = None, min_runs: int = 5) -> Timing:
    """Repeat an action for `budget_s` seconds (`BUDGET_S` where None), at least `min_runs` times.

    Two runs before that warm up and do not count.
    """
    for _ in range(WARM_UP_RUNS):
        action()
    times_ms: list[float] = []
    end = time.perf_counter() + (BUDGET_S if budget_s is None else budget_s)
    while len(times_ms) < min_runs or time.perf_counter() < end:
        start = time.perf_counter()
        action()
        times_ms.append((time.perf_counter() - start) * 1e3)
    return Timing(median(times_ms), min(times_ms), len(times_ms))
