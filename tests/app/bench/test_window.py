import json
import math
import os
import subprocess
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console
from typer.testing import Result

os.environ["QT_QPA_PLATFORM"] = "offscreen"
os.environ["PYQTGRAPH_QT_LIB"] = "PySide6"

from app.bench import window
from app.bench.window import Phase, Start, phase_table, start_table
from engine.errors import SourceError, UsageError
from engine.settings import EstimatorSettings, TrackSettings

STARTS = [Start("cold: no compiled models", 3.456, (3.456, 3.5)), Start("warm", 1.2, (1.2,))]
PHASES = [
    Phase("playing", 30.0, 21.04, 33.0, 12.0, 18.0, 8.5, 0),
    Phase("nothing came", 0.0, math.nan, math.nan, math.nan, math.nan, 70.0, 2),
]


pytestmark = pytest.mark.usefixtures("qapp")


@pytest.fixture
def settings(top_down_file: Path, bottom_up_file: Path) -> TrackSettings:
    return TrackSettings(
        estimator=EstimatorSettings(
            top_down_model=str(top_down_file), bottom_up_model=str(bottom_up_file), threads=1
        )
    )


@pytest.fixture
def _measured(monkeypatch: pytest.MonkeyPatch) -> None:
    """Put given numbers in the place of measurements."""
    monkeypatch.setattr(window, "measure_starts", lambda: STARTS)
    monkeypatch.setattr(window, "measure_phases", lambda _settings: (PHASES, "offscreen"))


def test_the_tables_have_a_line_for_each_start_and_each_load() -> None:
    lines = start_table(STARTS).splitlines()
    assert [line.split()[-1] for line in lines if "warm" in line] == ["1.20"]
    assert "3.46" in start_table(STARTS) and "3.46 3.50" in start_table(STARTS)
    (playing,) = (line for line in phase_table(PHASES).splitlines() if line.startswith("playing"))
    assert playing.split()[1:] == ["30.0", "21.0", "33.0", "12.0", "18.0", "8.5", "0"]
    assert "nan" in phase_table(PHASES)


@pytest.mark.usefixtures("_measured")
def test_the_numbers_are_printed_and_written_as_json(invoke: Callable[..., Result], tmp_path: Path) -> None:
    result = invoke("bench", "--window", "--json", tmp_path / "numbers.json")
    assert result.exit_code == 0, result.stderr
    assert "platform offscreen" in result.stdout and "start to first painted skeleton" in result.stdout

    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is no JSON")

    told = json.loads((tmp_path / "numbers.json").read_text("utf-8"), parse_constant=refuse)
    assert told["platform"] == "offscreen"
    assert told["starts"] == [asdict(start) | {"runs": list(start.runs)} for start in STARTS]
    assert told["phases"][0] == asdict(PHASES[0])
    assert told["phases"][1]["latency_p50_ms"] is None


@pytest.mark.usefixtures("_measured")
def test_a_file_that_cannot_be_written_is_told_before_anything_is_measured(
    invoke: Callable[..., Result], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(window, "measure_starts", lambda: pytest.fail("it was measured"))
    result = invoke("bench", "--window", "--json", tmp_path / "none" / "numbers.json")
    assert result.exit_code == 2
    assert "choose another --json" in result.stderr


@pytest.mark.slow
def test_a_clip_is_played_under_every_load(
    settings: TrackSettings, clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(window, "PHASE_S", 0.6)
    monkeypatch.setattr(window, "SETTLE_S", 0.1)
    monkeypatch.setattr(window, "favour_window", lambda: None)
    phases, platform = window.measure_phases(settings, clip)
    assert platform == "offscreen"
    assert [phase.name for phase in phases] == [load.name for load in window.make_loads(settings)]
    for phase in phases:
        assert phase.frames_per_s > 0
        assert 0 < phase.inference_p50_ms <= phase.inference_p95_ms
        assert 0 < phase.latency_p50_ms <= phase.latency_p95_ms
        assert math.isfinite(phase.blocked_max_ms)


def test_a_clip_that_does_not_play_is_told(
    settings: TrackSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(window, "favour_window", lambda: None)
    with pytest.raises(SourceError, match="no such file"):
        window.measure_phases(settings, tmp_path / "none.mp4")


def fail(*_: object, **__: object) -> Any:
    raise subprocess.CalledProcessError(3, "app", stderr="Traceback\nImportError: no libEGL.so.1\n")


def hang(*_: object, **__: object) -> Any:
    raise subprocess.TimeoutExpired("app", window.START_LIMIT_S)


@pytest.mark.parametrize(
    ("run", "why"),
    [
        (fail, "ImportError: no libEGL.so.1"),
        (hang, "it showed no skeleton within 120 s"),
        (lambda *_, **__: SimpleNamespace(stdout=""), "it was closed before it showed a skeleton"),
    ],
)
def test_an_app_that_does_not_start_is_told_in_a_sentence(
    monkeypatch: pytest.MonkeyPatch, run: Callable[..., Any], why: str
) -> None:
    monkeypatch.setattr(subprocess, "run", run)
    with pytest.raises(UsageError, match=f"the app could not be started: {why}"):
        window.measure_starts()


def test_without_a_display_nothing_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("QT_QPA_PLATFORM", "DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("app.desktop.application.sys.platform", "linux")
    with pytest.raises(UsageError, match="no display"):
        window.run_window_bench(EstimatorSettings(), json_path=None, console=Console())
