from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from engine.estimator import BottomUpEstimator
from engine.estimator.bottom_up import fills_frame
from engine.model import Model, open_model
from engine.settings import EstimatorSettings
from engine.structures import Person
from engine.timing import Stopwatch

People = Callable[[int], list[np.ndarray]]


@pytest.fixture(scope="module")
def estimator(bottom_up_file: Path) -> BottomUpEstimator:
    return BottomUpEstimator(open_model(bottom_up_file))


def sorted_by_x(people: list) -> list:
    return sorted(people, key=lambda person: float(person.keypoints[:, 0].mean()))


@pytest.mark.parametrize("short_side", [None, 128, 192, 320])
def test_everybody_is_found_at_every_size(
    estimator: BottomUpEstimator,
    short_side: int | None,
    walking_pair: People,
    marker_image: Callable[..., np.ndarray],
) -> None:
    truth = walking_pair(0)
    estimator.short_side = short_side
    people = estimator.estimate(marker_image((360, 640), truth))
    estimator.short_side = None
    assert len(people) == 2
    for person, keypoints in zip(sorted_by_x(people), truth, strict=True):
        np.testing.assert_allclose(person.keypoints, keypoints, atol=4.0)


def test_the_strongest_comes_first(
    estimator: BottomUpEstimator, walking_pair: People, marker_image: Callable[..., np.ndarray]
) -> None:
    image = marker_image((360, 640), walking_pair(0))
    image[240:, 400:] = 24  # the right one loses the feet
    scores = [person.score for person in estimator.estimate(image)]
    assert len(scores) == 2 and scores == sorted(scores, reverse=True)


def test_an_empty_picture_holds_nobody(
    estimator: BottomUpEstimator, marker_image: Callable[..., np.ndarray]
) -> None:
    assert estimator.estimate(marker_image((360, 640), [])) == []


def test_weak_and_surplus_people_are_dropped(
    bottom_up_file: Path, walking_pair: People, marker_image: Callable[..., np.ndarray]
) -> None:
    image = marker_image((360, 640), walking_pair(0))
    model = open_model(bottom_up_file)
    assert len(BottomUpEstimator(model, EstimatorSettings(max_people=1)).estimate(image)) == 1
    assert BottomUpEstimator(model, EstimatorSettings(min_person_score=0.999)).estimate(image) == []


class Recalibrated:
    """A network whose file names another weakest peak."""

    def __init__(self, model: Model, min_peak_score: float) -> None:
        self.spec, self.run = model.spec.model_copy(update={"min_peak_score": min_peak_score}), model.run


def test_the_weakest_peak_is_the_networks_own_unless_it_is_set(
    bottom_up_file: Path, walking_pair: People, marker_image: Callable[..., np.ndarray]
) -> None:
    image = marker_image((360, 640), walking_pair(0))
    strict = Recalibrated(open_model(bottom_up_file), 1.0)
    assert BottomUpEstimator(strict).estimate(image) == []
    assert len(BottomUpEstimator(strict, EstimatorSettings(min_peak_score=0.1)).estimate(image)) == 2


def test_the_flip_test_finds_the_same_people(
    bottom_up_file: Path, walking_pair: People, marker_image: Callable[..., np.ndarray]
) -> None:
    truth = walking_pair(0)
    estimator = BottomUpEstimator(open_model(bottom_up_file), EstimatorSettings(flip_test=True))
    people = sorted_by_x(estimator.estimate(marker_image((360, 640), truth)))
    for person, keypoints in zip(people, truth, strict=True):
        np.testing.assert_allclose(person.keypoints, keypoints, atol=4.0)


def test_the_stopwatch_sees_the_three_stages(estimator: BottomUpEstimator) -> None:
    watch = Stopwatch()
    estimator.estimate(np.zeros((96, 128, 3), np.uint8), watch)
    assert set(watch.take()) == {"prepare", "infer", "decode"}


def test_two_scales_look_twice_and_tell_each_person_once(
    bottom_up_file: Path, walking_pair: People, marker_image: Callable[..., np.ndarray]
) -> None:
    model = open_model(bottom_up_file)
    seen: list[tuple[int, ...]] = []
    run = model.runtime.run
    model.runtime.run = lambda inputs: (seen.append(inputs.shape), run(inputs))[1]
    estimator = BottomUpEstimator(model, EstimatorSettings(finder_short_side=256), scales=(1.0, 0.5))
    people = estimator.estimate(marker_image((360, 640), walking_pair(0)))
    assert [min(shape[2:]) for shape in seen] == [256, 128]
    assert len(people) == 2
    seen.clear()
    estimator.short_side = 128
    estimator.estimate(marker_image((360, 640), walking_pair(0)))
    assert [min(shape[2:]) for shape in seen] == [128]


@pytest.mark.parametrize(("height", "fills"), [(200, False), (290, True)])
def test_the_half_scale_adds_only_those_who_fill_the_frame(height: float, fills: bool) -> None:
    image = np.zeros((360, 640, 3), np.uint8)
    bbox = np.array([100, 20, 180, 20 + height], np.float32)
    person = Person(np.zeros((17, 2), np.float32), np.ones(17, np.float32), bbox, 1.0)
    assert fills_frame(person, image) is fills
