"""One frame after another: estimator and tracker, and what may change between two frames.

The pipeline of a file and the live view are both loops around `FrameTracker.update`.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engine.estimator import FrameEstimator
from engine.settings import TrackerSettings, TrackSettings
from engine.skeleton import Skeleton
from engine.structures import Frame, Person, Result
from engine.timing import Stopwatch
from engine.tracking.camera_motion import CameraMotion
from engine.tracking.tracker import Tracker

MIN_FRAME_RATE, MAX_FRAME_RATE = 30.0, 120.0
"""Frames per second that `auto` tries to hold: those of the source, within these."""


@dataclass(frozen=True, slots=True)
class SequenceKind:
    """What is told of a sequence of frames before it begins.

    fps: of the source, None where unknown. stills: its frames are independent pictures, so that nobody is
    followed from one to the next and everybody is shown at once.
    """

    fps: float | None = None
    stills: bool = False


class FrameTracker:
    """Follows people through the frames it is given; the estimator is opened and closed by the caller.

    heatmap_wanted: whether results carry their heatmap, at some cost.
    """

    def __init__(
        self, estimator: FrameEstimator, settings: TrackSettings, kind: SequenceKind | None = None
    ) -> None:
        self.heatmap_wanted = False
        self._estimator, self._settings = estimator, settings
        self._begin(kind or SequenceKind())

    @property
    def estimator(self) -> FrameEstimator:
        """What finds the people."""
        return self._estimator

    @property
    def settings(self) -> TrackSettings:
        """The settings in use."""
        return self._settings

    @property
    def skeleton(self) -> Skeleton:
        """The keypoints of the people in every result."""
        return self._estimator.skeleton

    @property
    def choice(self) -> Mapping[str, object]:
        """Mode, finder interval and size in use; what `auto` chose is in it after the first frame."""
        return self._estimator.choice

    def start(self, kind: SequenceKind) -> None:
        """Forget everybody: a new sequence begins, whose time may start anywhere and whose ids start at 1."""
        self._begin(kind)

    def change_settings(self, settings: TrackSettings) -> None:
        """Take other settings from the next frame on; tracks and their ids are kept.

        What needs other models (mode, models, runtime, precision, threads) is not changed by this: open an
        estimator and give it to `change_estimator`.

        Raises:
            UsageError: the models in use cannot do that; nothing has changed then.
        """
        self._estimator.change_settings(settings.estimator)
        self._settings = settings
        self._tracker.change_settings(self._tracker_settings())

    def change_estimator(self, estimator: FrameEstimator) -> FrameEstimator:
        """Take another estimator from the next frame on and return the one before, for the caller to close.

        Tracks are kept where the keypoints are the same, else everybody is met anew.
        """
        before, self._estimator = self._estimator, estimator
        estimator.start(self._frame_rate)
        if estimator.skeleton.keypoints != before.skeleton.keypoints:
            self._tracker = Tracker(self._tracker_settings(), self.skeleton)
        return before

    def update(self, frame: Frame, watch: Stopwatch | None = None) -> Result:
        """Follow people into the next frame.

        Args:
            frame: later than the one before.
            watch: holds the times charged so far to this frame, which go into the result.

        Raises:
            SourceError: the frame's time is not later than that of the one before.
        """
        watch = watch or Stopwatch()
        if self._kind.stills:
            self._tracker.reset()
            self._estimator.start(self._frame_rate)
        with watch.stage("track"):
            camera = self._watch_camera(frame)
            predicted = self._tracker.predict(frame.time_s, camera=camera)
        self._estimator.heatmap_wanted = self.heatmap_wanted
        people = self._estimator.estimate_frame(frame, predicted, watch)
        region = self._settings.estimator.region
        if region is not None:
            people = [person for person in people if centre_inside(person, region)]
        with watch.stage("track"):
            size = (frame.image.shape[0], frame.image.shape[1])
            tracked = tuple(self._tracker.update(people, frame.time_s, camera=camera, frame_size=size))
            self._boxes = np.array([person.bbox for person in tracked]).reshape(-1, 4)
        heatmap = self._estimator.heatmap if self.heatmap_wanted else None
        return Result(frame, tracked, watch.take(), heatmap)

    def announce(self, frame: Frame) -> None:
        """Say which frame will be next, so that it may be on its way to a device; it need not come."""
        self._estimator.announce(frame)

    def describe(self) -> dict[str, object]:
        """Return models, runtimes, choice and settings as the sidecar states them, ready for JSON."""
        return {
            "models": [model.describe() for model in self._estimator.models],
            "choice": dict(self.choice),
            "settings": self._settings.model_dump(mode="json"),
        }

    def _begin(self, kind: SequenceKind) -> None:
        self._kind = kind
        self._frame_rate = min(max(kind.fps or MIN_FRAME_RATE, MIN_FRAME_RATE), MAX_FRAME_RATE)
        self._estimator.start(self._frame_rate)
        self._tracker = Tracker(self._tracker_settings(), self.skeleton)
        self._camera, self._boxes = CameraMotion(), np.zeros((0, 4))

    def _watch_camera(self, frame: Frame) -> NDArray[np.float64] | None:
        """Return how the camera moved since the last frame, None where it rests or is not asked for."""
        if self._kind.stills or not self._settings.tracker.camera_motion:
            self._camera.reset()
            return None
        return self._camera.update(frame.image, self._boxes)

    def _tracker_settings(self) -> TrackerSettings:
        at_once = {"confirm_s": 0.0} if self._kind.stills else {}
        return self._settings.tracker.model_copy(update=at_once)


def centre_inside(person: Person, region: tuple[float, float, float, float]) -> bool:
    """Whether the centre of a person's box lies in a region, xyxy frame px."""
    x1, y1, x2, y2 = person.bbox.tolist()
    return region[0] <= (x1 + x2) / 2 <= region[2] and region[1] <= (y1 + y2) / 2 <= region[3]


def close_estimator(estimator: FrameEstimator) -> None:
    """Free what an estimator holds, its models too."""
    estimator.release()
    for model in estimator.models:
        model.close()
