"""A GPU behind the protocol of `device`, through `cuda.bindings.driver`; `driver` opens it.

Streams do not wait for the default stream. Whoever waits for an event sleeps rather than spins.
"""

import ctypes
import logging
import threading
from bisect import bisect_right, insort
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from engine.cuda.device import Argument, DeviceInfo, Event, Extent, Graph, Kernel, Stream
from engine.cuda.nvrtc import compile_kernel_file
from engine.cuda.results import Calls
from engine.errors import DeviceError

LOGGER = logging.getLogger(__name__)


class CudaBuffer:
    """Device memory."""

    def __init__(self, device: "CudaDevice", address: int, nbytes: int) -> None:
        """Take memory that was allocated."""
        self._device, self.address, self.nbytes = device, address, nbytes

    def close(self) -> None:
        """Free the memory."""
        if self.address:
            address, self.address = self.address, 0
            self._device.release(self._device.cuda.cuMemFree, address)


class CudaPinned:
    """Page-locked host memory."""

    def __init__(self, device: "CudaDevice", address: int, nbytes: int) -> None:
        """Take memory that was allocated."""
        self._device, self._address = device, address
        self.array: NDArray[np.uint8] = np.ctypeslib.as_array((ctypes.c_uint8 * nbytes).from_address(address))

    def close(self) -> None:
        """Free the memory."""
        if self._address:
            address, self._address = self._address, 0
            self.array = np.empty(0, np.uint8)
            self._device.forget_pinned(address)
            self._device.release(self._device.cuda.cuMemFreeHost, address)


class CudaEvent:
    """A mark; who waits for it sleeps."""

    def __init__(self, device: "CudaDevice", event: Any) -> None:
        """Take a CUevent."""
        self._device, self.event = device, event

    def synchronize(self) -> None:
        """Wait until the work before the mark is done."""
        self._device.call(self._device.cuda.cuEventSynchronize, self.event)

    def elapsed_ms(self, earlier: Event) -> float:
        """Return the milliseconds between two marks."""
        start = cast(CudaEvent, earlier).event
        return float(self._device.call(self._device.cuda.cuEventElapsedTime, start, self.event))

    def close(self) -> None:
        """Free the mark."""
        if self.event is not None:
            event, self.event = self.event, None
            self._device.release(self._device.cuda.cuEventDestroy, event)


@dataclass(slots=True, eq=False)
class CudaKernel:
    """An entry point. function: CUfunction."""

    name: str
    function: Any


class CudaGraph:
    """Captured work."""

    def __init__(self, device: "CudaDevice", graph: Any) -> None:
        """Take a CUgraphExec."""
        self._device, self._graph = device, graph

    def launch(self, stream: Stream) -> None:
        """Put the work on a stream."""
        self._device.call(self._device.cuda.cuGraphLaunch, self._graph, stream.handle)

    def close(self) -> None:
        """Free the graph; a run under way is finished first."""
        if self._graph is not None:
            graph, self._graph = self._graph, None
            self._device.release(self._device.cuda.cuGraphExecDestroy, graph)


class CudaStream:
    """A queue of work."""

    def __init__(self, device: "CudaDevice", stream: Any) -> None:
        """Take a CUstream."""
        self._device, self._cuda, self._call = device, device.cuda, device.call
        self._stream: Any = stream
        self._capturing = False
        self.handle = int(stream)

    def upload(self, target: int, source: NDArray[Any]) -> None:
        """Copy a contiguous host array to a device address; from memory that is not pinned, wait for it."""
        address, waits = self._host(source, "uploaded from")
        if source.nbytes:
            self._call(self._cuda.cuMemcpyHtoDAsync, target, address, source.nbytes, self._stream)
            if waits:
                self.synchronize()

    def download(self, target: NDArray[Any], source: int) -> None:
        """Copy from a device address into a contiguous host array; if that is not pinned, wait for it."""
        address, waits = self._host(target, "downloaded to")
        if not target.flags.writeable:
            raise ValueError("the target of a download is read-only")
        if target.nbytes:
            self._call(self._cuda.cuMemcpyDtoHAsync, address, source, target.nbytes, self._stream)
            if waits:
                self.synchronize()

    def clear(self, target: int, nbytes: int) -> None:
        """Set bytes on the device to 0."""
        if nbytes:
            self._call(self._cuda.cuMemsetD8Async, target, 0, nbytes, self._stream)

    def launch(self, kernel: Kernel, grid: Extent, block: Extent, arguments: Sequence[Argument]) -> None:
        """Run a kernel; the driver copies the arguments before it returns."""
        function = cast(CudaKernel, kernel).function
        addresses = (ctypes.c_void_p * len(arguments))(*map(ctypes.addressof, arguments))
        parameters = ctypes.addressof(addresses)
        self._call(
            self._cuda.cuLaunchKernel,
            *(function, *grid, *block, 0, self._stream, parameters, 0),
            what=f"launch of {kernel.name}",
        )

    def record(self, event: Event) -> None:
        """Set a mark."""
        self._call(self._cuda.cuEventRecord, cast(CudaEvent, event).event, self._stream)

    def wait(self, event: Event) -> None:
        """Let what follows wait for a mark of another stream."""
        self._call(self._cuda.cuStreamWaitEvent, self._stream, cast(CudaEvent, event).event, 0)

    def synchronize(self) -> None:
        """Wait until everything is done."""
        self._call(self._cuda.cuStreamSynchronize, self._stream)

    def capture(self, enqueue: Callable[[], None]) -> Graph:
        """Run `enqueue` and return the work that it put on this stream, not done yet."""
        mode = self._cuda.CUstreamCaptureMode.CU_STREAM_CAPTURE_MODE_THREAD_LOCAL
        self._call(self._cuda.cuStreamBeginCapture, self._stream, mode)
        self._capturing = True
        try:
            enqueue()
        except BaseException:
            self._drop_capture()
            raise
        finally:
            self._capturing = False
        graph = self._call(self._cuda.cuStreamEndCapture, self._stream)
        try:
            return CudaGraph(self._device, self._call(self._cuda.cuGraphInstantiate, graph, 0))
        finally:
            self._device.release(self._cuda.cuGraphDestroy, graph)

    def close(self) -> None:
        """Free the stream; what is on it is finished first."""
        if self._stream is not None:
            stream, self._stream = self._stream, None
            self._device.release(self._cuda.cuStreamDestroy, stream)

    def _drop_capture(self) -> None:
        """End a capture that failed; the stream is as before."""
        try:
            graph = self._call(self._cuda.cuStreamEndCapture, self._stream)
        except DeviceError as error:  # it was invalidated, which is how CUDA says that it failed
            LOGGER.debug("a capture was dropped: %s", error)
        else:
            self._device.release(self._cuda.cuGraphDestroy, graph)

    def _host(self, array: NDArray[Any], verb: str) -> tuple[int, bool]:
        """Return the address of a host array, and whether a copy must be waited for."""
        if not array.flags.c_contiguous:
            raise ValueError(f"only contiguous arrays can be copied, got strides {array.strides}")
        address = int(array.__array_interface__["data"][0])
        pinned = self._device.is_pinned(address, array.nbytes)
        if self._capturing and not pinned:
            raise DeviceError(f"memory that is not pinned cannot be {verb} in a graph: pin it first")
        return address, not pinned


