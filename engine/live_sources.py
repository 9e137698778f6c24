"""Opens the sources of a live session, one after another, in threads."""

import threading
from collections.abc import Callable

from engine.background import Background
from engine.errors import SteadyPoseError
from engine.live_values import SourceRequest
from engine.sources import Source, is_live, open_source

JOIN_S = 3.0
"""How long `close` waits for a source that is still opening."""
RELEASE_S = 5.0
"""How long a device is waited for that the session itself still holds."""


class SourceOpener:
    """Only the newest request counts; a device is opened only once it was let go.

    Args:
        stir: is called from a thread when there is something to take.
    """

    def __init__(self, stir: Callable[[], None]) -> None:
        self._changed = threading.Condition()
        self._held: str | None = None
        self._background = Background(self._make, close_source, stir, "open source", device_of)

    @property
    def pending(self) -> bool:
        """Whether a source is being opened, or waits to be taken."""
        return self._background.wanted is not None

    def ask(self, request: SourceRequest) -> None:
        """Begin to open a source."""
        self._background.ask(request)

    def cancel(self) -> None:
        """Give up opening."""
        self._background.cancel()

    def take(self) -> tuple[SourceRequest, Source | SteadyPoseError] | None:
        """Return the request and its source, or why it cannot be had; None where nothing is ready."""
        return self._background.take()

    def hold(self, request: SourceRequest | None) -> None:
        """Tell which request's source is in hand."""
        with self._changed:
            self._held = None if request is None else device_of(request)
            self._changed.notify_all()

    def is_held(self, request: SourceRequest) -> bool:
        """Whether the device that a request needs is in hand."""
        with self._changed:
            return self._held is not None and self._held == device_of(request)

    def close(self) -> None:
        """Give up, and wait a moment until no thread is left."""
        self._background.close(JOIN_S)

    def _make(self, request: SourceRequest) -> Source:
        device = device_of(request)
        with self._changed:
            if device is not None:
                self._changed.wait_for(lambda: self._held != device, RELEASE_S)
        return open_request(request)


def open_request(request: SourceRequest, start_s: float = 0.0) -> Source:
    """Open a source, a file at a time of it.

    Raises:
        SourceError: it cannot be had.
    """
    return open_source(
        request.spec,
        fps=request.fps,
        stills=request.stills,
        start_s=start_s,
        camera_mode=request.camera_mode,
        as_camera=request.as_camera,
    )


def close_source(source: Source) -> None:
    """Free a source that nobody took."""
    source.close()


def device_of(request: SourceRequest) -> str | None:
    """Return what of a request can be open only once: a camera, a pipe, an address; None for files."""
    if request.as_camera or not is_live(request.spec):
        return None
    return str(request.spec).removeprefix("/dev/video")
