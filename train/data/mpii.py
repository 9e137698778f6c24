"""Read MPII Human Pose in the JSON form that HRNet and mmpose train on: a list of single people.

The files count pixels from 1 and give a person as centre and scale, a height of 200 px; the crops that the
papers train on follow from them by a rule of their own (Sun et al. 2019, lib/dataset/mpii.py).
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.io import loadmat
from scipy.io.matlab import MatReadError

from engine.errors import UsageError
from engine.geometry import BBOX_PADDING
from engine.skeleton import Skeleton
from train.data.labels import Float, ImageLabel, PersonLabel, read_json

HEAD_SIZE = 0.6
"""PCKh is relative to this share of the head box's diagonal (Andriluka et al. 2014)."""


def load_mpii(
    annotations: Path,
    images: Path,
    skeleton: Skeleton,
    *,
    image_ids: Iterable[int | str] | None = None,
    head_boxes: Path | None = None,
) -> list[ImageLabel]:
    """Read ``train.json`` or ``valid.json`` (``mpii_train.json``, ``mpii_val.json`` of mmpose).

    Args:
        annotations: list of ``image``, ``center``, ``scale``, ``joints`` (K, 2), ``joints_vis`` (K,).
        images: folder that ``image`` is relative to.
        skeleton: `engine.skeleton.MPII16`, or one's own for files of this form with other keypoints.
        image_ids: keep only these images, by id or file name; None keeps all.
        head_boxes: MATLAB file with ``headboxes_src`` (2, 2, N); None takes the one that is published beside
            the annotations (``gt_valid.mat``, ``mpii_gt_val.mat``) if there is one.

    Returns:
        Images in the order in which they first occur; `annotation_id` is the place in the list, from 0.

    Raises:
        UsageError: a file is missing, is not of this form, or has another number of keypoints.
    """
    entries = read_json(annotations, "MPII annotation list")
    if not isinstance(entries, list) or not all(isinstance(e, dict) and "center" in e for e in entries):
        raise UsageError(
            f"{annotations} is no MPII annotation list: it must be a list of people with image, center, "
            "scale, joints and joints_vis"
        )
    boxes = head_boxes or _published_head_boxes(annotations)
    head_sizes = None if boxes is None else _read_head_sizes(boxes, len(entries))
    wanted = None if image_ids is None else set(image_ids)
    by_image: dict[str, list[PersonLabel]] = {}
    for index, entry in enumerate(entries):
        head_size = None if head_sizes is None else float(head_sizes[index])
        person = _read_person(entry, index, head_size, skeleton, annotations)
        people = by_image.setdefault(str(entry["image"]), [])
        if person.visibility.any():
            people.append(person)
    numbers = _image_ids(list(by_image))
    return [
        ImageLabel(
            image_id=numbers[name],
            path=images / name,
            source="mpii",
            people=tuple(people),
            ignore_bboxes=np.zeros((0, 4), np.float32),
        )
        for name, people in by_image.items()
        if wanted is None or numbers[name] in wanted or name in wanted
    ]


def _image_ids(names: list[str]) -> dict[str, int]:
    """Take the number that each file is named by or, where one has none, its place from 1."""
    stems = [Path(name).stem for name in names]
    if all(stem.isdecimal() for stem in stems) and len({int(stem) for stem in stems}) == len(stems):
        return {name: int(stem) for name, stem in zip(names, stems)}
    return {name: number for number, name in enumerate(names, start=1)}


def _read_person(
    entry: dict[str, Any], index: int, head_size: float | None, skeleton: Skeleton, path: Path
) -> PersonLabel:
    try:
        centre, scale = np.asarray(entry["center"], np.float64).reshape(2), float(entry["scale"])
        joints = np.asarray(entry.get("joints", np.full((skeleton.count, 2), -1)), np.float64)
        seen = np.asarray(entry.get("joints_vis", np.zeros(skeleton.count)), np.float64) > 0
        name_known = isinstance(entry["image"], str)
    except (KeyError, TypeError, ValueError) as error:
        raise UsageError(f"{path}: person {index} is not of MPII's form: {error}") from error
    if joints.shape != (skeleton.count, 2) or seen.shape != (skeleton.count,) or not name_known:
        raise UsageError(
            f"{path}: person {index} has {len(joints)} joints, skeleton {skeleton.name!r} needs "
            f"{skeleton.count}; choose the skeleton of this file"
        )
    if not (np.isfinite(centre).all() and 0 < scale < np.inf and np.isfinite(joints).all()):
        raise UsageError(f"{path}: person {index} needs finite numbers and a positive scale, got {scale}")
    bbox = scale_to_bbox(centre, scale)
    return PersonLabel(
        annotation_id=index,
        keypoints=(joints - 1).astype(np.float32),
        visibility=np.where(seen, 2, 0).astype(np.int64),
        weights=seen.astype(np.float32),
        bbox=bbox,
        area=float((bbox[2] - bbox[0]) * (bbox[3] - bbox[1])),
        head_size=head_size,
    )


def scale_to_bbox(centre: NDArray[np.float64], scale: float) -> Float:
    """Return the square box (4,) xyxy that `engine.geometry.bbox_to_centre_size` makes the published crop of.

    Published: the centre moves down by 15 px per scale and the scale grows by 1.25, except where centre x is
    -1; then 1 is taken from the centre because the file counts from 1.

    Args:
        centre: (2,) as in the file, px counted from 1.
        scale: as in the file, heights of 200 px.
    """
    side = 200.0 * scale
    if centre[0] == -1:
        side /= BBOX_PADDING
        middle = centre - 1
    else:
        middle = centre + np.array([0.0, 15.0 * scale]) - 1
    return np.concatenate([middle - side / 2, middle + side / 2]).astype(np.float32)


def _published_head_boxes(annotations: Path) -> Path | None:
    stem = annotations.stem
    names = (f"gt_{stem}.mat", f"mpii_gt_{stem.removeprefix('mpii_')}.mat")
    return next((path for path in map(annotations.with_name, names) if path.is_file()), None)


def _read_head_sizes(path: Path, people: int) -> NDArray[np.float64]:
    try:
        corners = np.asarray(loadmat(str(path))["headboxes_src"], np.float64)
    except (MatReadError, OSError, ValueError, KeyError, TypeError) as error:
        raise UsageError(f"{path} holds no headboxes_src of MPII ({error})") from error
    if corners.shape != (2, 2, people):
        raise UsageError(
            f"{path}: headboxes_src has shape {corners.shape}, the annotations have {people} people; "
            "it belongs to another list"
        )
    return HEAD_SIZE * np.linalg.norm(corners[1] - corners[0], axis=0)
