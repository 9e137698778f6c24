"""Recordings that play round and round at their own pace, as if they were a camera."""

import threading
import time
from collections.abc import Callable, Sequence

from engine.errors import SourceError
from engine.sources.source import Source
from engine.structures import Image

MOST_BEHIND_S = 0.25
"""Further behind its pace than this, a recording goes on from now, as a slow camera would."""


class ReplayReader:
    """Hands out the frames of a file source when they are due, and begins again at its end.

    Args:
        open_file: opens the file at its beginning.
        stop: set when nothing more is wanted.

    Raises:
        SourceError: the file cannot be read.
    """

    def __init__(self, open_file: Callable[[], Source], stop: threading.Event) -> None:
        self._open_file = open_file
        self._stop = stop
        self._source = open_file()
        self._begin_s = time.monotonic()
        self._last_s = 0.0

    @property
    def fps(self) -> float | None:
        """Frames per second of the recording."""
        return self._source.info.fps

    @property
    def warnings(self) -> Sequence[str]:
        """What was noticed in this round."""
        return self._source.warnings

    def read(self) -> tuple[Image, float | None] | None:
        """Wait until the next frame is due; see `engine.sources.live.Reader`."""
        frame = next(self._source, None)
        if frame is None:
            self._begin_again()
            frame = next(self._source, None)
        if frame is None:
            raise SourceError(f"{self._source.info.name} could not be played again from its beginning")
        self._last_s = frame.time_s
        due_s = self._begin_s + frame.time_s
        now_s = time.monotonic()
        if now_s - due_s > MOST_BEHIND_S:
            self._begin_s += now_s - due_s
            due_s = now_s
        if self._stop.wait(max(0.0, due_s - now_s)):
            return None
        return frame.image, due_s

    def close(self) -> None:
        """Free the file."""
        self._source.close()

    def _begin_again(self) -> None:
        self._source.close()
        self._begin_s += self._last_s + 1 / (self._source.info.fps or 30.0)
        self._source = self._open_file()
