"""The device protocol of `engine.cuda.device` on host memory, with kernels run by `shim_library`.

Work is lazy unless asked otherwise: what is put on a stream is done when somebody waits for it, as late as a
GPU may do it, so that a result read too early is still poison and pinned memory overwritten too early shows.
`Misuse` is raised for what would be undefined on a GPU; `DeviceError` for what CUDA reports.
"""

import bisect
import ctypes
import itertools
import re
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from engine.cuda.device import Argument, DeviceInfo, DeviceTensor, Extent
from engine.errors import DeviceError
from tests.engine.cuda.shim_library import KERNELS, kernel_names, launch, load_shim

POISON = 0xCB
"""What memory holds before anything is written: as float32 -26843540, as float16 -15.6."""
GUARD = 256
"""Bytes on either side of an allocation that nobody may write."""
QUARANTINE = 64
"""As many freed pieces of memory stay in place, so that a late kernel hits poison and not somebody's data."""
RUNNING = threading.RLock()
"""Held while work is done: the shim's kernels keep `threadIdx` and shared memory in global variables."""
HANDLES = itertools.count(1)


class Misuse(AssertionError):
    """Something that a GPU would not report, but answer with garbage or a crash."""


@dataclass
class Work:
    """One entry of a queue. uses: ranges of memory, (address, bytes), that must live until it is done."""

    run: Callable[[], None]
    uses: tuple[tuple[int, int], ...] = ()


class ShimMemory:
    """Device or pinned memory, poisoned, between two guards."""

    def __init__(self, device: "ShimDevice", kind: str, nbytes: int) -> None:
        if nbytes <= 0:
            raise Misuse(f"{kind} of {nbytes} bytes asked for")
        self.device, self.kind, self.nbytes = device, kind, nbytes
        self._store = np.full(nbytes + 2 * GUARD + 256, POISON, np.uint8)
        start = int(-self._store.ctypes.data % 256) + GUARD
        self.array = self._store[start : start + nbytes]
        self._guards = (
            self._store[start - GUARD : start],
            self._store[start + nbytes : start + nbytes + GUARD],
        )
        self.address = int(self.array.ctypes.data)
        self.closed = False

    def check(self) -> None:
        """Raise Misuse where something was written next to the memory."""
        for guard, side in zip(self._guards, ("before", "after"), strict=True):
            if (guard != POISON).any():
                raise Misuse(f"bytes {side} a {self.kind} of {self.nbytes} bytes were written")

    def close(self) -> None:
        """Free the memory; freeing twice, or under queued work, is Misuse."""
        self.device.forbid_in_capture("memory cannot be freed")
        if self.closed:
            raise Misuse(f"a {self.kind} of {self.nbytes} bytes was closed twice")
        for stream in list(self.device.streams):
            for work in list(stream.queue):
                if any(self.address <= address < self.address + self.nbytes for address, _ in work.uses):
                    raise Misuse(f"a {self.kind} of {self.nbytes} bytes was closed under work that uses it")
        self.check()
        self.closed = True
        self.device.forget(self)


class ShimEvent:
    """A mark; every `record` is a new generation of it."""

    def __init__(self, device: "ShimDevice") -> None:
        self.device = device
        self.stream: ShimStream | None = None
        self.recorded = self.reached = 0
        self.time_s = 0.0
        self.captured = self.closed = False

    def check(self) -> None:
        if self.closed:
            raise Misuse("an event was used after it was closed")

    def reach(self, generation: int) -> None:
        self.reached = max(self.reached, generation)
        self.time_s = time.perf_counter()

    def run_to(self, generation: int) -> None:
        """Do the work before a mark."""
        if self.stream is not None and self.reached < generation:
            self.stream.advance(lambda: self.reached >= generation)
        if self.reached < generation:
            raise Misuse("deadlock: the work before an event waits for what comes after it")

    def synchronize(self) -> None:
        self.check()
        self.device.alive()
        self.device.forbid_in_capture("nobody can wait for an event")
        self._not_captured()
        self.run_to(self.recorded)

    def elapsed_ms(self, earlier: "ShimEvent") -> float:
        for event in (self, earlier):
            event.check()
            event._not_captured()
            if not event.recorded or event.reached < event.recorded:
                raise DeviceError("the time between two events was asked for before both were reached")
        return (self.time_s - earlier.time_s) * 1e3

    def close(self) -> None:
        self.check()
        self.closed = True
        self.device.events.remove(self)

    def _not_captured(self) -> None:
        if self.captured:
            raise DeviceError("an event recorded inside a graph cannot be waited for outside it")


