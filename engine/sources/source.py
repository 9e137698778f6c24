"""What every source of frames offers, and the class that all file sources are made with.

A file source reads ahead in a thread of its own, so that decoding and inference overlap, and drops no frame
that can be read. It is used once, from where it starts to the end. Live sources are in `engine.sources.live`.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

from engine.sources.prefetch import Prefetcher
from engine.structures import Frame

MAX_WARNINGS = 20


@dataclass(frozen=True, slots=True)
class SourceInfo:
    """What is known of a source before its frames are read.

    name: for people, the file's or folder's name; path: None where there is no file.
    size: (height, width) of every frame, px; of the first one where `stills`.
    fps: mean frames per second, None where there is no such thing; duration_s: seconds; frame_count: frames,
    all three as the file states them, None where it does not.
    live: frames come at their own pace and are lost when nobody takes them.
    stills: frames are independent pictures, `time_s` only numbers them, and each has its own size.
    start_s: what `time_s` 0 is on the file's own clock, to align it with its sound. decoder: where a video
    file is decoded, "software" or "nvdec"; None of what is no such file.
    """

    name: str
    path: Path | None
    size: tuple[int, int]
    fps: float | None
    duration_s: float | None
    frame_count: int | None
    live: bool = False
    stills: bool = False
    start_s: float = 0.0
    decoder: str | None = None


@dataclass(frozen=True, slots=True)
class CameraMode:
    """A picture size and rate that a camera offers: px and frames per second."""

    width: int
    height: int
    fps: float

    def __str__(self) -> str:
        return f"{self.width}×{self.height}, {self.fps:g} fps"


class Source(Protocol):
    """An iterator of frames, in order, with `time_s` strictly increasing.

    frames_read: frames handed out so far. frames_dropped: frames that could not be read and were skipped so
    far, or of a live source were not taken in time; each leaves a hole in `Frame.index`. warnings: sentences
    for people, bounded in number. missing_end: what is known of a rest that should be there and cannot be
    read, one sentence, also the last of the warnings; None until the frames before it were read.
    """

    @property
    def info(self) -> SourceInfo: ...  # noqa: D102

    @property
    def frames_read(self) -> int: ...  # noqa: D102

    @property
    def frames_dropped(self) -> int: ...  # noqa: D102

    @property
    def warnings(self) -> list[str]: ...  # noqa: D102

    @property
    def missing_end(self) -> str | None: ...  # noqa: D102

    def __iter__(self) -> Iterator[Frame]: ...

    def __next__(self) -> Frame: ...

    def close(self) -> None:
        """Stop reading and free everything; safe to call at any time and more than once."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class ReadLog:
    """What a reader noticed: its position in the source, and warnings, of which the first few are kept.

    position: pictures met so far, read or not; the index of the next one.
    missing_end: see `Source`.
    """

    def __init__(self) -> None:
        self.position = 0
        self.warnings: list[str] = []
        self.missing_end: str | None = None
        self._more = 0

    def warn(self, message: str) -> None:
        """Keep a warning, or count it where there are many already."""
        if len(self.warnings) < MAX_WARNINGS:
            self.warnings.append(message)
            return
        self._more += 1
        counted = f"{self._more} more warnings like these"
        if self._more == 1:
            self.warnings.append(counted)
        else:
            self.warnings[MAX_WARNINGS] = counted

    def miss_end(self, message: str) -> None:
        """Take note that the rest of the source is missing; kept however many warnings there are.

        What is said first is the cause, and stands.
        """
        if self.missing_end is None:
            self.missing_end = message
            self.warnings.append(message)


class PrefetchedSource:
    """A file source: frames of a generator, read ahead in a thread.

    Args:
        info: what is known of it.
        frames: makes the frames.
        log: what `frames` writes its position and warnings to.
        release: frees what `frames` holds; may be called more than once.
        first_index: index of the first frame, where reading does not start at the beginning.
    """

    def __init__(
        self,
        info: SourceInfo,
        frames: Iterator[Frame],
        log: ReadLog,
        release: Callable[[], None] | None = None,
        *,
        first_index: int = 0,
    ) -> None:
        self.info = info
        self.frames_read = 0
        self.missing_end: str | None = None
        self._log = log
        self._release = release
        self._reader = Prefetcher(frames, name=f"read {info.name}")
        self._first_index = self._next_index = first_index

    @property
    def frames_dropped(self) -> int:
        """Frames before the present one, at the end of all, that could not be read."""
        return self._next_index - self._first_index - self.frames_read

    @property
    def ahead(self) -> Frame | None:
        """The frame that comes next, None where it is not read yet or there is none."""
        return self._reader.ahead

    @property
    def warnings(self) -> list[str]:
        """What was noticed so far; the reader may be a few frames ahead."""
        return list(self._log.warnings)

    def __iter__(self) -> Iterator[Frame]:
        return self

    def __next__(self) -> Frame:
        try:
            frame = next(self._reader)
        except StopIteration:
            if self._reader.exhausted:
                self._next_index = self._log.position
                self.missing_end = self._log.missing_end
            raise
        self.frames_read += 1
        self._next_index = frame.index + 1
        return frame

    def close(self) -> None:
        """Stop reading and free everything; safe to call at any time and more than once."""
        self._reader.close()
        if self._release is not None:
            self._release()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
