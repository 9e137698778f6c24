"""What every data format is read into: pictures with their people, the one form that training knows."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from engine.errors import SourceError, UsageError
from engine.geometry import Size

Float = NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class PersonLabel:
    """One labelled person.

    annotation_id: id in the file. keypoints: (K, 2) float32 image px. visibility: (K,) COCO v, 0 no label.
    weights: (K,) loss weights, 0 where there is no label. bbox: (4,) xyxy image px. area: px².
    track_id: who it is through a sequence (PoseTrack). head_size: length in px that PCKh is relative to
    (MPII, PoseTrack: 0.6 of the head box's diagonal).
    """

    annotation_id: int
    keypoints: Float
    visibility: NDArray[np.int64]
    weights: Float
    bbox: Float
    area: float
    track_id: int | None = None
    head_size: float | None = None


@dataclass(frozen=True, slots=True, eq=False)
class ImageLabel:
    """One image with its people and (N, 4) xyxy boxes whose inside says nothing about people.

    ignore_mask: paints those regions exactly, where the data set outlines them: (height, width) of the image
    to bool (height, width), true where nothing may be said. sequence, frame: the video that it is part of.
    ignore_crowds: (N,) bool, which of the boxes hold several people, and ignore_areas: (N,) px² of what they
    hold; None where that is not known.
    """

    image_id: int
    path: Path
    source: str
    people: tuple[PersonLabel, ...]
    ignore_bboxes: Float
    ignore_mask: Callable[[Size], NDArray[np.bool_]] | None = None
    sequence: str = ""
    frame: int = 0
    ignore_crowds: NDArray[np.bool_] | None = None
    ignore_areas: Float | None = None


def read_image(path: Path) -> NDArray[np.uint8]:
    """Read an image as (H, W, 3) uint8 BGR as stored: the labels know nothing of EXIF rotation.

    The bytes are decoded from memory: from a file OpenCV 5 fills up what a cut-off JPEG lacks without a word.

    Raises:
        SourceError: the file is missing or is no whole image.
    """
    try:
        content = np.fromfile(path, np.uint8)
    except OSError as error:
        raise SourceError(f"image {path} is missing or cannot be read; check the images folder") from error
    image = decode_image(content)
    if image is None:
        raise SourceError(f"image {path} is damaged, cut off or no image; replace it or drop its labels")
    return image


def decode_image(content: NDArray[np.uint8]) -> NDArray[np.uint8] | None:
    """Decode the bytes of an image file to (H, W, 3) uint8 BGR; None where they are no whole image."""
    if not content.size:
        return None
    image = cv2.imdecode(content, cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
    return None if image is None else np.asarray(image, np.uint8)


def read_json(path: Path, what: str) -> Any:
    """Read a JSON file.

    Args:
        path: the file.
        what: what it should be, for the error, such as "COCO keypoint file".

    Raises:
        UsageError: the file is missing or is not JSON.
    """
    if not path.is_file():
        raise UsageError(f"annotation file {path} does not exist; give a {what}")
    try:
        return json.loads(path.read_bytes())
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} is not a {what}: it is no JSON ({error})") from error


def picture_name(path: Path, images: Path) -> str:
    """Return what a split file calls a picture: its path within the folder, with forward slashes."""
    return path.relative_to(images).as_posix() if path.is_relative_to(images) else path.as_posix()


def mean_area(bbox: Float) -> float:
    """Return the area of a person of whom only the box (4,) xyxy is known: 0.53 of it, COCO's mean."""
    return 0.53 * float((bbox[2] - bbox[0]) * (bbox[3] - bbox[1]))


def count_people(labels: list[ImageLabel]) -> int:
    """Return the number of labelled people."""
    return sum(len(label.people) for label in labels)
