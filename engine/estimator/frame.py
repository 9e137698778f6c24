"""What the pipeline asks of an estimator, and which one the settings call for."""

from collections.abc import Sequence
from functools import partial
from typing import Protocol

from engine.estimator.bottom_up import BottomUpEstimator
from engine.estimator.following import FollowingEstimator
from engine.estimator.top_down import TopDownEstimator
from engine.model import Model, open_model
from engine.settings import EstimatorSettings
from engine.skeleton import Skeleton
from engine.structures import Frame, Person
from engine.timing import Stopwatch
from engine.tracking.tracker import PredictedTrack


class FrameEstimator(Protocol):
    """Finds the people of one frame after another.

    choice: what was chosen, ready for JSON; what `auto` measures is in it after the first frame.
    """

    choice: dict[str, object]

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

    def estimate_frame(
        self, frame: Frame, tracks: Sequence[PredictedTrack], watch: Stopwatch
    ) -> list[Person]:
        """Return the people of a frame; `tracks` are predicted for its time."""
        ...


class WholeFrameEstimator:
    """Bottom-up on every frame; tracks are not needed."""

    def __init__(self, bottom_up: BottomUpEstimator[Model]) -> None:
        self._bottom_up = bottom_up
        short_side = bottom_up.short_side or min(bottom_up.model.spec.input_size)
        self.choice: dict[str, object] = {"mode": "bottom-up", "short_side": short_side}

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

    def estimate_frame(
        self, frame: Frame, tracks: Sequence[PredictedTrack], watch: Stopwatch
    ) -> list[Person]:
        """Return the people of a frame."""
        return self._bottom_up.estimate(frame.image, watch)


def finder_settings(settings: EstimatorSettings) -> EstimatorSettings:
    """Return the settings of a bottom-up model that finds people for crops: one look, low thresholds."""
    peak_score = settings.finder_min_peak_score
    return settings.model_copy(
        update={
            "flip_test": False,
            "min_person_score": min(settings.finder_min_score, settings.min_person_score),
            "min_peak_score": settings.min_peak_score if peak_score is None else peak_score,
        }
    )


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
