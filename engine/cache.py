"""The folder for things that can always be made again: compiled models.

Nothing in it is a user's work; deleting it costs a slower start.
"""

import logging
import os
import sys
from pathlib import Path

LOGGER = logging.getLogger(__name__)


def cache_dir() -> Path:
    """Return the project's folder below the user's cache directory; it need not exist yet.

    `XDG_CACHE_HOME` or ``~/.cache`` on Linux, ``~/Library/Caches`` on macOS, `LOCALAPPDATA` on Windows.
    """
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA") or str(Path.home() / "AppData" / "Local")
    elif sys.platform == "darwin":
        base = str(Path.home() / "Library" / "Caches")
    else:
        base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "steadypose"


def writable_cache_dir(name: str) -> Path | None:
    """Make and return the cache folder `name`; None, with a warning in the log, where none can be written."""
    folder = cache_dir() / name
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / f".probe-{os.getpid()}"
        probe.write_bytes(b"")
        probe.unlink()
    except OSError as error:
        LOGGER.warning(
            "cache folder %s cannot be written (%s): models are compiled at every start", folder, error
        )
        return None
    return folder
