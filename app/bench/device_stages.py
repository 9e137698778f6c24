"""The path of a frame on a device with made-up maps in the place of the network's outputs, stage by stage.

The kernels are launched on the same kinds of memory and in the same order as `engine.device` does it.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from app.bench.device_timing import DeviceClock, DeviceRoom
from app.bench.floors import Work
from app.bench.stages import person_boxes
from app.bench.synthetic import crop_heatmaps, crowd_outputs
from engine.cuda.device import DeviceTensor, Stream
from engine.cuda.peaks_bottomup import BottomUpPeaks
from engine.cuda.peaks_topdown import TopDownPeaks
from engine.cuda.prepare import MATRIX_DTYPE, PrepareKernel, pack_matrices, pack_view
from engine.decode.peaks import blur_kernel
from engine.device.job import COUNT_AT, MATRICES_AT
from engine.device.whole_frame import DEFAULT_PEOPLE
from engine.geometry import Size, letterbox_matrix
from engine.model_file import ModelSpec
from engine.prepare import crop_matrices

PeaksT = TypeVar("PeaksT", TopDownPeaks, BottomUpPeaks)

CROWD = 10
"""People in the maps of a whole frame."""
PREPARE_OPERATIONS = 25
"""Per px of the input: 4 for its place in the frame; for each colour 3 differences, 3 fused products and 1 to
normalise."""
TAPS_BYTES = 12
"""Of the frame that one px of the input looks at: 4 px of 3 bytes."""


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """A stage. on: what it works on; enqueue: puts it on the clock's stream; work: what it has to do."""

    stage: str
    on: str
    enqueue: Callable[[], None]
    work: Work


@dataclass(frozen=True, slots=True, eq=False)
class HostFrame:
    """A frame in page-locked memory, (H * W * 3,) uint8, and its room on the device, (H, W, 3)."""

    host: NDArray[np.uint8]
    tensor: DeviceTensor

    @property
    def size(self) -> Size:
        """(height, width) px."""
        return self.tensor.shape[0], self.tensor.shape[1]


def make_frame(room: DeviceRoom, size: Size) -> HostFrame:
    """Return a frame of noise of (height, width) px."""
    host = room.pinned(3 * size[0] * size[1])
    host[:] = np.random.default_rng(7).integers(0, 256, host.size, np.uint8)
    return HostFrame(host, room.put(host.reshape(*size, 3)))


class _Prepared:
    """Parameters and inputs of the first stage, as a job has them."""

    def __init__(
        self,
        clock: DeviceClock,
        room: DeviceRoom,
        spec: ModelSpec,
        size: Size,
        dtype: np.dtype[Any],
        frame: HostFrame,
        matrices: NDArray[np.float64],
    ) -> None:
        self.stream: Stream = clock.stream
        self.frame, self._size, self._matrices = frame, size, matrices
        self.inputs = room.empty((len(matrices), 3, *size), dtype)
        self.host = room.pinned(MATRICES_AT + 6 * MATRIX_DTYPE.itemsize * len(matrices))
        view = pack_view(frame.tensor.address, frame.size, 3 * frame.size[1])
        self.host[: view.nbytes] = view.view(np.uint8)
        self.host[COUNT_AT : COUNT_AT + 4].view(np.int32)[0] = len(matrices)
        self.host[MATRICES_AT:] = pack_matrices(matrices, len(matrices)).view(np.uint8).reshape(-1)
        self.base = room.put(self.host).address
        self._kernel = PrepareKernel(clock.device, spec, dtype)

    def upload(self) -> None:
        """Put the uploads of frame and parameters on the stream."""
        self.stream.upload(self.frame.tensor.address, self.frame.host)
        self.stream.upload(self.base, self.host)

    def enqueue(self) -> None:
        """Put the preparing on the stream."""
        self._kernel.enqueue(
            self.stream,
            view=self.base,
            matrices=self.base + MATRICES_AT,
            count=self.base + COUNT_AT,
            inputs=self.inputs,
            mirrored=False,
        )

    def upload_work(self) -> Work:
        """Return what the uploads have to do."""
        return Work(upload_bytes=self.frame.tensor.nbytes + self.host.nbytes, launches=2)

    def work(self) -> Work:
        """Return what preparing has to do: write the inputs, read what they show of the frame once."""
        area = self._size[0] * self._size[1]
        pixels = len(self._matrices) * area
        shown = area / np.abs(np.linalg.det(self._matrices[:, :, :2]))
        read = min(self.frame.tensor.nbytes, round(3 * float(shown.sum())), TAPS_BYTES * pixels)
        operations = {"fp32": PREPARE_OPERATIONS * pixels}
        return Work(read + self.inputs.nbytes, operations=operations, launches=1)


