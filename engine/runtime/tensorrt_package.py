"""The packages `tensorrt` and `tensorrt_rtx`, which share one API: import, version check, log.

Nothing else imports them. Their log goes to ours; errors are also kept, since their calls report failure by
returning nothing and say why in the log only.
"""

import logging
import re
from collections import deque
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from typing import Any, Literal

from engine.errors import RuntimeUnavailableError
from engine.runtime import RUNTIMES

LOGGER = logging.getLogger(__name__)

PackageName = Literal["tensorrt", "tensorrt-rtx"]

MODULES: dict[PackageName, str] = {"tensorrt": "tensorrt", "tensorrt-rtx": "tensorrt_rtx"}
VERSIONS: dict[PackageName, tuple[tuple[int, int], tuple[int, int]]] = {
    "tensorrt": ((11, 0), (12, 0)),
    "tensorrt-rtx": ((1, 7), (2, 0)),
}
"""First (major, minor) that will do, and the first that will not: both have strongly typed networks only."""
KEPT_ERRORS = 8


class ErrorLog:
    """The last errors that a package reported; safe to write from its threads."""

    def __init__(self) -> None:
        self._lines: deque[str] = deque(maxlen=KEPT_ERRORS)

    def add(self, line: str) -> None:
        """Keep one line."""
        self._lines.append(line)

    def take(self) -> list[str]:
        """Return the lines kept, oldest first, and forget them."""
        lines = []
        while self._lines:
            lines.append(self._lines.popleft())
        return lines


@dataclass(frozen=True, slots=True, eq=False)
class TensorRtPackage:
    """One of the two packages, loaded.

    name: as a runtime is called. module: the Python module. version: as it tells. logger: an ILogger to hand
    to Builder, OnnxParser and Runtime. errors: what it reported.
    """

    name: PackageName
    module: Any
    version: str
    logger: Any
    errors: ErrorLog

    @property
    def portable(self) -> bool:
        """Whether its plans are built without a GPU and run on any that it supports."""
        return self.name == "tensorrt-rtx"

    def why(self) -> str:
        """Return the errors reported since last asked, in one line; a plain sentence where there are none."""
        return "; ".join(self.errors.take()) or f"{self.name} gave no reason"


def load_package(name: PackageName) -> TensorRtPackage:
    """Import a package.

    Raises:
        RuntimeUnavailableError: it is not installed, cannot be loaded or has a version that will not do; the
            message holds the line that installs it.
    """
    try:
        module = import_module(MODULES[name])
    except (ImportError, OSError) as error:
        raise RuntimeUnavailableError(
            f"runtime {name!r} cannot be loaded ({error}); install it with `{RUNTIMES[name].install}`"
        ) from error
    version = str(getattr(module, "__version__", "unknown"))
    _check_version(name, version)
    logger, errors = _logger(module, name)
    return TensorRtPackage(name, module, version, logger, errors)


def _check_version(name: PackageName, version: str) -> None:
    found = re.match(r"(\d+)\.(\d+)", version)
    first, end = VERSIONS[name]
    if found is None or not first <= (int(found[1]), int(found[2])) < end:
        raise RuntimeUnavailableError(
            f"runtime {name!r} needs version {first[0]}.{first[1]} or later below {end[0]}, but "
            f"{version} is installed; install a fitting one with `{RUNTIMES[name].install}`"
        )


@cache
def _logger(module: Any, name: str) -> tuple[Any, ErrorLog]:
    """Return the one logger of a module: it takes the first it is given and must have it to the end."""
    severity = module.ILogger.Severity
    levels = {
        severity.INTERNAL_ERROR: logging.WARNING,
        severity.ERROR: logging.WARNING,
        severity.WARNING: logging.DEBUG,
        severity.INFO: logging.DEBUG,
    }
    errors = ErrorLog()

    class Bridge(module.ILogger):
        """Writes the package's log to ours; its warnings, hundreds, are about its own optimisation."""

        def __init__(self) -> None:
            module.ILogger.__init__(self)

        def log(self, severity: Any, message: str) -> None:
            """Write one message; called from any thread."""
            level = levels.get(severity)
            if level is None:
                return
            if level == logging.WARNING:
                errors.add(_one_line(message))
            LOGGER.log(level, "%s: %s", name, _one_line(message))

    return Bridge(), errors


def _one_line(message: str) -> str:
    return " ".join(message.split())
