from pathlib import Path

import pytest

from engine.live_state import LiveState, Move
from engine.live_values import SourceRequest

REQUEST = SourceRequest(Path("clip.mp4"), "clip.mp4")


@pytest.fixture
def state() -> LiveState:
    """A source that plays."""
    made = LiveState()
    made.open(REQUEST, paused=False)
    made.arrive(REQUEST)
    made.begin()
    return made


def test_a_source_is_opening_until_it_arrives(state: LiveState) -> None:
    state.open(REQUEST, paused=False)
    assert (state.state, state.message, state.moves) == ("opening", "Opening clip.mp4", False)
    assert not state.change("ended") and state.state == "opening"
    assert state.arrive(REQUEST)
    assert state.begin() and state.moves


def test_what_arrives_when_another_is_wanted_changes_nothing(state: LiveState) -> None:
    other = SourceRequest(Path("other.mp4"), "other.mp4")
    state.open(other, paused=False)
    assert not state.arrive(REQUEST)
    assert state.opening and state.request is other


def test_what_arrives_after_the_source_was_closed_changes_nothing(state: LiveState) -> None:
    state.open(REQUEST, paused=False)
    state.close()
    assert not state.arrive(REQUEST)
    assert not state.change("playing") and state.state == "empty"


def test_without_a_source_only_a_failure_can_be_told() -> None:
    state = LiveState()
    assert not state.change("playing")
    assert state.change("failed", "no models") and state.message == "no models"
    assert not state.change("failed", "no models")


def test_a_pause_counts_more_than_what_the_player_does_meanwhile(state: LiveState) -> None:
    state.pause()
    assert not state.change("reconnecting", "lost") and state.state == "paused"
    assert not state.change("playing") and state.state == "paused"
    assert state.play() and state.moves
    assert state.change("reconnecting", "lost") and state.moves
    state.pause()
    assert (state.state, state.message) == ("paused", "")


def test_a_place_sought_as_the_file_ends_is_gone_to_and_played_on_from(state: LiveState) -> None:
    state.seek(1.0)
    assert not state.change("ended")
    assert state.take_move() == Move(1.0) and state.moves


def test_a_file_at_its_end_stands_still_and_begins_again_when_played(state: LiveState) -> None:
    assert state.change("ended") and not state.moves and not state.playing
    assert state.play() and state.take_move() == Move(0.0) and state.moves


def test_steps_add_up_and_a_place_sought_takes_them_back(state: LiveState) -> None:
    state.step(2)
    state.step(-5)
    assert state.state == "paused" and state.take_move() == Move(steps=-3)
    state.step(4)
    state.seek(2.0)
    assert state.take_move() == Move(2.0) and state.take_move() == Move()


def test_steps_after_a_place_sought_come_next(state: LiveState) -> None:
    state.seek(2.0)
    state.step(1)
    state.calm()
    assert state.take_move() == Move(2.0)
    assert state.stirred
    assert state.take_move() == Move(steps=1)


def test_a_place_before_the_beginning_is_the_beginning(state: LiveState) -> None:
    state.seek(-3.0)
    assert state.take_move() == Move(0.0)


def test_a_still_picture_is_worked_on_again_unless_another_is_wanted(state: LiveState) -> None:
    state.show_anew()
    assert state.take_move() == Move()
    state.pause()
    state.show_anew()
    assert state.take_move() == Move(), "nothing is shown yet"
    state.show(3.0)
    state.show_anew()
    assert state.take_move() == Move(3.0)
    state.step(1)
    state.show_anew()
    assert state.take_move() == Move(steps=1)


def test_a_source_paused_before_it_was_there_shows_its_first_frame() -> None:
    state = LiveState()
    state.open(REQUEST, paused=False)
    state.pause()
    state.arrive(REQUEST)
    assert state.begin() and state.state == "paused"
    assert state.take_move() == Move(steps=1)


def test_a_source_opened_to_wait_shows_nothing_before_it_is_played() -> None:
    state = LiveState()
    state.open(REQUEST, paused=True)
    state.arrive(REQUEST)
    assert state.begin() and state.state == "paused"
    assert state.take_move() == Move()
    assert state.play() and state.moves
