"""What every sink does, whatever it writes."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import pytest

from engine.errors import SinkError
from engine.sinks import Sink
from engine.sinks.annotated_video import AnnotatedVideoSink
from engine.sinks.csv_file import CsvSink
from engine.skeleton import Skeleton
from engine.sources import SourceInfo
from engine.structures import Result, TrackedPerson


class Opener(Protocol):
    def __call__(self, path: Path, *, overwrite: bool = False) -> Sink: ...


@pytest.fixture(params=["csv", "long csv", "video"])
def open_sink(
    request: pytest.FixtureRequest, stick: Skeleton, make_info: Callable[..., SourceInfo]
) -> Opener:
    def open_one(path: Path, *, overwrite: bool = False) -> Sink:
        if request.param == "video":
            return AnnotatedVideoSink(path, stick, make_info(), overwrite=overwrite)
        return CsvSink(path, stick, long=request.param == "long csv", overwrite=overwrite)

    return open_one


@pytest.fixture
def results(make_result: Callable[..., Result], make_person: Callable[..., TrackedPerson]) -> list[Result]:
    return [make_result(index, make_person(1), make_person(2, x=80)) for index in range(12)]


def test_results_are_written_and_closing_twice_is_one_close(
    open_sink: Opener, tmp_path: Path, results: list[Result]
):
    sink = open_sink(tmp_path / "out")
    for result in results:
        sink.write(result)
    sink.close()
    size = (tmp_path / "out").stat().st_size
    assert size > 500
    sink.close()
    assert (tmp_path / "out").stat().st_size == size


def test_writing_does_not_change_the_result(open_sink: Opener, tmp_path: Path, results: list[Result]):
    images = [result.frame.image.copy() for result in results]
    keypoints = [person.keypoints.copy() for result in results for person in result.people]
    sink = open_sink(tmp_path / "out")
    for result in results:
        sink.write(result)
    sink.close()
    assert all((result.frame.image == image).all() for result, image in zip(results, images))
    after = [person.keypoints for result in results for person in result.people]
    assert all((one == other).all() for one, other in zip(after, keypoints))


def test_writing_to_a_closed_sink_is_a_mistake(open_sink: Opener, tmp_path: Path, results: list[Result]):
    sink = open_sink(tmp_path / "out")
    sink.close()
    with pytest.raises(ValueError, match="closed"):
        sink.write(results[0])


def test_a_file_that_exists_is_kept(open_sink: Opener, tmp_path: Path):
    (tmp_path / "out").write_text("dear to someone")
    with pytest.raises(SinkError, match="exists already"):
        open_sink(tmp_path / "out")
    assert (tmp_path / "out").read_text() == "dear to someone"


def test_a_file_that_exists_is_replaced_on_request(open_sink: Opener, tmp_path: Path, results: list[Result]):
    (tmp_path / "out").write_text("old " * 20_000)
    sink = open_sink(tmp_path / "out", overwrite=True)
    sink.write(results[0])
    sink.close()
    assert b"old " not in (tmp_path / "out").read_bytes()


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_folder_is_no_file(open_sink: Opener, tmp_path: Path, overwrite: bool):
    with pytest.raises(SinkError, match="there is a folder of that name"):
        open_sink(tmp_path, overwrite=overwrite)


def test_a_missing_folder_is_named(open_sink: Opener, tmp_path: Path):
    with pytest.raises(SinkError, match="its folder does not exist") as caught:
        open_sink(tmp_path / "missing" / "out")
    assert str(tmp_path / "missing" / "out") in str(caught.value)


def test_a_file_is_no_folder(open_sink: Opener, tmp_path: Path):
    (tmp_path / "file").write_text("")
    with pytest.raises(SinkError, match="its folder is a file"):
        open_sink(tmp_path / "file" / "out")


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_without_permission_is_named(open_sink: Opener, tmp_path: Path):
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(SinkError, match="not permitted"):
            open_sink(tmp_path / "out")
    finally:
        tmp_path.chmod(0o700)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no device that is always full")
def test_a_full_disk_is_told(open_sink: Opener, results: list[Result]):
    with pytest.raises(SinkError, match="the disk is full"):
        write_everything(open_sink, Path("/dev/full"), results)


def write_everything(open_sink: Opener, path: Path, results: list[Result]) -> None:
    sink = open_sink(path, overwrite=True)
    try:
        for result in results:
            sink.write(result)
    finally:
        sink.close()


def test_a_sink_without_results_closes(open_sink: Opener, tmp_path: Path):
    open_sink(tmp_path / "out").close()
