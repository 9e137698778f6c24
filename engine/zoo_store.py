"""Where downloaded models lie: a folder of the user's own, and the checkpoints on their way into it."""

import os
import sys
from pathlib import Path

from engine.errors import UsageError
from engine.zoo_catalogue import MMPOSE_STORE

DATA_DIR_VARIABLE = "STEADYPOSE_DATA_DIR"
STORE_VARIABLE = "STEADYPOSE_MODEL_STORE"


def data_dir() -> Path:
    """Return the project's folder for the user's data; it need not exist yet.

    `STEADYPOSE_DATA_DIR`; else ``steadypose`` below `XDG_DATA_HOME` or ``~/.local/share`` on Linux, below
    ``~/Library/Application Support`` on macOS, below `LOCALAPPDATA` on Windows.
    """
    if own := os.environ.get(DATA_DIR_VARIABLE):
        return Path(own).expanduser().absolute()
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA") or str(Path.home() / "AppData" / "Local")
    elif sys.platform == "darwin":
        base = str(Path.home() / "Library" / "Application Support")
    else:
        base = os.environ.get("XDG_DATA_HOME") or str(Path.home() / ".local" / "share")
    return Path(base) / "steadypose"


def downloaded_dir() -> Path:
    """Return the folder of the model files made of downloaded checkpoints."""
    return data_dir() / "models"


def checkpoints_dir() -> Path:
    """Return the folder of checkpoints that are being fetched or wait to be converted."""
    return data_dir() / "checkpoints"


def store_address() -> str:
    """Return the address that the catalogue's paths lie below: `STEADYPOSE_MODEL_STORE`, else MMPose's store.

    Raises:
        UsageError: the variable holds no http or https address.
    """
    own = os.environ.get(STORE_VARIABLE, "").strip()
    if own and not own.startswith(("https://", "http://")):
        raise UsageError(
            f"{STORE_VARIABLE} must be the http or https address of a mirror, got {own!r}; unset it for the "
            "public store"
        )
    return own or MMPOSE_STORE
