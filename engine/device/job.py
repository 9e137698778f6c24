"""One shape of the path on a device made ready: parameters up, prepare, network, peaks, peaks down.

Only what is in the page-locked block changes from run to run, so that one captured graph serves every frame.
"""

from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from engine.cuda.device import Buffer, Device, Pinned, Stream
from engine.cuda.prepare import MATRIX_DTYPE, PrepareKernel, pack_matrices
from engine.decode.peaks import flip_back
from engine.device.frames import FrameRing, Slot, close_all
from engine.device.graphs import Graphs, Replay
from engine.errors import ModelFileError
from engine.geometry import Size
from engine.model_file import ModelSpec
from engine.runtime import output_strides
from engine.runtime.device_network import Binding, DeviceNetwork
from engine.structures import Float

COUNT_AT, MATRICES_AT = 32, 64
"""Bytes into the block of parameters, which begins with a FrameView."""
ALIGNMENT = 256


class JobShape(NamedTuple):
    """What a job is made for.

    capacity: pictures at most. size: (height, width) of the network input, px. mirrored: whether each runs
    mirrored as well.
    """

    capacity: int
    size: Size
    mirrored: bool

    @property
    def batch(self) -> int:
        """Inputs of one run of the network."""
        return self.capacity * (2 if self.mirrored else 1)


@dataclass(frozen=True, slots=True, eq=False)
class PeakStage:
    """What finds the peaks in the outputs of a binding.

    result_bytes: of what it writes; scratch_bytes: that it needs besides on the device, may be 0.
    enqueue: puts it on the ring's stream, given the addresses of the number of pictures used (int32), of the
    scratch memory and of the result.
    """

    result_bytes: int
    scratch_bytes: int
    enqueue: Callable[[int, int, int], None]


class Job:
    """The path for one shape.

    Raises:
        ModelFileError: the network takes no inputs of this shape, or its outputs do not fit the spec.
        DeviceError: the memory does not suffice.
    """

    def __init__(
        self,
        ring: FrameRing,
        network: DeviceNetwork,
        spec: ModelSpec,
        shape: JobShape,
        prepare: PrepareKernel,
        make_stage: Callable[[Binding], PeakStage],
        graphs: Graphs,
    ) -> None:
        self.shape = shape
        self._ring, self._spec, self._prepare = ring, spec, prepare
        self._memory: list[Buffer | Pinned] = []
        self.replay = Replay(graphs, self._enqueue)
        self.binding = network.bind(shape.batch, shape.size)
        try:
            check_outputs(self.binding, spec, shape)
            self._stage = make_stage(self.binding)
            self._take_memory(network.device)
        except BaseException:
            self.close()
            raise

    def run(self, slot: Slot, matrices: NDArray[np.float64]) -> NDArray[np.uint8]:
        """Run to the end, and upload the frame that was announced meanwhile.

        Args:
            slot: the frame. matrices: (N, 2, 3) from frame px to input px, N up to the capacity.

        Returns:
            What the peak stage wrote, a copy.

        Raises:
            DeviceError: the device failed.
        """
        self._parameters[: slot.view.nbytes] = slot.view.view(np.uint8)
        self._parameters[COUNT_AT : COUNT_AT + 4].view(np.int32)[0] = len(matrices)
        packed = pack_matrices(matrices, self.shape.capacity)
        self._parameters[MATRICES_AT:] = packed.view(np.uint8).reshape(-1)
        self.replay.launch()
        self._ring.mark_used(slot)
        self._ring.work_ahead()
        self._ring.stream.synchronize()
        return self._result.copy()

    def heatmaps(self, name: str, count: int) -> Float:
        """Download the heatmaps of the last run.

        Args:
            name: of the output. count: how many pictures.

        Returns:
            (count, K, H, W) float32, averaged with those of the mirrored pictures where these ran.
        """
        tensor = self.binding.outputs[name]
        maps = np.empty(tensor.shape, tensor.dtype)
        self._ring.stream.download(maps, tensor.address)
        self._ring.stream.synchronize()
        plain = maps[:count].astype(np.float32)
        if not self.shape.mirrored:
            return plain
        capacity = self.shape.capacity
        shift = self._spec.kind == "top-down" and self._spec.convention == "hrnet"
        mirrored = maps[capacity : capacity + count].astype(np.float32)
        turned: Float = flip_back(mirrored, self._spec.skeleton.flip_index, shift=shift)
        return (plain + turned) * np.float32(0.5)

    def close(self) -> None:
        """Free everything; the last run must be done."""
        self._parameters = self._result = np.empty(0, np.uint8)
        memory, self._memory = self._memory, []
        close_all(self.replay.close, self.binding.close, *(piece.close for piece in memory))

    def _take_memory(self, device: Device) -> None:
        parameters = MATRICES_AT + self.shape.capacity * 6 * MATRIX_DTYPE.itemsize
        result = self._stage.result_bytes
        target = _aligned(parameters)
        scratch = target + _aligned(result)
        buffer = device.allocate(scratch + self._stage.scratch_bytes)
        self._memory.append(buffer)
        pinned = device.pin(target + result)
        self._memory.append(pinned)
        self._parameters = pinned.array[:parameters]
        self._result = pinned.array[target : target + result]
        self._parameters[:] = 0
        self._base, self._target, self._scratch = (
            buffer.address,
            buffer.address + target,
            buffer.address + scratch,
        )

    def _enqueue(self) -> None:
        stream, base = self._ring.stream, self._base
        stream.upload(base, self._parameters)
        self._prepare.enqueue(
            stream,
            view=base,
            matrices=base + MATRICES_AT,
            count=base + COUNT_AT,
            inputs=self.binding.inputs,
            mirrored=self.shape.mirrored,
        )
        self.binding.enqueue(stream)
        self._stage.enqueue(base + COUNT_AT, self._scratch, self._target)
        stream.download(self._result, self._target)


class Jobs:
    """The jobs used last, at most `most` of them; older ones are freed."""

    def __init__(self, stream: Stream, most: int) -> None:
        self._stream, self._most = stream, most
        self._kept: OrderedDict[Hashable, Job] = OrderedDict()

    @property
    def kept(self) -> list[Job]:
        """The jobs, the one used last at the end."""
        return list(self._kept.values())

    def get(self, key: Hashable, make: Callable[[], Job]) -> Job:
        """Return the job of a key, made where there is none."""
        if key not in self._kept:
            # Before the new one: memory never holds one more than is kept.
            while len(self._kept) >= self._most:
                self._stream.synchronize()
                self._kept.popitem(last=False)[1].close()
            self._kept[key] = make()
        self._kept.move_to_end(key)
        return self._kept[key]

    def close(self) -> None:
        """Free all, once the work on the stream is done."""
        jobs = self.kept
        self._kept.clear()
        close_all(self._stream.synchronize, *(job.close for job in jobs))


def check_outputs(binding: Binding, spec: ModelSpec, shape: JobShape) -> None:
    """Raise `ModelFileError` unless a network's outputs have the shapes that its spec states."""
    height, width = shape.size
    for name, stride in output_strides(spec).items():
        expected = (shape.batch, spec.skeleton.count, height // stride, width // stride)
        if name not in binding.outputs or binding.outputs[name].shape != expected:
            came = binding.outputs[name].shape if name in binding.outputs else "none"
            raise ModelFileError(
                f"output {name!r} of model {spec.name} must have shape {expected} for skeleton "
                f"{spec.skeleton.name!r}, got {came}; was the model exported with another skeleton or stride?"
            )


def _aligned(nbytes: int) -> int:
    return -(-nbytes // ALIGNMENT) * ALIGNMENT
