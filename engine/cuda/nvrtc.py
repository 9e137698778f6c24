"""Compiles the kernels of this folder with NVRTC and keeps what came out; needs no GPU.

Stands between the ``.cu`` files and `driver.CudaDevice.kernel`. A kept file begins with the SHA-256 of the
rest, so that one cut short or changed is known and made anew.
"""

import logging
import os
import tempfile
from functools import cache
from hashlib import sha256
from pathlib import Path
from types import ModuleType
from typing import Any

from engine.cache import writable_cache_dir
from engine.errors import DeviceError, RuntimeUnavailableError

LOGGER = logging.getLogger(__name__)
KERNELS = Path(__file__).parent
FLAGS = ("--std=c++17", "--fmad=false")
"""Products and sums are rounded one by one, as on the CPU where the kernels are tested."""
DIGEST_BYTES = 32
INSTALL = 'pip install "steadypose[cuda]"'


def compile_kernel_file(name: str, arch: str) -> bytes:
    """Return ``engine/cuda/NAME.cu`` compiled for one kind of GPU, from the cache where it is there.

    Args:
        name: of the file, without ``.cu``.
        arch: such as ``sm_86``. One that this NVRTC does not know gets the code of the nearest older one that
            runs on it, or, where there is none, PTX, which the driver compiles.

    Returns:
        A cubin, or PTX with its closing zero; both are what `cuModuleLoadData` takes.

    Raises:
        RuntimeUnavailableError: NVRTC is not installed, or knows no code that runs on `arch`.
        DeviceError: the file does not compile.
    """
    nvrtc = _bindings()
    target = _target(arch)
    source = (KERNELS / f"{name}.cu").read_bytes()
    headers = {path.name: path.read_bytes() for path in sorted(KERNELS.glob("*.cuh"))}
    folder = writable_cache_dir("cuda")
    if folder is None:
        return _compile(nvrtc, name, source, headers, target)
    path = folder / f"{name}-{target}-{_key(source, headers, target)}.bin"
    kept = _read(path)
    if kept is not None:
        return kept
    image = _compile(nvrtc, name, source, headers, target)
    _write(path, image)
    return image


@cache
def nvrtc_version() -> tuple[int, int]:
    """Return the version of NVRTC, (major, minor).

    Raises:
        RuntimeUnavailableError: it is not installed.
    """
    nvrtc = _bindings()
    major, minor = _call(nvrtc, nvrtc.nvrtcVersion)
    return int(major), int(minor)


@cache
def _supported() -> tuple[int, ...]:
    nvrtc = _bindings()
    (archs,) = _call(nvrtc, nvrtc.nvrtcGetSupportedArchs)
    return tuple(sorted(archs))


def _target(arch: str) -> str:
    """Return what to compile for so that it runs on `arch`: ``sm_…`` or, for unknown ones, ``compute_…``."""
    number = int(arch.removeprefix("sm_"))
    older = [known for known in _supported() if known <= number]
    if not older:
        raise RuntimeUnavailableError(
            f"kernels can be compiled for GPUs from compute capability {_supported()[0] / 10} on, this one "
            f"has {number / 10}; choose a runtime that needs no NVIDIA GPU"
        )
    same_major = older[-1] // 10 == number // 10
    return f"{'sm' if same_major else 'compute'}_{older[-1]}"


def _bindings() -> ModuleType:
    try:
        from cuda.bindings import nvrtc
    except ImportError as error:
        raise RuntimeUnavailableError(
            f"kernels are compiled by NVRTC, whose package is missing ({error}); {INSTALL}"
        ) from error
    return nvrtc


def _call(nvrtc: ModuleType, function: Any, *arguments: object) -> tuple[Any, ...]:
    try:
        result, *values = function(*arguments)
    except RuntimeError as error:  # cuda.pathfinder: the library itself is not there
        raise RuntimeUnavailableError(
            f"kernels are compiled by NVRTC, whose library does not load ({error}); {INSTALL}"
        ) from error
    if result != nvrtc.nvrtcResult.NVRTC_SUCCESS:
        raise DeviceError(f"NVRTC could not do {function.__name__}: {result.name}")
    return tuple(values)


def _compile(nvrtc: ModuleType, name: str, source: bytes, headers: dict[str, bytes], target: str) -> bytes:
    names = [header.encode() for header in headers]
    file = f"{name}.cu".encode()
    (program,) = _call(
        nvrtc, nvrtc.nvrtcCreateProgram, source, file, len(names), list(headers.values()), names
    )
    try:
        options = [f"--gpu-architecture={target}".encode(), *(flag.encode() for flag in FLAGS)]
        (result,) = nvrtc.nvrtcCompileProgram(program, len(options), options)
        if result != nvrtc.nvrtcResult.NVRTC_SUCCESS:
            log = _fetch(nvrtc, program, nvrtc.nvrtcGetProgramLogSize, nvrtc.nvrtcGetProgramLog)
            text = log.rstrip(b"\0").decode(errors="replace").strip()
            raise DeviceError(f"{name}.cu does not compile for {target} ({result.name}): {text}")
        if target.startswith("sm_"):
            return _fetch(nvrtc, program, nvrtc.nvrtcGetCUBINSize, nvrtc.nvrtcGetCUBIN)
        return _fetch(nvrtc, program, nvrtc.nvrtcGetPTXSize, nvrtc.nvrtcGetPTX)
    finally:
        _call(nvrtc, nvrtc.nvrtcDestroyProgram, program)


def _fetch(nvrtc: ModuleType, program: object, ask_size: Any, ask: Any) -> bytes:
    (size,) = _call(nvrtc, ask_size, program)
    buffer = bytearray(size)
    _call(nvrtc, ask, program, buffer)
    return bytes(buffer)


def _key(source: bytes, headers: dict[str, bytes], target: str) -> str:
    digest = sha256(repr((nvrtc_version(), FLAGS, target)).encode())
    for text in (source, *(name.encode() + b"\0" + text for name, text in headers.items())):
        digest.update(len(text).to_bytes(8, "little") + text)
    return digest.hexdigest()[:32]


def _read(path: Path) -> bytes | None:
    """Return what is kept; None where there is nothing, or something else than was written."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        LOGGER.warning("kept kernel %s cannot be read (%s): compiled anew", path, error)
        return None
    digest, image = data[:DIGEST_BYTES], data[DIGEST_BYTES:]
    if not image or sha256(image).digest() != digest:
        LOGGER.warning("kept kernel %s is damaged: compiled anew", path)
        return None
    return image


def _write(path: Path, image: bytes) -> None:
    """Keep an image: all of it or nothing, whoever else writes the same file."""
    try:
        handle, scratch = tempfile.mkstemp(dir=path.parent, prefix=f".{path.stem}-")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(sha256(image).digest() + image)
            os.replace(scratch, path)
        except BaseException:
            Path(scratch).unlink(missing_ok=True)
            raise
    except OSError as error:
        LOGGER.warning("kernel %s cannot be kept (%s): compiled at every start", path, error)
