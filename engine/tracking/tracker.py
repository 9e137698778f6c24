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
from engine.geometry import bbox_iou
from engine.settings import TrackerSettings
from engine.skeleton import Skeleton
from engine.structures import Float, KeypointState, Person, TrackedPerson
from engine.tracking.association import assign, compare_appearance, likeness, weigh_appearance
from engine.tracking.kalman import Array, KeypointFilters, Mask
from engine.tracking.observed import Observed, pose_boxes, stack_people
from engine.tracking.oks import shared_oks
from engine.tracking.smoothing import Smoother
from engine.tracking.tracks import Tracks

NEWCOMER_ALIKE = 0.5
"""Somebody more alike than this to a person who has a track starts none."""
WEAK_GAP_S = 0.5
"""A weak person continues a track that was seen at most this long ago."""
TENTATIVE_TRUST = 0.9
"""Weight of a tentative track's claim against a confirmed one's."""
UNSEEN_TRUST = 0.8
"""Weight of the claim of a track not seen in the last frame: two tracks on one body must not take turns."""
GAP_DOUBT = 1.0
"""How fast trust in a track falls, per second unseen: it must not take the person of one seen just now."""
FINDS_NEEDED = 2
"""Finder runs that must see a tentative track before it is confirmed: a false find seldom comes twice."""
SCORE_S = 1.0
"""Time constant of a track's mean score."""
APPEARANCE_S = 2.0
"""Time constant of a track's appearance: clothes stay, light changes slowly."""
TWIN_IOU, TWIN_ALIKE = 0.3, 0.9
"""Two tracks that overlap so much in clothes so alike are one person, if the finder sees one there,"""
TWIN_FINDS = 3
"""in so many of its runs in a row."""
BETTER_VIEW = 0.03
"""How much higher a second view of a person must score to replace the pose that continues the track."""
CLEAR_IOU = 0.1
"""Clothes are learnt only of somebody whose box nobody else's overlaps more than this."""
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


