"""Read COCO-format keypoint files into typed samples; the first station of training and evaluation.

Beside the COCO fields an annotation may carry ``kp_weight`` (K floats that multiply the heatmap loss) and
``teacher_agreement`` (share of limb keypoints that a teacher network confirms, -1 unknown).
"""

import json
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from engine.errors import UsageError
from engine.skeleton import Skeleton
from train.data.labels import Float, ImageLabel, PersonLabel


def load_coco(
    annotations: Path,
    images: Path,
    skeleton: Skeleton,
    *,
    image_ids: Iterable[int] | None = None,
    min_teacher_agreement: float = 0.0,
) -> list[ImageLabel]:
    """Read a COCO keypoint file.

    Args:
        annotations: JSON file with ``images`` and ``annotations``.
        images: folder that ``file_name`` is relative to.
        skeleton: its K must equal the number of keypoints of each annotation.
        image_ids: keep only these images; None keeps all.
        min_teacher_agreement: a person with ``0 <= teacher_agreement < min_teacher_agreement`` becomes an
            ignore box: the label is probably wrong.

    Returns:
        Images in the order of the file, also those without people. A crowd or a person without any labelled
        keypoint becomes an ignore box.

    Raises:
        UsageError: the file is missing, is not COCO JSON, or has another number of keypoints.
    """
    if not annotations.is_file():
        raise UsageError(f"annotation file {annotations} does not exist; give a COCO keypoint JSON file")
    try:
        content = json.loads(annotations.read_text(encoding="utf-8"))
        image_entries, annotation_entries = content["images"], content["annotations"]
    except (json.JSONDecodeError, UnicodeDecodeError, KeyError, TypeError) as error:
        raise UsageError(
            f"{annotations} is not a COCO keypoint file ({error}); expected images and annotations"
        ) from error
    by_image: dict[int, list[dict]] = {}
    for entry in annotation_entries:
        by_image.setdefault(entry["image_id"], []).append(entry)
    wanted = None if image_ids is None else set(image_ids)
    labels = []
    for info in image_entries:
        if wanted is not None and info["id"] not in wanted:
            continue
        people, ignore = [], []
        for entry in by_image.get(info["id"], []):
            x, y, width, height = entry["bbox"]
            bbox = np.array([x, y, x + width, y + height], np.float32)
            person = None if entry.get("iscrowd", 0) else _read_person(entry, bbox, skeleton, annotations)
            agreement = entry.get("teacher_agreement", -1)
            if person is None or 0 <= agreement < min_teacher_agreement:
                ignore.append(bbox)
            else:
                people.append(person)
        labels.append(
            ImageLabel(
                image_id=info["id"],
                path=images / info["file_name"],
                source=str(info.get("source", "")),
                people=tuple(people),
                ignore_bboxes=np.array(ignore, np.float32).reshape(-1, 4),
            )
        )
    return labels


def _read_person(entry: dict, bbox: Float, skeleton: Skeleton, path: Path) -> PersonLabel | None:
    values = np.asarray(entry.get("keypoints", []), np.float32)
    if values.size == 0 and entry.get("num_keypoints", 0) == 0:
        return None
    if values.size != 3 * skeleton.count:
        raise UsageError(
            f"{path}: annotation {entry['id']} has {values.size / 3:g} keypoints, skeleton {skeleton.name!r} "
            f"needs {skeleton.count}; choose the skeleton of this file"
        )
    values = values.reshape(-1, 3)
    visibility = values[:, 2].astype(np.int64)
    if not visibility.any():
        return None
    weights = np.asarray(entry.get("kp_weight", np.ones(skeleton.count)), np.float32)
    return PersonLabel(
        annotation_id=entry["id"],
        keypoints=values[:, :2].copy(),
        visibility=visibility,
        weights=np.where(visibility > 0, weights, 0).astype(np.float32),
        bbox=bbox,
        area=float(entry.get("area", 0.0)) or float((bbox[2] - bbox[0]) * (bbox[3] - bbox[1])),
    )


def read_split(path: Path, name: str) -> list[int]:
    """Return the image ids of one side of a split file ``{"train": [...], "val": [...]}``."""
    split = json.loads(path.read_text(encoding="utf-8"))
    if name not in split:
        raise UsageError(f"{path} has no split {name!r}; it has {sorted(split)}")
    return list(split[name])
