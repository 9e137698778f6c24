import csv
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from typer.testing import Result

from app.extra_files import check_formats, find_extras, is_table_beside, remove_arriving
from engine.errors import SinkError, UsageError
from engine.sinks.formats import FORMATS
from engine.sinks.results_file import ResultsFile
from engine.skeleton import COCO17, Skeleton

Track = Callable[..., Result]
WriteClip = Callable[..., Path]
FAST = ("--mode", "bottom-up")


def told(out: Path, name: str = "clip") -> dict:
    return json.loads((out / f"{name}.json").read_text("utf-8"))


TOY = Skeleton(
    name="toy",
    keypoints=("head", "left_hand", "right_hand"),
    limbs=((0, 1), (0, 2)),
    flip_pairs=((1, 2),),
    oks_sigmas=(0.1,) * 3,
)
PLAIN = [name for name, kind in FORMATS.items() if not kind.packages]


@pytest.mark.parametrize("name", PLAIN)
def test_every_format_holds_the_skeleton_of_the_bundled_models(name: str):
    check_formats([name], COCO17)


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(set(FORMATS) - set(PLAIN)))
def test_so_do_those_that_need_packages(name: str):
    for package in FORMATS[name].packages:
        pytest.importorskip(package)
    check_formats([name], COCO17)


@pytest.mark.parametrize(
    ("name", "line"),
    [("openpose", "BODY_25"), ("posetrack", "PoseTrack's"), ("mot", "joint angles"), ("sto", "joint angles")],
)
def test_a_foreign_skeleton_is_refused_in_the_words_of_the_format(name: str, line: str):
    with pytest.raises(UsageError, match=line):
        check_formats(["csv-long", name], TOY)


@pytest.mark.parametrize("name", ["trc", "mot"])
def test_independent_pictures_are_refused_where_a_format_needs_a_frame_rate(name: str):
    check_formats(["coco"], COCO17, stills=True)
    with pytest.raises(UsageError, match="needs a frame rate, which independent pictures do not have"):
        check_formats([name], COCO17, stills=True)


@pytest.mark.parametrize("name", ["openpose", "mot"])
@pytest.mark.parametrize("more", [("--offline",), ("--mode", "bottom-up"), ("--jobs", 2)])
def test_a_skeleton_that_a_format_cannot_hold_ends_the_run_before_anything_is_opened_or_made(
    track: Track,
    clip: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    more: tuple[object, ...],
):
    monkeypatch.setattr("app.batch_task.Pipeline", None)
    monkeypatch.setattr("app.batch_choice.Pipeline", None)
    result = track(clip, "--format", name, *more)
    assert result.exit_code == 2 and "skeleton 'markers6' has" in result.stderr
    assert not (tmp_path / "out").exists()


@pytest.fixture
def folder(tmp_path: Path, write_clip: WriteClip) -> Path:
    """Two clips of which the second is longer."""
    (tmp_path / "in").mkdir()
    for name, frames in (("a", 12), ("b", 20)):
        write_clip(tmp_path / "in" / f"{name}.mp4", frames)
    return tmp_path / "in"


def test_only_what_was_asked_for_is_found_and_only_of_that_recording(tmp_path: Path):
    for name in ("clip.coco.json", "clip.track3.trc", "other.coco.json", "clip.people.csv", "clip.long.csv"):
        (tmp_path / name).touch()
    csv_path = tmp_path / "clip.csv"
    assert [path.name for path in find_extras(csv_path, ["csv", "coco", "trc"])] == [
        "clip.coco.json",
        "clip.track3.trc",
    ]
    assert [path.name for path in find_extras(csv_path, [], plots=True)] == ["clip.people.csv"]
    remove_arriving(csv_path, ["csv-long", "coco"])
    assert (tmp_path / "clip.coco.json").exists() and not (tmp_path / "clip.long.csv").exists()


@pytest.mark.slow
def test_formats_and_plots_lie_beside_the_csv_and_are_named_in_the_run(
    track: Track, clip: Path, tmp_path: Path
):
    pytest.importorskip("matplotlib")
    result = track(clip, "--format", "coco,trc", "--format", "csv-long,csv", "--plots", *FAST)
    assert result.exit_code == 0, result.stderr
    out = tmp_path / "out"
    there = {path.name for path in out.iterdir()} - {"clip.json"}
    assert {"clip.csv", "clip.long.csv", "clip.coco.json", "clip.track1.trc", "clip.report.html"} <= there
    assert set(told(out)["run"]["files"]) == there
    assert "clip.coco.json" in result.stdout and result.stderr == ""
    assert "<dt>Smoothing</dt><dd>kalman</dd>" in (out / "clip.report.html").read_text("utf-8")


@pytest.mark.parametrize(
    ("options", "what"),
    [
        (("--format", "cocoa"), "did you mean coco"),
        (("--plots", "--stills"), "independent pictures"),
    ],
)
def test_what_cannot_be_is_refused_before_a_model_is_loaded(
    invoke: Track, clip: Path, tmp_path: Path, options: tuple[str, ...], what: str
):
    model = ("--bottom-up-model", tmp_path / "no.onnx")
    result = invoke("track", clip, "--out", tmp_path / "out", *options, *model)
    assert result.exit_code == 2 and what in result.stderr and not (tmp_path / "out").exists()


