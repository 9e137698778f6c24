import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from engine.errors import UsageError
from engine.skeleton import COCO17, CROWDPOSE14, MPII16, POSETRACK17, Skeleton
from train.data.labels import count_people
from train.data.sources import load_labels, recognise
from train.settings import DataSource

NAMES = {"coco": COCO17, "crowdpose": CROWDPOSE14, "posetrack": POSETRACK17}


def write_coco_like(folder: Path, skeleton: Skeleton, *, named: bool = True, people: bool = True) -> Path:
    keypoints = [value for index in range(skeleton.count) for value in (10 + index, 20 + index, 2)]
    content = {
        "images": [
            {"id": number, "file_name": f"{number}.png", "width": 60, "height": 60} for number in (1, 2)
        ],
        "annotations": [
            {
                "id": number,
                "image_id": number,
                "category_id": 1,
                "iscrowd": 0,
                "bbox": [5, 5, 40, 50],
                "area": 900,
            }
            | ({"keypoints": keypoints, "num_keypoints": skeleton.count} if people else {})
            for number in (1, 2)
        ],
        "categories": [
            {"id": 1, "name": "person"}
            | ({"keypoints": list(skeleton.keypoints)} if named and people else {})
        ],
    }
    path = folder / "people.json"
    path.write_text(json.dumps(content))
    return path


def write_mpii(folder: Path) -> Path:
    joints = [[10.0 + index, 20.0] for index in range(16)]
    entry = {"image": "1.png", "center": [30, 30], "scale": 0.2, "joints": joints, "joints_vis": [1] * 16}
    path = folder / "train.json"
    path.write_text(json.dumps([entry]))
    return path


def write_folder(folder: Path) -> Path:
    header = ",".join(f"{name}_{axis}" for name in COCO17.keypoints for axis in "xy")
    path = folder / "labels.csv"
    path.write_text(f"image,{header}\n1.png,{','.join(['5'] * 34)}\n")
    return path


@pytest.mark.parametrize("format_name", ["coco", "crowdpose", "posetrack", "mpii", "folder"])
def test_every_format_gives_the_same_labels(tmp_path: Path, format_name: str) -> None:
    writers = {"mpii": (write_mpii, MPII16), "folder": (write_folder, COCO17)}
    if format_name in writers:
        write, skeleton = writers[format_name]
        path = write(tmp_path)
    else:
        skeleton = NAMES[format_name]
        path = write_coco_like(tmp_path, skeleton)
    source = DataSource(format=format_name, annotations=path, images=tmp_path)
    labels = load_labels(source, skeleton)
    assert count_people(labels) == len(labels) > 0
    assert labels[0].path == tmp_path / "1.png"
    assert labels[0].people[0].keypoints.shape == (skeleton.count, 2)


def test_a_side_of_the_split_is_taken_by_id_or_name(tmp_path: Path) -> None:
    path = write_coco_like(tmp_path, COCO17)
    split = tmp_path / "split.json"
    split.write_text(json.dumps({"train": [1], "val": ["2.png"], "seed": 4, "test": [77]}))
    source = DataSource(annotations=path, images=tmp_path, split=split)
    assert [label.image_id for label in load_labels(source, COCO17)] == [1]
    assert [label.image_id for label in load_labels(source, COCO17, side="val")] == [2]
    assert len(load_labels(source, COCO17, side=None)) == 2
    with pytest.raises(UsageError, match=r"has no split 'dev'; it has \['test', 'train', 'val'\]"):
        load_labels(source, COCO17, side="dev")
    with pytest.raises(UsageError, match=r"side 'test' of .* names no image"):
        load_labels(source, COCO17, side="test")


@pytest.mark.parametrize(
    ("given", "skeleton", "message"),
    [
        ("crowdpose", COCO17, "this looks like crowdpose: set format: crowdpose and skeleton: crowdpose14"),
        ("posetrack", COCO17, "this looks like posetrack: set format: posetrack and skeleton: posetrack17"),
    ],
)
@pytest.mark.parametrize("named", [True, False])
def test_a_file_of_another_format_is_recognised(
    tmp_path: Path, given: str, skeleton: Skeleton, message: str, named: bool
) -> None:
    path = write_coco_like(tmp_path, NAMES[given], named=named or given == "posetrack")
    with pytest.raises(UsageError, match=message):
        load_labels(DataSource(annotations=path, images=tmp_path), skeleton)


