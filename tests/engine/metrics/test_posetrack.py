"""Precision and MOTA of keypoints, on frames that can be counted by hand."""

import sys
from dataclasses import replace

import numpy as np
import pytest

from engine.errors import UsageError
from engine.metrics.posetrack import PoseFrame, keypoint_average_precision, keypoint_mota

TRUTH = np.array([[[0.0, 0], [0, 40]], [[100, 0], [100, 40]]])
HEADS = np.array([10.0, 10.0])


def frame(found: np.ndarray, scores: list[float], ids: tuple[int, ...] = (1, 2)) -> PoseFrame:
    table = np.repeat(np.array(scores)[:, None], 2, axis=1)
    return PoseFrame(TRUTH, np.ones((2, 2), bool), HEADS, np.asarray(found), table, (1, 2), ids)


def test_people_in_place_have_full_precision_in_any_order() -> None:
    np.testing.assert_allclose(keypoint_average_precision([frame(TRUTH[::-1] + 3, [0.9, 0.8])]), [1, 1])


def test_a_keypoint_further_than_half_a_head_is_wrong() -> None:
    found = TRUTH.copy()
    found[1, 1, 1] += 6
    # The better scored person is right, the other wrong: precision 1 up to a recall of a half.
    np.testing.assert_allclose(keypoint_average_precision([frame(found, [0.9, 0.8])]), [1, 0.5])
    np.testing.assert_allclose(keypoint_average_precision([frame(found, [0.8, 0.9])]), [1, 0.25])


def test_a_second_pose_on_a_person_is_wrong_whole() -> None:
    found = np.concatenate([TRUTH, TRUTH[:1] + 1])
    # Equal share of keypoints: the first of the two answers; the sure copy costs precision.
    values = keypoint_average_precision([frame(found, [0.8, 0.7, 0.9], (1, 2, 3))])
    np.testing.assert_allclose(values, [2 / 3, 2 / 3])


def test_missing_keypoints_cost_recall_alone_and_unlabelled_ones_are_not_judged() -> None:
    found = TRUTH.copy()
    found[1, 0] = np.nan
    item = frame(found, [0.9, 0.8])
    np.testing.assert_allclose(keypoint_average_precision([item]), [0.5, 1])
    without = replace(item, valid=np.array([[True, False], [True, False]]))
    assert np.isnan(keypoint_average_precision([without])[1])


def test_mota_of_a_keypoint_counts_misses_strangers_and_switches() -> None:
    pytest.importorskip("motmetrics")
    steady, far = frame(TRUTH, [0.9, 0.9]), TRUTH.copy()
    far[1, 1] += 50
    assert keypoint_mota([steady] * 5) == pytest.approx([1, 1])
    # The far keypoint is a miss and a false one; 10 objects.
    assert keypoint_mota([steady] * 4 + [frame(far, [0.9, 0.9])]) == pytest.approx([1, 0.8])
    exchanged = frame(TRUTH, [0.9, 0.9], (2, 1))
    assert keypoint_mota([steady] * 4 + [exchanged]) == pytest.approx([0.8, 0.8])


def test_without_motmetrics_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "motmetrics", None)
    with pytest.raises(UsageError, match="pip install motmetrics"):
        keypoint_mota([frame(TRUTH, [0.9, 0.9])])
