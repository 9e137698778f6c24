"""Launch of the top-down peak kernel: from the heatmaps of crops to keypoints in heatmap px, on the device.

`peaks_topdown.cu` says how it is computed, `peaks_topdown_twin.py` what. It equals `engine.decode.peaks`
with `MAX_SHIFT`, after `engine.estimator.flip` where the crops were run mirrored too.
"""

import ctypes
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.cuda.device import Device, DeviceTensor, Stream
from engine.decode.peaks import (
    DARK_FLOOR,
    MAX_SHIFT,
    METHODS,
    UDP_CEILING,
    UDP_FLOOR,
    Float,
    blur_kernel,
    check_finite,
)
from engine.errors import ModelFileError
from engine.model_file import ModelSpec

THREADS = 128
"""Of a block, as the kernel is written."""
MAX_RADIUS = 16
"""Heatmap px; what the window in the kernel's shared memory holds."""
CLIPS = {"dark": (DARK_FLOOR, float("inf")), "udp": (UDP_FLOOR, UDP_CEILING)}
ENTRIES = {np.dtype(np.float32): "peaks_topdown_f32", np.dtype(np.float16): "peaks_topdown_f16"}


class TopDownPeaks:
    """The kernel made ready for the heatmaps of one top-down model.

    It holds a little device memory; work that uses it must be done before `close`.
    """

    def __init__(self, device: Device, spec: ModelSpec, dtype: np.dtype[Any]) -> None:
        """Compile the kernel or take it from the cache, and upload its constants.

        Args:
            device: where it runs.
            spec: gives skeleton, decoder, heatmap sigma and convention.
            dtype: of the heatmaps, float32 or float16.

        Raises:
            ModelFileError: the model's numbers are none that the kernel takes.
            DeviceError: the device failed.
        """
        self._dtype = np.dtype(dtype)
        if self._dtype not in ENTRIES:
            raise ModelFileError(
                f"heatmaps on the device must be float32 or float16, got {self._dtype} from model "
                f"{spec.name}; run it with another precision"
            )
        blurred = spec.decoder in CLIPS
        blur = blur_kernel(spec.heatmap_sigma) if blurred else np.ones(1, np.float32)
        self._radius = len(blur) // 2
        if self._radius > MAX_RADIUS:
            raise ModelFileError(
                f"heatmap_sigma of model {spec.name} must be at most {(MAX_RADIUS + 1) / 3:.1f} heatmap px "
                f"to be decoded on a GPU, got {spec.heatmap_sigma:g}; use a runtime of the CPU"
            )
        self._floor, self._ceiling = CLIPS.get(spec.decoder, (0.0, 0.0))
        self._spec = spec
        self._kernel = device.kernel("peaks_topdown", ENTRIES[self._dtype])
        flip_index = np.asarray(spec.skeleton.flip_index, np.int32)
        constants = np.concatenate([blur.view(np.uint8), flip_index.view(np.uint8)])
        stream = device.stream()
        try:
            self._constants = device.allocate(constants.nbytes)
            stream.upload(self._constants.address, constants)
            stream.synchronize()
        finally:
            stream.close()
        self._blur, self._flip_index = self._constants.address, self._constants.address + blur.nbytes

    def result_shape(self, capacity: int) -> tuple[int, int, int]:
        """Return the shape (capacity, K, 3) of the float32 result of up to `capacity` crops."""
        return capacity, self._spec.skeleton.count, 3

    def enqueue(
        self, stream: Stream, *, heatmaps: DeviceTensor, count: int, mirrored: bool, target: int
    ) -> None:
        """Put the kernel on a stream.

        Args:
            stream: where to.
            heatmaps: (capacity, K, H, W); mirrored: (2 * capacity, K, H, W), row capacity + n that of crop n
                mirrored.
            count: address of an int32, how many of the crops are to be decoded.
            mirrored: average each map with that of the mirrored crop, turned back: left and right keypoints
                exchanged, mirrored, in the ``hrnet`` convention shifted right by one px.
            target: address of `result_shape` float32, written for the first `count` crops: x, y in heatmap
                px and the maximum as it is, NaN where the map has NaN. A map without a positive, finite
                maximum gives (0, 0).

        Raises:
            ModelFileError: the heatmaps do not fit the skeleton.
            ValueError: the heatmaps have another type or number of rows.
            DeviceError: the device failed.
        """
        self._check(heatmaps, mirrored)
        rows, keypoints, height, width = heatmaps.shape
        capacity = rows // 2 if mirrored else rows
        arguments = (
            ctypes.c_void_p(heatmaps.address),
            ctypes.c_void_p(count),
            ctypes.c_void_p(self._flip_index),
            ctypes.c_void_p(self._blur),
            ctypes.c_void_p(target),
            ctypes.c_int(capacity),
            ctypes.c_int(height),
            ctypes.c_int(width),
            ctypes.c_int(mirrored),
            ctypes.c_int(self._spec.convention == "hrnet"),
            ctypes.c_int(METHODS.index(self._spec.decoder)),
            ctypes.c_int(self._radius),
            ctypes.c_float(self._floor),
            ctypes.c_float(self._ceiling),
            ctypes.c_float(MAX_SHIFT),
        )
        stream.launch(self._kernel, (keypoints, capacity, 1), (THREADS, 1, 1), arguments)

    def read(self, result: Float, count: int) -> tuple[Float, Float]:
        """Split what came back into keypoints (count, K, 2), heatmap px, and scores (count, K), the maxima.

        Args:
            result: (capacity, K, 3) float32, as the kernel wrote it. count: crops that were decoded.

        Raises:
            ModelFileError: a map has NaN or infinity where its maximum is sought: the network has overflowed.
        """
        scores: NDArray[np.float32] = result[:count, :, 2].copy()
        check_finite(scores)
        return result[:count, :, :2].copy(), scores

    def close(self) -> None:
        """Free the constants."""
        self._constants.close()

    def _check(self, heatmaps: DeviceTensor, mirrored: bool) -> None:
        skeleton = self._spec.skeleton
        if len(heatmaps.shape) != 4 or heatmaps.shape[1] != skeleton.count:
            raise ModelFileError(
                f"heatmaps must have shape (N, {skeleton.count}, H, W) for skeleton '{skeleton.name}', "
                f"got {heatmaps.shape}; was model {self._spec.name} exported with another skeleton?"
            )
        if heatmaps.dtype != self._dtype or 0 in heatmaps.shape or (mirrored and heatmaps.shape[0] % 2):
            raise ValueError(
                f"heatmaps must be {self._dtype}, no side of them 0, an even number of rows where mirrored, "
                f"got {heatmaps.dtype} of shape {heatmaps.shape}"
            )
