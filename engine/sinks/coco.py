"""COCO keypoints: the recording as an annotated data set, and as the results of a model.

``clip.coco.json`` has images, annotations and categories, as annotation tools and training code read them;
``clip.coco-results.json`` is the list that COCO's evaluation takes. Image ids are positions in the source.
"""

from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np

from engine.sinks.atomic import whole_file
from engine.sinks.csv_file import iso_time
from engine.sinks.people import (
    PERSON,
    JsonList,
    known_boxes,
    known_scores,
    person_category,
    to_json,
    triples,
    xywh,
)
from engine.sinks.results_file import ResultsFile
from engine.sinks.results_rows import RowBlock
from engine.structures import SEEN_STATES

ANNOTATIONS_SUFFIX, RESULTS_SUFFIX = ".coco.json", ".coco-results.json"
VIDEO = 1
"""Id of the only video."""
VISIBLE, HIDDEN = 2, 1
"""COCO's v of a keypoint that was seen, and of one whose place is known without that; 0 is not known."""


def write_coco(results: ResultsFile, stem: Path) -> list[Path]:
    """Write a recording as COCO annotations and as COCO results.

    Returns:
        The two files.

    Raises:
        SinkError: a file cannot be written.
        SourceError: a row of the recording is damaged.
    """
    paths = [stem.with_name(stem.name + suffix) for suffix in (ANNOTATIONS_SUFFIX, RESULTS_SUFFIX)]
    with ExitStack() as stack:
        parts = [stack.enter_context(whole_file(path)) for path in paths]
        streams = [stack.enter_context(part.open("w", encoding="utf-8", newline="\n")) for part in parts]
        streams[0].write(f'{{"info":{to_json(_info(results))},\n"licenses":[],\n')
        streams[0].write(f'"categories":{to_json([person_category(results.skeleton)])},\n')
        streams[0].write(f'"videos":{to_json([{"id": VIDEO, "name": results.sidecar.source.name}])},\n')
        streams[0].write('"annotations":')
        annotations, plain = JsonList(streams[0]), JsonList(streams[1])
        times = _write_people(results, annotations, plain)
        annotations.end()
        plain.end()
        streams[1].write("\n")
        streams[0].write(',\n"images":')
        images = JsonList(streams[0])
        for index in results.span(min(times), max(times)) if times else results.span(0, -1):
            images.add(_image(results, stem.name, index, times.get(index)))
        images.end()
        streams[0].write("}\n")
    return paths


def _write_people(
    results: ResultsFile, annotations: JsonList, plain: JsonList
) -> dict[int, tuple[float, float]]:
    """Write every person to both lists; return the seconds and wall time of each frame that has rows."""
    times: dict[int, tuple[float, float]] = {}
    count = 0
    for block in results.blocks():
        wall_times = np.full(len(block), np.nan) if block.wall_times is None else block.wall_times
        when = zip(block.times_s.tolist(), wall_times.tolist())
        times.update(zip(block.frames.tolist(), when))
        for record, scored in _records(block.people()):
            count += 1
            annotations.add({"id": count, **record})
            plain.add(scored)
    return times


def _records(block: RowBlock) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    """Return for each row its annotation, without an id, and its result."""
    seen = np.isin(block.states, SEEN_STATES)
    flags = triples(block.keypoints, np.where(seen, VISIBLE, HIDDEN))
    scored = triples(block.keypoints, block.keypoint_scores)
    columns = zip(
        block.frames.tolist(), block.track_ids.tolist(), known_boxes(block).tolist(),
        known_scores(block).tolist(), flags.tolist(), scored.tolist(), strict=True,
    )  # fmt: skip
    records = []
    for frame, track_id, box, score, flagged, scores in columns:
        left, top, width, height = xywh(box)
        shared = {"image_id": frame, "category_id": PERSON, "track_id": track_id, "score": score}
        flagged[2::3] = map(int, flagged[2::3])
        annotation = {
            **shared,
            "bbox": [left, top, width, height],
            "area": round(width * height, 3),
            "iscrowd": 0,
            "num_keypoints": sum(flag > 0 for flag in flagged[2::3]),
            "keypoints": flagged,
            "keypoint_scores": scores[2::3],
        }
        records.append((annotation, {**shared, "bbox": annotation["bbox"], "keypoints": scores}))
    return records


def _image(results: ResultsFile, name: str, index: int, when: tuple[float, float] | None) -> dict[str, Any]:
    height, width = results.size
    image: dict[str, Any] = {
        "id": index,
        "file_name": f"{name}/{index:06d}.jpg",
        "width": width,
        "height": height,
        "video_id": VIDEO,
        "frame_id": index,
    }
    if when is not None:
        image["time_s"] = when[0]
        if np.isfinite(when[1]):
            image["date_captured"] = iso_time(when[1])
    return image


def _info(results: ResultsFile) -> dict[str, Any]:
    """Return what the data set is; without date and folder, so that equal rows make equal files."""
    sidecar = results.sidecar
    return {
        "description": f"people in {sidecar.source.name}, tracked by {sidecar.software}",
        "version": sidecar.software_version,
        "source": sidecar.source.model_dump(mode="json", exclude={"path"}),
    }
