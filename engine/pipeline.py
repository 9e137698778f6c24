"""The path of a frame: source → estimator → tracker → Result.

`track` is the whole of it in one call; `Pipeline` keeps the models open for one source after another.
"""

from collections.abc import Iterator, Mapping
from contextlib import closing
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from engine.errors import UsageError
from engine.estimator import FrameEstimator, open_estimator
from engine.frame_tracker import FrameTracker, SequenceKind, close_estimator
from engine.settings import EstimatorSettings, Settings, TrackerSettings, TrackSettings
from engine.skeleton import Skeleton
from engine.sources import Source, open_source
from engine.sources.source import PrefetchedSource
from engine.structures import Result
from engine.timing import Stopwatch


class Pipeline:
    """Models in hand, ready to follow people through one source after another.

    Raises:
        ModelFileError: a model is missing, damaged, or of the wrong kind.
        RuntimeUnavailableError: the runtime cannot be had.
        UsageError: settings contradict each other.
    """

    def __init__(
        self, settings: TrackSettings | None = None, *, estimator: FrameEstimator | None = None
    ) -> None:
        self.settings = settings or TrackSettings()
        self._tracker = FrameTracker(estimator or open_estimator(self.settings.estimator), self.settings)

    @property
    def skeleton(self) -> Skeleton:
        """The keypoints of the people in every result."""
        return self._tracker.skeleton

    @property
    def choice(self) -> Mapping[str, object]:
        """Mode, finder interval and size in use; what `auto` chose is in it after the first frame."""
        return self._tracker.choice

    def run(self, source: Source) -> Iterator[Result]:
        """Follow people through a source that the caller closes.

        Where the source's frames are stills, nobody is followed from one to the next and everybody is shown
        at once.

        Yields:
            one result per frame, in order, with milliseconds per stage.

        Raises:
            SourceError: the source breaks.
        """
        self._tracker.start(SequenceKind(source.info.fps, source.info.stills))
        watch, frames = Stopwatch(), iter(source)
        while True:
            with watch.stage("decode_source"):
                frame = next(frames, None)
            if frame is None:
                return
            if isinstance(source, PrefetchedSource) and (ahead := source.ahead) is not None:
                self._tracker.announce(ahead)
            yield self._tracker.update(frame, watch)

    def describe(self) -> dict[str, object]:
        """Return models, runtimes, choice and settings as the sidecar states them, ready for JSON."""
        return self._tracker.describe()

    def close(self) -> None:
        """Free the models."""
        close_estimator(self._tracker.estimator)


def track(source: str | Path | Source, **settings: Any) -> Iterator[Result]:
    """Follow people through a source; see `engine.track`."""
    return _results(source, build_settings(settings))


def _results(source: str | Path | Source, settings: TrackSettings) -> Iterator[Result]:
    opened = open_source(source) if isinstance(source, (str, Path)) else source
    with closing(opened), closing(Pipeline(settings)) as pipeline:
        yield from pipeline.run(opened)


def build_settings(values: Mapping[str, Any]) -> TrackSettings:
    """Make settings from keyword arguments.

    Args:
        values: `estimator` and `tracker` as objects or mappings, and any of their fields by name. A name that
            both have (`max_people`, `min_person_score`) goes to both.

    Raises:
        UsageError: an unknown name, with the nearest known one, or an impossible value.
    """
    parts: dict[str, type[Settings]] = {"estimator": EstimatorSettings, "tracker": TrackerSettings}
    given: dict[str, dict[str, Any]] = {part: {} for part in parts}
    for part in parts:
        base = values.get(part, {})
        given[part].update(base.model_dump() if isinstance(base, Settings) else base)
    for name, value in values.items():
        if name in parts:
            continue
        owners = [part for part, settings in parts.items() if name in settings.model_fields]
        if not owners:
            raise UsageError(f"there is no setting {name!r}; {_hint(name, parts.values())}")
        for part in owners:
            given[part][name] = value
    try:
        return TrackSettings.model_validate(given)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise UsageError(f"setting {where} is impossible: {first['msg']}, got {first['input']!r}") from error


def _hint(name: str, parts: Any) -> str:
    known = sorted({field for part in parts for field in part.model_fields})
    near = get_close_matches(name, known, n=1)
    return f"did you mean {near[0]!r}?" if near else f"known are {', '.join(known)}"