@dataclass(frozen=True)
class ShimKernel:
    """An entry point. widths: bytes of each parameter, None where it is no number and no pointer."""

    name: str
    library: ctypes.CDLL
    widths: tuple[int | None, ...] = ()


@dataclass
class ShimGraph:
    """Work that was captured."""

    device: "ShimDevice"
    work: list[Work]
    closed: bool = False

    def launch(self, stream: "ShimStream") -> None:
        if self.closed:
            raise Misuse("a graph was launched after it was closed")
        stream.refuse_in_capture("a graph was launched")

        def run() -> None:
            for work in self.work:
                work.run()

        stream.put(Work(run, tuple(use for work in self.work for use in work.uses)))

    def close(self) -> None:
        if self.closed:
            raise Misuse("a graph was closed twice")
        self.closed = True
        self.device.graphs.remove(self)


@dataclass
class ShimStream:
    """A queue of work; `call` puts a host function on it, for networks that run on the CPU."""

    device: "ShimDevice"
    handle: int = field(default_factory=lambda: next(HANDLES))
    queue: deque[Work] = field(default_factory=deque)
    recording: list[Work] | None = None
    running: bool = False
    closed: bool = False

    def put(self, work: Work) -> None:
        """Queue work, or note it down inside a capture."""
        if self.closed:
            raise Misuse("a stream was used after it was closed")
        self.device.alive()
        for address, nbytes in work.uses:
            self.device.place(address, nbytes)
        if self.recording is not None:
            self.recording.append(work)
            return
        self.queue.append(work)
        if not self.device.lazy:
            self.advance()

    def advance(self, done: Callable[[], bool] = lambda: False) -> None:
        """Do what is queued, in order, until `done`."""
        with RUNNING:
            if self.running:
                raise Misuse("deadlock: work of a stream waits for that stream")
            self.running = True
            try:
                while self.queue and not done():
                    work = self.queue[0]
                    try:
                        for address, nbytes in work.uses:
                            self.device.place(address, nbytes)
                        work.run()
                    finally:
                        self.queue.popleft()
            finally:
                self.running = False

    def refuse_in_capture(self, what: str) -> None:
        if self.recording is not None:
            raise DeviceError(f"{what} inside a capture")

    def upload(self, target: int, source: np.ndarray[Any, Any]) -> None:
        if not source.flags.c_contiguous:
            raise Misuse("the source of an upload must be contiguous")
        if not source.nbytes:
            return
        uses = [(target, source.nbytes)]
        if self.device.pinned(source):
            uses.append((source.ctypes.data, source.nbytes))
        else:
            self.refuse_in_capture("memory that is not pinned was uploaded")
            source = source.copy()
        self.device.on_device(target, "upload to")
        self.put(Work(lambda: _move(target, source.ctypes.data, source.nbytes), tuple(uses)))

    def download(self, target: np.ndarray[Any, Any], source: int) -> None:
        if not (target.flags.c_contiguous and target.flags.writeable):
            raise Misuse("the target of a download must be contiguous and writeable")
        if not target.nbytes:
            return
        pinned = self.device.pinned(target)
        uses = [(source, target.nbytes)] + ([(target.ctypes.data, target.nbytes)] if pinned else [])
        if not pinned:
            self.refuse_in_capture("memory that is not pinned was downloaded to")
        self.device.on_device(source, "download from")
        self.put(Work(lambda: _move(target.ctypes.data, source, target.nbytes), tuple(uses)))
        if not pinned:
            self.advance()

    def clear(self, target: int, nbytes: int) -> None:
        if nbytes:
            self.device.on_device(target, "clear")
            self.put(Work(lambda: _fill(target, nbytes), ((target, nbytes),)))

    def launch(self, kernel: ShimKernel, grid: Extent, block: Extent, arguments: Sequence[Argument]) -> None:
        _check_launch(kernel, grid, block, arguments)
        values = [type(argument)(argument.value) for argument in arguments]  # type: ignore[arg-type]
        addresses = [value.value for value in values if isinstance(value, ctypes.c_void_p)]

        def run() -> None:
            launch(kernel.library, kernel.name, grid, block, values)
            self.device.check()

        for address in addresses:
            if address:
                self.device.on_device(address, f"argument of {kernel.name}")
        self.put(Work(run, tuple((address, 1) for address in addresses if address)))

    def call(self, function: Callable[[], None]) -> None:
        """Put a host function on the stream; it reads and writes through `ShimDevice.view`."""
        self.put(Work(function))

    def record(self, event: ShimEvent) -> None:
        event.check()
        event.captured = self.recording is not None
        if event.captured:
            self.device.alive()
            return
        event.recorded += 1
        event.stream = self
        generation = event.recorded
        self.put(Work(lambda: event.reach(generation)))

    def wait(self, event: ShimEvent) -> None:
        event.check()
        if self.recording is not None:
            if event.recorded and not event.captured:
                raise DeviceError("a captured stream waited for an event from outside the capture")
            return
        if event.captured:
            raise DeviceError("a stream waited for an event that was recorded inside a capture")
        generation = event.recorded
        if event.stream is not None:
            self.put(Work(lambda: event.run_to(generation)))

    def synchronize(self) -> None:
        if self.closed:
            raise Misuse("a stream was used after it was closed")
        self.device.alive()
        self.device.forbid_in_capture("nobody can wait for a stream")
        self.advance()

    def capture(self, enqueue: Callable[[], None]) -> ShimGraph:
        if self.closed:
            raise Misuse("a stream was used after it was closed")
        self.device.alive()
        self.device.forbid_in_capture("no second capture can begin")
        self.recording = []
        try:
            with self.device.capturing():
                enqueue()
            graph = ShimGraph(self.device, self.recording)
        finally:
            self.recording = None
        self.device.graphs.append(graph)
        return graph

    def close(self) -> None:
        if self.closed:
            raise Misuse("a stream was closed twice")
        if self.device.lost:
            self.queue.clear()
        self.advance()
        self.closed = True
        self.device.streams.remove(self)


