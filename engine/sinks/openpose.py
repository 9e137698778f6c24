"""OpenPose: a folder with one JSON file per frame, people as BODY_25.

BODY_25 is what OpenPose writes by default since its version 1.3, and what its readers take 75 numbers per
person for. OpenPose learns its neck and mid hip as the middles of shoulders and of hips; so they are here.
Toes and heels, which few skeletons have, are 0, 0, 0 as OpenPose has what it did not find. `time_s` beside
`people` is ours; OpenPose has no place for it, and its readers pass over it.
"""

import contextlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from engine.errors import SinkError, UsageError
from engine.sinks.atomic import whole_folder
from engine.sinks.people import pick, to_json, triples
from engine.sinks.results_file import ResultsFile
from engine.sinks.sink import write_failure
from engine.skeleton import Skeleton
from engine.structures import Float, Result, TrackedPerson

SUFFIX = ".openpose"
FILE_SUFFIX, PART_SUFFIX = "_keypoints.json", "_keypoints.part"
VERSION = 1.3
TIME_DECIMALS = 6
"""As in the CSV."""
BODY_25 = (
    "nose", "neck", "right_shoulder", "right_elbow", "right_wrist",
    "left_shoulder", "left_elbow", "left_wrist", "mid_hip",
    "right_hip", "right_knee", "right_ankle", "left_hip", "left_knee", "left_ankle",
    "right_eye", "left_eye", "right_ear", "left_ear",
    "left_big_toe", "left_small_toe", "left_heel", "right_big_toe", "right_small_toe", "right_heel",
)  # fmt: skip
MIDDLES = {1: (2, 5), 8: (9, 12)}
"""Index of the neck and the mid hip to the two keypoints between which they lie."""
FEWEST = 4
"""Keypoints in common below which a skeleton is none of people."""


class _FrameFiles:
    """Writes one file after the other into a folder; `next` is the position of the next one, None if any."""

    def __init__(self, folder: Path, name: str, places: Sequence[int | None], first: int | None) -> None:
        self.folder, self.name, self._places, self.next = folder, name, places, first

    def add(self, index: int, time_s: float, people: Sequence[TrackedPerson]) -> None:
        """Write the frame at `index`, and those skipped before it as empty ones."""
        self.fill(index)
        # Only with people, as the CSV knows no other times: so it is the same file, whenever it is written.
        when = {"time_s": round(time_s, TIME_DECIMALS)} if people else {}
        self._write(index, {"people": describe_people(people, self._places), **when})
        self.next = index + 1

    def fill(self, end: int) -> None:
        """Write empty files up to the position before `end`."""
        first = end if self.next is None else self.next
        for skipped in range(first, end):
            self._write(skipped, {"people": []})
        self.next = max(first, end)

    def _write(self, index: int, content: dict[str, Any]) -> None:
        path, part = (
            self.folder / f"{self.name}_{index:012d}{suffix}" for suffix in (FILE_SUFFIX, PART_SUFFIX)
        )
        try:
            part.write_text(to_json({"version": VERSION, **content}), encoding="utf-8")
            part.replace(path)
        except OSError as error:
            with contextlib.suppress(OSError):
                part.unlink()
            raise write_failure(path, error) from error


class OpenPoseSink:
    """Writes one file for every position in the source, so that the n-th file is the n-th frame.

    A frame without people and one that could not be read have a file with an empty `people`. Every file is
    there whole or not at all.

    Args:
        folder: to make, ``clip.openpose``; its own folder must exist. Files are named by what is before the
            suffix.
        skeleton: of the people in the results.
        live: the source is live, so that files begin with the first frame that is written.
        overwrite: replace what an earlier run wrote there.

    Raises:
        UsageError: the skeleton is too unlike BODY_25.
        SinkError: the folder cannot be made, or has files of somebody else.
    """

    def __init__(
        self, folder: Path, skeleton: Skeleton, *, live: bool = False, overwrite: bool = False
    ) -> None:
        self.path = folder
        places = match_body25(skeleton)
        self._files = _FrameFiles(folder, _name(folder), places, None if live else 0)
        self._closed = False
        try:
            if overwrite and folder.is_file():
                folder.unlink()
            if overwrite and folder.is_dir():
                for file in _find_ours(folder):
                    file.unlink()
            else:
                folder.mkdir()
        except OSError as error:
            raise write_failure(folder, error, folder=True) from error

    def write(self, result: Result) -> None:
        """Write the file of one frame, and empty ones for those skipped before it.

        Raises:
            SinkError: a file could not be written.
            ValueError: the sink is closed.
        """
        if self._closed:
            raise ValueError(f"the sink of {self.path} is closed")
        self._files.add(result.frame.index, result.frame.time_s, result.people)

    def close(self) -> None:
        """Take no more results; every file is finished already."""
        self._closed = True


