"""Frames on their way to the device: each is uploaded once, whoever asks for it, and the next one ahead.

A picture is copied to page-locked memory and uploaded on a stream of its own, so that it travels while the
network still works on the one before. Two slots take turns; marks keep one from being overwritten while it is
read.
"""

import logging
from collections.abc import Callable

import numpy as np

from engine.cuda.device import Buffer, Device, Pinned, Stream
from engine.cuda.prepare import VIEW_DTYPE, pack_view
from engine.errors import DeviceError
from engine.prepare import check_image
from engine.structures import Image

LOGGER = logging.getLogger(__name__)

SLOTS = 2
"""The frame in work and the next one."""


class Slot:
    """Room for one frame, in page-locked memory and on the device.

    image: the frame that is there or on its way, None while there is none. view: (1,) `VIEW_DTYPE` of it.
    uploaded: marks that it is there; used: marks that nobody reads it any more; in_use: whether `used` was
    set since the frame came.
    """

    def __init__(self, device: Device) -> None:
        self.image: Image | None = None
        self.view = np.zeros(1, VIEW_DTYPE)
        self.uploaded, self.used = device.event(), device.event()
        self.in_use = False
        self._device, self._loaded = device, False
        self._pinned: Pinned | None = None
        self._buffer: Buffer | None = None

    def load(self, image: Image, copies: Stream) -> None:
        """Put the upload of an image on a stream, behind the work that reads the one before."""
        self.image = None
        nbytes = int(np.prod(image.shape))
        pinned, buffer = self._rooms(nbytes)
        target = pinned.array[:nbytes]
        np.copyto(target.reshape(image.shape), image)
        if self.in_use:
            copies.wait(self.used)
        copies.upload(buffer.address, target)
        copies.record(self.uploaded)
        self.view = pack_view(buffer.address, (image.shape[0], image.shape[1]), 3 * image.shape[1])
        self.image, self._loaded, self.in_use = image, True, False

    def close(self) -> None:
        """Free everything."""
        self.image = None
        self._free()
        close_all(self.uploaded.close, self.used.close)

    def _rooms(self, nbytes: int) -> tuple[Pinned, Buffer]:
        """Return memory of at least so many bytes, the page-locked part of it free to be written."""
        if self._loaded:
            self.uploaded.synchronize()
        if self._pinned is None or self._buffer is None or self._buffer.nbytes < nbytes:
            if self.in_use:
                self.used.synchronize()
            self._free()
            self._buffer = self._device.allocate(nbytes)
            self._pinned = self._device.pin(nbytes)
        return self._pinned, self._buffer

    def _free(self) -> None:
        pinned, buffer = self._pinned, self._buffer
        self._pinned = self._buffer = None
        close_all(*(piece.close for piece in (pinned, buffer) if piece is not None))


class FrameRing:
    """Uploads frames to one device; for one thread at a time.

    stream: on which frames are worked on. uploads: how many frames were uploaded so far.
    """

    def __init__(self, device: Device) -> None:
        self.device = device
        self.uploads = 0
        self.stream = device.stream()
        self._copies = device.stream()
        self._slots = [Slot(device) for _ in range(SLOTS)]
        self._announced: Image | None = None

    def put(self, image: Image) -> Slot:
        """Return a frame on the device; what is put on `stream` from now on finds it there.

        The very same array is not uploaded again while it is among the last two, so it must not be changed.

        Args:
            image: (H, W, 3) uint8 BGR.

        Raises:
            ValueError: the image is not (H, W, 3) uint8.
            DeviceError: the device failed, or its memory does not suffice.
        """
        slot = next((slot for slot in self._slots if slot.image is image), None)
        if slot is None:
            slot = self._load(image)
        if self._announced is image:
            self._announced = None
        # The last in the list is the one used last.
        self._slots.remove(slot)
        self._slots.append(slot)
        self.stream.wait(slot.uploaded)
        return slot

    def mark_used(self, slot: Slot) -> None:
        """Take note that the work which reads a frame is on `stream`."""
        self.stream.record(slot.used)
        slot.in_use = True

    def announce(self, image: Image) -> None:
        """Say which frame comes next; it is uploaded while the device works on the present one."""
        self._announced = image

    def work_ahead(self) -> None:
        """Upload the frame that was announced, if any."""
        image, self._announced = self._announced, None
        if image is not None and all(slot.image is not image for slot in self._slots):
            self._load(image)

    def close(self) -> None:
        """Free everything; the work on the frames must be done."""
        self._announced = None
        close_all(
            self._copies.synchronize,
            *(slot.close for slot in self._slots),
            self._copies.close,
            self.stream.close,
        )

    def _load(self, image: Image) -> Slot:
        check_image(image)
        slot = self._slots[0]
        slot.load(image, self._copies)
        self.uploads += 1
        return slot


def close_all(*closers: Callable[[], None]) -> None:
    """Free one thing after another, each even where others fail: a lost device must not hold up the end."""
    for closer in closers:
        try:
            closer()
        except DeviceError as error:
            LOGGER.warning("the device could not free what it held: %s", error)
