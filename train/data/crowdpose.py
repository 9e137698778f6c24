"""Read CrowdPose (Li et al. 2019): COCO-like JSON with 14 keypoints and a crowd index for each picture."""

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from engine.skeleton import Skeleton
from train.data.coco import check_names, parse_coco, read_coco
from train.data.labels import ImageLabel, mean_area


def load_crowdpose(
    annotations: Path, images: Path, skeleton: Skeleton, *, image_ids: Iterable[int | str] | None = None
) -> list[ImageLabel]:
    """Read a CrowdPose file.

    Args:
        annotations: one of its JSON files.
        images: folder that ``file_name`` is relative to.
        skeleton: `engine.skeleton.CROWDPOSE14`, or another that names the same keypoints.
        image_ids: keep only these images, by id or file name; None keeps all.

    Returns:
        Images whose `source` is their level of crowding, "easy", "medium" or "hard". The files have no
        outlines: as in CrowdPose's own evaluation a person's area is 0.53 of the box.

    Raises:
        UsageError: the file is missing, is not COCO-like JSON, or has other keypoints.
    """
    content = read_coco(annotations)
    check_names(content, skeleton, annotations)
    levels = {info.get("id"): crowd_level(info.get("crowdIndex")) for info in content["images"]}
    labels = parse_coco(
        content, annotations, images, skeleton, image_ids=None if image_ids is None else set(image_ids)
    )
    return [
        replace(
            label,
            source=levels[label.image_id],
            people=tuple(replace(person, area=mean_area(person.bbox)) for person in label.people),
        )
        for label in labels
    ]


def crowd_level(crowd_index: float | None) -> str:
    """Return the level of a crowd index (Li et al. 2019, section 5.1: bounds 0.1 and 0.8); "" without one."""
    if crowd_index is None:
        return ""
    if crowd_index < 0.1:
        return "easy"
    return "medium" if crowd_index < 0.8 else "hard"
