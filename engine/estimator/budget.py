"""How often and how large the finder may run so that the frame rate holds on this machine.

Measured on the first frame: the finder at one to three sizes and the time per person. The rest is arithmetic.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass

import numpy as np

from engine.estimator.bottom_up import BottomUpEstimator
from engine.estimator.top_down import TopDownEstimator
from engine.structures import Image

MIN_INTERVAL_S, GOOD_INTERVAL_S, MAX_INTERVAL_S = 0.2, 0.5, 1.0
MIN_SHORT_SIDE = 128
ENOUGH_S = 0.2
"""Time after which a measurement is not repeated."""
SHARE = 0.7
"""Share of a frame's time that may go into networks; the rest reads, tracks and writes."""


@dataclass(frozen=True, slots=True)
class FinderChoice:
    """What `choose_finder` chose and why.

    find_interval_s: seconds between finder runs; finder_short_side: px; finder_ms: one finder run;
    person_ms: one crop; people: how many crops per frame were reckoned with; frame_rate: the goal in frames
    per second; holds: whether the goal is within reach.
    """

    find_interval_s: float
    finder_short_side: int
    finder_ms: float
    person_ms: float
    people: int
    frame_rate: float
    holds: bool

    def good(self, interval_s: float | None = None) -> bool:
        """Whether no smaller size would be chosen, where `interval_s` was given or not."""
        return self.holds and (interval_s is not None or self.find_interval_s <= GOOD_INTERVAL_S)

    def as_dict(self) -> dict[str, float | int | bool]:
        """Return the fields, times rounded to microseconds."""
        return {
            name: round(value, 3) if isinstance(value, float) else value
            for name, value in asdict(self).items()
        }


def choose_finder(
    finder_ms: Mapping[int, float],
    person_ms: float,
    people: int,
    frame_rate: float,
    interval_s: float | None = None,
) -> FinderChoice:
    """Choose the finder's size and interval.

    The time a frame leaves beside its crops, spread over the frames between two finder runs, must pay for one
    run. The largest size that can run every 0.5 s wins, else the largest that can run every second, else the
    smallest every second.

    Args:
        finder_ms: short side in px to milliseconds of one finder run, at least one.
        person_ms: milliseconds per crop.
        people: crops per frame.
        frame_rate: goal in frames per second.
        interval_s: a given interval, then only the size is chosen.
    """
    spare_ms = SHARE * 1000.0 / frame_rate - people * person_ms
    needed_s = {
        size: cost / (spare_ms * frame_rate) if spare_ms > 0 else np.inf
        for size, cost in sorted(finder_ms.items(), reverse=True)
    }
    limits = (GOOD_INTERVAL_S, MAX_INTERVAL_S) if interval_s is None else (interval_s,)
    for limit in limits:
        for size, needed in needed_s.items():
            # At an interval of 0 the finder runs on every frame, that is once per 1 / frame_rate.
            if needed <= max(limit, 1.0 / frame_rate):
                chosen = max(needed, MIN_INTERVAL_S) if interval_s is None else interval_s
                # Rounded as it is told, so that a run with the interval told gives the same results.
                return FinderChoice(
                    round(float(chosen), 3), size, finder_ms[size], person_ms, people, frame_rate, holds=True
                )
    smallest = min(finder_ms)
    interval = MAX_INTERVAL_S if interval_s is None else interval_s
    return FinderChoice(interval, smallest, finder_ms[smallest], person_ms, people, frame_rate, holds=False)


def candidate_sizes(finder: BottomUpEstimator) -> list[int]:
    """Return the short sides in px among which to choose, largest first.

    A size the user has set, or a network of fixed size, leaves one.
    """
    spec = finder.model.spec
    full = finder.short_side or min(spec.input_size)
    if finder.short_side is not None or not spec.dynamic_size:
        return [full]
    scaled = (round(full * share / 32) * 32 for share in (1.0, 0.75, 0.5))
    return sorted({size for size in scaled if size >= MIN_SHORT_SIDE} or {full}, reverse=True)


def measure_finder(finder: BottomUpEstimator, image: Image, size: int) -> float:
    """Return the milliseconds of one finder run with a short side of `size` px."""
    before, finder.short_side = finder.short_side, size
    took_ms = _fastest_ms(lambda: finder.estimate(image))
    finder.short_side = before
    return took_ms


def measure_person(top_down: TopDownEstimator, image: Image, people: int = 2) -> float:
    """Return the milliseconds that one person costs, out of a batch of `people` crops."""
    height, width = image.shape[:2]
    boxes = np.tile([0.25 * width, 0.25 * height, 0.75 * width, 0.75 * height], (people, 1))
    return _fastest_ms(lambda: top_down.estimate(image, boxes)) / people


def _fastest_ms(action: Callable[[], object], repeats: int = 3) -> float:
    """Time an action that has run once before, repeated unless it is slow."""
    action()
    times: list[float] = []
    while len(times) < repeats and sum(times) < ENOUGH_S:
        start = time.perf_counter()
        action()
        times.append(time.perf_counter() - start)
    return min(times) * 1e3
