"""Identity figures of sequences small enough to count by hand."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.errors import UsageError
from engine.metrics.mot import MotFigures, MotMeter, combined_figures
from engine.metrics.walking import Walker
from engine.skeleton import COCO17
from engine.structures import TrackedPerson

PAIR = [Walker((200.0, 500.0), speed=0.0), Walker((700.0, 500.0), speed=0.0)]
POSES = np.stack([walker.keypoints(0.0) for walker in PAIR])
BOXES = np.concatenate([POSES.min(axis=1), POSES.max(axis=1)], axis=1)
VALID = np.ones((2, 17), bool)


def tracked(track_id: int, place: int, shift: float = 0.0) -> TrackedPerson:
    keypoints = (POSES[place] + shift).astype(np.float32)
    nothing = np.zeros((17, 2), np.float32)
    return TrackedPerson(
        track_id, keypoints, keypoints, nothing, np.ones(17, np.float32), np.full(17, 2, np.int8),
        (BOXES[place] + shift).astype(np.float32), 0.9, 1.0,
    )  # fmt: skip


def meter_of(frames: list[list[TrackedPerson]], **options: object) -> MotMeter:
    meter = MotMeter(COCO17, **options)
    for people in frames:
        meter.add([1, 2], POSES, VALID, BOXES, people)
    return meter


def measure(frames: list[list[TrackedPerson]], **options: object) -> MotFigures:
    return meter_of(frames, **options).figures()


@pytest.mark.parametrize("how", ["oks", "iou"])
def test_perfect_tracks_have_perfect_figures(how: str) -> None:
    figures = measure([[tracked(7, 0, 1.0), tracked(9, 1)]] * 10, measure=how)
    assert (figures.frames, figures.truths, figures.matches) == (10, 20, 20)
    assert (figures.switches, figures.misses, figures.false_positives) == (0, 0, 0)
    assert figures.mota == 1 and figures.idf1 == 1


def test_exchanged_ids_are_two_switches_and_cost_half_of_idf1() -> None:
    figures = measure([[tracked(7, 0), tracked(9, 1)]] * 5 + [[tracked(9, 0), tracked(7, 1)]] * 5)
    assert figures.switches == 2
    assert figures.mota == pytest.approx(1 - 2 / 20)
    assert figures.idf1 == pytest.approx(0.5)


def test_misses_and_strangers_are_counted() -> None:
    figures = measure([[tracked(7, 0)]] * 4 + [[tracked(7, 0), tracked(9, 1, 400.0)]])
    assert (figures.matches, figures.misses, figures.false_positives, figures.switches) == (5, 5, 1, 0)
    assert figures.mota == pytest.approx(1 - 6 / 10)


def test_a_person_lost_and_found_again_is_one_fragment():
    found, lost = [tracked(7, 0), tracked(9, 1)], [tracked(9, 1)]
    assert measure([found] * 3 + [lost] * 2 + [found] * 2).fragmentations == 1
    assert measure([found] * 3 + [lost] + [found] + [lost] + [found]).fragmentations == 2
    assert measure([found] * 3 + [lost] * 2).fragmentations == 0


def test_hota_is_measured_where_it_is_asked_for():
    frames = [[tracked(7, 0), tracked(9, 1)]] * 5 + [[tracked(9, 0), tracked(7, 1)]] * 5
    figures = measure(frames, hota=True)
    assert (figures.hota, figures.deta, figures.assa) == pytest.approx((math.sqrt(1 / 3), 1, 1 / 3))
    assert math.isnan(measure(frames).hota)


def test_who_is_like_whom_is_told():
    pairs = MotMeter(COCO17).add([1, 2], POSES, VALID, BOXES, [tracked(9, 1), tracked(5, 0, 600.0)])
    assert {true: person.track_id for true, person in pairs.items()} == {2: 9}


def test_a_pair_stays_together_while_it_fits_even_if_another_fits_better():
    meter = MotMeter(COCO17)
    meter.add([1, 2], POSES, VALID, BOXES, [tracked(9, 0)])
    pairs = meter.add([1, 2], POSES, VALID, BOXES, [tracked(5, 0), tracked(9, 0, 4.0)])
    assert pairs[1].track_id == 9
    assert (meter.figures().switches, meter.figures().false_positives) == (0, 1)


@settings(max_examples=15, deadline=None)
@given(st.lists(st.sets(st.sampled_from([0, 1])), min_size=1, max_size=6))
def test_right_ids_with_gaps_cost_misses_only(seen: list[set[int]]):
    figures = measure([[tracked(7 + place, place) for place in places] for places in seen], hota=True)
    truths, found = 2 * len(seen), sum(map(len, seen))
    assert (figures.misses, figures.false_positives, figures.switches) == (truths - found, 0, 0)
    assert (figures.mota, figures.deta) == pytest.approx((found / truths,) * 2)
    assert figures.idf1 == pytest.approx(2 * found / (truths + found))


@pytest.mark.parametrize(("people", "truths", "misses"), [([], 1, 1), ([tracked(9, 1)], 2, 1)])
def test_who_need_not_be_found_counts_only_if_found(people: list[TrackedPerson], truths: int, misses: int):
    meter = MotMeter(COCO17, hota=True)
    meter.add([1, 2], POSES, VALID, BOXES, people, optional=[False, True])
    figures = meter.figures()
    assert (figures.truths, figures.misses, figures.false_positives) == (truths, misses, 0)
    assert figures.deta == pytest.approx(len(people) / truths)


def test_strangers_in_ignored_places_are_no_false_positives():
    people = [tracked(7, 0), tracked(9, 1, 400.0), tracked(8, 1, -400.0)]
    meter = MotMeter(COCO17)
    meter.add([1, 2], POSES, VALID, BOXES, people, ignorable=[True, True, False])
    assert (meter.figures().matches, meter.figures().false_positives) == (1, 1)


def test_sequences_are_combined_by_their_counts_and_not_averaged():
    whole = meter_of([[tracked(7, 0), tracked(9, 1)]] * 10, hota=True)
    part = meter_of([[tracked(7, 0)]] * 4 + [[tracked(7, 0), tracked(9, 1, 400.0)]], hota=True)
    figures = combined_figures([whole, part])
    assert (figures.frames, figures.truths, figures.misses, figures.false_positives) == (15, 30, 5, 1)
    assert figures.mota == pytest.approx(1 - 6 / 30)
    assert figures.idf1 == pytest.approx(2 * 25 / (30 + 26))
    assert figures.deta == pytest.approx(25 / 31)
    assert figures.switches == 0
    assert math.isnan(combined_figures([meter_of([[]])]).hota)


def test_where_nobody_is_there_are_no_shares():
    meter = MotMeter(COCO17)
    meter.add([], np.zeros((0, 17, 2)), np.zeros((0, 17)), np.zeros((0, 4)), [tracked(7, 0)])
    assert math.isnan(meter.figures().mota) and math.isnan(meter.figures().idf1)


def test_a_pose_that_is_too_far_off_is_no_match() -> None:
    assert measure([[tracked(7, 0, 25.0), tracked(9, 1)]]).misses == 1
    assert measure([[tracked(7, 0, 25.0), tracked(9, 1)]], min_likeness=0.01).misses == 0


def test_frames_without_anybody_are_frames() -> None:
    meter = MotMeter(COCO17)
    meter.add([], np.zeros((0, 17, 2)), np.zeros((0, 17)), np.zeros((0, 4)), [])
    meter.add([1, 2], POSES, VALID, BOXES, [])
    assert (meter.figures().frames, meter.figures().misses) == (2, 2)


def test_without_the_library_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "motmetrics", None)
    with pytest.raises(UsageError, match="pip install"):
        MotMeter(COCO17)
