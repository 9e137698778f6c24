"""What the command line says besides its results: one console on stderr, the log and its loudness."""

import logging
import sys

from rich.console import Console

PACKAGES = ("app", "engine")
LEVELS = {-1: logging.ERROR, 0: logging.WARNING, 1: logging.INFO, 2: logging.DEBUG}
"""Verbosity (-1 is --quiet, 2 is -vv) to the weakest log level that is shown."""


def make_console() -> Console:
    """Return a console on the present stderr; without a terminal it writes plain text."""
    return Console(stderr=True, highlight=False, soft_wrap=True, markup=False, emoji=False)


class ConsoleHandler(logging.Handler):
    """Writes log records as single lines above a progress bar that may be live on the same console."""

    def __init__(self, console: Console, *, tracebacks: bool) -> None:
        super().__init__()
        self._console = console
        self._tracebacks = tracebacks

    def emit(self, record: logging.LogRecord) -> None:
        """Print one record; the traceback only where it was asked for."""
        self._console.print(f"{record.levelname.lower()}: {record.getMessage()}")
        if record.exc_info and self._tracebacks:
            self._console.print(logging.Formatter().formatException(record.exc_info))


def configure_logging(console: Console, verbosity: int) -> None:
    """Send the log of this project to `console`, at the level that `verbosity` asks for.

    Args:
        console: where lines go.
        verbosity: -1 for errors only, 0 for warnings, 1 for what was chosen and how long it took, 2 for all,
            with tracebacks.
    """
    level = LEVELS[max(-1, min(verbosity, 2))]
    handler = ConsoleHandler(console, tracebacks=verbosity >= 2)
    for name in PACKAGES:
        logger = logging.getLogger(name)
        logger.handlers = [handler]
        logger.setLevel(level)
        logger.propagate = False


def say(text: str) -> None:
    """Write one line of result to stdout."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def duration(seconds: float) -> str:
    """Return a duration as h:mm:ss, or m:ss below an hour."""
    whole = max(0, round(seconds))
    hours, rest = divmod(whole, 3600)
    minutes, rest = divmod(rest, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
