"""Boxes of all kinds, and the published way from detections to people."""

import json
import pickle
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from engine.errors import UsageError
from engine.model import open_model
from engine.skeleton import COCO17
from engine.structures import Person
from train.data.coco import load_coco
from train.data.labels import ImageLabel
from train.data.targets import unbiased_heatmaps
from train.predict import predict, read_boxes, suppress_published
from train.settings import DataSource, Stage, TrainSettings
from train.spec import make_spec


class PaintingNetwork:
    """Paints a fixed pose with fixed scores, wherever the crop is."""

    def __init__(self, scores: NDArray[np.float32]) -> None:
        self.scores = scores
        settings = TrainSettings(
            name="painter",
            kind="top-down",
            architecture="hrnet_w16",
            data=(DataSource(annotations=Path("a.json"), images=Path("images")),),
            stages=(Stage(steps=1, input_size=(128, 96), batch=1, heatmap_sigma=1.5),),
        )
        self.spec = make_spec(settings)

    def run(self, inputs: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
        points = np.full((17, 2), (11.0, 15.0), np.float32)
        maps = unbiased_heatmaps(points, np.ones(17), (32, 24), 1.5) * self.scores[:, None, None]
        return {"heatmaps": np.repeat(maps[None], len(inputs), axis=0).astype(np.float32)}


@pytest.fixture
def labels(stick_people: Path) -> list[ImageLabel]:
    return load_coco(stick_people / "people.json", stick_people / "images", COCO17)[:2]


@pytest.fixture
def painter() -> PaintingNetwork:
    return PaintingNetwork(np.array([0.9] * 5 + [0.5] * 5 + [0.1] * 7, np.float32))


def write_boxes(path: Path, rows: list[dict]) -> str:
    path.write_text(json.dumps(rows))
    return str(path)


def test_truth_boxes_give_one_prediction_each_in_order(painter, labels: list[ImageLabel]) -> None:
    predictions = predict(painter, labels)
    assert [len(p.people) for p in predictions] == [len(label.people) for label in labels] == [1, 2]
    assert all(p.in_order and p.size == (160, 200) for p in predictions)
    assert len(pickle.loads(pickle.dumps(predictions))) == 2


def test_a_detection_is_scored_by_its_box_and_its_sure_keypoints(painter, labels, tmp_path: Path) -> None:
    row = {"image_id": 1, "bbox": [20, 20, 60, 100], "score": 0.5}
    (person,) = predict(painter, labels[:1], boxes=write_boxes(tmp_path / "boxes.json", [row]))[0].people
    assert person.score == pytest.approx(0.5 * (5 * 0.9 + 5 * 0.5) / 10, rel=1e-3)
    assert not predict(painter, labels[1:], boxes=str(tmp_path / "boxes.json"))[0].people


def test_near_copies_of_a_detection_are_dropped(painter, labels, tmp_path: Path) -> None:
    rows = [
        {"image_id": 1, "bbox": [20 + shift, 20, 60, 100], "score": 0.5 + shift / 100} for shift in (0, 1, 40)
    ]
    boxes = write_boxes(tmp_path / "boxes.json", rows)
    (kept,) = predict(painter, labels[:1], boxes=boxes)
    assert [round(p.score / 0.7, 2) for p in kept.people] == [0.9, 0.51]
    (everybody,) = predict(painter, labels[:1], boxes=boxes, detection_oks=1.0)
    assert len(everybody.people) == 3


def test_copies_are_told_by_oks_with_the_mean_area() -> None:
    variance = 2 * (2 * COCO17.sigmas.astype(np.float64)) ** 2
    first = Person(np.zeros((17, 2), np.float32), np.ones(17, np.float32), np.zeros(4, np.float32), 0.9)
    second = Person(np.full((17, 2), 5.0, np.float32), first.scores, first.bbox, 0.8)
    oks = np.exp(-50 / (variance * 2000)).mean()
    for threshold, kept in ((oks - 1e-6, 1), (oks + 1e-6, 2)):
        assert len(suppress_published([second, first], [1000.0, 3000.0], COCO17, threshold)) == kept


@pytest.mark.parametrize(
    "content",
    [
        "{",
        '{"annotations": []}',
        '[{"image_id": 1, "bbox": [1, 2, 3, 4]}]',
        '[{"image_id": 1, "bbox": [1, 2, 0, 4], "score": 1}]',
    ],
)
def test_a_box_file_of_another_form_is_refused(tmp_path: Path, content: str) -> None:
    path = tmp_path / "boxes.json"
    path.write_text(content)
    with pytest.raises(UsageError, match=r"is not a COCO detection list"):
        read_boxes(path)


def test_boxes_of_other_categories_are_left_out(tmp_path: Path) -> None:
    row = {"image_id": 1, "bbox": [1, 2, 3, 4], "score": 1}
    path = write_boxes(tmp_path / "boxes.json", [row, row | {"category_id": 18}])
    np.testing.assert_array_equal(read_boxes(Path(path))[1][0], [[1, 2, 4, 6]])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"boxes": "gone.json"}, "does not exist"),
        ({"boxes": "finder"}, "needs a bottom-up model"),
        ({"decoder": "published"}, "for bottom-up networks"),
    ],
)
def test_options_that_do_not_fit_are_refused(painter, labels, options: dict, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        predict(painter, labels, **options)


def test_the_finder_gives_the_boxes_of_top_down(
    top_down_file, bottom_up_file, marker_folder: Path, walking_pair
) -> None:
    label = ImageLabel(1, marker_folder / "0000.png", "", (), np.zeros((0, 4), np.float32))
    crops, finder = open_model(top_down_file), open_model(bottom_up_file)
    (prediction,) = predict(crops, [label], boxes="finder", finder=finder)
    found = sorted((p.keypoints for p in prediction.people), key=lambda points: points[0, 0])
    np.testing.assert_allclose(found, walking_pair(0), atol=3)
    assert not prediction.in_order