class ShimDevice:
    """The device. Lists of what is still open, for tests that look for leaks: see `left_open`."""

    def __init__(self, *, lazy: bool = True, memory_bytes: int = 1 << 30) -> None:
        """Open it. lazy: do work as late as possible, else at once. memory_bytes: all that there is."""
        # 16 GB/s of memory, 2 x 128 multiply-adds in float32 at 1 GHz.
        self.info = DeviceInfo(
            "CPU behind a shim", 0, (8, 6), memory_bytes, (13, 0), 2, 1_000_000, 1_000_000, 64
        )
        self.lazy = lazy
        self.memory: list[ShimMemory] = []
        self.streams: list[ShimStream] = []
        self.events: list[ShimEvent] = []
        self.graphs: list[ShimGraph] = []
        self.lost = False
        self._registry = threading.Lock()
        self._freed: deque[ShimMemory] = deque(maxlen=QUARANTINE)
        self._kernels: dict[tuple[str, str], ShimKernel] = {}
        self._local = threading.local()

    def allocate(self, nbytes: int) -> ShimMemory:
        used = sum(piece.nbytes for piece in self.memory if piece.kind == "buffer")
        if used + nbytes > self.info.memory_bytes:
            raise DeviceError(
                f"{nbytes} bytes of GPU memory were asked for, {used} are in use: out of memory"
            )
        return self._add("buffer", nbytes)

    def pin(self, nbytes: int) -> ShimMemory:
        return self._add("pinned memory", nbytes)

    def stream(self) -> ShimStream:
        self.alive()
        self.streams.append(ShimStream(self))
        return self.streams[-1]

    def event(self) -> ShimEvent:
        self.alive()
        self.events.append(ShimEvent(self))
        return self.events[-1]

    def kernel(self, file: str, entry: str) -> ShimKernel:
        if (file, entry) not in self._kernels:
            self.forbid_in_capture("no kernel can be loaded")
            if entry not in kernel_names(file):
                raise DeviceError(f"kernel file {file}.cu has no entry {entry}")
            self._kernels[file, entry] = ShimKernel(entry, load_shim(file), parameter_widths(file, entry))
        return self._kernels[file, entry]

    def view(self, tensor: DeviceTensor) -> np.ndarray[Any, Any]:
        """Return the memory of a tensor as an array; look at it only once the work on it is done."""
        self.on_device(tensor.address, "view of")
        piece = self.place(tensor.address, tensor.nbytes)
        start = tensor.address - piece.address
        return piece.array[start : start + tensor.nbytes].view(tensor.dtype).reshape(tensor.shape)

    def tensor(self, array: np.ndarray[Any, Any]) -> DeviceTensor:
        """Return a new tensor that holds a copy of an array; its memory stays open as long as the device."""
        buffer = self.allocate(max(array.nbytes, 1))
        tensor = DeviceTensor(buffer.address, array.shape, array.dtype)
        self.view(tensor)[...] = array
        return tensor

    def lose(self) -> None:
        """Let every call from now on fail, as after a driver's reset."""
        self.lost = True

    def left_open(self) -> list[str]:
        """Name what was not closed."""
        left = [f"{piece.kind} of {piece.nbytes} bytes" for piece in self.memory]
        return (
            left
            + ["stream"] * len(self.streams)
            + ["event"] * len(self.events)
            + ["graph"] * len(self.graphs)
        )

    def close(self) -> None:
        """Do what is left and check for writes out of bounds."""
        for stream in list(self.streams):
            stream.advance()
        self.check()

    def check(self) -> None:
        """Raise Misuse where a kernel wrote next to an allocation."""
        for piece in list(self.memory):
            piece.check()

    def alive(self) -> None:
        if self.lost:
            raise DeviceError("the GPU was lost: start again")

    def place(self, address: int, nbytes: int) -> ShimMemory:
        """Return the memory that holds a range; none does: Misuse."""
        with self._registry:
            pieces = list(self.memory)
        index = bisect.bisect_right(pieces, address, key=lambda piece: piece.address) - 1
        if index < 0 or address + nbytes > pieces[index].address + pieces[index].nbytes:
            raise Misuse(
                f"{nbytes} bytes at {address:#x} are in no memory of the device: freed, or out of range"
            )
        return pieces[index]

    def on_device(self, address: int, what: str) -> None:
        """Raise Misuse where an address is none of device memory."""
        if self.place(address, 1).kind != "buffer":
            raise Misuse(f"{what} {address:#x}: this is host memory")

    def pinned(self, array: np.ndarray[Any, Any]) -> bool:
        """Say whether an array lies in pinned memory."""
        address = array.ctypes.data
        for piece in list(self.memory):
            if piece.address <= address < piece.address + piece.nbytes:
                if piece.kind == "buffer":
                    raise Misuse("a host array of a copy lies in device memory")
                return self.place(address, array.nbytes) is piece
        return False

    def forget(self, piece: ShimMemory) -> None:
        with self._registry:
            self.memory.remove(piece)
        piece.array[...] = POISON
        self._freed.append(piece)

    @contextmanager
    def capturing(self):  # type: ignore[no-untyped-def]
        """Forbid in this thread what CUDA forbids during a capture."""
        self._local.capturing = True
        try:
            yield
        finally:
            self._local.capturing = False

    def forbid_in_capture(self, what: str) -> None:
        if getattr(self._local, "capturing", False):
            raise DeviceError(f"{what} inside a capture")

    def _add(self, kind: str, nbytes: int) -> ShimMemory:
        self.alive()
        self.forbid_in_capture("memory cannot be had")
        piece = ShimMemory(self, kind, nbytes)
        with self._registry:
            bisect.insort(self.memory, piece, key=lambda other: other.address)
        return piece


