from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from engine.errors import ModelFileError
from engine.estimator.following import (
    FollowingEstimator,
    add_boxes,
    drop_shadows,
    mark_found,
    merge_boxes,
)
from engine.estimator.frame import WholeFrameEstimator, open_estimator
from engine.settings import EstimatorSettings
from engine.skeleton import COCO17
from engine.structures import Frame, Person
from engine.timing import Stopwatch
from engine.tracking.tracker import PredictedTrack

IMAGE = np.zeros((360, 640, 3), np.uint8)
SHAPE = np.random.default_rng(0).random((17, 2), np.float32)


def person_in(box: list[float], score: float = 0.9) -> Person:
    corner, size = (
        np.array(box[:2], np.float32),
        np.array(box[2:], np.float32) - np.array(box[:2], np.float32),
    )
    return Person(
        (SHAPE * size + corner).astype(np.float32),
        np.full(17, score, np.float32),
        np.array(box, np.float32),
        score,
    )


def track_in(
    box: list[float], *, unseen_s: float = 0.0, score: float = 0.9, track_id: int = 1
) -> PredictedTrack:
    person = person_in(box, score)
    return PredictedTrack(
        track_id=track_id, keypoints=person.keypoints, scores=person.scores, bbox=person.bbox,
        confirmed=True, unseen_s=unseen_s,
    )  # fmt: skip


class FakeFinder:
    """Sees the boxes it is given and remembers how often it was asked."""

    def __init__(self, *boxes: list[float]) -> None:
        self.boxes, self.runs, self.short_side, self.score = list(boxes), 0, None, 0.9
        self.model = SimpleNamespace(spec=SimpleNamespace(input_size=(192, 192), dynamic_size=True))

    def estimate(self, image: np.ndarray, watch: Stopwatch | None = None) -> list[Person]:
        self.runs += 1
        return [person_in(box, self.score) for box in self.boxes]


class FakeTopDown:
    """Finds one person in every box, with the scores it is told."""

    def __init__(self, scores: dict[int, float] | None = None) -> None:
        self.scores, self.asked = scores or {}, []
        self.model = SimpleNamespace(spec=SimpleNamespace(skeleton=COCO17))

    def estimate(self, image: np.ndarray, boxes: np.ndarray, watch=None, view=None) -> list[Person]:
        self.asked.append(np.asarray(boxes).tolist())
        return [person_in(list(box), self.scores.get(index, 0.9)) for index, box in enumerate(boxes)]


LEFT, RIGHT = [100.0, 100.0, 200.0, 300.0], [400.0, 100.0, 500.0, 300.0]


def following(
    finder: FakeFinder, top_down: FakeTopDown | None = None, **settings: object
) -> FollowingEstimator:
    return FollowingEstimator(top_down or FakeTopDown(), finder, EstimatorSettings(**settings), auto=False)


def run(estimator: FollowingEstimator, time_s: float, *tracks: PredictedTrack) -> list[Person]:
    return estimator.estimate_frame(Frame(IMAGE, 0, time_s), tracks, Stopwatch())


def test_the_finder_runs_on_the_first_frame_and_then_every_interval() -> None:
    finder = FakeFinder(LEFT)
    estimator = following(finder, find_interval_s=0.5)
    for index in range(31):
        run(estimator, index / 30, *([track_in(LEFT)] if index else []))
    assert finder.runs == 3  # at 0, 0.5 and 1.0 s


def test_an_interval_of_zero_means_every_frame() -> None:
    finder = FakeFinder(LEFT)
    estimator = following(finder, find_interval_s=0.0)
    for index in range(5):
        run(estimator, index / 30, track_in(LEFT))
    assert finder.runs == 5


@pytest.mark.parametrize("trouble", [{"unseen_s": 0.05}, {"score": 0.2}])
def test_a_track_that_is_lost_or_unsure_calls_the_finder_early(trouble: dict[str, float]) -> None:
    finder = FakeFinder(LEFT)
    estimator = following(finder, find_interval_s=0.3)
    run(estimator, 0.0)
    run(estimator, 0.05, track_in(LEFT, **trouble))
    assert finder.runs == 1  # not at once again
    run(estimator, 0.1, track_in(LEFT))
    assert finder.runs == 1
    run(estimator, 0.1, track_in(LEFT, **trouble))
    assert finder.runs == 2


