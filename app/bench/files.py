"""Numbers of a benchmark on disk."""

import json
from pathlib import Path

from engine.errors import SinkError


def write_json(path: Path, numbers: dict[str, object]) -> None:
    """Write the numbers of a benchmark.

    Raises:
        SinkError: the file cannot be written.
    """
    try:
        path.write_text(json.dumps(numbers, indent=2) + "\n", encoding="utf-8")
    except OSError as error:
        raise SinkError(f"{path} cannot be written: {error.strerror}; choose another --json") from error
