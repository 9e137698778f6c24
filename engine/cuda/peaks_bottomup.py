"""Peaks of a whole frame's heatmaps on the device, with their tags and sub-pixel places; grouping follows on
the host.

Does what `decode.bottom_up` does up to grouping; `peaks_bottomup_twin` says the same in NumPy. Legend:
B batch, K keypoints, M peaks per keypoint, L tag length, H×W heatmap.
"""

import ctypes
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from engine.cuda.device import Argument, Device, DeviceTensor, Stream
from engine.decode.bottom_up import WEAK_PEAK_SCORE
from engine.decode.grouping import Peaks
from engine.decode.peaks import DARK_FLOOR, MAX_SHIFT, UDP_CEILING, UDP_FLOOR, blur_kernel, check_finite
from engine.errors import ModelFileError, UsageError
from engine.geometry import Size
from engine.model_file import ModelSpec
from engine.structures import Float

FILE = "peaks_bottomup"
TILE = 32
THREADS = 256
REFINE_THREADS = 128
MAX_RADIUS = 12
"""Of the blur, heatmap px; a `heatmap_sigma` of 4.4."""
MAX_OUTPUTS = 3
"""Heatmap outputs, and tag outputs."""
MAX_PEOPLE = 256
LIMITS = {"argmax": (0.0, 0.0), "quarter": (0.0, 0.0), "dark": (DARK_FLOOR, np.inf)} | {
    "udp": (UDP_FLOOR, UDP_CEILING)
}
"""Floor and ceiling of the blurred windows of each decoder."""
METHODS = {"argmax": 0, "quarter": 1, "dark": 2, "udp": 3}
FLOORED_QUARTER = 4
"""The published bottom-up step: a quarter px, and half a px for targets that are floored."""


@dataclass(frozen=True, slots=True, eq=False)
class DevicePeaks:
    """What comes back of a frame.

    peaks: M the largest number found for one keypoint. refined: (K, M, 2) float32 sub-pixel x, y, heatmap px
    of the finest output; 0 in unused places.
    """

    peaks: Peaks
    refined: Float


