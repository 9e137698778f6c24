"""What every data format is read into: pictures with their people, the one form that training knows."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from engine.errors import SourceError
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
    """

    image_id: int
    path: Path
    source: str
    people: tuple[PersonLabel, ...]
    ignore_bboxes: Float
    ignore_mask: Callable[[Size], NDArray[np.bool_]] | None = None
    sequence: str = ""
    frame: int = 0


def read_image(path: Path) -> NDArray[np.uint8]:
    """Read an image as (H, W, 3) uint8 BGR as stored: the labels know nothing of EXIF rotation.

    Raises:
        SourceError: the file is missing or is no readable image.
    """
    image = cv2.imread(str(path), cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
    if image is None:
        raise SourceError(f"image {path} is missing or cannot be read; check the images folder")
    return np.asarray(image, np.uint8)


def count_people(labels: list[ImageLabel]) -> int:
    """Return the number of labelled people."""
    return sum(len(label.people) for label in labels)
