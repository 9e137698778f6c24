"""Bottom-up on the device: a whole frame to its peaks, with sub-pixel places and tags."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engine.cuda.peaks_bottomup import MAX_PEOPLE, BottomUpPeaks
from engine.cuda.prepare import PrepareKernel
from engine.decode.bottom_up import WEAK_PEAK_SCORE
from engine.decode.grouping import Peaks
from engine.device.frames import FrameRing, close_all
from engine.device.graphs import Graphs
from engine.device.job import Job, Jobs, JobShape, PeakStage
from engine.geometry import Size, letterbox_matrix
from engine.model_file import ModelSpec
from engine.prepare import input_size
from engine.runtime.device_network import Binding, DeviceNetwork
from engine.structures import Float, Image
from engine.timing import Stopwatch

KEPT_JOBS = 6
"""Input sizes that stay ready: a finder's two, three where the best is sought, and some other pictures."""
DEFAULT_PEOPLE = 30
"""Peaks per keypoint, until another number is asked for."""


@dataclass(frozen=True, slots=True, eq=False)
class FramePeaks:
    """What a frame holds.

    peaks: of K keypoints, M places each; refined: (K, M, 2) float32 sub-pixel heatmap px of each.
    matrix: (2, 3) float64 from frame px to input px. heatmap_size, input_size: (height, width) px.
    heatmaps: (1, K, H, W) float32 of the output that was asked for, else None.
    """

    peaks: Peaks
    refined: Float
    matrix: NDArray[np.float64]
    heatmap_size: Size
    input_size: Size
    heatmaps: Float | None


class DeviceWholeFrame:
    """Runs a bottom-up network on whole frames.

    jobs: the shapes that are ready.

    Raises:
        ModelFileError: the kernels cannot decode this model.
        DeviceError: the device failed.
    """

    def __init__(self, spec: ModelSpec, network: DeviceNetwork, ring: FrameRing) -> None:
        self._spec, self._network, self._ring = spec, network, ring
        self._prepare = PrepareKernel(network.device, spec, network.dtype)
        self._graphs = Graphs(ring.stream, capturable=network.capturable)
        self.jobs = Jobs(ring.stream, KEPT_JOBS)
        self._limits = (DEFAULT_PEOPLE, WEAK_PEAK_SCORE)
        self._peaks = BottomUpPeaks(network.device, spec, network.dtype, max_people=DEFAULT_PEOPLE)

    def estimate(
        self,
        image: Image,
        short_side: int | None,
        watch: Stopwatch,
        *,
        max_people: int,
        min_peak_score: float,
        mirrored: bool = False,
        heatmaps: str | None = None,
    ) -> FramePeaks:
        """Find the peaks of a frame.

        Args:
            image: (H, W, 3) uint8 BGR, uploaded once as long as it is the same array.
            short_side: shorter side of the network input, px; None takes the model's.
            watch: is charged with `prepare` until the upload has begun and with `infer` until the peaks are
                back; what the device does in between is part of `infer`.
            max_people: as many peaks per keypoint, the strongest, and no more than `MAX_PEOPLE`.
            min_peak_score: peaks down to this are wanted, and in any case down to `WEAK_PEAK_SCORE`.
            mirrored: average with the mirrored frame.
            heatmaps: name of an output to download, too.

        Raises:
            ValueError: the image is not (H, W, 3) uint8.
            UsageError: another short side was asked of a network of fixed size.
            ModelFileError: the network does not do what its spec says, or has overflowed.
            DeviceError: the device failed.
        """
        with watch.stage("prepare"):
            slot = self._ring.put(image)
            frame_size = (image.shape[0], image.shape[1])
            size = input_size(frame_size, self._spec, short_side)
            matrix = letterbox_matrix(frame_size, size, convention=self._spec.convention)
        with watch.stage("infer"):
            self._limit(min(max_people, MAX_PEOPLE), min(min_peak_score, WEAK_PEAK_SCORE))
            job = self._job(JobShape(1, size, mirrored))
            found = self._peaks.read(job.run(slot, matrix[None]))
            maps = None if heatmaps is None else job.heatmaps(heatmaps, 1)
        return FramePeaks(found.peaks, found.refined, matrix, self._heatmap_size(job.binding), size, maps)

    def close(self) -> None:
        """Free everything but the ring and the network."""
        self.jobs.close()
        close_all(self._peaks.close)

    def _limit(self, max_people: int, min_peak_score: float) -> None:
        """Make the kernels ready for other limits; all jobs in hand were made for the ones before."""
        if (max_people, min_peak_score) == self._limits:
            return
        peaks = BottomUpPeaks(
            self._network.device,
            self._spec,
            self._network.dtype,
            max_people=max_people,
            min_peak_score=min_peak_score,
        )
        self.close()
        self._peaks, self._limits = peaks, (max_people, min_peak_score)

    def _heatmap_size(self, binding: Binding) -> Size:
        """Return the (height, width) of the finest heatmaps."""
        finest = min(self._spec.heatmap_outputs, key=lambda output: output.stride).name
        height, width = binding.outputs[finest].shape[2:]
        return height, width

    def _job(self, shape: JobShape) -> Job:
        peaks = self._peaks

        def make_stage(binding: Binding) -> PeakStage:
            def enqueue(count: int, scratch: int, target: int) -> None:
                peaks.enqueue(
                    self._ring.stream,
                    outputs=binding.outputs,
                    mirrored=shape.mirrored,
                    scratch=scratch,
                    target=target,
                )

            scratch_bytes = peaks.scratch_bytes(self._heatmap_size(binding))
            return PeakStage(peaks.result_bytes(), scratch_bytes, enqueue)

        return self.jobs.get(
            shape,
            lambda: Job(
                self._ring, self._network, self._spec, shape, self._prepare, make_stage, self._graphs
            ),
        )
