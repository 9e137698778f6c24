"""What may be written beside CSV, sidecar and video of an input: other formats, and the report with plots."""

import shutil
import tempfile
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path

from app.inputs import REPORT_STEM, TrackInput
from app.report.files import REPORT_SUFFIXES
from engine import __version__
from engine.errors import UsageError
from engine.sinks.csv_file import CsvSink, describe_columns
from engine.sinks.formats import FORMATS, find_outputs, find_suffixed, write_format
from engine.sinks.results_file import ResultsFile
from engine.sinks.sidecar import Sidecar, SourceRecord, write_sidecar
from engine.skeleton import Skeleton


def stem_of(csv: Path) -> Path:
    """Return folder and name of an input's results without a suffix, ``out/clip``."""
    return csv.with_name(csv.name.removesuffix(".csv"))


def arriving(formats: Iterable[str]) -> list[str]:
    """Return the formats that are written as frames arrive."""
    return [name for name in formats if FORMATS[name].arriving]


def is_table_beside(path: Path) -> bool:
    """Return whether a CSV is a table beside results that are there, by its name: no recording itself."""
    if path.name == f"{REPORT_STEM}.csv":
        return True
    tables = [suffix for suffix in _suffixes(FORMATS, plots=True) if suffix.endswith(".csv")]
    return any(
        path.name.endswith(suffix) and path.with_name(f"{path.name.removesuffix(suffix)}.csv").is_file()
        for suffix in tables
    )


def refuse_clashes(
    items: Sequence[TrackInput], formats: Iterable[str], *, plots: bool = False
) -> dict[Path, str]:
    """Return the inputs whose results would be called as other files of another input, and what to do."""
    owners = {
        f"{item.stem}{suffix}".casefold(): item
        for item in items
        for suffix in _suffixes(formats, plots=plots)
    }
    refused: dict[Path, str] = {}
    for item in items:
        for name in (f"{item.stem}.csv", f"{item.stem}.json"):
            owner = owners.get(name.casefold())
            if owner is not None and item.path not in refused:
                refused[item.path] = (
                    f"{item.label} would be written to {name}, and so would what is made of {owner.label}; "
                    "track them in two runs with different --out, or rename one"
                )
    return refused


def check_formats(formats: Sequence[str], skeleton: Skeleton, *, stills: bool = False) -> None:
    """Refuse formats that cannot hold what is asked of them, before hours are spent on rows for them.

    A frame without people is written in each of them, and thrown away: so each says itself what it needs.

    Raises:
        UsageError: a format cannot hold this skeleton or independent pictures (`stills`), needs a package
            that is not installed, or no temporary file can be written.
    """
    if not formats:
        return
    try:
        with tempfile.TemporaryDirectory(prefix="steadypose-") as folder:
            results = _write_nobody(Path(folder) / "nobody.csv", skeleton, stills=stills)
            for name in formats:
                write_format(name, results, Path(folder) / "other")
    except OSError as error:
        raise UsageError(
            f"temporary files cannot be written to {tempfile.gettempdir()}: {error.strerror or error}; make "
            "room there, or set TMPDIR to another folder"
        ) from error


def _write_nobody(csv: Path, skeleton: Skeleton, *, stills: bool) -> ResultsFile:
    """Write a recording of one frame without people."""
    CsvSink(csv, skeleton).close()
    source = SourceRecord(
        name=csv.stem, path=None, width=640, height=480, fps=30.0, duration_s=None, start_s=0.0, stills=stills
    )
    sidecar = Sidecar(
        status="complete",
        software_version=__version__,
        source=source,
        frames_read=1,
        frames_dropped=0,
        tracks=0,
        most_people=0,
        models=(),
        settings={},
        skeleton=skeleton,
        columns=describe_columns(),
    )
    write_sidecar(csv.with_suffix(".json"), sidecar)
    return ResultsFile.open(csv)


def _suffixes(formats: Iterable[str], *, plots: bool) -> list[str]:
    """Return what the names of extra files end with, ``*`` standing for the number of a track."""
    own = [suffix for name in formats if name != "csv" for suffix in FORMATS[name].suffixes]
    return own + list(REPORT_SUFFIXES if plots else ())


def find_extras(csv: Path, formats: Iterable[str], *, plots: bool = False) -> list[Path]:
    """Return the files and folders of some formats, and of a report, that are there beside a CSV."""
    return find_suffixed(stem_of(csv), _suffixes(formats, plots=plots))


def remove_arriving(csv: Path, formats: Iterable[str]) -> None:
    """Delete what was begun of the formats that are written as frames arrive."""
    for path in find_outputs(arriving(formats), stem_of(csv)):
        with suppress(OSError):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
