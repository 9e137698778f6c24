"""One batch at a time in an output folder: a lock of the operating system, which ends with its process.

The lock is held on a small file in the folder and is not that file's being there: what a killed run leaves
behind blocks nobody. Other processes of the same batch do not ask for it.
"""

import errno
import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from app.outputs import REMEDY
from engine.errors import UsageError

LOGGER = logging.getLogger(__name__)

LOCK_NAME = ".steadypose-batch.lock"


@contextmanager
def only_batch_in(folder: Path, *, remedy: str = REMEDY) -> Iterator[None]:
    """Keep other batches out of a folder while the block runs.

    Where the folder cannot be locked, as on network file systems without locks, that is said and nobody is
    kept out.

    Args:
        folder: where results are written.
        remedy: what to do besides waiting, where another batch is in it.

    Raises:
        UsageError: another batch is in it.
    """
    path = folder / LOCK_NAME
    handle: int | None = None
    try:
        handle = _open_locked(path)
    except OSError as error:
        LOGGER.warning(
            "the output folder %s cannot be locked (%s); see to it that no other batch writes into it now",
            folder, error.strerror or error,
        )  # fmt: skip
    else:
        if handle is None:
            raise UsageError(
                f"another batch is writing into the output folder {folder}; wait for its end, or {remedy}"
            )
    try:
        yield
    finally:
        if handle is not None:
            _release(path, handle)


def _open_locked(path: Path) -> int | None:
    """Return a descriptor of the file with its lock, None where another process has it."""
    while True:
        handle = _open(path)
        try:
            if not _lock(handle):
                os.close(handle)
                return None
            if _is_still_there(path, handle):
                return handle
        except OSError:
            os.close(handle)
            raise
        # Whoever had the lock before has deleted its file between our two calls.
        os.close(handle)


def _open(path: Path) -> int:
    try:
        return os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    except PermissionError:
        # A file of somebody else, left behind or in use, which we may read at least.
        return os.open(path, os.O_RDONLY)


def _is_still_there(path: Path, handle: int) -> bool:
    try:
        return os.path.samestat(os.fstat(handle), path.stat())
    except FileNotFoundError:
        return False


def _release(path: Path, handle: int) -> None:
    """Give the lock back and take its file away; one that stays blocks nobody."""
    if sys.platform == "win32":  # An open file cannot be deleted there.
        os.close(handle)
    with suppress(OSError):
        path.unlink()
    if sys.platform != "win32":
        os.close(handle)


if sys.platform == "win32":
    import msvcrt

    def _lock(handle: int) -> bool:
        """Take the lock of an open file; return whether it was free."""
        try:
            msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)
        except PermissionError:
            return False
        return True

else:
    import fcntl

    def _lock(handle: int) -> bool:
        """Take the lock of an open file; return whether it was free."""
        try:
            # Not lockf, whose lock ends as soon as any descriptor of the file is closed.
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno in (errno.EAGAIN, errno.EWOULDBLOCK):
                return False
            raise
        return True