class _Stages(ABC, Generic[PeaksT]):
    """What both ways have in common: a frame prepared, peaks found in maps that are there, and fetched.

    _on: the inputs in words. _target: address of the peaks, which `_result` takes.
    """

    _stream: Stream
    _on: str
    _prepared: _Prepared
    _peaks: PeaksT
    _result: NDArray[np.uint8]
    _target: int

    def close(self) -> None:
        """Free what is not the room's."""
        self._stream.synchronize()
        self._peaks.close()

    @abstractmethod
    def _find_peaks(self) -> None:
        """Put the finding of peaks on the stream."""

    @abstractmethod
    def _peaks_work(self) -> Work:
        """Return what that has to do."""

    def _parts(self, prepare_name: str, peaks_name: str, peaks_on: str) -> list[Part]:
        prepare, peaks = self._prepared.work(), self._peaks_work()
        download = Work(download_bytes=self._result.nbytes, launches=1)
        whole = self._prepared.upload_work() + prepare + peaks + download
        return [
            Part(prepare_name, self._on, self._prepared.enqueue, prepare),
            Part(peaks_name, peaks_on, self._find_peaks, peaks),
            Part("download peaks", self._on, self._download, download),
            Part("frame but network", self._on, self._frame, whole),
        ]

    def _download(self) -> None:
        self._stream.download(self._result, self._target)

    def _frame(self) -> None:
        self._prepared.upload()
        self._prepared.enqueue()
        self._find_peaks()
        self._download()


