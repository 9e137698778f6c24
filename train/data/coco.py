"""Read COCO-format keypoint files into typed samples; the first station of training and evaluation.

Beside the COCO fields an annotation may carry ``kp_weight`` (K floats that multiply the heatmap loss) and
``teacher_agreement`` (share of limb keypoints that a teacher network confirms, -1 unknown).
"""

from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Any

import numpy as np

from engine.errors import UsageError
from engine.skeleton import Skeleton
from train.data.labels import Float, ImageLabel, PersonLabel, mean_area, read_json
from train.data.masks import Region, lazy_mask

OTHER_NAMES = {"head": "head_top", "top_head": "head_top", "bottom_head": "head_bottom"}
"""What published files call keypoints that this project's skeletons name otherwise."""


def load_coco(
    annotations: Path,
    images: Path,
    skeleton: Skeleton,
    *,
    image_ids: Iterable[int | str] | None = None,
    min_teacher_agreement: float = 0.0,
) -> list[ImageLabel]:
    """Read a COCO keypoint file.

    Args:
        annotations: JSON file with ``images`` and ``annotations``.
        images: folder that ``file_name`` is relative to.
        skeleton: its keypoints must be those of the file, in its order.
        image_ids: keep only these images, by id or file name; None keeps all.
        min_teacher_agreement: a person with ``0 <= teacher_agreement < min_teacher_agreement`` becomes an
            ignore box: the label is probably wrong.

    Returns:
        Images in the order of the file, also those without people. A crowd, or a person without any
        labelled keypoint or whose box has no extent, becomes an ignore box and, where it is outlined, a part
        of the ignore mask.

    Raises:
        UsageError: the file is missing, is not COCO JSON, or has other keypoints.
    """
    content = read_coco(annotations)
    check_names(content, skeleton, annotations)
    return parse_coco(
        content,
        annotations,
        images,
        skeleton,
        image_ids=None if image_ids is None else set(image_ids),
        min_teacher_agreement=min_teacher_agreement,
    )


def read_coco(path: Path) -> dict[str, Any]:
    """Read a JSON file that has COCO's ``images`` and ``annotations``.

    Raises:
        UsageError: it is missing or has not.
    """
    content = read_json(path, "COCO keypoint file")
    if not isinstance(content, dict) or not all(
        isinstance(content.get(key), list) for key in ("images", "annotations")
    ):
        raise UsageError(f"{path} is not a COCO keypoint file: it must have the lists images and annotations")
    return content


def check_names(content: dict[str, Any], skeleton: Skeleton, path: Path) -> None:
    """Compare the keypoints that a file names in its categories, if it does, with those of the skeleton.

    Raises:
        UsageError: they differ.
    """
    for category in content.get("categories") or []:
        names = [str(name).strip().lower().replace(" ", "_") for name in category.get("keypoints") or []]
        names = [name if name in skeleton.keypoints else OTHER_NAMES.get(name, name) for name in names]
        expected = [name.lower() for name in skeleton.keypoints]
        if names and names != expected:
            raise UsageError(f"{path}: {_first_difference(names, expected, skeleton.name)}")


def _first_difference(names: list[str], expected: list[str], skeleton: str) -> str:
    if len(names) != len(expected):
        return (
            f"the file has {len(names)} keypoints, skeleton {skeleton!r} needs {len(expected)}; "
            "choose the skeleton of this file"
        )
    index = next(i for i, (name, other) in enumerate(zip(names, expected)) if name != other)
    return (
        f"keypoint {index} is {names[index]} in the file but {expected[index]} in skeleton {skeleton!r}; "
        "choose the skeleton of this file"
    )


