import logging
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import UsageError
from engine.sinks.results_file import ResultsFile
from engine.sinks.track_series import find_pace, read_series
from engine.skeleton import Skeleton
from engine.structures import Result, TrackedPerson

Record, MakeResult, Person = Callable[..., ResultsFile], Callable[..., Result], Callable[..., TrackedPerson]


def test_a_constant_rate_is_kept_frame_by_frame(
    tmp_path: Path, stick: Skeleton, record: Record, make_result: MakeResult, make_person: Person
):
    frames = [2, 3, 5, 9]
    results = record(
        tmp_path / "clip.csv", stick, [make_result(frame, make_person(4, x=10 + frame)) for frame in frames]
    )
    (series,) = read_series(results, "trc")
    assert (series.track_id, series.pace.rate_hz, series.pace.even) == (4, 25.0, True)
    assert series.steps.tolist() == list(range(2, 10))
    assert series.times_s == pytest.approx(series.steps / 25)
    there = ~np.isnan(series.keypoints[:, 0, 0])
    assert series.steps[there].tolist() == frames
    assert series.keypoints[there, 0, 0].tolist() == [12, 13, 15, 19]


def test_everybody_has_a_series_from_first_frame_to_last(
    tmp_path: Path, stick: Skeleton, record: Record, make_result: MakeResult, make_person: Person
):
    results = [make_result(0, make_person(7)), make_result(1, make_person(7), make_person(2))]
    results += [make_result(2), make_result(3, make_person(2))]
    recorded = record(tmp_path / "clip.csv", stick, results, keep_empty=True)
    found = {series.track_id: series.steps.tolist() for series in read_series(recorded, "trc")}
    assert found == {2: [1, 2, 3], 7: [0, 1]}
    assert list(found) == [2, 7]


def test_times_rounded_to_milliseconds_are_a_constant_rate():
    frames = np.arange(100_000)
    pace = find_pace(frames, np.round(frames / (30000 / 1001) + 0.4, 3), 30000 / 1001)
    assert pace is not None and pace.even
    assert pace.rate_hz == 30000 / 1001
    assert pace.start_s == pytest.approx(0.4, abs=5e-4)


def test_a_rate_that_the_source_states_wrongly_is_measured():
    frames = np.array([0, 1, 2, 5, 6, 100])
    pace = find_pace(frames, frames / 50, 25.0)
    assert pace is not None and pace.even
    assert pace.rate_hz == pytest.approx(50)


def test_a_single_frame_has_the_rate_that_its_source_states():
    pace = find_pace(np.array([10, 10]), np.array([0.5, 0.5]), 25.0)
    assert pace is not None
    assert (pace.rate_hz, pace.start_s) == (25.0, pytest.approx(0.1))


def test_times_that_do_not_ascend_have_no_pace():
    assert find_pace(np.array([0, 1, 2]), np.array([0, 0.04, 0.04]), 25.0) is None


@given(st.lists(st.floats(0.01, 0.09), min_size=2, max_size=60))
def test_the_rate_of_any_frames_is_among_theirs(steps_s: list[float]):
    times_s = np.cumsum(steps_s)
    frames = np.arange(len(times_s))
    pace = find_pace(frames, times_s, None)
    assert pace is not None
    steps_s = np.diff(times_s).tolist()
    assert min(steps_s) - 0.002 <= 1 / pace.rate_hz <= max(steps_s) + 0.002


def test_a_pause_does_not_lower_the_rate():
    times_s = np.arange(60) / 30 + np.tile([0, 0.004], 30)
    pace = find_pace(np.arange(120), np.concatenate([times_s, times_s + 600]), None)
    assert pace is not None and not pace.even
    assert pace.rate_hz == pytest.approx(30, rel=0.01)


def test_a_varying_rate_becomes_its_mean_and_that_is_said(
    tmp_path: Path,
    stick: Skeleton,
    record: Record,
    make_result: MakeResult,
    make_person: Person,
    caplog: pytest.LogCaptureFixture,
):
    times_s = np.cumsum([0.0, 0.02, 0.05, 0.03, 0.06, 0.04, 0.04])
    results = record(
        tmp_path / "clip.csv",
        stick,
        [
            make_result(frame, make_person(1, x=10 + 100 * time_s), time_s=time_s)
            for frame, time_s in enumerate(times_s)
        ],
    )
    with caplog.at_level(logging.WARNING):
        (series,) = read_series(results, "trc")
    assert (
        "trc needs a fixed one" in caplog.text
        and "interpolated" in caplog.text
        and "25.000 Hz" in caplog.text
    )
    assert not series.pace.even
    assert series.times_s == pytest.approx(np.arange(7) * 0.04)
    # Who moves in a straight line at one speed still does.
    assert series.keypoints[:, 0, 0] == pytest.approx(10 + 100 * series.times_s, abs=2e-3)


