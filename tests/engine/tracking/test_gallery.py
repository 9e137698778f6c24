"""People who go away and come back, and strangers who come instead, told one scene at a time."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from engine.settings import TrackerSettings
from engine.skeleton import COCO17
from engine.structures import APPEARANCE_SHAPE, Person
from engine.tracking.gallery import STEPS_S, Gallery, Gone, in_middle, recognise
from engine.tracking.tracker import Tracker


def clothes(colour: int) -> np.ndarray:
    """One colour all over, a little of its neighbour."""
    appearance = np.zeros(APPEARANCE_SHAPE, np.float32)
    appearance[:, colour], appearance[:, colour + 1] = 0.98, 0.2
    return appearance


@pytest.fixture
def dressed(person_of, pose) -> Callable[..., Person]:
    """Function (colour, shift) → a person in this colour, shifted along x."""
    return lambda colour, shift=0.0: replace(person_of(pose + [shift, 0]), appearance=clothes(colour))


def gone(track_id: int, colour: int, *, x: float = 400.0, gone_s: float = 0.0, twin: bool = False) -> Gone:
    place, velocity = np.array([x, 450.0]), np.zeros(2)
    return Gone(track_id, -1.0, gone_s, clothes(colour).astype(float), place, velocity, 170.0, twin=twin)


def who(people: list[Gone], colour: int, x: float, time_s: float) -> list[int]:
    """Ids of those of the gone who are recognised in one newcomer."""
    found = recognise(
        people, clothes(colour)[None].astype(float), np.array([[x, 450.0]]), np.array([170.0]), time_s
    )
    return [people[index].track_id for index, _ in found]


def test_someone_back_after_three_seconds_gets_the_same_id(tracker, dressed, show) -> None:
    show(tracker, [dressed(0)], 0, 1)
    show(tracker, [], 1, 4)
    assert not tracker.predict(4.0)
    assert show(tracker, [dressed(0, 150.0)], 4, 5)[-1] == [1]
    (person,) = tracker.update([dressed(0, 150.0)], 5.0)
    assert person.age_s == pytest.approx(5.0)


def test_a_stranger_gets_a_new_id(tracker, dressed, show) -> None:
    show(tracker, [dressed(0)], 0, 1)
    show(tracker, [], 1, 4)
    assert show(tracker, [dressed(9)], 4, 5)[-1] == [2]
    assert show(tracker, [dressed(9), dressed(0, 400.0)], 5, 6)[-1] == [1, 2]


def test_someone_who_comes_up_elsewhere_before_the_track_is_forgotten_gets_the_same_id(
    tracker, dressed, show
) -> None:
    show(tracker, [dressed(0)], 0, 1)
    show(tracker, [], 1, 2)
    assert show(tracker, [dressed(0, 350.0)], 2, 3)[-1] == [1]
    assert len(tracker.predict(3.0)) == 1


def test_nobody_is_remembered_for_longer_than_was_set(dressed, show) -> None:
    for keep_s, expected in ((0.0, [2]), (2.0, [2]), (5.0, [1])):
        tracker = Tracker(TrackerSettings(keep_reid_s=keep_s), COCO17)
        show(tracker, [dressed(0)], 0, 1)
        show(tracker, [], 1, 5)
        assert show(tracker, [dressed(0)], 5, 6)[-1] == expected


def test_two_who_went_come_back_the_other_way_round(tracker, dressed, show) -> None:
    show(tracker, [dressed(0), dressed(9, 400.0)], 0, 1)
    show(tracker, [], 1, 4)
    show(tracker, [dressed(9), dressed(0, 400.0)], 4, 5)
    shown = tracker.update([dressed(9), dressed(0, 400.0)], 5.0)
    assert [person.track_id for person in sorted(shown, key=lambda person: person.bbox[0])] == [2, 1]


def test_someone_out_of_reach_is_somebody_else() -> None:
    assert who([gone(1, 0)], 0, 500.0, 1.0) == [1]
    assert who([gone(1, 0)], 0, 3000.0, 1.0) == []
    assert who([gone(1, 0)], 0, 2400.0, 1.0) == []
    assert who([gone(1, 0)], 0, 2400.0, 9.0) == [1]


def test_of_two_in_the_same_clothes_the_nearer_is_recognised_and_neither_where_both_are_near() -> None:
    assert who([gone(1, 0), gone(2, 0, x=2000.0)], 0, 420.0, 1.0) == [1]
    assert who([gone(1, 0), gone(2, 0, x=430.0)], 0, 420.0, 1.0) == []


def test_a_second_track_of_the_same_person_does_not_make_them_a_stranger() -> None:
    assert who([gone(1, 0), gone(2, 0, x=430.0, twin=True)], 0, 420.0, 1.0) == [1]


def test_without_clothes_nobody_is_remembered_or_recognised() -> None:
    gallery, nothing = Gallery(), np.zeros(APPEARANCE_SHAPE)
    gallery.add(replace(gone(1, 0), appearance=nothing))
    assert not gallery.gone
    assert recognise([gone(1, 0)], nothing[None], np.array([[400.0, 450.0]]), np.array([170.0]), 1.0) == []


def test_the_gone_stay_where_they_were_before_a_moving_camera() -> None:
    gallery = Gallery()
    gallery.add(gone(1, 0))
    gallery.move(np.array([[1.0, 0, 900], [0, 1, 0]]))
    assert who(gallery.gone, 0, 1310.0, 0.5) == [1]
    gallery.forget(1.0)
    assert not gallery.gone


def test_whoever_leaves_through_the_border_is_not_shown_outside(tracker, dressed) -> None:
    for index in range(30):
        tracker.update([dressed(0, 20.0 * index)], index / 30, frame_size=(720, 1040))
    shown = [tracker.update([], (30 + index) / 30, frame_size=(720, 1040)) for index in range(10)]
    assert not shown[4] and not shown[-1]
    assert len(tracker.predict(1.5)) == 1


def test_whoever_comes_back_at_the_border_gets_the_same_id(tracker, dressed) -> None:
    for index in range(165):
        away = 20 <= index <= 110
        shift = 20.0 * index if index < 20 else 400.0 - 6.0 * (index - 110)
        people = [] if away else [dressed(0, shift)]
        shown = tracker.update(people, index / 30, frame_size=(720, 900))
    assert [person.track_id for person in shown] == [1]


def test_a_false_find_seen_now_and_then_is_not_shown_in_between(tracker, dressed) -> None:
    shown = []
    for index in range(60):
        people = [dressed(0)] if index < 5 or index % 5 == 0 else []
        shown += [(index, len(tracker.update(people, index / 30)))]
    assert all(count == 0 for index, count in shown if index > 5 and index % 5)
    assert any(count for index, count in shown if index % 5 == 0)


def faded(colour: int, share: float) -> np.ndarray:
    """Clothes of one colour in other light: alike by `share` in each region."""
    appearance = clothes(colour).astype(float) * share
    appearance[:, -1] = np.sqrt(1 - share**2)
    return appearance


@pytest.mark.parametrize(("lost_inside", "came_inside"), [(True, True), (True, False), (False, True)])
def test_who_vanished_in_the_middle_may_come_up_there_in_another_light(
    lost_inside: bool, came_inside: bool
) -> None:
    one = replace(gone(3, 0), inside=lost_inside)
    place, size = np.array([[500.0, 450.0]]), np.array([170.0])
    found = recognise([one], faded(0, 0.8)[None], place, size, 2.0, np.array([came_inside]))
    assert bool(found) == (lost_inside and came_inside)


def test_a_stranger_is_not_recognised_in_the_middle_either() -> None:
    one = replace(gone(3, 0), inside=True)
    place, size = np.array([[500.0, 450.0]]), np.array([170.0])
    assert not recognise([one], faded(0, 0.7)[None], place, size, 2.0, np.array([True]))


@pytest.mark.parametrize(
    ("place", "velocity", "expected"),
    [
        ((640.0, 400.0), (0.0, 0.0), True),
        ((640.0, 20.0), (0.0, 0.0), True),  # Nobody leaves through the sky.
        ((90.0, 400.0), (0.0, 0.0), False),
        ((1200.0, 400.0), (0.0, 0.0), False),
        ((640.0, 650.0), (0.0, 0.0), False),
        ((1000.0, 400.0), (500.0, 0.0), False),
        ((1000.0, 400.0), (-500.0, 0.0), True),
    ],
)
def test_the_middle_is_where_nobody_is_about_to_leave(
    place: tuple[float, float], velocity: tuple[float, float], expected: bool
) -> None:
    answer = in_middle(np.array([place]), np.array([velocity]), np.array([100.0]), (720, 1280), STEPS_S)
    assert answer.tolist() == [expected]
    assert not in_middle(np.array([place]), np.array([velocity]), np.array([100.0]), None, STEPS_S)[0]