def test_a_list_of_mpii_is_recognised(tmp_path: Path) -> None:
    source = DataSource(annotations=write_mpii(tmp_path), images=tmp_path)
    with pytest.raises(
        UsageError, match=r"not a COCO keypoint file: .* set format: mpii and skeleton: mpii16"
    ):
        load_labels(source, COCO17)


def test_a_table_is_recognised(tmp_path: Path) -> None:
    source = DataSource(annotations=write_folder(tmp_path), images=tmp_path)
    with pytest.raises(UsageError, match="this looks like folder: set format: folder"):
        load_labels(source, COCO17)


def test_the_wrong_skeleton_alone_is_named(tmp_path: Path) -> None:
    source = DataSource(annotations=write_coco_like(tmp_path, COCO17, named=False), images=tmp_path)
    with pytest.raises(
        UsageError, match=r"has 17 keypoints, skeleton 'mpii16' .* set format: coco and skeleton: coco17"
    ):
        load_labels(source, MPII16)


def test_a_file_without_keypoints_is_told_from_background(tmp_path: Path) -> None:
    path = write_coco_like(tmp_path, COCO17, people=False)
    with pytest.raises(UsageError, match="boxes but not one labelled keypoint; give a keypoint file"):
        load_labels(DataSource(annotations=path, images=tmp_path), COCO17)
    content = json.loads(path.read_text())
    path.write_text(json.dumps(content | {"annotations": []}))
    assert count_people(load_labels(DataSource(annotations=path, images=tmp_path), COCO17)) == 0


def test_missing_and_broken_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"none\.json does not exist"):
        load_labels(DataSource(annotations=tmp_path / "none.json", images=tmp_path), COCO17)
    path = tmp_path / "x.json"
    path.write_text("{'a': 1}")
    with pytest.raises(UsageError, match="it is no JSON"):
        load_labels(DataSource(annotations=path, images=tmp_path), COCO17)
    assert recognise(path) is None


def test_doubted_people_are_left_out_as_the_source_says(stick_people: Path, tmp_path: Path) -> None:
    content = json.loads((stick_people / "people.json").read_text())
    content["annotations"][0]["teacher_agreement"] = 0.3
    path = tmp_path / "people.json"
    path.write_text(json.dumps(content))
    source = DataSource(annotations=path, images=stick_people / "images")
    assert count_people(load_labels(source, COCO17)) == 17
    assert count_people(load_labels(source.model_copy(update={"min_teacher_agreement": 0.0}), COCO17)) == 18


SKELETON_YAML = """
name: pin
keypoints: [top, left_foot, right_foot]
limbs: [[top, left_foot], [top, right_foot]]
"""


@pytest.mark.slow
def test_a_folder_with_its_own_skeleton_trains(tmp_path: Path) -> None:
    from train.settings import Stage, TrainSettings
    from train.trainer import fit

    rows = ["image,top_x,top_y,left_foot_x,left_foot_y,right_foot_x,right_foot_y"]
    for number in range(4):
        image = np.full((96, 96, 3), 30, np.uint8)
        points = [(48 + number, 12), (66, 80), (30, 80)]
        for x, y in points:
            cv2.circle(image, (x, y), 5, (255, 255, 255), -1)
        cv2.imwrite(str(tmp_path / f"{number}.png"), image)
        rows.append(f"{number}.png," + ",".join(f"{x},{y}" for x, y in points))
    (tmp_path / "labels.csv").write_text("\n".join(rows))
    (tmp_path / "pin.yaml").write_text(SKELETON_YAML)
    settings = TrainSettings(
        name="pin",
        kind="top-down",
        architecture="hrnet_w16",
        skeleton=str(tmp_path / "pin.yaml"),
        data=(DataSource(format="folder", annotations=tmp_path / "labels.csv", images=tmp_path),),
        stages=(Stage(steps=1, input_size=(64, 64), batch=2),),
        workers=0,
        threads=1,
        precision="fp32",
        tensorboard=False,
        out=tmp_path / "runs",
    )
    assert (fit(settings) / "final.pt").is_file()
