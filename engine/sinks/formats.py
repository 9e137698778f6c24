"""File formats by name: what each is, what its files are called, and what writes it.

A format that can grow is written as frames arrive, by a sink. The others need to know the whole before their
first byte and are written afterwards from the CSV, by a function of one signature::

    write_NAME(results: ResultsFile, stem: Path) -> list[Path]

`stem` is folder and name without a suffix, ``out/clip``; the function adds the suffix of its format (and
``.track3`` before it where each person has a file), replaces what is there through
`engine.sinks.atomic.whole_file` and returns the files it wrote. It raises SinkError where one cannot be
written and UsageError where a package is missing or the format cannot hold this skeleton.
"""

import importlib.util
import re
import shutil
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from difflib import get_close_matches
from glob import escape
from pathlib import Path

from engine.errors import SinkError, UsageError
from engine.sinks import c3d, deeplabcut, mot_file, openpose, parquet, posetrack, sleap, trc
from engine.sinks.c3d import write_c3d
from engine.sinks.coco import ANNOTATIONS_SUFFIX, RESULTS_SUFFIX, write_coco
from engine.sinks.csv_file import CsvSink
from engine.sinks.deeplabcut import write_deeplabcut
from engine.sinks.mot_file import write_mot, write_sto
from engine.sinks.openpose import OpenPoseSink, write_openpose
from engine.sinks.parquet import write_parquet
from engine.sinks.posetrack import write_posetrack
from engine.sinks.results_csv import write_csv, write_long_csv
from engine.sinks.results_file import LONG_SUFFIX, ResultsFile
from engine.sinks.sink import Sink
from engine.sinks.sleap import write_sleap
from engine.sinks.trc import write_trc
from engine.skeleton import Skeleton
from engine.sources.source import SourceInfo

Writer = Callable[..., list[Path]]
"""See above; those whose format `scales` take `px_per_metre` too."""


@dataclass(frozen=True, slots=True)
class Format:
    """One way of writing results.

    title: what it is. suffixes: what follows the name of the source, one for each file; ``*`` stands for the
    number of a track. write: makes it from a recording. packages: what that needs besides this program, all
    in `extra` of it. arriving: it is written as frames arrive; the others afterwards. scales: it can hold
    metres instead of pixels.
    """

    title: str
    suffixes: tuple[str, ...]
    write: Writer
    packages: tuple[str, ...] = ()
    extra: str | None = None
    arriving: bool = False
    scales: bool = False


OF_TRACK = r"\d+(\.part\d+)?"
"""What ``*`` stands for in a suffix. More would take the files of ``clip.tracked`` for some of ``clip``."""

FORMATS: dict[str, Format] = {
    "csv": Format("CSV, one row per person and frame", (".csv", ".json"), write_csv, arriving=True),
    "csv-long": Format(
        "CSV, one row per keypoint",
        (f"{LONG_SUFFIX}.csv", f"{LONG_SUFFIX}.json"),
        write_long_csv,
        arriving=True,
    ),
    "parquet": Format(
        "Parquet, the columns of the CSV, typed", (parquet.SUFFIX,), write_parquet, ("pyarrow",), "export"
    ),
    "coco": Format(
        "COCO keypoints, as annotations and as results", (ANNOTATIONS_SUFFIX, RESULTS_SUFFIX), write_coco
    ),
    "openpose": Format(
        "OpenPose BODY_25, one JSON per frame", (openpose.SUFFIX,), write_openpose, arriving=True
    ),
    "posetrack": Format("PoseTrack18 JSON", (posetrack.SUFFIX,), write_posetrack),
    "deeplabcut": Format(
        "DeepLabCut's analysis, CSV and HDF5",
        (deeplabcut.CSV_SUFFIX, deeplabcut.H5_SUFFIX),
        write_deeplabcut,
        ("pandas", "tables"),
        "export",
    ),
    "sleap": Format("SLEAP's analysis CSV", (sleap.SUFFIX,), write_sleap),
    "trc": Format("OpenSim markers, a file per person", (f".track*{trc.SUFFIX}",), write_trc, scales=True),
    "mot": Format(
        "OpenSim motion: joint angles, a file per person", (f".track*{mot_file.MOT_SUFFIX}",), write_mot
    ),
    "sto": Format(
        "OpenSim storage: joint angles at the times of the frames, a file per person",
        (f".track*{mot_file.STO_SUFFIX}",),
        write_sto,
    ),
    "c3d": Format(
        "C3D, a file per person", (f".track*{c3d.SUFFIX}",), write_c3d, ("ezc3d",), "export", scales=True
    ),
}
"""What `--format` takes."""


def parse_formats(texts: Iterable[str]) -> list[str]:
    """Return the names of formats in some texts, ``coco,trc`` being two, each once, in their order.

    Raises:
        UsageError: there is no such format, or a package that it needs is not installed.
    """
    names = list(dict.fromkeys(name.strip() for text in texts for name in text.split(",") if name.strip()))
    for name in names:
        if name not in FORMATS:
            near = get_close_matches(name.lower(), FORMATS, n=1, cutoff=0.5)
            hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(FORMATS)}"
            raise UsageError(f"no format is called {name!r}; {hint}")
        missing = [package for package in FORMATS[name].packages if importlib.util.find_spec(package) is None]
        if missing:
            raise UsageError(
                f"the format {name} needs the package {' and '.join(missing)}; install it with "
                f'`pip install "steadypose[{FORMATS[name].extra}]"`'
            )
    return names


