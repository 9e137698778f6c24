"""PoseTrack18: one JSON per video with images, people with track ids, and scores of keypoints."""

import re
from pathlib import Path
from typing import Any

from engine.errors import UsageError
from engine.sinks.atomic import whole_file
from engine.sinks.people import (
    PERSON,
    JsonList,
    find_known,
    known_boxes,
    known_scores,
    person_category,
    pick,
    to_json,
    triples,
    xywh,
)
from engine.sinks.results_file import ResultsFile
from engine.sinks.results_rows import RowBlock
from engine.skeleton import POSETRACK17, Skeleton

SUFFIX = ".posetrack.json"
OTHER_NAMES = {"head_bottom": ("neck", "upper_neck")}
"""What other data sets call a keypoint of PoseTrack. COCO has no such keypoint, and none is made up."""
FEWEST = 4
"""Keypoints in common below which a skeleton is none of people."""
SEQUENCE = re.compile(r"(\d{6})_(mpii|bonn|mpiinew)_\w+")
"""Name of a video of the data set, whose images have set ids."""
SEQUENCE_KINDS = {"mpii": 1, "bonn": 2, "mpiinew": 3}


def write_posetrack(results: ResultsFile, stem: Path) -> list[Path]:
    """Write a recording in the form of PoseTrack18, as poseval and training code read it.

    Returns:
        The one file.

    Raises:
        UsageError: the skeleton is too unlike that of PoseTrack.
        SinkError: the file cannot be written.
        SourceError: a row of the recording is damaged.
    """
    places = match_posetrack(results.skeleton)
    path = stem.with_name(stem.name + SUFFIX)
    times: dict[int, float] = {}
    # From 1: COCO's evaluation, which reads these files too, takes the id 0 for nobody.
    number = 1
    with whole_file(path) as part, part.open("w", encoding="utf-8", newline="\n") as stream:
        stream.write(f'{{"categories":{to_json([person_category(POSETRACK17)])},\n"annotations":')
        annotations = JsonList(stream)
        for block in results.blocks():
            times.update(zip(block.frames.tolist(), block.times_s.tolist()))
            for record in _records(block.people(), places, stem.name):
                annotations.add({"id": number, **record})
                number += 1
        annotations.end()
        stream.write(',\n"images":')
        images = JsonList(stream)
        span = results.span(min(times), max(times)) if times else results.span(0, -1)
        for index in span:
            images.add(_image(stem.name, index, len(span), times.get(index)))
        images.end()
        stream.write("}\n")
    return [path]


def match_posetrack(skeleton: Skeleton) -> list[int | None]:
    """Return for each keypoint of PoseTrack its index in a skeleton, None where there is none.

    Raises:
        UsageError: there are too few.
    """
    places: list[int | None] = []
    for name in POSETRACK17.keypoints:
        names = [other for other in (name, *OTHER_NAMES.get(name, ())) if other in skeleton.keypoints]
        places.append(skeleton.keypoints.index(names[0]) if names else None)
    if sum(place is not None for place in places) < FEWEST:
        raise UsageError(
            f"skeleton {skeleton.name!r} has hardly a keypoint of PoseTrack's "
            f"({', '.join(POSETRACK17.keypoints)}); choose another format, such as coco"
        )
    return places


def image_id(name: str, index: int) -> int:
    """Return the id of a frame: the data set's own for a video named as one of its, else the position."""
    known = SEQUENCE.fullmatch(name)
    if known is None:
        return index
    return SEQUENCE_KINDS[known[2]] * 10**10 + int(known[1]) * 10**4 + index


def _records(block: RowBlock, places: list[int | None], name: str) -> list[dict[str, Any]]:
    keypoints, scores = pick(block.keypoints, block.keypoint_scores, places)
    values = triples(keypoints, find_known(keypoints))
    columns = zip(
        block.frames.tolist(), block.track_ids.tolist(), known_boxes(block).tolist(),
        known_scores(block).tolist(), values.tolist(), triples(keypoints, scores)[:, 2::3].tolist(),
        strict=True,
    )  # fmt: skip
    records = []
    for frame, track_id, box, score, flat, keypoint_scores in columns:
        flat[2::3] = map(int, flat[2::3])
        records.append(
            {
                "image_id": image_id(name, frame),
                "category_id": PERSON,
                "track_id": track_id,
                "bbox": xywh(box),
                "score": score,
                "keypoints": flat,
                "scores": keypoint_scores,
            }
        )
    return records


def _image(name: str, index: int, count: int, time_s: float | None) -> dict[str, Any]:
    known = SEQUENCE.fullmatch(name)
    number = image_id(name, index)
    image: dict[str, Any] = {
        "id": number,
        "frame_id": number,
        "vid_id": known[1] if known else name,
        "nframes": count,
        "file_name": f"images/{name}/{index:06d}.jpg",
        "is_labeled": True,
        "has_no_densepose": True,
    }
    return image if time_s is None else image | {"time_s": time_s}
