"""Rates, latencies and stage times of a live session, over its last seconds."""

import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from engine.frame_tracker import FrameTracker
from engine.live_values import LiveNumbers, LiveResult
from engine.sources import Source

RATE_WINDOW_S = 2.0
LATENCY_WINDOW_S = 5.0
MAX_SAMPLES = 2000
LATE, UNREADABLE, UNSHOWN = "newer frame came first", "unreadable", "window behind"
"""Causes of lost frames."""


class NumberMeter:
    """Collects what happens to frames, from any thread.

    clock: seconds of `time.monotonic()`.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self.reset()

    def reset(self) -> None:
        """Forget everything: another source begins."""
        with self._lock:
            self._begin_s = self._clock()
            self._done: deque[tuple[float, Mapping[str, float]]] = deque(maxlen=MAX_SAMPLES)
            self._painted: deque[tuple[float, float]] = deque(maxlen=MAX_SAMPLES)
            self._people = 0

    def add_result(self, live: LiveResult) -> None:
        """Count a frame whose people are known."""
        with self._lock:
            self._done.append((live.done_s, live.result.timings_ms))
            self._people = len(live.result.people)

    def add_painted(self, live: LiveResult, painted_s: float) -> None:
        """Count a frame that was painted at `painted_s`."""
        with self._lock:
            self._painted.append((painted_s, (painted_s - live.captured_s) * 1e3))

    def numbers(
        self, source: Source | None, tracker: FrameTracker | None, *, lost: int, unshown: int
    ) -> LiveNumbers:
        """Return the numbers of now.

        Args:
            source: in hand.
            tracker: in hand.
            lost: frames of the source that were not worked on, though somebody wanted them.
            unshown: results that nobody took in time to show them.
        """
        now = self._clock()
        with self._lock:
            recent = [timings for done_s, timings in self._done if now - done_s <= RATE_WINDOW_S]
            painted = [ms for painted_s, ms in self._painted if now - painted_s <= LATENCY_WINDOW_S]
            shown = sum(now - painted_s <= RATE_WINDOW_S for painted_s, _ in self._painted)
            window_s = min(RATE_WINDOW_S, now - self._begin_s)
            people = self._people
        rate = len(recent) / window_s if window_s > 0 else float("nan")
        stages = sorted({stage for timings in recent for stage in timings})
        median, late = np.percentile(painted, [50, 95]) if painted else (np.nan, np.nan)
        return LiveNumbers(
            # A source that does not know its rate is read as its frames are worked on.
            capture_rate=getattr(source, "capture_rate", rate),
            inference_rate=rate,
            display_rate=shown / window_s if window_s > 0 else float("nan"),
            latency_p50_ms=float(median),
            latency_p95_ms=float(late),
            stages_ms={s: sum(timings.get(s, 0.0) for timings in recent) / len(recent) for s in stages},
            dropped=_count_dropped(source, lost, unshown),
            people=people,
            **_tell_models(tracker),
        )


def _count_dropped(source: Source | None, lost: int, unshown: int) -> dict[str, int]:
    if source is None:
        return {}
    return {LATE if source.info.live else UNREADABLE: lost, UNSHOWN: unshown}


def _tell_models(tracker: FrameTracker | None) -> dict[str, Any]:
    if tracker is None:
        return {}
    models = tracker.estimator.models
    runtime = models[0].runtime
    return {
        "mode": str(tracker.choice.get("mode", "")),
        "models": tuple(model.spec.name for model in models),
        "runtime": runtime.name,
        "precision": runtime.precision,
        "device": runtime.device,
    }
