import json
from pathlib import Path

import numpy as np
import pytest

from engine.errors import UsageError
from engine.skeleton import COCO17, POSETRACK17
from train.data.posetrack import load_posetrack

KEYPOINTS = [
    value for index in range(17) for value in (40 + index, 20 + 2 * index, 0 if index in (3, 4) else 1)
]


def write_video(folder: Path, name: str, first_id: int, **changes: object) -> Path:
    images = [
        {"file_name": f"images/val/{name}/{frame:06d}.jpg", "id": first_id + frame,
         "frame_id": first_id + frame, "vid_id": name[:6], "nframes": 3, "is_labeled": frame != 1,
         "ignore_regions_x": [[0, 10, 10, 0], [5]], "ignore_regions_y": [[0, 0, 20, 20], [5]]}
        for frame in range(3)
    ]  # fmt: skip
    annotations = [
        {"id": 1, "image_id": first_id, "category_id": 1, "track_id": 4, "bbox": [30, 10, 40, 60],
         "bbox_head": [40, 10, 6, 8], "keypoints": KEYPOINTS} | changes,
        {"id": 2, "image_id": first_id, "category_id": 1, "track_id": 9, "bbox": [80, 10, 5, 6],
         "keypoints": []},
    ]  # fmt: skip
    path = folder / f"{name}.json"
    categories = [{"id": 1, "name": "person", "keypoints": list(POSETRACK17.keypoints)}]
    path.write_text(json.dumps({"images": images, "annotations": annotations, "categories": categories}))
    return path


def test_frames_people_and_tracks_are_read(tmp_path: Path) -> None:
    labels = load_posetrack(write_video(tmp_path, "000342_mpii_test", 1000), tmp_path, POSETRACK17)
    assert [(label.image_id, label.sequence, label.frame) for label in labels] == [
        (1000, "000342_mpii_test", 0),
        (1002, "000342_mpii_test", 2),
    ]
    (person,) = labels[0].people
    assert person.track_id == 4
    assert person.head_size == pytest.approx(0.6 * 10)
    assert person.weights.tolist() == [0 if index in (3, 4) else 1 for index in range(17)]
    assert labels[0].path == tmp_path / "images/val/000342_mpii_test/000000.jpg"


def test_ignore_regions_and_people_without_keypoints_are_masked(tmp_path: Path) -> None:
    label = load_posetrack(write_video(tmp_path, "000342_mpii_test", 1000), tmp_path, POSETRACK17)[0]
    assert label.ignore_bboxes.tolist() == [[80, 10, 85, 16], [0, 0, 10, 20]]
    assert label.ignore_mask is not None
    mask = label.ignore_mask((60, 100))
    expected = np.zeros((60, 100), bool)
    expected[0:21, 0:11] = True
    expected[10:17, 80:86] = True
    np.testing.assert_array_equal(mask, expected)


def test_unlabelled_frames_are_kept_on_request(tmp_path: Path) -> None:
    path = write_video(tmp_path, "000342_mpii_test", 1000)
    assert len(load_posetrack(path, tmp_path, POSETRACK17, only_labelled=False)) == 3


def test_a_person_without_a_box_gets_the_one_of_the_keypoints(tmp_path: Path) -> None:
    path = write_video(tmp_path, "000342_mpii_test", 1000)
    content = json.loads(path.read_text())
    del content["annotations"][0]["bbox"], content["annotations"][0]["bbox_head"]
    path.write_text(json.dumps(content))
    person = load_posetrack(path, tmp_path, POSETRACK17)[0].people[0]
    np.testing.assert_allclose(person.bbox, [36.8, 16.8, 59.2, 55.2], atol=1e-4)
    assert person.head_size is None


def test_a_folder_of_videos_is_read_whole(tmp_path: Path) -> None:
    write_video(tmp_path, "000002_bonn", 3000)
    write_video(tmp_path, "000001_bonn", 2000)
    labels = load_posetrack(tmp_path, tmp_path, POSETRACK17)
    assert [label.image_id for label in labels] == [2000, 2002, 3000, 3002]
    chosen = load_posetrack(
        tmp_path, tmp_path, POSETRACK17, image_ids=[3002, "images/val/000001_bonn/000000.jpg"]
    )
    assert [label.image_id for label in chosen] == [2000, 3002]


def test_what_cannot_be_read_is_explained(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="has no JSON files"):
        load_posetrack(tmp_path, tmp_path, POSETRACK17)
    path = write_video(tmp_path, "000001_bonn", 2000)
    with pytest.raises(
        UsageError, match="keypoint 1 is head_bottom in the file but left_eye in skeleton 'coco17'"
    ):
        load_posetrack(path, tmp_path, COCO17)
    write_video(tmp_path, "000009_bonn", 2000)
    with pytest.raises(UsageError, match=r"image id 2000 is in .*000001_bonn.* and in .*000009_bonn"):
        load_posetrack(tmp_path, tmp_path, POSETRACK17)
    content = json.loads(path.read_text())
    del content["images"][0]["file_name"]
    path.write_text(json.dumps(content))
    with pytest.raises(UsageError, match="'file_name' is missing"):
        load_posetrack(path, tmp_path, POSETRACK17)
