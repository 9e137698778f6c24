"""Settings that change while an estimator runs."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from engine.errors import UsageError
from engine.estimator import FrameEstimator, open_estimator
from engine.settings import EstimatorSettings
from engine.structures import Frame, Person
from engine.timing import Stopwatch

People = Callable[[int], list[np.ndarray]]


@pytest.fixture
def opened(
    top_down_file: Path, bottom_up_file: Path
) -> Callable[..., tuple[FrameEstimator, EstimatorSettings]]:
    """Function (settings) that opens an estimator of the marker models, with its settings."""

    def build(**values: object) -> tuple[FrameEstimator, EstimatorSettings]:
        models = {"top_down_model": str(top_down_file), "bottom_up_model": str(bottom_up_file)}
        settings = EstimatorSettings(**(models | values))
        return open_estimator(settings), settings

    return build


@pytest.fixture
def frame(walking_pair: People, marker_image: Callable[..., np.ndarray]) -> Frame:
    return Frame(marker_image((360, 640), walking_pair(0)), 0, 0.0)


def look(estimator: FrameEstimator, frame: Frame) -> list[Person]:
    estimator.start(30.0)
    return estimator.estimate_frame(frame, [], Stopwatch())


@pytest.mark.parametrize("mode", ["bottom-up", "top-down", "auto"])
@pytest.mark.parametrize("change", [{"max_people": 1}, {"min_person_score": 0.999}])
def test_fewer_or_surer_people_from_the_next_frame_on(
    opened, frame: Frame, mode: str, change: dict[str, float]
) -> None:
    estimator, settings = opened(mode=mode)
    assert len(look(estimator, frame)) == 2
    estimator.change_settings(settings.model_copy(update=change))
    assert len(look(estimator, frame)) == (1 if change.get("max_people") else 0)
    estimator.change_settings(settings)
    assert len(look(estimator, frame)) == 2


@pytest.mark.parametrize("mode", ["bottom-up", "top-down"])
def test_another_size_of_the_finder_is_taken_and_told(opened, frame: Frame, mode: str) -> None:
    estimator, settings = opened(mode=mode)
    estimator.change_settings(settings.model_copy(update={"finder_short_side": 128}))
    assert 128 in estimator.choice.values()
    assert len(look(estimator, frame)) == 2
    estimator.change_settings(settings)
    assert 192 in estimator.choice.values()


def test_a_given_interval_of_the_finder_is_taken_and_told(opened, frame: Frame) -> None:
    estimator, settings = opened(mode="top-down")
    look(estimator, frame)
    estimator.change_settings(settings.model_copy(update={"find_interval_s": 0.0}))
    assert estimator.choice["find_interval_s"] == 0.0
    watch = Stopwatch()
    estimator.estimate_frame(Frame(frame.image, 1, 0.02), [], watch)
    assert "find" in watch.take()


def test_what_auto_has_chosen_stays_when_something_else_changes(opened, frame: Frame) -> None:
    estimator, settings = opened()
    look(estimator, frame)
    choice = dict(estimator.choice)
    estimator.change_settings(
        settings.model_copy(update={"duplicate_oks": 0.9, "flip_test": True, "finder_scales": (1.0,)})
    )
    look(estimator, frame)
    assert estimator.choice == choice


def test_auto_chooses_anew_for_a_given_size_or_interval_and_keeps_what_it_measured(
    opened, frame: Frame
) -> None:
    estimator, settings = opened()
    look(estimator, frame)
    measured = estimator.choice["person_ms"]
    estimator.change_settings(settings.model_copy(update={"finder_short_side": 128}))
    look(estimator, frame)
    assert estimator.choice["finder_short_side"] == 128
    estimator.change_settings(settings.model_copy(update={"find_interval_s": 0.7}))
    look(estimator, frame)
    assert estimator.choice["find_interval_s"] == 0.7
    assert estimator.choice["person_ms"] == measured
    estimator.change_settings(settings)
    look(estimator, frame)
    assert 0.2 <= estimator.choice["find_interval_s"] <= 1.0


@pytest.mark.parametrize("mode", ["bottom-up", "top-down"])
def test_another_size_of_a_fixed_network_is_refused_and_nothing_changes(
    opened, write_marker_model: Callable[..., Path], tmp_path: Path, frame: Frame, mode: str
) -> None:
    fixed = write_marker_model(
        tmp_path / "fixed.onnx", "bottom-up", dynamic_size=False, input_shape=["n", 3, 192, 192]
    )
    estimator, settings = opened(mode=mode, bottom_up_model=str(fixed))
    before = dict(estimator.choice), len(look(estimator, frame))
    with pytest.raises(UsageError, match="fixed input size"):
        estimator.change_settings(settings.model_copy(update={"finder_short_side": 256, "max_people": 1}))
    assert (dict(estimator.choice), len(look(estimator, frame))) == before


@pytest.mark.parametrize("mode", ["bottom-up", "top-down"])
def test_what_needs_other_models_waits_for_them(opened, frame: Frame, mode: str) -> None:
    estimator, settings = opened(mode=mode)
    models, choice = estimator.models, dict(estimator.choice)
    estimator.change_settings(
        settings.model_copy(update={"mode": "auto", "top_down_model": "other", "precision": "bf16"})
    )
    assert estimator.models == models and estimator.choice == choice
    assert len(look(estimator, frame)) == 2


def test_a_flip_test_runs_the_network_once_more(opened, frame: Frame) -> None:
    estimator, settings = opened(mode="bottom-up")
    runs = []
    runtime = estimator.models[0].runtime
    run = runtime.run
    runtime.run = lambda inputs: runs.append(len(inputs)) or run(inputs)
    look(estimator, frame)
    assert len(runs) == 1
    estimator.change_settings(settings.model_copy(update={"flip_test": True}))
    look(estimator, frame)
    assert len(runs) == 3