def test_a_clip_that_lacks_frames_keeps_the_others_where_they_were(
    tmp_path: Path, stick: Skeleton, record: Record, make_result: MakeResult, make_person: Person
):
    """A container counts on over frames that were lost, and only the times tell."""
    times_s = [n / 30 for n in range(200) if n not in (50, 51, 120)]
    results = record(
        tmp_path / "clip.csv",
        stick,
        [make_result(frame, make_person(1, x=40 + frame % 7), time_s=t) for frame, t in enumerate(times_s)],
        fps=30.0,
    )
    (series,) = read_series(results, "trc")
    assert (series.pace.rate_hz, series.pace.even, len(series)) == (30.0, False, 200)
    there = np.rint(np.array(times_s) * 30).astype(int)
    assert series.keypoints[there, 0, 0].tolist() == [40 + frame % 7 for frame in range(len(times_s))]


def test_a_gap_is_not_filled_by_interpolation(
    tmp_path: Path, stick: Skeleton, record: Record, make_result: MakeResult, make_person: Person
):
    times_s = [0.0, 0.05, 0.09, 0.16, 0.2, 1.2, 1.25, 1.31, 1.34]
    frames = [0, 1, 2, 3, 4, 24, 25, 26, 27]
    results = record(
        tmp_path / "clip.csv",
        stick,
        [make_result(frame, make_person(1), time_s=time_s) for frame, time_s in zip(frames, times_s)],
    )
    (series,) = read_series(results, "trc")
    assert not series.pace.even
    known = ~np.isnan(series.keypoints[:, 1, 0])
    assert not known[(series.times_s > 0.21) & (series.times_s < 1.19)].any()
    assert known[(series.times_s < 0.2) | (series.times_s > 1.21)].all()


def test_a_missing_keypoint_stays_missing_between_uneven_frames(
    tmp_path: Path, stick: Skeleton, record: Record, make_result: MakeResult, make_person: Person
):
    times_s = [0.0, 0.05, 0.09, 0.16, 0.2]
    people = [make_person(1, states=(2, 0 if frame == 2 else 2, 2)) for frame in range(5)]
    results = record(
        tmp_path / "clip.csv",
        stick,
        [
            make_result(frame, person, time_s=time_s)
            for frame, (person, time_s) in enumerate(zip(people, times_s))
        ],
    )
    (series,) = read_series(results, "trc")
    lost = np.isnan(series.keypoints[:, 1, 0])
    assert lost.tolist() == [False, False, True, True, False]
    assert not np.isnan(series.keypoints[:, 0]).any()


def test_somebody_seen_once_between_two_steps_is_there(
    tmp_path: Path, stick: Skeleton, record: Record, make_result: MakeResult, make_person: Person
):
    results = [make_result(frame, make_person(1), time_s=t) for frame, t in enumerate([0, 0.05, 0.09, 0.16])]
    results.append(make_result(4, make_person(1), make_person(2, x=70), time_s=0.19))
    results.append(make_result(5, make_person(1), time_s=0.25))
    _, brief = read_series(record(tmp_path / "clip.csv", stick, results), "trc")
    assert len(brief) == 1
    assert brief.keypoints[0, 0].tolist() == [70, 16]


def test_independent_pictures_have_no_rate(
    tmp_path: Path, stick: Skeleton, record: Record, make_result: MakeResult, make_person: Person
):
    results = record(tmp_path / "clip.csv", stick, [make_result(0, make_person())], stills=True)
    with pytest.raises(UsageError, match="trc needs a frame rate, which independent pictures do not"):
        list(read_series(results, "trc"))


def test_a_recording_of_nobody_has_no_series(tmp_path: Path, stick: Skeleton, record: Record):
    assert list(read_series(record(tmp_path / "clip.csv", stick, []), "trc")) == []
