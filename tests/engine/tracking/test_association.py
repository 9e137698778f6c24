"""Who fits whom, and the best pairing under a gate."""

import numpy as np
import pytest

from engine.metrics.walking import Walker
from engine.skeleton import COCO17
from engine.tracking.association import assign, likeness

POSE = Walker((300.0, 500.0), 0.0).keypoints(0.0)
SIZE = 200.0
ALL = np.ones((1, 17), bool)


def fit(pose: np.ndarray, *, gap_s: float = 1 / 30, known=ALL, valid=ALL, oks_weight: float = 0.7) -> float:
    def box(points: np.ndarray) -> np.ndarray:
        return np.concatenate([points.min(axis=0), points.max(axis=0)])[None]

    return float(
        likeness(
            POSE[None], known, np.array([SIZE]), np.array([gap_s]), box(POSE), pose[None], valid, box(pose),
            sigmas=COCO17.sigmas.astype(float), oks_weight=oks_weight,
        )[0, 0]
    )  # fmt: skip


def scaled(factor: float) -> np.ndarray:
    return (POSE - POSE.mean(axis=0)) * factor + POSE.mean(axis=0)


def test_the_same_pose_fits_fully_and_less_the_further_away_it_is() -> None:
    fits = [fit(POSE + [step, 0]) for step in (0, 10, 30, 80, 300)]
    assert fits[0] == pytest.approx(1)
    assert (np.diff(fits) < 0).all()
    assert fits[-1] < 0.01


def test_a_person_walking_between_two_frames_fits_well() -> None:
    assert fit(POSE + [25, 0]) > 0.5


def test_the_longer_unseen_the_further_away_somebody_may_return() -> None:
    away = POSE + [120, 0]
    assert fit(away) < 0.2 < fit(away, gap_s=1.0) < fit(POSE, gap_s=1.0)


def test_somebody_of_another_size_does_not_fit_a_lost_track() -> None:
    assert fit(scaled(0.9), gap_s=1.0) > 0.5
    assert fit(scaled(0.4), gap_s=1.0) == 0
    assert fit(scaled(2.5), gap_s=1.0) == 0


def test_size_is_judged_by_what_both_show() -> None:
    upper = (np.arange(17) < 11)[None]
    assert fit(POSE, gap_s=1.0, valid=upper) > 0.5
    assert fit(scaled(0.4), gap_s=1.0, valid=upper) == 0


def test_a_single_shared_keypoint_is_weak_evidence() -> None:
    one = (np.arange(17) == 9)[None]
    assert fit(POSE, valid=one, oks_weight=1.0) < 0.5
    assert fit(POSE, valid=one, known=~one, oks_weight=1.0) == 0


def test_pairs_maximise_the_sum_and_respect_the_gate() -> None:
    fits = np.array([[0.9, 0.8, 0.0], [0.85, 0.1, 0.0], [0.0, 0.0, 0.15]])
    assert assign(fits, 0.2, np.ones(3)) == [(0, 1), (1, 0)]
    assert assign(fits, 0.1, np.ones(3)) == [(0, 1), (1, 0), (2, 2)]


def test_a_pair_below_the_gate_never_displaces_one_above() -> None:
    fits = np.array([[0.5, 0.19], [0.45, 0.0]])
    assert assign(fits, 0.2, np.ones(2)) == [(0, 0)]


def test_the_surer_of_two_tracks_gets_the_person() -> None:
    fits = np.array([[0.9], [0.85]])
    assert assign(fits, 0.2, np.array([0.5, 1.0])) == [(1, 0)]


def test_nobody_and_no_track_give_no_pairs() -> None:
    assert assign(np.zeros((0, 3)), 0.2, np.zeros(0)) == []
    assert assign(np.zeros((2, 0)), 0.2, np.ones(2)) == []
    assert assign(np.zeros((1, 1)), 0.0, np.ones(1)) == []
