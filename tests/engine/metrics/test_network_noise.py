"""The simulated errors are what they are said to be."""

import numpy as np
import pytest

from engine.metrics.network_noise import (
    DEVIATION,
    FADE_S,
    MEAN_SCORE,
    UNSEEN_PER_S,
    UNSEEN_S,
    WHITE_SHARE,
    add_network_noise,
)

TIME = np.arange(30 * 120) / 30
SIZE = 200.0


@pytest.fixture(scope="module")
def noisy():
    truth = np.zeros((len(TIME), 17, 2)) + np.arange(17)[:, None] * 100.0
    return truth, add_network_noise(truth, TIME, SIZE, np.random.default_rng(0), swap_pairs=((15, 16),))


def test_errors_last_as_long_as_stated(noisy) -> None:
    truth, seen = noisy
    errors = (seen.keypoints - truth) * seen.scores[..., None]
    errors = np.where(np.abs(errors) < 0.1 * SIZE, errors, np.nan)[:, :15]
    power = np.nanmean(errors**2)
    assert np.sqrt(power) == pytest.approx(DEVIATION * SIZE, rel=0.1)
    for frames in (1, 3, 10):
        expected = (1 - WHITE_SHARE) * np.exp(-frames / 30 / FADE_S)
        assert np.nanmean(errors[frames:] * errors[:-frames]) / power == pytest.approx(expected, abs=0.06)


def test_low_scores_come_with_large_errors(noisy) -> None:
    truth, seen = noisy
    error = np.linalg.norm(seen.keypoints - truth, axis=-1)
    low, high = (
        np.median(error[(seen.scores > 0.3) & (seen.scores < 0.5)]),
        np.median(error[seen.scores > 0.8]),
    )
    assert low > 1.5 * high


def test_some_keypoints_are_unseen_and_some_change_sides(noisy) -> None:
    truth, seen = noisy
    assert (seen.scores < 0.1).mean() == pytest.approx(UNSEEN_PER_S * UNSEEN_S, rel=0.3)
    assert np.median(seen.scores) == pytest.approx(MEAN_SCORE, abs=0.03)
    assert seen.swapped[:, :15].sum() == 0 and 0 < seen.swapped[:, 15].mean() < 0.05
    exchanged = seen.keypoints[seen.swapped[:, 15], 15, 0]
    assert abs(np.median(exchanged) - truth[0, 16, 0]) < 20
