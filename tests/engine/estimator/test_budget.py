import pytest

from engine.estimator.budget import FinderChoice, choose_finder

FAST = {384: 9.0, 288: 6.0, 192: 3.0}


def test_a_fast_machine_finds_often_at_full_size() -> None:
    choice = choose_finder(FAST, person_ms=2.5, people=2, frame_rate=30.0)
    assert choice.finder_short_side == 384 and choice.find_interval_s == 0.2 and choice.holds


def test_the_interval_grows_until_the_finder_is_paid_for() -> None:
    # 70 % of 33.3 ms less 2 × 5 ms leave 13.3 ms a frame; 160 ms take 12 frames, that is 0.4 s.
    choice = choose_finder({384: 160.0}, person_ms=5.0, people=2, frame_rate=30.0)
    assert choice.find_interval_s == pytest.approx(0.4) and choice.holds


def test_a_smaller_finder_twice_a_second_beats_a_large_one_every_second() -> None:
    choice = choose_finder({384: 320.0, 288: 180.0, 192: 80.0}, person_ms=5.0, people=2, frame_rate=30.0)
    assert choice.finder_short_side == 288 and choice.find_interval_s == pytest.approx(0.45)


def test_a_slow_machine_says_that_it_cannot_hold_the_rate() -> None:
    choice = choose_finder(FAST, person_ms=20.0, people=2, frame_rate=30.0)
    assert not choice.holds
    assert choice.finder_short_side == 192 and choice.find_interval_s == 1.0


def test_a_given_interval_is_kept_and_only_the_size_chosen() -> None:
    choice = choose_finder(FAST, person_ms=8.0, people=2, frame_rate=30.0, interval_s=0.0)
    assert choice.find_interval_s == 0.0 and choice.finder_short_side == 288 and choice.holds


def test_a_choice_goes_into_json_rounded() -> None:
    choice = FinderChoice(0.2, 384, 9.12345, 2.0, 2, 30.0, True)
    assert choice.as_dict()["finder_ms"] == 9.123 and choice.as_dict()["holds"] is True


def test_a_size_good_enough_is_chosen_whatever_smaller_ones_would_cost():
    alone = choose_finder({384: 60.0}, person_ms=5.0, people=2, frame_rate=30.0)
    assert alone.good()
    beside_smaller = choose_finder({384: 60.0, 192: 10.0}, person_ms=5.0, people=2, frame_rate=30.0)
    assert beside_smaller.finder_short_side == alone.finder_short_side == 384


def test_a_size_that_can_run_only_seldom_calls_for_a_smaller_one():
    assert not choose_finder({384: 320.0}, person_ms=5.0, people=2, frame_rate=30.0).good()
    assert not choose_finder({384: 9000.0}, person_ms=5.0, people=2, frame_rate=30.0).good()
    assert choose_finder({384: 60.0}, person_ms=5.0, people=2, frame_rate=30.0, interval_s=1.0).good(1.0)
