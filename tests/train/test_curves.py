import json
from pathlib import Path
from xml.etree import ElementTree

import pytest

from engine.errors import SinkError, UsageError
from train.curves import draw_curves, read_curves


def log(folder: Path, *rows: dict) -> Path:
    path = folder / "log.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_every_figure_of_the_log_is_a_panel(tmp_path: Path) -> None:
    log(
        tmp_path,
        {"step": 50, "lr": 0.1, "mse": 3.0},
        {"step": 50, "validation": {"ap": 0.5}},
        {"step": 100, "lr": 0.2, "mse": 2.0},
    )
    root = ElementTree.parse(draw_curves(tmp_path, tmp_path / "out" / "curves.svg")).getroot()
    texts = [element.text for element in root.iter() if element.tag.endswith("text")]
    assert {"lr", "mse", "validation ap"} <= set(texts)
    lines = [element for element in root.iter() if element.tag.endswith("polyline")]
    assert len(lines) == 3
    (first_x, first_y), (last_x, last_y) = (
        tuple(map(float, point.split(","))) for point in lines[1].attrib["points"].split()
    )
    assert last_x > first_x
    assert last_y > first_y  # a loss that falls goes down on the picture


def test_of_steps_run_twice_the_later_count() -> None:
    rows = [{"step": step, "mse": value} for step, value in ((50, 9.0), (100, 8.0), (150, 7.0), (100, 1.0))]
    assert read_curves([json.dumps(row) for row in rows]) == {"mse": [(50, 9.0), (100, 1.0)]}


def test_a_run_without_figures_is_told_apart_from_no_run(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="does not exist"):
        draw_curves(tmp_path, tmp_path / "curves.svg")
    log(tmp_path)
    with pytest.raises(UsageError, match="no figures yet"):
        draw_curves(tmp_path, tmp_path / "curves.svg")


def test_a_broken_row_and_a_place_that_cannot_be_written_are_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="line 2"):
        read_curves(['{"step": 1, "mse": 1}', '{"step": 2, "ms'])
    log(tmp_path, {"step": 50, "mse": 3.0})
    with pytest.raises(SinkError, match="cannot be written"):
        draw_curves(tmp_path, tmp_path / "log.jsonl" / "curves.svg")
