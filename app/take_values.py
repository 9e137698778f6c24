"""What a take is asked for, where it lies and how it goes."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

TakeState = Literal["recording", "finishing", "done", "failed"]

_LONGEST_STEM = 120
"""Bytes of a stem; file systems allow 255, of which number and suffix need some."""
_UNSAFE = re.compile(r'[<>:"/\\|?*\x00-\x1f\x7f\s]+')
_FILE_SUFFIX = re.compile(
    r"(?<=.)\.(avi|flv|gif|m2ts|m4v|mkv|mov|mp4|mpe?g|mts|ts|webm|wmv|bmp|jpe?g|png|tiff?|webp)$",
    re.IGNORECASE,
)
_CREDENTIALS = re.compile(r"//[^/@\s]*@")


@dataclass(frozen=True, slots=True)
class TakeOptions:
    """What is recorded, and where.

    folder: is made where it is missing. name: of the source, for the files' names; any text.
    annotated_video, clean_video: with the people drawn on it, without. raw, keep_empty, long: see
    `engine.sinks.csv_file.CsvSink`.
    """

    folder: Path
    name: str
    annotated_video: bool = True
    clean_video: bool = False
    raw: bool = False
    keep_empty: bool = False
    long: bool = False


@dataclass(frozen=True, slots=True)
class TakePaths:
    """The files of a take; a video is None where it was not asked for, `markers` comes with the first one."""

    csv: Path
    sidecar: Path
    annotated_video: Path | None
    clean_video: Path | None
    markers: Path

    @property
    def all(self) -> list[Path]:
        """Every file that there may be."""
        paths = (self.csv, self.sidecar, self.annotated_video, self.clean_video, self.markers)
        return [path for path in paths if path is not None]


@dataclass(frozen=True, slots=True)
class TakeStatus:
    """How a take goes, at one moment.

    number, paths: None until the first file was made. seconds: length of what was recorded, as the videos
    have it. bytes: of all files on the disk. rows, frames: written. lost_rows: the disk was behind for too
    long; lost_video_frames: the encoder was behind. message: why it failed, one sentence.
    """

    number: int | None
    state: TakeState
    seconds: float = 0.0
    bytes: int = 0
    rows: int = 0
    frames: int = 0
    lost_rows: int = 0
    lost_video_frames: int = 0
    markers: int = 0
    paths: TakePaths | None = None
    message: str = ""


def take_stem(name: str, number: int) -> str:
    """Return what the names of a take's files begin with, such as ``clip-take-003``."""
    return f"{safe_name(name)}-take-{number:03d}"


def take_paths(options: TakeOptions, number: int) -> TakePaths:
    """Return the files of a take."""
    stem = options.folder / take_stem(options.name, number)
    # Not with_suffix: a dot in the name is no suffix to be replaced.
    return TakePaths(
        csv=Path(f"{stem}.csv"),
        sidecar=Path(f"{stem}.json"),
        annotated_video=Path(f"{stem}.tracked.mp4") if options.annotated_video else None,
        clean_video=Path(f"{stem}.clean.mp4") if options.clean_video else None,
        markers=Path(f"{stem}.markers.csv"),
    )


def safe_name(name: str) -> str:
    """Return a name that every file system takes, as near to `name` as possible, without a password in it."""
    text = _FILE_SUFFIX.sub("", _CREDENTIALS.sub("//", name.strip()))
    text = _UNSAFE.sub("_", text).strip("._- ")
    text = text.encode()[:_LONGEST_STEM].decode(errors="ignore").rstrip("._- ")
    return text or "recording"
