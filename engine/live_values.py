"""What a live session is asked for and what it tells: requests, results with their times, numbers, state."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from engine.structures import Result

SessionState = Literal["empty", "opening", "playing", "paused", "reconnecting", "ended", "failed"]
"""empty: no source; opening: waiting for its first frame; reconnecting: a live source was lost and is tried
again; ended: a file came to its end and can be sought; failed: see the message."""


@dataclass(frozen=True, slots=True)
class CameraMode:
    """A picture size and rate that a camera offers: px and frames per second."""

    width: int
    height: int
    fps: float

    def __str__(self) -> str:
        return f"{self.width}×{self.height}, {self.fps:g} fps"


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

    Both times are seconds of `time.monotonic()`.
    """

    result: Result
    captured_s: float
    done_s: float


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
