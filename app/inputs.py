"""What `track` was given, turned into single inputs, each with the stem that names its output files."""

import logging
import re
from collections.abc import Sequence
from dataclasses import dataclass
from glob import glob, has_magic
from pathlib import Path

from assets import demo_clip
from engine.errors import SourceError, UsageError
from engine.live_values import SourceRequest
from engine.sources import is_live
from engine.sources.address import mask_address
from engine.sources.images import list_images, natural_key

LOGGER = logging.getLogger(__name__)

DEMO = "demo"
NETWORK = re.compile(r"[a-z][a-z0-9+.-]*://", re.IGNORECASE)
"""What addresses begin with."""
TRACKED_SUFFIX = ".tracked.mp4"
REPORT_STEM = "steadypose-batch"
"""What the summary of a batch is called."""
VIDEO_SUFFIXES = frozenset(
    (".3gp", ".asf", ".avi", ".flv", ".m2ts", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".mts", ".mxf",
     ".ogv", ".ts", ".vob", ".webm", ".wmv")
)  # fmt: skip
"""Files that count as videos inside a folder; a file named by itself is tried whatever it is called."""


@dataclass(frozen=True, slots=True)
class TrackInput:
    """One video file or one folder of images.

    label: what messages call it; stem: what its output files are called.
    """

    path: Path
    label: str
    stem: str


def expand_inputs(texts: Sequence[str]) -> tuple[list[TrackInput], list[str]]:
    """Turn arguments into inputs.

    A folder with videos stands for its videos, not looking deeper and passing over our own ``*.tracked.mp4``;
    a folder with images and no video is one sequence. Patterns (``*``, ``?``, ``[]``, ``**``) that the shell
    left alone are expanded, and ``demo`` is the bundled clip. An input named twice is taken once.

    Returns:
        The inputs in the order given, and one line for each argument that names nothing.

    Raises:
        UsageError: an argument is a camera or a network address.
    """
    inputs: dict[Path, TrackInput] = {}
    failures: list[str] = []
    for text in texts:
        try:
            for found in _expand(text):
                inputs.setdefault(found.path.resolve(), found)
        except SourceError as error:
            failures.append(str(error))
    return list(inputs.values()), failures


def request_for(text: str) -> SourceRequest:
    """Return the request for a path, a camera's number, an address, or `demo`.

    A folder is a sequence of images; the name for people has no password in it.
    """
    if text == DEMO:
        return SourceRequest(demo_clip(), DEMO)
    if NETWORK.match(text):
        return SourceRequest(text, mask_address(re.sub(r"//[^/@]*@", "//", text)))
    if text.isdecimal() and not Path(text).exists():
        return SourceRequest(text, f"Camera {text}")
    return SourceRequest(Path(text), Path(text).name or text)


def set_apart(inputs: Sequence[TrackInput]) -> tuple[list[TrackInput], dict[Path, str]]:
    """Take out inputs whose outputs would have the same names, upper and lower case taken as equal.

    Returns:
        The inputs that have a name of their own, and of each of the others its path and what to do.
    """
    by_stem: dict[str, list[TrackInput]] = {}
    for item in inputs:
        by_stem.setdefault(item.stem.casefold(), []).append(item)
    refused: dict[Path, str] = {}
    for stem, group in by_stem.items():
        for item in group if len(group) > 1 else ():
            other = next(one for one in group if one is not item)
            refused[item.path] = (
                f"{item.label} and {other.label} would both be written to {item.stem}.csv; "
                "track them in two runs with different --out, or rename one"
            )
        if stem == REPORT_STEM:
            refused[group[0].path] = (
                f"{group[0].label} would be written to {REPORT_STEM}.csv, where the summary of the batch "
                "goes; rename it"
            )
    return [item for item in inputs if item.path not in refused], refused


def count_bytes(path: Path) -> int:
    """Return the size of a file or of the images in a folder, at least 1."""
    try:
        files = list_images(path) if path.is_dir() else [path]
        return max(1, sum(file.stat().st_size for file in files))
    except OSError as error:
        # Only for the share of the whole: that the file cannot be read is told when its turn comes.
        LOGGER.debug("the size of %s is not known: %s", path, error)
        return 1


def _expand(text: str) -> list[TrackInput]:
    if text == DEMO:
        clip = demo_clip()
        if not clip.is_file():
            raise SourceError(f"the bundled demo clip {clip} is missing; install the package again")
        return [TrackInput(clip, DEMO, DEMO)]
    path = Path(text)
    if path.is_dir():
        return _folder(path)
    if is_live(text):
        raise UsageError(
            f"{text} looks like a camera or a network address; `track` takes video files, image files and "
            "folders of them"
        )
    if path.exists():
        return [_single(path)]
    if not has_magic(text):
        raise SourceError(f"{text}: no such file or folder")
    matches = sorted((Path(match) for match in glob(text, recursive=True)), key=natural_key)
    if not matches:
        raise SourceError(f"{text}: the pattern matches nothing")
    # Folders that a pattern happens to match are taken only where they hold something to track.
    files = [_single(match) for match in matches if not match.is_dir()]
    folders = [match for match in matches if match.is_dir() and any(_content(match))]
    return files + [item for folder in folders for item in _folder(folder)]


def _single(path: Path) -> TrackInput:
    return TrackInput(path, str(path), path.stem)


def _content(folder: Path) -> tuple[list[Path], bool]:
    """Return the videos of a folder in natural order of their names, and whether it holds images."""
    videos = [
        entry
        for entry in folder.iterdir()
        if entry.suffix.lower() in VIDEO_SUFFIXES
        and not entry.name.startswith(".")
        and not entry.name.lower().endswith(TRACKED_SUFFIX)
        and entry.is_file()
    ]
    return sorted(videos, key=natural_key), bool(list_images(folder))


def _folder(folder: Path) -> list[TrackInput]:
    try:
        videos, has_images = _content(folder)
    except OSError as error:
        raise SourceError(f"{folder}: the folder cannot be read: {error.strerror}") from error
    if videos:
        return [_single(video) for video in videos]
    if has_images:
        return [TrackInput(folder, str(folder), folder.resolve().name or "images")]
    raise SourceError(f"{folder}: the folder holds no video and no image; folders in it are not looked into")