class Tracker:
    """Follows the people of one sequence of frames."""

    def __init__(self, settings: TrackerSettings, skeleton: Skeleton) -> None:
        self.settings, self.skeleton = settings, skeleton
        self._sigmas = skeleton.sigmas.astype(np.float64)
        self.reset()

    def reset(self) -> None:
        """Forget everybody for a new sequence, whose time may start anywhere and whose ids start at 1."""
        self._tracks = Tracks.none(self.skeleton.count)
        self._filters = KeypointFilters(self.skeleton.count, self.settings.smoothing)
        self._smoother = Smoother(self.skeleton.count, self.settings.smoothing)
        self._last_id = 0
        self._time_s: float | None = None
        self._has_finder = False

    def change_settings(self, settings: TrackerSettings) -> None:
        """Follow other settings from the next update on; tracks, ids and filters stay.

        Another smoothing method goes on from the keypoints shown last. Where there are more tracks than
        `max_people` now allows, all stay and none starts.
        """
        self.settings = settings
        self._filters.settings = self._smoother.settings = settings.smoothing

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
        self._has_finder |= bool(np.isfinite(seen.found).any())
        found = self._match(seen, dt)
        second_view = self._second_views(seen, dt)
        self._take_better_views(seen, found, second_view)
        born = self._choose_newcomers(seen, found[found >= 0], second_view)
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
                missed_finds=int(tracks.missed[row]),
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
        fits = weigh_appearance(
            fits, tracks.appearance, seen.appearance, gap_s,
            minimum=settings.min_similarity, weight=settings.appearance_weight,
        )  # fmt: skip
        trust = np.where(tracks.track_id > 0, 1.0, TENTATIVE_TRUST) / (1 + GAP_DOUBT * tracks.unseen_s)
        trust *= np.where(tracks.unseen_s > 0, UNSEEN_TRUST, 1.0)
        strong = seen.score >= settings.min_person_score
        recent = tracks.unseen_s <= WEAK_GAP_S
        for columns, rows in ((strong, np.ones_like(recent)), (~strong, recent)):
            row_index, column_index = np.flatnonzero(rows & (found < 0)), np.flatnonzero(columns)
            part = fits[np.ix_(row_index, column_index)]
            for row, column in assign(part, settings.min_similarity, trust[row_index]):
                found[row_index[row]] = column_index[column]
        return found

    def _second_views(self, seen: Observed, dt: float) -> Mask:
        """(P, M) whether a person wears the clothes of a track that is expected in the same place."""
        alike, known = compare_appearance(self._tracks.appearance, seen.appearance)
        if not known.any():
            return known
        boxes = pose_boxes(self._filters.forecast(dt).position, self._known())
        return known & (alike >= TWIN_ALIKE) & (bbox_iou(boxes, seen.boxes) >= TWIN_IOU)

    def _take_better_views(self, seen: Observed, found: NDArray[np.intp], second_view: Mask) -> None:
        """Start a track's keypoints afresh where the finder yields a clearly better view of its person.

        A crop once led astray yields a garbled pose, whose box is the next crop: it would stay so.
        """
        free = np.setdiff1d(np.flatnonzero(seen.found > 0), found)
        for row in np.flatnonzero((found >= 0) & second_view[:, free].any(axis=1)):
            views = [index for index in free[second_view[row, free]] if index not in found]
            best = max(views, key=lambda index: seen.score[index], default=-1)
            if best >= 0 and seen.score[best] > seen.score[found[row]] + BETTER_VIEW:
                found[row] = best
                self._filters.unseen_s[row] = np.inf

    def _choose_newcomers(self, seen: Observed, taken: NDArray[np.intp], second_view: Mask) -> list[int]:
        """Indices of the people who start a track: strong, and not part of anybody who has one.

        Where there is a finder, only somebody it sees starts one: the rest are crops of tracks that stray.
        Somebody in the clothes of a track that is expected there is a second view of the same person.
        """
        strong = seen.score >= self.settings.min_person_score
        if self._has_finder:
            strong &= seen.found > 0
        strong &= ~second_view.any(axis=0)
        strong[taken] = False
        room = self.settings.max_people - len(self._tracks)
        candidates = np.flatnonzero(strong)
        if len(candidates) == 0 or room <= 0:
            return []
        same = shared_oks(seen.keypoints, seen.valid, self._sigmas, seen.sizes**2)
        present, born = [int(index) for index in taken], []
        for index in candidates[np.argsort(-seen.score[candidates], kind="stable")][:room]:
            if not present or same[index, present].max() <= NEWCOMER_ALIKE:
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
        self._judge(seen, rows, people, dt)
        older = len(tracks) - born
        tracks.seen_for_s[:older] += np.where(was_seen[:older], dt, 0.0)
        state, fresh = self._filters.step(dt, measured, scores, valid, tracks.size)
        if self.settings.smoothing.method == "none":
            state[valid] = KeypointState.MEASURED
        keypoints, velocity = self._smoother.step(dt, measured, state, fresh, self._filters)
        confirmed = (tracks.track_id == 0) & was_seen & (tracks.seen_for_s >= self.settings.confirm_s - 1e-9)
        if self._has_finder and self.settings.confirm_s > 0:
            confirmed &= tracks.finds >= FINDS_NEEDED
        tracks.track_id[confirmed] = self._last_id + 1 + np.arange(confirmed.sum())
        self._last_id += int(confirmed.sum())
        shown = self._show(keypoints, velocity, state, measured)
        self._forget()
        return shown

    def _judge(self, seen: Observed, rows: NDArray[np.intp], people: NDArray[np.intp], dt: float) -> None:
        """Follow score, finder support and clothes of the tracks `rows`, seen as `people`."""
        tracks, settings = self._tracks, self.settings
        tracks.mean_score[rows] += (1 - np.exp(-dt / SCORE_S)) * (
            seen.score[people] - tracks.mean_score[rows]
        )
        if np.isfinite(seen.found).any():
            found = np.zeros(len(tracks))
            found[rows] = seen.found[people]
            tracks.finds += (found > 0) + 1.0 * (found >= settings.sure_find_score)
            tracks.missed = np.where(found > 0, 0, tracks.missed + 1)
            self._count_twins(found > 0)
        overlap = bbox_iou(seen.boxes[people], seen.boxes)
        overlap[np.arange(len(people)), people] = 0.0
        known = seen.appearance[people].any(axis=(1, 2)) & (seen.score[people] >= settings.min_person_score)
        clear = known & (overlap <= CLEAR_IOU).all(axis=1)
        rows, people = rows[clear], people[clear]
        tracks.learnt_s[rows] += dt
        gain = np.maximum(1 - np.exp(-dt / APPEARANCE_S), dt / tracks.learnt_s[rows])[:, None, None]
        news = seen.appearance[people]
        unknown = ~tracks.appearance[rows].any(axis=-1, keepdims=True)
        gain = np.where(unknown, 1.0, gain) * news.any(axis=-1, keepdims=True)
        mean = tracks.appearance[rows] + gain * (news - tracks.appearance[rows])
        tracks.appearance[rows] = mean / np.maximum(np.linalg.norm(mean, axis=-1, keepdims=True), 1e-9)

    def _count_twins(self, vouched: Mask) -> None:
        """Count, for each track, that the finder sees one person for it and an older track.

        Two tracks can share one person for long, each seen in some frames and vouched for in turn; people
        who hide each other wear other clothes, or are seen apart sooner or later.
        """
        tracks = self._tracks
        position = self._filters.motion.position
        boxes = pose_boxes(position, self._known())
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
        """Drop lost tracks after `keep_alive_s`, tentative ones after `confirm_s`, twins, and false finds.

        A crop finds a person in anything, so a track that the finder keeps missing and that scores like
        background is none; one that scores well stays, since finders miss people too.
        """
        tracks, settings = self._tracks, self.settings
        patience = np.where(tracks.track_id > 0, settings.keep_alive_s, settings.confirm_s)
        alive = tracks.unseen_s <= patience + 1e-9
        poor = (tracks.track_id == 0) | (tracks.mean_score < settings.sure_score)
        limit = np.where(tracks.track_id > 0, settings.max_missed_finds, FINDS_NEEDED)
        alive &= ~(poor & (tracks.unseen_s == 0) & (tracks.missed >= limit)) & (tracks.twin < TWIN_FINDS)
        if not alive.all():
            rows = np.flatnonzero(alive)
            tracks.keep(rows)
            self._filters.keep(rows)
            self._smoother.keep(rows)
