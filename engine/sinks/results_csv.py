"""Our own CSV once more: long from wide, wide from long, or some of the tracks."""

from dataclasses import replace
from pathlib import Path

from engine.sinks.atomic import whole_file
from engine.sinks.csv_file import CsvSink, describe_columns
from engine.sinks.results_file import LONG_SUFFIX, ResultsFile
from engine.sinks.sidecar import write_sidecar


def write_csv(results: ResultsFile, stem: Path) -> list[Path]:
    """Write a recording with one row per person and frame, and its sidecar; see `_write`."""
    return _write(results, stem, long=False)


def write_long_csv(results: ResultsFile, stem: Path) -> list[Path]:
    """Write a recording with one row per keypoint, and its sidecar; see `_write`."""
    return _write(results, stem.with_name(stem.name + LONG_SUFFIX), long=True)


def _write(results: ResultsFile, stem: Path, *, long: bool) -> list[Path]:
    """Write a CSV and its sidecar; rows of frames without people stay where there are some.

    Returns:
        Both files.

    Raises:
        SinkError: one cannot be written.
        SourceError: a row of the recording is damaged.
    """
    layout = replace(results.layout, long=long)
    path, sidecar_path = (stem.with_name(stem.name + suffix) for suffix in (".csv", ".json"))
    with whole_file(path) as part:
        sink = CsvSink(
            part,
            results.skeleton,
            raw=layout.raw,
            keep_empty=True,
            long=long,
            wall_time=layout.wall_time,
            overwrite=True,
        )
        tracks: set[int] = set()
        most_people = 0
        try:
            for frame in results.frames():
                sink.write_people(frame.index, frame.time_s, frame.wall_time, frame.people)
                tracks.update(person.track_id for person in frame.people)
                most_people = max(most_people, len(frame.people))
        finally:
            sink.close()
        columns = describe_columns(raw=layout.raw, long=long, wall_time=layout.wall_time)
        # What a batch knows its own files by is not true of these.
        changed = {"columns": columns, "tracks": len(tracks), "most_people": most_people, "run": None}
        # Before the CSV takes its place: there is never a new one beside the sidecar of an old one.
        write_sidecar(sidecar_path, results.sidecar.model_copy(update=changed))
    return [path, sidecar_path]
