from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from engine.sinks.drawing import PALETTE, draw_people, track_colour
from engine.skeleton import COCO17, Skeleton
from engine.structures import Image, TrackedPerson

Person = Callable[..., TrackedPerson]


@pytest.fixture
def ground() -> Image:
    return np.full((96, 128, 3), 60, np.uint8)


def changed(drawn: Image, ground: Image) -> np.ndarray:
    return (drawn != ground).any(axis=2)


def test_the_frame_itself_is_not_drawn_on(ground: Image, stick: Skeleton, make_person: Person):
    drawn = draw_people(ground, [make_person()], stick)
    assert (ground == 60).all()
    assert drawn.shape == ground.shape
    assert changed(drawn, ground).any()


def test_nobody_leaves_the_frame_as_it_was(ground: Image, stick: Skeleton):
    assert np.array_equal(draw_people(ground, [], stick), ground)


def test_limbs_are_drawn_between_their_keypoints_and_nowhere_far(
    ground: Image, stick: Skeleton, make_person: Person
):
    touched = changed(draw_people(ground, [make_person()], stick), ground)
    assert touched[32, 40]
    assert touched[64, 40]
    assert not touched[:, 60:].any()
    assert not touched[:, :20].any()


def test_a_keypoint_is_drawn_about_its_place_to_a_fraction_of_a_pixel(stick: Skeleton, make_person: Person):
    ground = np.zeros((96, 128, 3), np.uint8)
    for x in (40.0, 40.25, 40.5, 40.75):
        person = make_person(x=x, states=(2, 0, 0))
        person = replace(person, bbox=np.array([np.nan] * 4, np.float32))
        light = draw_people(ground, [person], stick)[..., 1].astype(float)
        columns = np.arange(128)
        assert (light.sum(axis=0) * columns).sum() / light.sum() == pytest.approx(x, abs=0.1)


def test_a_track_keeps_its_colour_and_the_next_have_others():
    assert track_colour(3) == track_colour(3) == track_colour(3 + len(PALETTE))
    assert len({track_colour(track_id) for track_id in range(len(PALETTE))}) == len(PALETTE)


def test_a_weak_keypoint_is_fainter_than_a_strong_one(ground: Image, stick: Skeleton, make_person: Person):
    def contrast(score: float) -> int:
        person = replace(make_person(states=(2, 0, 0)), scores=np.full(3, score, np.float32))
        person = replace(person, bbox=np.full(4, np.nan, np.float32))
        return int(np.abs(draw_people(ground, [person], stick)[16, 40].astype(int) - 60).max())

    assert contrast(0.9) > contrast(0.3) > contrast(0.05) > 0


def test_a_predicted_keypoint_is_hollow(ground: Image, stick: Skeleton, make_person: Person):
    big = np.array([0, 0, 400, 400], np.float32)
    ground = np.full((400, 400, 3), 60, np.uint8)
    middle = {}
    for state in (1, 2):
        person = replace(make_person(x=200, states=(0, 0, state)), bbox=big)
        middle[state] = draw_people(ground, [person], stick)[80, 200].astype(int).sum()
    assert middle[1] < 3 * 60 < middle[2]


def test_missing_keypoints_and_their_limbs_are_left_out(ground: Image, stick: Skeleton, make_person: Person):
    touched = changed(draw_people(ground, [make_person(states=(2, 0, 2))], stick), ground)
    assert touched[16, 40]
    assert not touched[30:70].any()


def test_a_person_without_a_keypoint_outside_or_without_a_box_does_no_harm(
    ground: Image, stick: Skeleton, make_person: Person
):
    nothing = make_person(states=(0, 0, 0))
    outside = make_person(x=-5000.0)
    far = make_person(x=3e9)
    boxless = replace(make_person(), bbox=np.full(4, np.nan, np.float32))
    half_outside = make_person(x=-3.0)
    for person in (nothing, outside, far, boxless, half_outside):
        assert draw_people(ground, [person], stick).shape == ground.shape
    for person in (outside, far):
        assert np.array_equal(draw_people(ground, [person], stick), ground)


def test_a_bigger_person_is_drawn_with_thicker_lines(stick: Skeleton, make_person: Person):
    ground = np.full((800, 800, 3), 60, np.uint8)

    def count(scale: float) -> int:
        person = make_person()
        person = replace(person, keypoints=person.keypoints * scale, bbox=person.bbox * scale)
        row = round(64 * scale)
        return int(changed(draw_people(ground, [person], stick), ground)[row].sum())

    assert count(8) > count(4) > count(1)


def test_the_number_stays_inside_the_frame(ground: Image, stick: Skeleton, make_person: Person):
    person = replace(make_person(12345), bbox=np.array([100, -20, 127, 20], np.float32))
    touched = changed(draw_people(ground, [person], stick), ground)
    assert touched[:20, 60:].any()


def test_people_of_another_skeleton_are_refused(ground: Image, make_person: Person):
    with pytest.raises(ValueError, match=r"shape \(17, 2\) for skeleton 'coco17'"):
        draw_people(ground, [make_person()], COCO17)
