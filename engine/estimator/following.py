"""Top-down on people who are followed: a track's prediction gives its crop, a finder gives the new ones."""

import logging
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from engine.device.frames import FrameRing
from engine.estimator.appearance import describe_people
from engine.estimator.bottom_up import BottomUpEstimator, finder_settings
from engine.estimator.budget import (
    FinderChoice,
    candidate_sizes,
    choose_finder,
    measure_finder,
    measure_person,
)
from engine.estimator.heatmap_view import HeatmapView
from engine.estimator.top_down import TopDownEstimator
from engine.geometry import bbox_iou
from engine.model import Model
from engine.settings import EstimatorSettings
from engine.skeleton import Skeleton
from engine.structures import Float, Frame, Person
from engine.timing import Stopwatch
from engine.tracking.oks import suppress_duplicates, suppress_scraps
from engine.tracking.tracker import PredictedTrack

LOGGER = logging.getLogger(__name__)

DEFAULT_INTERVAL_S = 0.5
RETRY_S = 0.1
"""Seconds between finder runs while a track is lost or unsure, or nobody is there."""
CROP_LOST_S = 0.3
"""A lost track's prediction is worth a crop for this long."""
SAME_PERSON_IOU = 0.3
"""A found person and a track whose boxes overlap less are two people."""
GROW_IOU = 0.5
"""A track's box grows to hold a found person's box that overlaps it at least so much."""
SHADOW_IOU = 0.25
"""Tracks whose boxes overlap so much may be two on one person."""
SHADOW_MISSES = 2
"""Finder runs in a row that saw one person where two tracks are."""
MIN_BOX_SIDE = 4.0
UNSURE_SCORE = 0.3
"""A track whose person scores below this calls the finder."""


