"""What speaks for each track beside its keypoints: the finder's word, how it scores, clothes, twins."""

import numpy as np
from numpy.typing import NDArray

from engine.geometry import bbox_iou
from engine.tracking.association import assign, compare_appearance
from engine.tracking.kalman import Array, Mask
from engine.tracking.observed import Observed
from engine.tracking.tracks import Tracks

SCORE_S = 1.0
"""Time constant of a track's mean score."""
APPEARANCE_S = 2.0
"""Time constant of a track's appearance: clothes stay, light changes slowly."""
TWIN_IOU, TWIN_ALIKE = 0.3, 0.9
"""Two tracks that overlap so much in clothes so alike are one person, if the finder sees one there."""
CLEAR_IOU = 0.1
"""Clothes are learnt only of somebody whose box nobody else's overlaps more than this."""
SIZE_S = 0.5
"""Time constant of a person's size."""
AWAY_S = 0.2
"""A track unseen for so long may be a newcomer's, if this one comes up elsewhere in the same clothes; in the
same place it may be at once."""
YOUNG_S = 2.0
"""A track seen for longer keeps its own id, whoever is lost beside it."""
KNOWN_CLOTHES_S = 0.3
"""Somebody whose clothes were seen for less is not remembered."""
CLOTHES_S = 0.1
"""Clothes seen for less say little; a newcomer who may be somebody gone, or a mixture, waits for them"""
WAIT_S = 0.4
"""for at most this long before getting a new id."""


def learn(
    tracks: Tracks,
    seen: Observed,
    rows: NDArray[np.intp],
    people: NDArray[np.intp],
    dt: float,
    *,
    min_person_score: float,
) -> None:
    """Follow size, score and clothes of the tracks `rows`, seen as `people` of the frame.

    Args:
        tracks: are changed.
        seen: everybody of the frame.
        rows: (S,) of the tracks that were seen.
        people: (S,) who of the frame each of them is.
        dt: seconds since the frame before.
        min_person_score: clothes are learnt only of people who score at least so much.
    """
    tracks.score[rows] = seen.score[people]
    tracks.size[rows] += (1 - np.exp(-dt / SIZE_S)) * (seen.sizes[people] - tracks.size[rows])
    tracks.mean_score[rows] += (1 - np.exp(-dt / SCORE_S)) * (seen.score[people] - tracks.mean_score[rows])
    overlap = bbox_iou(seen.boxes[people], seen.boxes)
    overlap[np.arange(len(people)), people] = 0.0
    known = seen.appearance[people].any(axis=(1, 2)) & (seen.score[people] >= min_person_score)
    clear = known & (overlap <= CLEAR_IOU).all(axis=1)
    rows, people = rows[clear], people[clear]
    if not rows.size:
        return
    tracks.learnt_s[rows] += dt
    gain = np.maximum(1 - np.exp(-dt / APPEARANCE_S), dt / tracks.learnt_s[rows])[:, None, None]
    news = seen.appearance[people]
    unknown = ~tracks.appearance[rows].any(axis=-1, keepdims=True)
    gain = np.where(unknown, 1.0, gain) * news.any(axis=-1, keepdims=True)
    mean = tracks.appearance[rows] + gain * (news - tracks.appearance[rows])
    tracks.appearance[rows] = mean / np.maximum(np.linalg.norm(mean, axis=-1, keepdims=True), 1e-9)


def hear_finder(
    tracks: Tracks,
    found: Array,
    rows: NDArray[np.intp],
    boxes: Array,
    *,
    sure_find_score: float,
) -> None:
    """Count for and against each track what a finder run saw.

    Args:
        tracks: are changed.
        found: (S,) the finder's score of the people who continue the tracks `rows`, 0 where it saw nobody.
        rows: (S,) of the tracks that were seen.
        boxes: (P, 4) xyxy frame px, of all tracks.
        sure_find_score: from here on one find counts as two.
    """
    score = np.zeros(len(tracks))
    score[rows] = found
    tracks.finds += (score > 0) + 1.0 * (score >= sure_find_score)
    tracks.missed = np.where(score > 0, 0, tracks.missed + 1)
    _count_twins(tracks, score > 0, boxes)


def _count_twins(tracks: Tracks, vouched: Mask, boxes: Array) -> None:
    """Count, for each track, that the finder sees one person for it and an older track.

    Two tracks can share one person for long, each seen in some frames and vouched for in turn; people who
    hide each other wear other clothes, or are seen apart sooner or later.
    """
    alike, known = compare_appearance(tracks.appearance, tracks.appearance)
    near = (bbox_iou(boxes, boxes) >= TWIN_IOU) & known & (alike >= TWIN_ALIKE)
    older = np.tri(len(tracks), k=-1, dtype=bool)
    one = vouched[:, None] != vouched[None]
    both = vouched[:, None] & vouched[None]
    tracks.twin = np.where(
        (near & older & one).any(axis=1),
        tracks.twin + 1,
        np.where((older & near & both).any(axis=1) | ~(near & older).any(axis=1), 0, tracks.twin),
    )


def clothes_awaited(
    tracks: Tracks,
    rows: NDArray[np.intp],
    boxes: Array,
    known: Mask,
    *,
    confirm_s: float,
    some_gone: bool,
) -> Mask:
    """Return (R,) which of the tracks due for an id wait until their clothes were seen.

    Where somebody is gone, they may be back; where people overlap, a crop shows mixtures of them, and what
    is never seen apart may be nobody. They wait for `WAIT_S` at most.

    Args:
        tracks: the live tracks.
        rows: (R,) of those that are due.
        boxes: (P, 4) xyxy frame px, of all tracks.
        known: (P,) confirmed tracks whose clothes are known.
        confirm_s: how long a track is seen until it is due.
        some_gone: whether anybody is out of sight.
    """
    present = (tracks.track_id > 0) & (tracks.unseen_s == 0)
    mixed = known.any() & (bbox_iou(boxes[rows], boxes[present]) > CLEAR_IOU).any(axis=1)
    undressed = tracks.learnt_s[rows] < CLOTHES_S
    patient = tracks.seen_for_s[rows] < confirm_s + WAIT_S
    return np.asarray(undressed & patient & (mixed | some_gone))


def merge_lost(tracks: Tracks, boxes: Array) -> None:
    """Give the id of an older track that is lost to a younger one that has taken its person over.

    A crop led astray takes its track along; the finder then starts another on the person left behind.

    Args:
        tracks: are changed.
        boxes: (P, 4) xyxy frame px, of all tracks.
    """
    confirmed = tracks.track_id > 0
    lost = np.flatnonzero(confirmed & (tracks.unseen_s >= AWAY_S) & (tracks.learnt_s >= KNOWN_CLOTHES_S))
    young = np.flatnonzero(confirmed & (tracks.unseen_s == 0) & (tracks.seen_for_s <= YOUNG_S))
    if not lost.size or not young.size:
        return
    alike, known = compare_appearance(tracks.appearance[lost], tracks.appearance[young])
    near = bbox_iou(boxes[lost], boxes[young]) >= TWIN_IOU
    younger = tracks.track_id[lost][:, None] < tracks.track_id[young][None]
    fits = alike * (known & near & younger & (alike >= TWIN_ALIKE))
    for first, second in assign(fits, TWIN_ALIKE, np.ones(len(lost))):
        tracks.track_id[young[second]] = tracks.track_id[lost[first]]
        tracks.born_s[young[second]] = tracks.born_s[lost[first]]
        tracks.seen_for_s[young[second]] += tracks.seen_for_s[lost[first]]
        tracks.track_id[lost[first]] = -1
