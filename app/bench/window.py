"""What the desktop app reaches: frames shown, latency, a window that never blocks, the first skeleton's time.

Runs on whatever Qt draws to, a display or ``QT_QPA_PLATFORM=offscreen``. The demo clip is played as a camera.
"""

import math
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
from PySide6.QtWidgets import QApplication
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
from engine.errors import SourceError, UsageError
from engine.live_values import SourceRequest
from engine.settings import EstimatorSettings, TrackSettings

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
    NaN where nothing was painted.
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


def run_window_bench(settings: EstimatorSettings, *, json_path: Path | None, console: Console) -> None:
    """Measure the window and print tables.

    Args:
        settings: the models to measure with; the start is measured with the bundled ones.
        json_path: where the numbers go too.
        console: for progress.

    Raises:
        UsageError: there is no display, the JSON file cannot be written, or the app does not start.
        SourceError: the demo clip is missing, or does not play.
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
    phases, platform = measure_phases(TrackSettings(estimator=settings))
    say(f"\ndemo clip as a camera, window of {SIZE[0]}×{SIZE[1]} on platform {platform}")
    say(phase_table(phases))
    if json_path:
        write_json(
            json_path,
            {
                "machine": describe_machine(),
                "platform": platform,
                "starts": [asdict(start) for start in starts],
                "phases": [_known(asdict(phase)) for phase in phases],
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


def measure_phases(settings: TrackSettings, clip: Path | None = None) -> tuple[list[Phase], str]:
    """Play a clip, by default the demo, as a camera under several loads; return also Qt's platform.

    Raises:
        SourceError: it does not play.
    """
    application = QApplication.instance()
    if not isinstance(application, QApplication):
        application = make_application([sys.argv[0]])
    apply_theme(application, "light")
    with tempfile.TemporaryDirectory() as folder:
        preferences = Preferences(Path(folder) / "settings.ini")
        preferences.record_folder = Path(folder) / "takes"
        preferences.settings = settings
        window = MainWindow(preferences)
        window.resize(*SIZE)
        window.show()
        favour_window()
        try:
            window.sources.open(SourceRequest(clip or demo_clip(), "Demo", as_camera=True))
            _wait(lambda: _plays(window), "the clip did not begin to play")
            phases = [_phase(load, window) for load in make_loads(settings)]
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
    try:
        done = subprocess.run(
            command, env=environment, capture_output=True, text=True, timeout=START_LIMIT_S, check=True
        )
        return float(done.stdout)
    except subprocess.TimeoutExpired:
        why = f"it showed no skeleton within {START_LIMIT_S:g} s"
    except subprocess.CalledProcessError as error:
        lines = error.stderr.strip().splitlines()
        why = lines[-1] if lines else f"exit code {error.returncode}"
    except ValueError:
        why = "it was closed before it showed a skeleton"
    raise UsageError(f"the app could not be started: {why}; does `steadypose app demo` work here?")


def _phase(load: Load, window: MainWindow) -> Phase:
    load.prepare(window)
    _wait(lambda: window.session.live.status.loading is None, "the models were not loaded")
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
    latency, compute = _median_and_tail(latencies), _median_and_tail(inference)
    return Phase(
        load.name,
        frames_per_s=len(latencies) / seconds,
        latency_p50_ms=latency[0],
        latency_p95_ms=latency[1],
        inference_p50_ms=compute[0],
        inference_p95_ms=compute[1],
        blocked_max_ms=max(heartbeat.late_ms, default=math.nan),
        blocked_often=sum(late > SLOW_MS for late in heartbeat.late_ms),
    )


def _median_and_tail(values: list[float]) -> tuple[float, float]:
    """Return the 50th and 95th percentile, NaN of nothing."""
    if not values:
        return math.nan, math.nan
    median, tail = np.percentile(values, [50, 95])
    return float(median), float(tail)


def _known(numbers: dict[str, object]) -> dict[str, object]:
    """Return numbers as JSON has them: null where one is not known."""
    unknown = (name for name, value in numbers.items() if isinstance(value, float) and math.isnan(value))
    return numbers | dict.fromkeys(unknown)


def _plays(window: MainWindow) -> bool:
    status = window.session.live.status
    if status.state == "failed":
        raise SourceError(status.message)
    return window.page.view.painted_result is not None


def make_loads(settings: TrackSettings) -> tuple[Load, ...]:
    """Return what the window has to bear, one after another, beginning and ending with these settings."""
    return (
        Load("playing", _nothing, _nothing),
        Load("models switched three times", _nothing, _switch_models),
        Load(
            "recording, annotated video",
            lambda window: window.controls.apply_settings(settings, "bench"),
            lambda window: _record(window, on=True),
        ),
        Load("every overlay and two plots", lambda window: _record(window, on=False), _draw_everything),
    )


def _record(window: MainWindow, *, on: bool) -> None:
    if window.recording.takes.recording != on:
        window.recording.toggle()


def _draw_everything(window: MainWindow) -> None:
    window.view.set_options(
        replace(window.view.options, boxes=True, trails=True, angles=True, raw=True, heatmap=True)
    )
    window.show_dock("plots")


def _switch_models(window: MainWindow) -> None:
    for number, change in enumerate(({"mode": "bottom-up"}, {"precision": "fp32"}, {"mode": "auto"})):
        QTimer.singleShot(int(number * PHASE_S * 250), lambda change=change: _change(window, change))


def _change(window: MainWindow, change: dict[str, str]) -> None:
    settings = window.settings.settings
    estimator = settings.estimator.model_copy(update=change)
    window.controls.apply_settings(settings.model_copy(update={"estimator": estimator}), "bench")


def _nothing(window: MainWindow) -> None:
    """Leave everything as it is."""


def _idle(seconds: float) -> None:
    loop = QEventLoop()
    QTimer.singleShot(int(seconds * 1000), loop.quit)
    loop.exec()


def _wait(condition: Callable[[], bool], failure: str) -> None:
    deadline = time.monotonic() + START_LIMIT_S
    while not condition():
        if time.monotonic() > deadline:
            raise SourceError(f"{failure} within {START_LIMIT_S:g} s")
        _idle(0.02)
