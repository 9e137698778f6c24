"""Write the report of one recording: tables of people and angles and, where asked for, plots and a page."""

import logging
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path

import numpy as np

from app.extra_files import find_extras
from app.outputs import OutputPaths
from app.report import figures
from app.report.canvas import check_plots
from app.report.content import Report, ReportOptions, measure
from app.report.files import ANGLES_SUFFIX, PEOPLE_SUFFIX, write_angles, write_people
from app.report.page import Picture, build_page
from engine.errors import SinkError, SourceError
from engine.sinks.atomic import whole_file
from engine.sinks.results_file import ResultsFile
from engine.sources import open_source
from engine.structures import Image

LOGGER = logging.getLogger(__name__)

PAGE_SUFFIX = ".report.html"


def write_report(
    csv: Path,
    *,
    out: Path | None = None,
    options: ReportOptions | None = None,
    overwrite: bool = False,
    finished: bool = False,
) -> list[Path]:
    """Write the report of a CSV that `track` or `live` wrote.

    Makes ``clip.people.csv`` and ``clip.angles.csv`` and, with plots, ``clip.timeline.png``,
    ``clip.trajectories.png``, ``clip.speed.png``, ``clip.track3.angles.png`` for each person with angles, and
    ``clip.report.html``, which holds all pictures and needs no other file.

    Args:
        csv: with its sidecar beside it.
        out: folder that exists; None is that of the CSV.
        options: None is pixels and no plots.
        overwrite: replace files that exist.
        finished: the recording has just ended well, though its sidecar does not say so yet.

    Returns:
        the files, in the order above.

    Raises:
        SinkError: a file cannot be written, or exists.
        SourceError: the CSV is not one of this program, or damaged.
        UsageError: the scale is impossible, the recording is of independent pictures, or plots were asked for
            and matplotlib is not installed.
    """
    chosen = options or ReportOptions()
    if chosen.plots:
        check_plots()
    results = ResultsFile.open(csv)
    if not finished:
        for warning in results.warnings:
            LOGGER.warning("%s", warning)
    stem = (csv.parent if out is None else out) / results.name
    report = measure(results, chosen)
    tables = [
        _write(stem, PEOPLE_SUFFIX, lambda part: write_people(part, report), overwrite),
        _write(stem, ANGLES_SUFFIX, lambda part: write_angles(part, report), overwrite),
    ]
    return tables + (_write_plots(stem, report, overwrite, finished) if chosen.plots else [])


class ReportHook:
    """Writes the report of each input of a batch with plots, once its rows are there; can be pickled."""

    def __init__(self, options: ReportOptions | None = None) -> None:
        self._options = options or ReportOptions(plots=True)

    def __call__(self, paths: OutputPaths) -> list[Path]:
        """Write it beside the results, over the report of an earlier try.

        Raises:
            SteadyPoseError: as `write_report`.
        """
        before = find_extras(paths.csv, (), plots=True)
        written = write_report(paths.csv, options=self._options, overwrite=True, finished=True)
        for path in set(before) - set(written):
            # Of somebody who is there no more.
            with suppress(OSError):
                path.unlink()
        return written


def _write_plots(stem: Path, report: Report, overwrite: bool, finished: bool) -> list[Path]:
    pictures: list[Picture] = []
    paths = []
    for suffix, picture in _draw(report):
        paths.append(_write_bytes(stem, suffix, picture.png, overwrite))
        pictures.append(picture)
    warnings = [] if finished else report.results.warnings
    page = build_page(report, pictures, warnings)
    return [*paths, _write_bytes(stem, PAGE_SUFFIX, page.encode("utf-8"), overwrite)]


def _draw(report: Report) -> Iterator[tuple[str, Picture]]:
    """Yield each picture with the suffix of its file."""
    people = len(report.people)
    most = _most_note(people, figures.MOST_ROWS)
    timeline = figures.draw_timeline(report)
    yield ".timeline.png", Picture("Timeline", "Bars of when each person was visible", most, timeline)
    background, note = _find_background(report)
    trajectories = figures.draw_trajectories(report, background)
    most = _most_note(people, figures.MOST_PEOPLE)
    alternative = "Paths of the people in the picture"
    yield ".trajectories.png", Picture("Trajectories", alternative, f"{note} {most}".strip(), trajectories)
    if not people:
        return
    yield ".speed.png", Picture("Speed", "Speed of each person", most, figures.draw_speeds(report))
    for person in figures.longest_visible(report, figures.MOST_PEOPLE):
        png = figures.draw_angles(report, person)
        if png is not None:
            alternative = f"Joint angles of {report.label(person.track_id)} through time"
            yield f".track{person.track_id}.angles.png", Picture("Joint angles", alternative, "", png)


def _most_note(people: int, most: int) -> str:
    return "" if people <= most else f"The {most} of {people} people who were visible longest."


def _find_background(report: Report) -> tuple[Image | None, str]:
    """Return the frame with most people in it, or None, and a line that says which, or why there is none."""
    source = report.results.sidecar.source
    if source.path is None or report.results.live:
        return None, "Without a picture behind: the source was no file."
    frames = [person.frames[person.seen] for person in report.people]
    found, counts = np.unique(np.concatenate(frames) if frames else np.empty(0, int), return_counts=True)
    wanted = int(found[np.argmax(counts)]) if found.size else 0
    times_s = [person.times_s[person.frames == wanted] for person in report.people]
    time_s = max(0.0, *(float(part[0]) for part in times_s if part.size), 0.0)
    path = Path(source.path)
    try:
        with closing(open_source(path, fps=source.fps or 30.0, start_s=time_s)) as opened:
            frame = next(iter(opened), None)
    except SourceError as error:
        LOGGER.info("trajectories have no picture behind them: %s", error)
        return None, f"Without a picture behind: {source.name} cannot be read any more."
    if frame is None or frame.image.shape[:2] != report.results.size:
        return None, f"Without a picture behind: {source.name} has another size now."
    return frame.image, f"Over the frame at {frame.time_s:.2f} s."


def _write_bytes(stem: Path, suffix: str, data: bytes, overwrite: bool) -> Path:
    def write(path: Path) -> None:
        with whole_file(path) as part:
            part.write_bytes(data)

    return _write(stem, suffix, write, overwrite)


def _write(stem: Path, suffix: str, write: Callable[[Path], None], overwrite: bool) -> Path:
    path = stem.with_name(f"{stem.name}{suffix}")
    if path.exists() and not overwrite:
        raise SinkError(f"{path} exists already; --overwrite replaces it")
    write(path)
    return path
