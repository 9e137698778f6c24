"""The live session as Qt sees it: news from its threads become signals in the window's thread."""

import threading
import time
from typing import Any

from PySide6.QtCore import QObject, Qt, Signal

from engine.live import LiveSession
from engine.live_values import LiveNumbers, LiveResult, SessionStatus
from engine.settings import TrackSettings


class Session(QObject):
    """Wakes the window when a `LiveSession` has news, at most once until the window has looked.

    Signals:
        result_followed: every result, oldest first, `LiveResult`.
        result_shown: the newest of those that came together, `LiveResult`.
        status_changed: `status` is another than before.
        noticed: something to tell, `Notice`.
    """

    result_followed = Signal(object)
    result_shown = Signal(object)
    status_changed = Signal()
    noticed = Signal(object)
    _woken = Signal()

    def __init__(self, settings: TrackSettings, parent: QObject | None = None, **options: Any) -> None:
        super().__init__(parent)
        self._lock = threading.Lock()
        self._pending = self._closed = False
        self._woken.connect(self._look, Qt.ConnectionType.QueuedConnection)
        self.live = LiveSession(settings, wake=self._wake, **options)
        self.status: SessionStatus = self.live.status

    def load_models(self) -> None:
        """Try again to load the models, where there are none and none are being loaded."""
        status = self.live.status
        if not status.ready and status.loading is None:
            self.live.change_settings(status.settings)

    def numbers(self) -> LiveNumbers:
        """Return rates, latencies and what is in use."""
        return self.live.numbers()

    def note_painted(self, live: LiveResult) -> None:
        """Count a result as painted now."""
        self.live.meter.add_painted(live, time.monotonic())

    def close(self) -> None:
        """End the session's threads; no signal comes afterwards."""
        self._closed = True
        self.live.close()

    def _wake(self) -> None:
        with self._lock:
            if self._pending or self._closed:
                return
            self._pending = True
        self._woken.emit()

    def _look(self) -> None:
        with self._lock:
            self._pending = False
        if self._closed:
            return
        results = self._take_results()
        status, before = self.live.status, self.status
        self.status = status
        if _visibly(status) != _visibly(before):
            self.status_changed.emit()
        for live in results:
            self.result_followed.emit(live)
        if results:
            self.result_shown.emit(results[-1])
        for notice in self.live.take_notices():
            self.noticed.emit(notice)

    def _take_results(self) -> list[LiveResult]:
        """Return what fits the models in hand; others may have been put in their place meanwhile."""
        results, skeleton = self.live.take_results(), self.live.skeleton
        if skeleton is None:
            return []
        return [
            live for live in results if all(len(p.keypoints) == skeleton.count for p in live.result.people)
        ]


def _visibly(status: SessionStatus) -> tuple[object, ...]:
    """Return what of a status changes seldom: the position goes on with every frame."""
    return (
        status.state, status.message, status.request, status.info,
        status.playing, status.loading, status.ready, status.settings,
    )  # fmt: skip
