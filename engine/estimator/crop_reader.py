"""Who finds the keypoints in given boxes: the host with any network, or the device that has the network."""

from typing import Generic, Protocol

import numpy as np
from numpy.typing import NDArray

from engine.decode.bottom_up import merge_heatmaps
from engine.decode.single import decode_crops, finish_crops
from engine.device.crops import DeviceCrops
from engine.device.frames import FrameRing
from engine.estimator.flip import run_with_flip
from engine.estimator.heatmap_view import HeatmapView
from engine.model import NetworkT
from engine.model_file import ModelSpec
from engine.prepare import crop_people
from engine.runtime.device_network import DeviceNetwork
from engine.structures import Float, Image
from engine.timing import Stopwatch


class CropReader(Protocol):
    """Finds the keypoints of the one person in each box."""

    def read(
        self,
        image: Image,
        boxes: NDArray[np.float64],
        watch: Stopwatch,
        view: HeatmapView | None,
        *,
        flip_test: bool,
    ) -> tuple[Float, Float]:
        """Return keypoints (N, K, 2) in frame px and scores (N, K) in [0, 1].

        Args:
            image: (H, W, 3) uint8 BGR.
            boxes: (N, 4) xyxy frame px, N ≥ 1.
            watch: is charged with `prepare`, `infer` and `decode`.
            view: of this picture, gets the crops' heatmaps painted in.
            flip_test: average with the mirrored crops.
        """
        ...

    def release(self) -> None:
        """Free what is held besides the network."""
        ...


class HostCropReader(Generic[NetworkT]):
    """Prepares and decodes on the host."""

    def __init__(self, model: NetworkT) -> None:
        self._model = model

    def read(
        self,
        image: Image,
        boxes: NDArray[np.float64],
        watch: Stopwatch,
        view: HeatmapView | None,
        *,
        flip_test: bool,
    ) -> tuple[Float, Float]:
        """See `CropReader.read`."""
        spec = self._model.spec
        with watch.stage("prepare"):
            inputs, matrices = crop_people(image, boxes, spec)
        with watch.stage("infer"):
            outputs = run_with_flip(self._model, inputs) if flip_test else self._model.run(inputs)
        with watch.stage("decode"):
            single = len(spec.heatmap_outputs) == 1
            heatmaps = outputs[spec.heatmap_outputs[0].name] if single else merge_heatmaps(outputs, spec)
            read = decode_crops(heatmaps, matrices, spec)
            if view is not None:
                view.add(heatmaps, matrices, spec.input_size, spec.convention)
            return read

    def release(self) -> None:
        """Do nothing: there is nothing."""


class DeviceCropReader:
    """Leaves all but the last step to the device.

    Raises:
        ModelFileError: the device's kernels cannot decode this model.
        DeviceError: the device failed.
    """

    def __init__(self, spec: ModelSpec, network: DeviceNetwork, ring: FrameRing) -> None:
        self._spec = spec
        self._crops = DeviceCrops(spec, network, ring)

    def read(
        self,
        image: Image,
        boxes: NDArray[np.float64],
        watch: Stopwatch,
        view: HeatmapView | None,
        *,
        flip_test: bool,
    ) -> tuple[Float, Float]:
        """See `CropReader.read`; `infer` holds all that the device does."""
        spec = self._spec
        peaks = self._crops.estimate(image, boxes, watch, mirrored=flip_test, heatmaps=view is not None)
        with watch.stage("decode"):
            if view is not None and peaks.heatmaps is not None:
                view.add(peaks.heatmaps, peaks.matrices, spec.input_size, spec.convention)
            return finish_crops(peaks.points, peaks.scores, peaks.heatmap_size, peaks.matrices, spec)

    def release(self) -> None:
        """Free what is held on the device besides the network."""
        self._crops.close()
