"""What happened to one recording, counted, and the sidecar that tells it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from engine import __version__
from engine.sinks.sidecar import Sidecar, SourceRecord, Status
from engine.skeleton import Skeleton
from engine.sources import SourceInfo
from engine.structures import Result
from engine.timing import StageTotals


@dataclass(slots=True)
class Summary:
    """What happened to one input.

    seconds: wall time from the first frame asked for to the files closed, pauses left out; interrupted: a
    stop was asked for before the end.
    """

    totals: StageTotals = field(default_factory=StageTotals)
    most_people: int = 0
    track_ids: set[int] = field(default_factory=set)
    seconds: float = 0.0
    interrupted: bool = False

    @property
    def frame_rate(self) -> float:
        """Frames per second, end to end."""
        return self.totals.frames / self.seconds if self.seconds > 0 else 0.0

    def add(self, result: Result, write_ms: float) -> None:
        """Count one result."""
        self.totals.add({**result.timings_ms, "write": write_ms})
        self.most_people = max(self.most_people, len(result.people))
        self.track_ids.update(person.track_id for person in result.people)

    def text(self) -> str:
        """Return the summary in words."""
        frames, tracks = self.totals.frames, len(self.track_ids)
        return (
            f"{_count(frames, 'frame', 'frames')}, {_count(tracks, 'track', 'tracks')}, "
            f"at most {_count(self.most_people, 'person', 'people')} at once, {self.frame_rate:.1f} frames/s"
        )

    def stages_text(self) -> str:
        """Return the mean milliseconds per stage and frame in words."""
        return ", ".join(f"{stage} {value:.2f} ms" for stage, value in self.totals.mean_ms().items())


def build_sidecar(
    summary: Summary,
    status: Status,
    error: BaseException | None = None,
    *,
    info: SourceInfo,
    skeleton: Skeleton,
    description: Mapping[str, Any],
    frames_read: int,
    frames_dropped: int,
    columns: Mapping[str, str],
    warnings: Sequence[str] = (),
    **more: Any,
) -> Sidecar:
    """Return the sidecar of a recording.

    Args:
        summary: of all results so far.
        status: how it stands.
        error: what ended it.
        info: of the source.
        skeleton: of the people.
        description: of models, choice and settings, as `Pipeline.describe` has it.
        frames_read: of the source.
        frames_dropped: by the source.
        columns: of the CSV, `engine.sinks.csv_file.describe_columns`.
        warnings: sentences for people.
        more: other fields of `Sidecar`.
    """
    stages_ms = {stage: round(value, 3) for stage, value in summary.totals.mean_ms().items()}
    return Sidecar(
        status=status,
        message=None if error is None else str(error) or type(error).__name__,
        software_version=__version__,
        source=SourceRecord.of(info),
        frames_read=frames_read,
        frames_dropped=frames_dropped,
        tracks=len(summary.track_ids),
        most_people=summary.most_people,
        models=tuple(description["models"]),
        choice=description["choice"],
        settings=description["settings"],
        performance={
            "frames_written": summary.totals.frames,
            "seconds": round(summary.seconds, 3),
            "frames_per_s": round(summary.frame_rate, 2),
            "mean_stage_ms": stages_ms,
        },
        warnings=tuple(warnings),
        skeleton=skeleton,
        columns=columns,
        **more,
    )


def _count(number: int, one: str, many: str) -> str:
    return f"{number} {one if number == 1 else many}"
