"""When the next frame of a file is due, and the results just shown, for stepping back."""

from collections import deque

from engine.live_values import LiveResult

MAX_LATE_S = 0.1
"""A frame later than this moves the clock: playing becomes slower instead of rushing afterwards."""
HISTORY_BYTES = 128 * 2**20
"""What the pictures kept for stepping back may take."""


class PlayClock:
    """Tells when a frame of a file is due on the monotonic clock.

    speed: seconds of the file per second; infinite plays as fast as it goes.
    """

    def __init__(self) -> None:
        self.speed = 1.0
        self._anchor: tuple[float, float] | None = None

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
        self._anchor = None

    def due_s(self, time_s: float, now_s: float) -> float:
        """Return when the frame of `time_s` seconds into the file is due; `now_s` where it is at once."""
        if self.speed == float("inf"):
            return now_s
        if self._anchor is None:
            self._anchor = time_s, now_s
        due = self._anchor[1] + (time_s - self._anchor[0]) / self.speed
        if now_s - due > MAX_LATE_S:
            self._anchor = time_s, now_s
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
        self._bytes += live.result.frame.image.nbytes
        while self._bytes > self._max_bytes and len(self._items) > 1:
            self._bytes -= self._items.popleft().result.frame.image.nbytes

    def step(self, count: int) -> LiveResult | None:
        """Go `count` results on (back where negative); None, without going, where that is not kept."""
        back = self._back - count
        if not 0 <= back < len(self._items):
            return None
        self._back = back
        return self._items[-1 - back]

    def to_end(self) -> None:
        """Go to the newest."""
        self._back = 0

    @property
    def at_end(self) -> bool:
        """Whether the place is the newest result."""
        return self._back == 0
