import pytest

from app.desktop.plots_pace import Pace


def test_what_is_quick_is_drawn_as_often_as_wanted():
    pace = Pace(0.1, 0.2, 0.5)
    assert pace.wait_s(7.0) == 0
    pace.begin(7.0)
    pace.spend(0.01)
    assert pace.wait_s(7.04) == pytest.approx(0.06)
    assert pace.wait_s(7.2) == 0


def test_what_takes_long_gets_no_more_than_its_share():
    pace = Pace(0.1, 0.2, 0.5)
    pace.begin(0.0)
    pace.spend(0.02)
    pace.spend(0.02)
    assert pace.wait_s(0.0) == pytest.approx(0.2)
    pace.begin(0.2)
    assert pace.wait_s(0.2) == pytest.approx(0.1), "what the one before took is forgotten"


def test_several_take_turns_and_share_the_time():
    pace = Pace(0.1, 0.2, 0.5)
    pace.begin(0.0)
    assert pace.wait_s(0.0, parts=4) == pytest.approx(0.025)
    pace.spend(0.02)
    assert pace.wait_s(0.0, parts=4) == pytest.approx(0.1)


def test_there_is_a_longest_wait_but_none_shorter_than_the_drawing_itself():
    pace = Pace(0.1, 0.2, 0.5)
    pace.begin(0.0)
    pace.spend(0.3)
    assert pace.wait_s(0.0) == pytest.approx(0.5)
    pace.spend(0.7)
    assert pace.wait_s(0.0) == pytest.approx(1.0)
