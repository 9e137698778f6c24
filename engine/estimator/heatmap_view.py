"""What the network sees, for the eye: the largest score of any keypoint at each place of the frame.

Painted while a frame is decoded, and only where somebody asks; nothing is computed from it.
"""

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

from engine.geometry import Convention, Size, heatmap_to_input, input_to_heatmap, transform_points
from engine.structures import Float

STEP = 4
"""Frame px per px of the view."""
MAX_SIDE = 480
"""The view of a large frame is coarser, so that its longer side has at most so many px."""


class HeatmapView:
    """The heatmaps of one frame, blended by their maximum.

    Its pixels divide the frame evenly: px (i, j) covers ``frame / view`` px of the frame each way.
    """

    def __init__(self, frame_size: Size) -> None:
        """Begin with nothing seen in a frame of (height, width) px."""
        self._frame_size = frame_size
        step = max(STEP, max(frame_size) / MAX_SIDE)
        height, width = (int(np.ceil(side / step)) for side in frame_size)
        self._values = np.zeros((height, width), np.float32)

    @property
    def values(self) -> Float:
        """(h, w) float32 in [0, 1], stretched over the whole frame."""
        return self._values

    def add(self, heatmaps: ArrayLike, matrices: ArrayLike, input_size: Size, convention: Convention) -> None:
        """Blend in the heatmaps of crops, or of the whole frame.

        Args:
            heatmaps: (N, K, h, w); clipped to [0, 1].
            matrices: (N, 2, 3) from frame px to input px.
            input_size: (height, width) of the network input.
            convention: of the network.
        """
        maps = np.asarray(heatmaps, np.float32)
        for seen, matrix in zip(maps.max(axis=1), np.asarray(matrices, np.float64).reshape(-1, 2, 3)):
            to_heatmap = self._matrix_to(seen.shape, matrix, input_size, convention)
            # Sampling every nth px would miss the top of a narrow peak: let it reach as far as the steps.
            reach = int(np.linalg.norm(to_heatmap[:, 0])) // 2 * 2 + 1
            if reach > 1:
                seen = cv2.dilate(seen, np.ones((reach, reach), np.uint8))
            height, width = self._values.shape
            warped = cv2.warpAffine(
                seen, to_heatmap, (width, height), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
            )
            np.maximum(self._values, warped.clip(0, 1), out=self._values)

    def _matrix_to(
        self,
        heatmap_size: tuple[int, ...],
        matrix: NDArray[np.float64],
        input_size: Size,
        convention: Convention,
    ) -> NDArray[np.float64]:
        """Return the (2, 3) matrix from px of the view to heatmap px."""
        corners = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
        height, width = self._values.shape
        frame = heatmap_to_input(corners, (height, width), self._frame_size, "half-pixel")
        points = input_to_heatmap(
            transform_points(matrix, frame), (heatmap_size[0], heatmap_size[1]), input_size, convention
        )
        return np.column_stack([points[1] - points[0], points[2] - points[0], points[0]])
