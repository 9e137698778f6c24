"""Where the results of each input go, and whether they can go there; asked before any model is loaded."""

from collections.abc import Iterable
from dataclasses import dataclass
from glob import escape
from pathlib import Path
from shutil import rmtree
from tempfile import NamedTemporaryFile

from app.inputs import TRACKED_SUFFIX, TrackInput
from engine.errors import SinkError, UsageError

REMEDY = "choose another --out"
"""What to do about an output folder that does not serve, in the words of the command line."""


@dataclass(frozen=True, slots=True)
class OutputPaths:
    """The files of one input; `video` is None where no annotated video was asked for."""

    csv: Path
    sidecar: Path
    video: Path | None

    @property
    def all(self) -> list[Path]:
        """Every file that is written."""
        return [self.csv, self.sidecar] + ([self.video] if self.video else [])


def output_paths(item: TrackInput, out: Path, *, video: bool) -> OutputPaths:
    """Return the output files of one input: ``clip.csv``, ``clip.json`` and ``clip.tracked.mp4``."""
    # Not with_suffix: the stem of session.2.mp4 is session.2, whose ".2" is no suffix to be replaced.
    return OutputPaths(
        csv=out / f"{item.stem}.csv",
        sidecar=out / f"{item.stem}.json",
        video=out / f"{item.stem}{TRACKED_SUFFIX}" if video else None,
    )


def prepare_folder(out: Path, *, remedy: str = REMEDY) -> None:
    """Make the output folder and write to it once.

    Raises:
        UsageError: it cannot be made or written.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
        with NamedTemporaryFile(dir=out, prefix=".steadypose-"):
            pass
    except OSError as error:
        raise UsageError(
            f"the output folder {out} cannot be written: {error.strerror or error}; {remedy}"
        ) from error


def check_inputs_kept(
    inputs: Iterable[TrackInput], outputs: Iterable[OutputPaths], *, remedy: str = REMEDY
) -> None:
    """Refuse outputs that would replace an input.

    Raises:
        UsageError: an output is an input.
    """
    sources = {item.path.resolve() for item in inputs}
    for paths in outputs:
        for path in paths.all:
            if path.resolve() in sources:
                raise UsageError(f"{path} is an input and would be written over; {remedy}")


def clear_parts(paths: Iterable[Path], *, writer: int | None = None) -> None:
    """Delete what a killed process was writing beside these files: parts that never took their places.

    The parts of all files whose names begin with that of a given one and a dot are among them.

    Args:
        paths: of finished files.
        writer: number of the process whose parts go; None takes those of all.

    Raises:
        UsageError: one cannot be deleted.
    """
    for path in paths:
        start, end = f".{escape(path.stem)}.", f"{'*' if writer is None else writer}.part*"
        found = {*path.parent.glob(start + end), *path.parent.glob(f"{start}*.{end}")}
        for part in sorted(found):
            try:
                rmtree(part) if part.is_dir() else part.unlink(missing_ok=True)
            except OSError as error:
                raise UsageError(f"{part} cannot be deleted: {error.strerror or error}") from error


def check_absent(paths: OutputPaths) -> None:
    """Refuse to replace results of an earlier run.

    Raises:
        SinkError: one of the files exists.
    """
    for path in find_existing(paths):
        raise SinkError(f"{path} exists already; --overwrite replaces it")


def find_existing(paths: OutputPaths) -> list[Path]:
    """Return the files that are there already."""
    return [path for path in paths.all if path.exists()]
