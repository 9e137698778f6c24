"""The command: what it takes, what it says, and what goes on where something fails."""

from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from app.cli import cli
from app.report.content import KnownHeight, TwoPoints, choose_scale, parse_height, parse_scale_points
from engine.errors import UsageError


def run(*arguments: object) -> tuple[int, str, str]:
    """Return exit code, stdout and stderr."""
    result = CliRunner().invoke(cli, ["report", *map(str, arguments)])
    return result.exit_code, result.stdout, result.stderr


def test_a_folder_is_reported_on_file_by_file_and_a_damaged_one_is_named(
    tmp_path: Path, clip: Path, write_clip: Callable[..., Path]
) -> None:
    bad = write_clip(clip.parent, {}, name="bad")
    bad.write_text(bad.read_text() + "1,2,3\n")
    code, said, errors = run(clip.parent, "--out", tmp_path / "out")
    assert code == 1
    assert "clip.people.csv" in said and "line 2 has 3 fields" in errors and errors.count("error:") == 1
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "clip.angles.csv",
        "clip.people.csv",
    ]


def test_a_report_lies_beside_its_csv_and_is_no_recording_itself(clip: Path) -> None:
    assert run(clip)[0] == 0
    code, _, errors = run(clip.parent)
    assert code == 1 and errors.count("error:") == 1 and "clip.people.csv exists already" in errors
    assert run(clip.parent, "--overwrite", "--quiet") == (0, "", "")


def test_a_height_is_of_one_recording(clip: Path, write_clip: Callable[..., Path]) -> None:
    write_clip(clip.parent, {}, name="second")
    code, _, errors = run(clip.parent, "--height", "1=1.8")
    assert code == 2 and "one person in one recording, but there are 2" in errors


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--height", "1.8"), "such as 2=1.78, got '1.8'"),
        (("--scale-points", "1,2,3=4"), "such as 120,700,980,705=4.5, got '1,2,3=4'"),
        (("--height", "1=1.8", "--scale-points", "0,0,9,9=1"), "exclude each other"),
    ],
)
def test_an_option_that_makes_no_sense_starts_nothing(clip: Path, arguments, words) -> None:
    code, said, errors = run(clip, *arguments)
    assert (code, said) == (2, "") and words in errors and errors.count("\n") == 1


def test_an_impossible_scale_is_one_line(clip: Path) -> None:
    code, _, errors = run(clip, "--scale-points", "0,0,0,1=3")
    assert code == 1 and "at least 2 px apart" in errors and errors.count("\n") == 1


def test_a_file_that_is_missing_is_named(tmp_path: Path) -> None:
    code, _, errors = run(tmp_path / "no.csv")
    assert code == 1 and "no.csv does not exist" in errors


def test_scales_are_read() -> None:
    assert parse_scale_points("1,2.5,-3,4=1.5") == TwoPoints((1.0, 2.5), (-3.0, 4.0), 1.5)
    assert parse_height("12=1.7") == KnownHeight(12, 1.7) == choose_scale(None, "12=1.7")
    assert choose_scale(None, None) is None
    for text in ("", "1,2,3,4", "1,2,3,4=", "1,2,3,inf=1", "a,b,c,d=1", "1,2,3,4,5=1"):
        with pytest.raises(UsageError, match="--scale-points must be"):
            parse_scale_points(text)