class CropStages(_Stages[TopDownPeaks]):
    """Top-down: some crops of a frame, one Gaussian in each of their maps.

    Raises:
        ModelFileError: the kernels cannot decode this model.
        DeviceError: the device failed, or its memory does not suffice.
    """

    def __init__(
        self,
        clock: DeviceClock,
        room: DeviceRoom,
        spec: ModelSpec,
        size: Size,
        dtype: np.dtype[Any],
        frame: HostFrame,
        count: int,
    ) -> None:
        """Make everything ready for `count` crops of (height, width) `size`."""
        self._stream, self._spec = clock.stream, spec
        self._on = f"{count} of {size[0]}x{size[1]}"
        boxes = person_boxes(frame.host.reshape(*frame.size, 3), count)
        matrices = crop_matrices(boxes, spec.model_copy(update={"input_size": size}))
        self._prepared = _Prepared(clock, room, spec, size, dtype, frame, matrices)
        stride = spec.heatmap_outputs[0].stride
        maps = crop_heatmaps(spec, count, (size[0] // stride, size[1] // stride))
        self._heatmaps = room.put(maps.astype(dtype))
        self._peaks = TopDownPeaks(clock.device, spec, dtype)
        nbytes = 4 * int(np.prod(self._peaks.result_shape(count)))
        self._result = room.pinned(nbytes)
        self._target = room.empty((nbytes,), np.uint8).address

    def parts(self) -> list[Part]:
        """Return prepare, peaks, their download, and all of a frame but the network."""
        return self._parts("prepare", "peaks, top-down", self._on)

    def _find_peaks(self) -> None:
        self._peaks.enqueue(
            self._stream,
            heatmaps=self._heatmaps,
            count=self._prepared.base + COUNT_AT,
            mirrored=False,
            target=self._target,
        )

    def _peaks_work(self) -> Work:
        """Return what the peaks take: maps read once and compared, windows blurred, the result written."""
        count, keypoints, height, width = self._heatmaps.shape
        taps = _blur_taps(self._spec)
        window = 5 * (4 + taps) * taps + 25 * taps
        operations = {"fp32": count * keypoints * (height * width + window)}
        return Work(self._heatmaps.nbytes + self._result.nbytes, operations=operations, launches=1)


class WholeFrameStages(_Stages[BottomUpPeaks]):
    """Bottom-up: a whole frame, and maps of `CROWD` people.

    Raises:
        ModelFileError: the kernels cannot decode this model.
        DeviceError: the device failed, or its memory does not suffice.
    """

    def __init__(
        self,
        clock: DeviceClock,
        room: DeviceRoom,
        spec: ModelSpec,
        size: Size,
        dtype: np.dtype[Any],
        frame: HostFrame,
    ) -> None:
        """Make everything ready for inputs of (height, width) `size`."""
        self._stream, self._spec = clock.stream, spec
        self._on = f"frame at {size[0]}x{size[1]}"
        matrix = letterbox_matrix(frame.size, size, convention=spec.convention)
        self._prepared = _Prepared(clock, room, spec, size, dtype, frame, matrix[None])
        finest = min(output.stride for output in spec.heatmap_outputs)
        self._map_size = (size[0] // finest, size[1] // finest)
        maps = crowd_outputs(spec, CROWD, self._map_size)
        self._outputs = {name: room.put(values.astype(dtype)) for name, values in maps.items()}
        self._peaks = BottomUpPeaks(clock.device, spec, dtype, max_people=DEFAULT_PEOPLE)
        self._scratch = room.empty((self._peaks.scratch_bytes(self._map_size),), np.uint8).address
        self._result = room.pinned(self._peaks.result_bytes())
        self._target = room.empty((self._peaks.result_bytes(),), np.uint8).address

    def parts(self) -> list[Part]:
        """Return letterbox, peaks, their download, and all of a frame but the network."""
        height, width = self._map_size
        maps = f"{self._spec.skeleton.count}x{height}x{width} and tags"
        return self._parts("letterbox", "peaks, bottom-up", maps)

    def _find_peaks(self) -> None:
        self._peaks.enqueue(
            self._stream, outputs=self._outputs, mirrored=False, scratch=self._scratch, target=self._target
        )

    def _peaks_work(self) -> Work:
        """Return what the peaks take: all heatmaps read once, tags at the peaks, the result written.

        For each px of the finest maps: 6 to interpolate each coarser output, 1 for each to average, 8
        comparisons for the maximum of its 5x5 square, and where the decoder asks for it a separable blur.
        """
        spec, keypoints = self._spec, self._spec.skeleton.count
        maps = [self._outputs[output.name] for output in spec.heatmap_outputs]
        tags = [self._outputs[output.name] for output in spec.tag_outputs]
        moved = sum(tensor.nbytes for tensor in maps) + self._result.nbytes
        moved += sum(keypoints * DEFAULT_PEOPLE * tensor.dtype.itemsize for tensor in tags)
        each = 6 * (len(maps) - 1) + len(maps) + 8 + 2 * _blur_taps(spec)
        operations = {"fp32": keypoints * self._map_size[0] * self._map_size[1] * each}
        # The state is cleared, then three kernels run.
        return Work(moved, operations=operations, launches=4)


def _blur_taps(spec: ModelSpec) -> int:
    """Return the width of a decoder's blur in heatmap px; 0 without one."""
    return len(blur_kernel(spec.heatmap_sigma)) if spec.decoder in ("dark", "udp") else 0
