"""Results as SLEAP's analysis CSV: a row per person and frame, as `sleap-io` writes and reads it.

Columns: track, frame_idx, instance.score, then x, y and score of each keypoint. Coordinates are frame px as
in our CSV; a missing keypoint has empty fields.
"""

import csv
import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from engine.sinks.atomic import whole_file
from engine.sinks.people import known_scores
from engine.sinks.results_file import ResultsFile
from engine.sinks.results_rows import RowBlock

SUFFIX = ".analysis.csv"


def write_sleap(results: ResultsFile, stem: Path) -> list[Path]:
    """Write ``clip.analysis.csv``; its rows are in the order of the frames, tracks are named ``track_3``.

    Args:
        results: what to write.
        stem: folder and name without a suffix.

    Returns:
        the file.

    Raises:
        SinkError: the file cannot be written.
        SourceError: a row of the CSV is damaged.
    """
    path = stem.with_name(f"{stem.name}{SUFFIX}")
    parts = ("x", "y", "score")
    names = [f"{keypoint}.{part}" for keypoint in results.skeleton.keypoints for part in parts]
    with whole_file(path) as part, part.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(["track", "frame_idx", "instance.score", *names])
        for block in results.blocks():
            writer.writerows(_rows(block))
    return [path]


def _rows(block: RowBlock) -> Iterator[list[str]]:
    """Return the fields of every person; that of a missing keypoint's score is empty too."""
    block = block.people()
    missing = np.isnan(block.keypoints).any(axis=2)
    keypoint_scores = np.where(missing, np.nan, block.keypoint_scores)
    values = np.dstack([block.keypoints, keypoint_scores])
    people = zip(
        block.track_ids.tolist(), block.frames.tolist(), known_scores(block).tolist(), values.tolist()
    )
    for track_id, frame, score, keypoints in people:
        fields = [f"track_{track_id}", str(frame), f"{score:z.4f}"]
        for x, y, keypoint_score in keypoints:
            fields += ["", "", ""] if math.isnan(x) else [f"{x:z.3f}", f"{y:z.3f}", f"{keypoint_score:z.4f}"]
        yield fields
