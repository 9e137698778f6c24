"""Inputs from which the ranges of an INT8 network are read: pictures of the user's, or the bundled clip.

People to crop are those of the clip's exact truth, and in other pictures those whom the default bottom-up
model finds on the CPU.
"""

import csv
import hashlib
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from assets import demo_clip, demo_truth
from engine.errors import SourceError, UsageError
from engine.estimator.bottom_up import BottomUpEstimator
from engine.model import open_model
from engine.model_file import ModelSpec, file_sha256
from engine.prepare import crop_people, letterbox
from engine.settings import EstimatorSettings
from engine.sources.images import IMAGE_SUFFIXES, natural_key, read_image
from engine.sources.video import open_video
from engine.structures import Image

LOGGER = logging.getLogger(__name__)

CROPS, PICTURES = 128, 32
"""So many inputs of a top-down and of a bottom-up network: more change the ranges little, and take longer."""
FINDER = "default-bottom-up"
MIN_SIDE = 16.0
"""Shorter people, px of the frame, are not what a crop usually shows."""


@dataclass(frozen=True, slots=True)
class Calibration:
    """Where calibration inputs come from. folder: of pictures, searched deeply; None is the bundled clip."""

    folder: Path | None = None

    @property
    def source(self) -> str:
        """What the inputs are, for people."""
        return "the demo clip" if self.folder is None else f"the pictures in {self.folder}"

    def digest(self) -> str:
        """Return hexadecimal text that changes with the pictures; none is decoded.

        Raises:
            SourceError: the folder is missing or holds no picture, or one cannot be read.
        """
        files = [demo_clip(), demo_truth()] if self.folder is None else list_pictures(self.folder)
        digest = hashlib.sha256(f"{CROPS} {PICTURES}".encode())
        try:
            for file in files:
                digest.update(file_sha256(file).encode())
        except OSError as error:
            raise SourceError(f"{error.filename} cannot be read for calibration: {error}") from error
        return digest.hexdigest()

    def inputs(self, spec: ModelSpec) -> list[NDArray[np.float32]]:
        """Return inputs as the model meets them: people's crops, or whole pictures at the model's short side.

        Returns:
            At most `CROPS` or `PICTURES` arrays (1, 3, h, w) float32, normalised.

        Raises:
            SourceError: no picture can be read.
            UsageError: nobody is found in them, for a top-down model.
        """
        if spec.kind == "bottom-up":
            return [letterbox(image, spec)[0] for image, _ in self._pictures(PICTURES, boxes=False)]
        crops: list[NDArray[np.float32]] = []
        for image, boxes in self._pictures(CROPS, boxes=True):
            crops += [crop_people(image, box[None], spec)[0] for box in boxes]
        if not crops:
            raise UsageError(
                f"nobody was found in {self.source}, but calibrating a top-down model needs people; give "
                "pictures with some"
            )
        return [crops[index] for index in _spread(len(crops), CROPS)]

    def _pictures(self, count: int, *, boxes: bool) -> Iterator[tuple[Image, NDArray[np.float32]]]:
        """Yield at most `count` pictures, each with its people's boxes (N, 4) xyxy px where asked for."""
        if self.folder is None:
            yield from _clip_frames(count)
        else:
            yield from _folder_pictures(list_pictures(self.folder), count, boxes=boxes)


def list_pictures(folder: Path) -> list[Path]:
    """Return the images in a folder and those below it, in natural order.

    Raises:
        SourceError: there is no such folder, or none in it.
    """
    if not folder.is_dir():
        raise SourceError(f"calibration folder {folder} does not exist; name a folder of pictures")
    files = [file for file in folder.rglob("*") if file.suffix.lower() in IMAGE_SUFFIXES and file.is_file()]
    if not files:
        raise SourceError(
            f"calibration folder {folder} holds no picture ({', '.join(sorted(IMAGE_SUFFIXES))})"
        )
    return sorted(files, key=natural_key)


def _spread(total: int, count: int) -> list[int]:
    """Return at most `count` indices below `total`, evenly spread."""
    return sorted({int(index) for index in np.linspace(0, total - 1, min(total, count))})


def _clip_frames(count: int) -> Iterator[tuple[Image, NDArray[np.float32]]]:
    truth = _clip_boxes(demo_truth())
    wanted = set(_spread(max(truth) + 1, count))
    with open_video(demo_clip()) as source:
        for frame in source:
            if frame.index in wanted:
                yield frame.image, truth.get(frame.index, np.zeros((0, 4), np.float32))


def _clip_boxes(path: Path) -> dict[int, NDArray[np.float32]]:
    """Read frame index to the boxes (N, 4) of the people in it, those outside the picture left out."""
    boxes: dict[int, list[list[float]]] = {}
    try:
        with path.open(newline="", encoding="utf-8") as stream:
            for row in csv.DictReader(stream):
                sides = [row[f"bbox_{side}"] for side in ("x1", "y1", "x2", "y2")]
                if all(sides):
                    boxes.setdefault(int(row["frame"]), []).append([float(side) for side in sides])
    except (OSError, KeyError, ValueError) as error:
        raise SourceError(
            f"the truth of the demo clip, {path}, cannot be read ({error}); install the package again"
        ) from error
    return {frame: _large(np.asarray(people, np.float32)) for frame, people in boxes.items()}


def _folder_pictures(
    files: list[Path], count: int, *, boxes: bool
) -> Iterator[tuple[Image, NDArray[np.float32]]]:
    finder = None
    model = open_model(FINDER) if boxes else None
    if model is not None:
        finder = BottomUpEstimator(model, EstimatorSettings())
    read = 0
    try:
        for index in _spread(len(files), count):
            try:
                image = read_image(files[index])
            except SourceError as error:
                LOGGER.warning("%s; skipped", error)
                continue
            read += 1
            people = [] if finder is None else finder.estimate(image)
            yield image, _large(np.asarray([person.bbox for person in people], np.float32).reshape(-1, 4))
    finally:
        if model is not None:
            model.close()
    if not read:
        raise SourceError(f"none of the {len(files)} pictures for calibration can be read; are they damaged?")


def _large(boxes: NDArray[np.float32]) -> NDArray[np.float32]:
    return boxes[(boxes[:, 2:] - boxes[:, :2]).min(axis=1) >= MIN_SIDE]