class FollowingEstimator:
    """Crops where tracks are predicted and where the finder sees somebody new.

    The finder runs on the first frame, every `find_interval_s` seconds of source time, and sooner when a
    track is new, lost or unsure or nobody is there.

    auto: measure on the first frame what this machine can do, and choose the finder's size and interval.
    ring: brings frames to the device that both models are on, and is closed with this; None otherwise.
    heatmap_wanted, heatmap: see `frame.FrameEstimator`; the crops' heatmaps, not the finder's.
    """

    def __init__(
        self,
        top_down: TopDownEstimator[Model],
        finder: BottomUpEstimator[Model],
        settings: EstimatorSettings,
        *,
        auto: bool,
        ring: FrameRing | None = None,
    ) -> None:
        self._top_down, self._finder, self._settings = top_down, finder, settings
        self._auto = self._measure = auto
        self._ring = ring
        self._finder_ms: dict[int, float] = {}
        self._person_ms: float | None = None
        self._people = 0
        self._frame_rate = 30.0
        self._last_find_s: float | None = None
        self.heatmap_wanted = False
        self.heatmap: Float | None = None
        self._take_given()

    @property
    def models(self) -> tuple[Model, ...]:
        """The models in use, the one whose keypoints come out first."""
        return self._top_down.model, self._finder.model

    @property
    def skeleton(self) -> Skeleton:
        """The keypoints that come out."""
        return self._top_down.model.spec.skeleton

    def start(self, frame_rate: float) -> None:
        """Begin a new source whose frame rate, in frames per second, is to be held."""
        self._frame_rate = frame_rate
        self._last_find_s = None

    def warm_up(self, size: tuple[int, int]) -> None:
        """Run the networks once for frames of (height, width), at the size that is tried first."""
        image = np.zeros((*size, 3), np.uint8)
        self._finder.estimate(image)
        self._top_down.estimate(image, [[0.0, 0.0, float(size[1]), float(size[0])]])

    def change_settings(self, settings: EstimatorSettings) -> None:
        """Follow other settings from the next frame on; see `frame.FrameEstimator.change_settings`.

        What `auto` chose stays, unless the finder's interval or size is given otherwise than before: then it
        chooses anew on the next frame, and measures only what it has not measured.
        """
        self._finder.check_short_side(settings.finder_short_side)
        before, self._settings = self._settings, settings
        self._finder.settings, self._finder.scales = finder_settings(settings), settings.finder_scales
        self._top_down.flip_test = settings.flip_test
        self._top_down.min_keypoint_score = settings.min_keypoint_score
        if settings.finder_scales != before.finder_scales:
            self._finder_ms = {}
        if settings.flip_test != before.flip_test:
            self._person_ms = None
        given = (settings.find_interval_s, settings.finder_short_side)
        if given != (before.find_interval_s, before.finder_short_side):
            self._finder.short_side = settings.finder_short_side
            self._measure = self._auto
            self._take_given()

    def _take_given(self) -> None:
        """Take the given interval and size, or the usual ones, until `auto` has chosen."""
        given = self._settings.find_interval_s
        self._interval_s = DEFAULT_INTERVAL_S if given is None else given
        self.choice: dict[str, object] = {
            "mode": "top-down",
            "find_interval_s": self._interval_s,
            "finder_short_side": self._finder.short_side or min(self._finder.model.spec.input_size),
        }

    def estimate_frame(
        self, frame: Frame, tracks: Sequence[PredictedTrack], watch: Stopwatch
    ) -> list[Person]:
        """Return the people of a frame, each once, weak ones dropped.

        Args:
            frame: the frame.
            tracks: all live tracks, predicted for the time of the frame.
            watch: is charged with `find`, `prepare`, `infer` and `decode`.
        """
        if self._measure:
            self._choose(frame)
        size = (frame.image.shape[0], frame.image.shape[1])
        view = HeatmapView(size) if self.heatmap_wanted else None
        cropped = [track for track in tracks if track.unseen_s <= CROP_LOST_S and _usable(track.bbox, size)]
        cropped = drop_shadows(cropped)
        boxes = np.array([track.bbox for track in cropped], np.float64).reshape(-1, 4)
        found: list[Person] | None = None
        sure = len(boxes)
        if self._is_due(frame.time_s, tracks):
            self._last_find_s = frame.time_s
            with watch.stage("find"):
                seen = self._finder.estimate(frame.image)
                found = [person for person in seen if person.score >= self._settings.min_person_score]
                boxes, sure = propose_boxes(boxes, seen, self._settings)
        boxes = boxes[: self._settings.max_people]
        people = self._top_down.estimate(frame.image, boxes, watch, view)
        self.heatmap = None if view is None else view.values
        bar = self._settings.finder_doubt_score
        people = people[:sure] + [person for person in people[sure:] if person.score >= bar]
        with watch.stage("decode"):
            kept = settle_people(people, self.skeleton, self._settings)
            if found is not None:
                kept = mark_found(kept, found)
            return describe_people(frame.image, kept, self.skeleton)

    def announce(self, frame: Frame) -> None:
        """Let the next frame be uploaded ahead where there is a device."""
        if self._ring is not None:
            self._ring.announce(frame.image)

    def release(self) -> None:
        """Free what is held on a device besides the models."""
        self._top_down.release()
        self._finder.release()
        if self._ring is not None:
            self._ring.close()

    def _is_due(self, time_s: float, tracks: Sequence[PredictedTrack]) -> bool:
        if self._last_find_s is None or time_s < self._last_find_s:
            return True
        # A hair early rather than a frame late: 0.1 s is 3 frames at 30 frames/s, whatever the rounding.
        since = time_s - self._last_find_s + 1e-6
        if since >= self._interval_s:
            return True
        unsure = not tracks or any(
            not track.confirmed or track.unseen_s > 0 or _score(track) < UNSURE_SCORE for track in tracks
        )
        return unsure and since >= max(RETRY_S, self._interval_s / 3)

    def _choose(self, frame: Frame) -> None:
        self._measure = False
        settings = self._settings
        if self._person_ms is None:
            seen = self._finder.estimate(frame.image)
            self._people = max(2, sum(person.score >= settings.min_person_score for person in seen))
            self._person_ms = measure_person(self._top_down, frame.image)
        people, person_ms = self._people, self._person_ms
        choice = self._choose_finder(frame, people, person_ms)
        self._interval_s, self._finder.short_side = choice.find_interval_s, choice.finder_short_side
        self.choice = {"mode": "top-down", **choice.as_dict()}
        LOGGER.info(
            "auto: top-down, finder at %d px every %.2f s (%.1f ms, per person %.1f ms, goal %.0f frames/s)",
            choice.finder_short_side,
            choice.find_interval_s,
            choice.finder_ms,
            choice.person_ms,
            choice.frame_rate,
        )
        if not choice.holds:
            LOGGER.warning(
                "this machine cannot hold %.0f frames/s with %d people: finder %.1f ms, person %.1f ms",
                choice.frame_rate,
                people,
                choice.finder_ms,
                person_ms,
            )

    def _choose_finder(self, frame: Frame, people: int, person_ms: float) -> FinderChoice:
        """Measure the finder at smaller and smaller sizes until one is good enough.

        Every new size costs a compilation, so those that would not be chosen anyway are left alone.
        """
        finder_ms: dict[int, float] = {}
        for size in candidate_sizes(self._finder):
            if size not in self._finder_ms:
                self._finder_ms[size] = measure_finder(self._finder, frame.image, size)
            finder_ms[size] = self._finder_ms[size]
            interval_s = self._settings.find_interval_s
            choice = choose_finder(finder_ms, person_ms, people, self._frame_rate, interval_s)
            if choice.good(interval_s):
                break
        return choice


def propose_boxes(
    tracked: np.ndarray, seen: Sequence[Person], settings: EstimatorSettings
) -> tuple[NDArray[np.float64], int]:
    """Return the boxes to crop: those of tracks, of people whom the finder sees, and of those it doubts.

    Args:
        tracked: (N, 4) xyxy frame px. seen: by the finder, the likeliest first.
        settings: tell who is doubtful.

    Returns:
        (N + new, 4) xyxy frame px, the tracks' first, in order, and how many come before the doubtful ones.
    """
    found = [person for person in seen if person.score >= settings.min_person_score]
    doubtful = [person for person in seen if person.score < settings.min_person_score]
    sure = merge_boxes(tracked, _boxes(found))
    return add_boxes(sure, _boxes(doubtful)), len(sure)


