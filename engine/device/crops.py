"""Top-down on the device: the crops of a frame to keypoints in heatmap px, in one run for all of them."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from engine.cuda.peaks_topdown import TopDownPeaks
from engine.cuda.prepare import PrepareKernel
from engine.device.frames import FrameRing, close_all
from engine.device.graphs import Graphs
from engine.device.job import Job, Jobs, JobShape, PeakStage
from engine.errors import ModelFileError
from engine.geometry import Size
from engine.model_file import ModelSpec
from engine.prepare import crop_matrices
from engine.runtime.device_network import Binding, DeviceNetwork
from engine.runtime.host_run import padded_batch
from engine.structures import Float, Image
from engine.timing import Stopwatch

KEPT_JOBS = 8
"""Numbers of people, rounded up, that stay ready, each with memory for the network's outputs."""


@dataclass(frozen=True, slots=True, eq=False)
class CropPeaks:
    """The one person in each of N crops.

    points: (N, K, 2) float32 sub-pixel heatmap px; scores: (N, K) float32 maxima as they are; heatmap_size:
    (height, width) px; matrices: (N, 2, 3) float64 from frame px to input px; heatmaps: (N, K, H, W) float32,
    None where they were not asked for.
    """

    points: Float
    scores: Float
    heatmap_size: Size
    matrices: NDArray[np.float64]
    heatmaps: Float | None


class DeviceCrops:
    """Runs a top-down network on crops of frames.

    jobs: the shapes that are ready.

    The number of crops is rounded up to one of a few, so that few shapes are made ready; more than the
    network takes at once are run in several goes.

    Raises:
        ModelFileError: the kernels cannot decode this model.
        DeviceError: the device failed.
    """

    def __init__(self, spec: ModelSpec, network: DeviceNetwork, ring: FrameRing) -> None:
        if len(spec.heatmap_outputs) != 1:
            raise ModelFileError(
                f"top-down model {spec.name} has {len(spec.heatmap_outputs)} heatmap outputs, one can be "
                "decoded on a GPU"
            )
        self.network = network
        self._spec, self._ring = spec, ring
        self._output = spec.heatmap_outputs[0].name
        self._prepare = PrepareKernel(network.device, spec, network.dtype)
        self._peaks = TopDownPeaks(network.device, spec, network.dtype)
        self._graphs = Graphs(ring.stream, capturable=network.capturable)
        self.jobs = Jobs(ring.stream, KEPT_JOBS)

    def estimate(
        self,
        image: Image,
        boxes: ArrayLike,
        watch: Stopwatch,
        *,
        mirrored: bool = False,
        heatmaps: bool = False,
    ) -> CropPeaks:
        """Find the keypoints of the one person in each box.

        Args:
            image: (H, W, 3) uint8 BGR, uploaded once as long as it is the same array.
            boxes: (N, 4) xyxy frame px, N ≥ 1.
            watch: is charged with `prepare` until the upload has begun and with `infer` until the peaks are
                back; what the device does in between is part of `infer`.
            mirrored: average with the mirrored crops.
            heatmaps: download these, too.

        Raises:
            ValueError: the image is not (H, W, 3) uint8, or a box is empty or not finite.
            ModelFileError: the network does not do what its spec says, or has overflowed.
            DeviceError: the device failed.
        """
        with watch.stage("prepare"):
            matrices = crop_matrices(boxes, self._spec)
            slot = self._ring.put(image)
        most = self.network.max_batch // (2 if mirrored else 1)
        points, scores, maps = [], [], []
        with watch.stage("infer"):
            for start in range(0, len(matrices), most):
                part = matrices[start : start + most]
                job = self._job(padded_batch(len(part), most), mirrored)
                result = job.run(slot, part).view(np.float32)
                shape = self._peaks.result_shape(job.shape.capacity)
                found = self._peaks.read(result.reshape(shape), len(part))
                points.append(found[0])
                scores.append(found[1])
                if heatmaps:
                    maps.append(job.heatmaps(self._output, len(part)))
        height, width = job.binding.outputs[self._output].shape[2:]
        return CropPeaks(
            np.concatenate(points),
            np.concatenate(scores),
            (height, width),
            matrices,
            np.concatenate(maps) if heatmaps else None,
        )

    def close(self) -> None:
        """Free everything but the ring and the network."""
        self.jobs.close()
        close_all(self._peaks.close)

    def _job(self, capacity: int, mirrored: bool) -> Job:
        shape = JobShape(capacity, self._spec.input_size, mirrored)

        def make_stage(binding: Binding) -> PeakStage:
            def enqueue(count: int, scratch: int, target: int) -> None:
                self._peaks.enqueue(
                    self._ring.stream,
                    heatmaps=binding.outputs[self._output],
                    count=count,
                    mirrored=mirrored,
                    target=target,
                )

            floats = int(np.prod(self._peaks.result_shape(capacity)))
            return PeakStage(4 * floats, 0, enqueue)

        return self.jobs.get(
            shape,
            lambda: Job(self._ring, self.network, self._spec, shape, self._prepare, make_stage, self._graphs),
        )
