"""Truth from label files: COCO keypoints with track ids, and PoseTrack18, which is COCO with outlines.

A file may hold several videos. What is marked as a crowd, or labelled without keypoints, is left out of the
judgement, and so are PoseTrack's ignore regions.
"""

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from app.truth import TruePerson
from app.truth_sequence import Polygon, TruthSequence, find_skeleton, sequence_name
from engine.errors import SourceError
from engine.skeleton import Skeleton

Record = Mapping[str, Any]

LAST_NUMBER = re.compile(r"\d+$")
POSETRACK = "vid_id"
"""A field of PoseTrack's images only."""


def read_labels(path: Path) -> list[TruthSequence]:
    """Read a COCO or PoseTrack18 file.

    Raises:
        SourceError: it is neither, is damaged, names no keypoints, or has no track ids.
    """
    value = _read_json(path)
    skeleton = _read_skeleton(value, path)
    annotations: dict[Any, list[Record]] = {}
    tracked = False
    for entry in value["annotations"]:
        tracked = tracked or _track_id(entry) is not None
        annotations.setdefault(entry.get("image_id"), []).append(entry)
    if not tracked:
        raise SourceError(f"{path} has no track_id in its annotations, so it does not tell who is who")
    videos = {video.get("id"): str(video.get("name", video.get("id"))) for video in value.get("videos") or []}
    groups: dict[str, list[Record]] = {}
    for image in value["images"]:
        groups.setdefault(_video_name(image, videos, path), []).append(image)
    if not groups:
        raise SourceError(f"{path} lists no images, so it does not tell which frames were labelled")
    try:
        return [_sequence(name, path, skeleton, images, annotations) for name, images in groups.items()]
    except (KeyError, TypeError, ValueError) as error:
        raise SourceError(
            f"{path} is damaged: {type(error).__name__} {error} in an image or annotation"
        ) from error


def _read_json(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise SourceError(f"the truth {path} cannot be read as JSON: {error}") from error
    if isinstance(value, dict) and value.get("format") == "steadypose-track":
        raise SourceError(f"{path} is the sidecar of a recording; give its CSV instead")
    fields = ("images", "annotations", "categories")
    if not isinstance(value, dict) or not all(_is_records(value.get(name)) for name in fields):
        raise SourceError(f"{path} is neither COCO nor PoseTrack18: it must have {', '.join(fields)}")
    return value


def _is_records(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(item, dict) for item in value)


def _read_skeleton(value: Record, path: Path) -> Skeleton:
    for category in value["categories"]:
        names = category.get("keypoints")
        if names and len(set(names)) == len(names):
            return find_skeleton([str(name) for name in names], str(category.get("name", path.stem)))
    raise SourceError(f"{path} has no category with the names of its keypoints, so nothing can be compared")


def _video_name(image: Record, videos: Mapping[Any, str], path: Path) -> str:
    if image.get("video_id") in videos:
        return Path(videos[image["video_id"]]).stem
    folder = Path(str(image.get("file_name", ""))).parent.name
    if folder and POSETRACK in image:
        return folder
    return str(image.get(POSETRACK, image.get("video_id", sequence_name(path.stem))))


def _sequence(
    name: str,
    path: Path,
    skeleton: Skeleton,
    images: Sequence[Record],
    annotations: Mapping[Any, Sequence[Record]],
) -> TruthSequence:
    people: dict[int, list[TruePerson]] = {}
    ignored: dict[int, list[Polygon]] = {}
    numbers: dict[int, bool] = {}
    for place, image in enumerate(images):
        frame = _frame_number(image, place)
        if frame in numbers:
            raise SourceError(f"{path} has the frame {frame} of {name!r} twice")
        numbers[frame] = bool(image.get("is_labeled", True))
        outlines = _outlines(image)
        for entry in annotations.get(image.get("id", image.get("frame_id")), ()):
            person = _read_person(entry, skeleton, all_visible=POSETRACK in image)
            if person is not None:
                people.setdefault(frame, []).append(person)
            elif entry.get("bbox"):
                outlines.append(_corners(entry["bbox"]))
        if outlines:
            ignored[frame] = outlines
    judged = frozenset(frame for frame, labelled in numbers.items() if labelled)
    extent = range(min(numbers), max(numbers) + 1)
    return TruthSequence(name, path, skeleton, people, judged, extent, ignored)


def _frame_number(image: Record, place: int) -> int:
    """Return the number of an image: COCO's own, else that at the end of the file's name, else its place."""
    if POSETRACK not in image and isinstance(image.get("frame_id"), int):
        return int(image["frame_id"])
    number = LAST_NUMBER.search(Path(str(image.get("file_name", ""))).stem)
    return int(number[0]) if number else place


def _track_id(entry: Record) -> int | None:
    value = entry.get("track_id", entry.get("instance_id"))
    return None if value is None else int(value)


def _read_person(entry: Record, skeleton: Skeleton, *, all_visible: bool) -> TruePerson | None:
    """Return the person of an annotation; None where it says only that somebody is there.

    Args:
        entry: the annotation.
        skeleton: of its keypoints.
        all_visible: whether a labelled keypoint is a visible one, as in PoseTrack, which has no v of 2.
    """
    track_id = _track_id(entry)
    values = np.asarray(entry.get("keypoints") or [], np.float64)
    if track_id is None or entry.get("iscrowd") or not values.size:
        return None
    values = values.reshape(skeleton.count, 3)
    visibility = values[:, 2].astype(np.int64)
    if all_visible:
        visibility = np.where(visibility > 0, 2, 0)
    labelled = visibility > 0
    if not labelled.any():
        return None
    keypoints = np.where(labelled[:, None], values[:, :2], np.nan).astype(np.float32)
    if entry.get("bbox"):
        box = _corners(entry["bbox"])[[0, 2]].reshape(4)
    else:
        box = np.concatenate([values[labelled, :2].min(axis=0), values[labelled, :2].max(axis=0)])
    return TruePerson(track_id, keypoints, visibility, box.astype(np.float32))


def _corners(box: Sequence[float]) -> Polygon:
    """Return the (4, 2) corners of a box left, top, width, height."""
    x, y, width, height = box
    return np.array([(x, y), (x + width, y), (x + width, y + height), (x, y + height)], np.float32)


def _outlines(image: Record) -> list[Polygon]:
    """Return PoseTrack's ignore regions; fewer than three points enclose nothing."""
    all_x, all_y = image.get("ignore_regions_x") or [], image.get("ignore_regions_y") or []
    if all_x and not isinstance(all_x[0], list):
        all_x, all_y = [all_x], [all_y]
    return [
        np.stack([xs, ys], axis=1).astype(np.float32)
        for xs, ys in zip(all_x, all_y, strict=True)
        if len(xs) >= 3 and len(xs) == len(ys)
    ]
