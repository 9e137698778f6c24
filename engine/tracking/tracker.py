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
from engine.structures import KeypointState, Person, TrackedPerson
from engine.tracking.association import (
    assign,
    compare_appearance,
    doubt_returns,
    likeness,
    weigh_appearance,
)
from engine.tracking.evidence import (
    AWAY_S,
    KNOWN_CLOTHES_S,
    TWIN_ALIKE,
    TWIN_IOU,
    clothes_awaited,
    hear_finder,
    learn,
    merge_lost,
)
from engine.tracking.gallery import STEPS_S, Gallery, Gone, in_middle, recognise
from engine.tracking.kalman import Array, KeypointFilters, Mask
from engine.tracking.observed import Observed, pose_boxes, stack_people
from engine.tracking.oks import shared_oks
from engine.tracking.shown import PredictedTrack, predicted_tracks, shown_people
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
TWIN_FINDS = 3
"""Two tracks are one person if the finder sees one there in so many of its runs in a row."""
BETTER_VIEW = 0.03
"""How much higher a second view of a person must score to replace the pose that continues the track."""
KNOWN_S = 1.0
"""A keypoint unseen for longer has no say in its track's box and matches."""
PRESENCE_S = 1.0
"""Time constant of the share of time in which a track is seen."""
FIRST_STEP_S = 1 / 30
"""What the first frame counts as; nothing moves in it."""


@dataclass(frozen=True, slots=True, eq=False)
class Expected:
    """Where the tracks should be in a frame: position (P, K, 2), known (P, K), boxes (P, 4), frame px."""

    position: Array
    known: Mask
    boxes: Array


