"""What every sink offers, and how a refusal of the operating system is put into words."""

import errno
from pathlib import Path
from typing import Protocol

from engine.errors import SinkError
from engine.structures import Result

_REASONS = {
    errno.ENOSPC: "the disk is full; free some space or write elsewhere",
    errno.EDQUOT: "the disk quota is used up; free some space or write elsewhere",
    errno.EACCES: "writing there is not permitted; choose another folder",
    errno.EPERM: "writing there is not permitted; choose another folder",
    errno.EROFS: "the disk is read-only; choose another folder",
    errno.ENOENT: "its folder does not exist; make it first",
    errno.ENOTDIR: "its folder is a file; choose another folder",
    errno.EISDIR: "there is a folder of that name; choose another name",
    errno.EEXIST: "the file exists already; remove it or ask for it to be overwritten",
    errno.EFBIG: "the file would be larger than is allowed here",
}


class Sink(Protocol):
    """Writes results to one file, in the order they are given."""

    def write(self, result: Result) -> None:
        """Write one result.

        Raises:
            SinkError: it could not be written; what was written before stays valid.
        """

    def close(self) -> None:
        """Finish the file; safe to call more than once.

        Raises:
            SinkError: what was still to be written could not be.
        """


def write_failure(path: Path, error: OSError, *, folder: bool = False) -> SinkError:
    """Return the error to raise where `path` could not be written; folder: it is meant to be one."""
    code = errno.EISDIR if path.is_dir() and not folder else error.errno
    reason = _REASONS.get(code or 0) or error.strerror or str(error)
    return SinkError(f"{path} cannot be written: {reason}")