class BottomUpPeaks:
    """Finds the peaks in the outputs of a bottom-up model, all on the device."""

    def __init__(
        self,
        device: Device,
        spec: ModelSpec,
        dtype: DTypeLike,
        *,
        max_people: int,
        min_peak_score: float = WEAK_PEAK_SCORE,
    ) -> None:
        """Load the kernels.

        Args:
            device: of the outputs. spec: of the model. dtype: of its outputs, float16 or float32.
            max_people: at most this many peaks per keypoint, the highest, no more than `MAX_PEOPLE`.
            min_peak_score: peaks are above this and above nothing higher than `WEAK_PEAK_SCORE`.

        Raises:
            UsageError: too many people.
            ModelFileError: the model has no tags, more outputs than `MAX_OUTPUTS`, or too wide a blur.
        """
        self.spec, self.dtype, self.max_people = spec, np.dtype(dtype), max_people
        self.min_peak_score = min(min_peak_score, WEAK_PEAK_SCORE)
        self._check()
        blurs = spec.decoder in ("dark", "udp")
        weights = blur_kernel(spec.heatmap_sigma) if blurs else np.zeros(1, np.float32)
        self._radius = len(weights) // 2
        suffix = {"float32": "fp32", "float16": "fp16"}[self.dtype.name]
        self._candidates = device.kernel(FILE, f"bottom_up_candidates_{suffix}")
        self._select = device.kernel(FILE, "bottom_up_select")
        self._refine = device.kernel(FILE, f"bottom_up_refine_{suffix}")
        flip_index = spec.skeleton.flip_index.astype(np.int32)
        self._constants = _upload(device, np.concatenate([flip_index.view(np.float32), weights]))
        self._weights = self._constants.address + flip_index.nbytes

    def scratch_bytes(self, size: Size) -> int:
        """Return how much memory the work needs for finest heatmaps of (height, width) px."""
        state, selected = self._scratch_parts()
        return state + selected + self.spec.skeleton.count * _capacity(size) * 8

    def result_bytes(self) -> int:
        """Return the size of what comes back."""
        keypoints = self.spec.skeleton.count
        return 4 * (2 * keypoints + keypoints * self.max_people * (5 + len(self.spec.tag_outputs)))

    def enqueue(
        self,
        stream: Stream,
        *,
        outputs: Mapping[str, DeviceTensor],
        mirrored: bool,
        scratch: int,
        target: int,
    ) -> None:
        """Put the work on a stream.

        Args:
            stream: on which the outputs are written.
            outputs: heatmaps (B, K, H, W) and tags (B, K or 1, Ht, Wt) under the names in the spec.
            mirrored: whether row 1 belongs to the mirrored picture (B = 2); its heatmaps, turned back, are
                averaged with the others, its tags are not looked at. Else B = 1.
            scratch: address, aligned to 8, of `scratch_bytes` for the finest heatmaps.
            target: address, aligned to 4, of `result_bytes`, for `read`.

        Raises:
            ModelFileError: the outputs do not fit the spec.
            ValueError: a batch of another size.
        """
        maps = [self._tensor(outputs, output.name, mirrored) for output in self.spec.heatmap_outputs]
        tags = [self._tensor(outputs, output.name, mirrored) for output in self.spec.tag_outputs]
        self._check_channels(maps, tags)
        maps.sort(key=lambda tensor: tensor.shape[2])
        height, width = maps[-1].shape[2:]
        keypoints = self.spec.skeleton.count
        state_bytes, selected_bytes = self._scratch_parts()
        state, selected = ctypes.c_void_p(scratch), ctypes.c_void_p(scratch + state_bytes)
        candidates = ctypes.c_void_p(scratch + state_bytes + selected_bytes)
        capacity, most = ctypes.c_int(_capacity((height, width))), ctypes.c_int(self.max_people)
        shared = self._map_arguments(maps, mirrored)
        blur = (ctypes.c_int(self._radius), ctypes.c_void_p(self._weights))

        stream.clear(scratch, 4 * 3 * keypoints)
        stream.launch(
            self._candidates,
            (-(-width // TILE), -(-height // TILE), keypoints),
            (THREADS, 1, 1),
            (*shared, ctypes.c_float(self.min_peak_score), *blur, state, candidates, capacity),
        )
        stream.launch(
            self._select,
            (keypoints, 1, 1),
            (THREADS, 1, 1),
            (state, candidates, capacity, most, selected),
        )
        stream.launch(
            self._refine,
            (self.max_people, keypoints, 1),
            (REFINE_THREADS, 1, 1),
            (*shared, *self._step_arguments(blur), *_tag_arguments(tags), state, selected, _address(target)),
        )

    def read(self, array: NDArray[np.uint8]) -> DevicePeaks:
        """Make sense of what came back.

        Args:
            array: (`result_bytes`,) from `target`; nothing returned is a view of it.

        Raises:
            ModelFileError: a merged map, or tags at the peaks, held NaN or infinity.
        """
        keypoints, length = self.spec.skeleton.count, len(self.spec.tag_outputs)
        bits, counts = array[: 8 * keypoints].view(np.uint32).reshape(2, keypoints)
        check_finite(from_ordered_bits(bits))
        rows = array[8 * keypoints :].view(np.float32).reshape(keypoints, self.max_people, 5 + length)
        rows = rows[:, : int(counts.max(initial=0))].copy()
        tags = rows[:, :, 5:].copy()
        check_tags(tags)
        peaks = Peaks(rows[:, :, :2].copy(), rows[:, :, 2].copy(), tags)
        return DevicePeaks(peaks, rows[:, :, 3:5].copy())

    def close(self) -> None:
        """Free the constants; the work must be done."""
        self._constants.close()

    def _check(self) -> None:
        spec = self.spec
        if not 0 < self.max_people <= MAX_PEOPLE:
            raise UsageError(
                f"max_people must be 1 to {MAX_PEOPLE} on a GPU, got {self.max_people}; "
                "lower it or take a CPU runtime"
            )
        if self.min_peak_score < 0:
            raise ValueError(f"min_peak_score must not be negative, got {self.min_peak_score}")
        if self.dtype not in (np.float16, np.float32):
            raise ValueError(f"outputs on a GPU must be float16 or float32, got {self.dtype}")
        if not spec.tag_outputs:
            raise ModelFileError(
                f"model {spec.name} names no tag outputs: its peaks cannot be grouped into people"
            )
        most = max(len(spec.heatmap_outputs), len(spec.tag_outputs))
        if most > MAX_OUTPUTS:
            raise ModelFileError(
                f"at most {MAX_OUTPUTS} heatmap and tag outputs are decoded on a GPU, model {spec.name} has "
                f"{most}; take a CPU runtime"
            )
        radius = len(blur_kernel(spec.heatmap_sigma)) // 2
        if spec.decoder in ("dark", "udp") and radius > MAX_RADIUS:
            raise ModelFileError(
                f"heatmaps are blurred by at most {MAX_RADIUS} px on a GPU, the heatmap_sigma "
                f"{spec.heatmap_sigma} of model {spec.name} asks for {radius}; take a CPU runtime"
            )

    def _scratch_parts(self) -> tuple[int, int]:
        """Return the bytes of the state and of the selected keys; the candidates follow."""
        keypoints = self.spec.skeleton.count
        return -(-12 * keypoints // 8) * 8, 8 * keypoints * self.max_people

    def _tensor(self, outputs: Mapping[str, DeviceTensor], name: str, mirrored: bool) -> DeviceTensor:
        tensor = outputs[name]
        if tensor.dtype != self.dtype or len(tensor.shape) != 4:
            raise ModelFileError(
                f"output {name} of model {self.spec.name} must be (B, K, H, W) {self.dtype}, "
                f"got {tensor.shape} {tensor.dtype}"
            )
        if tensor.shape[0] != 1 + mirrored:
            raise ValueError(
                f"bottom-up decoding takes one frame at a time, a batch of {1 + mirrored}, "
                f"got {tensor.shape[0]} in output {name}"
            )
        return tensor

    def _check_channels(self, maps: Sequence[DeviceTensor], tags: Sequence[DeviceTensor]) -> None:
        skeleton = self.spec.skeleton
        for what, tensors, fits in (
            ("heatmaps", maps, (skeleton.count,)),
            ("tags", tags, (skeleton.count, 1)),
        ):
            for tensor in tensors:
                if tensor.shape[1] not in fits:
                    raise ModelFileError(
                        f"{what} must have {' or '.join(str(number) for number in fits)} channels for "
                        f"skeleton '{skeleton.name}', got {tensor.shape}; was model {self.spec.name} "
                        "exported with another skeleton?"
                    )

    def _map_arguments(self, maps: Sequence[DeviceTensor], mirrored: bool) -> list[Argument]:
        """Return the arguments that say where the heatmaps are, from (B, K, H, W) sorted by height."""
        arguments: list[Argument] = []
        for tensor in [maps[-1], *maps[:-1]]:
            arguments += [_address(tensor.address), *_size(tensor)]
        for _ in range(MAX_OUTPUTS - len(maps)):
            arguments += [_address(0), ctypes.c_int(0), ctypes.c_int(0)]
        flip_index = self._constants.address if mirrored else 0
        return [*arguments, _address(flip_index), ctypes.c_int(self.spec.convention == "udp")]

    def _step_arguments(self, blur: tuple[Argument, Argument]) -> list[Argument]:
        spec = self.spec
        floored = spec.convention == "hrnet"
        published = floored and spec.decoder == "quarter"
        method = FLOORED_QUARTER if published else METHODS[spec.decoder]
        offset = 0.5 if floored and not published else 0.0
        floats = (*LIMITS[spec.decoder], MAX_SHIFT, offset)
        return [ctypes.c_int(method), *blur, *(ctypes.c_float(value) for value in floats)]


def from_ordered_bits(bits: NDArray[np.uint32]) -> Float:
    """Return the floats whose order these numbers have, see `ordered_bits` in pose.cuh."""
    top = np.uint32(0x80000000)
    return np.where(bits & top, bits ^ top, ~bits).view(np.float32)


def check_tags(tags: Float) -> None:
    """Raise `ModelFileError` if tags at peaks are NaN or infinite."""
    if not np.isfinite(tags).all():
        raise ModelFileError(
            "the tags hold NaN or infinity: the network's numbers overflowed; run it with precision fp32, "
            "or export the model again"
        )


def _capacity(size: Size) -> int:
    """Return how many candidates a keypoint can have: they are at least 3 px apart."""
    return -(-size[0] // 3) * -(-size[1] // 3)


def _upload(device: Device, array: NDArray[Any]) -> Any:
    buffer = device.allocate(array.nbytes)
    stream = device.stream()
    stream.upload(buffer.address, array)
    stream.synchronize()
    stream.close()
    return buffer


def _address(value: int) -> ctypes.c_void_p:
    return ctypes.c_void_p(value or None)


def _size(tensor: DeviceTensor) -> tuple[ctypes.c_int, ctypes.c_int]:
    return ctypes.c_int(tensor.shape[2]), ctypes.c_int(tensor.shape[3])


def _tag_arguments(tags: Sequence[DeviceTensor]) -> list[Argument]:
    """Return the arguments that say where the tags are, in their order, and the finest of their sizes."""
    arguments: list[Argument] = []
    for tensor in tags:
        arguments += [_address(tensor.address), ctypes.c_int(tensor.shape[1]), *_size(tensor)]
    for _ in range(MAX_OUTPUTS - len(tags)):
        arguments += [_address(0), ctypes.c_int(0), ctypes.c_int(0), ctypes.c_int(0)]
    finest = max(tags, key=lambda tensor: tensor.shape[2])
    return [*arguments, ctypes.c_int(len(tags)), *_size(finest)]
