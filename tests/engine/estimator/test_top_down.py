from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from engine.estimator import TopDownEstimator
from engine.model import open_model
from engine.timing import Stopwatch

Place = Callable[[float, float, float], np.ndarray]


def box_around(keypoints: np.ndarray, margin: float = 10.0) -> np.ndarray:
    return np.concatenate([keypoints.min(axis=0) - margin, keypoints.max(axis=0) + margin])


@pytest.fixture(scope="module")
def estimator(top_down_file: Path) -> TopDownEstimator:
    return TopDownEstimator(open_model(top_down_file))


def test_each_box_gets_its_person_in_the_order_of_the_boxes(
    estimator: TopDownEstimator, marker_person: Place, marker_image: Callable[..., np.ndarray]
) -> None:
    truth = [marker_person(60, 80, 180), marker_person(300, 60, 220), marker_person(480, 150, 140)]
    image = marker_image((360, 640), truth)
    order = [2, 0, 1]
    people = estimator.estimate(image, np.stack([box_around(truth[index]) for index in order]))
    for index, person in zip(order, people, strict=True):
        np.testing.assert_allclose(person.keypoints, truth[index], atol=2.5)
        assert person.keypoints.dtype == person.scores.dtype == person.bbox.dtype == np.float32
        assert person.scores.min() > 0.4 and person.score == pytest.approx(person.scores.mean())
        assert (person.bbox[:2] < truth[index].min(axis=0) + 2.5).all()
        assert (person.bbox[2:] > truth[index].max(axis=0) - 2.5).all()


def test_a_box_without_anybody_is_kept_with_a_low_score(
    estimator: TopDownEstimator, marker_person: Place, marker_image: Callable[..., np.ndarray]
) -> None:
    truth = marker_person(60, 80, 180)
    image = marker_image((360, 640), [truth])
    nobody, somebody = estimator.estimate(image, [[400, 50, 500, 250], box_around(truth)])
    assert nobody.score < 0.05 < 0.4 < somebody.score
    assert np.isfinite(nobody.keypoints).all() and np.isfinite(nobody.bbox).all()


def test_weak_keypoints_do_not_stretch_the_box(
    estimator: TopDownEstimator, marker_person: Place, marker_image: Callable[..., np.ndarray]
) -> None:
    truth = marker_person(200, 60, 220)
    image = marker_image((360, 640), [truth])
    image[200:] = 24  # the feet are gone
    (person,) = estimator.estimate(image, [box_around(truth)])
    assert person.scores[3:5].max() < 0.2
    assert person.bbox[3] < 200
    assert person.score == pytest.approx(person.scores[[0, 1, 2, 5]].mean())


def test_a_scrap_of_a_person_scores_little(
    estimator: TopDownEstimator, marker_person: Place, marker_image: Callable[..., np.ndarray]
) -> None:
    truth = marker_person(200, 60, 220)
    image = marker_image((360, 640), [truth])
    image[80:] = 24  # only the head is left
    (person,) = estimator.estimate(image, [box_around(truth)])
    assert person.score == pytest.approx(person.scores[0] / 3)


def test_no_boxes_give_nobody(estimator: TopDownEstimator) -> None:
    assert estimator.estimate(np.zeros((100, 100, 3), np.uint8), np.zeros((0, 4))) == []


@pytest.mark.parametrize("box", [[50, 10, 50, 90], [10, 90, 50, 10], [0, 0, np.nan, 5]])
def test_a_box_that_is_none_is_refused(estimator: TopDownEstimator, box: list[float]) -> None:
    with pytest.raises(ValueError, match="boxes must be xyxy"):
        estimator.estimate(np.zeros((100, 100, 3), np.uint8), [[0, 0, 10, 10], box])


def test_the_stopwatch_sees_the_three_stages(estimator: TopDownEstimator) -> None:
    watch = Stopwatch()
    estimator.estimate(np.zeros((100, 100, 3), np.uint8), [[10, 10, 60, 90]], watch)
    assert set(watch.take()) == {"prepare", "infer", "decode"}


def test_the_flip_test_finds_the_same_people(
    top_down_file: Path, marker_person: Place, marker_image: Callable[..., np.ndarray]
) -> None:
    truth = marker_person(200, 60, 220)
    image = marker_image((360, 640), [truth])
    flipped = TopDownEstimator(open_model(top_down_file), flip_test=True)
    (person,) = flipped.estimate(image, [box_around(truth)])
    np.testing.assert_allclose(person.keypoints, truth, atol=2.5)
