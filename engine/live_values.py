"""What a live session is asked for and what it tells: requests, results with their times, numbers, state."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol

from engine.settings import TrackSettings
from engine.sources.source import CameraMode, SourceInfo
from engine.structures import Result

SessionState = Literal["empty", "opening", "playing", "paused", "reconnecting", "ended", "failed"]
"""empty: no source; opening: waiting for its first frame; reconnecting: a live source was lost and is tried
again; ended: a file came to its end and can be sought; failed: see the message."""


@dataclass(frozen=True, slots=True)
class SourceRequest:
    """A source that somebody chose.

    spec: what `engine.sources.open_source` takes: a path, a camera's number or device, a network address.
    label: for people. camera_mode: wanted of a camera, None leaves it its own. fps, stills: of an image
    folder. as_camera: play a video file round and round at its own pace, dropping what is not taken in time,
    as if it were a camera.
    """

    spec: str | Path
    label: str
    camera_mode: CameraMode | None = None
    fps: float = 30.0
    stills: bool = False
    as_camera: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class LiveResult:
    """A result and when its frame was captured (or, of a file, due) and the people were known.

    Both times are seconds of `time.monotonic()`. sequence: another number means that people were met anew:
    the same track id is another person.
    """

    result: Result
    captured_s: float
    done_s: float
    sequence: int = 0


@dataclass(frozen=True, slots=True)
class LiveNumbers:
    """How a session runs, over the last seconds.

    Rates in frames per second, latencies from capture to painted in milliseconds, NaN where not known yet.
    stages_ms: stage to mean milliseconds per frame. dropped: cause in words to frames lost since the source
    was opened. models: names; runtime, precision, device: really in use, of the first model.
    """

    capture_rate: float = float("nan")
    inference_rate: float = float("nan")
    display_rate: float = float("nan")
    latency_p50_ms: float = float("nan")
    latency_p95_ms: float = float("nan")
    stages_ms: Mapping[str, float] = field(default_factory=dict)
    dropped: Mapping[str, int] = field(default_factory=dict)
    people: int = 0
    mode: str = ""
    models: tuple[str, ...] = ()
    runtime: str = ""
    precision: str = ""
    device: str = ""


@dataclass(frozen=True, slots=True)
class Notice:
    """A sentence for people. key: of what it is about, a newer one with the same key replaces it."""

    key: str
    role: Literal["info", "warning", "bad", "good"]
    text: str


@dataclass(frozen=True, slots=True)
class SessionStatus:
    """Where a session is.

    message: why, in words, for `opening`, `reconnecting` and `failed`. info: of the source, None before its
    first frame. position_s: time of the frame shown last. playing: whether frames follow by themselves.
    loading: which models are being opened, None where none are. ready: whether models are in hand.
    settings: as wanted, those of models still being opened included.
    """

    state: SessionState
    message: str
    request: SourceRequest | None
    info: SourceInfo | None
    position_s: float
    playing: bool
    loading: str | None
    ready: bool
    settings: TrackSettings


class LiveSink(Protocol):
    """Takes every result of a session, in the session's thread: it must return at once."""

    def write(self, live: LiveResult) -> None:
        """Take one result."""
        ...

    def break_off(self, reason: str, *, lost: bool) -> None:
        """The frames that follow do not continue those before.

        Args:
            reason: one sentence. lost: the source was lost and may come back.
        """
        ...
