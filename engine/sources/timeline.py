"""From a file's timestamps to `time_s`, and from the holes in them to the number of lost pictures."""

import heapq
from fractions import Fraction

from engine.sources.source import ReadLog

JUMP_S = 1.0
"""Timestamps that go back by more than this have begun anew; by less, one of them is wrong."""
OWN_PLACE = 0.75
"""A packet at least this many frame intervals from the pictures around it was a picture of its own."""


class Timeline:
    """Turns presentation timestamps into seconds that only ever grow.

    Time 0 is the beginning of the video stream, so that the first frame has time 0 unless it was lost.
    A missing timestamp is the last time plus one interval. One that goes back a little is put just after the
    last; when all begin anew (joined recordings), the rest is shifted to follow on.

    Args:
        time_base: seconds per tick.
        start: timestamp of time 0; None takes the first one seen.
        interval_s: seconds between frames, on average.
        log: where repairs are reported.
    """

    def __init__(self, time_base: Fraction, start: int | None, interval_s: float, log: ReadLog) -> None:
        self.start = start
        self._time_base = time_base
        self._interval_s = interval_s
        self._log = log
        self._last: float | None = None
        self._shift_s = 0.0
        self._missing = 0

    @property
    def last(self) -> float | None:
        """The time of the last frame, None before the first."""
        return self._last

    def advance(self, pts: int | None) -> float:
        """Return the time in seconds of the next frame, given its timestamp."""
        time_s = self._from_pts(pts)
        if self._last is not None and time_s <= self._last:
            time_s = self._repair(time_s, self._last)
        self._last = time_s
        return time_s

    def _from_pts(self, pts: int | None) -> float:
        if pts is None:
            self._missing += 1
            if self._missing == 1:
                self._log.warn(
                    f"frame {self._log.position} has no timestamp; where there is none, the time is computed "
                    f"from {1 / self._interval_s:g} frames per second"
                )
            # Without a single timestamp, a lost picture still takes its time.
            if self.start is None:
                return self._log.position * self._interval_s
            return 0.0 if self._last is None else self._last + self._interval_s
        if self.start is None or (self._last is None and pts < self.start):
            self.start = pts
            if self._last is not None:
                self._shift_s = self._last + self._interval_s
        return float((pts - self.start) * self._time_base) + self._shift_s

    def _repair(self, time_s: float, last: float) -> float:
        back_s = last - time_s
        if back_s > JUMP_S:
            self._log.warn(
                f"timestamps begin anew at frame {self._log.position}, {back_s:.3f} s back; "
                "the frames from there on follow on the ones before"
            )
            self._shift_s += back_s + self._interval_s
            return last + self._interval_s
        self._log.warn(
            f"the timestamp of frame {self._log.position} is {back_s:.3f} s before the last; "
            "it is put just after it"
        )
        return last + self._interval_s / 10


class LostPictures:
    """Counts the pictures that went into a decoder and never came out.

    Decoders hand pictures out in order of presentation, so what is still waited for when a later one appears
    is lost. Packets that are no picture of their own (second fields, hidden reference frames) lie close to
    one that is shown, and are not counted unless the decoder refused them.

    Args:
        interval: ticks between frames, on average.
    """

    def __init__(self, interval: float) -> None:
        self._far = interval * OWN_PLACE
        self._waiting: list[int] = []
        # Fed after timestamps began anew, while pictures from before are still coming out.
        self._waiting_anew: list[int] = []
        self._refused: set[int] = set()
        self._refused_unnamed = 0
        self._last: int | None = None

    def feed(self, pts: int | None) -> None:
        """Take note of a packet that goes into the decoder."""
        if pts is not None:
            anew = self._last is not None and pts <= self._last
            heapq.heappush(self._waiting_anew if anew else self._waiting, pts)

    def refuse(self, pts: int | None) -> None:
        """Take note that the decoder raised an error on a packet."""
        if pts is None:
            self._refused_unnamed += 1
        else:
            self._refused.add(pts)

    def show(self, pts: int | None) -> int:
        """Take note of a picture that came out, and return how many were lost before it."""
        if pts is None:
            return self._take_unnamed()
        if self._last is not None and pts < self._last:
            self._waiting, self._waiting_anew, self._last = self._waiting_anew, [], None
        lost = self._count_before(pts)
        self._last = pts
        return lost + self._take_unnamed()

    def finish(self) -> int:
        """Return how many were lost after the last picture that came out."""
        return self._count_before(None) + self._take_unnamed()

    def _count_before(self, limit: int | None) -> int:
        lost = 0
        while self._waiting and (limit is None or self._waiting[0] <= limit):
            pts = heapq.heappop(self._waiting)
            refused = pts in self._refused
            self._refused.discard(pts)
            if pts not in (limit, self._last):
                lost += refused or (self._is_far(pts, limit) and self._is_far(pts, self._last))
        return lost

    def _is_far(self, pts: int, other: int | None) -> bool:
        return other is None or abs(pts - other) >= self._far

    def _take_unnamed(self) -> int:
        lost, self._refused_unnamed = self._refused_unnamed, 0
        return lost
