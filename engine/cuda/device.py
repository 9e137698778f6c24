"""What the engine sees of an accelerator: memory, streams, kernels and captured graphs.

`driver.CudaDevice` is the real one. Work is put on a stream and done in order; nothing waits for it but
`Stream.synchronize`. Every call may raise `DeviceError`: the device is lost, out of memory, or the kernel
failed.
"""

import ctypes
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

Extent = tuple[int, int, int]
"""Blocks of a launch, or threads of a block, along x, y and z."""
Argument = ctypes.c_int | ctypes.c_float | ctypes.c_double | ctypes.c_void_p | ctypes.c_ulonglong
"""What a kernel takes: a number, or the address of device memory as `ctypes.c_void_p`."""


@dataclass(frozen=True, slots=True)
class DeviceInfo:
    """What is known of a device.

    index: its place among those that the process sees. compute_capability: (major, minor). memory_bytes: in
    all. driver: CUDA version of the driver, (major, minor). clock_khz: highest of the multiprocessors.
    memory_bus_bits: width of the memory, which moves data twice in each cycle of memory_clock_khz. What the
    driver does not tell is None.
    """

    name: str
    index: int
    compute_capability: tuple[int, int]
    memory_bytes: int
    driver: tuple[int, int]
    multiprocessors: int | None = None
    clock_khz: int | None = None
    memory_clock_khz: int | None = None
    memory_bus_bits: int | None = None


@dataclass(frozen=True, slots=True)
class DeviceTensor:
    """An array in device memory, contiguous in C order; whoever made it owns the memory."""

    address: int
    shape: tuple[int, ...]
    dtype: np.dtype[Any]

    @property
    def nbytes(self) -> int:
        """Size in bytes."""
        return int(np.prod(self.shape)) * self.dtype.itemsize


class Buffer(Protocol):
    """Device memory. address: of its first byte, aligned to 256; nbytes: its size."""

    address: int
    nbytes: int

    def close(self) -> None:
        """Free the memory; work that uses it must be done."""
        ...


class Pinned(Protocol):
    """Page-locked host memory, which copies run to and from while the host goes on.

    array: (nbytes,) uint8 over it; views of it must not outlive it.
    """

    array: NDArray[np.uint8]

    def close(self) -> None:
        """Free the memory."""
        ...


class Event(Protocol):
    """A mark on a stream."""

    def synchronize(self) -> None:
        """Wait until the work before the mark is done; other Python threads run meanwhile."""
        ...

    def elapsed_ms(self, earlier: "Event") -> float:
        """Return the device's milliseconds between two marks that have both been reached."""
        ...

    def close(self) -> None:
        """Free the mark."""
        ...


class Kernel(Protocol):
    """One entry point of a compiled kernel file. name: of the entry point."""

    name: str


class Graph(Protocol):
    """Captured work, launched as one."""

    def launch(self, stream: "Stream") -> None:
        """Put the work on a stream."""
        ...

    def close(self) -> None:
        """Free the graph."""
        ...


class Stream(Protocol):
    """A queue of work. handle: the CUstream as a number, for other libraries."""

    handle: int

    def upload(self, target: int, source: NDArray[Any]) -> None:
        """Copy a contiguous host array to a device address; pinned memory must stay unchanged until done."""
        ...

    def download(self, target: NDArray[Any], source: int) -> None:
        """Copy from a device address into a contiguous host array."""
        ...

    def clear(self, target: int, nbytes: int) -> None:
        """Set bytes on the device to 0."""
        ...

    def launch(self, kernel: Kernel, grid: Extent, block: Extent, arguments: Sequence[Argument]) -> None:
        """Run a kernel; the arguments are copied at once."""
        ...

    def record(self, event: Event) -> None:
        """Set a mark."""
        ...

    def wait(self, event: Event) -> None:
        """Let what follows wait for a mark of another stream; the host does not wait."""
        ...

    def synchronize(self) -> None:
        """Wait until everything is done; other Python threads run meanwhile."""
        ...

    def capture(self, enqueue: Callable[[], None]) -> Graph:
        """Run `enqueue`, which puts work on this stream, and return that work as a graph, not done yet.

        Raises:
            DeviceError: something in it cannot be captured; the stream is as before.
        """
        ...

    def close(self) -> None:
        """Free the stream."""
        ...


class Device(Protocol):
    """One accelerator. info: what is known of it."""

    info: DeviceInfo

    def allocate(self, nbytes: int) -> Buffer:
        """Return device memory, its content undefined.

        Raises:
            DeviceError: the memory does not suffice.
        """
        ...

    def pin(self, nbytes: int) -> Pinned:
        """Return page-locked host memory."""
        ...

    def stream(self) -> Stream:
        """Return a new stream."""
        ...

    def event(self) -> Event:
        """Return a new mark."""
        ...

    def kernel(self, file: str, entry: str) -> Kernel:
        """Return an entry point of ``engine/cuda/FILE.cu``, compiled for this device; cached."""
        ...
