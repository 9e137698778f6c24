"""What the desktop app reaches: frames shown, latency, a window that never blocks, the first skeleton's time.

Runs on whatever Qt draws to, a display or ``QT_QPA_PLATFORM=offscreen``. The demo clip is played as a camera.
"""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
from PySide6.QtCore import QEventLoop, QTimer
from PySide6.QtCore import Qt as QtNames
from PySide6.QtGui import QGuiApplication
from rich.console import Console

from app.bench.files import check_writable, write_json
from app.console import say
from app.desktop.application import favour_window, make_application
from app.desktop.display import check_display
from app.desktop.main_window import MainWindow
from app.desktop.preferences import Preferences
from app.desktop.theme import apply_theme
from app.machine import describe_machine, machine_line
from app.tables import text_table
from assets import demo_clip
from engine.errors import SourceError
from engine.live_values import SourceRequest

PHASE_S, SETTLE_S = 6.0, 2.0
BEAT_MS = 5
SLOW_MS = 50.0
START_RUNS = 3
START_LIMIT_S = 120.0
SIZE = (1360, 860)


class Heartbeat:
    """A timer in the window's thread; how late it comes is how long the thread was blocked."""

    def __init__(self) -> None:
        self.late_ms: list[float] = []
        self._last = time.perf_counter()
        self._timer = QTimer(interval=BEAT_MS, timerType=QtNames.TimerType.PreciseTimer)
        self._timer.timeout.connect(self._beat)
        self._timer.start()

    def stop(self) -> None:
        """Beat no more."""
        self._timer.stop()

    def _beat(self) -> None:
        now = time.perf_counter()
        self.late_ms.append((now - self._last) * 1e3 - BEAT_MS)
        self._last = now


@dataclass(frozen=True, slots=True)
class Phase:
    """A few seconds of the window under one load.

    frames_per_s: painted; latency: capture to painted; inference: sum of all stages of a frame but waiting
    for the source; blocked: how long the window's thread did not answer, longest, and how often over 50 ms.
    """

    name: str
    frames_per_s: float
    latency_p50_ms: float
    latency_p95_ms: float
    inference_p50_ms: float
    inference_p95_ms: float
    blocked_max_ms: float
    blocked_often: int


@dataclass(frozen=True, slots=True)
class Load:
    """What the window has to bear. prepare: done before; act: done as the measuring begins."""

    name: str
    prepare: Callable[[MainWindow], object]
    act: Callable[[MainWindow], object]


@dataclass(frozen=True, slots=True)
class Start:
    """Seconds from starting the process to the first painted skeleton, median of some runs."""

    name: str
    seconds: float
    runs: tuple[float, ...]


def run_window_bench(*, json_path: Path | None, console: Console) -> None:
    """Measure the window and print tables.

    Raises:
        UsageError: there is no display, or the JSON file cannot be written.
        SourceError: the demo clip is missing.
    """
    check_display()
    if not demo_clip().is_file():
        raise SourceError(f"the bundled demo clip {demo_clip()} is missing; install the package again")
    if json_path:
        check_writable(json_path)
    say(machine_line())
    console.print("measuring starts …")
    starts = measure_starts()
    say("\n" + start_table(starts))
    console.print("measuring the window …")
    phases, platform = measure_phases()
    say(f"\ndemo clip as a camera, window of {SIZE[0]}×{SIZE[1]} on platform {platform}")
    say(phase_table(phases))
    if json_path:
        write_json(
            json_path,
            {
                "machine": describe_machine(),
                "platform": platform,
                "starts": [asdict(start) for start in starts],
                "phases": [asdict(phase) for phase in phases],
            },
        )


def measure_starts() -> list[Start]:
    """Start the app on the demo clip, with and without compiled models at hand."""
    warm: list[float] = []
    cold: list[float] = []
    with tempfile.TemporaryDirectory() as folder:
        for run in range(START_RUNS):
            cold.append(_start_once(Path(folder) / f"cold-{run}"))
        _start_once(Path(folder) / "warm")
        for _ in range(START_RUNS):
            warm.append(_start_once(Path(folder) / "warm"))
    return [
        Start("cold: no compiled models", float(np.median(cold)), tuple(cold)),
        Start("warm", float(np.median(warm)), tuple(warm)),
    ]


