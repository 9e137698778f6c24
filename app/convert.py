"""`steadypose convert`: written results in other formats; each failure is named and the others go on."""

import logging
import math
from collections.abc import Iterable, Sequence
from glob import glob, has_magic
from pathlib import Path

from rich.console import Console

from app.console import say
from app.extra_files import is_table_beside
from app.outputs import prepare_folder
from engine.errors import SourceError, SteadyPoseError, UsageError
from engine.sinks.formats import FORMATS, parse_formats, write_format
from engine.sinks.results_file import LONG_SUFFIX, ResultsFile, find_sidecar

LOGGER = logging.getLogger(__name__)

ALL_DONE, SOME_FAILED = 0, 1


def run_convert(
    texts: Sequence[str],
    formats: Sequence[str],
    out: Path,
    console: Console,
    *,
    tracks: Sequence[int] = (),
    px_per_metre: float | None = None,
    overwrite: bool = False,
    quiet: bool = False,
) -> int:
    """Convert recordings and return the exit code: 0 all done, 1 something failed.

    Args:
        texts: CSVs that `track` or `live` wrote, folders of them, patterns.
        formats: names, several in one text with commas between them.
        out: folder for the new files; made where it is missing.
        console: where errors go.
        tracks: ids of the people to keep; all where it is empty.
        px_per_metre: pixels that make a metre where the people are; None leaves lengths in pixels.
        overwrite: replace files that exist.
        quiet: do not say what was written.

    Raises:
        UsageError: nothing was started: no such format, a package is missing, names that clash, an output
            folder that cannot be written.
    """
    names = parse_formats(formats)
    if not names:
        raise UsageError("--format needs at least one name, such as --format coco,parquet")
    if px_per_metre is not None and not (math.isfinite(px_per_metre) and px_per_metre > 0):
        raise UsageError(f"--px-per-metre must be a number above 0, got {px_per_metre:g}")
    if px_per_metre is not None and not any(FORMATS[name].scales for name in names):
        scaling = ", ".join(name for name, kind in FORMATS.items() if kind.scales)
        raise UsageError(f"--px-per-metre has a meaning for {scaling} only; the other formats hold pixels")
    paths, failures = expand_results(texts)
    check_distinct(paths)
    prepare_folder(out)
    for line in failures:
        console.print(f"error: {line}")
    failed = len(failures)
    for path in paths:
        failed += not _convert(path, names, out, console, tracks, px_per_metre, overwrite, quiet)
    return SOME_FAILED if failed else ALL_DONE


def expand_results(texts: Sequence[str]) -> tuple[list[Path], list[str]]:
    """Turn arguments into CSVs, each once: files as they are, of folders and patterns those with a sidecar.

    A long file beside the wide one of the same recording is passed over in a folder, and so are tables beside
    results where several files are named, as a pattern that the shell expanded names them all.

    Returns:
        The files in the order given, and one line for each argument that names nothing.
    """
    found: dict[Path, Path] = {}
    failures: list[str] = []
    for text in texts:
        path = Path(text)
        if path.is_dir():
            matches, nothing = _find_recordings(path.glob("*.csv")), "the folder holds no results"
        elif has_magic(text) and not path.exists():
            matches, nothing = _find_recordings(map(Path, glob(text, recursive=True))), "no results match"
        elif len(texts) > 1 and is_table_beside(path):
            LOGGER.info("%s is passed over: it is a table beside results", path)
            continue
        else:
            matches, nothing = [path], ""
        if not matches:
            failures.append(f"{text}: {nothing}: no CSV with its sidecar beside it")
        for match in matches:
            found.setdefault(match.resolve(), match)
    return list(found.values()), failures


def _find_recordings(paths: Iterable[Path]) -> list[Path]:
    """Return those that have a sidecar, without long files whose wide one is there."""
    found = [path for path in sorted(paths) if path.suffix == ".csv" and _has_sidecar(path)]
    return [path for path in found if _wide_sibling(path) not in found]


def _has_sidecar(path: Path) -> bool:
    try:
        find_sidecar(path)
    except SourceError:
        return False
    return True


def _wide_sibling(path: Path) -> Path | None:
    if not path.stem.endswith(LONG_SUFFIX):
        return None
    return path.with_name(f"{path.stem.removesuffix(LONG_SUFFIX)}.csv")


def check_distinct(paths: Sequence[Path]) -> None:
    """Refuse recordings whose files would have the same names.

    Raises:
        UsageError: two have the same name, upper and lower case taken as equal.
    """
    by_name: dict[str, Path] = {}
    for path in paths:
        other = by_name.setdefault(path.stem.removesuffix(LONG_SUFFIX).casefold(), path)
        if other is not path:
            raise UsageError(
                f"{other} and {path} would be written to files of the same names; convert them in two runs "
                "with different --out"
            )


def _convert(
    path: Path,
    names: Sequence[str],
    out: Path,
    console: Console,
    tracks: Sequence[int],
    px_per_metre: float | None,
    overwrite: bool,
    quiet: bool,
) -> bool:
    """Write one recording in every format; return whether all went well."""
    try:
        results = ResultsFile.open(path)
        for warning in results.warnings:
            LOGGER.warning("%s", warning)
        results = results.select(tracks) if tracks else results
    except SteadyPoseError as error:
        console.print(f"error: {error}")
        return False
    done = True
    for name in names:
        try:
            written = write_format(
                name, results, out / results.name, overwrite=overwrite, px_per_metre=px_per_metre
            )
        except SourceError as error:
            # The recording itself is damaged, for every format alike.
            console.print(f"error: {error}")
            return False
        except SteadyPoseError as error:
            _fail(console, path, name, str(error))
            done = False
        except Exception as error:
            # One defect must not end the conversion of all others: it is logged with its trace.
            LOGGER.debug("while converting %s to %s", path, name, exc_info=True)
            _fail(console, path, name, f"unexpected {type(error).__name__}: {error}; -vv shows where")
            done = False
        else:
            if not quiet:
                say(f"{path} -> {', '.join(map(str, written)) or f'nothing: nobody is in it ({name})'}")
    return done


def _fail(console: Console, path: Path, name: str, text: str) -> None:
    console.print(f"error: {text}" if str(path) in text else f"error: {path} as {name}: {text}")
