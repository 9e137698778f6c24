"""People followed through pictures that the caller brings, one after another.

`engine.open_tracker` makes a `TrackingSession`; what it does with each picture is `FrameTracker.update`.
"""

import math
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self

import numpy as np

from engine.errors import UsageError
from engine.estimator import FrameEstimator, open_estimator
from engine.frame_tracker import FrameTracker, SequenceKind, close_estimator
from engine.pipeline import build_settings
from engine.settings import TrackSettings
from engine.skeleton import Skeleton
from engine.structures import Frame, Image, Result


class TrackingSession:
    """Models in hand and the people met so far; for one thread, and to be closed or used in ``with``.

    Args:
        settings: of finding and following.
        kind: frames per second, by which times that are not given are counted, and whether the pictures are
            stills.
        estimator: what finds people, closed with the session; None opens one as the settings say.

    Raises:
        UsageError: settings contradict each other.
        ModelFileError: a model is missing, damaged, or of the wrong kind.
        RuntimeUnavailableError: the runtime cannot be had.
    """

    def __init__(
        self, settings: TrackSettings, kind: SequenceKind, *, estimator: FrameEstimator | None = None
    ) -> None:
        self._kind = kind
        self._step_s = 1.0 / (kind.fps or 30.0)
        self._last: Frame | None = None
        self._closed = False
        opened = estimator or open_estimator(settings.estimator)
        self._tracker = FrameTracker(opened, settings, kind)

    @property
    def skeleton(self) -> Skeleton:
        """The keypoints of the people in every result."""
        return self._tracker.skeleton

    @property
    def choice(self) -> Mapping[str, object]:
        """Mode, finder interval and size in use; what `auto` chose is in it after the first picture."""
        return self._tracker.choice

    def update(self, image: Image | Frame, time_s: float | None = None) -> Result:
        """Follow people into the next picture.

        Args:
            image: (H, W, 3) uint8 BGR, as OpenCV has it; the result carries this very array, so do not paint
                into it before you are done with the result. Or a `Frame`, with its own time.
            time_s: seconds on any clock, later than the time before (stills may have any); None: one step of
                `fps` after it, or 0 for the first picture.

        Returns:
            The people, with ids that last, in pixels of this picture.

        Raises:
            UsageError: the array is no such picture, the time does not move on, or the session is closed.
        """
        if self._closed:
            raise UsageError("this tracker is closed; open another one with engine.open_tracker(...)")
        frame = self._make_frame(image, time_s)
        result = self._tracker.update(frame)
        self._last = frame
        return result

    def reset(self) -> None:
        """Forget everybody: a new sequence begins, whose time may start anywhere and whose ids start at 1."""
        self._last = None
        self._tracker.start(self._kind)

    def describe(self) -> dict[str, object]:
        """Return models, runtimes, choice and settings, ready for JSON."""
        return self._tracker.describe()

    def close(self) -> None:
        """Free the models; the results stay valid."""
        if not self._closed:
            self._closed = True
            close_estimator(self._tracker.estimator)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _make_frame(self, image: Image | Frame, time_s: float | None) -> Frame:
        last = self._last
        if isinstance(image, Frame):
            if time_s is not None:
                raise UsageError("a Frame has its own time_s; give time_s only with an array")
            check_image(image.image)
            frame = image
        else:
            check_image(image)
            if time_s is None:
                time_s = 0.0 if last is None else last.time_s + self._step_s
            frame = Frame(np.ascontiguousarray(image), 0 if last is None else last.index + 1, float(time_s))
        if not math.isfinite(frame.time_s):
            raise UsageError(f"time_s must be a number of seconds, got {frame.time_s}")
        if last is not None and frame.time_s <= last.time_s and not self._kind.stills:
            raise UsageError(
                f"time_s must be later than the {last.time_s:g} s of the picture before, got "
                f"{frame.time_s:g}; call reset() where another sequence begins"
            )
        return frame


def check_image(image: object) -> None:
    """Refuse what is no picture.

    Raises:
        UsageError: it is no (H, W, 3) uint8 array, or empty.
    """
    if not isinstance(image, np.ndarray):
        raise UsageError(
            f"an image must be a NumPy array of shape (H, W, 3), uint8 BGR, or a Frame; got "
            f"{type(image).__name__}{'; engine.track takes files' if isinstance(image, str) else ''}"
        )
    if image.ndim != 3 or image.shape[2] != 3 or image.size == 0 or image.dtype != np.uint8:
        raise UsageError(
            f"an image must be (H, W, 3) uint8 in BGR order, got {image.dtype} of shape {image.shape}; "
            "cv2.cvtColor makes BGR of grey pictures and of those with alpha"
        )


def open_tracker(*, fps: float = 30.0, stills: bool = False, **settings: Any) -> TrackingSession:
    """Open models to follow people through pictures; see `engine.open_tracker`."""
    if not (math.isfinite(fps) and fps > 0):
        raise UsageError(f"fps must be a number above 0, got {fps}")
    return TrackingSession(build_settings(settings), SequenceKind(fps, stills))
