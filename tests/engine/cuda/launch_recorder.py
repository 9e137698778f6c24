"""Notes down what an engine's class launches, and runs it again in a program of its own under a sanitizer.

The program has the shim's real threads, one per CUDA thread, so that ThreadSanitizer sees what a missing
barrier allows, and every buffer is an allocation of its exact size, so that AddressSanitizer sees what lies
beside it. Blocks run one after another: races between blocks are not seen.
"""

import ctypes
import os
import shutil
import struct
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

import numpy as np

from engine.cuda.device import Argument, Extent
from tests.engine.cuda.shim_device import ShimDevice, ShimKernel, ShimStream
from tests.engine.cuda.shim_library import KERNELS, SHIM, compiler, shim_source

REPLAY = Path(__file__).with_name("replay.h")
FLAGS = ("-std=c++20", "-O1", "-g", "-DPOSE_ON_CPU", "-DSHIM_THREADS", "-ffp-contract=off", "-pthread")
SANITIZERS = {
    "thread": ("-fsanitize=thread",),
    "address": (
        "-fsanitize=address,undefined,float-cast-overflow",
        "-fno-sanitize-recover=all",
        "-fno-omit-frame-pointer",
    ),
}
OPTIONS = {"TSAN_OPTIONS": "exitcode=66:halt_on_error=1", "ASAN_OPTIONS": "detect_leaks=0:exitcode=66"}


@dataclass
class LaunchRecorder:
    """A stream that launches kernels at once and notes what it was asked to do.

    device: must not be lazy. pointers: addresses of device memory that itself holds an address.
    """

    device: ShimDevice
    pointers: list[int] = field(default_factory=list)
    handle: int = 0

    def __post_init__(self) -> None:
        assert not self.device.lazy
        self._stream: ShimStream = self.device.stream()
        self._steps: list[bytes] = []
        self._entries: list[str] = []
        self.before: dict[int, bytes] = {}
        """What each buffer held, by its address, at the first launch; none may be had later."""

    def launch(self, kernel: ShimKernel, grid: Extent, block: Extent, arguments: Sequence[Argument]) -> None:
        self._remember()
        if kernel.name not in self._entries:
            self._entries.append(kernel.name)
        parts = [struct.pack("<ii6Ii", 0, self._entries.index(kernel.name), *grid, *block, len(arguments))]
        for argument in arguments:
            is_address = isinstance(argument, ctypes.c_void_p) and argument.value
            parts.append(self._place(argument.value) if is_address else _pack(-1, bytes(argument)))  # type: ignore[arg-type]
        self._steps.append(b"".join(parts))
        self._stream.launch(kernel, grid, block, arguments)

    def clear(self, target: int, nbytes: int) -> None:
        self._remember()
        self._steps.append(struct.pack("<i", 1) + self._place(target) + struct.pack("<q", nbytes))
        self._stream.clear(target, nbytes)

    def recording(self) -> bytes:
        """Return the memory as it was, and all that was done to it, for `replay.h`."""
        parts = [struct.pack("<i", len(self.before))]
        parts += [struct.pack("<q", len(content)) + content for content in self.before.values()]
        parts.append(struct.pack("<i", len(self.pointers)))
        for address in self.pointers:
            parts.append(self._place(address) + self._place(ctypes.c_uint64.from_address(address).value))
        return b"".join([*parts, struct.pack("<i", len(self._steps)), *self._steps])

    def entries(self) -> list[str]:
        """Return the entry points that were launched, in the order of their numbers."""
        return self._entries

    def _remember(self) -> None:
        if not self.before:
            buffers = [piece for piece in self.device.memory if piece.kind == "buffer"]
            self.before = {piece.address: piece.array.tobytes() for piece in buffers}

    def _place(self, address: int) -> bytes:
        piece = self.device.place(address, 1)
        number = list(self.before).index(piece.address)
        return _pack(number, struct.pack("<q", address - piece.address))


def _pack(number: int, value: bytes) -> bytes:
    return struct.pack("<i", number) + value.ljust(8, b"\0")


def build(name: str, entries: Sequence[str], sanitizer: str, text: str | None = None) -> Path:
    """Compile a kernel file into a program that replays recordings; the same text is compiled once.

    Args:
        name: of the kernel file. entries: from `LaunchRecorder.entries`.
        sanitizer: one of `SANITIZERS`. text: of the kernel file, where it is to be another.
    """
    program = compiler()
    assert program is not None
    own = (KERNELS / f"{name}.cu").read_text() if text is None else text
    launchers = ", ".join(f"shim_{entry}" for entry in entries)
    rest = (
        f"static const Launcher launchers[] = {{{launchers}}};\n"
        "int main(int, char** names) { return replay(launchers, names[1], names[2]); }\n"
    )
    main = shim_source(name) + f'#include "{REPLAY}"\n' + rest
    flags = (*FLAGS, *SANITIZERS[sanitizer])
    texts = [main, own, *flags, SHIM.read_text(), REPLAY.read_text()]
    texts += [header.read_text() for header in sorted(KERNELS.glob("*.cuh"))]
    folder = Path(tempfile.gettempdir()) / "steadypose-shim"
    made = folder / f"{name}-{sanitizer}-{sha256(chr(10).join(texts).encode()).hexdigest()[:24]}"
    if not made.is_file():
        folder.mkdir(exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder) as scratch:
            kernel, source = Path(scratch) / f"{name}.cu", Path(scratch) / "main.cpp"
            kernel.write_text(own)
            source.write_text(main.replace(f'"{KERNELS / name}.cu"', f'"{kernel}"'))
            command = [program, *flags, "-I", str(KERNELS), "-o", str(Path(scratch) / "made"), str(source)]
            done = subprocess.run(command, capture_output=True, text=True)
            assert done.returncode == 0, done.stderr
            (Path(scratch) / "made").replace(made)
    return made


def replay(program: Path, recorder: LaunchRecorder, folder: Path) -> tuple[str, dict[int, np.ndarray]]:
    """Run a recording; return what the sanitizer reports, empty for nothing, and what buffers hold then."""
    recording, result = folder / "recording", folder / "result"
    recording.write_bytes(recorder.recording())
    command = [str(program), str(recording), str(result)]
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ | OPTIONS)
    if "unexpected memory mapping" in done.stderr and (setarch := shutil.which("setarch")):
        command = [setarch, "-R", *command]  # ThreadSanitizer and the kernel's address randomisation disagree
        done = subprocess.run(command, capture_output=True, text=True, env=os.environ | OPTIONS)
    if done.returncode != 0:
        return done.stderr or f"ended with {done.returncode}", {}
    data, buffers = np.frombuffer(result.read_bytes(), np.uint8), {}
    for address, before in recorder.before.items():
        buffers[address], data = data[: len(before)], data[len(before) :]
    return done.stderr, buffers
