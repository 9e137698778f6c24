"""PoseTrack and other labelled videos: precision of each keypoint, identities, jitter and lag.

Tracks come from the engine's tracker on the predictions of each frame, so what is judged is what ships.
"""

from collections.abc import Sequence
from dataclasses import replace
from itertools import groupby

import numpy as np
from numpy.typing import NDArray

from engine.errors import UsageError
from engine.metrics.jitter import lag_s, rms_error, rms_jitter
from engine.metrics.mot import MotFigures, MotMeter, combined_figures
from engine.metrics.posetrack import PoseFrame, keypoint_average_precision, keypoint_mota
from engine.model import Network
from engine.settings import TrackerSettings
from engine.skeleton import Skeleton
from engine.structures import Person, TrackedPerson
from engine.tracking.oks import oks_matrix
from engine.tracking.tracker import Tracker
from train.data.labels import ImageLabel, PersonLabel
from train.predict import predict
from train.protocols.pairing import Prediction

Array = NDArray[np.float64]

FRAME_RATE = 25.0
"""Frames per second of PoseTrack's videos where nothing else is said."""
SAME_OKS = 0.5
"""A track answers for a true person where they are at least so alike."""
ID_STEP = 1_000_000
"""Between the ids of one sequence and the next."""


def evaluate_tracking(
    network: Network,
    labels: Sequence[ImageLabel],
    *,
    finder: Network | None = None,
    boxes: str = "finder",
    settings: TrackerSettings | None = None,
    frame_rate: float = FRAME_RATE,
) -> dict:
    """Predict every frame and judge the tracks; see `predict` and `tracking_figures`."""
    predictions = predict(network, labels, boxes=boxes, finder=finder)
    return tracking_figures(predictions, network.spec.skeleton, settings=settings, frame_rate=frame_rate)


def posetrack_figures(predictions: Sequence[Prediction], skeleton: Skeleton) -> dict:
    """Return PoseTrack's figures.

    Returns:
        `map`, the mean of `ap_by_keypoint`, at half a head size; `tracking`, of `tracking_figures`, where the
        labels have tracks.

    Raises:
        UsageError: nobody has a head size.
    """
    frames = [
        _pose_frame(prediction, prediction.people, (), skeleton)
        for prediction in predictions
        if any(person.head_size for person in prediction.label.people)
    ]
    if not frames:
        raise UsageError("protocol posetrack needs people with a head size; read PoseTrack or MPII labels")
    values = keypoint_average_precision(frames)
    figures: dict = {"map": float(np.nanmean(values)), "ap_by_keypoint": _by_name(values, skeleton)}
    if any(person.track_id is not None for p in predictions for person in p.label.people):
        figures["tracking"] = tracking_figures(predictions, skeleton)
    return figures


def tracking_figures(
    predictions: Sequence[Prediction],
    skeleton: Skeleton,
    *,
    settings: TrackerSettings | None = None,
    frame_rate: float = FRAME_RATE,
) -> dict:
    """Follow the predicted people through each sequence and judge the tracks.

    Args:
        predictions: of sequences whose people have track ids; frames in any order.
        skeleton: theirs.
        settings: of the tracker.
        frame_rate: frames per second that `ImageLabel.frame` counts.

    Returns:
        `total` and `sequences` by name: frames, truths, matches, misses, false_positives, switches, mota and
        idf1 of people, OKS of at least 0.5 being a match, and hota, deta and assa.
        `mota_by_keypoint` and their mean `keypoint_mota` at half a head size, where head sizes are known.
        `jitter_px`, `raw_jitter_px` and `error_px`, RMS against the truth with and without smoothing, and
        `lag_ms`, the median over people.

    Raises:
        UsageError: no person has a track id, or motmetrics or trackeval is not installed.
    """
    if not any(person.track_id is not None for p in predictions for person in p.label.people):
        raise UsageError("judging tracks needs labels with track ids; read PoseTrack labels")
    ordered = sorted(predictions, key=lambda item: (item.label.sequence, item.label.frame))
    meters: dict[str, MotMeter] = {}
    frames: list[PoseFrame] = []
    motion: list[tuple[float, float, float, float]] = []
    for number, (name, group) in enumerate(groupby(ordered, key=lambda item: item.label.sequence)):
        members = list(group)
        times = [item.label.frame / frame_rate for item in members]
        tracker = Tracker(settings or TrackerSettings(), skeleton)
        tracks = [tracker.update(item.people, time) for item, time in zip(members, times, strict=True)]
        meters[name] = meter = MotMeter(skeleton, hota=True)
        for item, people in zip(members, tracks, strict=True):
            apart = [replace(person, track_id=person.track_id + number * ID_STEP) for person in people]
            truths = [person for person in item.label.people if person.track_id is not None]
            ids = tuple(number * ID_STEP + int(person.track_id or 0) for person in truths)
            _count(meter, ids, truths, apart, skeleton)
            if any(person.head_size for person in truths):
                frames.append(_pose_frame(item, apart, ids, skeleton))
        motion += _motion(members, tracks, np.array(times), skeleton)
    result: dict = {
        "total": _figures(combined_figures(list(meters.values()))),
        "sequences": {name: _figures(meter.figures()) for name, meter in meters.items()},
        **_summarise_motion(motion),
    }
    if frames:
        values = keypoint_mota(frames)
        result["keypoint_mota"] = float(np.nanmean(values))
        result["mota_by_keypoint"] = _by_name(values, skeleton)
    return result


