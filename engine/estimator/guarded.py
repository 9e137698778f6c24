"""Estimating goes on with the CPU where the GPU fails, for those who left the choice of the runtime to us."""

import logging
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, TypeVar

from engine.errors import DeviceError
from engine.model import Model
from engine.settings import EstimatorSettings
from engine.skeleton import Skeleton
from engine.structures import Float, Frame, Person
from engine.timing import Stopwatch
from engine.tracking.tracker import PredictedTrack

if TYPE_CHECKING:
    from engine.estimator.frame import FrameEstimator

LOGGER = logging.getLogger(__name__)

T = TypeVar("T")


class GuardedEstimator:
    """Does what another estimator does until its GPU fails, then what one for the CPU does.

    The frame at hand is estimated again, so that none is lost. What happened is logged and stands in
    `choice` under ``moved_to_cpu``.

    Args:
        estimator: the first, on a GPU.
        open_for_cpu: opens the one to go on with.
        settings: both were, or would be, opened with.
    """

    def __init__(
        self,
        estimator: "FrameEstimator",
        open_for_cpu: Callable[[EstimatorSettings], "FrameEstimator"],
        settings: EstimatorSettings,
    ) -> None:
        self._estimator, self._open_for_cpu, self._settings = estimator, open_for_cpu, settings
        self._frame_rate: float | None = None
        self._moved: str | None = None

    @property
    def choice(self) -> dict[str, object]:
        """What was chosen; see `FrameEstimator`."""
        moved = {} if self._moved is None else {"moved_to_cpu": self._moved}
        return {**self._estimator.choice, **moved}

    @property
    def heatmap_wanted(self) -> bool:
        """Whether the heatmap is to be made."""
        return self._estimator.heatmap_wanted

    @heatmap_wanted.setter
    def heatmap_wanted(self, wanted: bool) -> None:
        self._estimator.heatmap_wanted = wanted

    @property
    def heatmap(self) -> Float | None:
        """The heatmap of the last frame; see `FrameEstimator`."""
        return self._estimator.heatmap

    @property
    def models(self) -> tuple[Model, ...]:
        """The models in use now."""
        return self._estimator.models

    @property
    def skeleton(self) -> Skeleton:
        """The keypoints that come out."""
        return self._estimator.skeleton

    def start(self, frame_rate: float) -> None:
        """Begin a new source."""
        self._frame_rate = frame_rate
        self._estimator.start(frame_rate)

    def warm_up(self, size: tuple[int, int]) -> None:
        """Run the networks once for frames of (height, width)."""
        self._guard(lambda: self._estimator.warm_up(size))

    def change_settings(self, settings: EstimatorSettings) -> None:
        """Follow other settings from the next frame on; see `FrameEstimator.change_settings`."""
        self._estimator.change_settings(settings)
        self._settings = settings

    def estimate_frame(
        self, frame: Frame, tracks: Sequence[PredictedTrack], watch: Stopwatch
    ) -> list[Person]:
        """Return the people of a frame."""
        return self._guard(lambda: self._estimator.estimate_frame(frame, tracks, watch))

    def announce(self, frame: Frame) -> None:
        """Say which frame will be next; see `FrameEstimator.announce`."""
        self._estimator.announce(frame)

    def release(self) -> None:
        """Free what is held on a device besides the models."""
        self._estimator.release()

    def _guard(self, action: Callable[[], T]) -> T:
        try:
            return action()
        except DeviceError as error:
            if self._moved is not None:
                raise
            self._move(error)
        return action()

    def _move(self, error: DeviceError) -> None:
        LOGGER.warning("the GPU failed, the CPU goes on: %s", error)
        failed = self._estimator
        estimator = self._open_for_cpu(self._settings)
        estimator.heatmap_wanted = failed.heatmap_wanted
        if self._frame_rate is not None:
            estimator.start(self._frame_rate)
        self._estimator, self._moved = estimator, str(error)
        failed.release()
        for model in failed.models:
            try:
                model.close()
            except DeviceError as closing:
                LOGGER.info("what was on the lost GPU could not be freed: %s", closing)
