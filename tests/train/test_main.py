import json
import sys
from pathlib import Path

import pytest
import yaml

from train.__main__ import main, parse_scales, parse_size

CONFIGS = Path(__file__).parents[2] / "train" / "configs"


def run(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> int:
    """Run `python -m train` in this process; return its exit code."""
    monkeypatch.setattr(sys, "argv", ["train", *map(str, arguments)])
    with pytest.raises(SystemExit) as stopped:
        main()
    return int(stopped.value.code or 0)


@pytest.fixture
def config(stick_people: Path, tmp_path: Path) -> Path:
    settings = {
        "name": "stick",
        "kind": "top-down",
        "architecture": "hrnet_w16",
        "data": [{"annotations": str(stick_people / "people.json"), "images": str(stick_people / "images")}],
        "stages": [{"steps": 2, "input_size": [64, 64], "batch": 2}],
        "workers": 0,
        "log_every": 1,
        "tensorboard": False,
        "out": str(tmp_path / "runs"),
    }
    path = tmp_path / "stick.yaml"
    path.write_text(yaml.safe_dump(settings))
    return path


def test_a_run_is_trained_then_drawn_and_exported_from_the_command_line(
    config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "fit", config) == 0
    folder = Path(capsys.readouterr().out.strip())
    assert (folder / "final.pt").is_file()
    assert run(monkeypatch, "curves", folder, "--out", tmp_path / "curves.svg") == 0
    assert (tmp_path / "curves.svg").read_text().startswith("<svg")
    assert run(monkeypatch, "show", config, "--out", tmp_path / "sheets", "--count", 2) == 0
    assert (tmp_path / "sheets" / "samples-64x64.png").is_file()


def test_a_misspelt_setting_ends_in_one_line_and_exit_code_2(
    config: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "fit", config, "--set", "learnin_rate=1") == 2
    error = capsys.readouterr().err
    assert "did you mean learning_rate?" in error
    assert len(error.strip().splitlines()) == 1


def test_a_missing_picture_ends_in_one_line_and_exit_code_1(
    config: Path,
    stick_people: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run(monkeypatch, "fit", config, "--set", f"data.0.images={tmp_path / 'nowhere'}") == 1
    assert "is missing" in capsys.readouterr().err.strip().splitlines()[-1]


def test_the_summary_names_every_part_of_the_network(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "summary", CONFIGS / "hrnet-w32-coco-256x192.yaml") == 0
    shown = capsys.readouterr().out
    assert "28.54 M parameters" in shown
    assert all(part in shown for part in ("stem", "stage2", "stage4", "heads"))


def test_data_check_tells_errors_by_its_exit_code_and_lists_them_as_json(
    stick_people: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    labels, images = stick_people / "people.json", stick_people / "images"
    assert run(monkeypatch, "data", "check", "--annotations", labels, "--images", images) == 0
    report = tmp_path / "report.json"
    gone = tmp_path / "gone"
    gone.mkdir()
    arguments = ("data", "check", "--annotations", labels, "--images", gone, "--json", report)
    assert run(monkeypatch, *arguments) == 1
    assert "missing" in capsys.readouterr().out
    assert json.loads(report.read_text())


def test_data_check_without_data_says_what_to_give(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "data", "check") == 2
    assert "--annotations and --images" in capsys.readouterr().err


@pytest.mark.parametrize("text", ["", "0", "1,x", "-1"])
def test_scales_that_are_none_are_refused(text: str) -> None:
    with pytest.raises(Exception, match="scales are positive numbers"):
        parse_scales(text)


def test_sizes_are_height_by_width() -> None:
    assert parse_size("256x192") == (256, 192)
    with pytest.raises(Exception, match="multiples of 32"):
        parse_size("250x192")
