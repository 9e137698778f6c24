"""The slider must do what it says: steadier to the one side, faster to the other."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.geometry import pose_bbox
from engine.metrics.jitter import lag_s, rms_jitter
from engine.metrics.walking import Walker
from engine.settings import SmoothingSettings, TrackerSettings
from engine.skeleton import COCO17
from engine.smoothing_scale import DEFAULT_SHARE, share_of, smoothing_at
from engine.structures import Person
from engine.tracking.tracker import Tracker

METHODS = ("kalman", "one-euro")
TIME = np.arange(120) / 30


@pytest.mark.parametrize("method", [*METHODS, "none"])
def test_the_default_settings_lie_in_the_middle_exactly(method: str) -> None:
    default = SmoothingSettings(method=method)
    assert share_of(default) == DEFAULT_SHARE == 0.5
    assert smoothing_at(DEFAULT_SHARE, default) == default


@given(st.floats(0, 1), st.sampled_from([*METHODS, "none"]))
def test_a_share_comes_back(share: float, method: str) -> None:
    settings = smoothing_at(share, SmoothingSettings(method=method))
    assert share_of(settings) == pytest.approx(share, abs=1e-9)
    assert SmoothingSettings.model_validate(settings.model_dump()) == settings


def test_everything_but_noises_and_cutoffs_is_kept() -> None:
    base = SmoothingSettings(method="one-euro", gate=3.0, coast_s=0.9, min_keypoint_score=0.5)
    changed = smoothing_at(0.9, base)
    kept = ("method", "gate", "coast_s", "min_keypoint_score")
    assert all(getattr(changed, name) == getattr(base, name) for name in kept)


def test_a_change_of_method_keeps_the_share() -> None:
    kalman = smoothing_at(0.2, SmoothingSettings())
    assert share_of(kalman.model_copy(update={"method": "one-euro"})) == pytest.approx(0.2)


def test_what_lies_beyond_the_ends_is_clipped() -> None:
    assert smoothing_at(-3.0, SmoothingSettings()) == smoothing_at(0.0, SmoothingSettings())
    assert smoothing_at(7.0, SmoothingSettings()) == smoothing_at(1.0, SmoothingSettings())
    assert share_of(SmoothingSettings(measurement_noise=9.0, acceleration_noise=0.001)) == 0.0
    assert share_of(SmoothingSettings(measurement_noise=1e-6, acceleration_noise=99.0)) == 1.0
    off = SmoothingSettings(method="one-euro", one_euro_speed_gain=0.0, one_euro_cutoff_hz=0.01)
    assert share_of(off) == 0.0


def follow(settings: SmoothingSettings, speed: float) -> tuple[np.ndarray, np.ndarray]:
    """Smoothed and true keypoints of a walker whose keypoints tremble, after the first moments."""
    tracker = Tracker(TrackerSettings(smoothing=settings, confirm_s=0.0), COCO17)
    truth = Walker((200.0, 600.0), speed).keypoints(TIME)
    raw = (truth + np.random.default_rng(0).normal(0, 3.0, truth.shape)).astype(np.float32)
    shown = []
    for index, time_s in enumerate(TIME):
        bbox = pose_bbox(raw[index], np.ones(17, bool)).astype(np.float32)
        person = Person(raw[index], np.full(17, 0.85, np.float32), bbox, 0.85)
        shown.append(tracker.update([person], float(time_s))[0].keypoints)
    return np.array(shown)[20:], truth[20:]


@pytest.mark.parametrize("method", METHODS)
def test_towards_steady_jitter_falls_and_lag_grows(method: str) -> None:
    jitter, lag = [], []
    for share in (1.0, 0.75, 0.5, 0.25, 0.0):
        settings = smoothing_at(share, SmoothingSettings(method=method))
        jitter.append(rms_jitter(*follow(settings, 0.0)))
        smoothed, truth = follow(settings, 230.0)
        lag.append(1000 * lag_s(smoothed[:, 13:], truth[:, 13:], TIME[20:]))
    assert all(later < 0.85 * earlier for earlier, later in pairwise(jitter))
    assert all(later > earlier + 1 for earlier, later in pairwise(lag))
    assert lag[0] < 6 and 30 < lag[-1] < 100
