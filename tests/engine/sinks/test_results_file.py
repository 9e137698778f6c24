import json
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine.errors import SourceError, UsageError
from engine.sinks.results_file import ResultsFile
from engine.sinks.results_rows import BLOCK_ROWS, NOBODY
from engine.skeleton import COCO17, Skeleton
from engine.structures import Result, TrackedPerson

Person, MakeResult, WriteRun = Callable[..., TrackedPerson], Callable[..., Result], Callable[..., Path]


@pytest.fixture
def results(make_result: MakeResult, make_person: Person) -> list[Result]:
    """Person 1 in frames 0 to 3, person 2 in 2 and 3, nobody in 4."""
    states = ((2, 1, 0), (3, 4, 5), (2, 2, 2), (2, 2, 2))
    people = [[make_person(1, x=40 + index, states=states[index])] for index in range(4)]
    for index in (2, 3):
        people[index].append(make_person(2, x=90))
    return [
        *(make_result(index, *people[index], wall_time=1.7e9 + index / 4) for index in range(4)),
        make_result(4),
    ]


def written(value: Any) -> Any:
    """A float as it is after a way through the file."""
    return pytest.approx(value, abs=0.0006, nan_ok=True)


@pytest.mark.parametrize("long", [False, True])
@pytest.mark.parametrize("live", [False, True])
@pytest.mark.parametrize("raw", [False, True])
def test_what_was_written_comes_back(
    tmp_path: Path, write_run: WriteRun, results: list[Result], long: bool, live: bool, raw: bool
):
    frames = list(ResultsFile.open(write_run(tmp_path, *results, long=long, live=live, raw=raw)).frames())
    assert [frame.index for frame in frames] == [0, 1, 2, 3]
    assert [len(frame.people) for frame in frames] == [1, 1, 2, 2]
    for frame, result in zip(frames, results):
        assert frame.time_s == result.frame.time_s
        assert frame.wall_time == (result.frame.wall_time if live else None)
        for person, before in zip(frame.people, result.people, strict=True):
            assert person.track_id == before.track_id
            assert person.state.tolist() == before.state.tolist()
            assert person.keypoints == written(before.keypoints)
            assert person.scores == written(before.scores)
            assert person.bbox == written(np.full(4, np.nan) if long else before.bbox)
            assert person.score == written(np.nan if long else before.score)
            assert person.raw_keypoints == written(before.raw_keypoints if raw else np.full((3, 2), np.nan))


@pytest.mark.parametrize("long", [False, True])
def test_frames_without_people_come_back_where_they_were_kept(
    tmp_path: Path, write_run: WriteRun, results: list[Result], long: bool
):
    recording = ResultsFile.open(write_run(tmp_path, *results, long=long, keep_empty=True))
    assert [frame.index for frame in recording.frames()] == [0, 1, 2, 3, 4]
    assert list(recording.frames())[-1].people == ()
    assert recording.load().track_ids.tolist() == [1, 1, 1, 2, 1, 2, NOBODY]
    assert recording.track_ids() == [1, 2]


def test_age_counts_from_the_first_row_of_a_track(tmp_path: Path, write_run: WriteRun, results: list[Result]):
    frames = list(ResultsFile.open(write_run(tmp_path, *results)).frames())
    assert [person.age_s for person in frames[3].people] == written([3 / 25, 1 / 25])


def test_the_sidecar_is_at_hand(tmp_path: Path, write_run: WriteRun, results: list[Result], stick: Skeleton):
    recording = ResultsFile.open(write_run(tmp_path, *results, frames=6, frames_dropped=1))
    assert (recording.skeleton, recording.size, recording.fps) == (stick, (96, 128), 25.0)
    assert recording.name == "clip"
    assert recording.span(0, 3) == range(7)
    assert recording.warnings == ()


def test_a_live_recording_spans_its_rows(tmp_path: Path, write_run: WriteRun, results: list[Result]):
    assert ResultsFile.open(write_run(tmp_path, *results, live=True)).span(40, 44) == range(40, 45)


def test_some_tracks_can_be_taken_alone(tmp_path: Path, write_run: WriteRun, results: list[Result]):
    recording = ResultsFile.open(write_run(tmp_path, *results)).select([2])
    assert [(frame.index, len(frame.people)) for frame in recording.frames()] == [(2, 1), (3, 1)]
    assert recording.track_ids() == [2]
    with pytest.raises(UsageError, match=r"has no track 5; it has 1, 2$"):
        ResultsFile.open(recording.path).select([5])


