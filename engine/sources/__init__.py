"""Sources: where frames come from. `open_source` is the one door."""

import math
import re
from pathlib import Path

from engine.errors import SourceError, UsageError
from engine.sources.source import Source, SourceInfo

__all__ = ["Source", "SourceInfo", "open_source"]

_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
_CAMERA = re.compile(r"\d+|/dev/video\d+")

# The readers are imported when one is needed: each loads a large library.


def open_source(spec: str | Path, *, fps: float = 30.0, stills: bool = False) -> Source:
    """Open a video file, a folder of images, or one image.

    Args:
        spec: a path. A folder is one sequence of images in natural name order.
        fps: frames per second of an image sequence; a video has its own.
        stills: the images of a folder are independent pictures. A single image always is.

    Returns:
        A source of which at least one frame can be read; close it, or use it in ``with``.

    Raises:
        SourceError: there is nothing of that name, or nothing in it that can be read.
        UsageError: a camera or network address, or an impossible `fps`.
    """
    text, path = str(spec), Path(spec)
    if not (math.isfinite(fps) and fps > 0):
        raise UsageError(f"fps must be a number above 0, got {fps}")
    if _URL.match(text) or (_CAMERA.fullmatch(text) and not path.is_file() and not path.is_dir()):
        raise UsageError(
            f"{text} looks like a camera or a network address; sources are video files, image files and "
            "folders of images"
        )
    try:
        if path.is_dir():
            from engine.sources.images import open_images

            return open_images(path, fps=fps, stills=stills)
        _check_file(path)
    except OSError as error:
        raise SourceError(f"{path} cannot be read: {error.strerror or error}") from error
    from engine.sources.images import IMAGE_SUFFIXES, open_images

    if path.suffix.lower() in IMAGE_SUFFIXES:
        return open_images(path, fps=fps, stills=True)
    from engine.sources.video import open_video

    return open_video(path)


def _check_file(path: Path) -> None:
    if not path.exists():
        raise SourceError(f"{path}: no such file or folder")
    if not path.is_file():
        raise SourceError(f"{path} is neither a file nor a folder; sources are video files and image folders")
    with path.open("rb") as stream:
        if not stream.read(1):
            raise SourceError(f"{path} is empty (0 bytes); was it copied or recorded to its end?")
