import csv
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import Result

from engine.estimator import following

Track = Callable[..., Result]
WriteClip = Callable[..., Path]


def report(out: Path) -> dict[str, dict[str, str]]:
    with (out / "steadypose-batch.csv").open(newline="", encoding="utf-8") as stream:
        return {Path(row["input"]).name: row for row in csv.DictReader(stream)}


def choice(path: Path) -> dict[str, object]:
    told: dict[str, object] = json.loads(path.read_text("utf-8"))["choice"]
    return told


@pytest.fixture
def folder(tmp_path: Path, write_clip: WriteClip) -> Path:
    """Three short clips and one that is none."""
    (tmp_path / "in").mkdir()
    for name in ("a", "b", "c"):
        write_clip(tmp_path / "in" / f"{name}.mp4", 8)
    (tmp_path / "in" / "broken.mp4").write_text("this is no video")
    return tmp_path / "in"


def test_a_batch_ends_with_its_failures_and_a_table_of_all(track: Track, folder: Path, tmp_path: Path):
    result = track(folder, tmp_path / "nowhere.mp4")
    assert result.exit_code == 1
    lines = result.stderr.splitlines()
    assert lines[-3].startswith("2 of 5 inputs failed") and "steadypose-batch.csv" in lines[-3]
    assert [Path(line.strip()).name for line in lines[-2:]] == ["broken.mp4", "nowhere.mp4"]
    rows = report(tmp_path / "out")
    assert {name: row["status"] for name, row in rows.items()} == {
        "a.mp4": "complete",
        "b.mp4": "complete",
        "broken.mp4": "failed",
        "c.mp4": "complete",
        "nowhere.mp4": "failed",
    }
    assert (rows["a.mp4"]["frames"], rows["a.mp4"]["people"], rows["a.mp4"]["csv"]) == ("8", "2", "a.csv")
    assert float(rows["a.mp4"]["frames_per_s"]) > 0 and rows["a.mp4"]["error"] == ""
    assert "no video" in rows["broken.mp4"]["error"] and "no such file" in rows["nowhere.mp4"]["error"]


def test_a_resumed_batch_tells_in_its_table_what_was_done_before(track: Track, folder: Path, tmp_path: Path):
    track(folder)
    (tmp_path / "out" / "b.csv").unlink()
    (tmp_path / "out" / "b.json").unlink()
    track(folder, "--resume")
    rows = report(tmp_path / "out")
    assert [rows[f"{name}.mp4"]["status"] for name in "abc"] == ["done before", "complete", "done before"]
    assert rows["a.mp4"]["frames"] == "8" and float(rows["a.mp4"]["seconds"]) > 0


@pytest.mark.slow
def test_what_auto_chose_is_kept_when_a_batch_is_resumed(
    track: Track, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    out = tmp_path / "out"
    monkeypatch.setattr(following, "measure_finder", lambda *_: 4.0)
    monkeypatch.setattr(following, "measure_person", lambda *_: 1.0)
    track(folder)
    first = {name: (out / f"{name}.csv").read_bytes() for name in "abc"}
    chosen = choice(out / "a.json")
    told = json.loads((out / "b.json").read_text())
    (out / "b.json").write_text(json.dumps({**told, "status": "recording"}))
    monkeypatch.setattr(following, "measure_finder", lambda *_: 400.0)
    monkeypatch.setattr(following, "measure_person", lambda *_: 30.0)
    assert track(folder, "--resume", "-v").exit_code == 1
    assert {name: (out / f"{name}.csv").read_bytes() for name in "abc"} == first
    assert [choice(out / f"{name}.json") for name in "abc"] == [chosen] * 3
    track(folder, "--overwrite")
    assert choice(out / "b.json") != chosen, "a new batch measures anew"


def test_the_settings_in_the_sidecar_are_those_asked_for(track: Track, folder: Path, tmp_path: Path):
    track(folder / "a.mp4")
    told = json.loads((tmp_path / "out" / "a.json").read_text())
    estimator = told["settings"]["estimator"]
    assert (estimator["mode"], estimator["find_interval_s"]) == ("auto", None)
    assert told["choice"]["mode"] == "top-down" and told["choice"]["find_interval_s"] > 0


def test_two_inputs_of_one_name_are_refused_and_the_rest_is_done(
    track: Track, folder: Path, write_clip: WriteClip, tmp_path: Path
):
    other = write_clip(tmp_path / "a.mkv", 5)
    result = track(folder, other)
    assert result.exit_code == 1
    refused = [line for line in result.stderr.splitlines() if "would both be written to a.csv" in line]
    assert len(refused) == 2
    rows = report(tmp_path / "out")
    assert [rows[name]["status"] for name in ("a.mp4", "a.mkv", "b.mp4")] == ["failed", "failed", "complete"]
    assert not (tmp_path / "out" / "a.csv").exists()


def test_one_input_alone_needs_no_table(track: Track, clip: Path, tmp_path: Path):
    track(clip)
    assert not (tmp_path / "out" / "steadypose-batch.csv").exists()


def test_a_folder_that_was_filled_by_another_version_is_left_alone_and_the_rest_done(
    track: Track, folder: Path, tmp_path: Path
):
    track(folder)
    told = json.loads((tmp_path / "out" / "a.json").read_text())
    told |= {"software_version": "0.0.1", "run": None}
    (tmp_path / "out" / "a.json").write_text(json.dumps(told))
    for name in ("b.csv", "b.json"):
        (tmp_path / "out" / name).unlink()
    result = track(folder)
    assert result.exit_code == 1
    line = next(line for line in result.stderr.splitlines() if "0.0.1" in line)
    assert "a.mp4" in line and "--overwrite" in line and "--resume" in line
    assert report(tmp_path / "out")["b.mp4"]["status"] == "complete"
