"""Jitter, error and lag of sequences for which they are known."""

import numpy as np
import pytest
from scipy.signal import savgol_coeffs

from engine.metrics.jitter import TREND_FRAMES, TREND_ORDER, lag_s, rms_error, rms_jitter, trend_weights
from engine.metrics.walking import Walker

TIME = np.arange(240) / 30
WALKER = Walker((200.0, 500.0))
TRUTH = WALKER.keypoints(TIME)


def noise(scale: float, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, scale / np.sqrt(2), TRUTH.shape)


def test_the_truth_itself_has_no_error_no_jitter_and_no_lag() -> None:
    assert rms_error(TRUTH, TRUTH) == 0
    assert rms_jitter(TRUTH, TRUTH) == 0
    assert lag_s(TRUTH, TRUTH, TIME) == pytest.approx(0, abs=1e-6)


def test_white_noise_jitters_by_as_much_as_it_errs() -> None:
    shaken = TRUTH + noise(3.0)
    assert rms_error(shaken, TRUTH) == pytest.approx(3.0, rel=0.03)
    assert rms_jitter(shaken, TRUTH) == pytest.approx(3.0, rel=0.03)


def test_an_offset_and_a_steady_drift_are_errors_but_no_jitter() -> None:
    off = TRUTH + 5 + 0.2 * np.arange(240)[:, None, None]
    assert rms_error(off, TRUTH) > 5
    assert rms_jitter(off, TRUTH) == pytest.approx(0, abs=1e-9)


def test_without_truth_jitter_grows_with_the_noise_and_walking_hardly_counts() -> None:
    assert rms_jitter(TRUTH) < 0.5
    low, high = rms_jitter(TRUTH + noise(2.0)), rms_jitter(TRUTH + noise(4.0))
    assert 1.0 < low < 2.2
    assert high == pytest.approx(2 * low, rel=0.05)


@pytest.mark.parametrize("late_s", [-0.02, 0.0, 0.01, 1 / 30, 0.075])
def test_lag_is_found_to_a_fraction_of_a_frame(late_s: float) -> None:
    late = WALKER.keypoints(TIME - late_s)
    assert lag_s(late, TRUTH, TIME) == pytest.approx(late_s, abs=0.001)
    assert lag_s(late + noise(3.0), TRUTH, TIME) == pytest.approx(late_s, abs=0.003)


def test_lag_works_on_uneven_frames() -> None:
    time = np.sort(np.random.default_rng(3).choice(np.arange(400) / 60, 200, replace=False))
    assert lag_s(WALKER.keypoints(time - 0.05), WALKER.keypoints(time), time) == pytest.approx(
        0.05, abs=0.003
    )


def test_who_stands_still_has_no_lag_to_speak_of() -> None:
    still = Walker((200.0, 500.0), speed=0.0).keypoints(TIME)
    assert np.isnan(lag_s(still + noise(2.0), still, TIME))
    assert np.isnan(lag_s(TRUTH[:3], TRUTH[:3], TIME[:3]))


def test_missing_keypoints_are_left_out() -> None:
    shaken = TRUTH + noise(3.0)
    shaken[50:60, 3] = np.nan
    shaken[:, 7] = np.nan
    assert rms_error(shaken, TRUTH) == pytest.approx(3.0, rel=0.03)
    assert rms_jitter(shaken, TRUTH) == pytest.approx(3.0, rel=0.03)
    assert lag_s(shaken, TRUTH, TIME) == pytest.approx(0, abs=0.003)


def test_nothing_gives_no_number() -> None:
    nothing = np.full((20, 17, 2), np.nan)
    assert np.isnan(rms_error(nothing, TRUTH[:20]))
    assert np.isnan(rms_jitter(nothing, TRUTH[:20]))
    assert np.isnan(rms_jitter(TRUTH[:2], TRUTH[:2]))
    assert np.isnan(rms_jitter(TRUTH[:5]))
    assert np.isnan(lag_s(nothing, TRUTH[:20], TIME[:20]))


def test_the_trend_is_that_of_savitzky_and_golay() -> None:
    assert trend_weights() == pytest.approx(savgol_coeffs(TREND_FRAMES, TREND_ORDER), abs=1e-12)
