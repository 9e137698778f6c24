"""What the pipeline asks of an estimator, and which one the settings call for."""

import logging
from collections.abc import Sequence
from contextlib import ExitStack
from functools import partial
from typing import Protocol

import numpy as np

from engine.device.frames import FrameRing
from engine.errors import DeviceError
from engine.estimator.bottom_up import BottomUpEstimator, finder_settings
from engine.estimator.device_path import device_network, shared_ring
from engine.estimator.following import FollowingEstimator
from engine.estimator.guarded import GuardedEstimator
from engine.estimator.heatmap_view import HeatmapView
from engine.estimator.top_down import TopDownEstimator
from engine.model import Model, open_model
from engine.runtime import cpu_runtimes
from engine.settings import EstimatorSettings
from engine.skeleton import Skeleton
from engine.structures import Float, Frame, Person
from engine.timing import Stopwatch
from engine.tracking.tracker import PredictedTrack

LOGGER = logging.getLogger(__name__)


class FrameEstimator(Protocol):
    """Finds the people of one frame after another.

    heatmap_wanted: whether `heatmap` is to be made of each frame, at some cost.
    """

    heatmap_wanted: bool

    @property
    def choice(self) -> dict[str, object]:
        """What was chosen, ready for JSON; what `auto` measures is in it after the first frame."""
        ...

    @property
    def heatmap(self) -> Float | None:
        """(h, w) float32 in [0, 1] of the last frame, stretched over the whole frame.

        The largest score of any keypoint at each place; None where it was not wanted.
        """
        ...

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

    def announce(self, frame: Frame) -> None:
        """Say which frame will be next, so that it may be on its way to a device; it need not come."""
        ...

    def release(self) -> None:
        """Free what is held on a device besides the models, which stay open; the end of all estimating."""
        ...


class WholeFrameEstimator:
    """Bottom-up on every frame; tracks are not needed.

    ring: brings frames to the device that the model is on, and is closed with this; None on CPUs.
    """

    def __init__(self, bottom_up: BottomUpEstimator[Model], ring: FrameRing | None = None) -> None:
        self._bottom_up, self._ring = bottom_up, ring
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

    def announce(self, frame: Frame) -> None:
        """Let the next frame be uploaded ahead where there is a device."""
        if self._ring is not None:
            self._ring.announce(frame.image)

    def release(self) -> None:
        """Free what is held on a device besides the model."""
        self._bottom_up.release()
        if self._ring is not None:
            self._ring.close()

    def _describe(self) -> dict[str, object]:
        short_side = self._bottom_up.short_side or min(self._bottom_up.model.spec.input_size)
        return {"mode": "bottom-up", "short_side": short_side}


def open_estimator(settings: EstimatorSettings) -> FrameEstimator:
    """Open the models that the settings name.

    Where the runtime is `auto` and it is a GPU's, the CPU goes on should that GPU fail.

    Raises:
        ModelFileError: a model is missing, damaged, or of the wrong kind.
        RuntimeUnavailableError: the runtime cannot be had.
        UsageError: an INT8 file was named together with a float precision.
        DeviceError: the GPU that was asked for failed.
    """
    try:
        estimator = _open(settings)
    except DeviceError as error:
        if settings.runtime != "auto":
            raise
        LOGGER.warning("the GPU failed at the start, the CPU takes over: %s", error)
        return _open_for_cpu(settings)
    if settings.runtime != "auto" or all(device_network(model) is None for model in estimator.models):
        return estimator
    return GuardedEstimator(estimator, _open_for_cpu, settings)


def _open_for_cpu(settings: EstimatorSettings) -> FrameEstimator:
    """Open the models on the CPU, whatever the precision was that they had on a GPU."""
    return _open(settings.model_copy(update={"runtime": cpu_runtimes()[0], "precision": "auto"}))


def _open(settings: EstimatorSettings) -> FrameEstimator:
    opened = partial(
        open_model, runtime=settings.runtime, precision=settings.precision, threads=settings.threads
    )
    with ExitStack() as half_open:
        bottom_up = opened(settings.bottom_up_model, expect_kind="bottom-up")
        half_open.callback(bottom_up.close)
        if settings.mode == "bottom-up":
            ring = shared_ring([bottom_up])
            half_open.pop_all()
            return WholeFrameEstimator(BottomUpEstimator(bottom_up, settings, ring=ring), ring)
        top_down = opened(settings.top_down_model, expect_kind="top-down")
        half_open.callback(top_down.close)
        ring = shared_ring([top_down, bottom_up])
        half_open.pop_all()
    return FollowingEstimator(
        TopDownEstimator(
            top_down,
            flip_test=settings.flip_test,
            min_keypoint_score=settings.min_keypoint_score,
            ring=ring,
        ),
        BottomUpEstimator(bottom_up, finder_settings(settings), scales=settings.finder_scales, ring=ring),
        settings,
        auto=settings.mode == "auto",
        ring=ring,
    )