@pytest.mark.parametrize("long", [False, True])
def test_long_recordings_come_in_blocks_that_end_with_a_frame(
    tmp_path: Path, write_run: WriteRun, make_result: MakeResult, make_person: Person, long: bool
):
    people = [make_person(1), make_person(2), make_person(3)]
    count = BLOCK_ROWS // 2
    path = write_run(tmp_path, *(make_result(index, *people) for index in range(count)), long=long)
    blocks = list(ResultsFile.open(path).blocks())
    assert len(blocks) > 1
    assert all(block.frames[-1] < after.frames[0] for block, after in pairwise(blocks))
    whole = ResultsFile.open(path).load()
    assert whole.frames.tolist() == np.repeat(np.arange(count), 3).tolist()
    assert whole.track_ids.tolist() == [1, 2, 3] * count


def test_a_recording_of_nobody_has_no_rows(tmp_path: Path, write_run: WriteRun, make_result: MakeResult):
    recording = ResultsFile.open(write_run(tmp_path, make_result(0)))
    assert list(recording.frames()) == []
    assert recording.load().keypoints.shape == (0, 3, 2)
    assert recording.track_ids() == []


def test_a_long_file_uses_the_sidecar_of_the_wide_one(
    tmp_path: Path, write_run: WriteRun, results: list[Result]
):
    write_run(tmp_path, *results, name="clip")
    long = write_run(tmp_path, *results, name="clip.long", long=True)
    (tmp_path / "clip.long.json").unlink()
    recording = ResultsFile.open(long)
    assert (recording.name, recording.sidecar_path.name) == ("clip", "clip.json")


def test_a_torn_last_line_is_left_out_and_told(tmp_path: Path, write_run: WriteRun, results: list[Result]):
    path = write_run(tmp_path, *results, status="recording")
    path.write_bytes(path.read_bytes()[:-30])
    recording = ResultsFile.open(path)
    assert [person.track_id for frame in recording.frames() for person in frame.people] == [1, 1, 1, 2, 1]
    assert any("still being written" in line for line in recording.warnings)
    assert any("middle of a line" in line for line in recording.warnings)


def test_a_torn_long_file_loses_the_person_of_the_torn_line(
    tmp_path: Path, write_run: WriteRun, results: list[Result]
):
    path = write_run(tmp_path, *results, long=True)
    path.write_bytes(path.read_bytes()[:-30])
    assert ResultsFile.open(path).load().track_ids.tolist() == [1, 1, 1, 2, 1]


def test_a_keypoint_called_raw_is_no_raw_place(
    tmp_path: Path, write_run: WriteRun, make_result: MakeResult, make_person: Person
):
    odd = Skeleton(
        name="odd", keypoints=("head", "hip", "tail_raw"), limbs=(), flip_pairs=(), oks_sigmas=(1, 1, 1)
    )
    path = write_run(tmp_path, make_result(0, make_person()), skeleton=odd)
    assert ResultsFile.open(path).layout.raw is False
    assert len(ResultsFile.open(path).load()) == 1


def test_an_unfinished_recording_is_told(tmp_path: Path, write_run: WriteRun, results: list[Result]):
    (line,) = ResultsFile.open(write_run(tmp_path, *results, status="interrupted")).warnings
    assert "tracking it was interrupted" in line


def test_the_sidecar_of_an_earlier_version_is_read(
    tmp_path: Path, write_run: WriteRun, results: list[Result]
):
    sidecar = write_run(tmp_path, *results).with_suffix(".json")
    content = json.loads(sidecar.read_text())
    del content["source"]["decoder"], content["run"], content["choice"]
    sidecar.write_text(json.dumps(content))
    assert len(ResultsFile.open(tmp_path / "clip.csv").load()) == 6


