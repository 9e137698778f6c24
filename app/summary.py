"""What happened to one recording, counted, and the sidecar that tells it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from engine import __version__
from engine.errors import SourceError
from engine.sinks.sidecar import Sidecar, SourceRecord, Status
from engine.skeleton import Skeleton
from engine.sources import Source, SourceInfo
from engine.structures import Result
from engine.timing import StageTotals


@dataclass(slots=True)
class Summary:
    """What happened to one input.

    seconds: wall time from the first frame asked for to the files closed, pauses left out; interrupted: a
    stop was asked for before the end. next_index: of the frame after the last one; holes: numbers that no
    frame had. offline: whether the rows are those of the second pass, None where none was asked for. extras:
    files beside CSV, sidecar and video.
    """

    totals: StageTotals = field(default_factory=StageTotals)
    most_people: int = 0
    track_ids: set[int] = field(default_factory=set)
    seconds: float = 0.0
    interrupted: bool = False
    next_index: int = 0
    holes: int = 0
    offline: bool | None = None
    extras: tuple[Path, ...] = ()

    @property
    def frame_rate(self) -> float:
        """Frames per second, end to end."""
        return self.totals.frames / self.seconds if self.seconds > 0 else 0.0

    def add(self, result: Result, write_ms: float) -> None:
        """Count one result."""
        self.totals.add({**result.timings_ms, "write": write_ms})
        self.most_people = max(self.most_people, len(result.people))
        self.track_ids.update(person.track_id for person in result.people)
        index = result.frame.index
        self.holes += max(index - self.next_index, 0)
        self.next_index = index + 1

    def text(self) -> str:
        """Return the summary in words."""
        frames, tracks = self.totals.frames, len(self.track_ids)
        live = ", live rows: the second pass was not finished" if self.offline is False else ""
        return (
            f"{_count(frames, 'frame', 'frames')}, {_count(tracks, 'track', 'tracks')}, "
            f"at most {_count(self.most_people, 'person', 'people')} at once, "
            f"{self.frame_rate:.1f} frames/s{live}"
        )

    def stages_text(self) -> str:
        """Return the mean milliseconds per stage and frame in words."""
        return ", ".join(f"{stage} {value:.2f} ms" for stage, value in self.totals.mean_ms().items())


def check_frames(summary: Summary, source: Source) -> None:
    """Hold the frames that were written against those that the source says it has met.

    Every one must be written or counted as dropped, and every hole between two written ones was dropped.

    Raises:
        SourceError: they differ.
    """
    written, read, dropped = summary.totals.frames, source.frames_read, source.frames_dropped
    met = written + summary.holes
    if written != read or not met <= read + dropped or met != summary.next_index:
        raise SourceError(
            f"{source.info.name}: {read} frames read and {dropped} dropped must all be accounted for, but "
            f"{written} were written, with {summary.holes} missing between; do not use these results, and "
            "report the defect"
        )


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
        offline=bool(summary.offline),
        warnings=tuple(warnings),
        skeleton=skeleton,
        columns=columns,
        **more,
    )


def _count(number: int, one: str, many: str) -> str:
    return f"{number} {one if number == 1 else many}"
