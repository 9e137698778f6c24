"""What the pipeline asks of an estimator, and which one the settings call for."""

from collections.abc import Sequence
from functools import partial
from typing import Protocol

import numpy as np

from engine.estimator.bottom_up import BottomUpEstimator, finder_settings
from engine.estimator.following import FollowingEstimator
from engine.estimator.heatmap_view import HeatmapView
from engine.estimator.top_down import TopDownEstimator
from engine.model import Model, open_model
from engine.settings import EstimatorSettings
from engine.skeleton import Skeleton
from engine.structures import Float, Frame, Person
from engine.timing import Stopwatch
from engine.tracking.tracker import PredictedTrack


class FrameEstimator(Protocol):
    """Finds the people of one frame after another.

    choice: what was chosen, ready for JSON; what `auto` measures is in it after the first frame.
    heatmap_wanted: whether `heatmap` is to be made of each frame, at some cost.
    heatmap: (h, w) float32 in [0, 1] of the last frame, the largest score of any keypoint at each place,
    stretched over the whole frame; None where it was not wanted.
    """

    choice: dict[str, object]
    heatmap_wanted: bool
    heatmap: Float | None

    @property
    def models(self) -> tuple[Model, ...]:
        """The models in use, the one whose keypoints come out first."""
        ...

    @property
    def skeleton(self) -> Skeleton:
        """The keypoints that come out."""
        ...

    def start(self, frame_rate: float) -> None:
        """Begin a new source whose frame rate, in frames per second, is to be held."""
        ...

    def warm_up(self, size: tuple[int, int]) -> None:
        """Run the networks once for frames of (height, width), so that the first one need not wait."""
        ...

    def change_settings(self, settings: EstimatorSettings) -> None:
        """Follow other settings from the next frame on, but for those that need models to be opened.

        Mode, models, runtime, precision and threads stay as they are; `open_estimator` takes those.

        Raises:
            UsageError: the network has a fixed size and another short side is asked for; nothing changes.
        """
        ...

    def estimate_frame(
        self, frame: Frame, tracks: Sequence[PredictedTrack], watch: Stopwatch
    ) -> list[Person]:
        """Return the people of a frame; `tracks` are predicted for its time."""
        ...


class WholeFrameEstimator:
    """Bottom-up on every frame; tracks are not needed."""

    def __init__(self, bottom_up: BottomUpEstimator[Model]) -> None:
        self._bottom_up = bottom_up
        self.choice = self._describe()
        self.heatmap_wanted = False
        self.heatmap: Float | None = None

    @property
    def models(self) -> tuple[Model, ...]:
        """The one model."""
        return (self._bottom_up.model,)

    @property
    def skeleton(self) -> Skeleton:
        """The keypoints that come out."""
        return self._bottom_up.model.spec.skeleton

    def start(self, frame_rate: float) -> None:
        """Do nothing: there is no state."""

    def warm_up(self, size: tuple[int, int]) -> None:
        """Run the network once for frames of (height, width)."""
        self._bottom_up.estimate(np.zeros((*size, 3), np.uint8))

    def change_settings(self, settings: EstimatorSettings) -> None:
        """Follow other settings from the next frame on; see `FrameEstimator.change_settings`."""
        self._bottom_up.check_short_side(settings.finder_short_side)
        self._bottom_up.settings = settings
        self._bottom_up.short_side = settings.finder_short_side
        self.choice = self._describe()

    def estimate_frame(
        self, frame: Frame, tracks: Sequence[PredictedTrack], watch: Stopwatch
    ) -> list[Person]:
        """Return the people of a frame."""
        height, width = frame.image.shape[:2]
        view = HeatmapView((height, width)) if self.heatmap_wanted else None
        people = self._bottom_up.estimate(frame.image, watch, view)
        self.heatmap = None if view is None else view.values
        return people

    def _describe(self) -> dict[str, object]:
        short_side = self._bottom_up.short_side or min(self._bottom_up.model.spec.input_size)
        return {"mode": "bottom-up", "short_side": short_side}


def open_estimator(settings: EstimatorSettings) -> FrameEstimator:
    """Open the models that the settings name.

    Raises:
        ModelFileError: a model is missing, damaged, or of the wrong kind.
        RuntimeUnavailableError: the runtime cannot be had.
        UsageError: an INT8 file was named together with a float precision.
    """
    opened = partial(
        open_model, runtime=settings.runtime, precision=settings.precision, threads=settings.threads
    )
    bottom_up = opened(settings.bottom_up_model, expect_kind="bottom-up")
    if settings.mode == "bottom-up":
        return WholeFrameEstimator(BottomUpEstimator(bottom_up, settings))
    top_down = opened(settings.top_down_model, expect_kind="top-down")
    return FollowingEstimator(
        TopDownEstimator(
            top_down, flip_test=settings.flip_test, min_keypoint_score=settings.min_keypoint_score
        ),
        BottomUpEstimator(bottom_up, finder_settings(settings), scales=settings.finder_scales),
        settings,
        auto=settings.mode == "auto",
    )
