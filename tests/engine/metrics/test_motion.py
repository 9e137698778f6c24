"""Error, jitter and lag of paths whose figures are known."""

import math

import numpy as np
import pytest

from engine.metrics.motion import LAG_FRAMES, MAX_LAG_PIECES, MotionFigures, MotionMeter, motion_figures
from engine.structures import TrackedPerson

FPS = 30.0


def tracked(keypoints: np.ndarray, raw: np.ndarray) -> TrackedPerson:
    count = len(keypoints)
    return TrackedPerson(
        1, keypoints, raw, np.zeros((count, 2), np.float32), np.ones(count, np.float32),
        np.full(count, 2, np.int8), np.zeros(4, np.float32), 1.0, 0.0,
    )  # fmt: skip


def wave(time_s: float) -> np.ndarray:
    """(2, 2) keypoints that swing once a second."""
    swing = 40 * math.sin(2 * math.pi * time_s)
    return np.array([[100 + swing, 50], [200, 80 + swing]], float)


def meter_of(
    count: int = 90,
    *,
    shift: float = 0.0,
    shake: float = 0.0,
    late_frames: int = 0,
    skip: tuple[int, ...] = (),
) -> MotionMeter:
    meter = MotionMeter()
    for frame in range(count):
        if frame in skip:
            continue
        seen = wave((frame - late_frames) / FPS) + [shift + shake * (-1) ** frame, 0]
        meter.add(frame, frame / FPS, 5, wave(frame / FPS), tracked(seen, seen + [3, 4]))
    return meter


def measure(**changes: object) -> MotionFigures:
    return motion_figures([meter_of(**changes).paths()])


def test_a_constant_offset_is_an_error_without_jitter_or_lag():
    figures = measure(shift=2.0)
    assert figures.error_px == pytest.approx(2)
    assert figures.jitter_px == pytest.approx(0, abs=1e-9)
    assert figures.lag_ms == pytest.approx(0, abs=2)


def test_raw_keypoints_are_measured_beside_the_smoothed_ones():
    figures = measure()
    assert figures.error_px == pytest.approx(0)
    assert figures.raw_error_px == pytest.approx(5)


def test_shaking_is_jitter():
    # The second difference of +1, -1, +1 is 4.
    assert measure(shake=1.0).jitter_px == pytest.approx(4 / math.sqrt(6))


def test_keypoints_two_frames_late_have_that_lag():
    assert measure(late_frames=2).lag_ms == pytest.approx(2000 / FPS, abs=1)


def test_frames_without_a_match_are_no_jumps():
    figures = measure(shift=1.0, skip=tuple(range(30, 50)))
    assert figures.jitter_px == pytest.approx(0, abs=1e-9)
    assert figures.error_px == pytest.approx(1)


def test_keypoints_that_are_not_visible_say_nothing():
    meter = MotionMeter()
    for frame in range(5):
        true = wave(0)
        true[1] = np.nan
        seen = wave(0) + [[1, 0], [900, 0]]
        meter.add(frame, frame / FPS, 5, true, tracked(seen, seen))
    assert motion_figures([meter.paths()]).error_px == pytest.approx(1)


def test_sequences_are_pooled_frame_by_frame():
    short, long = meter_of(10, shift=3.0).paths(), meter_of(30, shift=4.0).paths()
    assert motion_figures([short, long]).error_px == pytest.approx(math.sqrt((10 * 9 + 30 * 16) / 40))


def test_nobody_matched_has_no_figures():
    figures = motion_figures([MotionMeter().paths()])
    assert all(math.isnan(getattr(figures, name)) for name in MotionFigures.__slots__)


def test_the_lag_of_hours_is_measured_on_some_pieces_only():
    paths = meter_of(LAG_FRAMES * (MAX_LAG_PIECES + 5), late_frames=1).paths()
    assert len(paths.lags_s) == MAX_LAG_PIECES
    assert np.median(paths.lags_s) == pytest.approx(1 / FPS, abs=1e-3)
