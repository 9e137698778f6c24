"""Compiles the kernel files for every kind of GPU and reads what ptxas says of each entry point."""

import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from engine.cuda.nvrtc import FLAGS, nvrtc_version
from engine.errors import RuntimeUnavailableError
from tests.engine.cuda.shim_library import KERNELS

ARCHS = (75, 80, 86, 89, 90, 100, 120)
"""Turing, A100, consumer Ampere, Ada, Hopper, data-centre and consumer Blackwell."""
ENTRY = re.compile(r"Compiling entry function '(\w+)' for 'sm_(\d+)")
STACK = re.compile(r"(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads")
USED = re.compile(r"Used (\d+) registers")
SHARED = re.compile(r"(\d+) bytes smem")


@dataclass(frozen=True, slots=True)
class Resources:
    """What one entry point needs on one kind of GPU: registers per thread, the rest in bytes.

    stack, spill: the largest among the entry and the functions it calls.
    """

    entry: str
    arch: int
    registers: int
    shared: int
    stack: int
    spill: int


def kernel_files() -> list[str]:
    """Return the names of all kernel files, without ``.cu``."""
    return sorted(path.stem for path in KERNELS.glob("*.cu"))


def nvrtc_is_installed() -> bool:
    """Say whether NVRTC and its bindings are there."""
    try:
        nvrtc_version()
    except RuntimeUnavailableError:
        return False
    return True


def nvcc() -> str | None:
    """Return CUDA's own compiler, None where there is none."""
    return shutil.which("nvcc")


def compile_with_nvrtc(name: str, arch: int) -> str:
    """Compile a kernel file as the engine does and return the compiler's log.

    Raises:
        AssertionError: it does not compile; the message is the log.
    """
    from cuda.bindings import nvrtc

    headers = sorted(KERNELS.glob("*.cuh"))
    result, program = nvrtc.nvrtcCreateProgram(
        (KERNELS / f"{name}.cu").read_bytes(),
        f"{name}.cu".encode(),
        len(headers),
        [header.read_bytes() for header in headers],
        [header.name.encode() for header in headers],
    )
    assert result == nvrtc.nvrtcResult.NVRTC_SUCCESS, result
    options = [flag.encode() for flag in (*FLAGS, f"--gpu-architecture=sm_{arch}", "--ptxas-options=-v")]
    (result,) = nvrtc.nvrtcCompileProgram(program, len(options), options)
    _, size = nvrtc.nvrtcGetProgramLogSize(program)
    buffer = bytearray(size)
    nvrtc.nvrtcGetProgramLog(program, buffer)
    nvrtc.nvrtcDestroyProgram(program)
    log = buffer.rstrip(b"\0").decode(errors="replace")
    assert result == nvrtc.nvrtcResult.NVRTC_SUCCESS, f"{name}.cu for sm_{arch}: {log}"
    return log


def compile_with_nvcc(name: str, folder: Path) -> str:
    """Compile a kernel file for all of `ARCHS` with nvcc, into `folder`, and return the compiler's log.

    Raises:
        AssertionError: it does not compile; the message is the log.
    """
    program = nvcc()
    assert program is not None
    targets = [f"-gencode=arch=compute_{arch},code=sm_{arch}" for arch in ARCHS]
    command = [program, "-std=c++17", "-fmad=false", "-fatbin", *targets, "-Xptxas", "-v", "-I", str(KERNELS)]
    command += ["-o", str(folder / f"{name}.fatbin"), str(KERNELS / f"{name}.cu")]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


def read_resources(log: str) -> list[Resources]:
    """Return what a compiler's log says of each entry point, in the log's order."""
    found: list[Resources] = []
    entry, arch, stack, spill = "", 0, 0, 0
    for line in log.splitlines():
        if match := ENTRY.search(line):
            entry, arch, stack, spill = match[1], int(match[2]), 0, 0
        elif match := STACK.search(line):
            stack = max(stack, int(match[1]))
            spill = max(spill, int(match[2]) + int(match[3]))
        elif entry and (match := USED.search(line)):
            shared = SHARED.search(line)
            found.append(Resources(entry, arch, int(match[1]), int(shared[1]) if shared else 0, stack, spill))
            entry = ""
    return found


def warnings_in(log: str) -> list[str]:
    """Return the lines of a compiler's log that warn of something."""
    return [line for line in log.splitlines() if "warning" in line.lower()]
