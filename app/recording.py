"""One input, from its source to its files: results are written as they come, the sidecar says how it ended."""

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field, replace

from app.outputs import OutputPaths
from app.progress import Reporter
from app.stopping import StopRequest
from engine.errors import SourceError, SteadyPoseError
from engine.pipeline import Pipeline
from engine.sinks.csv import CsvSink
from engine.sources import Source
from engine.structures import Frame, Result
from engine.timing import StageTotals

ResultHook = Callable[[Result], None]


@dataclass(frozen=True, slots=True)
class RecordOptions:
    """How the CSV is written, and whether frames are independent pictures."""

    raw: bool = False
    keep_empty: bool = False
    long: bool = False
    stills: bool = False


@dataclass(slots=True)
class Summary:
    """What happened to one input. seconds: wall time; stages_ms: mean per frame."""

    frames: int = 0
    most_people: int = 0
    track_ids: set[int] = field(default_factory=set)
    seconds: float = 0.0
    stages_ms: dict[str, float] = field(default_factory=dict)

    @property
    def frame_rate(self) -> float:
        """Frames per second, end to end."""
        return self.frames / self.seconds if self.seconds > 0 else 0.0

    def text(self) -> str:
        """Return the summary in words."""
        return (
            f"{self.frames} frames, {len(self.track_ids)} tracks, at most {self.most_people} people at once, "
            f"{self.frame_rate:.1f} frames/s"
        )
