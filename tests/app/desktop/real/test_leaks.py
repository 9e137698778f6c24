"""Sources opened and closed many times, and what stays behind of them: nothing.

What counts is the second half of a run, when caches and pools have what they need.
"""

import ctypes
import gc
import os
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import psutil
import pytest

from app.desktop.main_window import MainWindow
from app.desktop.preferences import Preferences
from engine.live import LiveSession
from engine.live_values import SourceRequest
from engine.settings import EstimatorSettings, TrackSettings

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not (sys.platform.startswith("linux") and hasattr(ctypes.CDLL(None), "mallinfo2")),
        reason="handles are counted in /proc, memory by glibc from 2.33 on",
    ),
]
SESSION_CYCLES, WINDOW_CYCLES = 200, 50
CAMERA_EVERY = 10
ENOUGH_RESULTS = 3
PATIENCE_S = 30.0
MIB = 1 << 20
GROWTH_OBJECTS, GROWTH_ALLOCATED_MIB, GROWTH_RESIDENT_MIB = 500, 4, 64
"""From the middle of a run to its end. The process grows for longer than what is allocated in it: freed
memory stays with the arena of the thread that had it, until after some hundred cycles each has enough."""


def growth(counts: Sequence[float]) -> float:
    return min(counts[7:]) - min(counts[3:7])


class Ledger:
    """Threads, file handles, Python's objects and memory of this process, counted ten times in a run."""

    def __init__(self, cycles: int) -> None:
        self._process, self._every, self._cycle = psutil.Process(), cycles // 10, 0
        self.threads: list[int] = []
        self.handles: list[int] = []
        self.objects: list[int] = []
        self.allocated: list[float] = []
        self.resident: list[float] = []

    def note(self) -> None:
        """Tell that a cycle is over."""
        self._cycle += 1
        if self._cycle % self._every:
            return
        threads, handles = zip(*(self._count() for _ in range(20)))
        self.threads.append(min(threads))
        self.handles.append(min(handles))
        gc.collect()
        self.objects.append(len(gc.get_objects()))
        self.allocated.append(allocated_mib())
        self.resident.append(self._process.memory_info().rss / MIB)

    def check(self) -> None:
        """What is left behind must not grow from the middle of the run to its end."""
        assert max(self.threads[5:]) <= max(self.threads[:5]), self.threads
        assert max(self.handles[5:]) <= max(self.handles[:5]), self.handles
        assert growth(self.objects) < GROWTH_OBJECTS, self.objects
        assert growth(self.allocated) < GROWTH_ALLOCATED_MIB, self.allocated
        assert growth(self.resident) < GROWTH_RESIDENT_MIB, self.resident

    def _count(self) -> tuple[int, int]:
        time.sleep(0.02)  # a connection of a camera that was closed ends in its own time
        return threading.active_count(), len(os.listdir("/proc/self/fd"))


class MallInfo(ctypes.Structure):
    """What glibc's `mallinfo2` returns, summed over all arenas; bytes."""

    _fields_ = [
        (name, ctypes.c_size_t)
        for name in (
            "arena", "ordblks", "smblks", "hblks", "hblkhd",
            "usmblks", "fsmblks", "uordblks", "fordblks", "keepcost",
        )
    ]  # fmt: skip


def allocated_mib() -> float:
    """Memory that was asked for and not freed; what the C library keeps of freed memory does not count."""
    mallinfo = ctypes.CDLL(None).mallinfo2
    mallinfo.restype = MallInfo
    info = mallinfo()
    return float(info.uordblks + info.hblkhd) / MIB


@pytest.fixture
def settings(top_down_file: Path, bottom_up_file: Path) -> TrackSettings:
    """Small models, on one thread."""
    return TrackSettings(
        estimator=EstimatorSettings(
            top_down_model=str(top_down_file), bottom_up_model=str(bottom_up_file), threads=1
        )
    )


def wait(condition: Callable[[], object], what: Callable[[], object]) -> None:
    end = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < end, what()
        time.sleep(0.002)


def requests(clip: Path, camera: Any, count: int) -> list[SourceRequest]:
    """A file, and every so often a camera."""
    file, live = SourceRequest(clip, "clip"), SourceRequest(camera.address, "camera")
    return [live if index % CAMERA_EVERY == CAMERA_EVERY - 1 else file for index in range(count)]


def test_two_hundred_sources_leave_nothing_behind(settings: TrackSettings, clip: Path, mjpeg_server: Any):
    ledger = Ledger(SESSION_CYCLES)
    session = LiveSession(settings)
    session.set_speed(float("inf"))
    try:
        for request in requests(clip, mjpeg_server, SESSION_CYCLES):
            session.open(request)
            seen = 0

            def enough() -> bool:
                nonlocal seen
                seen += len(session.take_results())
                return seen >= ENOUGH_RESULTS

            wait(enough, lambda: session.status)
            session.close_source()
            wait(lambda: session.status.info is None, lambda: session.status)
            session.take_results()
            session.take_notices()
            ledger.note()
    finally:
        session.close()
    ledger.check()


def test_fifty_sources_in_the_window_leave_nothing_behind(
    qtbot: Any, tmp_path: Path, settings: TrackSettings, clip: Path, mjpeg_server: Any
):
    preferences = Preferences(tmp_path / "preferences.ini")
    preferences.settings = settings
    window = MainWindow(preferences)
    ledger = Ledger(WINDOW_CYCLES)
    try:
        window.resize(1000, 700)
        window.show()
        for request in requests(clip, mjpeg_server, WINDOW_CYCLES):
            window.sources.open(request)
            qtbot.waitUntil(lambda: window.page.view.painted_result is not None, timeout=30_000)
            window.session.live.close_source()
            qtbot.waitUntil(lambda: window.page.stack.currentWidget() is window.page.welcome, timeout=30_000)
            qtbot.waitUntil(lambda: window.session.live.status.info is None, timeout=30_000)
            ledger.note()
    finally:
        window.close()
        window.deleteLater()
    ledger.check()
