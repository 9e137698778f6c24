"""The view must show each keypoint where it is in the frame, whatever the model's conventions."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from engine.estimator import BottomUpEstimator, TopDownEstimator, open_estimator
from engine.estimator.heatmap_view import HeatmapView
from engine.geometry import (
    bbox_to_centre_size,
    crop_matrix,
    heatmap_to_input,
    input_to_heatmap,
    letterbox_matrix,
    transform_points,
)
from engine.model import open_model
from engine.settings import EstimatorSettings
from engine.structures import Frame
from engine.timing import Stopwatch

People = Callable[[int], list[np.ndarray]]
SIZE = (360, 640)


def peak_of(view: HeatmapView, frame_size: tuple[int, int] = SIZE) -> np.ndarray:
    """Frame px of the view's maximum, the mean of several."""
    values = view.values
    rows, columns = np.nonzero(values >= values.max() - 1e-6)
    height, width = values.shape
    return heatmap_to_input([columns.mean(), rows.mean()], (height, width), frame_size, "half-pixel")


def strength_near(values: np.ndarray, point: np.ndarray, reach_px: float = 8.0) -> float:
    """The view's largest value within `reach_px` of a frame px."""
    height, width = values.shape
    x, y = np.meshgrid(np.arange(width), np.arange(height))
    places = heatmap_to_input(np.stack([x, y], axis=-1), (height, width), SIZE, "half-pixel")
    return float(values[np.linalg.norm(places - point, axis=-1) <= reach_px].max())


def gaussian(heatmap_size: tuple[int, int], place: np.ndarray, deviation: float = 2.0) -> np.ndarray:
    y, x = np.mgrid[: heatmap_size[0], : heatmap_size[1]]
    return np.exp(-((x - place[0]) ** 2 + (y - place[1]) ** 2) / (2 * deviation**2)).astype(np.float32)


@pytest.mark.parametrize("convention", ["hrnet", "half-pixel", "udp"])
@pytest.mark.parametrize("height", [60, 200, 700])
def test_a_blob_in_a_crop_lands_on_its_place_in_the_frame(convention, height: int) -> None:
    """Also of somebody so small that the view has fewer px than the crop's heatmap."""
    frame_size, heatmap_size, input_size = (720, 1280), (64, 48), (256, 192)
    target = np.array([803.0, 341.0])
    box = [800 - height / 4, 350 - height / 2, 800 + height / 4, 350 + height / 2]
    matrix = crop_matrix(*bbox_to_centre_size(box, input_size), input_size, convention=convention)
    place = input_to_heatmap(transform_points(matrix, target), heatmap_size, input_size, convention)
    view = HeatmapView(frame_size)
    view.add(gaussian(heatmap_size, place)[None, None], matrix, input_size, convention)
    np.testing.assert_allclose(peak_of(view, frame_size), target, atol=4.1)
    assert view.values.max() > 0.75


def test_a_whole_frame_heatmap_lands_on_its_place() -> None:
    input_size, target = (192, 352), np.array([123.0, 77.0])
    matrix = letterbox_matrix(SIZE, input_size)
    place = input_to_heatmap(transform_points(matrix, target), (96, 176), input_size, "half-pixel")
    view = HeatmapView(SIZE)
    view.add(gaussian((96, 176), place)[None, None], matrix, input_size, "half-pixel")
    np.testing.assert_allclose(peak_of(view), target, atol=3)


@pytest.mark.parametrize(
    ("frame_size", "view_size"),
    [((720, 1280), (180, 320)), ((361, 639), (91, 160)), ((2160, 3840), (270, 480)), ((3, 5), (1, 2))],
)
def test_a_view_has_a_quarter_of_the_frame_and_never_more_than_480_px(frame_size, view_size) -> None:
    view = HeatmapView(frame_size)
    assert view.values.shape == view_size and view.values.dtype == np.float32 and not view.values.any()


def test_scores_beyond_the_scale_are_clipped_and_the_larger_one_shows() -> None:
    view, matrix = HeatmapView((64, 64)), np.array([[1.0, 0, 0], [0, 1, 0]])
    view.add(np.full((1, 2, 16, 16), [[[[1.7]], [[0.2]]]]), matrix, (64, 64), "half-pixel")
    view.add(np.full((1, 1, 16, 16), -0.3), matrix, (64, 64), "half-pixel")
    assert view.values.min() == view.values.max() == 1.0


def test_crops_show_every_keypoint_of_everybody(
    top_down_file: Path, walking_pair: People, marker_image: Callable[..., np.ndarray]
) -> None:
    truth, view = walking_pair(3), HeatmapView(SIZE)
    boxes = [[*(person.min(axis=0) - 10), *(person.max(axis=0) + 10)] for person in truth]
    people = TopDownEstimator(open_model(top_down_file)).estimate(marker_image(SIZE, truth), boxes, view=view)
    for person, keypoints in zip(people, truth, strict=True):
        for point, score in zip(keypoints, person.scores, strict=True):
            assert strength_near(view.values, point) == pytest.approx(score, abs=0.15)
    assert strength_near(view.values, np.array([330.0, 180.0])) < 0.1


def test_the_whole_frame_shows_every_keypoint_of_everybody(
    bottom_up_file: Path, walking_pair: People, marker_image: Callable[..., np.ndarray]
) -> None:
    truth, view = walking_pair(3), HeatmapView(SIZE)
    BottomUpEstimator(open_model(bottom_up_file)).estimate(marker_image(SIZE, truth), view=view)
    for point in np.concatenate(truth):
        assert strength_near(view.values, point) > 0.4
    assert strength_near(view.values, np.array([330.0, 180.0])) < 0.1


@pytest.mark.parametrize("mode", ["top-down", "bottom-up"])
def test_an_estimator_makes_a_heatmap_only_where_it_is_wanted(
    mode: str, top_down_file: Path, bottom_up_file: Path, walking_pair: People, marker_image
) -> None:
    models = {"top_down_model": str(top_down_file), "bottom_up_model": str(bottom_up_file)}
    estimator = open_estimator(EstimatorSettings(mode=mode, **models))
    truth = walking_pair(0)
    frame = Frame(marker_image(SIZE, truth), 0, 0.0)
    estimator.estimate_frame(frame, [], Stopwatch())
    assert not estimator.heatmap_wanted and estimator.heatmap is None
    estimator.heatmap_wanted = True
    estimator.start(30.0)
    people = estimator.estimate_frame(frame, [], Stopwatch())
    assert len(people) == 2 and estimator.heatmap.shape == (90, 160)
    assert all(strength_near(estimator.heatmap, point) > 0.4 for point in np.concatenate(truth))
    estimator.heatmap_wanted = False
    estimator.estimate_frame(frame, [], Stopwatch())
    assert estimator.heatmap is None
