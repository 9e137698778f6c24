"""Kinds of mistakes of keypoints that are put where they do not belong."""

import numpy as np
import pytest

from engine.metrics.pose_errors import GOOD, KINDS, NEAR, classify_keypoints
from engine.skeleton import COCO17

LEFT, RIGHT = COCO17.keypoints.index("left_wrist"), COCO17.keypoints.index("right_wrist")
AREA = 10000.0
PEOPLE = np.stack([np.arange(34.0).reshape(17, 2) * 100, np.arange(34.0).reshape(17, 2) * 100 + 5000])
VALID = np.ones((2, 17), bool)


def kind_of(point: np.ndarray, *, valid: np.ndarray = VALID) -> str:
    found = PEOPLE[1].copy()
    found[LEFT] = point
    kinds = classify_keypoints(found, 1, PEOPLE, valid, [AREA, AREA], COCO17)
    others = [KINDS[kind] for k, kind in enumerate(kinds) if k != LEFT and kind >= 0]
    assert set(others) == {"good"}
    return "unlabelled" if kinds[LEFT] < 0 else KINDS[kinds[LEFT]]


def at_similarity(value: float) -> np.ndarray:
    distance = np.sqrt(-np.log(value) * 2 * AREA) * 2 * COCO17.oks_sigmas[LEFT]
    return PEOPLE[1, LEFT] + [distance, 0]


@pytest.mark.parametrize(
    ("point", "kind"),
    [
        (PEOPLE[1, LEFT], "good"),
        (at_similarity(GOOD + 0.01), "good"),
        (at_similarity(GOOD - 0.01), "jitter"),
        (at_similarity(NEAR + 0.01), "jitter"),
        (at_similarity(NEAR - 0.01), "miss"),
        (PEOPLE[1, RIGHT], "inversion"),
        (PEOPLE[0, LEFT], "swap"),
        (PEOPLE[0, RIGHT], "swap"),
        (PEOPLE[1, 0], "miss"),
        (np.array([np.nan, np.nan]), "miss"),
    ],
)
def test_the_nearest_place_tells_the_kind(point: np.ndarray, kind: str) -> None:
    assert kind_of(point) == kind


def test_places_without_a_label_attract_nothing() -> None:
    valid = VALID.copy()
    valid[1, RIGHT] = False
    assert kind_of(PEOPLE[1, RIGHT], valid=valid) == "miss"
    valid[1, LEFT] = False
    assert kind_of(PEOPLE[1, LEFT], valid=valid) == "unlabelled"
