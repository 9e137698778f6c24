"""Times of work on a device, by the device's own events.

The host takes longer to launch a kernel than many kernels take. So the work is repeated inside one captured
graph, and all is queued behind other work that keeps the device busy meanwhile: between the two events the
device never waits for the host.
"""

import logging
import time
from collections.abc import Callable
from contextlib import suppress
from math import ceil
from statistics import median
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from app.bench.timing import Timing
from engine.cuda.device import Buffer, Device, DeviceTensor, Graph, Pinned
from engine.device.frames import close_all
from engine.errors import DeviceError

LOGGER = logging.getLogger(__name__)

METHOD = (
    "device times: events of the device around a CUDA graph that repeats the work, behind other work so that "
    "the device never waits for the host; what cannot be captured runs once between the events. Each repeat "
    "finds its data where the one before left it, as in the frame path, so what fits into the caches may be "
    "faster than bytes over bandwidth."
)

WARM_UP_RUNS = 2
SAMPLE_MS = 2.0
"""How long the repeats of one sample take together."""
MAX_REPEATS = 64
BUDGET_S = 0.3
"""How long samples are taken."""
MIN_SAMPLES, MAX_SAMPLES = 11, 400
BALLAST_BYTES = 256 << 20
"""Memory that is cleared to keep the device busy; more than its caches hold."""
MAX_BALLAST_RUNS = 256
"""A stream holds about a thousand launches before the host has to wait."""


class DeviceClock:
    """A stream, and what is needed to time work on it; for one thread.

    Raises:
        DeviceError: the device failed, or its memory does not suffice.
    """

    def __init__(self, device: Device) -> None:
        self.device = device
        self.stream = device.stream()
        self._begin, self._end = device.event(), device.event()
        self.ballast: Buffer = device.allocate(min(BALLAST_BYTES, device.info.memory_bytes // 16))
        self._ballast_ms = 0.0
        try:
            self._ballast_ms = self.measure(self.clear_ballast).median_ms
        except BaseException:
            self.close()
            raise

    def clear_ballast(self) -> None:
        """Put the clearing of the ballast on the stream."""
        self.stream.clear(self.ballast.address, self.ballast.nbytes)

    def measure(self, enqueue: Callable[[], None], *, capturable: bool = True) -> Timing:
        """Return the device's time for some work.

        Args:
            enqueue: puts the work on `stream`, always the same.
            capturable: whether it may be captured in a graph once it has run; a capture that fails is left.

        Raises:
            DeviceError: the device failed.
        """
        for _ in range(WARM_UP_RUNS):
            enqueue()
        self.stream.synchronize()
        once_ms, host_ms = self._sample(enqueue, 0.0)
        repeats = max(1, min(MAX_REPEATS, int(SAMPLE_MS / max(once_ms, 1e-6)))) if capturable else 1
        graph = self._capture(enqueue, repeats) if capturable else None
        if graph is None:
            return self._samples(enqueue, 1, host_ms)
        try:
            return self._samples(lambda: graph.launch(self.stream), repeats, host_ms)
        finally:
            graph.close()

    def close(self) -> None:
        """Free everything; the work must be done."""
        with suppress(DeviceError):
            self.stream.synchronize()
        close_all(self.ballast.close, self._begin.close, self._end.close, self.stream.close)

    def _capture(self, enqueue: Callable[[], None], repeats: int) -> Graph | None:
        def repeated() -> None:
            for _ in range(repeats):
                enqueue()

        try:
            return self.stream.capture(repeated)
        except DeviceError as error:
            LOGGER.info("measured without a CUDA graph: %s", error)
            return None

    def _samples(self, launch: Callable[[], None], repeats: int, host_ms: float) -> Timing:
        """Return the time of one of the repeats in a launch."""
        # The first run of a graph is not like those that follow.
        _, host_ms = self._sample(launch, host_ms)
        times_ms: list[float] = []
        end = time.perf_counter() + BUDGET_S
        while len(times_ms) < MIN_SAMPLES or (time.perf_counter() < end and len(times_ms) < MAX_SAMPLES):
            device_ms, host_ms = self._sample(launch, host_ms)
            times_ms.append(device_ms / repeats)
        return Timing(median(times_ms), min(times_ms), len(times_ms))

    def _sample(self, launch: Callable[[], None], expected_host_ms: float) -> tuple[float, float]:
        """Return the device's ms for a launch, and the host's until it was queued."""
        if self._ballast_ms > 0:
            wanted = ceil((2 * expected_host_ms + 0.05) / self._ballast_ms)
            for _ in range(min(wanted, MAX_BALLAST_RUNS)):
                self.clear_ballast()
        start = time.perf_counter()
        self.stream.record(self._begin)
        launch()
        self.stream.record(self._end)
        host_ms = (time.perf_counter() - start) * 1e3
        self._end.synchronize()
        return self._end.elapsed_ms(self._begin), host_ms


class DeviceRoom:
    """Memory for one set of measurements, freed together."""

    def __init__(self, clock: DeviceClock) -> None:
        self._clock = clock
        self._pieces: list[Buffer | Pinned] = []

    def __enter__(self) -> "DeviceRoom":
        return self

    def __exit__(self, *_: object) -> None:
        # Memory can be freed once nothing uses it; a device that has failed says so elsewhere.
        with suppress(DeviceError):
            self._clock.stream.synchronize()
        close_all(*(piece.close for piece in self._pieces))

    def empty(self, shape: tuple[int, ...], dtype: DTypeLike) -> DeviceTensor:
        """Return cleared device memory."""
        tensor = DeviceTensor(0, shape, np.dtype(dtype))
        buffer = self._clock.device.allocate(max(tensor.nbytes, 1))
        self._pieces.append(buffer)
        self._clock.stream.clear(buffer.address, tensor.nbytes)
        return DeviceTensor(buffer.address, shape, tensor.dtype)

    def put(self, array: NDArray[Any]) -> DeviceTensor:
        """Return a copy of an array on the device."""
        tensor = self.empty(array.shape, array.dtype)
        self._clock.stream.upload(tensor.address, np.ascontiguousarray(array))
        return tensor

    def pinned(self, nbytes: int) -> NDArray[np.uint8]:
        """Return page-locked host memory, all 0."""
        piece = self._clock.device.pin(nbytes)
        self._pieces.append(piece)
        piece.array[:] = 0
        return piece.array[:nbytes]
