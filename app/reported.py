"""What all commands have in common: errors as one line, and how much is said."""

import functools
import logging
from collections.abc import Callable
from typing import ParamSpec

import typer

from app.console import make_console
from engine.errors import SteadyPoseError, UsageError

USAGE = 2
"""Exit code where nothing was started."""
Parameters = ParamSpec("Parameters")
LOGGER = logging.getLogger(__name__)


def reported(command: Callable[Parameters, None]) -> Callable[Parameters, None]:
    """Make a command print an error that is the user's to mend as one line and leave with exit code 2."""

    @functools.wraps(command)
    def run(*args: Parameters.args, **kwargs: Parameters.kwargs) -> None:
        try:
            command(*args, **kwargs)
        except SteadyPoseError as error:
            LOGGER.debug("nothing was started", exc_info=True)
            make_console().print(f"error: {error}")
            raise typer.Exit(USAGE) from None

    return run


def check_verbosity(quiet: bool, verbose: int) -> int:
    """Return the verbosity, -1 for quiet; raise `UsageError` where both were asked for."""
    if quiet and verbose:
        raise UsageError("--quiet and --verbose exclude each other; give one of them")
    return -1 if quiet else verbose
