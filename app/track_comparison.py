"""One recording against the truth of its source, frame by frame."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np

from app.truth import TruePerson
from app.truth_sequence import Polygon, TruthSequence
from engine.errors import SourceError
from engine.geometry import pose_bbox
from engine.metrics.mot import Measure, MotMeter
from engine.metrics.motion import MotionMeter
from engine.sinks.posetrack import OTHER_NAMES
from engine.sinks.results_file import FramePeople, ResultsFile
from engine.skeleton import Skeleton
from engine.structures import TrackedPerson

FEWEST = 3
"""Keypoints in common below which poses cannot be compared."""
IGNORED_SHARE = 0.5
"""A tracked person with a larger share of keypoints inside ignored regions is no false positive."""

_SAME_NAMES = {other: name for name, others in OTHER_NAMES.items() for other in others}


@dataclass(frozen=True, slots=True, eq=False)
class Comparison:
    """What was counted of one sequence.

    name: of the recording; keypoints: names of those compared; warnings: sentences for people.
    """

    name: str
    keypoints: tuple[str, ...]
    mot: MotMeter
    motion: MotionMeter
    warnings: tuple[str, ...]


def compare_tracks(
    results: ResultsFile, truth: TruthSequence, *, measure: Measure = "oks", first_frame: int = 0
) -> Comparison:
    """Count what of the truth was found and under which ids.

    Frames are judged that the truth labels and the recording covers. Keypoints are matched by their names.

    Args:
        results: the recording.
        truth: of the same source.
        measure: `oks` compares poses, `iou` boxes.
        first_frame: number that the truth gives the first frame of the source.

    Raises:
        SourceError: they have no frame in common, hardly a keypoint, or a row is damaged.
        UsageError: motmetrics or trackeval is not installed.
    """
    skeleton, *places = common_skeleton(truth.skeleton, results.skeleton)
    if measure == "oks" and skeleton.count < FEWEST:
        raise SourceError(
            f"{results.path} has the skeleton {results.skeleton.name!r} and {truth.path} has "
            f"{truth.skeleton.name!r}: {skeleton.count} keypoints have the same name in both, at least "
            f"{FEWEST} are needed to compare poses; --similarity iou compares boxes"
        )
    frames = {frame.index: frame for frame in results.frames()}
    covered = results.span(min(frames), max(frames)) if frames else results.span(0, -1)
    extent = range(truth.extent.start - first_frame, truth.extent.stop - first_frame)
    judged = [index for index in covered if index + first_frame in truth.judged]
    if not judged:
        raise SourceError(
            f"{results.path} has {_span_text(covered)}, counted from 0, and {truth.path} labels "
            f"{_span_text(truth.extent)}, counted from {first_frame}: none in common; give the truth of this "
            "source, and with --first-frame the number that it gives the first frame"
        )
    mot, motion = MotMeter(skeleton, measure=measure, hota=True), MotionMeter()
    for index in judged:
        _count_frame(mot, motion, frames.get(index), truth, index + first_frame, places)
    warnings = _warnings(results, truth, skeleton, covered, extent, len(judged))
    return Comparison(results.name, skeleton.keypoints, mot, motion, warnings)


def common_skeleton(truth: Skeleton, results: Skeleton) -> tuple[Skeleton, list[int], list[int]]:
    """Return the keypoints that both have by name, with the truth's sigmas, and their indices in both.

    Capitals, blanks and hyphens make no difference: ``LeftHip`` is ``left_hip``.
    """
    known = {canonical(name): place for place, name in enumerate(results.keypoints)}
    pairs = [
        (place, known[canonical(name)])
        for place, name in enumerate(truth.keypoints)
        if canonical(name) in known
    ]
    true_places, places = [first for first, _ in pairs], [second for _, second in pairs]
    common = Skeleton(
        name=truth.name,
        keypoints=tuple(truth.keypoints[place] for place in true_places),
        limbs=(),
        flip_pairs=(),
        oks_sigmas=tuple(truth.oks_sigmas[place] for place in true_places),
    )
    return common, true_places, places


def canonical(name: str) -> str:
    """Return a keypoint's name as this program spells it."""
    spaced = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name.strip())
    plain = re.sub(r"[\s.-]+", "_", spaced).lower()
    return _SAME_NAMES.get(plain, plain)


def _count_frame(
    mot: MotMeter,
    motion: MotionMeter,
    frame: FramePeople | None,
    truth: TruthSequence,
    number: int,
    places: Sequence[list[int]],
) -> None:
    """Count one frame, `number` in the truth; places: of the compared keypoints in the truth and the file."""
    present = [person for person in truth.people.get(number, ()) if np.isfinite(person.bbox).all()]
    true = [_picked(person, places[0]) for person in present]
    people = [_tracked(person, places[1]) for person in frame.people] if frame is not None else []
    pairs = mot.add(
        [person.track_id for person in true],
        [person.keypoints for person in true],
        [person.visibility > 0 for person in true],
        [person.bbox for person in true],
        people,
        optional=[not truth.must_be_found(person) for person in present],
        ignorable=_inside(people, truth.ignored.get(number, ())),
    )
    for person in true:
        if frame is not None and person.track_id in pairs:
            visible = (person.visibility == 2)[:, None]
            points = np.where(visible, person.keypoints, np.nan).astype(np.float64)
            motion.add(frame.index, frame.time_s, person.track_id, points, pairs[person.track_id])


def _picked(person: TruePerson, places: Sequence[int]) -> TruePerson:
    return replace(person, keypoints=person.keypoints[places], visibility=person.visibility[places])


def _tracked(person: TrackedPerson, places: Sequence[int]) -> TrackedPerson:
    """Return a person with the keypoints that are compared, and with a box also where the file has none."""
    box = person.bbox
    known = np.isfinite(person.keypoints).all(axis=1)
    if not np.isfinite(box).all() and known.any():
        box = pose_bbox(person.keypoints, known, margin=0).astype(np.float32)
    return replace(
        person,
        keypoints=person.keypoints[places],
        raw_keypoints=person.raw_keypoints[places],
        bbox=np.nan_to_num(box),
    )


def _inside(people: Sequence[TrackedPerson], outlines: Sequence[Polygon]) -> list[bool]:
    """Return of each person whether they stand mostly inside regions where nothing was labelled."""
    inside = []
    for person in people:
        points = person.keypoints[np.isfinite(person.keypoints).all(axis=1)].tolist()
        hits = [
            any(cv2.pointPolygonTest(outline, point, measureDist=False) >= 0 for outline in outlines)
            for point in points
        ]
        inside.append(sum(hits) > IGNORED_SHARE * len(hits) if hits else False)
    return inside


def _warnings(
    results: ResultsFile,
    truth: TruthSequence,
    skeleton: Skeleton,
    covered: range,
    extent: range,
    judged: int,
) -> tuple[str, ...]:
    lines = list(results.warnings)
    if covered != extent:
        lines.append(
            f"{results.path} has {_span_text(covered)} and {truth.path} {_span_text(extent)}; "
            f"the {judged} labelled ones that both have are judged"
        )
    for one, other in ((truth.skeleton, results.skeleton), (results.skeleton, truth.skeleton)):
        known = {canonical(name) for name in other.keypoints}
        lacking = [name for name in one.keypoints if canonical(name) not in known]
        if lacking:
            whose = "the truth" if one is truth.skeleton else str(results.path)
            lines.append(f"{skeleton.count} keypoints are compared; only {whose} has {', '.join(lacking)}")
    return tuple(lines)


def _span_text(frames: range) -> str:
    return f"the frames {frames.start} to {frames.stop - 1}" if frames else "no frame"