class Tracker:
    """Follows the people of one sequence of frames."""

    def __init__(self, settings: TrackerSettings, skeleton: Skeleton) -> None:
        self.settings, self.skeleton = settings, skeleton
        self._sigmas = skeleton.sigmas.astype(np.float64)
        self.reset()

    def reset(self) -> None:
        """Forget everybody for a new sequence, whose time may start anywhere and whose ids start at 1."""
        self._tracks = Tracks.none(self.skeleton.count)
        self._filters = KeypointFilters(
            self.skeleton.count, self.settings.smoothing, self.skeleton.flip_pairs
        )
        self._smoother = Smoother(self.skeleton.count, self.settings.smoothing)
        self._gallery = Gallery()
        self._last_id = 0
        self._time_s: float | None = None
        self._frame_size: tuple[int, int] | None = None
        self._has_finder = False

    def change_settings(self, settings: TrackerSettings) -> None:
        """Follow other settings from the next update on; tracks, ids and filters stay.

        Another smoothing method goes on from the keypoints shown last. Where there are more tracks than
        `max_people` now allows, all stay and none starts.
        """
        self.settings = settings
        self._filters.settings = self._smoother.settings = settings.smoothing

    def update(
        self,
        people: Sequence[Person],
        time_s: float,
        *,
        camera: Array | None = None,
        frame_size: tuple[int, int] | None = None,
    ) -> list[TrackedPerson]:
        """Continue tracks with the people of the next frame.

        Args:
            people: of this frame, in any order; duplicates are dropped, keypoints that are not finite count
                as unseen.
            time_s: of the frame, later than that of the last one.
            camera: (2, 3) similarity that takes what rests from its place in the frame before, in px, to that
                in this one; None for a camera at rest.
            frame_size: (height, width) px, by which somebody unseen is known to have left; None where
                unknown.

        Returns:
            the confirmed tracks, by id: those seen in this frame, and those unseen for a moment whose
            keypoints are still predicted. `score` is that of the last sighting; `scores` are 0 for a person
            not seen in this frame.

        Raises:
            SourceError: `time_s` is not later than before, or not finite.
            ValueError: a person has another number of keypoints than the skeleton, or an impossible box.
        """
        dt = self._step_to(time_s)
        self._time_s, self._frame_size = time_s, frame_size
        if camera is not None:
            self._move(camera)
        seen = stack_people(people, self.skeleton, self.settings.smoothing.min_keypoint_score)
        self._has_finder |= bool(np.isfinite(seen.found).any())
        expected = self._expect(dt)
        found = self._match(seen, expected, dt)
        second_view = self._second_views(seen, expected)
        self._take_better_views(seen, found, second_view)
        born = self._choose_newcomers(seen, found[found >= 0], second_view)
        self._tracks.add(seen, born, time_s)
        self._filters.add(len(born))
        self._smoother.add(len(born))
        measured, state, shown = self._advance(
            seen, np.concatenate([found, born]).astype(np.intp), len(born), dt
        )
        self._confirm(time_s)
        if (self._tracks.unseen_s >= AWAY_S).any():
            merge_lost(self._tracks, pose_boxes(self._filters.motion.position, self._known()))
        result = shown_people(self._tracks, *shown, state, measured, time_s=time_s, frame_size=frame_size)
        self._forget(time_s)
        return result

    def predict(self, time_s: float, *, camera: Array | None = None) -> list[PredictedTrack]:
        """Return where all live tracks, tentative and lost ones too, are expected; nothing is changed.

        Args:
            time_s: not earlier than the last update.
            camera: its motion since the last update, see `update`.

        Raises:
            SourceError: `time_s` is earlier than the last update, or not finite.
        """
        if self._time_s is None:
            return []
        dt = 0.0 if time_s == self._time_s else self._step_to(time_s)
        position = self._filters.forecast_position(dt)
        if camera is not None:
            position = position @ camera[:, :2].T + camera[:, 2]
        boxes = pose_boxes(position, self._known())
        ever = np.isfinite(self._filters.unseen_s)[..., None]
        return predicted_tracks(self._tracks, np.where(ever, position, np.nan), boxes)

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

    def _expect(self, dt: float) -> Expected:
        position, known = self._filters.forecast_position(dt), self._known()
        return Expected(position, known, pose_boxes(position, known))

    def _move(self, camera: Array) -> None:
        """Carry all that is known into the frame that the camera, which has moved, sees now."""
        self._filters.move(camera)
        self._smoother.move(camera)
        self._gallery.move(camera)
        self._tracks.size *= np.sqrt(abs(np.linalg.det(camera[:, :2])))

    def _match(self, seen: Observed, expected: Expected, dt: float) -> NDArray[np.intp]:
        """(P,) index of the person that continues each track, or -1.

        Strong people first, then weak ones for tracks that are left (Zhang et al. 2022, ByteTrack).
        """
        tracks, settings = self._tracks, self.settings
        found = np.full(len(tracks), -1, np.intp)
        if len(tracks) == 0 or len(seen.score) == 0:
            return found
        gap_s = tracks.unseen_s + dt
        poses = likeness(
            expected.position, expected.known, tracks.size, gap_s, expected.boxes,
            seen.keypoints, seen.valid, seen.boxes,
            sigmas=self._sigmas, oks_weight=settings.oks_weight,
        )  # fmt: skip
        fits = weigh_appearance(
            poses, tracks.appearance, seen.appearance, gap_s,
            minimum=settings.min_similarity, weight=settings.appearance_weight, gone=self._gallery.appearance,
        )  # fmt: skip
        fits = doubt_returns(fits, poses, gap_s, minimum=settings.min_similarity)
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

    def _second_views(self, seen: Observed, expected: Expected) -> Mask:
        """(P, M) whether a person wears the clothes of a track that is expected in the same place."""
        alike, known = compare_appearance(self._tracks.appearance, seen.appearance)
        if not known.any():
            return known
        return known & (alike >= TWIN_ALIKE) & (bbox_iou(expected.boxes, seen.boxes) >= TWIN_IOU)

    def _take_better_views(self, seen: Observed, found: NDArray[np.intp], second_view: Mask) -> None:
        """Start a track's keypoints afresh where the finder yields a clearly better view of its person.

        A crop once led astray yields a garbled pose, whose box is the next crop: it would stay so.
        """
        if not second_view.any():
            return
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

    def _advance(
        self, seen: Observed, found: NDArray[np.intp], born: int, dt: float
    ) -> tuple[Array, NDArray[np.int8], tuple[Array, Array]]:
        """Move every track on, with the person found for it or without.

        Returns:
            what was measured (P, K, 2), the states (P, K), and keypoints and velocities to show, (P, K, 2).
        """
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
        tracks.unseen_s = np.where(was_seen, 0.0, tracks.unseen_s + dt)
        learn(tracks, seen, rows, people, dt, min_person_score=self.settings.min_person_score)
        if np.isfinite(seen.found).any():
            boxes = pose_boxes(self._filters.motion.position, self._known())
            hear_finder(
                tracks, seen.found[people], rows, boxes, sure_find_score=self.settings.sure_find_score
            )
        tracks.presence += (1 - np.exp(-dt / PRESENCE_S)) * (was_seen - tracks.presence)
        older = len(tracks) - born
        tracks.seen_for_s[:older] += np.where(was_seen[:older], dt, 0.0)
        state, fresh = self._filters.step(dt, measured, scores, valid, tracks.size)
        if self.settings.smoothing.method == "none":
            state[valid & (state != KeypointState.SWAPPED)] = KeypointState.MEASURED
        return measured, state, self._smoother.step(dt, measured, state, fresh, self._filters)

    def _confirm(self, time_s: float) -> None:
        """Give ids to tracks seen for long enough: their own to people who are back, new ones to others."""
        tracks = self._tracks
        due = (tracks.track_id == 0) & (tracks.unseen_s == 0)
        due &= tracks.seen_for_s >= self.settings.confirm_s - 1e-9
        if self._has_finder and self.settings.confirm_s > 0:
            due &= tracks.finds >= FINDS_NEEDED
        rows = np.flatnonzero(due)
        if not rows.size:
            return
        boxes = pose_boxes(self._filters.motion.position, self._known())
        known = (tracks.track_id > 0) & (tracks.learnt_s >= KNOWN_CLOTHES_S)
        near = (bbox_iou(boxes, boxes[rows]) >= TWIN_IOU).any(axis=1)
        away = np.flatnonzero(known & ((tracks.unseen_s >= AWAY_S) | (near & (tracks.unseen_s > 0))))
        gone = self._gallery.gone + [self._gone(int(row), time_s) for row in away]
        waits = clothes_awaited(
            tracks, rows, boxes, known, confirm_s=self.settings.confirm_s, some_gone=bool(gone)
        )
        rows = rows[~waits]
        if gone and rows.size:
            places = (boxes[rows, :2] + boxes[rows, 2:]) / 2
            sizes, velocity = tracks.size[rows], self._filters.body_velocity[rows]
            inside = in_middle(places, velocity, sizes, self._frame_size, -STEPS_S)
            pairs = recognise(gone, tracks.appearance[rows], places, sizes, time_s, inside)
            for index, place in pairs:
                old, row = gone[index], rows[place]
                # A row of the same id goes with the next clean-up: its person is this one.
                tracks.track_id[tracks.track_id == old.track_id] = -1
                tracks.track_id[row], tracks.born_s[row] = old.track_id, old.born_s
                tracks.seen_for_s[row] += old.seen_for_s
                self._gallery.remove(old.track_id)
            rows = np.delete(rows, [place for _, place in pairs])
        tracks.track_id[rows] = self._last_id + 1 + np.arange(len(rows))
        self._last_id += len(rows)

    def _gone(self, row: int, time_s: float) -> Gone:
        """Describe somebody unseen."""
        tracks, filters = self._tracks, self._filters
        box = pose_boxes(filters.motion.position[row : row + 1], self._known()[row : row + 1])[0]
        unseen_s, velocity = float(tracks.unseen_s[row]), filters.body_velocity[row].copy()
        place, size = (box[:2] + box[2:]) / 2 - velocity * unseen_s, float(tracks.size[row])
        inside = in_middle(place[None], velocity[None], np.array([size]), self._frame_size, STEPS_S)
        return Gone(
            track_id=int(tracks.track_id[row]),
            born_s=float(tracks.born_s[row]),
            seen_for_s=float(tracks.seen_for_s[row]),
            gone_s=time_s - unseen_s,
            appearance=tracks.appearance[row].copy(),
            place=place,
            velocity=velocity,
            size=size,
            twin=bool(tracks.twin[row] >= TWIN_FINDS),
            inside=bool(inside[0]),
        )

    def _forget(self, time_s: float) -> None:
        """Drop lost tracks after `keep_alive_s`, tentative ones after `confirm_s`, twins, and false finds.

        A crop finds a person in anything, so a track that the finder keeps missing and that scores like
        background is none, or nobody any more; one that scores well stays, since finders miss people too.
        People whose clothes are known are remembered for `keep_reid_s`.
        """
        tracks, settings = self._tracks, self.settings
        self._gallery.forget(time_s - settings.keep_reid_s)
        patience = np.where(tracks.track_id > 0, settings.keep_alive_s, settings.confirm_s)
        lost = tracks.unseen_s > patience + 1e-9
        poor = (tracks.track_id == 0) | (tracks.mean_score < settings.sure_score)
        limit = np.where(tracks.track_id > 0, settings.max_missed_finds, FINDS_NEEDED)
        false = poor & (tracks.unseen_s == 0) & (tracks.missed >= limit)
        false |= (tracks.twin >= TWIN_FINDS) | (tracks.track_id < 0)
        known = (tracks.track_id > 0) & (tracks.learnt_s >= KNOWN_CLOTHES_S)
        for row in np.flatnonzero((lost | false) & known):
            self._gallery.add(self._gone(int(row), time_s))
        if (lost | false).any():
            rows = np.flatnonzero(~(lost | false))
            tracks.keep(rows)
            self._filters.keep(rows)
            self._smoother.keep(rows)
