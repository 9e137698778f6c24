import numpy as np
import pytest

from engine.skeleton import COCO17, LSP14, Skeleton
from train.data.check_people import check_people
from train.data.findings import Finding
from train.data.labels import ImageLabel, PersonLabel

STANDING = np.array(
    [
        (0, -40), (4, -44), (-4, -44), (8, -42), (-8, -42), (14, -26), (-14, -26), (20, -8), (-20, -8),
        (22, 10), (-22, 10), (9, 10), (-9, 10), (10, 32), (-10, 32), (11, 54), (-11, 54),
    ],
    np.float32,
)  # fmt: skip
SIZES = {1: (200, 300)}


def person(keypoints: np.ndarray, number: int = 5, bbox: list[float] | None = None) -> PersonLabel:
    visibility = np.full(len(keypoints), 2)
    low, high = keypoints.min(axis=0) - 3, keypoints.max(axis=0) + 3
    box = np.array([*low, *high] if bbox is None else bbox, np.float32)
    return PersonLabel(
        number, keypoints.astype(np.float32), visibility, np.ones(len(keypoints), np.float32), box, 1.0
    )


def check(*people: PersonLabel, skeleton: Skeleton = COCO17, drawn: bool = True) -> list[Finding]:
    label = ImageLabel(1, None, "", people, np.zeros((0, 4), np.float32))  # type: ignore[arg-type]
    return check_people([label], skeleton, "people.json", SIZES, boxes_are_drawn=drawn)


def placed(x: float = 100, y: float = 90) -> np.ndarray:
    return STANDING + np.array([x, y], np.float32)


def swapped(keypoints: np.ndarray, *names: str) -> np.ndarray:
    result = keypoints.copy()
    for name in names:
        a, b = (COCO17.keypoints.index(f"{side}_{name}") for side in ("left", "right"))
        result[[a, b]] = keypoints[[b, a]]
    return result


def test_a_sound_person_is_not_suspected() -> None:
    assert check(person(placed()), person(placed(200), 6)) == []
    assert check() == []


def test_a_box_outside_the_picture_is_an_error_and_a_part_of_it_a_suspicion() -> None:
    (finding,) = [f for f in check(person(placed(), bbox=[310, 20, 350, 60])) if "box" in f.kind]
    assert (finding.kind, finding.image_id, finding.annotation_id) == ("bad-box", 1, 5)
    (finding,) = check(person(placed(), bbox=[-50, 40, 130, 150]))
    assert finding.kind == "box-outside"
    assert finding.text.startswith("28% of the box")


def test_boxes_that_follow_from_a_scale_are_left_alone() -> None:
    assert check(person(placed(), bbox=[-50, 40, 30, 150]), drawn=False) == []


def test_keypoints_outside_the_picture_are_named() -> None:
    (finding,) = check(person(placed(100, 152), bbox=[70, 100, 130, 206]))
    assert finding.kind == "keypoint-outside"
    assert "ankle at (" in finding.text
    assert finding.text.endswith("is outside the picture of 300 × 200 px, and 1 more keypoints")


def test_one_keypoint_far_outside_is_impossible() -> None:
    keypoints = placed()
    keypoints[9] = (5000, 100)
    kinds = [finding.kind for finding in check(person(keypoints))]
    assert "bad-label" in kinds


def test_a_keypoint_far_from_its_box_is_named() -> None:
    (finding,) = check(person(placed(), bbox=[70, 40, 130, 105]))
    assert finding.kind == "keypoint-far"
    assert finding.text.startswith("left_ankle is 60% of the box's longer side outside")


def test_a_double_is_found_once() -> None:
    (finding,) = check(person(placed()), person(placed(100.4), 6), person(placed(200), 7))
    assert (finding.kind, finding.annotation_id) == ("duplicate-person", 6)
    assert "annotation 5 labels the same person" in finding.text


@pytest.mark.parametrize(
    ("names", "parts"),
    [
        (("shoulder", "elbow", "wrist", "eye", "ear"), "shoulders and hips"),
        (("eye",), "eyes and shoulders"),
        (("ear",), "ears and shoulders"),
    ],
)
def test_a_swapped_half_contradicts_the_rest(names: tuple[str, ...], parts: str) -> None:
    (finding,) = [f for f in check(person(swapped(placed(), *names))) if f.kind == "left-right"]
    assert finding.text.startswith(parts)
    assert not finding.is_error


def test_the_body_as_a_whole_may_face_either_way() -> None:
    assert (
        check(person(swapped(placed(), "eye", "ear", "shoulder", "elbow", "wrist", "hip", "knee", "ankle")))
        == []
    )


def test_other_skeletons_are_judged_by_what_they_have() -> None:
    order = [COCO17.keypoints.index(name) if name in COCO17.keypoints else 0 for name in LSP14.keypoints]
    keypoints = placed()[order]
    shoulders = [LSP14.keypoints.index(f"{side}_shoulder") for side in ("left", "right")]
    keypoints[12] = keypoints[13] + (0, 10)
    assert check(person(keypoints), skeleton=LSP14) == []
    keypoints[shoulders] = keypoints[shoulders[::-1]]
    assert [f.kind for f in check(person(keypoints), skeleton=LSP14)] == ["left-right"]


def test_a_limb_without_length_is_suspected_but_not_hips_seen_from_the_side() -> None:
    keypoints = placed()
    keypoints *= 2
    keypoints[11] = keypoints[12]
    sizes = {1: (400, 600)}
    label = ImageLabel(1, None, "", (person(keypoints),), np.zeros((0, 4), np.float32))  # type: ignore[arg-type]
    assert check_people([label], COCO17, "people.json", sizes) == []
    keypoints[9] = keypoints[7]
    label = ImageLabel(1, None, "", (person(keypoints),), np.zeros((0, 4), np.float32))  # type: ignore[arg-type]
    (finding,) = check_people([label], COCO17, "people.json", sizes)
    assert finding.text == "left_elbow–left_wrist has no length: both ends are at one place"


def test_a_limb_much_longer_than_everybody_elses_is_suspected() -> None:
    rng = np.random.default_rng(0)
    people = [person(placed() + rng.normal(0, 1, (17, 2)), number) for number in range(1, 151)]
    keypoints = placed()
    keypoints[9] = (90, 150)
    people.append(person(keypoints, 151))
    labels = [
        ImageLabel(number, None, "", (someone,), np.zeros((0, 4), np.float32))  # type: ignore[arg-type]
        for number, someone in enumerate(people, start=1)
    ]
    findings = check_people(labels, COCO17, "people.json", {})
    assert [(finding.kind, finding.annotation_id) for finding in findings] == [("limb-length", 151)]
    assert "left_elbow–left_wrist is " in findings[0].text
