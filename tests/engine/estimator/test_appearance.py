"""Clothes told apart by colour."""

import numpy as np
import pytest

from engine.estimator.appearance import describe_people
from engine.metrics.walking import Walker
from engine.skeleton import COCO17, Skeleton
from engine.structures import APPEARANCE_SHAPE, Person

POSE = Walker((400.0, 600.0), speed=0.0).keypoints(0.0)
RED, BLUE, GREY = (40, 40, 200), (200, 60, 40), (110, 110, 110)


def picture(shirt: tuple[int, int, int], trousers: tuple[int, int, int]) -> np.ndarray:
    hips = round(float(POSE[[11, 12], 1].mean()))
    image = np.zeros((720, 1280, 3), np.uint8)
    image[:hips], image[hips:] = shirt, trousers
    return image


def person(keypoints: np.ndarray = POSE, hidden: tuple[int, ...] = ()) -> Person:
    scores = np.full(17, 0.9, np.float32)
    scores[list(hidden)] = 0.02
    return Person(keypoints.astype(np.float32), scores, np.array([0, 0, 9, 9], np.float32), 0.9)


def describe(image: np.ndarray, who: Person, skeleton: Skeleton = COCO17) -> np.ndarray | None:
    return describe_people(image, [who], skeleton)[0].appearance


def alike(first: np.ndarray | None, second: np.ndarray | None) -> np.ndarray:
    assert first is not None and second is not None
    return (first * second).sum(axis=1)


def test_each_region_has_norm_one_and_is_like_itself() -> None:
    found = describe(picture(RED, GREY), person())
    assert found is not None and found.shape == APPEARANCE_SHAPE and found.dtype == np.float32
    np.testing.assert_allclose(alike(found, found), 1.0, atol=1e-5)


def test_another_shirt_changes_the_torso_and_not_the_thighs() -> None:
    torso, thighs = alike(describe(picture(RED, GREY), person()), describe(picture(BLUE, GREY), person()))
    assert torso < 0.6 and thighs > 0.95


def test_a_little_less_light_changes_little() -> None:
    image = picture(RED, BLUE)
    darker = (image * 0.85).astype(np.uint8)
    assert alike(describe(image, person()), describe(darker, person())).min() > 0.85


@pytest.mark.parametrize(("hidden", "shown"), [((5,), [False, True]), ((13, 14), [True, False])])
def test_a_region_with_a_hidden_corner_is_not_described(hidden: tuple[int, ...], shown: list[bool]) -> None:
    found = describe(picture(RED, GREY), person(hidden=hidden))
    assert found is not None and found.any(axis=1).tolist() == shown


def test_somebody_outside_the_frame_or_without_keypoints_has_no_appearance() -> None:
    image = picture(RED, GREY)
    assert describe(image, person(POSE + 5000)) is None
    assert describe(image, person(hidden=tuple(range(17)))) is None
    assert describe(image, person(np.full((17, 2), np.nan))) is None


def test_a_skeleton_without_hips_describes_nobody() -> None:
    names = tuple(name.replace("hip", "fin") for name in COCO17.keypoints)
    assert describe(picture(RED, GREY), person(), COCO17.model_copy(update={"keypoints": names})) is None
    assert describe_people(picture(RED, GREY), [], COCO17) == []
