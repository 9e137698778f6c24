from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine.errors import SourceError, UsageError
from engine.estimator import FrameEstimator, open_estimator
from engine.frame_tracker import FrameTracker, SequenceKind, centre_inside, close_estimator
from engine.settings import EstimatorSettings, TrackSettings
from engine.skeleton import Skeleton
from engine.structures import Frame, Person, Result

OTHERS = Skeleton(name="others6", keypoints=tuple("abcdef"), limbs=(), flip_pairs=(), oks_sigmas=(0.1,) * 6)
Opened = Callable[..., FrameEstimator]


@pytest.fixture
def settings(top_down_file: Path, bottom_up_file: Path) -> TrackSettings:
    return TrackSettings(
        estimator=EstimatorSettings(
            mode="bottom-up",
            top_down_model=str(top_down_file),
            bottom_up_model=str(bottom_up_file),
            threads=1,
        )
    )


@pytest.fixture
def opened(settings: TrackSettings) -> Iterator[Opened]:
    """Function (**changes of the settings) that opens an estimator; they are closed afterwards."""
    made: list[FrameEstimator] = []

    def make(**changes: object) -> FrameEstimator:
        made.append(open_estimator(settings.estimator.model_copy(update=changes)))
        return made[-1]

    yield make
    for estimator in made:
        close_estimator(estimator)


@pytest.fixture
def tracker(opened: Opened, settings: TrackSettings) -> FrameTracker:
    return FrameTracker(opened(), settings, SequenceKind(30.0))


@pytest.fixture
def frame(marker_image: Any, walking_pair: Any) -> Callable[[int], Frame]:
    """Function from an index to that frame of the walking pair."""

    def paint(index: int) -> Frame:
        return Frame(marker_image((360, 640), walking_pair(index)), index, index / 30)

    return paint


def ids(result: Result) -> list[int]:
    return [person.track_id for person in result.people]


def follow(tracker: FrameTracker, frame: Callable[[int], Frame], indices: range) -> Result:
    """Update with all these frames and return the last result."""
    *_, last = (tracker.update(frame(index)) for index in indices)
    return last


def test_people_are_followed_and_each_stage_is_timed(
    tracker: FrameTracker, frame: Callable[[int], Frame]
) -> None:
    result = follow(tracker, frame, range(8))
    assert ids(result) == [1, 2]
    assert {"infer", "decode", "track"} <= set(result.timings_ms)
    assert result.frame.index == 7


def test_changed_settings_keep_people_and_their_ids(
    tracker: FrameTracker, frame: Callable[[int], Frame], settings: TrackSettings
) -> None:
    follow(tracker, frame, range(8))
    smoothing = settings.tracker.smoothing.model_copy(update={"method": "none"})
    changed = settings.model_copy(
        update={"tracker": settings.tracker.model_copy(update={"smoothing": smoothing})}
    )
    tracker.change_settings(changed)
    result = follow(tracker, frame, range(8, 12))
    assert ids(result) == [1, 2]
    assert tracker.settings is changed
    assert result.people[0].keypoints == pytest.approx(result.people[0].raw_keypoints)


def test_settings_that_the_models_cannot_follow_change_nothing(
    settings: TrackSettings, tmp_path: Path, write_marker_model: Any, opened: Opened
) -> None:
    file = write_marker_model(
        tmp_path / "fixed.onnx", "bottom-up", dynamic_size=False, input_shape=["n", 3, 192, 192]
    )
    tracker = FrameTracker(opened(bottom_up_model=str(file)), settings)
    wrong = settings.estimator.model_copy(update={"finder_short_side": 320})
    with pytest.raises(UsageError):
        tracker.change_settings(settings.model_copy(update={"estimator": wrong}))
    assert tracker.settings is settings


def test_another_estimator_with_the_same_keypoints_keeps_people(
    tracker: FrameTracker, frame: Callable[[int], Frame], opened: Opened
) -> None:
    before, other = tracker.estimator, opened(mode="top-down", find_interval_s=0.1)
    follow(tracker, frame, range(8))
    assert tracker.change_estimator(other) is before
    assert tracker.estimator is other
    assert tracker.choice["mode"] == "top-down"
    assert ids(follow(tracker, frame, range(8, 14))) == [1, 2]


def test_another_estimator_with_other_keypoints_meets_everybody_anew(
    tracker: FrameTracker,
    frame: Callable[[int], Frame],
    opened: Opened,
    tmp_path: Path,
    write_marker_model: Any,
) -> None:
    file = write_marker_model(tmp_path / "others.onnx", "bottom-up", skeleton=OTHERS)
    follow(tracker, frame, range(8))
    tracker.change_estimator(opened(bottom_up_model=str(file)))
    assert tracker.skeleton.name == "others6"
    assert ids(tracker.update(frame(8))) == []
    assert ids(follow(tracker, frame, range(9, 16))) == [1, 2]


def test_a_new_sequence_begins_with_nobody_and_at_any_time(
    tracker: FrameTracker, frame: Callable[[int], Frame]
) -> None:
    follow(tracker, frame, range(10, 18))
    with pytest.raises(SourceError, match="later"):
        tracker.update(frame(3))
    tracker.start(SequenceKind(30.0))
    assert ids(tracker.update(frame(0))) == []
    assert ids(follow(tracker, frame, range(1, 8))) == [1, 2]


def test_independent_pictures_show_everybody_at_once(
    opened: Opened, settings: TrackSettings, frame: Callable[[int], Frame]
) -> None:
    tracker = FrameTracker(opened(), settings, SequenceKind(stills=True))
    assert [ids(tracker.update(frame(index))) for index in (5, 0, 20)] == [[1, 2]] * 3


def test_a_region_leaves_out_whoever_stands_outside(
    tracker: FrameTracker, frame: Callable[[int], Frame], settings: TrackSettings
) -> None:
    right = settings.estimator.model_copy(update={"region": (400.0, 0.0, 640.0, 360.0)})
    tracker.change_settings(settings.model_copy(update={"estimator": right}))
    (person,) = follow(tracker, frame, range(8)).people
    assert person.bbox[0] > 400


def test_the_heatmap_is_made_only_where_it_is_wanted(
    tracker: FrameTracker, frame: Callable[[int], Frame]
) -> None:
    assert tracker.update(frame(0)).heatmap is None
    tracker.heatmap_wanted = True
    heatmap = tracker.update(frame(1)).heatmap
    assert heatmap is not None and heatmap.ndim == 2
    assert 0.5 < heatmap.max() <= 1.0 and heatmap.min() >= 0.0
    tracker.heatmap_wanted = False
    assert tracker.update(frame(2)).heatmap is None


def test_what_the_sidecar_states_names_models_choice_and_settings(
    tracker: FrameTracker, settings: TrackSettings
) -> None:
    told = tracker.describe()
    assert told["settings"] == settings.model_dump(mode="json")
    assert told["choice"] == dict(tracker.choice)
    models: Any = told["models"]
    assert [model["name"] for model in models] == ["markers-bu"]


@pytest.mark.parametrize(
    ("box", "inside"),
    [((10, 10, 30, 30), True), ((0, 0, 20, 20), True), ((0, 0, 18, 20), False), ((31, 10, 90, 30), False)],
)
def test_somebody_is_inside_where_the_middle_of_the_box_is(box: tuple[float, ...], inside: bool) -> None:
    person = Person(
        keypoints=np.zeros((6, 2), np.float32),
        scores=np.ones(6, np.float32),
        bbox=np.array(box, np.float32),
        score=1.0,
    )
    assert centre_inside(person, (10.0, 10.0, 60.0, 60.0)) is inside
