"""What `models download` and `models remove` do; the work itself is in `app.model_store`."""

import logging
from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

from app.console import say
from app.model_store import JobProgress, find_usable, obtain_model
from engine.download import Patience
from engine.errors import SteadyPoseError, UsageError
from engine.zoo import ALIASES, model_names, remove_model
from engine.zoo_catalogue import CATALOGUE, PublishedModel
from engine.zoo_store import store_address

LOGGER = logging.getLogger(__name__)

PLAIN_STEP = 0.1
"""Share of a file after which a plain line is written where there is no terminal."""


def download_models(
    names: Sequence[str], *, source: Path | None, keep: bool, console: Console, quiet: bool
) -> int:
    """Download and convert models; tell of each.

    Args:
        names: names in the catalogue.
        source: a checkpoint at hand to take instead of fetching the one named.
        keep: leave the checkpoint in the data folder.
        console: for progress and errors.
        quiet: say nothing but errors.

    Returns:
        Exit code: 0 all are at hand, 1 some failed, each named, 130 stopped by Ctrl-C.

    Raises:
        UsageError: a name is not in the catalogue, or one file was given for several models.
    """
    entries = [_published(name) for name in dict.fromkeys(names)]
    if source is not None and len(entries) > 1:
        raise UsageError("--from gives the checkpoint of one model; name one model")
    store_address()
    failed = False
    for entry in entries:
        try:
            _download_model(entry, source, keep, console, quiet)
        except KeyboardInterrupt:
            console.print(f"stopped; `steadypose models download {entry.name}` goes on from here")
            return 130
        except SteadyPoseError as error:
            LOGGER.debug("%s failed", entry.name, exc_info=True)
            console.print(f"error: {entry.name}: {error}")
            failed = True
    return 1 if failed else 0


def remove_models(names: Sequence[str]) -> None:
    """Delete downloaded models and say so.

    Raises:
        UsageError, ModelFileError, SinkError: see `engine.zoo.remove_model`.
    """
    for name in dict.fromkeys(names):
        freed = remove_model(name)
        say(f"{name} is removed, {freed / 1e6:.1f} MB are free again")


def _published(name: str) -> PublishedModel:
    if name in CATALOGUE:
        return CATALOGUE[name]
    if name in ALIASES or name in model_names():
        raise UsageError(f"{name} is bundled with the program; there is nothing to download")
    near = get_close_matches(name, CATALOGUE, n=3)
    hint = f"did you mean {' or '.join(near)}?" if near else "`steadypose models list` shows all"
    raise UsageError(f"no published model is called {name!r}; {hint}")


def _download_model(
    entry: PublishedModel, source: Path | None, keep: bool, console: Console, quiet: bool
) -> None:
    if at_hand := find_usable(entry):
        say(f"{entry.name} is at hand already: {at_hand}")
        return
    with DownloadProgress(entry.name, console, quiet=quiet) as shown:
        target = obtain_model(entry, report=shown.show, source=source, keep=keep, patience=Patience())
    say(f"{entry.name} is at hand: {target}, {target.stat().st_size / 1e6:.1f} MB")


class DownloadProgress:
    """Bytes, speed and time left as a live bar on a terminal, as plain lines elsewhere, or nothing."""

    def __init__(self, name: str, console: Console, *, quiet: bool) -> None:
        self._name, self._console, self._quiet = name, console, quiet
        self._told = -1.0
        self._bar: Progress | None = None

    def __enter__(self) -> "DownloadProgress":
        if self._console.is_terminal and not self._quiet:
            self._bar = Progress(
                TextColumn("{task.description}", markup=False),
                BarColumn(),
                DownloadColumn(),
                TransferSpeedColumn(),
                TimeRemainingColumn(),
                console=self._console,
                transient=True,
                redirect_stdout=False,
                redirect_stderr=False,
            )
            self._task = self._bar.add_task(self._name, total=None)
            self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._close()

    def _close(self) -> None:
        if self._bar is not None:
            self._bar.stop()
            self._bar = None

    def show(self, progress: JobProgress) -> None:
        """Show bytes while they come, then that the conversion has begun."""
        if progress.phase == "downloading":
            self.update(progress.done_bytes, progress.total_bytes)
        elif progress.phase == "converting":
            self._close()
            if not self._quiet:
                self._console.print(f"{self._name}: converting and comparing with torch")

    def update(self, done: int, total: int | None) -> None:
        """Show `done` of `total` bytes."""
        if self._bar is not None:
            self._bar.update(self._task, completed=done, total=total)
        elif not self._quiet and total and done / total >= self._told + PLAIN_STEP:
            self._told = done / total
            self._console.print(
                f"{self._name}: {done / 1e6:.1f} of {total / 1e6:.1f} MB ({done / total:.0%})"
            )