def write_openpose(results: ResultsFile, stem: Path) -> list[Path]:
    """Write a recording as OpenPose would have.

    Returns:
        The one folder.

    Raises:
        UsageError: the skeleton is too unlike BODY_25.
        SinkError: a file cannot be written, or the folder is there and has files of somebody else.
        SourceError: a row of the recording is damaged.
    """
    folder = stem.with_name(stem.name + SUFFIX)
    places = match_body25(results.skeleton)
    if folder.is_dir():
        _find_ours(folder)
    with whole_folder(folder) as part:
        files = _FrameFiles(part, stem.name, places, None if results.live else 0)
        first, last = 0, -1
        for frame in results.frames():
            first, last = frame.index if last < 0 else first, frame.index
            files.add(frame.index, frame.time_s, frame.people)
        files.fill(results.span(first, last).stop)
    return [folder]


def _name(folder: Path) -> str:
    return folder.name.removesuffix(SUFFIX)


def _find_ours(folder: Path) -> list[Path]:
    """Return the files of an earlier run in a folder.

    Raises:
        SinkError: there are others, which are not to be deleted.
    """
    start, ends = f"{_name(folder)}_", (FILE_SUFFIX, PART_SUFFIX)
    for file in (files := sorted(folder.iterdir())):
        if not (file.name.startswith(start) and file.name.endswith(ends)):
            raise SinkError(
                f"{folder} cannot be replaced: it has files of others, such as {file.name}; move them"
            )
    return files


def match_body25(skeleton: Skeleton) -> list[int | None]:
    """Return for each keypoint of BODY_25 its index in a skeleton, None for middles and where there is none.

    Raises:
        UsageError: there are too few.
    """
    places = [
        skeleton.keypoints.index(name) if name in skeleton.keypoints and k not in MIDDLES else None
        for k, name in enumerate(BODY_25)
    ]
    if sum(place is not None for place in places) < FEWEST:
        raise UsageError(
            f"skeleton {skeleton.name!r} has hardly a keypoint of OpenPose's BODY_25 ({', '.join(BODY_25)}); "
            "choose another format, such as coco"
        )
    return places


def describe_people(people: Sequence[TrackedPerson], places: Sequence[int | None]) -> list[dict[str, Any]]:
    """Return the `people` of a file: each with its track id and 25 times x, y, score."""
    if not people:
        return []
    keypoints, scores = pick(
        np.stack([person.keypoints for person in people]),
        np.stack([person.scores for person in people]),
        places,
    )
    for place, sides in MIDDLES.items():
        keypoints[:, place], scores[:, place] = _middle(keypoints, scores, sides)
    rows = triples(keypoints, scores).tolist()
    return [
        {
            "person_id": [person.track_id],
            "pose_keypoints_2d": row,
            "face_keypoints_2d": [],
            "hand_left_keypoints_2d": [],
            "hand_right_keypoints_2d": [],
            "pose_keypoints_3d": [],
            "face_keypoints_3d": [],
            "hand_left_keypoints_3d": [],
            "hand_right_keypoints_3d": [],
        }
        for person, row in zip(people, rows, strict=True)
    ]


def _middle(keypoints: Float, scores: Float, sides: tuple[int, int]) -> tuple[Float, Float]:
    """Return (R, 2) points between two keypoints, and (R,) the lower of their scores."""
    first, second = sides
    middle: Float = (keypoints[:, first] + keypoints[:, second]) / np.float32(2)
    score: Float = np.minimum(scores[:, first], scores[:, second])
    return middle, score
