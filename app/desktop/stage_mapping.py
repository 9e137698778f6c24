"""Where the video lies in its view: the way from frame pixels to view pixels and back, zoom and pan.

No Qt in here. View coordinates are logical pixels of the widget, origin at its top-left corner; frame
coordinates have their origin at the centre of the top-left pixel.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

ZOOM_STEP = 1.25
MAX_SCALE = 16.0
"""View pixels per frame pixel at most."""


@dataclass(frozen=True, slots=True)
class StageMap:
    """A frame laid out in a view.

    scale: view px per frame px. left, top: view px of the frame's top-left corner (the corner, not the
    centre of its first pixel). width, height: of the frame, px. mirrored: left and right exchanged.
    """

    scale: float
    left: float
    top: float
    width: int
    height: int
    mirrored: bool = False

    def to_view(self, points: NDArray[np.floating]) -> NDArray[np.float64]:
        """Return (…, 2) view px of (…, 2) frame px; NaN stays NaN."""
        corner = np.asarray(points, np.float64) + 0.5
        if self.mirrored:
            corner = corner * (-1.0, 1.0) + (self.width, 0.0)
        return corner * self.scale + (self.left, self.top)

    def to_frame(self, x: float, y: float) -> tuple[float, float]:
        """Return frame px of a place in the view, which may lie outside the frame."""
        column, row = (x - self.left) / self.scale, (y - self.top) / self.scale
        return (self.width - column if self.mirrored else column) - 0.5, row - 0.5

    def box_to_view(self, xyxy: NDArray[np.floating]) -> tuple[float, float, float, float]:
        """Return left, top, width, height in view px of an xyxy box in frame px."""
        first, second = self.to_view(np.asarray(xyxy, np.float64).reshape(2, 2))
        left, right = sorted((float(first[0]), float(second[0])))
        return left, float(first[1]), right - left, float(second[1] - first[1])

    @property
    def bounds(self) -> tuple[float, float, float, float]:
        """Left, top, width, height of the whole frame in view px."""
        return self.left, self.top, self.width * self.scale, self.height * self.scale


def fit_scale(frame_size: tuple[int, int], view_size: tuple[int, int]) -> float:
    """Return the scale at which a frame just fits into a view; sizes are (height, width)."""
    return max(min(view_size[0] / frame_size[0], view_size[1] / frame_size[1]), 1e-6)


@dataclass(frozen=True, slots=True)
class Zoom:
    """How a frame is looked at.

    scale: view px per frame px, None fits the frame into the view. centre: frame px shown in the middle of
    the view, None is the frame's own middle.
    """

    scale: float | None = None
    centre: tuple[float, float] | None = None

    def place(
        self,
        frame_size: tuple[int, int],
        view_size: tuple[int, int],
        *,
        mirrored: bool = False,
        pixel_ratio: float = 1.0,
    ) -> StageMap:
        """Lay a frame out: nothing of the view stays empty that the frame could fill.

        Args:
            frame_size: (height, width), px.
            view_size: (height, width), view px.
            mirrored: show left and right exchanged.
            pixel_ratio: physical px per view px; the corner is put on a physical pixel, so that a frame at
                its own size is not blurred.
        """
        height, width = frame_size
        scale = fit_scale(frame_size, view_size) if self.scale is None else self.scale
        middle_x, middle_y = self.centre if self.centre is not None else ((width - 1) / 2, (height - 1) / 2)
        if mirrored:
            middle_x = width - 1 - middle_x
        left = _lay(view_size[1], width * scale, (middle_x + 0.5) * scale, pixel_ratio)
        top = _lay(view_size[0], height * scale, (middle_y + 0.5) * scale, pixel_ratio)
        return StageMap(scale, left, top, width, height, mirrored)

    def about(self, factor: float, place: StageMap, view_size: tuple[int, int], x: float, y: float) -> "Zoom":
        """Return this zoom times a factor, such that what lies at view px (x, y) stays there.

        Zooming out ends at the fitted frame, or at its own size where that is smaller.
        """
        fitted = fit_scale((place.height, place.width), view_size)
        scale = float(np.clip(place.scale * factor, min(fitted, 1.0), MAX_SCALE))
        if factor < 1 and place.scale > fitted * 1.001 and scale <= fitted:
            return Zoom()
        frame_x, frame_y = place.to_frame(x, y)
        shift_x, shift_y = (view_size[1] / 2 - x) / scale, (view_size[0] / 2 - y) / scale
        return Zoom(scale, (frame_x + (-shift_x if place.mirrored else shift_x), frame_y + shift_y))

    def moved(self, place: StageMap, view_size: tuple[int, int], dx: float, dy: float) -> "Zoom":
        """Return this zoom with the frame shifted by view px, from where it lies now."""
        if self.scale is None:
            return self
        return Zoom(self.scale, place.to_frame(view_size[1] / 2 - dx, view_size[0] / 2 - dy))


def _lay(view: float, extent: float, middle: float, pixel_ratio: float) -> float:
    """Return where the frame starts on one axis, all in view px."""
    start = (view - extent) / 2 if extent <= view else min(0.0, max(view - extent, view / 2 - middle))
    return round(start * pixel_ratio) / pixel_ratio
