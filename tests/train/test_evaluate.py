import json
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from engine.errors import UsageError
from engine.model_file import ModelSpec
from engine.skeleton import COCO17, LSP14, MPII16, POSETRACK17
from engine.structures import Person
from train.__main__ import parse_scales
from train.data.coco import load_coco
from train.data.labels import ImageLabel, PersonLabel
from train.data.targets import unbiased_heatmaps
from train.evaluate import (
    Prediction,
    Selection,
    default_protocol,
    evaluate,
    summarise,
)
from train.export import make_spec
from train.settings import DataSource, Stage, TrainSettings

SIZE = (160, 200)


@pytest.fixture
def labels(stick_people: Path) -> list[ImageLabel]:
    return load_coco(stick_people / "people.json", stick_people / "images", COCO17)


def answer(label: ImageLabel, shift: float = 0.0) -> list[Person]:
    return [
        Person(p.keypoints + np.float32(shift), np.full(17, 0.9, np.float32), p.bbox, 0.9)
        for p in label.people
    ]


def everybody(labels: list[ImageLabel], shift: float = 0.0) -> list[Prediction]:
    return [Prediction(label, tuple(answer(label, shift)), SIZE, in_order=True) for label in labels]


def test_perfect_answers_score_one(labels: list[ImageLabel]) -> None:
    figures = summarise(everybody(labels), COCO17, Selection())
    assert figures["mean_oks"] == pytest.approx(1)
    assert figures["ap"] == pytest.approx(1)
    assert figures["ar"] == pytest.approx(1)
    assert figures["people"] == len(figures["persons"]) == 18
    assert all(values["pck@0.1"] == 1 for values in figures["per_keypoint"].values())


def test_oks_falls_with_distance_as_the_formula_says(labels: list[ImageLabel]) -> None:
    figures = summarise(everybody(labels, 3.0), COCO17, Selection())
    person = labels[0].people[0]
    expected = np.exp(-18 / (2 * (2 * COCO17.sigmas) ** 2 * person.area)).mean()
    record = next(row for row in figures["persons"] if row["id"] == person.annotation_id)
    assert record["oks"] == pytest.approx(float(expected), abs=1e-5)
    assert figures["ap"] < 1


def test_answers_in_any_order_are_paired_and_the_missed_score_zero(labels: list[ImageLabel]) -> None:
    double = next(label for label in labels if len(label.people) == 2)
    turned = summarise([Prediction(double, tuple(answer(double)[::-1]), SIZE)], COCO17, Selection())
    assert turned["mean_oks"] == pytest.approx(1)
    half = summarise([Prediction(double, tuple(answer(double)[:1]), SIZE)], COCO17, Selection())
    assert half["mean_oks"] == pytest.approx(0.5, abs=0.05)
    assert [row["keypoints"] is None for row in half["persons"]].count(True) <= 1


def test_people_outside_the_selection_are_left_out(labels: list[ImageLabel]) -> None:
    tall = Selection(min_height=float(np.median([p.bbox[3] - p.bbox[1] for x in labels for p in x.people])))
    figures = summarise(everybody(labels), COCO17, tall)
    assert 0 < figures["people"] < 18
    with pytest.raises(UsageError, match="no labelled person"):
        summarise(everybody(labels), COCO17, Selection(18))