class CudaDevice:
    """One GPU."""

    def __init__(self, info: DeviceInfo, call: Calls) -> None:
        """Take what is known of it and calls with its context."""
        self.info, self.call, self.cuda = info, call, call.cuda
        self._kernels: dict[tuple[str, str], CudaKernel] = {}
        self._modules: dict[str, Any] = {}
        self._lock = threading.RLock()
        self._pinned: list[tuple[int, int]] = []
        self._lost = False

    def allocate(self, nbytes: int) -> CudaBuffer:
        """Return device memory."""
        what = f"{nbytes / 2**20:.1f} MiB of the {self.info.memory_bytes / 2**30:.1f} GiB of {self.info.name}"
        return CudaBuffer(self, int(self.call(self.cuda.cuMemAlloc, nbytes, what=what)), nbytes)

    def pin(self, nbytes: int) -> CudaPinned:
        """Return page-locked host memory."""
        what = f"{nbytes / 2**20:.1f} MiB of pinned memory"
        address = int(self.call(self.cuda.cuMemHostAlloc, nbytes, 0, what=what))
        with self._lock:
            insort(self._pinned, (address, nbytes))
        return CudaPinned(self, address, nbytes)

    def stream(self) -> CudaStream:
        """Return a new stream."""
        flags = self.cuda.CUstream_flags.CU_STREAM_NON_BLOCKING.value
        return CudaStream(self, self.call(self.cuda.cuStreamCreate, flags))

    def event(self) -> CudaEvent:
        """Return a new mark."""
        flags = self.cuda.CUevent_flags.CU_EVENT_BLOCKING_SYNC.value
        return CudaEvent(self, self.call(self.cuda.cuEventCreate, flags))

    def kernel(self, file: str, entry: str) -> CudaKernel:
        """Return an entry point of ``engine/cuda/FILE.cu``, compiled for this device."""
        with self._lock:
            if (file, entry) not in self._kernels:
                if file not in self._modules:
                    major, minor = self.info.compute_capability
                    image = compile_kernel_file(file, f"sm_{major}{minor}")
                    what = f"loading of {file}.cu"
                    self._modules[file] = self.call(self.cuda.cuModuleLoadData, image, what=what)
                what = f"{entry} of {file}.cu"
                module, name = self._modules[file], entry.encode()
                function = self.call(self.cuda.cuModuleGetFunction, module, name, what=what)
                self.call(self.cuda.cuFuncLoad, function, what=what)  # a capture must not have to
                self._kernels[file, entry] = CudaKernel(entry, function)
            return self._kernels[file, entry]

    def is_pinned(self, address: int, nbytes: int) -> bool:
        """Say whether host memory lies in what `pin` gave."""
        with self._lock:
            place = bisect_right(self._pinned, (address, 1 << 62)) - 1
            if place < 0:
                return False
            start, size = self._pinned[place]
        return address + nbytes <= start + size

    def forget_pinned(self, address: int) -> None:
        """Note that pinned memory is freed."""
        with self._lock:
            self._pinned = [piece for piece in self._pinned if piece[0] != address]

    def release(self, function: Callable[..., Any], handle: object) -> None:
        """Free something; a device that failed before says so once, and its driver frees the rest."""
        try:
            self.call(function, handle)
        except DeviceError as error:
            if not self._lost:
                LOGGER.warning("something on the GPU could not be freed: %s", error)
            self._lost = True
