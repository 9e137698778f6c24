"""Launches `prepare.cu`: crops or the letterboxed frame become the network's input on the device.

`engine.prepare` is the same on the host; `prepare_twin` says in NumPy what the kernel computes.
"""

import ctypes

import numpy as np
from numpy.typing import ArrayLike, NDArray

from engine.cuda.device import Argument, Device, DeviceTensor, Stream
from engine.model_file import ModelSpec, normalisation

MATRIX_DTYPE = np.dtype(np.float32)
"""Of the array that `pack_matrices` makes; OpenCV rounds its coefficients so, too."""
VIEW_DTYPE = np.dtype(
    [("pixels", "<u8"), ("height", "<i4"), ("width", "<i4"), ("pitch", "<i4"), ("reserved", "<i4")]
)
"""A FrameView of pose.cuh."""
BLOCK = 256
"""Threads of a block, each for two px: BLOCK of prepare.cu."""
MAX_ROWS = 65535
"""Most blocks along y."""
ENTRIES = {np.dtype(np.float32): "prepare_f32", np.dtype(np.float16): "prepare_f16"}


def pack_view(address: int, size: tuple[int, int], pitch: int) -> NDArray[np.void]:
    """Return the FrameView of a picture as an array of one `VIEW_DTYPE`, to be uploaded.

    Args:
        address: of (height, width, 3) uint8 BGR on the device.
        size: (height, width).
        pitch: bytes from one row to the next.
    """
    return np.array([(address, size[0], size[1], pitch, 0)], VIEW_DTYPE)


def pack_matrices(matrices: ArrayLike, capacity: int) -> NDArray[np.float32]:
    """Invert matrices for the kernel, which walks over the input and looks into the frame.

    Args:
        matrices: (N, 2, 3) from frame px to input px; N may be 0.
        capacity: rows of the result.

    Returns:
        (capacity, 6) float32 from input px to frame px, row by row; rows from N on are 0. As in OpenCV, a
        matrix that has no inverse sees the frame's first pixel everywhere.

    Raises:
        ValueError: N exceeds the capacity.
    """
    forward = np.asarray(matrices, np.float64).reshape(-1, 2, 3)
    if len(forward) > capacity:
        raise ValueError(f"at most {capacity} matrices fit, got {len(forward)}; split them into several runs")
    packed = np.zeros((capacity, 6), MATRIX_DTYPE)
    (a, b, c), (d, e, f) = forward.transpose(1, 2, 0)
    with np.errstate(all="ignore"):  # no inverse, or one beyond float32: its places are outside any frame
        determinant = a * e - b * d
        reciprocal = np.where(determinant != 0, 1.0 / determinant, 0.0)
        xx, xy, yx, yy = e * reciprocal, -b * reciprocal, -d * reciprocal, a * reciprocal
        inverse = np.stack([xx, xy, -xx * c - xy * f, yx, yy, -yx * c - yy * f], axis=1)
        packed[: len(forward)] = inverse.astype(MATRIX_DTYPE)
    return packed


class PrepareKernel:
    """The kernel with the normalisation of one model.

    Args:
        device: what it runs on.
        spec: gives mean, std and colour order.
        dtype: of the network's input, float16 or float32.

    Raises:
        ValueError: another dtype.
        DeviceError: the kernel could not be loaded.
    """

    def __init__(self, device: Device, spec: ModelSpec, dtype: np.dtype[np.floating]) -> None:
        dtype = np.dtype(dtype)
        if dtype not in ENTRIES:
            raise ValueError(f"inputs must be float16 or float32, got {dtype}")
        self.dtype = dtype
        self._kernel = device.kernel("prepare", ENTRIES[dtype])
        multiplier, offset = normalisation(spec)
        numbers = [*multiplier.tolist(), *offset.tolist()]
        self._constants: tuple[Argument, ...] = (
            ctypes.c_int(spec.colour_order == "rgb"),
            *(ctypes.c_float(number) for number in numbers),
        )

    def enqueue(
        self, stream: Stream, *, view: int, matrices: int, count: int, inputs: DeviceTensor, mirrored: bool
    ) -> None:
        """Put one run on the stream; what the addresses hold is read when it runs.

        Args:
            stream: it runs there.
            view: address of a FrameView (`pack_view`).
            matrices: address of (capacity, 6) float32 (`pack_matrices`).
            count: address of an int32, how many of the matrices are used.
            inputs: (capacity, 3, h, w), written whole, rows from `count` on with 0; mirrored: (2 capacity, 3,
                h, w), the second half holding the first with left and right exchanged.
            mirrored: whether that half is written.

        Raises:
            ValueError: `inputs` has another shape or dtype.
        """
        rows = inputs.shape[0] if len(inputs.shape) == 4 else 0
        capacity = rows // 2 if mirrored else rows
        expected = (capacity * (2 if mirrored else 1), 3, *inputs.shape[2:])
        if inputs.dtype != self.dtype or inputs.shape != expected or not 0 < capacity <= MAX_ROWS:
            rule = f"({'2 N' if mirrored else 'N'}, 3, h, w) with N up to {MAX_ROWS}"
            raise ValueError(f"inputs must be {rule} in {self.dtype}, got {inputs.shape} in {inputs.dtype}")
        height, width = inputs.shape[2:]
        pairs = height * ((width + 1) // 2)
        arguments: tuple[Argument, ...] = (
            ctypes.c_void_p(view),
            ctypes.c_void_p(matrices),
            ctypes.c_void_p(count),
            ctypes.c_void_p(inputs.address),
            ctypes.c_int(capacity),
            ctypes.c_int(height),
            ctypes.c_int(width),
            ctypes.c_int(mirrored),
            *self._constants,
        )
        stream.launch(self._kernel, (-(-pairs // BLOCK), capacity, 1), (BLOCK, 1, 1), arguments)
