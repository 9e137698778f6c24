import json
import warnings
from pathlib import Path

import numpy as np
import pytest

from engine.errors import UsageError
from engine.skeleton import COCO17, MPII16
from train.data.coco import load_coco
from train.data.labels import count_people


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


def test_outlined_regions_make_a_mask(stick_people: Path, tmp_path: Path) -> None:
    content = json.loads((stick_people / "people.json").read_text())
    crowd = next(entry for entry in content["annotations"] if entry["iscrowd"])
    assert load_coco(stick_people / "people.json", tmp_path, COCO17)[0].ignore_mask is None
    counts = [150 * 160 + 10, 40, 200 * 160 - 150 * 160 - 50]
    crowd["segmentation"] = {"size": [160, 200], "counts": counts}
    nobody = {"id": 100, "image_id": 1, "iscrowd": 0, "bbox": [20, 30, 5, 6], "num_keypoints": 0}
    content["annotations"].append(nobody)
    path = tmp_path / "people.json"
    path.write_text(json.dumps(content))
    label = load_coco(path, tmp_path, COCO17)[0]
    assert label.ignore_mask is not None
    mask = label.ignore_mask((160, 200))
    expected = np.zeros((160, 200), bool)
    expected[10:50, 150] = True
    expected[30:36, 20:25] = True
    np.testing.assert_array_equal(mask, expected)
    assert len(label.ignore_bboxes) == 2


def test_keypoints_in_another_order_are_refused(stick_people: Path, tmp_path: Path) -> None:
    content = json.loads((stick_people / "people.json").read_text())
    names = list(COCO17.keypoints)
    names[5], names[6] = names[6], names[5]
    content["categories"] = [{"id": 1, "name": "person", "keypoints": names}]
    path = tmp_path / "people.json"
    path.write_text(json.dumps(content))
    with pytest.raises(UsageError, match="keypoint 5 is right_shoulder in the file but left_shoulder"):
        load_coco(path, tmp_path, COCO17)


def test_entries_that_lack_something_are_named(stick_people: Path, tmp_path: Path) -> None:
    content = json.loads((stick_people / "people.json").read_text())
    path = tmp_path / "people.json"
    content["annotations"][3]["bbox"] = [1, 2]
    path.write_text(json.dumps(content))
    with pytest.raises(UsageError, match=r"annotation 4 has the bbox \[1, 2\]; expected \[x, y, width"):
        load_coco(path, tmp_path, COCO17)
    del content["annotations"][3]["image_id"]
    path.write_text(json.dumps(content))
    with pytest.raises(UsageError, match="has no image_id"):
        load_coco(path, tmp_path, COCO17)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"keypoints": [float("nan")] * 51}, "annotation 1 has a keypoint that is no finite number"),
        ({"keypoints": ["x"] * 51}, "annotation 1 has a keypoint that is no number"),
        ({"kp_weight": [1.0] * 3}, "3 values of kp_weight for 17 keypoints"),
    ],
)
def test_values_that_are_no_labels_are_refused(
    stick_people: Path, tmp_path: Path, changes: dict, message: str
) -> None:
    content = json.loads((stick_people / "people.json").read_text())
    content["annotations"][0].update(changes)
    path = tmp_path / "people.json"
    path.write_text(json.dumps(content))
    with pytest.raises(UsageError, match=message):
        load_coco(path, tmp_path, COCO17)


def test_a_person_whose_box_has_no_extent_is_ignored(stick_people: Path, tmp_path: Path) -> None:
    content = json.loads((stick_people / "people.json").read_text())
    content["annotations"][0]["bbox"][2] = 0
    path = tmp_path / "people.json"
    path.write_text(json.dumps(content))
    assert count_people(load_coco(path, tmp_path, COCO17)) == 17


def test_the_area_follows_from_the_box_where_none_is_given(stick_people: Path, tmp_path: Path) -> None:
    content = json.loads((stick_people / "people.json").read_text())
    expected = content["annotations"][0].pop("area")
    path = tmp_path / "people.json"
    path.write_text(json.dumps(content))
    assert load_coco(path, tmp_path, COCO17)[0].people[0].area == pytest.approx(expected, rel=1e-5)


@pytest.mark.shared_data
def test_masks_of_the_shared_pictures_are_those_of_pycocotools() -> None:
    folder = Path(__file__).parents[4] / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("no shared data")
    from pycocotools.coco import COCO

    truth = COCO(str(folder / "people.json"))
    for label in load_coco(folder / "people.json", folder / "images", COCO17)[::200]:
        info = truth.loadImgs(label.image_id)[0]
        expected = np.zeros((info["height"], info["width"]), bool)
        for entry in truth.loadAnns(truth.getAnnIds(imgIds=label.image_id, iscrowd=None)):
            if entry["iscrowd"] or not entry["num_keypoints"]:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore", DeprecationWarning)
                    expected |= truth.annToMask(entry).astype(bool)
        if label.ignore_mask is not None:
            np.testing.assert_array_equal(label.ignore_mask(expected.shape), expected)
        else:
            assert not expected.any()
