"""Finder support and clothes, told one scene at a time."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from engine.metrics.walking import Walker
from engine.settings import TrackerSettings
from engine.skeleton import COCO17
from engine.structures import APPEARANCE_SHAPE, Person
from engine.tracking.association import compare_appearance, doubt_returns, weigh_appearance
from engine.tracking.tracker import Tracker

POSE = Walker((400.0, 600.0), speed=0.0).keypoints(0.0)
FPS = 30.0


def clothes(colour: int) -> np.ndarray:
    """One colour all over."""
    appearance = np.zeros(APPEARANCE_SHAPE, np.float32)
    appearance[:, colour] = 1.0
    return appearance


def play(tracker: Tracker, scenes: Sequence[Sequence[Person]], start: int = 0) -> list[list[int]]:
    """Ids after each frame."""
    return [
        [person.track_id for person in tracker.update(people, (start + index) / FPS)]
        for index, people in enumerate(scenes)
    ]


def cross(colours: tuple[int, int] | None) -> tuple[list[int], list[int]]:
    """Ids from left to right before and after two people walk past each other, unseen for 0.4 s."""
    tracker, ids = Tracker(TrackerSettings(), COCO17), []
    for index in range(90):
        share = min(max(index - 20, 0), 50) / 50
        places = [POSE + [300 * share, 0], POSE + [300 * (1 - share), 0]]
        people = [Person(p.astype(np.float32), np.full(17, 0.9, np.float32), box(p), 0.9) for p in places]
        if colours is not None:
            people = [
                replace(person, appearance=clothes(c)) for person, c in zip(people, colours, strict=True)
            ]
        if 39 <= index <= 51:
            people = people[:1] if index <= 41 else []
        shown = tracker.update(people, index / FPS)
        ids.append([p.track_id for p in sorted(shown, key=lambda p: float(p.bbox[0]))])
    return ids[15], ids[-1]


def box(points: np.ndarray) -> np.ndarray:
    return np.concatenate([points.min(axis=0) - 10, points.max(axis=0) + 10]).astype(np.float32)


@pytest.mark.parametrize("colours", [(0, 5), (0, 0), None])
def test_two_people_who_swap_sides_while_hidden_keep_their_ids(colours: tuple[int, int] | None) -> None:
    before, after = cross(colours)
    assert before == [1, 2] and after == [2, 1]


def swap_while_hidden(appearance_weight: float, colours: tuple[int, int]) -> tuple[list[int], list[int]]:
    """Ids from left to right before and after two people standing close trade places unseen."""
    tracker = Tracker(TrackerSettings(appearance_weight=appearance_weight), COCO17)
    places = [POSE, POSE + [70, 0]]

    def people(order: tuple[int, int]) -> list[Person]:
        return [
            Person(
                point.astype(np.float32), np.full(17, 0.9, np.float32), box(point), 0.9,
                appearance=clothes(colours[who]),
            )
            for point, who in zip(places, order, strict=True)
        ]  # fmt: skip

    apart = [POSE - [250, 0], POSE + [320, 0]]
    places, near = apart, places
    before = play(tracker, [people((0, 1))] * 20)[-1]
    places = near
    for index, share in enumerate(np.linspace(0, 1, 20)):
        places = [start + (end - start) * share for start, end in zip(apart, near, strict=True)]
        play(tracker, [people((0, 1))], 20 + index)
    places = near
    play(tracker, [people((0, 1))] * 30, 40)
    play(tracker, [[]] * 15, 70)
    for index in range(10):
        shown = tracker.update(people((1, 0)), (85 + index) / FPS)
    return before, [p.track_id for p in sorted(shown, key=lambda p: float(p.bbox[0]))]


def test_clothes_decide_who_comes_back_and_without_them_place_does() -> None:
    before, after = swap_while_hidden(0.8, (0, 5))
    assert before == [1, 2] and after == [2, 1]
    before, after = swap_while_hidden(0.0, (0, 5))
    assert after == before


def test_clothes_have_no_say_where_pose_is_clear(person_of) -> None:
    tracker = Tracker(TrackerSettings(), COCO17)
    for index, colour in enumerate([0] * 15 + [5] * 15):
        shown = tracker.update([replace(person_of(POSE), appearance=clothes(colour))], index / FPS)
    assert [person.track_id for person in shown] == [1]


def test_unknown_clothes_change_no_fit() -> None:
    fits = np.array([[0.9, 0.8], [0.7, 0.6]])
    nothing = np.zeros((2, *APPEARANCE_SHAPE))
    known = np.stack([clothes(0), clothes(5)])
    for first, second in ((nothing, known), (known, nothing)):
        weighed = weigh_appearance(fits, first, second, np.zeros(2), minimum=0.2, weight=1.0)
        np.testing.assert_array_equal(weighed, fits)
    assert compare_appearance(known, known)[0].tolist() == [[1, 0], [0, 1]]


def test_a_find_that_does_not_come_twice_gets_no_id(person_of) -> None:
    weak_find, crop, missed = (replace(person_of(POSE, 0.5), found=found) for found in (0.3, None, 0.0))
    tracker = Tracker(TrackerSettings(), COCO17)
    ids = play(tracker, [[weak_find]] + [[crop]] * 9 + [[missed]] + [[crop]] * 9 + [[missed]] + [[crop]] * 9)
    assert not any(ids) and not tracker.predict(1.0)


@pytest.mark.parametrize(("finds", "frames"), [([0.3, 0.3], 2), ([0.8], 1)])
def test_two_finds_or_a_sure_one_confirm(person_of, finds: list[float], frames: int) -> None:
    tracker = Tracker(TrackerSettings(), COCO17)
    found = [[replace(person_of(POSE, 0.5), found=score)] for score in finds]
    assert len(found) == frames
    assert play(tracker, found + [[person_of(POSE, 0.5)]] * 5)[-1] == [1]


@pytest.mark.parametrize(("score", "stays"), [(0.42, False), (0.8, True)])
def test_what_the_finder_misses_again_and_again_stays_only_if_it_scores_well(
    person_of, score: float, stays: bool
) -> None:
    tracker = Tracker(TrackerSettings(), COCO17)
    found, crop, missed = (replace(person_of(POSE, score), found=value) for value in (0.6, None, 0.0))
    ids = play(tracker, [[found]] + [[crop]] * 9 + ([[missed]] + [[crop]] * 5) * 3)
    assert ids[9] == [1]
    assert (ids[-1] == [1]) == stays


def test_where_there_is_a_finder_a_crop_alone_starts_no_track(person_of) -> None:
    tracker = Tracker(TrackerSettings(), COCO17)
    here, stray = replace(person_of(POSE), found=0.6), person_of(POSE + 300)
    assert play(tracker, [[here]] + [[person_of(POSE), stray]] * 20)[-1] == [1]


def test_of_two_tracks_on_one_person_the_younger_goes(person_of) -> None:
    tracker = Tracker(TrackerSettings(), COCO17)
    dressed = replace(person_of(POSE), appearance=clothes(0))
    other = replace(person_of(POSE + [250, 0], 0.8), appearance=clothes(0))
    play(tracker, [[replace(dressed, found=0.6), replace(other, found=0.6)]] + [[dressed, other]] * 9)
    near = replace(person_of(POSE + [45, 0], 0.8), appearance=clothes(0))
    slide = [replace(person_of(POSE + [250 - 205 * s, 0], 0.8), appearance=clothes(0))
             for s in np.linspace(0, 1, 20)]  # fmt: skip
    ids = play(tracker, [[dressed, moving] for moving in slide], 10)
    assert ids[-1] == [1, 2]
    turns = [[replace(dressed, found=0.6), replace(near, found=0.0)], [dressed, near]] * 5
    assert play(tracker, turns, 30)[-1] == [1]


def test_among_others_somebody_out_of_sight_comes_back_only_by_a_good_fit() -> None:
    poses = np.array([[0.8, 0.0], [0.7, 0.4]])
    fits, gap_s = np.array([[0.8, 0.0], [0.3, 0.4]]), np.array([0.03, 0.3])
    kept = doubt_returns(fits, poses, gap_s, minimum=0.2)
    np.testing.assert_array_equal(kept, [[0.8, 0.0], [0.0, 0.4]])
    np.testing.assert_array_equal(doubt_returns(fits, poses, np.full(2, 0.03), minimum=0.2), fits)


def dressed(points: np.ndarray, colour: int | None, found: float | None = None) -> Person:
    """Somebody sharp, in clothes of one colour if any."""
    appearance = None if colour is None else clothes(colour)
    return Person(
        points.astype(np.float32), np.full(17, 0.9, np.float32), box(points), 0.9,
        appearance=appearance, found=found,
    )  # fmt: skip


def test_what_is_only_seen_over_somebody_gets_no_id_for_a_while() -> None:
    tracker, known = Tracker(TrackerSettings(), COCO17), dressed(POSE, 0, 0.9)
    play(tracker, [[known]] * 20)
    mixture = dressed(POSE + [60, 0], None, 0.9)
    ids = play(tracker, [[known, mixture]] * 30, start=20)
    assert ids[13] == [1] and ids[-1] == [1, 2]


def test_a_newcomer_beside_people_gets_an_id_at_once() -> None:
    tracker, known = Tracker(TrackerSettings(), COCO17), dressed(POSE, 0, 0.9)
    play(tracker, [[known]] * 20)
    assert play(tracker, [[known, dressed(POSE + [400, 0], 5, 0.9)]] * 8, start=20)[-1] == [1, 2]


def test_whoever_begins_in_the_place_and_clothes_of_a_track_just_lost_continues_it() -> None:
    tracker = Tracker(TrackerSettings(min_similarity=0.6), COCO17)
    play(tracker, [[dressed(POSE, 0, 0.9)]] * 20)
    # Twisted, it does not fit the track; hidden at first, it is nobody's second view; then the clothes tell.
    twisted = POSE[::-1] + [25, 0]
    ids = play(tracker, [[dressed(twisted, None, 0.9)]] + [[dressed(twisted, 0)]] * 11, start=20)
    assert {number for shown in ids for number in shown} == {1} and ids[-1] == [1]