class PaintingNetwork:
    """Paints a fixed pose, wherever the crop is: enough to follow a prediction back into the frame."""

    def __init__(self, points_heatmap: NDArray[np.float32]) -> None:
        self.points = points_heatmap
        self.settings = TrainSettings(
            name="painter",
            kind="top-down",
            architecture="hrnet_w16",
            data=(DataSource(annotations=Path("a.json"), images=Path("images")),),
            stages=(Stage(steps=1, input_size=(128, 96), batch=1, heatmap_sigma=1.5),),
        )

    @property
    def spec(self) -> ModelSpec:
        return make_spec(self.settings)

    def run(self, inputs: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
        maps = unbiased_heatmaps(self.points, np.ones(17), (32, 24), 1.5)
        return {"heatmaps": np.repeat(maps[None], len(inputs), axis=0)}


def test_every_labelled_person_gets_one_prediction_from_truth_boxes(
    stick_people: Path, labels: list[ImageLabel]
) -> None:
    network = PaintingNetwork(np.full((17, 2), (11.5, 15.5), np.float32))
    figures = evaluate(network, labels)
    assert [row["id"] for row in figures["persons"]] == list(range(1, 19))
    content = json.loads((stick_people / "people.json").read_text())
    boxes = {entry["id"]: entry["bbox"] for entry in content["annotations"]}
    for row in figures["persons"]:
        x, y, width, height = boxes[row["id"]]
        found = np.array(row["keypoints"]).reshape(17, 3)
        # The middle of the heatmap is the middle of the box.
        np.testing.assert_allclose(found[:, :2], [[x + width / 2, y + height / 2]] * 17, atol=0.3)
    assert {"mean_oks", "ap", "ap50", "ar", "per_keypoint", "people", "persons"} < set(figures)
    assert json.loads(json.dumps(figures)) == figures


def test_boxes_may_come_from_a_file(stick_people: Path, labels: list[ImageLabel], tmp_path: Path) -> None:
    content = json.loads((stick_people / "people.json").read_text())
    rows = [
        {"image_id": entry["image_id"], "bbox": entry["bbox"], "score": 1.0}
        for entry in content["annotations"]
        if not entry["iscrowd"]
    ]
    path = tmp_path / "boxes.json"
    path.write_text(json.dumps(rows))
    network = PaintingNetwork(np.full((17, 2), (11.5, 15.5), np.float32))
    by_file = evaluate(network, labels, boxes=str(path))
    by_truth = evaluate(network, labels)
    assert by_file["mean_oks"] == pytest.approx(by_truth["mean_oks"], abs=0.02)


def test_mistakes_are_told_apart_and_add_up(labels: list[ImageLabel]) -> None:
    perfect = summarise(everybody(labels), COCO17, Selection())["errors"]
    assert perfect["good"] == 1
    mirrored = [
        Prediction(
            label,
            tuple(
                Person(p.keypoints[COCO17.flip_index], np.ones(17, np.float32), p.bbox, 0.9)
                for p in label.people
            ),
            SIZE,
            in_order=True,
        )
        for label in labels
    ]
    errors = summarise(mirrored, COCO17, Selection())["errors"]
    assert errors["inversion"] > 0.8
    assert sum(errors.values()) == pytest.approx(1)
    nobody = [Prediction(label, (), SIZE) for label in labels]
    figures = summarise(nobody, COCO17, Selection())
    assert figures["errors"]["unfound"] == 1 and figures["mean_oks"] == 0 and figures["ap"] == 0


def test_rows_by_height_and_company_hold_everybody_once(labels: list[ImageLabel]) -> None:
    figures = summarise(everybody(labels), COCO17, Selection())
    for rows in (figures["by_height"], figures["by_company"]):
        assert sum(row["people"] for row in rows) == 18
    assert [(row["name"], row["people"]) for row in figures["by_company"]] == [("alone", 6), ("2 people", 12)]
    assert figures["pck_torso"] == figures["pck_curve"]["pck"][-1] == 1


def test_the_skeleton_chooses_the_protocol() -> None:
    assert [default_protocol(s) for s in (COCO17, MPII16, POSETRACK17, LSP14)] == [
        "coco",
        "mpii",
        "posetrack",
        "lsp",
    ]


def test_mpii_is_judged_by_head_sizes(labels: list[ImageLabel]) -> None:
    rng, box = np.random.default_rng(0), np.array([0, 0, 200, 200], np.float32)
    people = tuple(
        PersonLabel(n, points, np.full(16, 1), np.ones(16, np.float32), box, 9000.0, head_size=20.0)
        for n, points in enumerate(rng.uniform(0, 200, (2, 16, 2)).astype(np.float32))
    )
    label = ImageLabel(1, Path("a.jpg"), "", people, np.zeros((0, 4), np.float32))
    found = tuple(
        Person(p.keypoints + [shift, 0], np.ones(16, np.float32), p.bbox, 0.9)
        for p, shift in zip(people, (9.0, 11.0), strict=True)
    )
    figures = summarise([Prediction(label, found, (200, 200), in_order=True)], MPII16, Selection())
    assert figures["mpii"]["pckh@0.5"] == pytest.approx(0.5)
    assert figures["mpii"]["table"]["wrist"] == pytest.approx(0.5)
    assert figures["pck_torso"] is not None
    assert json.loads(json.dumps(figures)) == figures


def test_scales_are_numbers_between_commas() -> None:
    assert parse_scales("0.5,1,2") == (0.5, 1.0, 2.0)
    for text in ("", "1,x", "0", "1;2"):
        with pytest.raises(UsageError, match="between commas"):
            parse_scales(text)
