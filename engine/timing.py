"""Milliseconds per stage: a stopwatch for one frame and running totals for a run.

Stages: `decode_source` (waiting for the source), `find` (finder), `prepare` (crops or letterbox), `infer`
(network), `decode` (heatmaps to people), `track`. On a device `prepare` ends when the frame is on its way and
`infer` holds all that is done there: crops, network and peaks.
"""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager


class Stopwatch:
    """Adds up milliseconds per stage between two calls of `take`."""

    def __init__(self) -> None:
        self._spent: dict[str, float] = {}

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Charge the time inside to stage `name`; stages must not be nested."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self._spent[name] = self._spent.get(name, 0.0) + (time.perf_counter() - start) * 1e3

    def take(self) -> dict[str, float]:
        """Return stage to milliseconds and start again from nothing."""
        spent, self._spent = self._spent, {}
        return spent


class StageTotals:
    """Sums over all frames of a run, in memory that does not grow with the run."""

    def __init__(self) -> None:
        self.frames = 0
        self._sum_ms: dict[str, float] = {}
        self._max_ms: dict[str, float] = {}

    def add(self, timings_ms: Mapping[str, float]) -> None:
        """Count one frame."""
        self.frames += 1
        for stage, value in timings_ms.items():
            self._sum_ms[stage] = self._sum_ms.get(stage, 0.0) + value
            self._max_ms[stage] = max(self._max_ms.get(stage, 0.0), value)

    def mean_ms(self) -> dict[str, float]:
        """Return stage to milliseconds per frame, frames without the stage counting as 0."""
        return {stage: total / self.frames for stage, total in self._sum_ms.items()}

    def max_ms(self) -> dict[str, float]:
        """Return stage to the milliseconds of its slowest frame."""
        return dict(self._max_ms)
