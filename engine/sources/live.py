"""Live sources: a thread takes pictures as they come, keeps the newest, and tries again when they stop.

`engine.sources.camera`, `stream` and `replay` each make a `Reader`; everything else about a live source is
here: the clock, what is dropped, what state it is in, and the way back after a cable was pulled.
"""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Literal, Protocol, Self

from engine.errors import SourceError
from engine.slot import WAKE_S, Slot
from engine.sources.picture import fit_image
from engine.sources.source import ReadLog, SourceInfo
from engine.structures import Frame, Image

LiveState = Literal["connecting", "streaming", "reconnecting", "ended"]

FIRST_FRAME_S = 12.0
"""Longest wait for the first picture; network cameras need a few seconds for a key frame."""
FIRST_RETRY_S, LAST_RETRY_S = 0.5, 5.0
"""Pause before the first new attempt after a loss; it doubles up to the second."""
JOIN_S = 2.0
"""A thread that native code holds for longer than this ends by itself, at the time limit of its reader."""
RATE_WINDOW_S = 2.0
LEAST_STEP_S = 1e-4
"""What keeps times growing where two pictures claim the same moment."""

_log = logging.getLogger(__name__)


class Reader(Protocol):
    """An open camera or stream, used by one thread only.

    fps: frames per second that it promises, None where it does not say. warnings: sentences for people; they
    may grow while it is read.
    """

    @property
    def fps(self) -> float | None: ...  # noqa: D102

    @property
    def warnings(self) -> Sequence[str]: ...  # noqa: D102

    def read(self) -> tuple[Image, float | None] | None:
        """Wait for the next picture.

        Returns:
            The picture, (H, W, 3) uint8 BGR in memory of its own, and the `time.monotonic()` of its capture,
            None where only its arrival is known; or None when no more will come.

        Raises:
            SourceError: no more will come, and this is why.
        """

    def close(self) -> None:
        """Free everything."""


Opener = Callable[[threading.Event], Reader]
"""Opens a reader or raises `SourceError`. The event is set when the source is closed: whatever waits, in the
opener or in its reader, should give up then."""


