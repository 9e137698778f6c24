"""Folders of images: one sequence at a given rate, or independent pictures."""

import re
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

import cv2
import numpy as np

from engine.errors import SourceError
from engine.sources.picture import fit_image
from engine.sources.source import PrefetchedSource, ReadLog, SourceInfo
from engine.structures import Frame, Image

IMAGE_SUFFIXES = frozenset((".bmp", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"))
"""Files that count as images, in lower case."""


def open_images(path: Path, *, fps: float, stills: bool, start_s: float = 0.0) -> PrefetchedSource:
    """Open a folder of images, or one image, see `engine.sources.open_source`.

    Images are taken in natural order of their names (2 before 10), turned as their EXIF orientation says, and
    converted to 8-bit BGR. In a sequence, an image of another size than the first is scaled into that size,
    proportions kept, with a warning. An image that cannot be read is skipped and keeps its place in
    `Frame.index`. `Frame.time_s` is the index over `fps`; for stills it is the index. From a `start_s` beyond
    the end, the last image that can be read is left.

    Raises:
        SourceError: there is no image, or none can be read.
    """
    files = list_images(path) if path.is_dir() else [path]
    if not files:
        raise SourceError(
            f"{path}: the folder holds no image ({', '.join(sorted(IMAGE_SUFFIXES))}); "
            "folders in it are not looked into"
        )
    log = ReadLog()
    rate = None if stills else fps
    start = min(round(start_s * (rate or 1.0)), len(files) - 1)
    # A sequence has the size of its first image, wherever reading starts.
    size = _first_size(files) if start and not stills else None
    frames = _read_frames(files, rate, log, start, size)
    first = next(frames, None)
    while first is None and start > 0:
        start -= 1
        log.warnings.clear()
        frames = _read_frames(files, rate, log, start, size)
        first = next(frames, None)
    if first is None:
        what = f"none of its {len(files)} images can" if path.is_dir() else "the image cannot"
        raise SourceError(f"{path}: {what} be read; damaged, or of another type than the name says?")
    height, width = first.image.shape[:2]
    info = SourceInfo(
        name=path.resolve().name,
        path=path,
        size=size or (height, width),
        fps=None if stills else fps,
        duration_s=None if stills else len(files) / fps,
        frame_count=len(files),
        stills=stills,
    )
    return PrefetchedSource(info, chain([first], frames), log, first_index=start)


def list_images(folder: Path) -> list[Path]:
    """Return the images of a folder in natural order of their names; hidden files are passed over."""
    files = [
        entry
        for entry in folder.iterdir()
        if entry.suffix.lower() in IMAGE_SUFFIXES and not entry.name.startswith(".") and entry.is_file()
    ]
    return sorted(files, key=natural_key)


def natural_key(path: Path) -> tuple[list[tuple[int, int, str]], str]:
    """Return a sort key under which numbers in names count as numbers."""
    parts = re.findall(r"\d+|\D+", path.name.casefold())
    return [(0, int(part), "") if part.isdecimal() else (1, 0, part) for part in parts], path.name


def read_image(path: Path) -> Image:
    """Read one image as (H, W, 3) uint8 BGR, upright.

    Raises:
        SourceError: it cannot be read.
    """
    try:
        # Not cv2.imread: on Windows it cannot open names outside the local code page.
        data = np.fromfile(path, np.uint8)
        image = cv2.imdecode(data, cv2.IMREAD_COLOR) if data.size else None
    except (OSError, cv2.error) as error:
        raise SourceError(f"{path} cannot be read: {error}") from error
    if image is None:
        raise SourceError(f"{path} is no image that can be read")
    return np.asarray(image, np.uint8)


def _first_size(files: list[Path]) -> tuple[int, int] | None:
    for file in files:
        try:
            height, width = read_image(file).shape[:2]
        except SourceError:
            continue  # It is named when it is its turn.
        return height, width
    return None


def _read_frames(
    files: list[Path], fps: float | None, log: ReadLog, start: int = 0, size: tuple[int, int] | None = None
) -> Iterator[Frame]:
    """Yield the images that can be read from one on; `fps` None leaves each in its own size."""
    for index, file in enumerate(files[start:], start):
        log.position = index + 1
        try:
            image = read_image(file)
        except SourceError as error:
            log.warn(f"{error}; skipped")
            continue
        if fps is not None:
            size = size or image.shape[:2]
            if image.shape[:2] != size:
                log.warn(
                    f"{file.name} is {image.shape[1]}x{image.shape[0]}, the first image {size[1]}x{size[0]}; "
                    "it is scaled into that size"
                )
                image = fit_image(image, size)
        yield Frame(image, index, index / fps if fps is not None else float(index))
