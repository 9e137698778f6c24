import math

import numpy as np
import pytest

from engine.live_playback import History, PlayClock
from engine.live_values import LiveResult
from engine.structures import Frame, Result


def live(index: int) -> LiveResult:
    return LiveResult(Result(Frame(np.zeros((10, 10, 3), np.uint8), index, index / 10), ()), 0.0, 0.0)


def index_of(result: LiveResult | None) -> int | None:
    return None if result is None else result.result.frame.index


def test_frames_are_due_at_the_pace_of_the_file() -> None:
    clock = PlayClock()
    assert clock.due_s(2.0, now_s=100.0) == 100.0
    assert clock.due_s(2.5, now_s=100.1) == pytest.approx(100.5)


def test_twice_the_speed_halves_the_waiting() -> None:
    clock = PlayClock()
    clock.set_speed(2.0)
    clock.due_s(0.0, now_s=100.0)
    assert clock.due_s(1.0, now_s=100.0) == pytest.approx(100.5)


def test_infinite_speed_never_waits() -> None:
    clock = PlayClock()
    clock.set_speed(math.inf)
    clock.due_s(0.0, now_s=100.0)
    assert clock.due_s(1000.0, now_s=100.0) == 100.0


def test_a_late_frame_moves_the_clock_instead_of_rushing_the_ones_after() -> None:
    clock = PlayClock()
    clock.due_s(0.0, now_s=100.0)
    assert clock.due_s(0.1, now_s=103.0) == 103.0
    assert clock.due_s(0.2, now_s=103.0) == pytest.approx(103.1)


def test_a_frame_a_little_late_is_caught_up_with() -> None:
    clock = PlayClock()
    clock.due_s(0.0, now_s=100.0)
    assert clock.due_s(0.1, now_s=100.15) == pytest.approx(100.1)


def test_after_a_pause_the_clock_begins_anew() -> None:
    clock = PlayClock()
    clock.due_s(0.0, now_s=100.0)
    clock.stop()
    assert clock.due_s(0.1, now_s=500.0) == 500.0


@pytest.mark.parametrize("speed", [0.0, -1.0, math.nan])
def test_impossible_speeds_are_refused(speed: float) -> None:
    with pytest.raises(ValueError, match="speed must be above 0"):
        PlayClock().set_speed(speed)


def test_one_steps_back_and_forth_in_what_was_shown() -> None:
    history = History()
    for index in range(4):
        history.add(live(index))
    assert index_of(history.step(-1)) == 2
    assert index_of(history.step(-2)) == 0
    assert history.step(-1) is None
    assert not history.at_end
    assert index_of(history.step(1)) == 1
    assert index_of(history.step(2)) == 3
    assert history.at_end
    assert history.step(1) is None


def test_a_new_result_is_where_one_is() -> None:
    history = History()
    history.add(live(0))
    history.add(live(1))
    history.step(-1)
    history.add(live(2))
    assert history.at_end
    assert index_of(history.step(-1)) == 1


def test_pictures_are_kept_up_to_a_limit() -> None:
    history = History(max_bytes=3 * 300)
    for index in range(10):
        history.add(live(index))
    assert index_of(history.step(-2)) == 7
    assert history.step(-1) is None
