"""Paint a frame where it lies in the view, scaled once and to physical pixels."""

import cv2
import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QRectF
from PySide6.QtGui import QImage, QPainter

from app.desktop.stage_mapping import StageMap
from engine.structures import Image

SMOOTH_UP_TO = 4.0
"""From this magnification on the pixels themselves are shown."""


class FramePainter:
    """Paints the frames of one view, again and again in the same memory.

    New memory for each frame costs up to 8 ms: the system hands it out page by page, and takes it back.
    """

    def __init__(self) -> None:
        self._memory: dict[str, NDArray[np.uint8]] = {}

    def paint(
        self,
        painter: QPainter,
        image: Image,
        place: StageMap,
        view_size: tuple[int, int],
        pixel_ratio: float = 1.0,
    ) -> None:
        """Paint what can be seen of a frame.

        Args:
            painter: of a widget.
            image: (H, W, 3) uint8 BGR.
            place: where it lies.
            view_size: (height, width), view px.
            pixel_ratio: physical px per view px.
        """
        magnified = place.scale * pixel_ratio
        part, rect = _visible_part(image, place, view_size)
        if part.size == 0:
            return
        scaled = part.shape == image.shape and abs(magnified - 1) > 1e-3 and magnified < SMOOTH_UP_TO
        if scaled:
            size = (max(1, round(image.shape[1] * magnified)), max(1, round(image.shape[0] * magnified)))
            part = self._scale(image, size)
        if place.mirrored:
            part = _same(cv2.flip(part, 1, dst=self._room("mirrored", part.shape)))
        # Qt would convert it in its own threads and wait for them.
        height, width = part.shape[:2]
        pixels = _same(cv2.cvtColor(part, cv2.COLOR_BGR2BGRA, dst=self._room("pixels", (height, width, 4))))
        picture = QImage(pixels.data, width, height, width * 4, QImage.Format.Format_RGB32)
        if scaled:
            picture.setDevicePixelRatio(pixel_ratio)
            painter.drawImage(rect.topLeft(), picture)
            return
        painter.save()
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform, magnified < SMOOTH_UP_TO)
        painter.drawImage(rect, picture)
        painter.restore()

    def _scale(self, image: Image, size: tuple[int, int]) -> Image:
        """Scale a whole frame to (width, height).

        Averaging takes ten times as long as interpolation unless the ratio is a whole number, so a frame
        that loses more than half its pixels is averaged by the nearest such ratio first.
        """
        height, width = image.shape[:2]
        ratio = min(width // size[0], height // size[1])
        if ratio > 1:
            whole = image[: height // ratio * ratio, : width // ratio * ratio]
            less = (width // ratio, height // ratio)
            room = self._room("averaged", (less[1], less[0], 3))
            image = _same(cv2.resize(whole, less, dst=room, interpolation=cv2.INTER_AREA))
        room = self._room("scaled", (size[1], size[0], 3))
        return _same(cv2.resize(image, size, dst=room, interpolation=cv2.INTER_LINEAR))

    def _room(self, name: str, shape: tuple[int, ...]) -> NDArray[np.uint8]:
        """Return an array of this shape in memory that is kept under a name."""
        count = int(np.prod(shape))
        memory = self._memory.get(name)
        if memory is None or memory.size < count:
            memory = self._memory[name] = np.empty(count, np.uint8)
        return memory[:count].reshape(shape)


def as_picture(image: Image) -> QImage:
    """Return a picture on the memory of an (H, W, 3) uint8 BGR image, which must outlive it.

    Raises:
        ValueError: the image does not lie in one piece of memory.
    """
    if not image.flags.c_contiguous:
        raise ValueError(f"image must be contiguous, got strides {image.strides}; copy it first")
    height, width = image.shape[:2]
    return QImage(image.data, width, height, width * 3, QImage.Format.Format_BGR888)


def _same(image: NDArray) -> Image:
    """Return an image of OpenCV's as what it is, uint8."""
    return np.asarray(image, np.uint8)


def _visible_part(image: Image, place: StageMap, view_size: tuple[int, int]) -> tuple[Image, QRectF]:
    """Return the part of an image that the view shows, and its rectangle in view px."""
    height, width = image.shape[:2]
    corner, view = np.array([place.left, place.top]), np.array([view_size[1], view_size[0]])
    first = np.floor(-corner / place.scale).astype(int)
    last = np.ceil((view - corner) / place.scale).astype(int)
    left, top = np.clip(first - 1, 0, (width, height)).tolist()
    right, bottom = np.clip(last + 1, 0, (width, height)).tolist()
    rect = QRectF(
        place.left + left * place.scale,
        place.top + top * place.scale,
        (right - left) * place.scale,
        (bottom - top) * place.scale,
    )
    if place.mirrored:
        left, right = width - right, width - left
    return image[top:bottom, left:right], rect
