"""OKS against pycocotools, and the rules of duplicates."""

import json
from pathlib import Path

import numpy as np
import pytest

from engine.skeleton import COCO17
from engine.structures import Person
from engine.tracking.oks import oks_matrix, suppress_duplicates, suppress_scraps

VECTORS = Path(__file__).parents[2] / "data/reference/vectors/pycocotools_oks.json"
BODY = np.array(
    [[50, 12], [54, 8], [46, 8], [58, 10], [42, 10], [68, 40], [32, 40], [76, 75], [24, 75], [78, 108],
     [22, 108], [62, 110], [38, 110], [63, 155], [37, 155], [64, 200], [36, 200]], np.float32,
)  # fmt: skip


def person_at(x: float, y: float, score: float = 0.9, *, only: slice | None = None) -> Person:
    keypoints = BODY + np.array([x, y], np.float32)
    scores = np.full(17, score, np.float32)
    if only is not None:
        hidden = np.ones(17, bool)
        hidden[only] = False
        scores[hidden] = 0
    seen = keypoints[scores > 0]
    bbox = np.concatenate([seen.min(axis=0) - 5, seen.max(axis=0) + 5])
    return Person(keypoints, scores, bbox, score)


@pytest.fixture(scope="module")
def reference() -> dict:
    return json.loads(VECTORS.read_text())


@pytest.mark.parametrize("image", [1, 2, 3])
def test_oks_equals_pycocotools_with_and_without_visible_keypoints(reference: dict, image: int) -> None:
    truths = [item for item in reference["annotations"] if item["image_id"] == image]
    found = [item for item in reference["detections"] if item["image_id"] == image]
    found.sort(key=lambda item: -item["score"])
    truth = np.array([item["keypoints"] for item in truths]).reshape(-1, 17, 3)
    boxes = np.array([item["bbox"] for item in truths])
    boxes[:, 2:] += boxes[:, :2]
    assert not (truth[..., 2] > 0).any(axis=1).all()
    oks = oks_matrix(
        truth[..., :2],
        np.array([item["keypoints"] for item in found]).reshape(-1, 17, 3)[..., :2],
        COCO17.oks_sigmas,
        np.array([item["area"] for item in truths]),
        truth[..., 2] > 0,
        bboxes=boxes,
    )
    np.testing.assert_allclose(oks.T, reference["oks"][str(image)], atol=1e-9, rtol=0)


def test_a_pose_is_fully_alike_to_itself_and_less_the_further_it_moves() -> None:
    moved = np.stack([BODY + np.float32(step) for step in (0, 2, 5, 20, 500)])
    oks = oks_matrix(BODY[None], moved, COCO17.sigmas, [10000.0])[0]
    assert oks[0] == pytest.approx(1)
    assert (np.diff(oks) < 0).all()
    assert oks[-1] == pytest.approx(0, abs=1e-12)


def test_only_valid_keypoints_are_compared() -> None:
    other = BODY.copy()
    other[5:] += 1000
    valid = np.arange(17) < 5
    assert oks_matrix(BODY[None], other[None], COCO17.sigmas, [1e4], valid[None])[0, 0] == pytest.approx(1)
    by_pair = np.stack([valid, ~valid])[None]
    both = oks_matrix(BODY[None], np.stack([other, other]), COCO17.sigmas, [1e4], by_pair)
    np.testing.assert_allclose(both, [[1, 0]], atol=1e-12)


def test_a_missing_keypoint_counts_as_infinitely_far() -> None:
    other = BODY.copy()
    other[0] = np.nan
    assert oks_matrix(BODY[None], other[None], COCO17.sigmas, [1e4])[0, 0] == pytest.approx(16 / 17)


def test_a_pose_without_valid_keypoints_is_alike_to_nothing_unless_a_box_is_given() -> None:
    nothing = np.zeros((1, 17), bool)
    assert oks_matrix(BODY[None], BODY[None], COCO17.sigmas, [1e4], nothing)[0, 0] == 0
    box = [[0.0, 0.0, 100.0, 210.0]]
    assert oks_matrix(BODY[None], BODY[None], COCO17.sigmas, [1e4], nothing, bboxes=box)[0, 0] == 1


def test_no_people_give_empty_matrices() -> None:
    none = np.zeros((0, 17, 2))
    assert oks_matrix(none, BODY[None], COCO17.sigmas, []).shape == (0, 1)
    assert oks_matrix(BODY[None], none, COCO17.sigmas, [1.0]).shape == (1, 0)


def test_of_two_people_in_the_same_place_the_better_one_stays() -> None:
    weak, strong, far = person_at(0, 0, 0.4), person_at(2, 1, 0.8), person_at(300, 0, 0.5)
    assert suppress_duplicates([weak, strong, far], COCO17, 0.7) == [strong, far]


def test_a_fragment_of_a_person_is_a_duplicate_of_the_whole() -> None:
    whole, legs = person_at(0, 0, 0.6), person_at(1, 1, 0.9, only=slice(11, 17))
    assert suppress_duplicates([legs, whole], COCO17, 0.7) == [whole]


def test_the_two_halves_of_a_person_do_not_suppress_each_other() -> None:
    top, bottom = person_at(0, 0, only=slice(0, 12)), person_at(0, 0, only=slice(11, 17))
    assert len(suppress_duplicates([top, bottom], COCO17, 0.7)) == 2


def test_neighbours_are_no_duplicates() -> None:
    crowd = [person_at(40 * index, 0) for index in range(5)]
    assert suppress_duplicates(crowd, COCO17, 0.7) == crowd


def test_nobody_and_one_person_pass_through() -> None:
    assert suppress_duplicates([], COCO17, 0.7) == []
    alone = person_at(0, 0)
    assert suppress_duplicates([alone], COCO17, 0.7) == [alone]


def test_a_weak_pose_made_of_parts_of_a_stronger_one_is_a_scrap() -> None:
    whole, scrap = person_at(0, 0, 0.8), person_at(0, 0, 0.4)
    scrap.keypoints[:9] += 30.0
    assert suppress_scraps([scrap, whole], COCO17) == [whole]


def test_somebody_close_behind_who_scores_as_well_is_no_scrap() -> None:
    people = [person_at(0, 0, 0.8), person_at(12, 0, 0.7)]
    assert suppress_scraps(people, COCO17) == people
    assert suppress_scraps(people[:1], COCO17) == people[:1]


def test_somebody_weak_elsewhere_is_no_scrap() -> None:
    people = [person_at(0, 0, 0.8), person_at(400, 0, 0.3)]
    assert suppress_scraps(people, COCO17) == people
