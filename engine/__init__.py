"""SteadyPose's engine: from a source of frames to tracked people, without a window and without torch."""

from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from engine.errors import SteadyPoseError
    from engine.model import Model
    from engine.settings import Precision, RuntimeName
    from engine.sources import Source
    from engine.structures import Frame, KeypointState, Result, TrackedPerson
    from engine.tracking_session import TrackingSession

__all__ = [
    "Frame",
    "KeypointState",
    "Result",
    "SteadyPoseError",
    "TrackedPerson",
    "TrackingSession",
    "__version__",
    "open_model",
    "open_tracker",
    "track",
]

__version__ = "0.1.0"

# The work is imported inside the functions: `import engine.errors` must load no runtime and no video library.

_HOMES = {
    "Frame": "engine.structures",
    "KeypointState": "engine.structures",
    "Result": "engine.structures",
    "SteadyPoseError": "engine.errors",
    "TrackedPerson": "engine.structures",
    "TrackingSession": "engine.tracking_session",
}


def track(source: "str | Path | Source", **settings: Any) -> "Iterator[Result]":
    """Follow people through a video, an image folder or an opened source.

    Args:
        source: a path, or what `engine.sources.open_source` returns; it is closed at the end, and when the
            returned iterator is closed.
        settings: fields of `EstimatorSettings` and `TrackerSettings`, or `estimator=` and `tracker=` whole.

    Returns:
        Iterator of one `Result` per frame, computed as it is asked for.

    Raises:
        UsageError: a setting is unknown or impossible.
        SourceError: the source cannot be read (at the first result, as all that follow).
        ModelFileError: a model is missing, damaged, or of the wrong kind.
        RuntimeUnavailableError: the runtime is not installed or cannot run here.
    """
    from engine.pipeline import track as track_source

    return track_source(source, **settings)


def open_tracker(*, fps: float = 30.0, stills: bool = False, **settings: Any) -> "TrackingSession":
    """Open models to follow people through pictures that you bring: from a camera, a robot, another program.

    Args:
        fps: pictures per second, by which the times that `update` is not given are counted.
        stills: the pictures have nothing to do with each other; nobody is followed from one to the next.
        settings: as `track` takes them.

    Returns:
        A session whose ``update(image, time_s)`` returns a `Result`; close it, or use it in ``with``.

    Raises:
        UsageError: a setting is unknown or impossible.
        ModelFileError: a model is missing, damaged, or of the wrong kind.
        RuntimeUnavailableError: the runtime is not installed or cannot run here.
    """
    from engine.tracking_session import open_tracker as open_session

    return open_session(fps=fps, stills=stills, **settings)


def open_model(
    name_or_path: str | Path,
    *,
    runtime: "RuntimeName" = "auto",
    precision: "Precision" = "auto",
    threads: int = 0,
) -> "Model":
    """Open a model by zoo name or path; see `engine.model.open_model`."""
    from engine.model import open_model as open_named

    return open_named(name_or_path, runtime=runtime, precision=precision, threads=threads)


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