def settle_people(
    people: Sequence[Person], skeleton: Skeleton, settings: EstimatorSettings, *, keep_weak: bool = False
) -> list[Person]:
    """Drop weak people (or keep them), copies and scraps of others from what the crops of a frame showed."""
    least = 0.0 if keep_weak else settings.min_person_score
    kept = [person for person in people if person.score >= least]
    return suppress_scraps(suppress_duplicates(kept, skeleton, settings.duplicate_oks), skeleton)


def merge_boxes(tracked: np.ndarray, found: np.ndarray) -> np.ndarray:
    """Add to the tracks' boxes those of people found anew.

    Tracks and found people are paired one to one by IoU. A track's box that a found box mostly covers grows
    to hold it, so that legs or arms once outside a crop come back; a found box without a track becomes a box
    of its own.

    Args:
        tracked: (N, 4) xyxy frame px.
        found: (M, 4) xyxy frame px.

    Returns:
        (N + new, 4) xyxy frame px, the tracks' first, in order.
    """
    iou = bbox_iou(tracked, found)
    rows, columns = linear_sum_assignment(-iou)
    boxes, new = tracked.copy(), set(range(len(found)))
    for row, column in zip(rows, columns, strict=True):
        if iou[row, column] < SAME_PERSON_IOU:
            continue
        new.discard(int(column))
        if iou[row, column] >= GROW_IOU:
            low = np.minimum(tracked[row, :2], found[column, :2])
            boxes[row] = np.concatenate([low, np.maximum(tracked[row, 2:], found[column, 2:])])
    return np.concatenate([boxes, found[sorted(new)]])


def add_boxes(boxes: np.ndarray, doubtful: np.ndarray) -> np.ndarray:
    """Add the boxes of people whom the finder doubts, where there is no box yet.

    Args:
        boxes: (N, 4) xyxy frame px. doubtful: (M, 4) xyxy frame px, the likeliest first.

    Returns:
        (N + new, 4) xyxy frame px.
    """
    for box in doubtful:
        if not (bbox_iou(box[None], boxes) >= SAME_PERSON_IOU).any():
            boxes = np.concatenate([boxes, box[None]])
    return boxes


def drop_shadows(tracks: Sequence[PredictedTrack]) -> list[PredictedTrack]:
    """Leave out tracks that overlap one the finder sees while it has missed them several times in a row.

    Cropping finds a person in every box: the track of somebody who is hidden would move on with who hides
    them, and a second track on one person would last forever. Without a crop such a track is unseen, until
    the finder sees two people again.

    Returns:
        the tracks kept, in the order given.
    """
    boxes = np.array([track.bbox for track in tracks]).reshape(-1, 4)
    missed = np.array([track.missed_finds for track in tracks])
    hidden = (bbox_iou(boxes, boxes) >= SHADOW_IOU) & (missed[None] == 0)
    shadow = hidden.any(axis=1) & (missed >= SHADOW_MISSES)
    return [track for track, drop in zip(tracks, shadow, strict=True) if not drop]


def mark_found(people: Sequence[Person], found: Sequence[Person]) -> list[Person]:
    """Return the people with `found`: the score of the finder's person in the same place, 0 if it has none.

    People and found ones are paired one to one by IoU, so that one find does not vouch for two people.
    """
    iou = bbox_iou(_boxes(people), _boxes(found))
    support = np.zeros(len(people))
    for row, column in zip(*linear_sum_assignment(-iou), strict=True):
        if iou[row, column] >= SAME_PERSON_IOU:
            support[row] = found[int(column)].score
    return [replace(person, found=float(score)) for person, score in zip(people, support, strict=True)]


def _boxes(people: Sequence[Person]) -> np.ndarray:
    return np.array([person.bbox for person in people], np.float64).reshape(-1, 4)


def _usable(bbox: np.ndarray, frame_size: tuple[int, ...]) -> bool:
    """Whether a predicted box is finite, not tiny, and at least half a side inside the frame."""
    if not np.isfinite(bbox).all():
        return False
    x1, y1, x2, y2 = (float(value) for value in bbox)
    height, width = frame_size
    inside_x, inside_y = min(x2, width) - max(x1, 0.0), min(y2, height) - max(y1, 0.0)
    return inside_x > 0 and inside_y > 0 and min(x2 - x1, y2 - y1) >= MIN_BOX_SIDE


def _score(track: PredictedTrack) -> float:
    """Mean score of the better half of a track's keypoints: half a body in the frame is not unsure."""
    scores = np.sort(track.scores)
    return float(scores[len(scores) // 2 :].mean())
