"""From a frame to the network's input: one affine crop per person, or the whole frame letterboxed.

The warp is exact bilinear on uint8; one pass per colour then normalises into float32 NCHW. What lies outside
the frame is black.
"""

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

from engine.errors import UsageError
from engine.geometry import (
    Size,
    bbox_to_centre_size,
    crop_matrix,
    letterbox_matrix,
    letterbox_size,
)
from engine.model_file import ModelSpec, normalisation
from engine.structures import Float, Image

SIZE_MULTIPLE = 32
"""The networks halve their input five times."""
MAX_ASPECT = 4
"""A longer frame is fitted smaller instead, so that a strip of pixels cannot ask for gigabytes."""


def crop_people(image: Image, bboxes: ArrayLike, spec: ModelSpec) -> tuple[Float, NDArray[np.float64]]:
    """Cut one crop per person in the model's input size.

    Boxes grow to the aspect ratio of the input and by `geometry.BBOX_PADDING`; crops keep the aspect of what
    they show.

    Args:
        image: (H, W, 3) uint8 BGR.
        bboxes: (N, 4) xyxy frame px, close around the person; N may be 0.
        spec: the model's description.

    Returns:
        inputs (N, 3, h, w) float32 contiguous, normalised, in the model's colour order; matrices (N, 2, 3)
        float64 from frame px to input px.

    Raises:
        ValueError: the image is not (H, W, 3) uint8, or a box is empty or not finite.
    """
    check_image(image)
    matrices = crop_matrices(bboxes, spec)
    inputs = np.empty((len(matrices), 3, *spec.input_size), np.float32)
    for target, matrix in zip(inputs, matrices, strict=True):
        warp_into(target, image, matrix, spec)
    return inputs, matrices


def crop_matrices(bboxes: ArrayLike, spec: ModelSpec) -> NDArray[np.float64]:
    """Return the (N, 2, 3) matrices from frame px to px of the crop of each person; see `crop_people`.

    Args:
        bboxes: (N, 4) xyxy frame px, close around the person; N may be 0.
        spec: the model's description.

    Raises:
        ValueError: a box is empty or not finite.
    """
    boxes = np.asarray(bboxes, np.float64).reshape(-1, 4)
    if not (np.isfinite(boxes).all() and (boxes[:, 2:] > boxes[:, :2]).all()):
        raise ValueError(f"boxes must be finite xyxy with x1 < x2 and y1 < y2, got {boxes.tolist()}")
    matrices = np.empty((len(boxes), 2, 3))
    for index, box in enumerate(boxes):
        centre, size = bbox_to_centre_size(box, spec.input_size)
        matrices[index] = crop_matrix(centre, size, spec.input_size, convention=spec.convention)
    return matrices


def letterbox(
    image: Image, spec: ModelSpec, short_side: int | None = None
) -> tuple[Float, NDArray[np.float64]]:
    """Fit the whole frame, centred and undistorted, into a network input.

    A network of dynamic size gets an input of the frame's shape, both sides rounded up to a multiple of 32;
    one of fixed size gets its own.

    Args:
        image: (H, W, 3) uint8 BGR.
        spec: the model's description.
        short_side: shorter side of the input in px, rounded up to a multiple of 32; None takes the model's.

    Returns:
        inputs (1, 3, h, w) float32 contiguous, normalised, in the model's colour order; matrix (2, 3) float64
        from frame px to input px.

    Raises:
        ValueError: the image is not (H, W, 3) uint8.
        UsageError: another short side was asked of a network of fixed size.
    """
    check_image(image)
    frame_size: Size = (image.shape[0], image.shape[1])
    size = input_size(frame_size, spec, short_side)
    matrix = letterbox_matrix(frame_size, size, convention=spec.convention)
    inputs = np.empty((1, 3, *size), np.float32)
    warp_into(inputs[0], image, matrix, spec)
    return inputs, matrix


def input_size(frame_size: Size, spec: ModelSpec, short_side: int | None = None) -> Size:
    """Return the (height, width) of the input that `letterbox` makes of a frame of (height, width)."""
    own = min(spec.input_size)
    if not spec.dynamic_size:
        if short_side is not None and short_side != own:
            raise UsageError(
                f"model {spec.name} has the fixed input size {spec.input_size[0]} x {spec.input_size[1]} and "
                f"cannot run with a short side of {short_side} px; leave the short side out, or export the "
                "model with dynamic size"
            )
        return spec.input_size
    height, width = letterbox_size(frame_size, short_side or own, SIZE_MULTIPLE)
    longest = MAX_ASPECT * min(height, width)
    return min(height, longest), min(width, longest)


def warp_into(target: Float, image: Image, matrix: NDArray[np.float64], spec: ModelSpec) -> None:
    """Warp a frame and write it normalised.

    Args:
        target: (3, h, w) float32, written.
        image: (H, W, 3) uint8 BGR.
        matrix: (2, 3) from frame px to input px.
        spec: gives mean, std and colour order.
    """
    height, width = target.shape[1:]
    crop = cv2.warpAffine(image, matrix, (width, height), flags=cv2.INTER_LINEAR)
    planes = cv2.split(crop)
    multiplier, offset = normalisation(spec)
    for channel in range(3):
        plane = planes[channel if spec.colour_order == "bgr" else 2 - channel]
        np.multiply(plane, multiplier[channel], out=target[channel], dtype=np.float32)
        np.add(target[channel], offset[channel], out=target[channel])


def check_image(image: Image) -> None:
    """Raise `ValueError` unless an image is (H, W, 3) uint8 and not empty."""
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8 or 0 in image.shape:
        raise ValueError(f"image must be (H, W, 3) uint8, got {tuple(image.shape)} {image.dtype}")
