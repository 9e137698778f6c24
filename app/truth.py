"""True people, and how well tracked people of the demo clip match them.

People are matched frame by frame as in CLEAR MOT (Bernardin and Stiefelhagen 2008): a pair of the last frame
stays together while it still fits, the rest are paired by optimal assignment.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from engine.skeleton import Skeleton
from engine.structures import Float, TrackedPerson
from engine.tracking.oks import oks_matrix

MIN_OKS = 0.5
"""A pair less alike than this is no match."""
MIN_VISIBLE = 5
"""A true person with fewer visible keypoints is not missed if nobody sees them."""


@dataclass(frozen=True, slots=True, eq=False)
class TruePerson:
    """One person in one frame, as drawn or labelled.

    keypoints: (K, 2) float32 frame px; visibility: (K,) 0 outside the frame, 1 hidden, 2 visible;
    bbox: (4,) float32 xyxy of the part inside the frame, NaN where nothing is.
    """

    track_id: int
    keypoints: Float
    visibility: NDArray[np.int64]
    bbox: Float

    @property
    def countable(self) -> bool:
        """Whether enough of the person can be seen that a tracker should have found them."""
        return bool(np.isfinite(self.bbox).all() and (self.visibility == 2).sum() >= MIN_VISIBLE)


@dataclass(frozen=True, slots=True)
class Match:
    """How tracked people compare with the truth over a clip.

    people: true identities that could be seen; countable: how often, over all frames; found: how many of
    those were matched; extra: tracked people that match nobody; switches: how often a true person's track id
    changed; error_px: mean distance of visible keypoints of matched people; mean_oks: over matched people.
    """

    frames: int
    people: int
    countable: int
    found: int
    extra: int
    switches: int
    error_px: float
    mean_oks: float

    @property
    def recall(self) -> float:
        """Share of what could be seen that was found."""
        return self.found / self.countable if self.countable else 0.0


class TruthMatcher:
    """Counts, frame after frame, what of the truth was found and under which track id."""

    def __init__(self, truth: dict[int, list[TruePerson]], skeleton: Skeleton) -> None:
        self._truth = truth
        self._sigmas = skeleton.sigmas
        self._together: dict[int, int] = {}
        self._ids: dict[int, int] = {}
        self._seen: set[int] = set()
        self._frames = self._countable = self._found = self._extra = self._switches = 0
        self._errors_px: list[float] = []
        self._oks: list[float] = []

    def add(self, frame: int, people: Sequence[TrackedPerson]) -> dict[int, TrackedPerson]:
        """Count one frame and return true track id to the person matched with it."""
        truths = self._truth.get(frame, [])
        pairs = self._pair(truths, people)
        matched = {}
        self._frames += 1
        for true, person, oks in pairs:
            matched[true.track_id] = person
            before = self._ids.get(true.track_id)
            self._switches += before is not None and before != person.track_id
            self._ids[true.track_id] = person.track_id
            distance = np.linalg.norm(person.keypoints - true.keypoints, axis=1)
            self._errors_px += distance[(true.visibility == 2) & np.isfinite(distance)].tolist()
            self._oks.append(oks)
        for true in truths:
            if true.countable:
                self._seen.add(true.track_id)
                self._countable += 1
                self._found += true.track_id in matched
        self._extra += len(people) - len(pairs)
        self._together = {true_id: person.track_id for true_id, person in matched.items()}
        return matched

    def match(self) -> Match:
        """Return what was counted so far."""
        return Match(
            frames=self._frames,
            people=len(self._seen),
            countable=self._countable,
            found=self._found,
            extra=self._extra,
            switches=self._switches,
            error_px=float(np.mean(self._errors_px)) if self._errors_px else float("nan"),
            mean_oks=float(np.mean(self._oks)) if self._oks else float("nan"),
        )

    def _pair(
        self, truths: Sequence[TruePerson], people: Sequence[TrackedPerson]
    ) -> list[tuple[TruePerson, TrackedPerson, float]]:
        truths = [true for true in truths if np.isfinite(true.bbox).all() and (true.visibility > 0).any()]
        if not truths or not people:
            return []
        oks = self._oks_of(truths, people)
        # A bonus above any OKS keeps a pair of the frame before together while it still fits.
        kept = np.array(
            [[self._together.get(true.track_id) == person.track_id for person in people] for true in truths]
        )
        value = np.where(oks >= MIN_OKS, oks + 2.0 * kept, 0.0)
        rows, columns = linear_sum_assignment(-value)
        return [
            (truths[row], people[column], float(oks[row, column]))
            for row, column in zip(rows.tolist(), columns.tolist(), strict=True)
            if value[row, column] > 0
        ]

    def _oks_of(self, truths: Sequence[TruePerson], people: Sequence[TrackedPerson]) -> NDArray[np.float64]:
        valid = np.stack([true.visibility > 0 for true in truths])
        boxes = np.stack([true.bbox for true in truths])
        areas = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
        tracked = np.stack([person.keypoints for person in people])
        return oks_matrix([true.keypoints for true in truths], tracked, self._sigmas, areas, valid)
