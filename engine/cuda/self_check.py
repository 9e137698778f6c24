"""Whether the kernels compute on this device what their NumPy twins compute: a check of driver and GPU.

The tests hold kernels and twins together on the CPU; this does it where the kernels run. It takes a second or
two, most of it for compiling kernels that are not in the cache yet.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.cuda.device import Device, DeviceTensor, Stream
from engine.cuda.peaks_bottomup import BottomUpPeaks
from engine.cuda.peaks_bottomup_twin import find_peaks_twin
from engine.cuda.peaks_topdown import TopDownPeaks
from engine.cuda.peaks_topdown_twin import topdown_peaks
from engine.cuda.prepare import PrepareKernel, pack_matrices, pack_view
from engine.cuda.prepare_twin import prepare_twin
from engine.errors import SteadyPoseError
from engine.model_file import HeatmapOutput, ModelSpec, TagOutput
from engine.skeleton import SKELETONS

Array = NDArray[Any]

DTYPES = (np.dtype(np.float32), np.dtype(np.float16))
FRAME_SIZE = (97, 131)
CROPS, USED = 5, 4
PEOPLE = 10
PX_TOLERANCE = 0.01
"""Heatmap px; the logarithm and its sums round differently on a GPU."""


@dataclass(frozen=True, slots=True)
class KernelCheck:
    """How far a kernel is from its twin.

    kernel: its file. dtype: of network and heatmaps. unit: what is compared. maximum: largest difference, NaN
    where the kernel did not run. tolerance: what is allowed. error: why it did not run.
    """

    kernel: str
    dtype: str
    unit: str
    maximum: float
    tolerance: float
    error: str | None = None

    @property
    def passed(self) -> bool:
        """Whether kernel and twin agree."""
        return self.maximum <= self.tolerance


def check_kernels(device: Device) -> list[KernelCheck]:
    """Run every kernel on made-up input in float32 and float16 and compare it with its twin."""
    checks = []
    for kernel, unit, tolerance, measure in KERNELS:
        for dtype in DTYPES:
            try:
                maximum, error = measure(device, dtype), None
            except SteadyPoseError as failure:
                maximum, error = float("nan"), str(failure)
            checks.append(KernelCheck(kernel, dtype.name, unit, maximum, tolerance, error))
    return checks


class _Scratch:
    """A stream and device memory for one check."""

    def __init__(self, device: Device, stream: Stream) -> None:
        self.device, self.stream = device, stream
        self.buffers: list[Any] = []

    def put(self, array: Array) -> DeviceTensor:
        """Return an array's copy on the device."""
        tensor = self.room(array.shape, array.dtype)
        self.stream.upload(tensor.address, np.ascontiguousarray(array))
        return tensor

    def room(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> DeviceTensor:
        """Return cleared memory."""
        nbytes = int(np.prod(shape)) * dtype.itemsize
        self.buffers.append(self.device.allocate(nbytes))
        self.stream.clear(self.buffers[-1].address, nbytes)
        return DeviceTensor(self.buffers[-1].address, shape, dtype)

    def take(self, tensor: DeviceTensor) -> Array:
        """Return what a tensor holds once all work is done."""
        array = np.zeros(tensor.shape, tensor.dtype)
        self.stream.download(array, tensor.address)
        self.stream.synchronize()
        return array


@contextmanager
def _scratch(device: Device) -> Iterator[_Scratch]:
    stream = device.stream()
    scratch = _Scratch(device, stream)
    try:
        yield scratch
        stream.synchronize()
    finally:
        for buffer in scratch.buffers:
            buffer.close()
        stream.close()


def _check_prepare(device: Device, dtype: np.dtype[Any]) -> float:
    spec, size = check_spec("top-down"), (64, 48)
    generator = np.random.default_rng(1)
    image = generator.integers(0, 256, (*FRAME_SIZE, 3), np.uint8)
    # Crops that turn, grow, shrink and reach beyond the frame on every side.
    turns = generator.uniform(-0.6, 0.6, USED)
    scales = generator.uniform(0.4, 3.0, USED)
    shifts = generator.uniform(-40, 40, (USED, 2))
    matrices = np.zeros((USED, 2, 3))
    matrices[:, 0, 0] = matrices[:, 1, 1] = scales * np.cos(turns)
    matrices[:, 1, 0] = scales * np.sin(turns)
    matrices[:, 0, 1] = -matrices[:, 1, 0]
    matrices[:, :, 2] = shifts
    packed = pack_matrices(matrices, CROPS)
    kernel = PrepareKernel(device, spec, dtype)
    with _scratch(device) as scratch:
        frame = scratch.put(image)
        inputs = scratch.room((2 * CROPS, 3, *size), dtype)
        kernel.enqueue(
            scratch.stream,
            view=scratch.put(pack_view(frame.address, FRAME_SIZE, FRAME_SIZE[1] * 3)).address,
            matrices=scratch.put(packed).address,
            count=scratch.put(np.array([USED], np.int32)).address,
            inputs=inputs,
            mirrored=True,
        )
        found = scratch.take(inputs)
    return _gap(found, prepare_twin(image, packed, USED, size, spec, dtype, mirrored=True))


def _check_peaks_topdown(device: Device, dtype: np.dtype[Any]) -> float:
    gaps = []
    for decoder in ("argmax", "quarter", "dark", "udp"):
        spec = check_spec("top-down", decoder=decoder)
        heatmaps = _blobs((2 * CROPS, spec.skeleton.count, 64, 48)).astype(dtype)
        kernel = TopDownPeaks(device, spec, dtype)
        with _closing(kernel), _scratch(device) as scratch:
            result = scratch.room(kernel.result_shape(CROPS), np.dtype(np.float32))
            kernel.enqueue(
                scratch.stream,
                heatmaps=scratch.put(heatmaps),
                count=scratch.put(np.array([USED], np.int32)).address,
                mirrored=True,
                target=result.address,
            )
            found = scratch.take(result)[:USED]
        gaps.append(_gap(found, topdown_peaks(heatmaps, spec, count=USED, mirrored=True)))
    return max(gaps)


def _check_peaks_bottomup(device: Device, dtype: np.dtype[Any]) -> float:
    gaps = []
    for decoder in ("quarter", "dark", "udp"):
        spec = check_spec("bottom-up", decoder=decoder)
        keypoints = spec.skeleton.count
        outputs: dict[str, Array] = {
            "heatmaps_0": _blobs((2, keypoints, 24, 32)).astype(dtype),
            "heatmaps_1": _blobs((2, keypoints, 48, 64)).astype(dtype),
            "tags_0": np.random.default_rng(4).normal(size=(2, keypoints, 24, 32)).astype(dtype),
        }
        kernel = BottomUpPeaks(device, spec, dtype, max_people=PEOPLE)
        with _closing(kernel), _scratch(device) as scratch:
            bytes_ = np.dtype(np.uint8)
            target = scratch.room((kernel.result_bytes(),), bytes_)
            kernel.enqueue(
                scratch.stream,
                outputs={name: scratch.put(values) for name, values in outputs.items()},
                mirrored=True,
                scratch=scratch.room((kernel.scratch_bytes((48, 64)),), bytes_).address,
                target=target.address,
            )
            found = kernel.read(scratch.take(target))
        wanted = find_peaks_twin(outputs, spec, max_people=PEOPLE, mirrored=True)
        gaps += [
            _gap(found.refined, wanted.refined),
            _gap(found.peaks.positions, wanted.peaks.positions),
            _gap(found.peaks.scores, wanted.peaks.scores),
            _gap(found.peaks.tags, wanted.peaks.tags),
        ]
    return max(gaps)


KERNELS: tuple[tuple[str, str, float, Callable[[Device, np.dtype[Any]], float]], ...] = (
    ("prepare", "normalised grey levels", 0.0, _check_prepare),
    ("peaks_topdown", "heatmap px", PX_TOLERANCE, _check_peaks_topdown),
    ("peaks_bottomup", "heatmap px", PX_TOLERANCE, _check_peaks_bottomup),
)
"""Kernel file, what is compared, the largest difference allowed, and the comparison."""


@contextmanager
def _closing(kernel: Any) -> Iterator[None]:
    try:
        yield
    finally:
        kernel.close()


def _gap(found: Array, wanted: Array) -> float:
    """Return the largest difference; infinite where one has NaN and the other not."""
    if found.shape != wanted.shape or not np.array_equal(np.isnan(found), np.isnan(wanted)):
        return float("inf")
    difference = np.abs(found.astype(np.float64) - wanted.astype(np.float64))
    return float(np.nanmax(difference, initial=0.0))


def _blobs(shape: tuple[int, int, int, int]) -> NDArray[np.float32]:
    """Return smooth heatmaps, one Gaussian each at a place of its own, over faint noise."""
    generator = np.random.default_rng(2)
    rows, keypoints, height, width = shape
    y, x = np.mgrid[0:height, 0:width]
    centres = generator.uniform((4, 4), (width - 5, height - 5), (rows, keypoints, 2))[..., None, None]
    heights = generator.uniform(0.3, 0.95, (rows, keypoints, 1, 1))
    distance = (x - centres[:, :, 0]) ** 2 + (y - centres[:, :, 1]) ** 2
    noise = generator.uniform(0, 1e-3, shape)
    return (heights * np.exp(-distance / 8) + noise).astype(np.float32)


def check_spec(kind: str, **changes: object) -> ModelSpec:
    """Return the spec of a network that is never opened; `changes` replace its fields."""
    bottom_up = kind == "bottom-up"
    values: dict[str, object] = {
        "name": f"check-{kind}",
        "architecture": "none",
        "kind": kind,
        "input_size": (256, 192),
        "dynamic_size": bottom_up,
        "mean": (0.485, 0.456, 0.406),
        "std": (0.229, 0.224, 0.225),
        "heatmap_outputs": tuple(
            HeatmapOutput(name=f"heatmaps_{index}", stride=stride)
            for index, stride in enumerate((4, 2) if bottom_up else (4,))
        ),
        "tag_outputs": (TagOutput(name="tags_0", stride=4),) if bottom_up else (),
        "decoder": "dark",
        "skeleton": SKELETONS["coco17"],
        "licence": "none",
        "training_data": "none",
        "checkpoint_sha256": "0" * 64,
    }
    return ModelSpec.model_validate(values | changes)