def measure_phases() -> tuple[list[Phase], str]:
    """Play the demo clip as a camera under several loads."""
    application = make_application([sys.argv[0]])
    apply_theme(application, "light")
    with tempfile.TemporaryDirectory() as folder:
        preferences = Preferences(Path(folder) / "settings.ini")
        preferences.record_folder = Path(folder) / "takes"
        window = MainWindow(preferences)
        window.resize(*SIZE)
        window.show()
        favour_window()
        try:
            window.sources.open(SourceRequest(demo_clip(), "Demo", as_camera=True))
            _wait(lambda: window.page.view.painted_result is not None)
            phases = [_phase(load, window) for load in LOADS]
        finally:
            window.close()
    return phases, QGuiApplication.platformName()


def start_table(rows: list[Start]) -> str:
    """Return the table of starts."""
    cells = [(row.name, f"{row.seconds:.2f}", " ".join(f"{run:.2f}" for run in row.runs)) for row in rows]
    return text_table(("start to first painted skeleton", "median s", "runs"), cells)


def phase_table(rows: list[Phase]) -> str:
    """Return the table of phases."""
    headers = (
        "load", "frames/s", "latency p50 ms", "p95", "inference p50 ms", "p95",
        "blocked max ms", "over 50 ms",
    )  # fmt: skip
    cells = [
        (
            row.name,
            f"{row.frames_per_s:.1f}",
            f"{row.latency_p50_ms:.1f}",
            f"{row.latency_p95_ms:.1f}",
            f"{row.inference_p50_ms:.1f}",
            f"{row.inference_p95_ms:.1f}",
            f"{row.blocked_max_ms:.1f}",
            str(row.blocked_often),
        )
        for row in rows
    ]
    return text_table(headers, cells)


def _start_once(cache: Path) -> float:
    environment = {**os.environ, "XDG_CACHE_HOME": str(cache), "LOCALAPPDATA": str(cache)}
    command = [sys.executable, "-m", "app.bench.first_skeleton", repr(time.time())]
    done = subprocess.run(
        command, env=environment, capture_output=True, text=True, timeout=START_LIMIT_S, check=True
    )
    return float(done.stdout)


def _phase(load: Load, window: MainWindow) -> Phase:
    load.prepare(window)
    _wait(lambda: window.session.status.loading is None)
    _idle(SETTLE_S)
    latencies: list[float] = []
    inference: list[float] = []

    def note() -> None:
        live = window.page.view.painted_result
        if live is not None:
            latencies.append((time.monotonic() - live.captured_s) * 1e3)
            timings = live.result.timings_ms
            inference.append(sum(ms for stage, ms in timings.items() if stage != "decode_source"))

    heartbeat = Heartbeat()
    window.page.view.painted.connect(note)
    load.act(window)
    begin = time.perf_counter()
    _idle(PHASE_S)
    seconds = time.perf_counter() - begin
    window.page.view.painted.disconnect(note)
    heartbeat.stop()
    late = np.array(heartbeat.late_ms)
    latency, compute = np.percentile(latencies, [50, 95]), np.percentile(inference, [50, 95])
    return Phase(
        load.name,
        frames_per_s=len(latencies) / seconds,
        latency_p50_ms=float(latency[0]),
        latency_p95_ms=float(latency[1]),
        inference_p50_ms=float(compute[0]),
        inference_p95_ms=float(compute[1]),
        blocked_max_ms=float(late.max()),
        blocked_often=int((late > SLOW_MS).sum()),
    )


def _draw_everything(window: MainWindow) -> None:
    window.view.set_options(
        replace(window.view.options, boxes=True, trails=True, angles=True, raw=True, heatmap=True)
    )
    window.show_dock("plots")


def _switch_models(window: MainWindow) -> None:
    for second, change in enumerate(({"mode": "bottom-up"}, {"precision": "fp32"}, {"mode": "auto"})):
        QTimer.singleShot(int(1 + second * 1500), lambda change=change: _change(window, change))


def _change(window: MainWindow, change: dict[str, str]) -> None:
    settings = window.settings.settings
    estimator = settings.estimator.model_copy(update=change)
    window.controls.apply_settings(settings.model_copy(update={"estimator": estimator}), "bench")


def _nothing(window: MainWindow) -> None:
    """Leave everything as it is."""


LOADS = (
    Load("playing", _nothing, _nothing),
    Load("models switched three times", _nothing, _switch_models),
    Load("recording, annotated video", lambda w: w.controls.reset_all(), lambda w: w.recording.toggle()),
    Load("every overlay and two plots", lambda w: w.recording.toggle(), _draw_everything),
)


def _idle(seconds: float) -> None:
    loop = QEventLoop()
    QTimer.singleShot(int(seconds * 1000), loop.quit)
    loop.exec()


def _wait(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + START_LIMIT_S
    while not condition():
        if time.monotonic() > deadline:
            raise SourceError("the demo clip did not begin to play within two minutes")
        _idle(0.02)
