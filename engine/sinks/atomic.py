"""Files that are there whole or not at all: for formats that cannot be written as frames arrive."""

import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from engine.errors import SinkError
from engine.sinks.sink import write_failure


@contextlib.contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Give a path beside `path` to write to; once the block ends, that file takes the place of `path`.

    It has the suffix of `path`, as some libraries go by it. Where the block fails it is deleted, and a file
    that was at `path` stays as it was.

    Raises:
        SinkError: the operating system refused something inside the block or after it.
    """
    part = _part(path)
    try:
        with _naming(part, path):
            yield part
            with part.open("rb+") as stream:
                os.fsync(stream.fileno())
            part.replace(path)
    finally:
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)


@contextlib.contextmanager
def whole_folder(path: Path) -> Iterator[Path]:
    """Give an empty folder beside `path` to fill; once the block ends, it takes the place of `path`.

    Where the block fails it is deleted, and a folder that was at `path` stays as it was.

    Raises:
        SinkError: the operating system refused something inside the block or after it.
    """
    part, old = _part(path), path.with_name(f".{path.name}.{os.getpid()}.old")
    try:
        with _naming(part, path, folder=True):
            part.mkdir()
            yield part
            if path.is_dir():
                path.rename(old)
            part.rename(path)
    finally:
        if old.is_dir() and not path.exists():
            old.rename(path)
        for folder in (part, old):
            shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def _naming(part: Path, path: Path, *, folder: bool = False) -> Iterator[None]:
    """Put refusals of the operating system into words that name `path`, not `part`, which stands in for it.

    A writer inside the block may have put them into words already, with the name that it knows.
    """
    try:
        yield
    except OSError as error:
        raise write_failure(path, error, folder=folder) from error
    except SinkError as error:
        refusal = error.__cause__
        if not (isinstance(refusal, OSError) and str(error).startswith(str(part))):
            raise
        raise write_failure(path, refusal, folder=folder) from refusal


def _part(path: Path) -> Path:
    return path.with_name(f".{path.stem}.{os.getpid()}.part{path.suffix}")
