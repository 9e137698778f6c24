"""What TensorRT measured of its kernels in earlier builds, so that the next build takes seconds, not minutes.

TensorRT-RTX measures nothing while it builds and has no such cache.
"""

import logging
import os
from pathlib import Path
from typing import Any

from engine.cache import writable_cache_dir
from engine.cuda.device import DeviceInfo
from engine.runtime.plan_cache import FOLDER
from engine.runtime.tensorrt_package import TensorRtPackage

LOGGER = logging.getLogger(__name__)


def load_timings(config: Any, package: TensorRtPackage, gpu: DeviceInfo | None) -> Path | None:
    """Give an IBuilderConfig the earlier measurements of a GPU.

    Returns:
        The file for `store_timings`; None where no cache can be written.
    """
    folder = writable_cache_dir(FOLDER)
    if folder is None:
        return None
    name = "gpu" if gpu is None else "".join(c if c.isalnum() else "-" for c in gpu.name)
    path = folder / f"timings-{package.version}-{name}.cache"
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        data = b""
    except OSError as error:
        LOGGER.warning("%s cannot be read (%s) and is begun anew", path, error)
        data = b""
    cache = config.create_timing_cache(data)
    if cache is None or not config.set_timing_cache(cache, False):
        # The package compares the GPU and the driver, and what it cannot read it refuses.
        LOGGER.info("%s is damaged or of another GPU or driver and is begun anew", path)
        package.errors.take()
        config.set_timing_cache(config.create_timing_cache(b""), False)
    return path


def store_timings(config: Any, path: Path) -> None:
    """Keep the measurements of a build; where that fails it is logged."""
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        part.write_bytes(bytes(config.get_timing_cache().serialize()))
        os.replace(part, path)
    except OSError as error:
        LOGGER.warning("%s cannot be kept (%s): the next plan takes as long to build", path, error)
        part.unlink(missing_ok=True)