def _count(
    meter: MotMeter,
    ids: Sequence[int],
    truths: Sequence[PersonLabel],
    people: Sequence[TrackedPerson],
    skeleton: Skeleton,
) -> None:
    shape = (-1, skeleton.count)
    meter.add(
        ids,
        np.array([person.keypoints for person in truths]).reshape(*shape, 2),
        np.array([person.visibility > 0 for person in truths]).reshape(shape),
        np.array([person.bbox for person in truths]).reshape(-1, 4),
        people,
    )


def _pose_frame(
    prediction: Prediction,
    people: Sequence[Person] | Sequence[TrackedPerson],
    truth_ids: tuple[int, ...],
    skeleton: Skeleton,
) -> PoseFrame:
    """Lay a frame into arrays, without what lies in regions where nothing may be said.

    Where ids are given, only people with a track id count.
    """
    label = prediction.label
    truths = [person for person in label.people if person.track_id is not None or not truth_ids]
    shape = (-1, skeleton.count)
    truth = np.array([person.keypoints for person in truths], np.float64).reshape(*shape, 2)
    keypoints = np.array([person.keypoints for person in people], np.float64).reshape(*shape, 2)
    heads = np.array([person.head_size or np.nan for person in truths], np.float64)
    valid = np.array([person.visibility > 0 for person in truths], bool).reshape(shape)
    valid &= np.isfinite(heads)[:, None] & ~_ignored(prediction, truth)
    keypoints[_ignored(prediction, keypoints)] = np.nan
    ids = tuple(person.track_id for person in people if isinstance(person, TrackedPerson))
    scores = np.array([person.scores for person in people], np.float64).reshape(shape)
    return PoseFrame(truth, valid, heads, keypoints, scores, truth_ids, ids)


def _ignored(prediction: Prediction, points: Array) -> NDArray[np.bool_]:
    """Return for (N, K, 2) points whether they lie in an outlined region that says nothing about people."""
    height, width = prediction.size
    label = prediction.label
    if label.ignore_mask is None:
        return np.zeros(points.shape[:2], bool)
    mask = label.ignore_mask((height, width))
    whole = np.round(np.nan_to_num(points, nan=-1.0, posinf=-1.0, neginf=-1.0)).astype(np.int64)
    inside = ((whole >= 0) & (whole < [width, height])).all(axis=-1)
    return inside & mask[whole[..., 1].clip(0, height - 1), whole[..., 0].clip(0, width - 1)]


def _motion(
    members: Sequence[Prediction], tracks: Sequence[list[TrackedPerson]], times: Array, skeleton: Skeleton
) -> list[tuple[float, float, float, float]]:
    """Return jitter, raw jitter, error in px and lag in s of each true person of a sequence."""
    shape = (len(members), skeleton.count, 2)
    paths: dict[int, tuple[Array, Array, Array]] = {}
    for frame, (item, people) in enumerate(zip(members, tracks, strict=True)):
        truths = [person for person in item.label.people if person.track_id is not None]
        if not truths or not people:
            continue
        valid = np.array([person.visibility > 0 for person in truths])
        likeness = oks_matrix(
            np.array([person.keypoints for person in truths]),
            np.array([person.keypoints for person in people]),
            skeleton.sigmas,
            np.array([person.area for person in truths]),
            valid,
        )
        for place, person in enumerate(truths):
            best = int(likeness[place].argmax())
            if likeness[place, best] < SAME_OKS:
                continue
            identity = int(person.track_id or 0)
            if identity not in paths:
                paths[identity] = (np.full(shape, np.nan), np.full(shape, np.nan), np.full(shape, np.nan))
            true, smooth, raw = paths[identity]
            true[frame] = np.where(valid[place][:, None], person.keypoints, np.nan)
            smooth[frame], raw[frame] = people[best].keypoints, people[best].raw_keypoints
    return [
        (rms_jitter(smooth, true), rms_jitter(raw, true), rms_error(smooth, true), lag_s(smooth, true, times))
        for true, smooth, raw in paths.values()
    ]


def _summarise_motion(motion: Sequence[tuple[float, float, float, float]]) -> dict[str, float | None]:
    values = np.array(motion, np.float64).reshape(-1, 4)
    names = ("jitter_px", "raw_jitter_px", "error_px", "lag_ms")
    middle = [
        float(np.median(column[np.isfinite(column)])) if np.isfinite(column).any() else None
        for column in values.T * np.array([[1], [1], [1], [1000]])
    ]
    return dict(zip(names, middle, strict=True))


def _figures(figures: MotFigures) -> dict:
    names = ("frames", "truths", "matches", "misses", "false_positives", "switches")
    counts: dict = {name: getattr(figures, name) for name in names}
    shares = {name: _number(getattr(figures, name)) for name in ("mota", "idf1", "hota", "deta", "assa")}
    return counts | shares


def _by_name(values: Array, skeleton: Skeleton) -> dict[str, float | None]:
    return {name: _number(float(value)) for name, value in zip(skeleton.keypoints, values, strict=True)}


def _number(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
