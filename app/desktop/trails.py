"""Where people have been in the last seconds: one point per track and frame, without Qt.

The time is that of the source, so that trails are right in pauses, at any speed and with frames dropped.
"""

from collections import deque
from collections.abc import Mapping, Sequence

import numpy as np

from engine.skeleton import Skeleton
from engine.structures import Float, TrackedPerson

MAX_POINTS = 1200
"""Per track: ten seconds of a camera with 120 frames per second."""

BREAK_S = 0.4
"""A longer gap in a track breaks its trail, since nobody knows the way between."""

Point = tuple[float, float, float, bool]
"""Seconds of source time, x and y in frame px, and whether it is only the box's middle."""


class Trails:
    """Paths of one keypoint of everybody, over the last seconds of source time."""

    def __init__(self, seconds: float = 2.0, keypoint: str = "") -> None:
        """Remember nothing yet.

        Args:
            seconds: how long a point is remembered.
            keypoint: name of the keypoint followed; empty, or one the skeleton does not have, follows the
                middle of the hips, or of the box where the hips are not known.
        """
        self._seconds = seconds
        self._keypoint = keypoint
        self._points: dict[int, deque[Point]] = {}
        self._time_s: float | None = None

    def change(self, seconds: float, keypoint: str) -> None:
        """Change what is remembered; another keypoint starts anew."""
        if keypoint != self._keypoint:
            self.clear()
        self._seconds, self._keypoint = seconds, keypoint
        self._forget_old()

    def clear(self) -> None:
        """Forget everything, as another source does."""
        self._points.clear()
        self._time_s = None

    def add(self, people: Sequence[TrackedPerson], skeleton: Skeleton, time_s: float) -> None:
        """Add the people of a frame; a frame already added changes nothing, an earlier one starts anew."""
        if self._time_s is not None and time_s < self._time_s:
            self.clear()
        if time_s == self._time_s:
            return
        self._time_s = time_s
        for person in people:
            (x, y), of_box = _followed_point(person, skeleton, self._keypoint)
            if np.isfinite(x) and np.isfinite(y):
                path = self._points.setdefault(person.track_id, deque(maxlen=MAX_POINTS))
                path.append((time_s, x, y, of_box))
        self._forget_old()

    def paths(self) -> Mapping[int, list[tuple[Float, Float]]]:
        """Return by track id its unbroken pieces, oldest first.

        A piece is (M, 2) float32 frame px with M ≥ 2, and (M,) float32 ages in seconds divided by the time
        remembered: 0 is now, 1 about to be forgotten.
        """
        return {track: pieces for track, path in self._points.items() if (pieces := self._cut(path))}

    def _cut(self, path: deque[Point]) -> list[tuple[Float, Float]]:
        points = np.array(path, np.float64)
        breaks = np.flatnonzero((np.diff(points[:, 0]) > BREAK_S) | (np.diff(points[:, 3]) != 0)) + 1
        ages = ((self._time_s or 0.0) - points[:, 0]) / max(self._seconds, 1e-6)
        pieces = zip(np.split(points[:, 1:3], breaks), np.split(ages, breaks))
        return [(xy.astype(np.float32), age.astype(np.float32)) for xy, age in pieces if len(xy) > 1]

    def _forget_old(self) -> None:
        if self._time_s is None:
            return
        oldest = self._time_s - self._seconds
        for track, path in list(self._points.items()):
            while path and path[0][0] < oldest:
                path.popleft()
            if not path:
                del self._points[track]


def _followed_point(
    person: TrackedPerson, skeleton: Skeleton, keypoint: str
) -> tuple[tuple[float, float], bool]:
    """Return the place in frame px that a trail follows, NaN where unknown, and whether it is the box's."""
    if keypoint in skeleton.keypoints:
        x, y = person.keypoints[skeleton.keypoints.index(keypoint)].tolist()
        return (x, y), False
    hips = [index for index, name in enumerate(skeleton.keypoints) if "hip" in name.lower()]
    if hips and np.isfinite(person.keypoints[hips]).all():
        x, y = person.keypoints[hips].mean(axis=0).tolist()
        return (x, y), False
    x, y = person.bbox.reshape(2, 2).mean(axis=0).tolist()
    return (x, y), True
