import csv
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from typer.testing import Result

from app.truth import TruePerson
from app.truth_files import read_truth
from assets import demo_truth
from engine import structures
from engine.skeleton import COCO17

IMAGE = np.zeros((2, 2, 3), np.uint8)


def as_tracked(true: TruePerson) -> structures.TrackedPerson:
    return structures.TrackedPerson(
        true.track_id, true.keypoints, true.keypoints, np.zeros((17, 2), np.float32), np.ones(17, np.float32),
        np.full(17, structures.KeypointState.MEASURED, np.int8), true.bbox, 1.0, 1.0,
    )  # fmt: skip


def pretend_to_track(code: int) -> Callable[..., int]:
    def run_batch(texts, options, console, verbosity, on_result):
        assert texts == ["demo"] and options.write.overwrite
        for frame, people in read_truth(demo_truth(), COCO17).items():
            found = tuple(as_tracked(person) for person in people if person.countable)
            on_result(structures.Result(structures.Frame(IMAGE, frame, frame / 30), found))
        return code

    return run_batch


def test_what_was_found_is_held_against_the_truth(
    invoke: Callable[..., Result], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("app.demo.run_batch", pretend_to_track(0))
    result = invoke("demo", "--out", tmp_path / "out")
    assert result.exit_code == 0
    assert "100.0 % of them found, 0 found that match nobody, no identity switch" in result.stdout
    assert "off by 0.0 px" in result.stdout
    assert invoke("demo", "--out", tmp_path / "out", "-q").stdout == ""


def test_a_demo_that_was_stopped_claims_nothing(
    invoke: Callable[..., Result], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("app.demo.run_batch", pretend_to_track(130))
    result = invoke("demo", "--out", tmp_path / "out")
    assert (result.exit_code, result.stdout) == (130, "")


def test_without_its_truth_the_demo_says_what_to_do(
    invoke: Callable[..., Result], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("app.demo.demo_truth", lambda: tmp_path / "none.csv")
    result = invoke("demo", "--out", tmp_path / "out")
    assert result.exit_code == 2 and "install the package again" in result.stderr


@pytest.mark.slow
def test_the_bundled_networks_follow_the_people_of_the_bundled_clip(
    invoke: Callable[..., Result], tmp_path: Path
):
    result = invoke("demo", "--out", tmp_path)
    assert result.exit_code == 0, result.output
    assert sorted(path.name for path in tmp_path.iterdir()) == ["demo.csv", "demo.json", "demo.tracked.mp4"]
    assert "truth: " in result.stdout and "demo.tracked.mp4" in result.stdout
    told = json.loads((tmp_path / "demo.json").read_text("utf-8"))
    truth = read_truth(demo_truth(), COCO17)
    assert told["status"] == "complete" and told["frames_read"] == len(truth)
    with (tmp_path / "demo.csv").open(newline="", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    seen = sum(person.countable for people in truth.values() for person in people)
    assert 0.8 * seen <= len(rows) <= 1.2 * sum(len(people) for people in truth.values())
