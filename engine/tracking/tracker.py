"""People through time: which person of this frame is who, and where all their keypoints are.

Between the decoder and the sinks. A track begins tentative, is confirmed and given its id once it was seen
for `confirm_s`, is lost while nobody fits it, and is forgotten after `keep_alive_s`. All durations are in
seconds of the source, so a dropped frame changes nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engine.errors import SourceError
from engine.settings import TrackerSettings
from engine.skeleton import Skeleton
from engine.structures import Float, KeypointState, Person, TrackedPerson
from engine.tracking.association import assign, likeness
from engine.tracking.kalman import Array, KeypointFilters, Mask
from engine.tracking.observed import Observed, pose_boxes, stack_people
from engine.tracking.oks import shared_oks
from engine.tracking.smoothing import build_smoother

NEWCOMER_ALIKE = 0.5
"""Somebody more alike than this to a person who has a track starts none."""
WEAK_GAP_S = 0.5
"""A weak person continues a track that was seen at most this long ago."""
TENTATIVE_TRUST = 0.9
"""Weight of a tentative track's claim against a confirmed one's."""
GAP_DOUBT = 1.0
"""How fast trust in a track falls, per second unseen: it must not take the person of one seen just now."""
KNOWN_S = 1.0
"""A keypoint unseen for longer has no say in its track's box and matches."""
SIZE_S = 0.5
"""Time constant of a person's size."""
FIRST_STEP_S = 1 / 30
"""What the first frame counts as; nothing moves in it."""


@dataclass(frozen=True, slots=True, eq=False)
class PredictedTrack:
    """Where a live track is expected.

    track_id: 0 while tentative. keypoints: (K, 2) float32 frame px, NaN where never seen. scores: (K,)
    float32 as of the last update, 0 where unseen. bbox: (4,) float32 xyxy frame px. unseen_s: seconds from
    the last sighting to the last update, 0 for a track that was seen then.
    """

    track_id: int
    keypoints: Float
    scores: Float
    bbox: Float
    confirmed: bool
    unseen_s: float


@dataclass(slots=True, eq=False)
class _Tracks:
    """What is known of each live track, one row each, beside its keypoints' filters."""

    track_id: NDArray[np.int64]
    born_s: Array
    seen_for_s: Array
    unseen_s: Array
    size: Array
    score: Array
    scores: Array

    @classmethod
    def none(cls, keypoints: int) -> "_Tracks":
        blank = np.zeros(0)
        return cls(np.zeros(0, np.int64), blank, blank, blank, blank, blank, np.zeros((0, keypoints)))

    def __len__(self) -> int:
        return len(self.track_id)

    def add(self, people: Observed, chosen: Sequence[int], time_s: float) -> None:
        """Append a tentative track for each chosen person."""
        if len(chosen) == 0:
            return
        blank = np.zeros(len(chosen))
        self.track_id = np.concatenate([self.track_id, blank.astype(np.int64)])
        self.born_s = np.concatenate([self.born_s, blank + time_s])
        self.seen_for_s = np.concatenate([self.seen_for_s, blank])
        self.unseen_s = np.concatenate([self.unseen_s, blank])
        self.size = np.concatenate([self.size, people.sizes[chosen]])
        self.score = np.concatenate([self.score, people.score[chosen]])
        self.scores = np.concatenate([self.scores, people.scores[chosen]])

    def keep(self, rows: NDArray[np.intp]) -> None:
        """Keep these rows and forget the others."""
        self.track_id, self.born_s = self.track_id[rows], self.born_s[rows]
        self.seen_for_s, self.unseen_s = self.seen_for_s[rows], self.unseen_s[rows]
        self.size, self.score, self.scores = self.size[rows], self.score[rows], self.scores[rows]


