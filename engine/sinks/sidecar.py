"""The sidecar: a JSON file beside the CSV that says where its numbers come from."""

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, JsonValue

from engine.sinks.atomic import whole_file
from engine.skeleton import Skeleton
from engine.sources.source import SourceInfo

Status = Literal["recording", "complete", "interrupted", "failed"]

COORDINATES = (
    "x to the right and y down in pixels of the upright frame, origin at the centre of the top-left pixel; "
    "boxes are left, top, right, bottom"
)
UNITS = {"x, y, bbox": "px", "time_s": "s", "score": "0 to 1"}


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


def _with_zone(time: datetime) -> datetime:
    if time.tzinfo is None:
        raise ValueError("the time needs a zone")
    return time


class SourceRecord(_Record):
    """What was read. start_s: where `time_s` 0 is on the file's own clock; decoder: of a video file."""

    name: str
    path: str | None
    width: int
    height: int
    fps: float | None
    duration_s: float | None
    start_s: float
    decoder: str | None = None
    stills: bool

    @classmethod
    def of(cls, info: SourceInfo) -> "SourceRecord":
        """Return the record of a source."""
        height, width = info.size
        return cls(
            name=info.name,
            path=None if info.path is None else str(info.path),
            width=width,
            height=height,
            fps=info.fps,
            duration_s=info.duration_s,
            start_s=info.start_s,
            decoder=info.decoder,
            stills=info.stills,
        )


class Marker(_Record):
    """A moment that somebody marked while recording.

    time_s, frame: of the newest frame then, None before the first; wall_time: of the mark itself.
    """

    time_s: float | None
    frame: int | None
    wall_time: Annotated[datetime, AfterValidator(_with_zone)]
    label: str


class ClockPoint(_Record):
    """From second `video_s` of the videos on, they show `time_s` and what follows it."""

    video_s: float
    time_s: float


class Change(_Record):
    """What was changed while recording: dotted names of settings to their new values, and the new models.

    time_s: of the newest frame when the change was noticed. models: None where they stayed.
    """

    time_s: float
    settings: Mapping[str, JsonValue] = Field(default_factory=dict)
    models: tuple[Mapping[str, JsonValue], ...] | None = None


class RunRecord(_Record):
    """By what a batch knows whether these results are the ones it would make.

    input: fingerprint of the input's content. request: of the settings, models, options and program version.
    files: names of the finished files, the sidecar left out, to their sizes in bytes; empty until then.
    """

    input: str
    request: str
    files: Mapping[str, int] = Field(default_factory=dict)


class Sidecar(_Record):
    """Everything that someone needs to trust a CSV, or to make it again.

    status: `recording` is still being written, or the program was killed meanwhile; `interrupted` was stopped
    by a person before the source's end, `failed` by an error, which `message` tells.
    tracks: people told apart; most_people: at once. models: name, hash, licence, runtime and precision that
    were really used, of each (`Model.describe`). choice: what `auto` chose. settings: of the run.
    performance: seconds, frame rate, milliseconds per stage, as the program measured them.
    offline: the rows are those of the second pass, smoothed with the whole recording known; False where they
    are live. warnings: of the source and the run. columns: name of each CSV column to what it holds.
    run: None where no batch made it.

    Of takes of a live view only: names: track id to what somebody called that person. markers: in the order
    they were set. video_clock: where the videos stand on the clock of `time_s`. changes: what became of
    `settings` and `models`, which are those of the beginning. lost: cause to how many rows or frames.
    """

    format: Literal["steadypose-track"] = "steadypose-track"
    format_version: Literal[1] = 1
    status: Status
    message: str | None = None
    software: Literal["SteadyPose"] = "SteadyPose"
    software_version: str
    created: Annotated[datetime, AfterValidator(_with_zone)] = Field(
        default_factory=lambda: datetime.now(UTC).replace(microsecond=0)
    )
    source: SourceRecord
    frames_read: int = Field(ge=0)
    frames_dropped: int = Field(ge=0)
    tracks: int = Field(ge=0)
    most_people: int = Field(ge=0)
    models: tuple[Mapping[str, JsonValue], ...]
    choice: Mapping[str, JsonValue] = Field(default_factory=dict)
    settings: Mapping[str, JsonValue]
    performance: Mapping[str, JsonValue] = Field(default_factory=dict)
    offline: bool = False
    warnings: tuple[str, ...] = ()
    run: RunRecord | None = None
    names: Mapping[int, str] = Field(default_factory=dict)
    markers: tuple[Marker, ...] = ()
    video_clock: tuple[ClockPoint, ...] = ()
    changes: tuple[Change, ...] = ()
    lost: Mapping[str, int] = Field(default_factory=dict)
    skeleton: Skeleton
    coordinates: str = COORDINATES
    units: Mapping[str, str] = UNITS
    columns: Mapping[str, str]


def write_sidecar(path: Path, sidecar: Sidecar) -> None:
    """Write a sidecar in one step: at every moment there is the old file or the new one, never a part.

    A file that exists is replaced.

    Raises:
        SinkError: it cannot be written; nothing has changed then.
    """
    with whole_file(path) as part:
        part.write_text(sidecar.model_dump_json(indent=2) + "\n", encoding="utf-8")
