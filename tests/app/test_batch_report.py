import csv
import logging
from pathlib import Path

import pytest

from app.batch_report import COLUMNS, BatchReport
from app.batch_task import Outcome


def read(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def test_each_input_has_its_row_whatever_came_of_it(tmp_path: Path):
    report = BatchReport(tmp_path, ["a, b.mp4", "c.mp4", "d.mp4"])
    files = (tmp_path / "a, b.csv",)
    done = Outcome(0, "complete", 300, 2, 1, 10.0, warnings=("dark", "short"), files=files)
    report.set(done)
    report.set(Outcome(1, "failed", error='c.mp4: it says "no"'))
    report.write()
    first, second, third = read(report.path)
    assert list(first) == list(COLUMNS)
    assert first["input"] == "a, b.mp4" and first["warnings"] == "dark | short"
    assert (first["frames"], first["frames_dropped"], first["frames_per_s"]) == ("300", "2", "30.00")
    assert (second["status"], second["error"]) == ("failed", 'c.mp4: it says "no"')
    assert (third["status"], third["frames"]) == ("waiting", "")
    assert (report.done, [outcome.key for outcome in report.failures]) == (1, [1])


def test_it_is_rewritten_whole_and_nothing_is_left_beside_it(tmp_path: Path):
    report = BatchReport(tmp_path, ["a.mp4"])
    report.write()
    report.set(Outcome(0, "interrupted", 5))
    report.write()
    assert read(report.path)[0]["status"] == "interrupted"
    assert [path.name for path in tmp_path.iterdir()] == ["steadypose-batch.csv"]


def test_that_it_cannot_be_written_is_said_once_and_ends_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    report = BatchReport(tmp_path / "gone", ["a.mp4"])
    with caplog.at_level(logging.WARNING):
        report.write()
        report.write()
    assert len(caplog.records) == 1 and "summary of the batch" in caplog.text