def parse_coco(
    content: dict[str, Any],
    path: Path,
    images: Path,
    skeleton: Skeleton,
    *,
    image_ids: Collection[int | str] | None = None,
    min_teacher_agreement: float = 0.0,
) -> list[ImageLabel]:
    """Turn the content of a COCO file into labels; see `load_coco`, whose file `path` is named in errors."""
    by_image: dict[int, list[dict[str, Any]]] = {}
    for entry in content["annotations"]:
        by_image.setdefault(_field(entry, "image_id", path), []).append(entry)
    labels = []
    for info in content["images"]:
        image_id, name = _field(info, "id", path), _field(info, "file_name", path)
        if image_ids is not None and image_id not in image_ids and name not in image_ids:
            continue
        people: list[PersonLabel] = []
        ignored: list[tuple[float, ...]] = []
        crowds: list[bool] = []
        areas: list[float] = []
        regions: list[Region] = []
        for entry in by_image.get(image_id, ()):
            person = None if entry.get("iscrowd", 0) else read_person(entry, skeleton, path)
            if person is None or 0 <= entry.get("teacher_agreement", -1) < min_teacher_agreement:
                ignored.append(_bbox(entry, path))
                crowds.append(bool(entry.get("iscrowd", 0)))
                areas.append(float(entry.get("area") or mean_area(np.array(ignored[-1], np.float32))))
                regions.append(entry.get("segmentation") or ignored[-1])  # type: ignore[arg-type]
            else:
                people.append(person)
        outlined = any(not isinstance(region, tuple) for region in regions)
        labels.append(
            ImageLabel(
                image_id=image_id,
                path=images / name,
                source=str(info.get("source", "")),
                people=tuple(people),
                ignore_bboxes=np.array(ignored, np.float32).reshape(-1, 4),
                ignore_mask=lazy_mask(regions) if outlined else None,
                ignore_crowds=np.array(crowds, bool),
                ignore_areas=np.array(areas, np.float32),
            )
        )
    return labels


def _field(entry: dict[str, Any], key: str, path: Path) -> Any:
    try:
        return entry[key]
    except (KeyError, TypeError) as error:
        raise UsageError(f"{path} is not a COCO keypoint file: {str(entry)[:80]} has no {key}") from error


def _bbox(entry: dict[str, Any], path: Path) -> tuple[float, float, float, float]:
    values = _field(entry, "bbox", path)
    try:
        x, y, width, height = values
        return x, y, x + width, y + height
    except (TypeError, ValueError) as error:
        raise UsageError(
            f"{path}: annotation {entry.get('id')} has the bbox {values!r}; expected [x, y, width, height]"
        ) from error


def read_person(entry: dict[str, Any], skeleton: Skeleton, path: Path) -> PersonLabel | None:
    """Read one annotation; None where no keypoint is labelled or, as published, the box has no extent.

    Raises:
        UsageError: it has another number of keypoints or weights, or some that are no numbers, or lacks its
            id or bbox.
    """
    try:
        values = np.asarray(entry.get("keypoints") or [], np.float32)
        weights: Float = np.asarray(entry.get("kp_weight", np.ones(skeleton.count)), np.float32)
    except (TypeError, ValueError) as error:
        raise UsageError(f"{path}: annotation {entry.get('id')} has a keypoint that is no number") from error
    if values.size == 0 and entry.get("num_keypoints", 0) == 0:
        return None
    if values.size != 3 * skeleton.count:
        raise UsageError(
            f"{path}: annotation {entry.get('id')} has {values.size / 3:g} keypoints, skeleton "
            f"{skeleton.name!r} needs {skeleton.count}; choose the skeleton of this file"
        )
    if not np.isfinite(values).all() or weights.shape != (skeleton.count,):
        raise UsageError(
            f"{path}: annotation {entry.get('id')} has a keypoint that is no finite number, or "
            f"{weights.size} values of kp_weight for {skeleton.count} keypoints"
        )
    values = values.reshape(-1, 3)
    visibility = values[:, 2].astype(np.int64)
    labelled = visibility > 0
    if not labelled.any():
        return None
    bbox = np.array(_bbox(entry, path), np.float32)
    if not (bbox[2] > bbox[0] and bbox[3] > bbox[1]):
        return None
    return PersonLabel(
        annotation_id=_field(entry, "id", path),
        keypoints=values[:, :2].copy(),
        visibility=visibility,
        weights=weights * labelled,
        bbox=bbox,
        area=float(entry.get("area", 0.0)) or mean_area(bbox),
    )


def read_split(path: Path, name: str) -> list[int | str]:
    """Return the images of one side of a split file ``{"train": [...], "val": [...]}``, ids or file names.

    Raises:
        UsageError: the file is missing, is no such JSON, or has not that side.
    """
    split = read_json(path, 'split file {"train": [image ids], "val": [image ids]}')
    sides = (
        {key: value for key, value in split.items() if isinstance(value, list)}
        if isinstance(split, dict)
        else {}
    )
    if name not in sides:
        raise UsageError(f"{path} has no split {name!r}; it has {sorted(sides)}")
    return list(sides[name])
