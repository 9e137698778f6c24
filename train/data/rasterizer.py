"""A z-buffer rasterizer for many small triangles, in NumPy.

The synthetic scenes draw their meshes with it: every (triangle, pixel in its bounding box) pair is written
out, tested by barycentric coordinates and resolved by depth, in chunks of bounded memory. Only identity is
stored per pixel (which triangle, where in it); colour is worked out afterwards for the pixels that are seen.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

CHUNK_PAIRS = 1_500_000
EMPTY = -1


@dataclass(frozen=True, slots=True, eq=False)
class FrameBuffer:
    """What is nearest at every pixel of an H×W picture.

    inverse_depth: (H, W) float32, 1/metres along the viewing axis, 0 where nothing was drawn.
    triangle: (H, W) int32 index of the triangle seen, counted over everything drawn, EMPTY (-1) where none.
    weights: (H, W, 2) float32 screen-space barycentric weights of the triangle's second and third corner.
    """

    inverse_depth: NDArray[np.float32]
    triangle: NDArray[np.int32]
    weights: NDArray[np.float32]

    @property
    def size(self) -> tuple[int, int]:
        """(height, width)."""
        height, width = self.triangle.shape
        return height, width

    def __repr__(self) -> str:
        return f"FrameBuffer(size={self.size})"


def new_frame_buffer(size: tuple[int, int]) -> FrameBuffer:
    """Return an empty buffer of `size` (height, width)."""
    height, width = size
    return FrameBuffer(
        np.zeros((height, width), np.float32),
        np.full((height, width), EMPTY, np.int32),
        np.zeros((height, width, 2), np.float32),
    )


def draw_triangles(
    buffer: FrameBuffer,
    points: NDArray[np.floating],
    inverse_depth: NDArray[np.floating],
    triangles: NDArray[np.integer],
    *,
    double_sided: NDArray[np.bool_] | None = None,
    first_index: int = 0,
) -> NDArray[np.int64]:
    """Draw triangles into `buffer`, nearest wins, and return the pixels they cover.

    Args:
        buffer: changed in place.
        points: (V, 2) screen positions in pixels, origin at the centre of the top-left pixel.
        inverse_depth: (V,) 1/metres; triangles with a corner at or behind the camera (<= 0) are left out.
        triangles: (F, 3) corner indices; those counter-clockwise as seen (y down) face the viewer.
        double_sided: (F,) triangles that are drawn from behind too; all are single-sided if None.
        first_index: number of the first triangle in `buffer.triangle`.

    Returns:
        (P,) sorted flat pixel indices inside the outline, also where something nearer hides the triangles.
    """
    height, width = buffer.size
    front = _facing(points, inverse_depth, triangles, double_sided)
    corners = points[triangles[front]].astype(np.float64)
    low = np.ceil(corners.min(1)).astype(np.int64)
    high = np.floor(corners.max(1)).astype(np.int64)
    low = np.maximum(low, 0)
    high = np.minimum(high, (width - 1, height - 1))
    extent = high - low + 1
    drawn = np.flatnonzero((extent > 0).all(1))
    if not len(drawn):
        return np.empty(0, np.int64)
    front, corners, low, extent = front[drawn], corners[drawn], low[drawn], extent[drawn]
    planes = _planes(corners, inverse_depth[triangles[front]].astype(np.float64))
    ends = np.cumsum(extent[:, 0] * extent[:, 1])
    covered = np.zeros(height * width, bool)
    start = 0
    while start < len(front):
        before = ends[start - 1] if start else 0
        stop = max(start + 1, int(np.searchsorted(ends, before + CHUNK_PAIRS)))
        chunk = slice(start, stop)
        _draw_chunk(
            buffer,
            front[chunk] + first_index,
            planes[chunk],
            corners[chunk, 0],
            low[chunk],
            extent[chunk],
            covered,
        )
        start = stop
    return np.flatnonzero(covered)


def _facing(
    points: NDArray[np.floating],
    inverse_depth: NDArray[np.floating],
    triangles: NDArray[np.integer],
    double_sided: NDArray[np.bool_] | None,
) -> NDArray[np.int64]:
    """Return the indices of triangles in front of the camera that show a drawable side."""
    corner = points[triangles]
    first, second = corner[:, 1] - corner[:, 0], corner[:, 2] - corner[:, 0]
    area = first[:, 0] * second[:, 1] - first[:, 1] * second[:, 0]
    shown = area < 0
    if double_sided is not None:
        shown |= double_sided & (area > 0)
    return np.flatnonzero(shown & (inverse_depth[triangles] > 0).all(1) & (np.abs(area) > 1e-9))


def _planes(corners: NDArray[np.float64], inverse_depth: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return (F, 7): d/dx, d/dy of weight 2, of weight 3, of 1/z, and 1/z at the first corner.

    All three are affine in screen space (1/z because the projection is a perspective one).
    """
    first, second = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    area = first[:, 0] * second[:, 1] - first[:, 1] * second[:, 0]
    slopes = np.stack([second[:, 1], -second[:, 0], -first[:, 1], first[:, 0]], 1) / area[:, None]
    rise = inverse_depth[:, 1:] - inverse_depth[:, :1]
    depth = slopes[:, :2] * rise[:, :1] + slopes[:, 2:] * rise[:, 1:]
    return np.concatenate([slopes, depth, inverse_depth[:, :1]], 1)


def _draw_chunk(
    buffer: FrameBuffer,
    index: NDArray[np.int64],
    planes: NDArray[np.float64],
    anchor: NDArray[np.float64],
    low: NDArray[np.int64],
    extent: NDArray[np.int64],
    covered: NDArray[np.bool_],
) -> None:
    """Test and resolve all pixel pairs of some triangles; marks `covered` in place."""
    width = buffer.size[1]
    counts = extent[:, 0] * extent[:, 1]
    owner = np.repeat(np.arange(len(index)), counts)
    local = np.arange(len(owner)) - np.repeat(np.cumsum(counts) - counts, counts)
    row, column = np.divmod(local.astype(np.int32), extent[owner, 0].astype(np.int32))
    x, y = low[owner, 0] + column, low[owner, 1] + row
    dx, dy = x - anchor[owner, 0], y - anchor[owner, 1]
    plane = planes[owner]
    second = plane[:, 0] * dx + plane[:, 1] * dy
    third = plane[:, 2] * dx + plane[:, 3] * dy
    inside = np.flatnonzero((second >= 0) & (third >= 0) & (second + third <= 1))
    owner, second, third, dx, dy = owner[inside], second[inside], third[inside], dx[inside], dy[inside]
    pixel = y[inside] * width + x[inside]
    plane = plane[inside]
    depth = (plane[:, 4] * dx + plane[:, 5] * dy + plane[:, 6]).astype(np.float32)
    covered[pixel] = True
    nearest = buffer.inverse_depth.reshape(-1)
    before = nearest[pixel]
    np.maximum.at(nearest, pixel, depth)
    won = np.flatnonzero((depth >= nearest[pixel]) & (depth > before))
    target = pixel[won]
    buffer.triangle.reshape(-1)[target] = index[owner[won]]
    buffer.weights.reshape(-1, 2)[target] = np.stack([second[won], third[won]], 1)
