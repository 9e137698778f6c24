"""COCO's figures: pycocotools on the same boxes, and who is ignored."""

import contextlib
import io
import json
from pathlib import Path

import numpy as np
import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from engine.skeleton import COCO17
from engine.structures import Person
from train.data.coco import load_coco
from train.protocols.coco import FIGURES, average_precision
from train.protocols.pairing import Prediction, Selection

VECTORS = Path(__file__).parents[2] / "data/reference/vectors/pycocotools_oks.json"


def test_all_ten_figures_are_those_of_pycocotools_on_the_files(tmp_path: Path) -> None:
    content = json.loads(VECTORS.read_text())
    content["images"] = [{"id": k, "file_name": f"{k}.jpg", "width": 400, "height": 300} for k in (1, 2, 3)]
    content["categories"] = [{"id": 1, "name": "person"}]
    rng = np.random.default_rng(0)
    for row in content["detections"]:
        noise = np.array([[6.0, 6.0, 0.0]]) * rng.normal(size=(17, 3))
        row["keypoints"] = (np.array(row["keypoints"]).reshape(17, 3) + noise).round(3).ravel().tolist()
    path = tmp_path / "people.json"
    path.write_text(json.dumps(content))
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO(str(path))
        judge = COCOeval(truth, truth.loadRes([dict(row) for row in content["detections"]]), "keypoints")
        judge.evaluate()
        judge.accumulate()
        judge.summarize()
    predictions = []
    for label in load_coco(path, tmp_path, COCO17):
        rows = [row for row in content["detections"] if row["image_id"] == label.image_id]
        points = [np.array(row["keypoints"]).reshape(17, 3) for row in rows]
        people = tuple(
            Person(
                p[:, :2].astype(np.float32), np.ones(17, np.float32), np.zeros(4, np.float32), row["score"]
            )
            for p, row in zip(points, rows, strict=True)
        )
        predictions.append(Prediction(label, people, (300, 400)))
    figures = average_precision(predictions, COCO17, Selection())
    assert list(figures) == list(FIGURES)
    assert [-1 if value is None else value for value in figures.values()] == pytest.approx(
        judge.stats, abs=1e-9
    )
    assert 0.1 < figures["ap"] < 0.9


def test_a_detection_of_somebody_who_does_not_count_is_no_false_one(stand, respond) -> None:
    tall, small = stand(300), stand(900, 80)
    both = respond([tall, small], scores=[0.5, 0.9])
    assert average_precision([both], COCO17, Selection(min_height=96))["ap"] == pytest.approx(1)
    # The same detection where nobody is labelled comes first by its score and halves the precision.
    stranger = Prediction(respond([tall]).label, both.people, both.size)
    assert average_precision([stranger], COCO17, Selection(min_height=96))["ap"] == pytest.approx(0.5)


def test_somebody_who_does_not_count_is_not_missed(stand, respond) -> None:
    only_tall = respond([stand(300), stand(900, 80)], answers=[0])
    assert average_precision([only_tall], COCO17, Selection(min_height=96))["ar"] == pytest.approx(1)
    assert average_precision([only_tall], COCO17, Selection())["ar"] == pytest.approx(0.5)


def test_detections_in_a_crowd_are_ignored(stand, respond) -> None:
    people, crowd = [stand(300), stand(900)], np.array([[800, 200, 1000, 700]], np.float32)
    answered = respond(people, scores=[0.5, 0.9])
    label = respond(people[:1], ignore=crowd).label
    assert average_precision([Prediction(label, answered.people, answered.size)], COCO17, Selection())[
        "ap"
    ] == pytest.approx(1)


def test_without_detections_all_figures_are_zero(stand, respond) -> None:
    assert set(average_precision([respond([stand(300)], answers=[])], COCO17, Selection()).values()) == {0.0}


def test_a_range_of_areas_without_people_has_no_figure(stand, respond) -> None:
    figures = average_precision([respond([stand(300)])], COCO17, Selection())
    assert figures["ap_medium"] is None
    assert figures["ap_large"] == pytest.approx(1)
