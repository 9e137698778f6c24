"""PCK against MPII's published table, and on people small enough to measure by hand."""

import json
from pathlib import Path

import numpy as np
import pytest

from engine.errors import UsageError
from engine.metrics.pck import mpii_table, pck, pck_by_keypoint, pck_curve, relative_distances, torso_lengths
from engine.skeleton import COCO17, MPII16

VECTORS = Path(__file__).parents[2] / "data/reference/vectors/mpii_pckh.json"


def test_the_table_is_mpii_s() -> None:
    content = json.loads(VECTORS.read_text())
    boxes = np.array(content["headboxes_src"])
    heads = 0.6 * np.linalg.norm(boxes[1] - boxes[0], axis=0)
    truth = np.moveaxis(np.array(content["pos_gt_src"]), 2, 0)
    valid = np.array(content["jnt_missing"]).T == 0
    found = np.array(content["preds_zero_based"]) + 1
    table = mpii_table(relative_distances(found, truth, valid, heads), MPII16)
    published = {name.lower(): value / 100 for name, value in content["result"].items()}
    assert {name: table[name] for name in published} == pytest.approx(published, abs=1e-9)
    assert table["mean@0.10"] <= table["mean@0.1"]


def test_distances_count_in_lengths_of_the_person() -> None:
    truth = np.zeros((2, 2, 2))
    found = np.array([[[3.0, 4.0], [0, 0]], [[3.0, 4.0], [np.nan, 0]]])
    distances = relative_distances(found, truth, [[1, 0], [1, 1]], [10.0, 5.0])
    np.testing.assert_array_equal(distances, [[0.5, np.nan], [1.0, np.inf]])
    np.testing.assert_array_equal(pck_curve(distances, [0.4, 0.5, 1.0]), [0, 1 / 3, 2 / 3])
    np.testing.assert_array_equal(pck_by_keypoint(distances, 0.5), [0.5, 0.0])


def test_a_person_without_a_length_is_left_out() -> None:
    distances = relative_distances(np.zeros((2, 1, 2)), np.zeros((2, 1, 2)), [[1], [1]], [np.nan, 0.0])
    assert np.isnan(distances).all()
    assert np.isnan(pck(distances, 0.5))
    assert np.isnan(pck_by_keypoint(distances, 0.5)).all()


def test_the_torso_reaches_from_the_left_shoulder_to_the_right_hip() -> None:
    truth = np.random.default_rng(0).normal(size=(3, 17, 2))
    truth[:, COCO17.keypoints.index("left_shoulder")] = [0, 0]
    truth[:, COCO17.keypoints.index("right_hip")] = [6, 8]
    valid = np.ones((3, 17), bool)
    valid[1, COCO17.keypoints.index("right_hip")] = False
    np.testing.assert_allclose(torso_lengths(truth, valid, COCO17), [10, np.nan, 10])


def test_a_table_of_other_keypoints_or_without_heads_is_refused() -> None:
    with pytest.raises(UsageError, match="head_top"):
        mpii_table(np.zeros((1, 17)), COCO17)
    with pytest.raises(UsageError, match="head size"):
        mpii_table(np.full((1, 16), np.nan), MPII16)
