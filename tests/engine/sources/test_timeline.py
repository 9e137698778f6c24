from fractions import Fraction
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.sources.source import ReadLog
from engine.sources.timeline import LostPictures, Timeline

TICK = Fraction(1, 1000)


def run(timestamps: list[int | None], start: int | None = 0) -> tuple[list[float], list[str]]:
    log = ReadLog()
    timeline = Timeline(TICK, start, 0.04, log)
    times = []
    for pts in timestamps:
        times.append(timeline.advance(pts))
        log.position += 1
    return times, log.warnings


def test_times_are_the_timestamps_from_the_start_on():
    assert run([500, 540, 700, 701], start=500) == ([0.0, pytest.approx(0.04), 0.2, 0.201], [])


def test_without_a_start_the_first_timestamp_is_time_zero():
    assert run([500, 540], start=None)[0] == [0.0, 0.04]


def test_a_first_timestamp_before_the_start_becomes_time_zero():
    assert run([460, 500], start=500)[0] == [0.0, 0.04]


def test_a_missing_timestamp_is_an_interval_after_the_last():
    times, warnings = run([0, None, None, 120])
    assert times == pytest.approx([0, 0.04, 0.08, 0.12])
    assert len(warnings) == 1


def test_a_timestamp_that_goes_back_a_little_spoils_only_its_own_time():
    times, warnings = run([0, 40, 80, 40, 160, 200])
    assert times == pytest.approx([0, 0.04, 0.08, 0.084, 0.16, 0.2])
    assert warnings == ["the timestamp of frame 3 is 0.040 s before the last; it is put just after it"]


def test_timestamps_that_begin_anew_follow_on_with_their_own_steps():
    times, warnings = run([9000, 9040, 0, 40, 140], start=9000)
    assert times == pytest.approx([0, 0.04, 0.08, 0.12, 0.22])
    assert len(warnings) == 1
    assert "begin anew at frame 2" in warnings[0]


@given(st.lists(st.none() | st.integers(-(2**40), 2**40), min_size=1), st.none() | st.integers(-100, 100))
def test_times_grow_whatever_the_timestamps(timestamps: list[int | None], start: int | None):
    times, _ = run(timestamps, start)
    assert times[0] >= 0
    assert all(second > first for first, second in pairwise(times))


def count_lost(fed: list[int], shown: list[int], refused: tuple[int, ...] = (), interval: float = 40) -> int:
    lost = LostPictures(interval)
    for pts in fed:
        lost.feed(pts)
        if pts in refused:
            lost.refuse(pts)
    return sum(lost.show(pts) for pts in shown) + lost.finish()


def test_nothing_is_lost_when_all_comes_out_in_another_order():
    assert count_lost([0, 120, 40, 80], [0, 40, 80, 120]) == 0


def test_pictures_that_never_come_out_are_lost_wherever_they_were():
    assert count_lost([0, 40, 80, 120, 160], [40, 80, 160]) == 2
    assert count_lost([0, 40, 80], [0, 40]) == 1
    assert count_lost([0, 40, 80], []) == 3


def test_second_fields_and_hidden_pictures_are_not_lost():
    assert count_lost([0, 20, 40, 60, 80, 100], [0, 40, 80]) == 0
    assert count_lost([0, 40, 79, 80, 120], [0, 40, 80, 120]) == 0


def test_a_refused_picture_is_lost_however_close_it_was():
    assert count_lost([0, 5, 10, 15], [0, 5, 15], refused=(10,)) == 1


def test_a_picture_that_comes_out_although_a_part_was_refused_is_not_lost():
    assert count_lost([0, 40, 80], [0, 40, 80], refused=(40,)) == 0


@pytest.mark.parametrize("delay", [0, 2, 3])
def test_timestamps_that_begin_anew_lose_nothing(delay: int):
    lost, timestamps = LostPictures(40), [5000, 5040, 5080, 5120, 0, 40, 80, 120]
    count = 0
    for place, pts in enumerate(timestamps):
        lost.feed(pts)
        if place >= delay:
            count += lost.show(timestamps[place - delay])
    assert count + sum(lost.show(pts) for pts in timestamps[len(timestamps) - delay :]) + lost.finish() == 0


def test_a_long_pause_among_reordered_pictures_loses_nothing():
    assert count_lost([0, 40, 9000, 4000, 80], [0, 40, 80, 4000, 9000]) == 0


def test_refusals_without_a_timestamp_are_counted_at_the_next_picture():
    lost = LostPictures(40)
    lost.refuse(None)
    lost.refuse(None)
    assert lost.show(None) == 2
    assert lost.show(None) == 0
    lost.refuse(None)
    assert lost.finish() == 1
