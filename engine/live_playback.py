"""When the next frame of a file is due, and the results just shown, for stepping back."""

from collections import deque

from engine.live_values import LiveResult

MAX_LATE_S = 0.1
"""A frame later than this moves the clock: playing becomes slower instead of rushing afterwards."""
HISTORY_BYTES = 128 * 2**20
"""What the pictures kept for stepping back may take."""


class PlayClock:
    """Tells when a frame of a file is due on the monotonic clock.

    `stop` and `set_speed` may be called from any thread.

    speed: seconds of the file per second; infinite plays as fast as it goes.
    """

    def __init__(self) -> None:
        self.speed = 1.0
        self._anchor: tuple[float, float, float] | None = None

    def stop(self) -> None:
        """Begin anew with the next frame: playing was paused, or jumped."""
        self._anchor = None

    def set_speed(self, speed: float) -> None:
        """Play at another speed from the next frame on.

        Raises:
            ValueError: the speed is not above 0.
        """
        if not speed > 0:
            raise ValueError(f"speed must be above 0, got {speed}")
        self.speed = speed

    def due_s(self, time_s: float, now_s: float) -> float:
        """Return when the frame of `time_s` seconds into the file is due; `now_s` where it is at once."""
        # Read once: others may write both meanwhile.
        anchor, speed = self._anchor, self.speed
        if speed == float("inf"):
            return now_s
        if anchor is None or anchor[2] != speed:
            self._anchor = time_s, now_s, speed
            return now_s
        due = anchor[1] + (time_s - anchor[0]) / speed
        if now_s - due > MAX_LATE_S:
            self._anchor = time_s, now_s, speed
            return now_s
        return due


class History:
    """The last results in order, with a place in them for stepping back and forth."""

    def __init__(self, max_bytes: int = HISTORY_BYTES) -> None:
        self._max_bytes = max_bytes
        self._items: deque[LiveResult] = deque()
        self._bytes = 0
        self._back = 0

    def clear(self) -> None:
        """Forget everything."""
        self._items.clear()
        self._bytes = self._back = 0

    def add(self, live: LiveResult) -> None:
        """Keep a result, and go to it."""
        self._back = 0
        self._items.append(live)
        self._bytes += _size(live)
        while self._bytes > self._max_bytes and len(self._items) > 1:
            self._drop_oldest()

    def forget_before(self, time_s: float, *, keep: int) -> None:
        """Forget results before a time of the source, but for the last `keep`."""
        while len(self._items) > max(1, keep) and self._items[0].result.frame.time_s < time_s:
            self._drop_oldest()
        self._back = min(self._back, max(0, len(self._items) - 1))

    def step(self, count: int) -> LiveResult | None:
        """Go `count` results on (back where negative); None, without going, where that is not kept."""
        back = self._back - count
        if not 0 <= back < len(self._items):
            return None
        self._back = back
        return self._items[-1 - back]

    def to_end(self) -> int:
        """Go to the newest; return how many results on that was."""
        back, self._back = self._back, 0
        return back

    @property
    def at_end(self) -> bool:
        """Whether the place is the newest result."""
        return self._back == 0

    def _drop_oldest(self) -> None:
        self._bytes -= _size(self._items.popleft())


def _size(live: LiveResult) -> int:
    """Return the bytes of a result's pictures."""
    heatmap = live.result.heatmap
    return live.result.frame.image.nbytes + (0 if heatmap is None else heatmap.nbytes)
