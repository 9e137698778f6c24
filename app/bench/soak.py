"""Memory over a long video: the demo clip over and over, as one source."""

from collections.abc import Generator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from rich.console import Console

from app.bench.files import check_writable, write_json
from app.bench.memory import resident_mib
from app.bench.whole import run_once
from app.console import say
from app.machine import describe_machine, machine_line
from app.tables import text_table
from assets import demo_clip
from engine.errors import UsageError
from engine.pipeline import Pipeline
from engine.settings import EstimatorSettings, TrackSettings
from engine.sources import open_source
from engine.structures import Frame, Result

REPORTS = 10
"""How often memory is looked at over the run."""
SETTLED = 0.2
"""Share of the run after which caches are full; growth is told from there."""


@dataclass(frozen=True, slots=True)
class MemorySample:
    """Resident memory at a time of the video."""

    time_s: float
    resident_mib: float

    def cells(self) -> tuple[str, str]:
        """Return the table cells: minutes and MiB."""
        return f"{self.time_s / 60:.2f}", f"{self.resident_mib:.1f}"

    def text(self) -> str:
        """Return the sample as a line of progress."""
        minutes, resident = self.cells()
        return f"minute {minutes}: {resident} MiB"

    def as_dict(self) -> dict[str, float]:
        """Return the sample, ready for JSON."""
        return {"time_s": round(self.time_s, 2), "resident_mib": round(self.resident_mib, 2)}


class RepeatedSource:
    """A clip played over and over for `duration_s` seconds of video, with times and numbers that go on."""

    def __init__(self, clip: Path, duration_s: float) -> None:
        self._clip, self._duration_s = clip, duration_s
        with open_source(clip) as source:
            self.info = source.info
        self.frames_read = 0
        self.frames_dropped = 0
        self.warnings: list[str] = []
        self.missing_end: str | None = None
        self._frames = self._read()

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Frame:
        return next(self._frames)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _read(self) -> Generator[Frame]:
        index, offset_s, time_s = 0, 0.0, 0.0
        step_s = 1.0 / (self.info.fps or 30.0)
        while True:
            with open_source(self._clip) as source:
                for frame in source:
                    time_s = offset_s + frame.time_s
                    if time_s >= self._duration_s:
                        return
                    self.frames_read += 1
                    yield Frame(frame.image, index, time_s)
                    index += 1
            offset_s = time_s + step_s

    def close(self) -> None:
        """Stop reading."""
        self._frames.close()


def run_soak(
    minutes: float, settings: EstimatorSettings, *, json_path: Path | None, console: Console
) -> None:
    """Track `minutes` of video and print the resident memory at intervals.

    Raises:
        UsageError: the duration is not above 0, or the JSON file cannot be written.
        SteadyPoseError: clip or models are missing.
    """
    if minutes <= 0:
        raise UsageError(f"--soak must be above 0 minutes, got {minutes:g}")
    if json_path:
        check_writable(json_path)
    samples: list[MemorySample] = []
    step_s = minutes * 60 / REPORTS

    def watch(result: Result) -> None:
        if result.frame.time_s >= len(samples) * step_s:
            samples.append(MemorySample(result.frame.time_s, resident_mib()))
            console.print(samples[-1].text())

    source = RepeatedSource(demo_clip(), minutes * 60)
    with closing(Pipeline(TrackSettings(estimator=settings))) as pipeline:
        totals, seconds = run_once(pipeline, source, watch)
        samples.append(MemorySample(minutes * 60, resident_mib()))
    growth = growth_mib(samples)
    say(machine_line())
    say(text_table(("minute of video", "resident MiB"), [sample.cells() for sample in samples]))
    say(
        f"{totals.frames} frames in {seconds:.0f} s ({totals.frames / seconds:.1f} frames/s); "
        f"{growth:+.1f} MiB from {SETTLED:.0%} of the run to its end"
    )
    if json_path:
        write_json(
            json_path,
            {
                "machine": describe_machine(),
                "minutes": minutes,
                "frames": totals.frames,
                "seconds": round(seconds, 2),
                "samples": [sample.as_dict() for sample in samples],
                "growth_mib": round(growth, 2),
            },
        )


def growth_mib(samples: Sequence[MemorySample]) -> float:
    """Return by how much memory grew from the first sample after `SETTLED` of the run to the last one."""
    last = samples[-1]
    settled = next(sample for sample in samples if sample.time_s >= SETTLED * last.time_s)
    return last.resident_mib - settled.resident_mib
