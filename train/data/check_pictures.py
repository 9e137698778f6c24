"""Find pictures that are missing, damaged, cut off, of another size than the labels say, or unused."""

import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from engine.geometry import Size
from train.data.findings import Finding
from train.data.labels import ImageLabel, decode_image

Progress = Callable[[int, int], None]
SUFFIXES = {".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff"}
JPEG_START = b"\xff\xd8"
SHOWN_NAMES = 3
_MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")


def check_pictures(
    labels: Iterable[ImageLabel],
    stated: Mapping[int, Size],
    file: str,
    *,
    read: bool,
    progress: Progress | None = None,
) -> tuple[list[Finding], dict[int, Size]]:
    """Look at the picture of every label.

    Args:
        labels: the images of one source.
        stated: image id to (height, width) as the annotation file has it.
        file: name of the annotation file, for the findings.
        read: decode each picture whole; otherwise only look whether it is there.
        progress: called with the number of pictures done and of all.

    Returns:
        Findings, and image id to (height, width) of those that could be decoded.
    """
    labels = list(labels)
    findings: list[Finding] = []
    sizes: dict[int, Size] = {}
    before = cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    try:
        for done, label in enumerate(labels, start=1):
            kind, text, size = inspect_picture(label.path, read=read)
            if size is not None:
                sizes[label.image_id] = size
                text = _compare_sizes(label.path, size, stated.get(label.image_id))
                kind = "wrong-size" if text else ""
            if kind:
                findings.append(Finding(kind, file, label.image_id, None, text))
            if progress is not None:
                progress(done, len(labels))
    finally:
        cv2.utils.logging.setLogLevel(before)
    return findings, sizes


def inspect_picture(path: Path, *, read: bool = True) -> tuple[str, str, Size | None]:
    """Return the kind of the fault, "" for none, a sentence on it, and (height, width) if it was decoded."""
    if not path.is_file():
        return "missing-image", f"picture {path} does not exist", None
    if not read:
        return "", "", None
    try:
        content = np.fromfile(path, np.uint8)
    except OSError as error:
        return "broken-image", f"picture {path} cannot be read ({error.strerror})", None
    if not content.size:
        return "broken-image", f"picture {path} is empty", None
    if is_cut_jpeg(content.tobytes()):
        return "broken-image", f"picture {path} is cut off: the JPEG has no end", None
    image = decode_image(content)
    if image is None:
        return "broken-image", f"picture {path} is damaged or no image", None
    return "", "", _size(image)


def _size(image: NDArray[np.uint8]) -> Size:
    return image.shape[0], image.shape[1]


def _compare_sizes(path: Path, size: Size, stated: Size | None) -> str:
    if stated is None or stated == size:
        return ""
    turned = "; it was labelled turned by its EXIF orientation" if stated == size[::-1] else ""
    return (
        f"picture {path} is {size[1]} × {size[0]} px (width × height), the file says "
        f"{stated[1]} × {stated[0]}{turned}"
    )


def is_cut_jpeg(content: bytes) -> bool:
    """Return whether a JPEG ends before its end marker; false for other files.

    Decoders fill up what is missing, some without a word. The marker is looked for where it counts: segments
    are skipped by their length, since a preview within them has an end of its own, and within the compressed
    data a 0xFF that is followed by 0 or a restart marker is data (ITU-T T.81, B.1.1).
    """
    if not content.startswith(JPEG_START):
        return False
    place = len(JPEG_START)
    while match := _MARKER.search(content, place):
        marker, place = content[match.start() + 1], match.end()
        if marker == 0xD9:
            return False
        place += int.from_bytes(content[place : place + 2], "big")
    return True


def find_unused(images: Path, used: Iterable[Path]) -> list[Finding]:
    """Return one finding that counts the pictures of a folder that no label names; none if all are named."""
    if not images.is_dir():
        return []
    known = {path.absolute() for path in used}
    unused = sorted(
        path for path in images.rglob("*") if path.suffix.lower() in SUFFIXES and path.absolute() not in known
    )
    if not unused:
        return []
    names = ", ".join(str(path.relative_to(images)) for path in unused[:SHOWN_NAMES])
    more = ", …" if len(unused) > SHOWN_NAMES else ""
    return [
        Finding(
            "unused-image", str(images), None, None, f"no label names {len(unused)} pictures: {names}{more}"
        )
    ]
