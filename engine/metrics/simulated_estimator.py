"""What top-down estimation with a finder would report of a simulated scene: noise, misses, false finds.

It goes about its frames as `engine.estimator.following` does, and with that module's own rules: a crop for
each track that is predicted, a finder every now and then, sooner while a track is new or lost. Only the
networks are played: a crop shows whoever fills it best, hidden keypoints are guessed, the finder misses some.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from engine.estimator.following import (
    CROP_LOST_S,
    DEFAULT_INTERVAL_S,
    RETRY_S,
    drop_shadows,
    mark_found,
    propose_boxes,
    settle_people,
)
from engine.geometry import bbox_iou, pose_bbox
from engine.metrics.stage import Scene, Truth
from engine.settings import EstimatorSettings
from engine.skeleton import COCO17
from engine.structures import APPEARANCE_SHAPE, Person
from engine.tracking.tracker import PredictedTrack

Array = NDArray[np.float64]

NOISE = 0.011
"""Standard deviation of a keypoint that is seen, body heights; of a guessed one, `GUESSED` times this."""
GUESSED = 4.0
BORROWED = 0.5
"""Share of hidden keypoints that are drawn to those of the person in front."""
FIND_RATE, FRAGMENT_RATE, FALSE_RATE, CROP_RATE = 0.85, 0.05, 0.25, 0.98
"""How often a finder run finds somebody in full view, finds part of one a second time, sees somebody at a
false place, and a crop of somebody yields a pose."""
MIN_FILL = 0.15
"""A crop shows somebody only if visible share times IoU reaches this."""
CLOTHES_NOISE = 0.35
"""Spread of the logarithm of a colour's frequency from frame to frame."""


