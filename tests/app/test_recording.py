import json
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from app.inputs import TrackInput
from app.outputs import OutputPaths, output_paths
from app.recording import Extras, WriteOptions, record
from app.summary import Summary, check_frames
from engine.errors import SinkError, SourceError, UsageError
from engine.pipeline import Pipeline
from engine.settings import EstimatorSettings, TrackSettings
from engine.sinks.sidecar import RunRecord
from engine.sources import Source, open_source
from engine.structures import Result

WriteClip = Callable[..., Path]


class Silent:
    def advance(self, frames: int, people: int) -> None:
        pass


class Never:
    requested, paused_s = False, 0.0


@pytest.fixture
def pipeline(top_down_file: Path, bottom_up_file: Path) -> Iterator[Pipeline]:
    names = {"top_down_model": str(top_down_file), "bottom_up_model": str(bottom_up_file)}
    with closing(Pipeline(TrackSettings(estimator=EstimatorSettings(threads=1, **names)))) as pipeline:
        yield pipeline


@pytest.fixture
def source(write_clip: WriteClip, tmp_path: Path) -> Iterator[Source]:
    with open_source(write_clip(tmp_path / "walk.mp4", 6)) as source:
        yield source


@pytest.fixture
def paths(tmp_path: Path) -> OutputPaths:
    (tmp_path / "out").mkdir()
    return output_paths(TrackInput(tmp_path / "walk.mp4", "walk", "walk"), tmp_path / "out", video=False)


def sidecar(paths: OutputPaths) -> dict:
    return json.loads(paths.sidecar.read_text("utf-8"))


def run(pipeline: Pipeline, source: Source, paths: OutputPaths, **more: object) -> Summary:
    options = more.pop("options", WriteOptions())
    return record(pipeline, source, paths, options, reporter=Silent(), stop=Never(), **more)


def test_the_sidecar_says_recording_until_all_is_written(
    pipeline: Pipeline, source: Source, paths: OutputPaths
):
    seen: set[str] = set()

    def look(_: Result) -> None:
        seen.add(sidecar(paths)["status"])

    run(pipeline, source, paths, on_result=look)
    assert seen == {"recording"} and sidecar(paths)["status"] == "complete"


def test_a_format_that_cannot_hold_the_skeleton_is_refused_before_the_first_frame(
    pipeline: Pipeline, source: Source, paths: OutputPaths
):
    with pytest.raises(UsageError, match="joint angles"):
        run(pipeline, source, paths, options=WriteOptions(formats=("mot",), offline=True))
    assert source.frames_read == 0 and list(paths.csv.parent.iterdir()) == []


def test_results_that_are_replaced_do_not_look_complete_meanwhile(
    pipeline: Pipeline, source: Source, paths: OutputPaths
):
    paths.csv.write_text("old")
    paths.sidecar.write_text('{"status": "complete"}')
    states = []

    def look(_: Result) -> None:
        states.append((sidecar(paths)["status"], paths.csv.read_text().startswith("old")))

    run(pipeline, source, paths, on_result=look, options=WriteOptions(overwrite=True))
    assert set(states) == {("recording", False)}


def test_existing_files_stay_untouched_unless_they_may_be_replaced(
    pipeline: Pipeline, source: Source, paths: OutputPaths
):
    paths.csv.write_text("precious")
    with pytest.raises(SinkError, match="--overwrite"):
        run(pipeline, source, paths)
    assert paths.csv.read_text() == "precious" and not paths.sidecar.exists()


def test_what_follows_the_last_row_sees_the_whole_and_its_files_are_named(
    pipeline: Pipeline, source: Source, paths: OutputPaths
):
    def convert(given: OutputPaths) -> list[Path]:
        told = sidecar(given)
        assert (told["status"], told["frames_read"], told["tracks"]) == ("recording", 6, 2)
        other = given.csv.with_suffix(".copy")
        other.write_bytes(given.csv.read_bytes())
        return [other]

    extras = Extras(RunRecord(input="sha256:1", request="2"), after=(convert,))
    run(pipeline, source, paths, extras=extras)
    size = paths.csv.stat().st_size
    assert sidecar(paths)["run"]["files"] == {"walk.csv": size, "walk.copy": size}


def test_where_that_fails_the_input_fails_and_its_rows_stay(
    pipeline: Pipeline, source: Source, paths: OutputPaths
):
    def convert(_: OutputPaths) -> list[Path]:
        raise SinkError("walk.c3d cannot be written: the disk is full")

    with pytest.raises(SinkError, match="disk is full"):
        run(pipeline, source, paths, extras=Extras(after=(convert,)))
    assert sidecar(paths)["status"] == "failed" and paths.csv.stat().st_size > 0


class Counted:
    """What `check_frames` asks of a source."""

    def __init__(self, read: int, dropped: int, info: object) -> None:
        self.frames_read, self.frames_dropped, self.info = read, dropped, info


@pytest.mark.parametrize(
    ("written", "holes", "read", "dropped", "fine"),
    [
        (10, 0, 10, 0, True),
        (10, 2, 10, 2, True),
        (10, 2, 10, 5, True),  # The last three could not be read.
        (9, 1, 10, 1, False),
        (10, 2, 10, 1, False),
        (11, 0, 10, 1, False),
    ],
)
def test_every_frame_is_written_or_counted_as_dropped(
    source: Source, written: int, holes: int, read: int, dropped: int, fine: bool
):
    summary = Summary(holes=holes, next_index=written + holes)
    summary.totals.frames = written
    counted = Counted(read, dropped, source.info)
    if fine:
        check_frames(summary, counted)
    else:
        with pytest.raises(SourceError, match=f"{read} frames read and {dropped} dropped"):
            check_frames(summary, counted)


def test_a_frame_that_is_lost_on_the_way_fails_the_input(
    pipeline: Pipeline, source: Source, paths: OutputPaths, monkeypatch: pytest.MonkeyPatch
):
    whole = pipeline.run

    def lossy(given: Source) -> Iterator[Result]:
        yield from (result for result in whole(given) if result.frame.index != 3)

    monkeypatch.setattr(pipeline, "run", lossy)
    with pytest.raises(SourceError, match="5 were written"):
        run(pipeline, source, paths)
    assert sidecar(paths)["status"] == "failed"