def parameter_widths(file: str, entry: str) -> tuple[int | None, ...]:
    """Return the bytes of each parameter of an entry point, None for a type that is not plain."""
    text = re.sub(r"//[^\n]*", "", (KERNELS / f"{file}.cu").read_text())
    found = re.search(rf"__global__ void[^;{{]*?\b{entry}\s*\(([^)]*)\)", text)
    assert found is not None
    return tuple(_width(part) for part in found[1].split(",") if part.strip())


def _width(declaration: str) -> int | None:
    words = set(declaration.split())
    if "*" in declaration or words & {"u64", "double", "long"}:
        return 8
    return 4 if words & {"int", "unsigned", "float"} else None


def _check_launch(kernel: ShimKernel, grid: Extent, block: Extent, arguments: Sequence[Argument]) -> None:
    if min(*grid, *block) < 1 or grid[1] > 65535 or grid[2] > 65535 or block[2] > 64:
        raise Misuse(f"{kernel.name}: grid {grid}, block {block} is out of range")
    threads = block[0] * block[1] * block[2]
    if threads > 1024 or threads % 32:
        raise Misuse(f"{kernel.name}: a block of {threads} threads, must be a multiple of 32 up to 1024")
    widths = [ctypes.sizeof(argument) for argument in arguments]
    fits = len(widths) == len(kernel.widths) and all(
        asked in (None, came) for asked, came in zip(kernel.widths, widths, strict=True)
    )
    if not fits:
        raise Misuse(f"{kernel.name} takes parameters of {list(kernel.widths)} bytes, got {widths}")


def _move(target: int, source: int, nbytes: int) -> None:
    ctypes.memmove(target, source, nbytes)


def _fill(target: int, nbytes: int) -> None:
    ctypes.memset(target, 0, nbytes)
