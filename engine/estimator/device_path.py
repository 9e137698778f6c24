"""Takes the device's reader where a model's network is on a device, and says so where it cannot be taken."""

import logging
from collections.abc import Callable, Sequence
from typing import Generic, Protocol, TypeVar

from engine.device.frames import FrameRing
from engine.errors import ModelFileError, RuntimeUnavailableError
from engine.model import Model, Network
from engine.model_file import ModelSpec
from engine.runtime.device_network import DeviceNetwork
from engine.structures import Image

LOGGER = logging.getLogger(__name__)


class Reader(Protocol):
    """What a reader has in common with every other."""

    def release(self) -> None:
        """Free what is held besides the network."""
        ...


ReaderT = TypeVar("ReaderT", bound=Reader)


class DevicePath(Generic[ReaderT]):
    """A model's reader on its device, made when it is first wanted, so that warming up includes it.

    Args:
        model: any network; one in training, or on the CPU, has no device.
        ring: uploads frames, shared with others and closed by who made it; None: have an own one.
        make: makes the reader.
    """

    def __init__(
        self,
        model: Network,
        ring: FrameRing | None,
        make: Callable[[ModelSpec, DeviceNetwork, FrameRing], ReaderT],
    ) -> None:
        self._model, self._shared, self._make = model, ring, make
        self._network = device_network(model)
        self._own: FrameRing | None = None
        self._reader: ReaderT | None = None
        self._told: set[str] = set()

    def reader(self, *, flip_test: bool) -> ReaderT | None:
        """Return the reader, None where there is no device or it cannot do this.

        Raises:
            DeviceError: the device failed.
        """
        network = self._network
        if network is None:
            return None
        if flip_test and network.max_batch < 2:
            self._tell("it takes one picture at a time, the flip test needs two")
            return None
        if self._reader is None:
            try:
                self._reader = self._make(self._model.spec, network, self._ring(network))
            except (ModelFileError, RuntimeUnavailableError) as error:
                self._network = None
                self._tell(str(error))
                return None
        return self._reader

    def picture(self, image: Image) -> Image:
        """Return the picture as the ring is to know it.

        With a ring of its own an estimator is asked by somebody who may write the next picture into the same
        array, so that every call is about a new one.
        """
        return image if self._shared is not None or self._network is None else image.view()

    def release(self) -> None:
        """Free the reader and the own ring; they are made anew when they are wanted again."""
        reader, self._reader = self._reader, None
        if reader is not None:
            reader.release()
        ring, self._own = self._own, None
        if ring is not None:
            ring.close()

    def _ring(self, network: DeviceNetwork) -> FrameRing:
        if self._shared is not None:
            return self._shared
        if self._own is None:
            self._own = FrameRing(network.device)
        return self._own

    def _tell(self, reason: str) -> None:
        if reason not in self._told:
            self._told.add(reason)
            LOGGER.warning(
                "frames of model %s are prepared and decoded on the CPU: %s", self._model.spec.name, reason
            )


def device_network(model: Network) -> DeviceNetwork | None:
    """Return a model's network on its device, None where it runs on the CPU."""
    return model.runtime.device_network if isinstance(model, Model) else None


def shared_ring(models: Sequence[Model]) -> FrameRing | None:
    """Return a ring for models that are all on one device, None where they are not."""
    networks = [device_network(model) for model in models]
    devices = [network.device for network in networks if network is not None]
    if len(devices) < len(models) or any(device is not devices[0] for device in devices):
        return None
    return FrameRing(devices[0])
