import json
from pathlib import Path

import numpy as np
import pytest

from engine.errors import SourceError, UsageError
from engine.skeleton import COCO17, MPII16
from train.data.coco import load_coco
from train.data.labels import count_people, read_image


def test_people_and_ignore_boxes_are_read(stick_people: Path) -> None:
    labels = load_coco(stick_people / "people.json", stick_people / "images", COCO17)
    assert len(labels) == 12
    assert count_people(labels) == 18
    assert labels[0].ignore_bboxes.tolist() == [[150, 10, 180, 50]]
    person = labels[0].people[0]
    assert person.keypoints.shape == (17, 2)
    assert (person.weights == 1).all()


def test_doubted_people_become_ignore_boxes(stick_people: Path, tmp_path: Path) -> None:
    content = json.loads((stick_people / "people.json").read_text())
    content["annotations"][0]["teacher_agreement"] = 0.3
    content["annotations"][1]["teacher_agreement"] = -1
    path = tmp_path / "people.json"
    path.write_text(json.dumps(content))
    labels = load_coco(path, stick_people / "images", COCO17, min_teacher_agreement=0.5)
    assert count_people(labels) == 17
    assert len(labels[0].ignore_bboxes) == 2


def test_weights_count_only_where_there_is_a_label(stick_people: Path, tmp_path: Path) -> None:
    content = json.loads((stick_people / "people.json").read_text())
    entry = content["annotations"][0]
    entry["keypoints"][2] = 0
    entry["kp_weight"] = [0.3] * 17
    path = tmp_path / "people.json"
    path.write_text(json.dumps(content))
    person = load_coco(path, stick_people / "images", COCO17)[0].people[0]
    np.testing.assert_allclose(person.weights, [0] + [0.3] * 16, rtol=1e-6)


def test_another_skeleton_is_refused(stick_people: Path) -> None:
    with pytest.raises(UsageError, match="17 keypoints, skeleton 'mpii16' needs 16"):
        load_coco(stick_people / "people.json", stick_people / "images", MPII16)


def test_a_file_that_is_not_coco_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    path.write_text("[1, 2]")
    with pytest.raises(UsageError, match="not a COCO keypoint file"):
        load_coco(path, tmp_path, COCO17)
    with pytest.raises(UsageError, match="does not exist"):
        load_coco(tmp_path / "none.json", tmp_path, COCO17)


def test_a_missing_image_is_named(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"gone\.jpg is missing"):
        read_image(tmp_path / "gone.jpg")