def test_an_empty_scene_is_looked_at_often() -> None:
    finder = FakeFinder()
    estimator = following(finder, find_interval_s=0.3)
    for index in range(10):
        run(estimator, index * 0.05)
    assert finder.runs == 5


def test_a_new_source_starts_with_the_finder() -> None:
    finder = FakeFinder(LEFT)
    estimator = following(finder, find_interval_s=10.0)
    run(estimator, 5.0)
    estimator.start(30.0)
    run(estimator, 5.1, track_in(LEFT))
    assert finder.runs == 2


def test_somebody_new_gets_a_crop_in_the_same_frame() -> None:
    top_down = FakeTopDown()
    people = run(following(FakeFinder(LEFT, RIGHT), top_down), 0.0, track_in(LEFT))
    assert top_down.asked == [[LEFT, RIGHT]]
    assert len(people) == 2


def test_between_finder_runs_tracks_give_the_crops() -> None:
    finder, top_down = FakeFinder(LEFT), FakeTopDown()
    estimator = following(finder, top_down, find_interval_s=1.0)
    run(estimator, 0.0)
    run(estimator, 0.1, track_in(LEFT), track_in(RIGHT, track_id=2))
    assert finder.runs == 1 and top_down.asked[1] == [LEFT, RIGHT]


def test_two_tracks_on_one_person_yield_one_person() -> None:
    near = [value + 2 for value in LEFT]
    people = run(following(FakeFinder()), 0.0, track_in(LEFT), track_in(near, track_id=2))
    assert len(people) == 1


def test_poor_crops_are_dropped() -> None:
    people = run(following(FakeFinder(), FakeTopDown({1: 0.05})), 0.0, track_in(LEFT), track_in(RIGHT))
    assert [person.bbox.tolist() for person in people] == [LEFT]


@pytest.mark.parametrize(
    "track",
    [
        track_in(LEFT, unseen_s=1.0),
        track_in([700.0, 100.0, 800.0, 300.0]),
        track_in([100.0, 100.0, 102.0, 101.0]),
        track_in([float("nan")] * 4),
    ],
    ids=["long lost", "outside the frame", "tiny", "not a number"],
)
def test_a_prediction_that_is_worth_nothing_gets_no_crop(track: PredictedTrack) -> None:
    top_down = FakeTopDown()
    assert run(following(FakeFinder(), top_down), 0.0, track) == []
    assert top_down.asked == [[]]


def test_no_more_crops_than_people_allowed() -> None:
    top_down = FakeTopDown()
    run(following(FakeFinder(LEFT, RIGHT), top_down, max_people=1), 0.0)
    assert len(top_down.asked[0]) == 1


def test_finding_is_charged_to_its_own_stage() -> None:
    watch = Stopwatch()
    following(FakeFinder(LEFT)).estimate_frame(Frame(IMAGE, 0, 0.0), [], watch)
    assert "find" in watch.take()


def test_a_found_box_grows_the_box_of_its_track() -> None:
    half = np.array([[100.0, 100.0, 200.0, 200.0]])  # the legs were lost
    whole = np.array([[105.0, 95.0, 195.0, 290.0]])
    assert merge_boxes(half, whole).tolist() == [[100.0, 100.0, 200.0, 200.0]]  # too different to trust
    whole = np.array([[105.0, 95.0, 195.0, 250.0]])
    assert merge_boxes(half, whole).tolist() == [[100.0, 95.0, 200.0, 250.0]]


def test_of_two_found_on_one_track_one_is_new() -> None:
    track, other = np.array([LEFT]), [[130.0, 100.0, 230.0, 300.0], LEFT]
    assert merge_boxes(track, np.array(other)).tolist() == [LEFT, other[0]]


def test_merging_with_nothing_changes_nothing() -> None:
    nobody, boxes = np.zeros((0, 4)), np.array([LEFT, RIGHT])
    assert merge_boxes(boxes, nobody).tolist() == [LEFT, RIGHT]
    assert merge_boxes(nobody, boxes).tolist() == [LEFT, RIGHT]
    assert merge_boxes(nobody, nobody).shape == (0, 4)


