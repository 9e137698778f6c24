"""Reports hold every figure and picture, and say what cannot be written."""

import re
from pathlib import Path
from xml.etree import ElementTree

import cv2
import numpy as np
import pytest

from engine.errors import SinkError, UsageError
from engine.model import open_model
from engine.skeleton import COCO17
from engine.structures import Person
from train.data.coco import load_coco
from train.evaluate import Prediction, Selection, summarise
from train.report import describe_figures, write_report
from train.report_plots import plot_curve, plot_histogram, plot_shares


@pytest.fixture
def predictions(stick_people: Path) -> list[Prediction]:
    labels = load_coco(stick_people / "people.json", stick_people / "images", COCO17)[:4]
    rng = np.random.default_rng(0)

    def answer(person) -> Person:
        points = person.keypoints + rng.normal(0, 4, (17, 2)).astype(np.float32)
        return Person(points, rng.random(17).astype(np.float32), person.bbox, 0.9)

    return [Prediction(label, tuple(answer(p) for p in label.people[:1]), (160, 200)) for label in labels]


@pytest.fixture
def write(predictions, top_down_file):
    figures = summarise(predictions, COCO17, Selection(), protocol="lsp")
    spec = open_model(top_down_file).spec.model_copy(update={"skeleton": COCO17})

    def run(path: Path) -> None:
        write_report(path, figures, predictions, spec, Selection(), command="evaluate <x>")

    return run


def test_html_is_one_whole_file(write, tmp_path: Path) -> None:
    write(tmp_path / "out" / "report.html")
    text = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["report.html"]
    assert not re.findall(r'(?:src|href)="(?!data:)', text)
    assert text.count("data:image/jpeg") == 2 * 6
    assert text.count("<svg") == 3
    assert "evaluate &lt;x&gt;" in text and "<x>" not in text
    assert "Protocol lsp" in text and "left_wrist" in text and "alone" in text


def test_markdown_names_only_pictures_that_are_there(write, tmp_path: Path) -> None:
    write(tmp_path / "report.md")
    text = (tmp_path / "report.md").read_text(encoding="utf-8")
    named = re.findall(r"!\[[^]]*\]\(([^)]+)\)", text)
    assert len(named) == 3 + 2 * 6
    assert all((tmp_path / name).is_file() for name in named)
    assert {f"report/{p.name}" for p in (tmp_path / "report").iterdir()} == set(named)
    panel = cv2.imread(str(tmp_path / "report" / "worst_00.jpg"))
    assert panel is not None and panel.shape[0] <= 260


def test_other_endings_and_places_are_refused(write, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"\.html or \.md"):
        write(tmp_path / "report.pdf")
    (tmp_path / "file").write_text("")
    with pytest.raises(SinkError, match="cannot be written"):
        write(tmp_path / "file" / "report.html")


def test_the_terminal_shows_figures_of_the_protocol(predictions) -> None:
    text = describe_figures(summarise(predictions, COCO17, Selection(), protocol="lsp"))
    assert "lsp pck@0.2: " in text and "mean OKS" in text.splitlines()[-1]
    assert len([line for line in text.splitlines() if line.startswith("left_")]) == 8


def test_plots_are_svg_that_shows_its_numbers() -> None:
    for text in (
        plot_curve([0, 0.5], [0, 1], x_label="a < b", y_label="y"),
        plot_histogram([0.0, 0.05, 1.0], bins=10, x_label="x", y_label="y"),
        plot_shares({"good": 0.75, "miss": 0.25}),
    ):
        assert ElementTree.fromstring(text).tag.endswith("svg")
    assert ">2<" in plot_histogram([0.0, 0.05, 1.0], bins=10, x_label="x", y_label="y")
    assert "good 75.0%" in plot_shares({"good": 0.75, "miss": 0.25})