class SimulatedEstimator:
    """Reports the people of a scene frame after frame; the same seed and tracker give the same reports."""

    def __init__(self, scene: Scene, settings: EstimatorSettings | None = None) -> None:
        self.settings = settings or EstimatorSettings()
        self._scene = scene
        self._random = np.random.default_rng(scene.seed)
        self._last_find_s = -np.inf
        given = self.settings.find_interval_s
        self._interval_s = DEFAULT_INTERVAL_S if given is None else given

    def report(self, truth: Truth, time_s: float, tracks: Sequence[PredictedTrack]) -> list[Person]:
        """Return the people of a frame as the tracker gets them.

        Args:
            truth: of the frame.
            time_s: of the frame.
            tracks: all live tracks, predicted for this frame.
        """
        height, width = self._scene.camera.size
        shown = [
            track for track in tracks if track.unseen_s <= CROP_LOST_S and _in_frame(track, height, width)
        ]
        boxes = np.array([track.bbox for track in drop_shadows(shown)], np.float64).reshape(-1, 4)
        found: list[Person] | None = None
        sure = len(boxes)
        if self._is_due(time_s, tracks):
            self._last_find_s = time_s
            seen = self._find(truth, time_s)
            found = [person for person in seen if person.score >= self.settings.min_person_score]
            boxes, sure = propose_boxes(boxes, seen, self.settings)
        people = [self._crop(box, truth) for box in boxes]
        bar = self.settings.finder_doubt_score
        people = people[:sure] + [person for person in people[sure:] if person.score >= bar]
        kept = settle_people(people, COCO17, self.settings)
        return kept if found is None else mark_found(kept, found)

    def _is_due(self, time_s: float, tracks: Sequence[PredictedTrack]) -> bool:
        since = time_s - self._last_find_s + 1e-6
        unsure = not tracks or any(not track.confirmed or track.unseen_s > 0 for track in tracks)
        return since >= self._interval_s or (unsure and since >= max(RETRY_S, self._interval_s / 3))

    def _find(self, truth: Truth, time_s: float) -> list[Person]:
        """Run the finder: the likeliest first."""
        random, people = self._random, []
        for row in range(len(truth.ids)):
            share = float(truth.visible[row].mean())
            if random.uniform() < FIND_RATE * min(1.0, share / 0.6):
                people.append(self._see(truth, row, random.uniform(0.35, 0.8) * min(1.0, share / 0.5)))
            if random.uniform() < FRAGMENT_RATE * share:
                people.append(self._see(truth, row, 0.35, parts=np.arange(17) < 11))
        offset = self._scene.camera.offset(time_s)
        for x, y, height in self._scene.false_places:
            if random.uniform() < FALSE_RATE:
                pose = np.array([x, y]) - offset + random.normal(0, 0.15 * height, (17, 2))
                people.append(_person(pose, random.uniform(0.2, 0.5, 17)))
        return sorted(people, key=lambda person: -person.score)

    def _crop(self, box: Array, truth: Truth) -> Person:
        """Return what the crop of a box shows: whoever fills it best, or a guess at nobody."""
        fill = bbox_iou(box[None], truth.boxes)[0] * truth.visible.mean(axis=1) if len(truth.ids) else []
        row = int(np.argmax(fill)) if len(fill) else -1
        if row < 0 or fill[row] < MIN_FILL or self._random.uniform() > CROP_RATE:
            guess = box[:2] + self._random.uniform(0.1, 0.9, (17, 2)) * (box[2:] - box[:2])
            return _person(guess, self._random.uniform(0.0, 0.4, 17))
        return self._see(truth, row, self._random.uniform(0.75, 0.9))

    def _see(self, truth: Truth, row: int, sureness: float, parts: NDArray[np.bool_] | None = None) -> Person:
        """Return one person as a network reports them, scored `sureness` where visible."""
        random, hider = self._random, int(truth.hiders[row])
        visible = truth.visible[row]
        pose = truth.keypoints[row].copy()
        if hider >= 0:
            borrowed = ~visible & (random.uniform(size=17) < BORROWED)
            pose[borrowed] = truth.keypoints[hider][borrowed]
        spread = NOISE * truth.heights[row] * np.where(visible, 1.0, GUESSED)
        pose += random.normal(size=(17, 2)) * spread[:, None]
        scores = np.where(visible, sureness, random.uniform(0.05, 0.35, 17) * sureness)
        scores = np.where(truth.inside[row], scores, 0.02) * random.uniform(0.9, 1.0, 17)
        if parts is not None:
            scores = np.where(parts, scores, 0.02)
        return _person(pose, scores, self._clothes(truth, row))

    def _clothes(self, truth: Truth, row: int) -> Array:
        """Return the colours where the body is, of which some are those of whoever stands in front."""
        hider = int(truth.hiders[row])
        seen = np.zeros(APPEARANCE_SHAPE)
        for region, corners in enumerate(((5, 6, 11, 12), (11, 12, 13, 14))):
            shown = float(truth.visible[row, corners].mean())
            if shown < 0.3:
                continue
            behind = truth.appearance[hider, region] if hider >= 0 else truth.appearance[row, region]
            shares = shown * truth.appearance[row, region] ** 2 + (1 - shown) * behind**2
            shares = shares * np.exp(self._random.normal(0, CLOTHES_NOISE, shares.shape))
            seen[region] = np.sqrt(shares / shares.sum())
        return seen


def _person(keypoints: Array, scores: Array, appearance: Array | None = None) -> Person:
    sure = scores >= 0.2
    bbox = pose_bbox(keypoints, sure if sure.any() else np.ones(len(scores), bool))
    worn = appearance.astype(np.float32) if appearance is not None and appearance.any() else None
    score = float(scores[sure].mean() * np.sqrt(sure.mean())) if sure.any() else 0.0
    return Person(
        keypoints.astype(np.float32), scores.astype(np.float32), bbox.astype(np.float32), score, worn
    )


def _in_frame(track: PredictedTrack, height: int, width: int) -> bool:
    x1, y1, x2, y2 = track.bbox.tolist()
    return bool(
        np.isfinite(track.bbox).all() and min(x2, width) > max(x1, 0) and min(y2, height) > max(y1, 0)
    )
