"""`steadypose evaluate-tracks`: recordings against the truth, identities and motion in one table."""

import importlib.metadata
import logging
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from app.bench.files import check_writable, write_json
from app.console import say
from app.convert import expand_results
from app.tables import text_table
from app.track_comparison import Comparison, compare_tracks
from app.truth_files import open_truth
from app.truth_sequence import TruthSequence
from engine import __version__
from engine.errors import SourceError
from engine.metrics.mot import Measure, MotFigures, MotMeter, combined_figures
from engine.metrics.motion import MotionFigures, motion_figures
from engine.sinks.results_file import LONG_SUFFIX, ResultsFile
from engine.skeleton import COCO17

LOGGER = logging.getLogger(__name__)

ALL_DONE, SOME_FAILED = 0, 1
MIN_LIKENESS = 0.5
"""OKS or IoU from which on two people are the same; HOTA has thresholds of its own."""
LIBRARIES = ("motmetrics", "trackeval")
HEADERS = (
    "sequence", "frames", "people", "HOTA", "DetA", "AssA", "MOTA", "IDF1", "switches", "fragments", "missed",
    "extra", "error px", "jitter px", "lag ms",
)  # fmt: skip

Figures = tuple[MotFigures, MotionFigures]


def run_evaluate_tracks(
    results: Path,
    truth: Path,
    console: Console,
    *,
    similarity: Measure = "oks",
    first_frame: int = 0,
    json_path: Path | None = None,
) -> int:
    """Judge recordings, print a table and return the exit code: 0 all done, 1 something failed.

    Args:
        results: a CSV that `track` or `live` wrote, or a folder of them.
        truth: of the same sources: a CSV, a COCO or PoseTrack JSON, or a folder of them. One recording and
            one truth belong together whatever they are called, several by their names.
        console: where errors go.
        similarity: what makes two people the same.
        first_frame: number that the truth gives the first frame of a source.
        json_path: file for the figures.

    Raises:
        UsageError: motmetrics or trackeval is not installed, or the JSON cannot be written.
        SourceError: there are no results or no truth, or the truth is damaged.
        SinkError: writing the JSON failed.
    """
    # Asks for the libraries before anything is read.
    MotMeter(COCO17, hota=True)
    if json_path is not None:
        check_writable(json_path)
    paths, failures = expand_results([str(results)])
    if failures:
        raise SourceError(failures[0])
    pairs, failures = _match_by_name(paths, open_truth(truth), truth)
    compared: dict[str, Comparison] = {}
    for path, sequence in pairs:
        try:
            found = compare_tracks(
                ResultsFile.open(path), sequence, measure=similarity, first_frame=first_frame
            )
        except SourceError as error:
            failures.append(str(error))
            continue
        for warning in found.warnings:
            LOGGER.warning("%s", warning)
        compared[found.name] = found
    for line in failures:
        console.print(f"error: {line}")
    figures = _measure(list(compared.values()))
    if compared:
        say(table_text(compared, figures))
        say(_legend(similarity, compared))
    if json_path is not None:
        write_json(json_path, _as_dict(compared, figures, similarity, failures))
    return SOME_FAILED if failures else ALL_DONE


def table_text(compared: dict[str, Comparison], figures: Sequence[Figures]) -> str:
    """Return a line for each sequence, and one for all together where there are several.

    Args:
        compared: name to what was counted, in order.
        figures: of each, and at the end of all.
    """
    names = [*compared, "all"]
    rows = [_row(name, *values) for name, values in zip(names, figures, strict=True)]
    return text_table(HEADERS, rows if len(compared) > 1 else rows[:1])


def _match_by_name(
    paths: Sequence[Path], sequences: Sequence[TruthSequence], truth: Path
) -> tuple[list[tuple[Path, TruthSequence]], list[str]]:
    """Return which recording belongs to which truth, and a line for each that is left alone."""
    if len(paths) == len(sequences) == 1:
        return [(paths[0], sequences[0])], []
    by_name = {sequence.name: sequence for sequence in sequences}
    pairs: list[tuple[Path, TruthSequence]] = []
    failures: list[str] = []
    for path in paths:
        name = path.stem if path.stem in by_name else path.stem.removesuffix(LONG_SUFFIX)
        if name in by_name:
            pairs.append((path, by_name.pop(name)))
        else:
            has = ", ".join(sequence.name for sequence in sequences[:8]) + (
                ", …" if len(sequences) > 8 else ""
            )
            failures.append(f"{path} has no truth in {truth}, which has {has}")
    failures += [f"{name}: {rest.path} has no results of that name" for name, rest in by_name.items()]
    return pairs, failures


def _measure(compared: Sequence[Comparison]) -> list[Figures]:
    """Return the figures of each sequence, and at the end those of all together."""
    if not compared:
        return []
    paths = [item.motion.paths() for item in compared]
    each = [(item.mot.figures(), motion_figures([path])) for item, path in zip(compared, paths, strict=True)]
    if len(each) == 1:
        return each * 2
    return [*each, (combined_figures([item.mot for item in compared]), motion_figures(paths))]


def _row(name: str, mot: MotFigures, motion: MotionFigures) -> list[object]:
    shares = (mot.hota, mot.deta, mot.assa, mot.mota, mot.idf1)
    counts = (mot.switches, mot.fragmentations, mot.misses, mot.false_positives)
    return [
        name, mot.frames, mot.truths, *(_text(value, 3) for value in shares), *counts,
        _text(motion.error_px, 2), _text(motion.jitter_px, 2), _text(motion.lag_ms, 1),
    ]  # fmt: skip


def _text(value: float, digits: int) -> str | None:
    return f"{value:z.{digits}f}" if np.isfinite(value) else None


def _legend(similarity: Measure, compared: dict[str, Comparison]) -> str:
    keypoints = sorted({len(item.keypoints) for item in compared.values()})
    what = f"OKS of {' or '.join(map(str, keypoints))} keypoints" if similarity == "oks" else "IoU of boxes"
    versions = " and ".join(f"{name} {importlib.metadata.version(name)}" for name in LIBRARIES)
    return (
        f"people: true ones, summed over frames; a match: {what} of at least {MIN_LIKENESS:g} "
        f"(HOTA: 0.05 to 0.95); by {versions}; definitions in docs/metrics.md"
    )


def _as_dict(
    compared: dict[str, Comparison], figures: Sequence[Figures], similarity: Measure, failures: Sequence[str]
) -> dict[str, Any]:
    records = [
        {name: _number(value) for name, value in (asdict(mot) | asdict(motion)).items()}
        for mot, motion in figures
    ]
    sequences = {
        name: record | {"keypoints": list(item.keypoints), "warnings": list(item.warnings)}
        for (name, item), record in zip(compared.items(), records)
    }
    return {
        "software_version": __version__,
        "libraries": {name: importlib.metadata.version(name) for name in LIBRARIES},
        "similarity": similarity,
        "min_similarity": MIN_LIKENESS,
        "sequences": sequences,
        "all": records[-1] if records else None,
        "failures": list(failures),
    }


def _number(value: float) -> float | None:
    """Return a figure as JSON has it: rounded, None for NaN."""
    if isinstance(value, int):
        return value
    return round(value, 6) if np.isfinite(value) else None
