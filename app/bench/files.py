"""Numbers of a benchmark on disk."""

import json
from pathlib import Path

from engine.errors import SinkError, UsageError


def check_writable(path: Path) -> None:
    """Open a file for writing and leave it as it is: minutes of measuring must not end in a wrong path.

    Raises:
        UsageError: it cannot be written.
    """
    try:
        path.open("a", encoding="utf-8").close()
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror}; choose another --json") from error


def write_json(path: Path, numbers: dict[str, object]) -> None:
    """Write the numbers of a benchmark.

    Raises:
        SinkError: the file cannot be written.
    """
    try:
        path.write_text(json.dumps(numbers, indent=2) + "\n", encoding="utf-8")
    except OSError as error:
        raise SinkError(f"{path} cannot be written: {error.strerror}") from error
