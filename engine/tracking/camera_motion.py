"""How the camera moved between two frames: a similarity, from what the background does.

Beside the tracker, which takes it out of the motion of people. Corners of a small grey picture are followed
by optical flow (Lucas and Kanade, pyramids as Bouguet 2001), those on people are left out, and RANSAC finds
the motion on which most agree. A camera at rest is told from a glance at the picture, and costs next to
nothing.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

from engine.structures import Float, Image

Array = NDArray[np.float64]

WIDTH = 320
"""Width of the small picture, px: fine enough for a tenth of a pixel, small enough for a millisecond."""
CORNERS, MIN_DISTANCE = 60, 10
"""Corners followed at most, and how far apart they are, px of the small picture. With 120 the motion is as
exact (0.06 px of 1280 px footage shaken by a known motion), and costs a third more."""
WINDOW, LEVELS = 11, 3
STEPS = (cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS, 10, 0.03)
"""Optical flow: side of the window, px of the small picture, halvings, and steps at most per level."""
REFRESH = 0.6
"""New corners are sought once fewer than this share of those found last are left."""
MIN_AGREEING, MIN_SHARE = 12, 0.5
"""A motion counts only where so many corners, and this share of those followed, agree on it."""
TOLERANCE_PX = 1.0
STILL_PX = 0.1
"""Motion of the small picture below this is none: it is what noise and compression do."""
STILL_DIFFERENCE = 1.2
"""Mean change of grey, of 255, up to which the picture rests."""
MAX_SCALE, MAX_TURN_RAD = 1.2, 0.2
"""More than this between two frames is a cut, or an error."""
PERSON_MARGIN = 0.1
"""People's boxes are left out with this margin, of their sides."""


class CameraMotion:
    """Follows the camera from frame to frame of one sequence."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Forget the last frame: a new sequence begins."""
        self._before: Image | None = None
        self._corners: Float = np.zeros((0, 1, 2), np.float32)
        self._wanted = 0

    def update(self, image: Image, boxes: NDArray[np.floating] | None = None) -> Array | None:
        """Return how what rests moved from the last frame to this one.

        Args:
            image: (H, W, 3) uint8 BGR, of the same size as the last; another size begins anew.
            boxes: (N, 4) xyxy frame px of people in the last frame or this one, who do not count.

        Returns:
            (2, 3) similarity from the last frame's px to this one's; None for a camera at rest, for the first
            frame, and where no motion can be told.
        """
        scale = WIDTH / image.shape[1]
        # Bilinear looks at few pixels of a large picture; to average over all would cost more than the rest.
        small = cv2.resize(
            image, (WIDTH, max(round(image.shape[0] * scale), 1)), interpolation=cv2.INTER_LINEAR
        )
        grey = np.asarray(cv2.cvtColor(small, cv2.COLOR_BGR2GRAY), np.uint8)
        before, self._before = self._before, grey
        if before is None or before.shape != grey.shape:
            self._corners = self._corners[:0]
            return None
        if cv2.mean(cv2.absdiff(before, grey))[0] <= STILL_DIFFERENCE:
            return None
        return self._follow(before, grey, boxes, scale)

    def _follow(
        self, before: Image, grey: Image, boxes: NDArray[np.floating] | None, scale: float
    ) -> Array | None:
        if len(self._corners) <= REFRESH * self._wanted or not len(self._corners):
            self._corners = _find_corners(before, boxes, scale)
            self._wanted = len(self._corners)
        elif boxes is not None and len(boxes):
            self._corners = self._corners[
                _free(before.shape, boxes, scale)[_pixels(self._corners, before.shape)]
            ]
        if len(self._corners) < MIN_AGREEING:
            self._corners = self._corners[:0]
            return None
        moved, status, _ = cv2.calcOpticalFlowPyrLK(
            before,
            grey,
            self._corners,
            np.empty_like(self._corners),
            winSize=(WINDOW, WINDOW),
            maxLevel=LEVELS,
            criteria=STEPS,
        )
        kept = status[:, 0] > 0
        first, second = self._corners[kept, 0], moved[kept, 0]
        self._corners = self._corners[:0]
        if len(first) < MIN_AGREEING:
            return None
        motion, agree = cv2.estimateAffinePartial2D(
            first, second, method=cv2.RANSAC, ransacReprojThreshold=TOLERANCE_PX, maxIters=200
        )
        if motion is None:
            return None
        agrees = agree[:, 0] > 0
        self._corners = second[agrees][:, None]
        if agrees.sum() < max(MIN_AGREEING, MIN_SHARE * len(first)) or not _is_plausible(motion):
            return None
        centre = np.array([grey.shape[1] / 2, grey.shape[0] / 2, 1.0])
        if (
            np.linalg.norm(motion @ centre - centre[:2]) < STILL_PX
            and abs(np.linalg.det(motion[:, :2]) - 1) < 1e-3
        ):
            return None
        return _to_frame(motion, scale)


def _find_corners(grey: Image, boxes: NDArray[np.floating] | None, scale: float) -> Float:
    mask = None if boxes is None or not len(boxes) else _free(grey.shape, boxes, scale).astype(np.uint8) * 255
    corners = cv2.goodFeaturesToTrack(grey, CORNERS, 0.01, MIN_DISTANCE, mask=mask)
    return np.zeros((0, 1, 2), np.float32) if corners is None else np.asarray(corners, np.float32)


def _free(shape: tuple[int, ...], boxes: NDArray[np.floating], scale: float) -> NDArray[np.bool_]:
    """Where, on the small picture, there are no people."""
    free = np.ones(shape, bool)
    for x1, y1, x2, y2 in np.asarray(boxes, np.float64)[np.isfinite(boxes).all(axis=1)].tolist():
        grow = PERSON_MARGIN * max(x2 - x1, y2 - y1)
        left, top = max(int((x1 - grow) * scale), 0), max(int((y1 - grow) * scale), 0)
        free[top : max(int((y2 + grow) * scale) + 1, 0), left : max(int((x2 + grow) * scale) + 1, 0)] = False
    return free


def _pixels(corners: Float, shape: tuple[int, ...]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    column, row = np.rint(corners[:, 0]).astype(np.intp).T
    return np.clip(row, 0, shape[0] - 1), np.clip(column, 0, shape[1] - 1)


def _is_plausible(motion: Array) -> bool:
    scale, turn = np.hypot(motion[0, 0], motion[1, 0]), np.arctan2(motion[1, 0], motion[0, 0])
    return bool(1 / MAX_SCALE <= scale <= MAX_SCALE and abs(turn) <= MAX_TURN_RAD)


def _to_frame(motion: Array, scale: float) -> Array:
    """Undo the shrinking: origins of both are the centre of the top-left pixel."""
    half = np.array([0.5, 0.5])
    turn = motion[:, :2]
    # small = scale * (frame + half) - half, in both frames.
    shift = (turn @ (scale * half - half) + motion[:, 2] + half) / scale - half
    return np.concatenate([turn, shift[:, None]], axis=1)
