import copy

import pytest

from engine.skeleton import Skeleton
from train.data.check_entries import check_entries
from train.data.findings import Finding

PIN = Skeleton(
    name="pin",
    keypoints=("top", "left_foot", "right_foot"),
    limbs=(),
    flip_pairs=((1, 2),),
    oks_sigmas=(0.1,) * 3,
)
CONTENT = {
    "images": [{"id": 1, "file_name": "1.jpg"}, {"id": 2, "file_name": "2.jpg"}],
    "annotations": [
        {"id": 10 + n, "image_id": n, "category_id": 1, "bbox": [1, 1, 9, 9], "num_keypoints": 2,
         "keypoints": [5, 1, 2, 3, 9, 1, 0, 0, 0]}
        for n in (1, 2)
    ],
    "categories": [{"id": 1, "name": "person"}],
}  # fmt: skip


def check(content: dict, **options: bool) -> tuple[list[Finding], dict]:
    return check_entries(
        content, PIN, "people.json", **{"compare_counts": True, "box_needed": True} | options
    )


def test_a_sound_file_has_no_findings() -> None:
    findings, cleaned = check(CONTENT)
    assert findings == []
    assert cleaned == CONTENT


@pytest.mark.parametrize(
    ("changes", "kind", "text", "kept"),
    [
        ({"keypoints": [5, 1, 2]}, "bad-label", "1 keypoints instead of the 3 of pin", False),
        ({"keypoints": [5, 1, 2, 3, float("nan"), 1, 0, 0, 0]}, "bad-label", "no finite number", False),
        ({"keypoints": [5, 1, 2, 3, None, 1, 0, 0, 0]}, "bad-label", "no finite number", False),
        ({"keypoints": [5, 1, 3, 3, 9, 1, 0, 0, 0]}, "bad-label", "visibility 3 is none of 0, 1, 2", False),
        (
            {"keypoints": [5, 1, 2, 3, 9, 1, 4, 4, 0]},
            "hidden-coordinates",
            "1 keypoints have coordinates",
            True,
        ),
        ({"num_keypoints": 3}, "wrong-count", "num_keypoints is 3, labelled are 2", True),
        ({"bbox": [1, 1, 0, 9]}, "bad-box", r"the box [1, 1, 0, 9] has no extent", True),
        ({"bbox": [1, 1, 9]}, "bad-box", "is not four numbers", False),
        ({"image_id": 7}, "unknown-image", "the file has no image 7", False),
        ({"id": 11}, "duplicate-id", "another annotation has this id", True),
        ({"category_id": 3}, "category", "1 annotations have the category 3", True),
        ({"keypoints": [0] * 9, "num_keypoints": 0}, "no-keypoints", "1 people have no labelled", True),
    ],
)
def test_each_fault_of_an_annotation_is_found(changes: dict, kind: str, text: str, kept: bool) -> None:
    content = copy.deepcopy(CONTENT)
    content["annotations"][1].update(changes)
    findings, cleaned = check(content)
    finding = findings[0]
    assert finding.kind == kind
    assert text in finding.text
    assert len(cleaned["annotations"]) == 1 + kept


def test_the_line_says_where(capsys: pytest.CaptureFixture) -> None:
    content = copy.deepcopy(CONTENT)
    content["annotations"][1]["num_keypoints"] = 1
    (finding,), _ = check(content)
    assert finding.line == "people.json: image 2, annotation 12: num_keypoints is 1, labelled are 2"
    assert not finding.is_error


def test_images_need_an_id_and_a_name_of_their_own() -> None:
    content = copy.deepcopy(CONTENT)
    content["images"] += [{"id": 1, "file_name": "9.jpg"}, {"id": 3, "file_name": "1.jpg"}, {"id": 4}]
    findings, cleaned = check(content)
    assert [finding.kind for finding in findings] == ["duplicate-id", "duplicate-id", "file"]
    assert [info["id"] for info in cleaned["images"]] == [1, 2, 3]


def test_a_track_is_in_an_image_once() -> None:
    content = copy.deepcopy(CONTENT)
    for entry in content["annotations"]:
        entry.update(track_id=4)
    assert check(content)[0] == []
    content["annotations"][1]["image_id"] = 1
    (finding,), _ = check(content)
    assert (finding.kind, finding.text) == ("duplicate-id", "track 4 is in this image twice")


def test_crowds_need_no_keypoints_and_some_formats_no_box_or_count() -> None:
    content = copy.deepcopy(CONTENT)
    content["annotations"][0].update(iscrowd=1, keypoints=[])
    assert check(content)[0] == []
    content = copy.deepcopy(CONTENT)
    del content["annotations"][0]["bbox"]
    content["annotations"][1]["num_keypoints"] = 0
    assert check(content, compare_counts=False, box_needed=False)[0] == []
    assert len(check(content)[0]) == 2
