from pathlib import Path

import numpy as np
import pytest

from engine.errors import UsageError
from engine.skeleton import Skeleton, open_skeleton
from train.data.folder import load_folder

SKELETON_YAML = """
# A dog seen from the side.
keypoints: [nose, tail, left_paw, right_paw]
limbs: [[nose, tail], [tail, left_paw], [tail, right_paw]]
oks_sigmas: {tail: 0.08}
upper_body: [nose]
"""
HEADER = "image,person,nose_x,nose_y,nose_v,tail_x,tail_y,left_paw_x,left_paw_y,right_paw_x,right_paw_y"


@pytest.fixture
def dog(tmp_path: Path) -> Skeleton:
    path = tmp_path / "dog.yaml"
    path.write_text(SKELETON_YAML)
    return open_skeleton(path)


def write(folder: Path, *lines: str) -> Path:
    path = folder / "labels.csv"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def test_people_are_read_with_what_is_not_labelled(tmp_path: Path, dog: Skeleton) -> None:
    path = write(
        tmp_path, HEADER, "a.jpg,1,10,20,1,30,40,,,5.5,60", "b.jpg,1,,,,,,,,,", "a.jpg,2,1,2,0,3,4,5,6,7,8"
    )
    first, second = load_folder(path, tmp_path / "images", dog)
    assert (first.image_id, first.path, second.image_id) == (1, tmp_path / "images" / "a.jpg", 2)
    assert second.people == ()
    one, two = first.people
    assert (one.annotation_id, two.annotation_id) == (2, 4)
    assert one.visibility.tolist() == [1, 2, 0, 2]
    assert one.weights.tolist() == [1, 1, 0, 1]
    assert two.visibility.tolist() == [0, 2, 2, 2]
    np.testing.assert_allclose(one.keypoints, [[10, 20], [30, 40], [0, 0], [5.5, 60]])
    np.testing.assert_allclose(one.bbox, [1.5, 16, 34, 64], atol=1e-5)
    assert one.area == pytest.approx(0.53 * 32.5 * 48, rel=1e-5)


def test_given_boxes_are_taken_and_missing_ones_made(tmp_path: Path, dog: Skeleton) -> None:
    header = "image,bbox_x1,bbox_y1,bbox_x2,bbox_y2," + HEADER.removeprefix("image,person,").replace(
        "nose_v,", ""
    )
    path = write(tmp_path, header, "a.jpg,1,2,30,40,3,4,5,6,7,8,9,10", "b.jpg,,,,,3,4,5,6,7,8,9,14")
    first, second = load_folder(path, tmp_path, dog)
    assert first.people[0].bbox.tolist() == [1, 2, 30, 40]
    np.testing.assert_allclose(second.people[0].bbox, [2, 3, 10, 15])


def test_a_box_must_have_an_extent(tmp_path: Path, dog: Skeleton) -> None:
    header = HEADER + ",bbox_x1,bbox_y1,bbox_x2,bbox_y2"
    path = write(tmp_path, header, "a.jpg,1,1,2,,3,4,5,6,7,8,10,10,10,20", "b.jpg,1,1,2,,3,4,5,6,7,8,10,,,20")
    with pytest.raises(UsageError, match=r"line 2: bbox_x2 .* line 3: the box has only 2 of its 4 numbers"):
        load_folder(path, tmp_path, dog)


def test_a_spreadsheet_with_a_byte_order_mark_is_read(tmp_path: Path, dog: Skeleton) -> None:
    path = tmp_path / "labels.csv"
    path.write_bytes(f"{HEADER}\r\na.jpg,1,1,2,,3,4,5,6,7,8\r\n\r\n".encode("utf-8-sig"))
    assert len(load_folder(path, tmp_path, dog)) == 1


def test_images_are_chosen_by_name(tmp_path: Path, dog: Skeleton) -> None:
    path = write(tmp_path, HEADER, "a.jpg,1,1,2,,3,4,5,6,7,8", "b.jpg,1,1,2,,3,4,5,6,7,8")
    (label,) = load_folder(path, tmp_path, dog, image_ids=["b.jpg"])
    assert (label.image_id, label.path.name) == (2, "b.jpg")


@pytest.mark.parametrize(
    ("header", "message"),
    [
        (HEADER.replace("left_paw_y", "leftpaw_y"), "'leftpaw_y' is unknown, did you mean left_paw_y"),
        (HEADER.replace(",tail_x,tail_y", ""), "missing for skeleton 'dog': tail_x, tail_y"),
        (HEADER + ",ear_x", "column 'ear_x' is unknown"),
        (HEADER + ",bbox_x1", "missing for skeleton 'dog': bbox_y1, bbox_x2, bbox_y2"),
        (HEADER + ",nose_x", "there twice: nose_x"),
        (HEADER.replace(",", ";"), "separated by semicolons"),
        ("frame,time_s,track_id,score,nose_x,nose_y", "what `steadypose track` writes"),
    ],
)  # fmt: skip
def test_a_header_that_does_not_fit_is_explained(
    tmp_path: Path, dog: Skeleton, header: str, message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        load_folder(write(tmp_path, header), tmp_path, dog)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("a.jpg,1,ten,2,,3,4,5,6,7,8", "line 2, nose_x: expected a number or nothing, got 'ten'"),
        ("a.jpg,1,nan,2,,3,4,5,6,7,8", "line 2, nose_x: expected a number"),
        ("a.jpg,1,1,,,3,4,5,6,7,8", "line 2: nose has only one of x and y"),
        ("a.jpg,1,1,2,3,3,4,5,6,7,8", "line 2, nose_v: expected 0, 1, 2 or nothing, got '3'"),
        ("a.jpg,1,,,2,3,4,5,6,7,8", "line 2: nose_v is 2 but x and y are empty"),
        (",1,1,2,,3,4,5,6,7,8", "line 2: the column image is empty"),
        ("a.jpg,1,1,2,,3,4,5,6,7", "line 2: 10 cells, the header has 11"),
        ("a.jpg,1,1,2,,3,4,5,6,7,8\na.jpg,1,1,2,,3,4,5,6,7,8", "line 3: person '1' of a.jpg again"),
    ],
)
def test_a_bad_cell_is_named_by_its_line(tmp_path: Path, dog: Skeleton, row: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        load_folder(write(tmp_path, HEADER, row), tmp_path, dog)


def test_many_problems_are_counted(tmp_path: Path, dog: Skeleton) -> None:
    rows = [f"{number}.jpg,1,x,2,,3,4,5,6,7,8" for number in range(9)]
    with pytest.raises(UsageError, match=r"line 6, nose_x.*; and 4 more"):
        load_folder(write(tmp_path, HEADER, *rows), tmp_path, dog)


def test_a_missing_file_is_named(tmp_path: Path, dog: Skeleton) -> None:
    with pytest.raises(UsageError, match=r"labels\.csv does not exist"):
        load_folder(tmp_path / "labels.csv", tmp_path, dog)
