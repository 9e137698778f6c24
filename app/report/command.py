"""`steadypose report`: tables, plots and pages of written results; failures are named, the others go on."""

import logging
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from app.console import say
from app.convert import check_distinct, expand_results
from app.outputs import prepare_folder
from app.report.canvas import check_plots
from app.report.content import KnownHeight, ReportOptions
from app.report.writing import write_report
from engine.errors import SteadyPoseError, UsageError

LOGGER = logging.getLogger(__name__)

ALL_DONE, SOME_FAILED = 0, 1


def run_report(
    texts: Sequence[str],
    options: ReportOptions,
    console: Console,
    *,
    out: Path | None = None,
    overwrite: bool = False,
    quiet: bool = False,
) -> int:
    """Report on recordings and return the exit code: 0 all done, 1 something failed.

    Args:
        texts: CSVs that `track` or `live` wrote, folders of them, patterns.
        options: of every report.
        console: where errors go.
        out: folder for the new files, made where it is missing; None puts them beside each CSV.
        overwrite: replace files that exist.
        quiet: do not say what was written.

    Raises:
        UsageError: nothing was started: matplotlib is missing, names that clash, an output folder that cannot
            be written, one person's height for several recordings.
    """
    if options.plots:
        check_plots()
    paths, failures = expand_results(texts)
    if isinstance(options.scale, KnownHeight) and len(paths) > 1:
        raise UsageError(
            f"--height is of one person in one recording, but there are {len(paths)}; "
            "report on each alone, or give --scale-points if the camera stood still"
        )
    if out is not None:
        check_distinct(paths)
        prepare_folder(out)
    for line in failures:
        console.print(f"error: {line}")
    failed = len(failures)
    for path in paths:
        failed += not _report(path, options, console, out, overwrite, quiet)
    return SOME_FAILED if failed else ALL_DONE


def _report(
    path: Path, options: ReportOptions, console: Console, out: Path | None, overwrite: bool, quiet: bool
) -> bool:
    """Report on one recording; return whether all went well."""
    try:
        written = write_report(path, out=out, options=options, overwrite=overwrite)
    except SteadyPoseError as error:
        console.print(f"error: {error}" if str(path) in str(error) else f"error: {path}: {error}")
        return False
    except Exception as error:
        # One defect must not end the reports of all others: it is logged with its trace.
        LOGGER.debug("while reporting on %s", path, exc_info=True)
        console.print(f"error: {path}: unexpected {type(error).__name__}: {error}; -vv shows where")
        return False
    if not quiet:
        say(f"{path} -> {', '.join(map(str, written))}")
    return True