def find_outputs(names: Iterable[str], stem: Path) -> list[Path]:
    """Return the files and folders of some formats that are there already, whatever run they are of."""
    return find_suffixed(stem, (suffix for name in names for suffix in FORMATS[name].suffixes))


def find_suffixed(stem: Path, suffixes: Iterable[str]) -> list[Path]:
    """Return what is there with a stem's name and a suffix; ``*`` is a track's number, and nothing else."""
    return [
        path
        for suffix in suffixes
        for path in sorted(stem.parent.glob(escape(stem.name) + suffix))
        if re.fullmatch(re.escape(suffix).replace(r"\*", OF_TRACK), path.name[len(stem.name) :])
    ]


def open_sinks(
    names: Sequence[str],
    stem: Path,
    skeleton: Skeleton,
    info: SourceInfo,
    *,
    raw: bool = False,
    keep_empty: bool = False,
    overwrite: bool = False,
) -> list[Sink]:
    """Open those of some formats that are written as frames arrive, but ``csv``, which every run writes.

    Args:
        names: of formats, as `parse_formats` has them.
        stem: folder and name without a suffix, ``out/clip``; the folder must exist.
        skeleton: of the people.
        info: of the source.
        raw: add the unsmoothed coordinates where the format has a place for them.
        keep_empty: write a row for frames without people where there are rows.
        overwrite: replace what an earlier run wrote.

    Returns:
        The sinks, for the caller to close; none stays open where one cannot be opened.

    Raises:
        UsageError: a format cannot hold this skeleton.
        SinkError: a file exists or cannot be made.
    """
    with ExitStack() as stack:
        sinks: list[Sink] = []
        if "csv-long" in names:
            path = with_suffix(stem, f"{LONG_SUFFIX}.csv")
            sinks.append(
                CsvSink(
                    path,
                    skeleton,
                    raw=raw,
                    keep_empty=keep_empty,
                    long=True,
                    wall_time=info.live,
                    overwrite=overwrite,
                )
            )
            stack.enter_context(closing(sinks[-1]))
        if "openpose" in names:
            folder = with_suffix(stem, openpose.SUFFIX)
            sinks.append(OpenPoseSink(folder, skeleton, live=info.live, overwrite=overwrite))
        stack.pop_all()
    return sinks


def write_afterwards(names: Sequence[str], csv_path: Path, *, overwrite: bool = False) -> list[Path]:
    """Write those of some formats that are not written as frames arrive, from a CSV with all its rows.

    Each is tried, whatever became of those before. Its sidecar must be there, whatever status it has.

    Returns:
        The files and folders of all these formats, those included that were written as frames arrived; but
        not those of ``csv``.

    Raises:
        SourceError: the CSV or its sidecar cannot be read back.
        SinkError, UsageError: what went wrong, of all formats that failed, after the others were written.
    """
    arrived = [name for name in names if FORMATS[name].arriving and name != "csv"]
    later = [name for name in names if not FORMATS[name].arriving]
    stem = csv_path.with_name(csv_path.name.removesuffix(".csv"))
    written = find_outputs(arrived, stem)
    if not later:
        return written
    results = ResultsFile.open(csv_path)
    failures: list[SinkError | UsageError] = []
    for name in later:
        try:
            written += write_format(name, results, stem, overwrite=overwrite)
        except (SinkError, UsageError) as error:
            failures.append(error)
    if failures:
        raise type(failures[0])("; ".join(map(str, failures))) from failures[0]
    return written


def write_format(
    name: str,
    results: ResultsFile,
    stem: Path,
    *,
    overwrite: bool = False,
    px_per_metre: float | None = None,
) -> list[Path]:
    """Write a recording in one format, however that is written.

    Args:
        name: of the format.
        results: the recording.
        stem: folder and name of the new files, ``out/clip``; the folder must exist.
        overwrite: replace files that exist. Those of tracks that are there no more are deleted.
        px_per_metre: pixels that make a metre where the people are, for the formats that scale; the others
            stay in pixels.

    Returns:
        The files.

    Raises:
        UsageError: the format cannot hold this skeleton, or a package is missing.
        SinkError: a file exists, is the recording itself, or cannot be written.
        SourceError: the recording is damaged.
    """
    before = find_outputs([name], stem)
    own = {results.path.resolve(), results.sidecar_path.resolve()}
    for path in before:
        if path.resolve() in own:
            raise SinkError(
                f"{path} is what is to be converted and would be written over; choose another folder"
            )
        if not overwrite:
            raise SinkError(f"{path} exists already; --overwrite replaces it")
    scale = {"px_per_metre": px_per_metre} if FORMATS[name].scales else {}
    written = FORMATS[name].write(results, stem, **scale)
    for path in set(before) - set(written):
        try:
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        except OSError as error:
            raise SinkError(
                f"{path} is of an earlier run and cannot be deleted: {error.strerror or error}; delete it "
                "yourself, as it is none of these results"
            ) from error
    return written


def with_suffix(stem: Path, suffix: str) -> Path:
    """Return a path with something added to its name; `Path.with_suffix` would cut ``take.2`` to ``take``."""
    return stem.with_name(stem.name + suffix)