@pytest.mark.parametrize("resume", [(), ("--resume",)])
def test_a_file_of_another_hand_is_neither_replaced_nor_missed(
    track: Track, clip: Path, tmp_path: Path, resume: tuple[str, ...]
):
    (tmp_path / "out").mkdir()
    precious = tmp_path / "out" / "clip.coco.json"
    precious.write_text("precious")
    result = track(clip, "--format", "coco", *FAST, *resume)
    assert result.exit_code == 1 and "clip.coco.json exists already" in result.stderr
    assert precious.read_text() == "precious" and not (tmp_path / "out" / "clip.csv").exists()
    assert track(clip, *FAST, *resume).exit_code == 0


def test_resume_skips_only_what_has_the_same_formats_second_pass_and_files(
    track: Track, clip: Path, tmp_path: Path
):
    def done(*options: object) -> bool:
        result = track(clip, *FAST, "--resume", *options)
        assert result.exit_code == 0, result.stderr
        assert all(f"clip.{name}" in result.stdout for name in ("csv", "json", "coco.json"))
        return "done before" in result.stdout

    out = tmp_path / "out"
    assert not done("--format", "coco,sleap")
    assert done("--format", "sleap,coco")
    assert not done("--format", "sleap,coco", "--offline")
    assert done("--format", "sleap,coco", "--offline") and told(out)["offline"]
    (out / "clip.analysis.csv").unlink()
    assert not done("--format", "sleap,coco", "--offline") and (out / "clip.analysis.csv").exists()
    assert not done("--format", "coco", "--offline")
    assert not done("--format", "coco")


def test_overwriting_takes_away_the_files_of_people_who_are_there_no_more(
    track: Track, clip: Path, tmp_path: Path
):
    assert track(clip, "--format", "trc", *FAST).exit_code == 0
    (tmp_path / "out" / "clip.track9.trc").touch()
    assert track(clip, "--format", "trc", "--overwrite", *FAST).exit_code == 0
    assert sorted(path.name for path in (tmp_path / "out").glob("*.trc")) == [
        "clip.track1.trc",
        "clip.track2.trc",
    ]


def test_a_format_that_fails_fails_its_input_and_keeps_its_rows(
    track: Track, marker_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    trc = FORMATS["trc"]

    def write(results: ResultsFile, stem: Path, **options: Any) -> list[Path]:
        if any(frame.people for frame in results.frames()):
            raise SinkError("the disk is full")
        return trc.write(results, stem, **options)

    monkeypatch.setitem(FORMATS, "trc", replace(trc, write=write))
    result = track(marker_folder, "--format", "trc,coco", *FAST)
    assert result.exit_code == 1 and "the disk is full" in result.stderr
    out = tmp_path / "out"
    assert told(out, "frames")["status"] == "failed" and (out / "frames.coco.json").exists()
    with (out / "frames.csv").open(newline="") as stream:
        assert len(list(csv.DictReader(stream))) > 20


@pytest.mark.slow
def test_workers_make_the_same_files_as_one_process(track: Track, folder: Path, tmp_path: Path):
    options = (folder, "--format", "csv-long,coco,parquet", "--offline", *FAST)
    pytest.importorskip("pyarrow")
    assert track(*options, "--jobs", 1).exit_code == 0
    (tmp_path / "out").rename(tmp_path / "one")
    assert track(*options, "--jobs", 2).exit_code == 0
    names = sorted(path.name for path in (tmp_path / "one").iterdir())
    assert names == sorted(path.name for path in (tmp_path / "out").iterdir())
    for name in names:
        if name.endswith((".csv", ".coco.json", ".coco-results.json")) and "batch" not in name:
            assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "out" / name).read_bytes()
    assert told(tmp_path / "one", "a")["offline"] and told(tmp_path / "out", "b")["offline"]


def test_an_input_named_as_an_extra_file_of_another_is_refused_and_the_other_done(
    track: Track, folder: Path, tmp_path: Path
):
    (folder / "b.mp4").rename(folder / "A.long.mp4")
    result = track(folder, "--format", "csv-long", "--overwrite", *FAST)
    assert result.exit_code == 1 and "A.long.mp4 would be written to A.long.csv" in result.stderr
    assert told(tmp_path / "out", "a")["status"] == "complete"
    assert not (tmp_path / "out" / "A.long.json").exists()


@pytest.mark.slow
def test_plots_of_people_who_are_there_no_more_are_taken_away(track: Track, clip: Path, tmp_path: Path):
    pytest.importorskip("matplotlib")
    assert track(clip, "--plots", *FAST).exit_code == 0
    stale = tmp_path / "out" / "clip.track9.angles.png"
    stale.touch()
    assert track(clip, "--plots", "--overwrite", *FAST).exit_code == 0
    assert not stale.exists() and (tmp_path / "out" / "clip.report.html").exists()


def test_tables_beside_results_are_known_by_their_names(tmp_path: Path):
    (tmp_path / "clip.csv").touch()
    tables = (
        "steadypose-batch.csv",
        "clip.people.csv",
        "clip.angles.csv",
        "clip.long.csv",
        "clip.analysis.csv",
    )
    assert all(is_table_beside(tmp_path / name) for name in tables)
    assert not any(
        is_table_beside(tmp_path / name) for name in ("clip.csv", "other.people.csv", "people.csv")
    )


def test_files_of_a_recording_of_a_longer_name_are_not_found(tmp_path: Path) -> None:
    for name in (
        "clip.track1.trc",
        "clip.track2.angles.png",
        "clip.tracked.track1.trc",
        "clip.trackless.trc",
    ):
        (tmp_path / name).touch()
    (tmp_path / "clip.tracked.track1.angles.png").touch()
    found = find_extras(tmp_path / "clip.csv", ["trc"], plots=True)
    assert [path.name for path in found] == ["clip.track1.trc", "clip.track2.angles.png"]
