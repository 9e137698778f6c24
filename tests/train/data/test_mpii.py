import json
from pathlib import Path

import numpy as np
import pytest
from scipy.io import savemat

from engine.errors import UsageError
from engine.geometry import bbox_to_centre_size
from engine.skeleton import COCO17, MPII16
from train.data.mpii import load_mpii

JOINTS = [[float(10 * index + 1), float(5 * index + 1)] for index in range(16)]


def write_list(folder: Path, name: str, entries: list[dict]) -> Path:
    path = folder / name
    path.write_text(json.dumps(entries))
    return path


def person(image: str, **changes: object) -> dict:
    return {
        "image": image,
        "center": [80, 40],
        "scale": 1.0,
        "joints": JOINTS,
        "joints_vis": [1] * 16,
    } | changes


def test_centre_scale_and_joints_are_those_of_the_reference(reference: Path, tmp_path: Path) -> None:
    path = reference / "vectors" / "mpii_annotations.json"
    content = json.loads(path.read_text())
    labels = load_mpii(write_list(tmp_path, "train.json", content["annotations"]), tmp_path, MPII16)
    for label, expected in zip(labels, content["loaded"], strict=True):
        (someone,) = label.people
        centre, size = bbox_to_centre_size(someone.bbox, (256, 256))
        np.testing.assert_allclose(centre, expected["center"], atol=1e-6)
        np.testing.assert_allclose(size / 200, expected["scale"], atol=1e-6)
        np.testing.assert_allclose(someone.keypoints, expected["joints"], atol=1e-6)
        np.testing.assert_array_equal(someone.weights, expected["vis"])


def test_people_of_one_picture_come_together_with_their_place_in_the_list(tmp_path: Path) -> None:
    path = write_list(tmp_path, "train.json", [person("7.jpg"), person("3.jpg"), person("7.jpg")])
    labels = load_mpii(path, tmp_path, MPII16)
    assert [(label.image_id, label.path.name) for label in labels] == [(7, "7.jpg"), (3, "3.jpg")]
    assert [someone.annotation_id for someone in labels[0].people] == [0, 2]
    assert [label.image_id for label in load_mpii(path, tmp_path, MPII16, image_ids=["3.jpg"])] == [3]


def test_pictures_without_numbers_are_counted(tmp_path: Path) -> None:
    path = write_list(tmp_path, "train.json", [person("b.jpg"), person("a.jpg")])
    assert [label.image_id for label in load_mpii(path, tmp_path, MPII16)] == [1, 2]


@pytest.mark.parametrize(
    ("annotations", "boxes"), [("valid.json", "gt_valid.mat"), ("mpii_val.json", "mpii_gt_val.mat")]
)
def test_head_sizes_come_from_the_file_beside_the_annotations(
    tmp_path: Path, annotations: str, boxes: str
) -> None:
    path = write_list(tmp_path, annotations, [person("1.jpg"), person("2.jpg")])
    corners = np.zeros((2, 2, 2))
    corners[1, :, 0], corners[1, :, 1] = (30, 40), (6, 8)
    savemat(tmp_path / boxes, {"headboxes_src": corners})
    labels = load_mpii(path, tmp_path, MPII16)
    assert [label.people[0].head_size for label in labels] == pytest.approx([30.0, 6.0])


def test_without_such_a_file_there_are_no_head_sizes(tmp_path: Path) -> None:
    path = write_list(tmp_path, "train.json", [person("1.jpg")])
    assert load_mpii(path, tmp_path, MPII16)[0].people[0].head_size is None


def test_head_boxes_of_another_list_are_refused(tmp_path: Path) -> None:
    path = write_list(tmp_path, "valid.json", [person("1.jpg")])
    savemat(tmp_path / "gt_valid.mat", {"headboxes_src": np.zeros((2, 2, 5))})
    with pytest.raises(UsageError, match="the annotations have 1 people"):
        load_mpii(path, tmp_path, MPII16)
    (tmp_path / "gt_valid.mat").write_bytes(b"no matlab")
    with pytest.raises(UsageError, match="holds no headboxes_src"):
        load_mpii(path, tmp_path, MPII16)


def test_somebody_without_visible_joints_is_no_person(tmp_path: Path) -> None:
    path = write_list(tmp_path, "train.json", [person("1.jpg", joints_vis=[0] * 16)])
    assert load_mpii(path, tmp_path, MPII16)[0].people == ()


def test_the_test_set_has_pictures_but_no_joints(tmp_path: Path) -> None:
    entry = person("1.jpg")
    del entry["joints"], entry["joints_vis"]
    assert load_mpii(write_list(tmp_path, "test.json", [entry]), tmp_path, MPII16)[0].people == ()


def test_other_forms_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no MPII annotation list"):
        load_mpii(write_list(tmp_path, "a.json", [{"image": "1.jpg"}]), tmp_path, MPII16)
    path = write_list(tmp_path, "b.json", [person("1.jpg")])
    with pytest.raises(UsageError, match="person 0 has 16 joints, skeleton 'coco17' needs 17"):
        load_mpii(path, tmp_path, COCO17)
    path = write_list(tmp_path, "d.json", [person("1.jpg", scale=0)])
    with pytest.raises(UsageError, match="person 0 needs finite numbers and a positive scale"):
        load_mpii(path, tmp_path, MPII16)
    path = write_list(tmp_path, "c.json", [person("1.jpg", center="middle")])
    with pytest.raises(UsageError, match="person 0 is not of MPII's form"):
        load_mpii(path, tmp_path, MPII16)
