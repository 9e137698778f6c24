"""Who finds the people in a whole picture: the host with any network, or the device that has the network."""

from dataclasses import dataclass
from typing import Generic, Protocol

from engine.decode.bottom_up import assemble_people, decode_bottom_up, known_places
from engine.device.frames import FrameRing
from engine.device.whole_frame import DeviceWholeFrame
from engine.estimator.flip import run_with_flip
from engine.estimator.heatmap_view import HeatmapView
from engine.model import NetworkT
from engine.model_file import ModelSpec
from engine.prepare import letterbox
from engine.runtime.device_network import DeviceNetwork
from engine.structures import Image, Person
from engine.timing import Stopwatch


@dataclass(frozen=True, slots=True)
class Look:
    """How to look at a picture.

    short_side: shorter side of the network input, px, None for the model's own. min_peak_score: weaker peaks
    are not grouped. max_people: at most. flip_test: average with the mirrored picture.
    """

    short_side: int | None
    min_peak_score: float
    max_people: int
    flip_test: bool


class FrameReader(Protocol):
    """Finds the people in a whole picture."""

    def read(self, image: Image, look: Look, watch: Stopwatch, view: HeatmapView | None) -> list[Person]:
        """Return the people as decoded.

        Args:
            image: (H, W, 3) uint8 BGR.
            look: how.
            watch: is charged with `prepare`, `infer` and `decode`.
            view: of this picture, gets the finest heatmaps painted in.
        """
        ...

    def release(self) -> None:
        """Free what is held besides the network."""
        ...


class HostFrameReader(Generic[NetworkT]):
    """Prepares and decodes on the host."""

    def __init__(self, model: NetworkT) -> None:
        self._model = model

    def read(self, image: Image, look: Look, watch: Stopwatch, view: HeatmapView | None) -> list[Person]:
        """See `FrameReader.read`."""
        spec = self._model.spec
        with watch.stage("prepare"):
            inputs, matrix = letterbox(image, spec, look.short_side)
        with watch.stage("infer"):
            outputs = run_with_flip(self._model, inputs) if look.flip_test else self._model.run(inputs)
        with watch.stage("decode"):
            people = decode_bottom_up(
                outputs,
                matrix,
                inputs.shape[2:],
                spec,
                min_peak_score=look.min_peak_score,
                max_people=look.max_people,
            )
            if view is not None:
                size = (inputs.shape[2], inputs.shape[3])
                view.add(outputs[finest_output(spec)], matrix, size, spec.convention)
            return people

    def release(self) -> None:
        """Do nothing: there is nothing."""


class DeviceFrameReader:
    """Leaves all but the grouping to the device.

    Raises:
        ModelFileError: the device's kernels cannot decode this model.
        DeviceError: the device failed.
    """

    def __init__(self, spec: ModelSpec, network: DeviceNetwork, ring: FrameRing) -> None:
        self._spec = spec
        self._frames = DeviceWholeFrame(spec, network, ring)

    def read(self, image: Image, look: Look, watch: Stopwatch, view: HeatmapView | None) -> list[Person]:
        """See `FrameReader.read`; `infer` holds all that the device does."""
        spec = self._spec
        found = self._frames.estimate(
            image,
            look.short_side,
            watch,
            max_people=look.max_people,
            min_peak_score=look.min_peak_score,
            mirrored=look.flip_test,
            heatmaps=None if view is None else finest_output(spec),
        )
        with watch.stage("decode"):
            if view is not None and found.heatmaps is not None:
                view.add(found.heatmaps, found.matrix, found.input_size, spec.convention)
            return assemble_people(
                found.peaks,
                known_places(found.peaks, found.refined),
                found.matrix,
                found.heatmap_size,
                found.input_size,
                spec,
                min_peak_score=look.min_peak_score,
                max_people=look.max_people,
            )

    def release(self) -> None:
        """Free what is held on the device besides the network."""
        self._frames.close()


def finest_output(spec: ModelSpec) -> str:
    """Return the name of the heatmaps of the highest resolution."""
    return min(spec.heatmap_outputs, key=lambda output: output.stride).name
