"""The whole path, files in and CSV out, in each mode."""

import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from engine.pipeline import Pipeline
from engine.settings import EstimatorSettings, Mode, TrackSettings
from engine.sinks.csv_file import CsvSink
from engine.sources import Source, open_source
from engine.structures import Result
from engine.timing import StageTotals

MODES: tuple[Mode, ...] = ("auto", "top-down", "bottom-up")
RUNS = 3


@dataclass(frozen=True, slots=True)
class WholeTiming:
    """The whole path in one mode.

    frame_rate and best_frame_rate: median and best over the runs, frames/s from opening the source to closing
    the CSV, models loaded before; stages_ms: mean per frame of the last run; real_time: median over the
    clip's own frame rate; choice: what the mode came down to.
    """

    mode: str
    precision: str
    frames: int
    frame_rate: float
    best_frame_rate: float
    real_time: float
    stages_ms: dict[str, float]
    choice: dict[str, object]

    def as_dict(self) -> dict[str, object]:
        """Return the row, ready for JSON."""
        return {
            "mode": self.mode,
            "precision": self.precision,
            "frames": self.frames,
            "frame_rate": round(self.frame_rate, 2),
            "best_frame_rate": round(self.best_frame_rate, 2),
            "real_time": round(self.real_time, 2),
            "stages_ms": {stage: round(value, 3) for stage, value in self.stages_ms.items()},
            "choice": self.choice,
        }


def measure_whole(
    clip: Path, base: EstimatorSettings, *, on_result: Callable[[Result], None] | None = None
) -> Iterator[WholeTiming]:
    """Measure every mode over the whole clip.

    Args:
        clip: video.
        base: which models, and the threads of their runtimes; each mode is put into it.
        on_result: is called with the results of the last run of mode `auto`.
    """
    for mode in MODES:
        settings = TrackSettings(estimator=base.model_copy(update={"mode": mode}))
        with closing(Pipeline(settings)) as pipeline:
            runs = []
            for run in range(RUNS):
                hook = on_result if mode == "auto" and run == RUNS - 1 else None
                with open_source(clip) as source:
                    runs.append(run_once(pipeline, source, hook))
                    clip_rate = source.info.fps or 30.0
            rates = [totals.frames / seconds for totals, seconds in runs]
            yield WholeTiming(
                mode=mode,
                precision=precision_text(pipeline),
                frames=runs[-1][0].frames,
                frame_rate=median(rates),
                best_frame_rate=max(rates),
                real_time=median(rates) / clip_rate,
                stages_ms=runs[-1][0].mean_ms(),
                choice=dict(pipeline.choice),
            )


def precision_text(pipeline: Pipeline) -> str:
    """Return the precisions really used, once each."""
    models: Any = pipeline.describe()["models"]
    return "/".join(dict.fromkeys(str(model["precision"]) for model in models))


def run_once(
    pipeline: Pipeline, source: Source, on_result: Callable[[Result], None] | None = None
) -> tuple[StageTotals, float]:
    """Track a source into a CSV file that is thrown away; return stage times and seconds in all."""
    totals = StageTotals()
    with tempfile.TemporaryDirectory() as folder:
        begin = time.perf_counter()
        with closing(CsvSink(Path(folder) / "bench.csv", pipeline.skeleton)) as sink:
            for result in pipeline.run(source):
                start = time.perf_counter()
                sink.write(result)
                written_ms = (time.perf_counter() - start) * 1e3
                totals.add({**result.timings_ms, "write": written_ms})
                if on_result:
                    on_result(result)
        seconds = time.perf_counter() - begin
    return totals, seconds
