"""What the tracker tells of its tracks: people as they are shown, and where everybody is expected next."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engine.structures import Float, KeypointState, TrackedPerson
from engine.tracking.kalman import Array, Mask
from engine.tracking.observed import pose_boxes
from engine.tracking.tracks import Tracks

MIN_PRESENCE = 0.4
"""Somebody unseen is shown only if seen for this share of the last moments, as false finds are not."""
YOUNG_S, MIN_SHARE, GRACE_S = 1.0, 0.5, 0.05
"""A track seen for less in all is shown only if seen for this share of its life, give or take a moment."""
OUTSIDE = 0.4
"""Somebody unseen who is expected to be outside the frame with so much of the box has left it."""


@dataclass(frozen=True, slots=True, eq=False)
class PredictedTrack:
    """Where a live track is expected.

    track_id: 0 while tentative. keypoints: (K, 2) float32 frame px, NaN where never seen. scores: (K,)
    float32 as of the last update, 0 where unseen. bbox: (4,) float32 xyxy frame px. unseen_s: seconds from
    the last sighting to the last update, 0 for a track that was seen then. missed_finds: finder runs in a row
    that saw nobody where the track was seen.
    """

    track_id: int
    keypoints: Float
    scores: Float
    bbox: Float
    confirmed: bool
    unseen_s: float
    missed_finds: int = 0


def predicted_tracks(tracks: Tracks, position: Array, boxes: Array) -> list[PredictedTrack]:
    """Return all live tracks where they are expected, in arrays of their own.

    Args:
        tracks: the live tracks.
        position: (P, K, 2) frame px, NaN where never seen.
        boxes: (P, 4) xyxy frame px.
    """
    keypoints, bbox = position.astype(np.float32), boxes.astype(np.float32)
    return [
        PredictedTrack(
            track_id=int(tracks.track_id[row]),
            keypoints=keypoints[row].copy(),
            scores=tracks.scores[row].astype(np.float32),
            bbox=bbox[row].copy(),
            confirmed=bool(tracks.track_id[row] > 0),
            unseen_s=float(tracks.unseen_s[row]),
            missed_finds=int(tracks.missed[row]),
        )
        for row in range(len(tracks))
    ]


def shown_people(
    tracks: Tracks,
    keypoints: Array,
    velocity: Array,
    state: NDArray[np.int8],
    measured: Array,
    *,
    time_s: float,
    frame_size: tuple[int, int] | None,
) -> list[TrackedPerson]:
    """Return the confirmed tracks that have anything to show, by id, in arrays of their own.

    Somebody unseen is shown as predicted only if they were mostly seen lately, as false finds are not, and
    have not left the frame; whoever flickered from the beginning is not shown at all.

    Args:
        tracks: the live tracks.
        keypoints: (P, K, 2) frame px; velocity: (P, K, 2) px/s; state: (P, K); measured: (P, K, 2) frame px,
            NaN where not seen.
        time_s: of the frame.
        frame_size: (height, width) px, None where unknown.
    """
    shown = state != KeypointState.MISSING
    visible = shown[..., None]
    points = np.where(visible, keypoints, np.nan).astype(np.float32)
    speeds = np.where(visible, velocity, np.nan).astype(np.float32)
    boxes = pose_boxes(keypoints, shown).astype(np.float32)
    unseen = tracks.unseen_s > 0
    told = (tracks.track_id > 0) & shown.any(axis=1) & (~unseen | (tracks.presence >= MIN_PRESENCE))
    young = tracks.seen_for_s < YOUNG_S
    told &= ~young | (tracks.seen_for_s >= MIN_SHARE * (time_s - tracks.born_s) - GRACE_S)
    if frame_size is not None and unseen.any():
        told &= ~unseen | ~has_left(boxes, frame_size)
    rows = np.flatnonzero(told)
    return [
        TrackedPerson(
            track_id=int(tracks.track_id[row]),
            keypoints=points[row].copy(),
            raw_keypoints=measured[row].astype(np.float32),
            velocity=speeds[row].copy(),
            scores=tracks.scores[row].astype(np.float32),
            state=state[row].copy(),
            bbox=boxes[row].copy(),
            score=float(tracks.score[row]),
            age_s=float(time_s - tracks.born_s[row]),
        )
        for row in rows[np.argsort(tracks.track_id[rows])]
    ]


def has_left(boxes: Array | Float, frame_size: tuple[int, int]) -> Mask:
    """(P,) whose box, xyxy frame px, lies outside a frame of (height, width) px with a good part of it."""
    height, width = frame_size
    low = np.maximum(boxes[:, :2], 0.0)
    high = np.minimum(boxes[:, 2:], [width, height])
    inside = np.maximum(high - low, 0.0).prod(axis=1)
    return np.asarray(inside < (1 - OUTSIDE) * (boxes[:, 2:] - boxes[:, :2]).prod(axis=1))
