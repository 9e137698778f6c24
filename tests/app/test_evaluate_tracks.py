import json
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import Result

from engine.skeleton import Skeleton

Write = Callable[..., Path]
Invoke = Callable[..., Result]
PAIR = {1: 300.0, 2: 700.0}
SWAPPED = {2: 300.0, 1: 700.0}


def test_one_recording_and_one_truth_belong_together(tmp_path: Path, write_stands: Write, invoke: Invoke):
    results = write_stands(tmp_path / "morning.csv", [PAIR] * 5 + [SWAPPED] * 5)
    truth = write_stands(tmp_path / "labels" / "by_hand.csv", [PAIR] * 10)
    answer = invoke("evaluate-tracks", results, truth, "--json", tmp_path / "out.json")
    assert (answer.exit_code, answer.stderr) == (0, "")
    header, _, row, legend = answer.stdout.splitlines()
    values = dict(zip(header.split()[:9], row.split(), strict=False))
    assert values == {
        "sequence": "morning", "frames": "10", "people": "20", "HOTA": "0.577", "DetA": "1.000",
        "AssA": "0.333", "MOTA": "0.900", "IDF1": "0.500", "switches": "2",
    }  # fmt: skip
    assert "OKS of 17 keypoints" in legend and "motmetrics 1." in legend
    figures = json.loads((tmp_path / "out.json").read_text())
    assert figures["sequences"]["morning"]["switches"] == figures["all"]["switches"] == 2
    assert figures["sequences"]["morning"]["lag_ms"] is None
    assert figures["similarity"] == "oks" and figures["failures"] == []


def test_folders_are_matched_by_name_and_summed_up(tmp_path: Path, write_stands: Write, invoke: Invoke):
    for name, frames in (("a", [PAIR] * 6), ("b", [{1: 300.0}] * 2)):
        write_stands(tmp_path / "results" / f"{name}.csv", frames)
        write_stands(tmp_path / "truth" / f"{name}_truth.csv", [PAIR] * len(frames))
    answer = invoke("evaluate-tracks", tmp_path / "results", tmp_path / "truth", "--similarity", "iou")
    assert answer.exit_code == 0
    rows = [line.split() for line in answer.stdout.splitlines()[2:5]]
    # In all 16 people, 2 of them missed: not the mean of 1 and 0.5.
    assert [(row[0], row[1], row[2], row[6]) for row in rows] == [
        ("a", "6", "12", "1.000"),
        ("b", "2", "4", "0.500"),
        ("all", "8", "16", "0.875"),
    ]
    assert "IoU of boxes" in answer.stdout


def test_what_has_no_counterpart_is_named_and_the_rest_judged(
    tmp_path: Path, write_stands: Write, invoke: Invoke
):
    for name in ("a", "b"):
        write_stands(tmp_path / "results" / f"{name}.csv", [PAIR] * 3)
    for name in ("a", "c"):
        write_stands(tmp_path / "truth" / f"{name}.csv", [PAIR] * 3)
    answer = invoke(
        "evaluate-tracks", tmp_path / "results", tmp_path / "truth", "--json", tmp_path / "o.json"
    )
    assert answer.exit_code == 1
    assert answer.stdout.splitlines()[2].startswith("a ")
    first, second = answer.stderr.splitlines()
    assert "b.csv has no truth in" in first and "which has a, c" in first
    assert "c.csv has no results of that name" in second
    assert len(json.loads((tmp_path / "o.json").read_text())["failures"]) == 2


def test_a_recording_that_cannot_be_judged_fails_alone(tmp_path: Path, write_stands: Write, invoke: Invoke):
    mouse = Skeleton(name="mouse", keypoints=("a", "b", "c"), limbs=(), flip_pairs=(), oks_sigmas=(0.1,) * 3)
    write_stands(tmp_path / "results" / "a.csv", [PAIR] * 3)
    write_stands(tmp_path / "results" / "b.csv", [PAIR] * 3, skeleton=mouse)
    for name in ("a", "b"):
        write_stands(tmp_path / "truth" / f"{name}.csv", [PAIR] * 3)
    answer = invoke("evaluate-tracks", tmp_path / "results", tmp_path / "truth")
    assert answer.exit_code == 1
    (line,) = answer.stderr.splitlines()
    assert line.startswith("error: ") and "0 keypoints have the same name" in line
    assert answer.stdout.splitlines()[2].split()[3] == "1.000"


def test_differences_of_length_are_warned_of(tmp_path: Path, write_stands: Write, invoke: Invoke):
    results = write_stands(tmp_path / "clip.csv", [PAIR] * 3, status="interrupted")
    truth = write_stands(tmp_path / "truth.csv", [PAIR] * 5)
    answer = invoke("evaluate-tracks", results, truth)
    assert answer.exit_code == 0
    lines = answer.stderr.splitlines()
    assert all(line.startswith("warning: ") for line in lines) and len(lines) == 2
    assert "tracking it was interrupted" in lines[0] and "the 3 labelled ones" in lines[1]


@pytest.mark.parametrize("module", ["motmetrics", "trackeval.metrics.hota"])
def test_without_a_library_the_install_line_is_told(
    tmp_path: Path, invoke: Invoke, monkeypatch: pytest.MonkeyPatch, module: str
):
    monkeypatch.setitem(__import__("sys").modules, module, None)
    answer = invoke("evaluate-tracks", tmp_path, tmp_path)
    assert answer.exit_code == 2
    assert f"pip install {module.partition('.')[0]}" in answer.stderr


def test_nothing_to_judge_is_wrong_usage(tmp_path: Path, write_stands: Write, invoke: Invoke):
    results = write_stands(tmp_path / "r" / "clip.csv", [PAIR])
    for arguments, words in (
        ((tmp_path, results), "holds no results"),
        ((results, tmp_path / "none.json"), "does not exist"),
        ((results, results, "--json", tmp_path / "no" / "x.json"), "cannot be written"),
    ):
        answer = invoke("evaluate-tracks", *arguments)
        assert answer.exit_code == 2 and words in answer.stderr
        assert len(answer.stderr.splitlines()) == 1
