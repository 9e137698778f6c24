import json
from collections.abc import Callable
from io import StringIO
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from app.convert import expand_results, run_convert
from engine.errors import UsageError
from engine.sinks.csv_file import STATE_NAMES, CsvSink, describe_columns
from engine.sinks.sidecar import Sidecar, SourceRecord, write_sidecar
from engine.skeleton import COCO17
from engine.structures import TrackedPerson

Convert = Callable[..., tuple[int, list[str]]]


def person(track_id: int) -> TrackedPerson:
    keypoints = np.arange(34, dtype=np.float32).reshape(17, 2) + 50 * track_id
    ones = np.ones(17, np.float32)
    states = np.full(17, 2, np.int8)
    box = np.array([0, 0, 40, 40], np.float32) + 50 * track_id
    return TrackedPerson(track_id, keypoints, keypoints, keypoints * 0, ones, states, box, 0.5, 0.0)


def write_results(folder: Path, name: str = "clip", *, long: bool = False) -> Path:
    """Results of three frames with the tracks 1 and 2."""
    folder.mkdir(exist_ok=True)
    sink = CsvSink(folder / f"{name}.csv", COCO17, long=long)
    for index in range(3):
        sink.write_people(index, index / 25, None, [person(1), person(2)])
    sink.close()
    source = SourceRecord(
        name=f"{name}.mp4", path=None, width=320, height=240, fps=25.0, duration_s=0.12, start_s=0.0,
        decoder="software", stills=False,
    )  # fmt: skip
    sidecar = Sidecar(
        status="complete", software_version="0", source=source, frames_read=3, frames_dropped=0, tracks=2,
        most_people=2, models=(), settings={}, skeleton=COCO17, columns=describe_columns(long=long),
    )  # fmt: skip
    write_sidecar(folder / f"{name}.json", sidecar)
    return sink.path


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "out"


@pytest.fixture
def convert(out: Path) -> Convert:
    """Function that converts into `out` and returns the exit code and the lines of errors."""

    def run(*texts: object, formats: str = "coco,sleap", **options: object) -> tuple[int, list[str]]:
        errors = StringIO()
        console = Console(file=errors, soft_wrap=True, markup=False)
        code = run_convert([str(text) for text in texts], [formats], out, console, **options)
        return code, errors.getvalue().splitlines()

    return run


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_results_are_written_in_every_format_asked_for(
    tmp_path: Path, convert: Convert, out: Path, capsys: pytest.CaptureFixture[str]
):
    csv = write_results(tmp_path / "in")
    assert convert(csv) == (0, [])
    assert names(out) == ["clip.analysis.csv", "clip.coco-results.json", "clip.coco.json"]
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2
    assert lines[1] == f"{csv} -> {out / 'clip.analysis.csv'}"


def test_quiet_says_nothing(tmp_path: Path, convert: Convert, capsys: pytest.CaptureFixture[str]):
    assert convert(write_results(tmp_path / "in"), quiet=True) == (0, [])
    assert capsys.readouterr().out == ""


def test_folders_and_patterns_stand_for_the_results_in_them(tmp_path: Path, convert: Convert, out: Path):
    write_results(tmp_path / "in", "a")
    write_results(tmp_path / "in", "b")
    write_results(tmp_path / "in", "a.long", long=True)
    for other in ("summary.csv", "steadypose-batch.csv", "a.people.csv", "a.angles.csv", "a.analysis.csv"):
        (tmp_path / "in" / other).write_text("file,frames\n")
    assert expand_results([str(tmp_path / "in")]) == (
        [tmp_path / "in" / "a.csv", tmp_path / "in" / "b.csv"],
        [],
    )
    assert convert(tmp_path / "in" / "*.csv", tmp_path / "in" / "a.csv", formats="sleap") == (0, [])
    assert names(out) == ["a.analysis.csv", "b.analysis.csv"]


def test_a_pattern_that_the_shell_expanded_may_name_tables_beside_results(
    tmp_path: Path, convert: Convert, out: Path
):
    csv = write_results(tmp_path / "in")
    tables = [csv.with_name(name) for name in ("clip.people.csv", "steadypose-batch.csv")]
    for table in tables:
        table.write_text("track_id\n")
    assert convert(csv, *tables, formats="sleap") == (0, [])
    code, errors = convert(tables[0], formats="sleap")
    assert code == 1 and "sidecar" in errors[0]


