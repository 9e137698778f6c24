"""What TensorRT-RTX compiles at run time, kept on disk: without it every start compiles again, for seconds.

The package itself checks that a cache fits the GPU, the driver and its own version.
"""

import hashlib
import logging
import os
from pathlib import Path
from typing import Any

from engine.cache import writable_cache_dir

LOGGER = logging.getLogger(__name__)

FOLDER = "tensorrt-rtx"
KEPT_FILES = 32
"""Older caches go: each plan and GPU has its own."""


def jit_cache_file(plan_sha256: str, gpu: str) -> Path | None:
    """Return the file for the kernels of a plan on a GPU; None where no cache can be written."""
    folder = writable_cache_dir(FOLDER)
    digest = hashlib.sha256(f"{plan_sha256} {gpu}".encode()).hexdigest()[:40]
    return None if folder is None else folder / f"{digest}.kernels"


class JitCache:
    """The package's cache of kernels and its file. handle: the package's IRuntimeCache."""

    def __init__(self, handle: Any, path: Path | None) -> None:
        """Load the file where there is one that fits."""
        self.handle = handle
        self._path = path
        self._saved = b""
        if path is None:
            return
        try:
            data = path.read_bytes()
        except FileNotFoundError:
            return
        except OSError as error:
            LOGGER.warning("kernels of TensorRT-RTX cannot be read from %s: %s", path, error)
            return
        if handle.deserialize(data):
            self._saved = _digest(data)
        else:
            LOGGER.info("kernels in %s are of another GPU or version and are compiled again", path)

    def save(self) -> None:
        """Write the file if something was compiled since; a folder that cannot be written is only logged."""
        if self._path is None:
            return
        data = bytes(memoryview(self.handle.serialize()))
        digest = _digest(data)
        if digest == self._saved:
            return
        part = self._path.with_suffix(f".{os.getpid()}.part")
        try:
            part.write_bytes(data)
            part.replace(self._path)
            _drop_oldest(self._path.parent)
        except OSError as error:
            LOGGER.warning("kernels of TensorRT-RTX cannot be kept in %s: %s", self._path, error)
            part.unlink(missing_ok=True)
            return
        self._saved = digest


def _digest(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


def _drop_oldest(folder: Path) -> None:
    files = sorted(folder.glob("*.kernels"), key=lambda file: file.stat().st_mtime, reverse=True)
    for file in files[KEPT_FILES:]:
        file.unlink(missing_ok=True)
