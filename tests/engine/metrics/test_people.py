"""People summed up whose motion is known."""

from typing import Any

import numpy as np
import pytest

from engine.metrics.kinematics import gap_limit_s
from engine.metrics.people import PersonSummary, measure_person, summarise_person
from engine.metrics.walking import Walker
from engine.skeleton import COCO17
from engine.structures import KeypointState

STEP_S = 1 / 30
WALKER = Walker((200.0, 600.0), speed=150.0)


def summarise(frames: Any, states: Any = None, *, keypoints: Any = None) -> PersonSummary:
    """A walker at 30 frames a second, seen wherever nothing else is said."""
    times_s = np.asarray(frames) * STEP_S
    points = WALKER.keypoints(times_s) if keypoints is None else keypoints
    if states is None:
        states = np.full((len(times_s), 17), KeypointState.MEASURED)
    motion = measure_person(4, frames, times_s, points, states, COCO17, gap_s=gap_limit_s(STEP_S))
    return summarise_person(motion, step_s=STEP_S)


def test_a_walker_is_summed_up() -> None:
    person = summarise(np.arange(30, 150))
    assert (person.track_id, person.frames, person.first_frame, person.last_frame) == (4, 120, 30, 149)
    assert person.visible_s == pytest.approx(4.0)
    assert person.first_s == pytest.approx(1.0) and person.last_s == pytest.approx(149 * STEP_S)
    assert person.distance_px == pytest.approx(150 * 119 * STEP_S, rel=0.05)
    assert person.mean_speed == pytest.approx(150, rel=0.05)
    assert 150 <= person.peak_speed < 160
    least, greatest, difference = person.ranges["left_knee_flexion"]
    assert least == pytest.approx(np.degrees(0.08), abs=0.3)
    assert greatest == pytest.approx(np.degrees(0.98), abs=0.3)
    assert difference == pytest.approx(greatest - least)
    assert (person.measured, person.filled, person.predicted, person.missing) == (1, 0, 0, 0)


def test_time_away_counts_neither_as_visible_nor_as_path() -> None:
    person = summarise(np.r_[0:60, 120:180])
    assert person.visible_s == pytest.approx(4.0) and person.frames == 120
    assert person.distance_px == pytest.approx(150 * 2 * 59 * STEP_S, rel=0.05)
    assert person.mean_speed == pytest.approx(150, rel=0.05)


def test_predictions_count_for_their_share_and_for_nothing_else() -> None:
    states = np.full((90, 17), KeypointState.MEASURED)
    states[30:60] = KeypointState.PREDICTED
    keypoints = WALKER.keypoints(np.arange(90) * STEP_S)
    keypoints[30:60] += np.random.default_rng(0).uniform(-400, 400, (30, 17, 2))
    person = summarise(np.arange(90), states, keypoints=keypoints)
    assert person.predicted == pytest.approx(1 / 3) and person.measured == pytest.approx(2 / 3)
    assert person.frames == 60 and person.visible_s == pytest.approx(2.0)
    assert person.peak_speed < 160 and person.ranges["left_knee"][0] > 120


def test_shares_tell_every_state_and_sum_to_one() -> None:
    states = np.full((10, 17), KeypointState.MEASURED)
    for row, state in enumerate(KeypointState):
        states[row] = state
    person = summarise(np.arange(10), states)
    shares = (person.measured, person.filled, person.predicted, person.missing)
    assert shares == pytest.approx((0.6, 0.1, 0.2, 0.1))


def test_a_track_of_one_frame_has_a_place_and_angles_but_no_speed() -> None:
    person = summarise([7])
    assert person.frames == 1 and person.visible_s == pytest.approx(STEP_S)
    assert person.first_frame == person.last_frame == 7
    assert person.distance_px == 0 and np.isnan([person.mean_speed, person.peak_speed]).all()
    assert (
        np.isfinite(person.ranges["left_knee"]).all() and np.isnan(person.ranges["left_knee_flexion"]).all()
    )


def test_somebody_who_was_only_predicted_was_never_seen() -> None:
    person = summarise(np.arange(5), np.full((5, 17), KeypointState.PREDICTED))
    assert person.frames == 0 and person.visible_s == 0
    assert np.isnan([person.first_s, person.distance_px, person.mean_speed, person.height_px]).all()


def test_a_direction_that_is_given_stands_in_for_walking() -> None:
    times_s = np.arange(30) * STEP_S
    keypoints = Walker((0.0, 0.0), speed=0.0).keypoints(times_s)
    states = np.full((30, 17), KeypointState.MEASURED)
    found, given = (
        measure_person(1, np.arange(30), times_s, keypoints, states, COCO17, gap_s=0.25, facing=facing)
        for facing in (None, -1)
    )
    assert np.isnan(found.facing).all() and np.isnan(found.angles["left_elbow_flexion"]).all()
    # The forearm hangs 0.3 rad ahead of somebody who faces right, and so behind somebody who faces left.
    np.testing.assert_allclose(given.angles["left_elbow_flexion"], -np.degrees(0.3))
