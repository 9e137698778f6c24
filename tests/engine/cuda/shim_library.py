"""Compiles a kernel file of `engine/cuda` for the CPU behind `shim.h` and launches what is in it."""

import ctypes
import re
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from functools import cache
from hashlib import sha256
from pathlib import Path

KERNELS = Path(__file__).parents[3] / "engine" / "cuda"
SHIM = Path(__file__).with_name("shim.h")
ENTRY = re.compile(r'extern "C" __global__ void(?: __launch_bounds__\([^)]*\))?\s+(\w+)\s*\(')
FLAGS = (
    "-std=c++20", "-O2", "-fPIC", "-shared", "-DPOSE_ON_CPU", "-ffp-contract=off", "-Wall", "-Werror",
    "-Wno-unknown-pragmas", "-Wno-sign-compare",
)  # fmt: skip

Extent = tuple[int, int, int]


def compiler() -> str | None:
    """Return the C++ compiler, None where there is none."""
    return shutil.which("g++")


def kernel_names(name: str) -> list[str]:
    """Return the entry points of `engine/cuda/NAME.cu`."""
    return ENTRY.findall((KERNELS / f"{name}.cu").read_text())


def shim_source(name: str) -> str:
    """Return the C++ text that holds `engine/cuda/NAME.cu` and a launcher ``shim_ENTRY`` for each entry."""
    lines = [f'#include "{SHIM}"', f'#include "{KERNELS / name}.cu"']
    lines += [
        f'extern "C" void shim_{entry}(const unsigned* grid, const unsigned* block, void** arguments) '
        f"{{ shim_launch({entry}, grid, block, arguments); }}"
        for entry in kernel_names(name)
    ]
    return "\n".join(lines) + "\n"


@cache
def load_shim(name: str, extra: tuple[str, ...] = ()) -> ctypes.CDLL:
    """Compile and load a kernel file; the same text is compiled once, for all processes.

    Args:
        name: of the file, without ``.cu``. extra: more flags for the compiler.
    """
    program = compiler()
    assert program is not None
    text = shim_source(name)
    parts = [text, *FLAGS, *extra, SHIM.read_text(), (KERNELS / f"{name}.cu").read_text()]
    parts += [header.read_text() for header in sorted(KERNELS.glob("*.cuh"))]
    key = sha256("\n".join(parts).encode()).hexdigest()[:24]
    folder = Path(tempfile.gettempdir()) / "steadypose-shim"
    library = folder / f"{name}-{key}.so"
    if not library.is_file():
        folder.mkdir(exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder) as scratch:
            source = Path(scratch) / f"{name}.cpp"
            source.write_text(text)
            made = Path(scratch) / library.name
            command = [program, *FLAGS, *extra, "-I", str(KERNELS), "-o", str(made), str(source)]
            done = subprocess.run(command, capture_output=True, text=True)
            assert done.returncode == 0, done.stderr
            made.replace(library)
    return ctypes.CDLL(str(library))


def launch(
    library: ctypes.CDLL, entry: str, grid: Extent, block: Extent, arguments: Sequence[object]
) -> None:
    """Run an entry point to its end.

    Args:
        library: from `load_shim`. entry: its name. grid, block: x, y, z.
        arguments: ctypes values, in the order of the kernel's parameters; addresses as `ctypes.c_void_p`.
    """
    addresses = (ctypes.c_void_p * len(arguments))(*(ctypes.addressof(value) for value in arguments))  # type: ignore[arg-type]
    function = getattr(library, f"shim_{entry}")
    function((ctypes.c_uint * 3)(*grid), (ctypes.c_uint * 3)(*block), addresses)
