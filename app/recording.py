"""One input, from its source to its files: results are written as they come, the sidecar says how it ended."""

import logging
import time
from collections.abc import Callable
from contextlib import ExitStack, closing
from dataclasses import dataclass, field

from app.outputs import OutputPaths
from app.progress import Reporter
from app.stopping import StopRequest
from engine.errors import SourceError
from engine.pipeline import Pipeline
from engine.sinks import Sink
from engine.sinks.annotated_video import AnnotatedVideoSink
from engine.sinks.csv import CsvSink
from engine.sinks.json import Sidecar, write_sidecar
from engine.sources import Source
from engine.structures import Result
from engine.timing import StageTotals

LOGGER = logging.getLogger(__name__)

ResultHook = Callable[[Result], None]


@dataclass(frozen=True, slots=True)
class CsvOptions:
    """What the CSV holds beside the usual: see `engine.sinks.csv.CsvSink`."""

    raw: bool = False
    keep_empty: bool = False
    long: bool = False


@dataclass(slots=True)
class Summary:
    """What happened to one input. seconds: wall time from the first frame asked for to the files closed."""

    totals: StageTotals = field(default_factory=StageTotals)
    most_people: int = 0
    track_ids: set[int] = field(default_factory=set)
    seconds: float = 0.0

    @property
    def frame_rate(self) -> float:
        """Frames per second, end to end."""
        return self.totals.frames / self.seconds if self.seconds > 0 else 0.0

    def add(self, result: Result, written_ms: float) -> None:
        """Count one result."""
        self.totals.add({**result.timings_ms, "write": written_ms})
        self.most_people = max(self.most_people, len(result.people))
        self.track_ids.update(person.track_id for person in result.people)

    def text(self) -> str:
        """Return the summary in words."""
        tracks = len(self.track_ids)
        return (
            f"{_count(self.totals.frames, 'frame')}, {_count(tracks, 'track')}, at most "
            f"{_count(self.most_people, 'person', 'people')} at once, {self.frame_rate:.1f} frames/s"
        )
