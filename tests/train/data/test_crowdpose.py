import json
from pathlib import Path

import pytest

from engine.errors import UsageError
from engine.skeleton import COCO17, CROWDPOSE14
from train.data.crowdpose import crowd_level, load_crowdpose

NAMES = [*CROWDPOSE14.keypoints[:12], "head", "neck"]


def write_file(folder: Path, names: list[str]) -> Path:
    keypoints = [value for index in range(14) for value in (10 + index, 20 + index, 2)]
    content = {
        "images": [
            {"id": 5, "file_name": "5.jpg", "width": 64, "height": 64, "crowdIndex": 0.33},
            {"id": 6, "file_name": "6.jpg", "width": 64, "height": 64, "crowdIndex": 0.9},
        ],
        "annotations": [
            {"id": 1, "image_id": 5, "category_id": 1, "iscrowd": 0, "bbox": [5, 5, 20, 40],
             "num_keypoints": 12, "keypoints": keypoints},
            {"id": 2, "image_id": 5, "category_id": 1, "iscrowd": 0, "bbox": [1, 2, 3, 4], "num_keypoints": 0,
             "keypoints": [0] * 42},
        ],
        "categories": [{"id": 1, "name": "person", "keypoints": names}],
    }  # fmt: skip
    path = folder / "crowdpose_train.json"
    path.write_text(json.dumps(content))
    return path


def test_people_crowding_and_areas_are_read(tmp_path: Path) -> None:
    labels = load_crowdpose(write_file(tmp_path, NAMES), tmp_path, CROWDPOSE14)
    assert [(label.image_id, label.source) for label in labels] == [(5, "medium"), (6, "hard")]
    (person,) = labels[0].people
    assert person.area == pytest.approx(0.53 * 800)
    assert person.keypoints[12].tolist() == [22, 32]
    assert labels[0].ignore_bboxes.tolist() == [[1, 2, 4, 6]]


def test_images_are_chosen_by_id_or_name(tmp_path: Path) -> None:
    path = write_file(tmp_path, NAMES)
    assert [label.image_id for label in load_crowdpose(path, tmp_path, CROWDPOSE14, image_ids=[6])] == [6]
    assert [label.image_id for label in load_crowdpose(path, tmp_path, CROWDPOSE14, image_ids=["5.jpg"])] == [
        5
    ]


def test_other_skeletons_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="the file has 14 keypoints, skeleton 'coco17' needs 17"):
        load_crowdpose(write_file(tmp_path, NAMES), tmp_path, COCO17)
    with pytest.raises(UsageError, match="keypoint 0 is neck in the file but left_shoulder in skeleton"):
        load_crowdpose(write_file(tmp_path, NAMES[::-1]), tmp_path, CROWDPOSE14)


def test_levels_have_the_published_bounds() -> None:
    assert [crowd_level(index) for index in (0.0, 0.09, 0.1, 0.79, 0.8, 1.0)] == ["easy"] * 2 + [
        "medium"
    ] * 2 + ["hard"] * 2
    assert crowd_level(None) == ""
