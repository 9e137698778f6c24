"""HOTA of sequences small enough to count by hand."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.errors import UsageError
from engine.metrics.hota import HotaMeter, combined_hota

Seen = dict[int, int]
"""True identity to the id of the track that lies exactly on that person; 0 is nobody, a negative identity is
a track without a person."""


def meter_of(frames: list[Seen], likeness: float = 1.0) -> HotaMeter:
    meter = HotaMeter()
    for seen in frames:
        truths = [true for true in seen if true > 0]
        tracks = [track for track in seen.values() if track]
        alike = [[likeness * (seen[true] == track) for track in tracks] for true in truths]
        meter.add(truths, tracks, np.array(alike, float).reshape(len(truths), len(tracks)))
    return meter


def measure(frames: list[Seen], likeness: float = 1.0) -> tuple[float, float, float]:
    figures = meter_of(frames, likeness).figures()
    return figures.hota, figures.deta, figures.assa


def test_perfect_tracks_have_one():
    assert measure([{1: 7, 2: 9}] * 10) == (1, 1, 1)


def test_ids_exchanged_half_way_leave_a_third_of_the_association():
    # Each pair is together in 5 frames, and one of the two is there in 10 + 10 - 5.
    frames = [{1: 7, 2: 9}] * 5 + [{1: 9, 2: 7}] * 5
    assert measure(frames) == pytest.approx((math.sqrt(1 / 3), 1, 1 / 3))


def test_a_person_found_in_half_the_frames_has_a_half():
    assert measure([{1: 7}] * 5 + [{1: 0}] * 5) == pytest.approx((0.5, 0.5, 0.5))


def test_a_track_of_nobody_costs_detection_only():
    frames = [{1: 7, -1: 8}] * 5 + [{1: 7}] * 5
    assert measure(frames) == pytest.approx((math.sqrt(2 / 3), 2 / 3, 1))


def test_likeness_counts_at_the_thresholds_it_reaches():
    # 0.05 to 0.70 are 14 of the 19 thresholds.
    assert measure([{1: 7}] * 4, likeness=0.72) == pytest.approx((14 / 19,) * 3)


def test_nobody_found_is_zero_and_nobody_there_is_unknown():
    assert measure([{1: 0}] * 3) == (0, 0, 0)
    assert measure([{-1: 5}] * 3) == (0, 0, 0)
    assert all(math.isnan(value) for value in measure([{}] * 3))


def test_sequences_are_combined_by_their_counts():
    whole, half = meter_of([{1: 7}] * 10), meter_of([{1: 7}] * 5 + [{1: 0}] * 5)
    figures = combined_hota([whole, half])
    assert figures.deta == pytest.approx(15 / 20)
    assert figures.assa == pytest.approx((10 * 1 + 5 * 0.5) / 15)
    assert figures.hota == pytest.approx(math.sqrt(figures.deta * figures.assa))


sequences = st.lists(st.dictionaries(st.sampled_from([1, 2, 3]), st.integers(0, 4)), min_size=1, max_size=8)


def without_doubles(frames: list[Seen]) -> list[Seen]:
    """One track lies on one person only."""
    return [
        {true: track for track, true in {track: true for true, track in f.items()}.items()} for f in frames
    ]


@settings(max_examples=40, deadline=None)
@given(sequences)
def test_figures_are_shares_that_names_do_not_change(frames: list[Seen]):
    frames = without_doubles(frames)
    named = [{10 * true: track and 100 - track for true, track in seen.items()} for seen in frames]
    figures = measure(frames)
    assert measure(named) == pytest.approx(figures, nan_ok=True)
    if not math.isnan(figures[0]):
        assert all(0 <= value <= 1 + 1e-12 for value in figures)
        assert figures[0] == pytest.approx(math.sqrt(figures[1] * figures[2]))


def test_without_the_library_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(__import__("sys").modules, "trackeval.metrics.hota", None)
    with pytest.raises(UsageError, match="pip install trackeval"):
        HotaMeter()
