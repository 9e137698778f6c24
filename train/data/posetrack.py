"""Read PoseTrack18 and PoseTrack21: one COCO-like JSON file per video, people with tracks, ignore regions."""

from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from engine.errors import UsageError
from engine.geometry import pose_bbox
from engine.skeleton import Skeleton
from train.data.coco import check_names, read_coco, read_person
from train.data.labels import ImageLabel, PersonLabel, mean_area, picture_name
from train.data.masks import fill_polygons
from train.data.mpii import HEAD_SIZE

Polygon = list[tuple[float, float]]


def load_posetrack(
    annotations: Path,
    images: Path,
    skeleton: Skeleton,
    *,
    image_ids: Iterable[int | str] | None = None,
    only_labelled: bool = True,
) -> list[ImageLabel]:
    """Read the videos of PoseTrack.

    Args:
        annotations: a JSON file, or a folder of them.
        images: folder that ``file_name`` (``images/val/…/000000.jpg``) is relative to.
        skeleton: `engine.skeleton.POSETRACK17`, or another that names the same keypoints.
        image_ids: keep only these images, by id or file name; None keeps all.
        only_labelled: leave out the frames between the labelled ones, in which nobody is marked.

    Returns:
        Frames in the order of the files, each with its `sequence` (the folder of its picture) and `frame`
        (the number that the picture is named by). People without labelled keypoints become ignore boxes.

    Raises:
        UsageError: a file is missing or is not of this form, two frames have one id, or the keypoints differ.
    """
    files = sorted(annotations.glob("*.json")) if annotations.is_dir() else [annotations]
    if not files:
        raise UsageError(f"folder {annotations} has no JSON files; give the one with PoseTrack's annotations")
    wanted = None if image_ids is None else set(image_ids)
    labels: list[ImageLabel] = []
    seen: dict[int, Path] = {}
    for file in files:
        content = read_coco(file)
        check_names(content, skeleton, file)
        for label in parse_posetrack(content, file, images, skeleton, only_labelled=only_labelled):
            if label.image_id in seen:
                raise UsageError(f"image id {label.image_id} is in {seen[label.image_id]} and in {file}")
            seen[label.image_id] = file
            name = picture_name(label.path, images)
            if wanted is None or label.image_id in wanted or name in wanted:
                labels.append(label)
    return labels


def parse_posetrack(
    content: dict[str, Any], path: Path, images: Path, skeleton: Skeleton, *, only_labelled: bool = True
) -> list[ImageLabel]:
    """Turn the content of one file into labels; see `load_posetrack`."""
    by_image: dict[int, list[dict[str, Any]]] = {}
    labels = []
    try:
        for entry in content["annotations"]:
            by_image.setdefault(entry["image_id"], []).append(entry)
        for place, info in enumerate(content["images"]):
            if only_labelled and not info.get("is_labeled", True):
                continue
            image_id = info["id"] if "id" in info else info["frame_id"]
            labels.append(
                _read_frame(info, image_id, place, by_image.get(image_id, []), path, images, skeleton)
            )
    except (KeyError, TypeError) as error:
        raise UsageError(f"{path} is no PoseTrack file: {error} is missing or of another form") from error
    return labels


def _read_frame(
    info: dict[str, Any],
    image_id: int,
    place: int,
    entries: list[dict[str, Any]],
    path: Path,
    images: Path,
    skeleton: Skeleton,
) -> ImageLabel:
    people, ignored = [], []
    for entry in entries:
        person = _read_person(entry, skeleton, path)
        if person is not None:
            people.append(person)
        elif "bbox" in entry:
            x, y, width, height = entry["bbox"]
            ignored.append((x, y, x + width, y + height))
    polygons = ignore_polygons(info)
    corners: list[Polygon] = [[(x1, y1), (x1, y2), (x2, y2), (x2, y1)] for x1, y1, x2, y2 in ignored]
    boxes = [(*np.min(polygon, axis=0), *np.max(polygon, axis=0)) for polygon in polygons]
    name = Path(info["file_name"])
    return ImageLabel(
        image_id=image_id,
        path=images / name,
        source="posetrack",
        people=tuple(people),
        ignore_bboxes=np.array(ignored + boxes, np.float32).reshape(-1, 4),
        ignore_mask=partial(fill_polygons, (*polygons, *corners)) if polygons else None,
        sequence=name.parent.name or str(info.get("vid_id", path.stem)),
        frame=int(name.stem) if name.stem.isdecimal() else place,
    )


def ignore_polygons(info: dict[str, Any]) -> list[Polygon]:
    """Return the ignore regions of a frame as polygons of (x, y); those of fewer than three points enclose
    nothing."""
    all_x, all_y = info.get("ignore_regions_x") or [], info.get("ignore_regions_y") or []
    if all_x and not isinstance(all_x[0], list):
        all_x, all_y = [all_x], [all_y]
    return [list(zip(xs, ys)) for xs, ys in zip(all_x, all_y) if len(xs) >= 3 and len(xs) == len(ys)]


def _read_person(entry: dict[str, Any], skeleton: Skeleton, path: Path) -> PersonLabel | None:
    if "bbox" not in entry:
        values = np.asarray(entry.get("keypoints") or [], np.float64).reshape(-1, 3)
        if not (values[:, 2] > 0).any():
            return None
        x1, y1, x2, y2 = pose_bbox(values[:, :2], values[:, 2] > 0).tolist()
        entry = {**entry, "bbox": [x1, y1, x2 - x1, y2 - y1]}
    person = read_person(entry, skeleton, path)
    if person is None:
        return None
    head = entry.get("bbox_head")
    return PersonLabel(
        annotation_id=person.annotation_id,
        keypoints=person.keypoints,
        visibility=person.visibility,
        weights=person.weights,
        bbox=person.bbox,
        area=mean_area(person.bbox),
        track_id=entry.get("track_id"),
        head_size=HEAD_SIZE * float(np.hypot(head[2], head[3])) if head else None,
    )
