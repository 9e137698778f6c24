"""Pictures of an evaluation report: a person as predicted beside the same person as labelled."""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from engine.skeleton import Skeleton
from engine.structures import Image
from train.data.labels import read_image
from train.protocols.pairing import Judged

PANEL_HEIGHT = 260
MAX_PANEL_WIDTH = 320
MARGIN = 0.15
"""Share of the longer side shown around the person."""
LEFT_BGR, RIGHT_BGR, MIDDLE_BGR = (60, 180, 255), (255, 150, 60), (120, 220, 120)
"""Orange the person's left, blue the right, green the middle."""
FAINT_SCORE = 0.2
"""Predicted keypoints scored below this are drawn hollow."""


@dataclass(frozen=True, slots=True, eq=False)
class Picture:
    """One entry of a gallery: caption and (H, W, 3) uint8 BGR."""

    caption: str
    image: Image


def draw_gallery(judged: Sequence[Judged], skeleton: Skeleton) -> list[Picture]:
    """Draw people side by side: left as predicted, right as labelled.

    Raises:
        SourceError: a picture cannot be read any more.
    """
    return [_draw(item, skeleton) for item in judged]


def _draw(item: Judged, skeleton: Skeleton) -> Picture:
    image = read_image(item.label.path)
    person, found = item.person, item.found
    region, scale = _region(item, image)
    panels = []
    for keypoints, scores in (
        (None, None) if found is None else (found.keypoints, found.scores),
        (person.keypoints, np.where(person.visibility > 0, 1.0, np.nan)),
    ):
        panel = _cut(image, region, scale)
        if keypoints is None or scores is None:
            cv2.putText(
                panel, "not found", (8, 24), cv2.FONT_HERSHEY_SIMPLEX, 0.6, (60, 60, 255), 2, cv2.LINE_AA
            )
        else:
            points = (keypoints.astype(np.float64) - region[:2] + 0.5) * scale - 0.5
            _draw_pose(panel, points, scores, skeleton)
        panels.append(panel)
    gap = np.full((panels[0].shape[0], 4, 3), 255, np.uint8)
    return Picture(
        f"{item.label.path.name}, person {person.annotation_id}, OKS {item.oks:.2f}",
        np.concatenate([panels[0], gap, panels[1]], axis=1),
    )


def _region(item: Judged, image: Image) -> tuple[NDArray[np.float64], float]:
    """Return what to show as (4,) xyxy whole image px inside the image, and panel px per image px.

    It holds the label, and as much of the prediction as lies within one box around it.
    """
    box = item.person.bbox.astype(np.float64)
    size = np.maximum(box[2:] - box[:2], 8)
    low, high = box[:2], box[2:]
    if item.found is not None:
        near = np.clip(item.found.keypoints, box[:2] - 0.5 * size, box[2:] + 0.5 * size)
        low, high = np.minimum(low, near.min(axis=0)), np.maximum(high, near.max(axis=0))
    margin = MARGIN * float((high - low).max())
    limit = np.array([image.shape[1], image.shape[0]], np.float64)
    low = np.floor(np.clip(low - margin, 0, limit - 8))
    high = np.ceil(np.clip(high + margin, low + 8, limit))
    width, height = high - low
    return np.concatenate([low, high]), float(min(PANEL_HEIGHT / height, MAX_PANEL_WIDTH / width))


def _cut(image: Image, region: NDArray[np.float64], scale: float) -> Image:
    x1, y1, x2, y2 = (int(value) for value in region)
    size = (max(round((x2 - x1) * scale), 1), max(round((y2 - y1) * scale), 1))
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(image[y1:y2, x1:x2], size, interpolation=how), np.uint8)


def _draw_pose(
    panel: Image, points: NDArray[np.float64], scores: NDArray[np.floating], skeleton: Skeleton
) -> None:
    """Draw limbs and keypoints; those with a NaN score are not known."""
    known = np.isfinite(scores) & np.isfinite(points).all(axis=1) & (np.abs(points) < 4096).all(axis=1)
    places = [(round(float(x) * 16), round(float(y) * 16)) for x, y in np.where(known[:, None], points, 0)]
    for first, second in skeleton.limbs:
        if known[first] and known[second]:
            for colour, width in (((0, 0, 0), 4), (_colour(skeleton, first, second), 2)):
                cv2.line(panel, places[first], places[second], colour, width, cv2.LINE_AA, 4)
    for index in np.flatnonzero(known):
        colour = _colour(skeleton, int(index))
        cv2.circle(panel, places[index], 4 * 16, (0, 0, 0), -1, cv2.LINE_AA, 4)
        filled = float(scores[index]) >= FAINT_SCORE
        cv2.circle(panel, places[index], 3 * 16, colour, -1 if filled else 1, cv2.LINE_AA, 4)


def _colour(skeleton: Skeleton, *indices: int) -> tuple[int, int, int]:
    names = [skeleton.keypoints[index] for index in indices]
    if all(name.startswith("left_") for name in names):
        return LEFT_BGR
    return RIGHT_BGR if all(name.startswith("right_") for name in names) else MIDDLE_BGR
