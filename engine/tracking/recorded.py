"""What a live pass leaves for the second one: every track as arrays, without images.

R rows of a track, one frame each; F frames of the recording; K keypoints. A row takes 17 × 13 + 28 bytes for
17 keypoints, about a quarter of a kilobyte: 135 MB for an hour of five people at 30 frames per second.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.structures import Float, Frame, Result, TrackedPerson

FIRST_ROWS = 64
"""Room of a new track; it doubles whenever it is full."""


@dataclass(frozen=True, slots=True, eq=False)
class RecordedTrack:
    """One track as measured.

    frames: (R,) int32 positions in the recording's frames, ascending; raw_keypoints: (R, K, 2) float32 frame
    px, NaN where not decoded; keypoint_scores: (R, K) float32; states: (R, K) int8 of `KeypointState`; boxes:
    (R, 4) float32 xyxy frame px; scores: (R,) float32 of the person; born_s: when the track began.
    """

    track_id: int
    frames: NDArray[np.int32]
    raw_keypoints: Float
    keypoint_scores: Float
    states: NDArray[np.int8]
    boxes: Float
    scores: Float
    born_s: float

    def __len__(self) -> int:
        return len(self.frames)


@dataclass(frozen=True, slots=True, eq=False)
class SmoothedTrack:
    """A track after the second pass; R counts its own rows, which may be more or fewer than measured.

    measured: the track it was made of; rows: (R,) int32 row there, -1 for a frame that was filled in; frames:
    (R,) int32 positions in the recording's frames; keypoints: (R, K, 2) float32 frame px, NaN where missing;
    velocity: (R, K, 2) float32 px/s; states: (R, K) int8 of `KeypointState`; boxes: (R, 4) float32 xyxy.
    """

    measured: RecordedTrack
    rows: NDArray[np.int32]
    frames: NDArray[np.int32]
    keypoints: Float
    velocity: Float
    states: NDArray[np.int8]
    boxes: Float

    def __len__(self) -> int:
        return len(self.frames)

    def person(self, row: int, time_s: float) -> TrackedPerson:
        """Return one row as the live pass would have given it."""
        track, source = self.measured, int(self.rows[row])
        # A filled row shows the person's score of the last sighting, as a live row that is predicted does.
        last = int(np.searchsorted(track.frames, self.frames[row], side="right")) - 1
        blank = np.full(self.keypoints.shape[1:], np.nan, np.float32)
        return TrackedPerson(
            track_id=track.track_id,
            keypoints=self.keypoints[row],
            raw_keypoints=track.raw_keypoints[source] if source >= 0 else blank,
            velocity=self.velocity[row],
            scores=track.keypoint_scores[source] if source >= 0 else np.zeros(len(blank), np.float32),
            state=self.states[row],
            bbox=self.boxes[row],
            score=float(track.scores[max(last, 0)]),
            age_s=float(time_s - track.born_s),
        )


@dataclass(frozen=True, slots=True, eq=False)
class Recording:
    """Every frame of a pass, people or none, and the tracks in them, by id.

    indices: (F,) int64 positions in the source; times_s: (F,) float64 seconds; wall_times: (F,) float64
    seconds since the epoch, NaN where unknown.
    """

    indices: NDArray[np.int64]
    times_s: NDArray[np.float64]
    wall_times: NDArray[np.float64]
    tracks: tuple[RecordedTrack, ...]

    def frame_lengths_s(self) -> NDArray[np.float64]:
        """Return (F,) seconds since the frame before, 0 for the first, without those of dropped frames."""
        steps = np.diff(self.indices, prepend=self.indices[:1] - 1)
        return np.diff(self.times_s, prepend=self.times_s[:1]) / np.maximum(steps, 1)

    def frame(self, position: int) -> Frame:
        """Return a frame with an empty image."""
        wall_time = float(self.wall_times[position])
        return Frame(
            np.zeros((0, 0, 3), np.uint8),
            int(self.indices[position]),
            float(self.times_s[position]),
            None if np.isnan(wall_time) else wall_time,
        )


class ResultRecorder:
    """Collects results as they come; `finish` gives the recording."""

    def __init__(self) -> None:
        self._frames: list[tuple[int, float, float]] = []
        self._tracks: dict[int, _GrowingTrack] = {}

    def add(self, result: Result) -> None:
        """Keep the people of the next frame; the image is not kept."""
        frame = result.frame
        position = len(self._frames)
        self._frames.append(
            (frame.index, frame.time_s, np.nan if frame.wall_time is None else frame.wall_time)
        )
        for person in result.people:
            if person.track_id not in self._tracks:
                self._tracks[person.track_id] = _GrowingTrack(person, frame.time_s)
            self._tracks[person.track_id].add(position, person)

    def finish(self) -> Recording:
        """Return what was collected so far."""
        indices, times_s, wall_times = zip(*self._frames, strict=True) if self._frames else ((), (), ())
        tracks = tuple(track.finish(number) for number, track in sorted(self._tracks.items()))
        return Recording(
            np.array(indices, np.int64),
            np.array(times_s, np.float64),
            np.array(wall_times, np.float64),
            tracks,
        )


class _GrowingTrack:
    """Arrays of one track with room for more rows."""

    def __init__(self, first: TrackedPerson, time_s: float) -> None:
        count, room = len(first.scores), FIRST_ROWS
        self._rows, self._born_s = 0, time_s - first.age_s
        self._arrays: dict[str, NDArray[Any]] = {
            "frames": np.zeros(room, np.int32),
            "raw_keypoints": np.zeros((room, count, 2), np.float32),
            "keypoint_scores": np.zeros((room, count), np.float32),
            "states": np.zeros((room, count), np.int8),
            "boxes": np.zeros((room, 4), np.float32),
            "scores": np.zeros(room, np.float32),
        }

    def add(self, position: int, person: TrackedPerson) -> None:
        if self._rows == len(self._arrays["frames"]):
            for name, array in self._arrays.items():
                self._arrays[name] = np.concatenate([array, np.zeros_like(array)])
        values: tuple[Any, ...] = (
            position,
            person.raw_keypoints,
            person.scores,
            person.state,
            person.bbox,
            person.score,
        )
        for array, value in zip(self._arrays.values(), values, strict=True):
            array[self._rows] = value
        self._rows += 1

    def finish(self, track_id: int) -> RecordedTrack:
        arrays = {name: array[: self._rows] for name, array in self._arrays.items()}
        return RecordedTrack(track_id=track_id, born_s=self._born_s, **arrays)


def smoothed_results(recording: Recording, tracks: tuple[SmoothedTrack, ...]) -> Iterator[Result]:
    """Yield one result per frame of the recording, in order, with the people of these tracks, by id.

    Images are empty: what needs them (an annotated video) reads the source once more, frame for frame.
    """
    next_row = [0] * len(tracks)
    for position in range(len(recording.indices)):
        frame, people = recording.frame(position), []
        for number, track in enumerate(tracks):
            row = next_row[number]
            if row < len(track) and track.frames[row] == position:
                people.append(track.person(row, frame.time_s))
                next_row[number] += 1
        yield Result(frame, tuple(people))