class LiveSource:
    """A source whose pictures come at their own pace; see `engine.sources.Source` for what all sources offer.

    `Frame.index` numbers the pictures that were captured, so one that was overwritten before anybody took it
    leaves a hole. `Frame.time_s` is `time.monotonic()` at capture less `clock_zero_s`. Pictures of another
    size than the first are scaled into that size. A lost camera or stream is tried again until `close`.
    Made by `open_live`; it holds a thread until it is closed.

    clock_zero_s: `time.monotonic()` at `time_s` 0, which is the first frame. frames_dropped: pictures that
    were overwritten before they were taken.
    """

    info: SourceInfo

    def __init__(self, name: str, opener: Opener, *, path: Path | None = None) -> None:
        self.frames_read = 0
        self.frames_dropped = 0
        self.missing_end: str | None = None
        self.clock_zero_s = float("nan")
        self._name = name
        self._path = path
        self._opener = opener
        self._status: tuple[LiveState, str] = ("connecting", f"waiting for the first picture of {name}")
        self._log = ReadLog()
        self._told: set[str] = set()
        self._last_time_s = -1.0
        self._slot: Slot[Frame] = Slot()
        self._stop = threading.Event()
        self._ready = threading.Event()
        self._failure: Exception | None = None
        self._captured: deque[float] = deque()
        self._counting = threading.Lock()
        # A forgotten source must not keep the process alive.
        self._thread = threading.Thread(target=self._run, name=f"capture {name}", daemon=True)

    @property
    def state(self) -> LiveState:
        """What the source is doing."""
        return self._status[0]

    @property
    def state_message(self) -> str:
        """A sentence on the state, empty while pictures come."""
        return self._status[1]

    @property
    def warnings(self) -> list[str]:
        """What was noticed so far."""
        return list(self._log.warnings)

    @property
    def capture_rate(self) -> float:
        """Pictures per second that came in the last two seconds, taken or not."""
        oldest = time.monotonic() - RATE_WINDOW_S
        with self._counting:
            times = [captured for captured in self._captured if captured >= oldest]
        return (len(times) - 1) / (times[-1] - times[0]) if len(times) > 1 else 0.0

    def start(self, timeout_s: float = FIRST_FRAME_S) -> None:
        """Start capturing and wait for the first picture, with which `info` is known.

        Raises:
            SourceError: it cannot be opened, or no picture comes in time; the source is closed.
        """
        self._thread.start()
        self._ready.wait(timeout_s)
        if hasattr(self, "info"):
            return  # What went wrong after the first picture is for whoever takes the next.
        failure = self._failure
        self.close()
        if failure is not None:
            raise failure
        raise SourceError(
            f"{self._name} gave no picture within {timeout_s:g} s; "
            "check that it is switched on, reachable and not in use by another program"
        )

    def next_within(self, timeout_s: float | None) -> Frame | None:
        """Wait a limited time for the next frame.

        Args:
            timeout_s: seconds, None for ever.

        Returns:
            The newest frame that was not taken yet; None when time is up or the source is closed.
        """
        frame = None if self._stop.is_set() else self._slot.take(timeout_s)
        if frame is not None and not self._stop.is_set():
            self.frames_read += 1
            return frame
        if self._failure is not None and not self._stop.is_set():
            raise self._failure
        return None

    def __iter__(self) -> Iterator[Frame]:
        return self

    def __next__(self) -> Frame:
        frame = None
        while frame is None:
            if self._stop.is_set():
                raise StopIteration
            frame = self.next_within(WAKE_S)
        return frame

    def close(self) -> None:
        """Stop capturing and free everything; safe to call at any time and more than once.

        Returns within about two seconds. Where a driver or a network call does not let go by then, its thread
        ends by itself at the time limit of that call.
        """
        self._stop.set()
        self._slot.close()
        self._slot.clear()
        if self._thread.ident is not None:
            self._thread.join(JOIN_S)
            if self._thread.is_alive():
                _log.warning("%s does not let go yet; it is left to end by itself", self._name)
        self._status = ("ended", "")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _run(self) -> None:
        try:
            self._capture()
        except SourceError as error:
            self._failure = error
        except Exception as error:  # noqa: BLE001 - top of a thread: raised again by whoever takes a frame
            _log.exception("capturing from %s failed", self._name)
            self._failure = error
        finally:
            self._status = ("ended", str(self._failure or ""))
            self._slot.close()
            self._ready.set()

    def _capture(self) -> None:
        """Follow the source through its losses until it is closed.

        Raises:
            SourceError: there never was a picture.
        """
        reason = self._drain(self._opener(self._stop))
        if not self._ready.is_set() and not self._stop.is_set():
            raise SourceError(reason)
        while not self._stop.is_set():
            reason = self._reconnect(reason)

    def _reconnect(self, reason: str) -> str:
        """Try again until pictures have come and stopped once more; return why they stopped."""
        lost_s, lost_index, delay_s, attempt = time.monotonic(), self._log.position, FIRST_RETRY_S, 1
        _log.info("%s was lost: %s", self._name, reason)
        latest = reason
        while True:
            self._say("reconnecting", f"{latest}; trying again (attempt {attempt})")
            if self._stop.wait(delay_s):
                break
            delay_s, attempt = min(2 * delay_s, LAST_RETRY_S), attempt + 1
            try:
                reader = self._opener(self._stop)
                latest = self._drain(reader, lambda: self._note_loss(lost_s, lost_index, reason))
            except SourceError as error:
                latest = str(error)
            if self._log.position > lost_index:
                return latest
        self._note_loss(lost_s, lost_index, reason)
        return latest

    def _note_loss(self, lost_s: float, index: int, reason: str) -> None:
        away_s = time.monotonic() - lost_s
        self._log.warn(f"no pictures for {away_s:.1f} s after frame {index - 1}: {reason}")

    def _drain(self, reader: Reader, begin: Callable[[], None] | None = None) -> str:
        """Take pictures until no more come or the source is closed, and return why; calls `begin` first."""
        reason = f"{self._name} gives no more pictures"
        try:
            while not self._stop.is_set():
                picture = reader.read()
                self._pass_on(reader.warnings)
                if picture is None:
                    break
                if begin is not None:
                    begin()
                    begin = None
                self._put(*picture, reader.fps)
        except SourceError as error:
            reason = str(error)
        finally:
            reader.close()
        return reason

    def _say(self, state: LiveState, message: str) -> None:
        if not self._stop.is_set():
            self._status = (state, message)

    def _pass_on(self, warnings: Sequence[str]) -> None:
        for text in warnings:
            if text not in self._told:
                self._told.add(text)
                self._log.warn(text)

    def _put(self, image: Image, captured_s: float | None, fps: float | None) -> None:
        now_s = time.monotonic()
        captured_s = now_s if captured_s is None else min(captured_s, now_s)
        if not self._ready.is_set():
            self.clock_zero_s = captured_s
            height, width = image.shape[:2]
            self.info = SourceInfo(
                self._name, self._path, (height, width), fps, duration_s=None, frame_count=None, live=True
            )
        elif image.shape[:2] != self.info.size:
            self._warn_of_size(image)
            image = fit_image(image, self.info.size)
        time_s = max(captured_s - self.clock_zero_s, self._last_time_s + LEAST_STEP_S)
        self._last_time_s = time_s
        frame = Frame(image, self._log.position, time_s, wall_time=time.time() - (now_s - captured_s))
        self._log.position += 1
        with self._counting:
            self._captured.append(now_s)
            while self._captured[0] < now_s - RATE_WINDOW_S:
                self._captured.popleft()
        self.frames_dropped += self._slot.put(frame)
        self._say("streaming", "")
        self._ready.set()

    def _warn_of_size(self, image: Image) -> None:
        height, width = self.info.size
        self._pass_on(
            [
                f"there are pictures of {image.shape[1]}x{image.shape[0]}; "
                f"they are scaled into the {width}x{height} of the first"
            ]
        )


def open_live(
    name: str, opener: Opener, *, path: Path | None = None, timeout_s: float = FIRST_FRAME_S
) -> LiveSource:
    """Open a live source and wait for its first picture.

    Args:
        name: for people, without anything secret in it.
        opener: opens a reader; called again after each loss.
        path: the file that plays, if one does.
        timeout_s: seconds to wait for the first picture.

    Raises:
        SourceError: it cannot be opened, or no picture comes in time.
    """
    source = LiveSource(name, opener, path=path)
    source.start(timeout_s)
    return source
