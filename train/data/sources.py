"""Open any data source as typed labels: one door for all formats, with errors that say what to set."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from engine.errors import UsageError
from engine.skeleton import COCO17, CROWDPOSE14, MPII16, POSETRACK17, Skeleton
from train.data.coco import load_coco, read_split
from train.data.crowdpose import load_crowdpose
from train.data.folder import load_folder
from train.data.labels import ImageLabel, count_people, read_json
from train.data.mpii import load_mpii
from train.data.posetrack import load_posetrack
from train.settings import DataFormat, DataSource

LOADERS: dict[DataFormat, Callable[..., list[ImageLabel]]] = {
    "coco": load_coco,
    "crowdpose": load_crowdpose,
    "mpii": load_mpii,
    "posetrack": load_posetrack,
    "folder": load_folder,
}
USUAL_SKELETONS: dict[DataFormat, Skeleton] = {
    "coco": COCO17,
    "crowdpose": CROWDPOSE14,
    "mpii": MPII16,
    "posetrack": POSETRACK17,
}


def load_labels(source: DataSource, skeleton: Skeleton, *, side: str | None = "train") -> list[ImageLabel]:
    """Read the labels of a source.

    Args:
        source: what to read, and how.
        skeleton: whose keypoints the labels must have.
        side: side of `source.split` to keep; None, or a source without a split, keeps all.

    Returns:
        Images with their people. A source may have none, as background, but not people whose keypoints are
        all missing.

    Raises:
        UsageError: a file is missing or is not what the source says (what it looks like is named), the split
            fits no image, or nobody has a keypoint.
    """
    ids = None if source.split is None or side is None else set(read_split(source.split, side))
    load = LOADERS[source.format]
    if source.format == "coco":
        load = partial(load_coco, min_teacher_agreement=source.min_teacher_agreement)
    try:
        labels = load(source.annotations, source.images, skeleton, image_ids=ids)
    except UsageError as error:
        hint = suggest_format(source, skeleton)
        if not hint:
            raise
        raise UsageError(f"{error}; {hint}") from error
    if not labels:
        where = source.annotations if ids is None else f"side {side!r} of {source.split}"
        raise UsageError(f"{where} names no image of {source.annotations}")
    if not count_people(labels) and any(len(label.ignore_bboxes) for label in labels):
        raise UsageError(
            f"{source.annotations} has boxes but not one labelled keypoint; give a keypoint file, such as "
            "person_keypoints_train2017.json instead of instances_train2017.json"
        )
    return labels


def suggest_format(source: DataSource, skeleton: Skeleton) -> str:
    """Return a sentence on what a file that could not be read looks like, "" where nobody knows better."""
    found = recognise(source.annotations)
    if found is None:
        return ""
    usual = USUAL_SKELETONS.get(found)
    other_skeleton = usual is not None and usual.keypoints != skeleton.keypoints
    if found == source.format and not other_skeleton:
        return ""
    advice = f"set format: {found}"
    if other_skeleton and usual is not None:
        advice += f" and skeleton: {usual.name}"
    return f"this looks like {found}: {advice}"


def recognise(path: Path) -> DataFormat | None:
    """Guess the format of an annotation file, or of a folder of them, from what is in it."""
    if path.is_dir():
        return "posetrack" if any(path.glob("*.json")) else None
    if not path.is_file():
        return None
    if path.suffix.lower() == ".csv":
        return "folder"
    try:
        content = read_json(path, "annotation file")
    except UsageError:
        return None
    if isinstance(content, list):
        people = content and isinstance(content[0], dict) and {"center", "scale"} <= content[0].keys()
        return "mpii" if people else None
    if not isinstance(content, dict) or not {"images", "annotations"} <= content.keys():
        return None
    return _recognise_coco_like(content)


def _recognise_coco_like(content: dict[str, Any]) -> DataFormat | None:
    names = {name for category in content.get("categories") or [] for name in category.get("keypoints") or []}
    first_image: dict[str, Any] = next(iter(content["images"]), {})
    if "head_bottom" in names or "ignore_regions_x" in first_image:
        return "posetrack"
    counts = {len(entry.get("keypoints") or []) // 3 for entry in content["annotations"][:1000]} - {0}
    if "crowdIndex" in first_image or counts == {CROWDPOSE14.count}:
        return "crowdpose"
    return "coco" if counts == {COCO17.count} else None