class TestWhatIsRefused:
    @pytest.fixture
    def path(self, tmp_path: Path, write_run: WriteRun, results: list[Result]) -> Path:
        return write_run(tmp_path, *results)

    def test_a_file_that_is_not_there(self, tmp_path: Path):
        with pytest.raises(SourceError, match="does not exist"):
            ResultsFile.open(tmp_path / "other.csv")

    def test_an_empty_file(self, path: Path):
        path.write_bytes(b"")
        with pytest.raises(SourceError, match="is empty"):
            ResultsFile.open(path)

    def test_a_file_without_its_sidecar(self, path: Path):
        path.with_suffix(".json").unlink()
        with pytest.raises(
            SourceError, match=r"has no sidecar clip\.json beside it.*keep both files together"
        ):
            ResultsFile.open(path)

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            ({"format": "other"}, "is no sidecar of this program"),
            ({"format_version": 9}, "format version 9; this program reads 1"),
            ({"novelty": 1}, "does not know the field `novelty`; a newer one"),
            ({"tracks": -1}, "`tracks` is wrong"),
        ],
    )
    def test_a_sidecar_of_another_program_or_version(
        self, path: Path, change: dict[str, object], message: str
    ):
        sidecar = path.with_suffix(".json")
        sidecar.write_text(json.dumps(json.loads(sidecar.read_text()) | change))
        with pytest.raises(SourceError, match=message):
            ResultsFile.open(path)

    @pytest.mark.parametrize(("text", "message"), [("{", "is no JSON"), ("[1]", "is no sidecar")])
    def test_a_sidecar_that_is_none(self, path: Path, text: str, message: str):
        path.with_suffix(".json").write_text(text)
        with pytest.raises(SourceError, match=message):
            ResultsFile.open(path)

    def test_another_header(self, path: Path):
        path.write_text(path.read_text().replace("hip_y", "hip_z", 1))
        with pytest.raises(SourceError, match=r"column 14 is 'hip_z'.*must be 'hip_y'.*or was changed"):
            ResultsFile.open(path)

    def test_a_file_of_another_skeleton(self, path: Path, stick: Skeleton):
        sidecar = path.with_suffix(".json")
        content = json.loads(sidecar.read_text()) | {"skeleton": COCO17.model_dump(mode="json")}
        sidecar.write_text(json.dumps(content))
        with pytest.raises(SourceError, match=r"column 9 is 'head_x'.*'coco17'.*'nose_x'"):
            ResultsFile.open(path)

    def test_a_file_that_a_spreadsheet_saved(self, path: Path):
        path.write_text(path.read_text().replace(",", ";"))
        with pytest.raises(SourceError, match="saved again by another program"):
            ResultsFile.open(path)

    @pytest.mark.parametrize(
        ("old", "new", "message"),
        [
            (b"40.000,16.000", b"40.000,abc", "line 2 has 'abc' as head_y, which is no number"),
            (b"40.000,16.000", b"40.000,inf", "line 2 has 'inf' as head_y"),
            (b"\r\n1,", b"\r\n1.5,", "line 3 has '1.5' as frame, which is no whole number"),
            (b"\r\n1,", b"\r\n--1,", "line 3 has '--1' as frame, which is no whole number from 0"),
            (b"\r\n1,", b"\r\n" + b"9" * 20 + b",", "line 3 has '9{20}' as frame, which is no whole number"),
            (b",2,0.8125", b",-1,0.8125", "line 5 has '-1' as track_id, which is no whole number from 0"),
            (b"outlier", b"guessed", "line 3 has the state 'guessed', which is none of missing, predicted"),
            (b"\r\n3,", b"\r\n1,", "line 6 has frame 1 after frame 2"),
            (b",2,0.8125", b",1,0.8125", "line 5 has track 1 a second time in its frame"),
            (b"0.000000", b"", "line 2 has no time_s"),
            (b",measured\r\n2,", b"\r\n2,", "line 3 has 19 fields instead of 20"),
            (b"missing", b"missing,", "line 2 has 21 fields instead of 20"),
        ],
    )
    def test_rows_that_were_edited(self, path: Path, old: bytes, new: bytes, message: str):
        content = path.read_bytes().replace(b"filled\r\n2,", b"measured\r\n2,")
        assert old in content
        path.write_bytes(content.replace(old, new))
        recording = ResultsFile.open(path)
        with pytest.raises(SourceError, match=message) as caught:
            recording.load()
        assert "the file was changed since" in str(caught.value)

    def test_a_long_file_without_one_of_its_lines(
        self, tmp_path: Path, write_run: WriteRun, results: list[Result]
    ):
        path = write_run(tmp_path, *results, long=True)
        lines = path.read_bytes().splitlines(keepends=True)
        path.write_bytes(b"".join(lines[:5] + lines[6:]))
        with pytest.raises(SourceError, match="line 5 must begin a person of 3 lines"):
            ResultsFile.open(path).load()

    def test_the_sidecar_instead_of_the_csv(self, path: Path):
        with pytest.raises(SourceError, match=r"clip\.json is no CSV; give the CSV that lies beside it"):
            ResultsFile.open(path.with_suffix(".json"))

    def test_what_is_no_text(self, path: Path):
        path.write_bytes(b"\x89PNG\r\n\x1a\n" * 40)
        with pytest.raises(SourceError, match="is no CSV of this program"):
            ResultsFile.open(path)
