"""What `models download` and `models remove` do.

A checkpoint is fetched, then converted by a process of its own, since only `train` knows torch.
"""

import logging
import os
import subprocess
import sys
from collections.abc import Sequence
from difflib import get_close_matches
from importlib.util import find_spec
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

import engine
from app.console import say
from engine.download import Patience, download
from engine.errors import ModelFileError, RuntimeUnavailableError, SinkError, SteadyPoseError, UsageError
from engine.model_file import file_sha256, read_spec
from engine.zoo import ALIASES, model_names, remove_model
from engine.zoo_catalogue import CATALOGUE, MMPOSE_STORE, PublishedModel
from engine.zoo_store import checkpoints_dir, downloaded_dir, store_address

LOGGER = logging.getLogger(__name__)

CONVERTER = "train.convert"
"""Run as a process: only it knows torch."""
CONVERTER_NEEDS = ("torch", "onnxscript", "safetensors")
INSTALL_LINE = "pip install '.[train]'"
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
    target = downloaded_dir() / f"{entry.name}.onnx"
    if _usable(target):
        say(f"{entry.name} is at hand already: {target}")
        return
    checkpoint = _check_given(entry, source) if source is not None else _fetch(entry, console, quiet)
    if not quiet:
        console.print(f"{entry.name}: converting and comparing with torch")
    _convert(entry, checkpoint, target)
    if source is None and not keep:
        checkpoint.unlink(missing_ok=True)
    say(f"{entry.name} is at hand: {target}, {target.stat().st_size / 1e6:.1f} MB")


def _usable(target: Path) -> bool:
    if not target.is_file():
        return False
    try:
        read_spec(target)
    except ModelFileError as error:
        LOGGER.warning("%s; it is made again", error)
        return False
    return True


def _check_given(entry: PublishedModel, source: Path) -> Path:
    """Return the given checkpoint if it is the published one."""
    if not source.is_file():
        raise ModelFileError(f"checkpoint {source} does not exist; give the path of the downloaded file")
    digest = file_sha256(source)
    if not digest.startswith(entry.sha256_prefix):
        raise ModelFileError(
            f"{source} is not the published file: its SHA-256 begins with {digest[:8]} instead of "
            f"{entry.sha256_prefix}; for other weights use `python -m train convert FILE OUT.onnx --like "
            f"{entry.name}`"
        )
    return source.absolute()


def _fetch(entry: PublishedModel, console: Console, quiet: bool) -> Path:
    if not entry.path:
        raise ModelFileError(
            f"its authors publish it without a hash, so it is not fetched; see {entry.page}, then run "
            f"`steadypose models download {entry.name} --from FILE`"
        )
    store = store_address()
    url, target = entry.url(store), checkpoints_dir() / entry.file_name
    with DownloadProgress(entry.name, console, quiet=quiet) as progress:
        download(
            url,
            target,
            sha256_prefix=entry.sha256_prefix,
            allow_http=store != MMPOSE_STORE,
            progress=progress.update,
            patience=Patience(),
            advice=f"or fetch {entry.url()} by other means and run `steadypose models download {entry.name} "
            "--from FILE`",
        )
    return target


def _convert(entry: PublishedModel, checkpoint: Path, target: Path) -> None:
    missing = [package for package in CONVERTER_NEEDS if find_spec(package) is None]
    if missing:
        raise RuntimeUnavailableError(
            f"the checkpoint is at hand ({checkpoint}), but converting it needs {', '.join(missing)}; run "
            f"{INSTALL_LINE} in a clone of the repository, then this command again"
        )
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SinkError(f"{target.parent} cannot be made: {error.strerror or error}") from error
    root = Path(engine.__file__).parent.parent
    paths = os.pathsep.join(filter(None, (str(root), os.environ.get("PYTHONPATH"))))
    command = [
        sys.executable,
        "-m",
        CONVERTER,
        str(checkpoint),
        str(target),
        "--entry",
        entry.model_dump_json(),
    ]
    done = subprocess.run(
        command,
        cwd=root,  # so that no folder called `train` where the user is comes first
        env=os.environ | {"PYTHONPATH": paths},
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )
    LOGGER.debug("%s", done.stderr)
    if done.returncode != 0:
        told = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
        reason = told[-1].removeprefix("error: ") if told else f"its process ended with {done.returncode}"
        raise ModelFileError(f"the checkpoint {checkpoint} could not be converted: {reason}")
    read_spec(target)


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
        if self._bar is not None:
            self._bar.stop()

    def update(self, done: int, total: int | None) -> None:
        """Show `done` of `total` bytes."""
        if self._bar is not None:
            self._bar.update(self._task, completed=done, total=total)
        elif not self._quiet and total and done / total >= self._told + PLAIN_STEP:
            self._told = done / total
            self._console.print(
                f"{self._name}: {done / 1e6:.1f} of {total / 1e6:.1f} MB ({done / total:.0%})"
            )