def test_each_failure_is_named_and_the_others_are_done(tmp_path: Path, convert: Convert, out: Path):
    good = write_results(tmp_path / "in", "good")
    bad = write_results(tmp_path / "in", "bad")
    bad.write_bytes(bad.read_bytes().replace(b"measured", b"guessed", 1))
    (tmp_path / "empty").mkdir()
    states = ", ".join(STATE_NAMES.values())
    code, errors = convert(tmp_path / "empty", bad, tmp_path / "missing.csv", good)
    assert code == 1
    assert errors == [
        f"error: {tmp_path / 'empty'}: the folder holds no results: no CSV with its sidecar beside it",
        f"error: {bad}: line 2 has the state 'guessed', which is none of {states}; the file was changed "
        "since: export the results again, or restore the file as it was written",
        f"error: {tmp_path / 'missing.csv'} does not exist",
    ]
    assert names(out) == ["good.analysis.csv", "good.coco-results.json", "good.coco.json"]


def test_a_format_that_fails_does_not_keep_the_others(tmp_path: Path, convert: Convert, out: Path):
    csv = write_results(tmp_path / "in")
    out.mkdir()
    (out / "clip.coco.json").write_text("dear to someone")
    code, (error,) = convert(csv)
    assert code == 1
    assert error == f"error: {csv} as coco: {out / 'clip.coco.json'} exists already; --overwrite replaces it"
    assert (out / "clip.coco.json").read_text() == "dear to someone"
    assert convert(csv, overwrite=True) == (0, [])


def test_a_defect_is_told_in_one_line(tmp_path: Path, convert: Convert, monkeypatch: pytest.MonkeyPatch):
    def break_down(*_: object, **__: object) -> None:
        raise RuntimeError("the library gave up")

    monkeypatch.setattr("app.convert.write_format", break_down)
    csv = write_results(tmp_path / "in")
    code, (error,) = convert(csv, formats="coco")
    assert code == 1
    assert error == f"error: {csv} as coco: unexpected RuntimeError: the library gave up; -vv shows where"


def test_some_tracks_alone(tmp_path: Path, convert: Convert, out: Path):
    csv = write_results(tmp_path / "in")
    assert convert(csv, tracks=[2], formats="coco") == (0, [])
    annotations = json.loads((out / "clip.coco.json").read_text())["annotations"]
    assert {entry["track_id"] for entry in annotations} == {2}
    assert convert(csv, tracks=[9]) == (1, [f"error: {csv} has no track 9; it has 1, 2"])


def test_a_long_file_is_converted_with_a_word_about_what_it_lacks(
    tmp_path: Path, convert: Convert, caplog: pytest.LogCaptureFixture, out: Path
):
    csv = write_results(tmp_path / "in", "clip.long", long=True)
    assert convert(csv, formats="csv,coco") == (0, [])
    assert "without boxes and scores of people" in caplog.text
    assert names(out) == ["clip.coco-results.json", "clip.coco.json", "clip.csv", "clip.json"]


@pytest.mark.parametrize(
    ("formats", "options", "message"),
    [
        ("cocoo", {}, "did you mean coco"),
        (",", {}, "--format needs at least one name"),
        ("coco", {"px_per_metre": 100.0}, "has a meaning for trc, c3d only"),
        ("trc", {"px_per_metre": 0.0}, "must be a number above 0, got 0"),
    ],
)
def test_wrong_usage_starts_nothing(
    tmp_path: Path, convert: Convert, out: Path, formats: str, options: dict[str, object], message: str
):
    csv = write_results(tmp_path / "in")
    with pytest.raises(UsageError, match=message):
        convert(csv, formats=formats, **options)
    assert not out.exists()


def test_results_of_one_name_are_refused(tmp_path: Path, convert: Convert):
    one, two = write_results(tmp_path / "a"), write_results(tmp_path / "b")
    with pytest.raises(UsageError, match="would be written to files of the same names"):
        convert(one, two)


def test_an_output_folder_that_cannot_be_made_is_refused(tmp_path: Path, convert: Convert, out: Path):
    out.write_text("")
    with pytest.raises(UsageError, match="cannot be written"):
        convert(write_results(tmp_path / "in"))
