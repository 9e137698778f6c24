"""Top-down: from the heatmaps of crops to keypoints in the frame."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from engine.decode.peaks import MAX_SHIFT, decode_heatmaps
from engine.errors import ModelFileError
from engine.geometry import Size, heatmap_to_input
from engine.model_file import ModelSpec
from engine.structures import Float


def decode_crops(heatmaps: ArrayLike, matrices: ArrayLike, spec: ModelSpec) -> tuple[Float, Float]:
    """Decode the one person in each crop.

    Args:
        heatmaps: (N, K, h, w) of the crops; N may be 0.
        matrices: (N, 2, 3) from frame px to input px, as `prepare.crop_people` returns them.
        spec: gives input size, convention, decoder and sigma. Sub-pixel steps longer than
            `peaks.MAX_SHIFT` are not trusted.

    Returns:
        keypoints (N, K, 2) float32 frame px; scores (N, K) float32, the maxima clipped to [0, 1]. A keypoint
        of score 0 lies wherever heatmap px (0, 0) is; it means nothing.

    Raises:
        ModelFileError: the heatmaps do not fit the spec's skeleton, or hold NaN.
    """
    maps = np.asarray(heatmaps)
    check_keypoints(maps, spec)
    points, scores = decode_heatmaps(
        maps, spec.decoder, heatmap_sigma=spec.heatmap_sigma, max_shift=MAX_SHIFT
    )
    return finish_crops(points, scores, (maps.shape[2], maps.shape[3]), matrices, spec)


def finish_crops(
    points: Float, scores: Float, heatmap_size: Size, matrices: ArrayLike, spec: ModelSpec
) -> tuple[Float, Float]:
    """Take the keypoints of crops from heatmap px to frame px.

    Args:
        points: (N, K, 2) sub-pixel heatmap px. scores: (N, K) maxima of the maps as they are.
        heatmap_size: (height, width) of the heatmaps.
        matrices: (N, 2, 3) from frame px to input px.
        spec: gives input size and convention.

    Returns:
        keypoints (N, K, 2) float32 frame px; scores (N, K) float32, clipped to [0, 1].
    """
    points_input = heatmap_to_input(points, heatmap_size, spec.input_size, spec.convention)
    keypoints = to_frame(points_input, np.asarray(matrices, np.float64).reshape(-1, 2, 3))
    return keypoints.astype(np.float32), scores.clip(0, 1)


def check_keypoints(maps: NDArray, spec: ModelSpec) -> None:
    """Raise `ModelFileError` unless (N, K, H, W) maps have a channel for each keypoint of the skeleton."""
    if maps.ndim != 4 or maps.shape[1] != spec.skeleton.count:
        raise ModelFileError(
            f"heatmaps must have shape (N, {spec.skeleton.count}, H, W) for skeleton '{spec.skeleton.name}', "
            f"got {maps.shape}; was model {spec.name} exported with another skeleton?"
        )


def to_frame(points_input: NDArray[np.float64], matrices: NDArray[np.float64]) -> NDArray[np.float64]:
    """Undo one (N, 2, 3) matrix per crop on (N, K, 2) input px; return (N, K, 2) frame px."""
    back = np.linalg.inv(matrices[:, :, :2])
    moved: NDArray[np.float64] = (points_input - matrices[:, None, :, 2]) @ back.transpose(0, 2, 1)
    return moved