class Tracker:
    """Follows the people of one sequence of frames."""

    def __init__(self, settings: TrackerSettings, skeleton: Skeleton) -> None:
        self.settings, self.skeleton = settings, skeleton
        self._sigmas = skeleton.sigmas.astype(np.float64)
        self.reset()

    def reset(self) -> None:
        """Forget everybody for a new sequence, whose time may start anywhere and whose ids start at 1."""
        self._tracks = _Tracks.none(self.skeleton.count)
        self._filters = KeypointFilters(self.skeleton.count, self.settings.smoothing)
        self._smoother = build_smoother(self.skeleton.count, self.settings.smoothing)
        self._last_id = 0
        self._time_s: float | None = None

    def update(self, people: Sequence[Person], time_s: float) -> list[TrackedPerson]:
        """Continue tracks with the people of the next frame.

        Args:
            people: of this frame, in any order; duplicates are dropped, keypoints that are not finite count
                as unseen.
            time_s: of the frame, later than that of the last one.

        Returns:
            the confirmed tracks, by id: those seen in this frame, and those unseen for a moment whose
            keypoints are still predicted. `score` is that of the last sighting; `scores` are 0 for a person
            not seen in this frame.

        Raises:
            SourceError: `time_s` is not later than before, or not finite.
            ValueError: a person has another number of keypoints than the skeleton, or an impossible box.
        """
        dt = self._step_to(time_s)
        self._time_s = time_s
        seen = stack_people(people, self.skeleton, self.settings.smoothing.min_keypoint_score)
        found = self._match(seen, dt)
        born = self._choose_newcomers(seen, found[found >= 0])
        self._tracks.add(seen, born, time_s)
        self._filters.add(len(born))
        self._smoother.add(len(born))
        return self._advance(seen, np.concatenate([found, born]).astype(np.intp), len(born), dt)

    def predict(self, time_s: float) -> list[PredictedTrack]:
        """Return where all live tracks, tentative and lost ones too, are expected; nothing is changed.

        Args:
            time_s: not earlier than the last update.

        Raises:
            SourceError: `time_s` is earlier than the last update, or not finite.
        """
        if self._time_s is None:
            return []
        dt = 0.0 if time_s == self._time_s else self._step_to(time_s)
        position = self._filters.forecast(dt).position
        boxes = pose_boxes(position, self._known()).astype(np.float32)
        ever = np.isfinite(self._filters.unseen_s)[..., None]
        keypoints = np.where(ever, position, np.nan).astype(np.float32)
        tracks = self._tracks
        return [
            PredictedTrack(
                track_id=int(tracks.track_id[row]),
                keypoints=keypoints[row].copy(),
                scores=tracks.scores[row].astype(np.float32),
                bbox=boxes[row].copy(),
                confirmed=bool(tracks.track_id[row] > 0),
                unseen_s=float(tracks.unseen_s[row]),
            )
            for row in range(len(tracks))
        ]

    def _step_to(self, time_s: float) -> float:
        """Seconds from the last update to `time_s`."""
        if not np.isfinite(time_s):
            raise SourceError(f"the time of a frame must be finite, got {time_s}; is the source damaged?")
        if self._time_s is None:
            return FIRST_STEP_S
        if time_s <= self._time_s:
            raise SourceError(
                f"the time of a frame must be later than {self._time_s:.6f} s, that of the frame before, "
                f"got {time_s:.6f} s; for a new sequence call Tracker.reset"
            )
        return time_s - self._time_s

    def _known(self) -> Mask:
        """(P, K) keypoints seen not long before their track was last seen."""
        unseen_s = self._filters.unseen_s
        known = unseen_s - self._tracks.unseen_s[:, None] <= KNOWN_S
        return np.where(known.any(axis=1, keepdims=True), known, np.isfinite(unseen_s))

    def _match(self, seen: Observed, dt: float) -> NDArray[np.intp]:
        """(P,) index of the person that continues each track, or -1.

        Strong people first, then weak ones for tracks that are left (Zhang et al. 2022, ByteTrack).
        """
        tracks, settings = self._tracks, self.settings
        found = np.full(len(tracks), -1, np.intp)
        if len(tracks) == 0 or len(seen.score) == 0:
            return found
        position, known, gap_s = self._filters.forecast(dt).position, self._known(), tracks.unseen_s + dt
        fits = likeness(
            position, known, tracks.size, gap_s, pose_boxes(position, known),
            seen.keypoints, seen.valid, seen.boxes,
            sigmas=self._sigmas, oks_weight=settings.oks_weight,
        )  # fmt: skip
        trust = np.where(tracks.track_id > 0, 1.0, TENTATIVE_TRUST) / (1 + GAP_DOUBT * tracks.unseen_s)
        strong = seen.score >= settings.min_person_score
        recent = tracks.unseen_s <= WEAK_GAP_S
        for columns, rows in ((strong, np.ones_like(recent)), (~strong, recent)):
            row_index, column_index = np.flatnonzero(rows & (found < 0)), np.flatnonzero(columns)
            part = fits[np.ix_(row_index, column_index)]
            for row, column in assign(part, settings.min_similarity, trust[row_index]):
                found[row_index[row]] = column_index[column]
        return found

    def _choose_newcomers(self, seen: Observed, taken: NDArray[np.intp]) -> list[int]:
        """Indices of the people who start a track: strong, and not part of anybody who has one."""
        strong = seen.score >= self.settings.min_person_score
        strong[taken] = False
        room = self.settings.max_people - len(self._tracks)
        candidates = np.flatnonzero(strong)
        if len(candidates) == 0 or room <= 0:
            return []
        alike = shared_oks(seen.keypoints, seen.valid, self._sigmas, seen.sizes**2)
        present, born = [int(index) for index in taken], []
        for index in candidates[np.argsort(-seen.score[candidates], kind="stable")][:room]:
            if not present or alike[index, present].max() <= NEWCOMER_ALIKE:
                present.append(int(index))
                born.append(int(index))
        return sorted(born)

    def _advance(self, seen: Observed, found: NDArray[np.intp], born: int, dt: float) -> list[TrackedPerson]:
        """Move every track on, with the person found for it or without, and return the shown ones."""
        tracks, was_seen = self._tracks, found >= 0
        rows, people = np.flatnonzero(was_seen), found[was_seen]
        measured = np.full((len(tracks), self.skeleton.count, 2), np.nan)
        scores, valid = np.zeros(measured.shape[:2]), np.zeros(measured.shape[:2], bool)
        measured[rows], scores[rows], valid[rows] = (
            seen.keypoints[people],
            seen.scores[people],
            seen.valid[people],
        )
        tracks.scores = scores
        tracks.score[rows] = seen.score[people]
        tracks.size[rows] += (1 - np.exp(-dt / SIZE_S)) * (seen.sizes[people] - tracks.size[rows])
        tracks.unseen_s = np.where(was_seen, 0.0, tracks.unseen_s + dt)
        older = len(tracks) - born
        tracks.seen_for_s[:older] += np.where(was_seen[:older], dt, 0.0)
        state, fresh = self._filters.step(dt, measured, scores, valid, tracks.size)
        if self.settings.smoothing.method == "none":
            state[valid] = KeypointState.MEASURED
        keypoints, velocity = self._smoother.step(dt, measured, state, fresh, self._filters)
        confirmed = (tracks.track_id == 0) & was_seen & (tracks.seen_for_s >= self.settings.confirm_s - 1e-9)
        tracks.track_id[confirmed] = self._last_id + 1 + np.arange(confirmed.sum())
        self._last_id += int(confirmed.sum())
        shown = self._show(keypoints, velocity, state, measured)
        self._forget()
        return shown

    def _show(
        self, keypoints: Array, velocity: Array, state: NDArray[np.int8], measured: Array
    ) -> list[TrackedPerson]:
        """Return the confirmed tracks that have anything to show, by id, in arrays of their own."""
        tracks, shown = self._tracks, state != KeypointState.MISSING
        visible = shown[..., None]
        points = np.where(visible, keypoints, np.nan).astype(np.float32)
        speeds = np.where(visible, velocity, np.nan).astype(np.float32)
        boxes = pose_boxes(keypoints, shown).astype(np.float32)
        rows = np.flatnonzero((tracks.track_id > 0) & shown.any(axis=1))
        assert self._time_s is not None
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
                age_s=float(self._time_s - tracks.born_s[row]),
            )
            for row in rows[np.argsort(tracks.track_id[rows])]
        ]

    def _forget(self) -> None:
        """Drop lost tracks after `keep_alive_s` and tentative ones after `confirm_s`."""
        tracks, settings = self._tracks, self.settings
        patience = np.where(tracks.track_id > 0, settings.keep_alive_s, settings.confirm_s)
        alive = tracks.unseen_s <= patience + 1e-9
        if not alive.all():
            rows = np.flatnonzero(alive)
            tracks.keep(rows)
            self._filters.keep(rows)
            self._smoother.keep(rows)