def test_auto_measures_once_and_tells_what_it_chose(top_down_file: Path, bottom_up_file: Path) -> None:
    settings = EstimatorSettings(top_down_model=str(top_down_file), bottom_up_model=str(bottom_up_file))
    estimator = open_estimator(settings)
    estimator.start(25.0)
    run(estimator, 0.0)
    choice = dict(estimator.choice)
    assert choice["mode"] == "top-down" and choice["frame_rate"] == 25.0
    assert choice["finder_short_side"] in (192, 128) and 0.2 <= choice["find_interval_s"] <= 1.0
    assert choice["finder_ms"] > 0 and choice["person_ms"] > 0
    run(estimator, 0.1)
    assert estimator.choice == choice


def test_bottom_up_needs_no_top_down_model(bottom_up_file: Path) -> None:
    settings = EstimatorSettings(
        mode="bottom-up", bottom_up_model=str(bottom_up_file), top_down_model="absent"
    )
    estimator = open_estimator(settings)
    assert isinstance(estimator, WholeFrameEstimator)
    assert estimator.choice == {"mode": "bottom-up", "short_side": 192}


@pytest.mark.parametrize("field", ["top_down_model", "bottom_up_model"])
def test_a_model_of_the_other_kind_is_refused(field: str, top_down_file: Path, bottom_up_file: Path) -> None:
    right = {"top_down_model": str(top_down_file), "bottom_up_model": str(bottom_up_file)}
    wrong = right[{"top_down_model": "bottom_up_model", "bottom_up_model": "top_down_model"}[field]]
    with pytest.raises(ModelFileError, match="model is needed here"):
        open_estimator(EstimatorSettings(**(right | {field: wrong})))


def test_where_the_finder_ran_people_carry_its_score_and_elsewhere_none() -> None:
    finder = FakeFinder(LEFT)
    estimator = following(finder, find_interval_s=1.0)
    found = run(estimator, 0.0, track_in(LEFT), track_in(RIGHT, track_id=2))
    assert [person.found for person in found] == pytest.approx([0.9, 0.0])
    assert [person.found for person in run(estimator, 0.1, track_in(LEFT))] == [None]


def test_one_find_does_not_vouch_for_two_people() -> None:
    near = person_in([130.0, 100.0, 230.0, 300.0])
    assert [person.found for person in mark_found([near, person_in(LEFT)], [person_in(LEFT)])] == [0.0, 0.9]
    assert mark_found([], [person_in(LEFT)]) == []


def test_a_track_that_the_finder_misses_gets_no_crop_beside_one_that_it_sees() -> None:
    seen = track_in(LEFT)
    hidden = replace(track_in([130.0, 100.0, 230.0, 300.0], track_id=2), missed_finds=2)
    alone = replace(track_in(RIGHT, track_id=3), missed_finds=5)
    assert [track.track_id for track in drop_shadows([seen, hidden, alone])] == [1, 3]
    assert drop_shadows([]) == []


def test_a_new_track_calls_the_finder_early() -> None:
    finder = FakeFinder(LEFT)
    estimator = following(finder, find_interval_s=0.3)
    run(estimator, 0.0)
    run(estimator, 0.1, replace(track_in(LEFT, track_id=0), confirmed=False))
    assert finder.runs == 2


def test_a_doubtful_find_gets_a_box_only_where_there_is_none() -> None:
    tracked = np.array([[0.0, 0.0, 100.0, 200.0]])
    doubtful = np.array([[10.0, 0.0, 100.0, 200.0], [300.0, 0.0, 400.0, 200.0], [305.0, 0.0, 400.0, 200.0]])
    boxes = add_boxes(tracked, doubtful)
    assert boxes.tolist() == [tracked[0].tolist(), doubtful[1].tolist()]
    assert add_boxes(np.zeros((0, 4)), doubtful[:1]).tolist() == doubtful[:1].tolist()


@pytest.mark.parametrize(("crop_score", "kept"), [(0.7, [LEFT, RIGHT]), (0.5, [LEFT])])
def test_of_somebody_whom_the_finder_doubts_the_crop_must_be_sure(
    crop_score: float, kept: list[list[float]]
) -> None:
    finder = FakeFinder(RIGHT)
    finder.score = 0.22
    people = run(following(finder, FakeTopDown({1: crop_score})), 0.0, track_in(LEFT))
    assert [person.bbox.tolist() for person in people] == kept
