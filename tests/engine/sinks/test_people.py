import json
from collections.abc import Callable
from io import StringIO
from pathlib import Path

import numpy as np
import pytest

from engine.sinks.people import JsonList, known_boxes, known_scores, pick, to_json, triples
from engine.sinks.results_file import ResultsFile
from engine.structures import Result, TrackedPerson


def test_boxes_and_scores_are_those_of_the_file(walkers: Path):
    block = ResultsFile.open(walkers).load()
    assert known_boxes(block)[0].tolist() == [50, 0, 70, 40]
    assert known_scores(block).tolist() == [0.75] * 5


def test_a_long_file_gets_them_from_its_keypoints(
    tmp_path: Path,
    write_run: Callable[..., Path],
    make_result: Callable[..., Result],
    make_person: Callable[..., TrackedPerson],
):
    people = (make_person(1, states=(2, 1, 0)), make_person(2, states=(0, 0, 0)))
    block = ResultsFile.open(write_run(tmp_path, make_result(0, *people), long=True)).load()
    assert known_boxes(block).tolist() == [[40, 16, 40.25, 48], [0, 0, 0, 0]]
    assert known_scores(block).tolist() == pytest.approx([0.825, 0])


def test_a_keypoint_that_is_missing_is_three_zeros():
    keypoints = np.array([[[1.23456, 2], [np.nan, np.nan], [-0.0001, 3]]], np.float32)
    scores = np.array([[0.5, 0.25, np.nan]], np.float32)
    flat = triples(keypoints, scores).tolist()
    assert flat == [[1.235, 2, 0.5, 0, 0, 0, 0, 3, 0]]
    assert "-0" not in to_json(flat)


def test_keypoints_of_another_skeleton_are_picked():
    keypoints = np.arange(6, dtype=np.float32).reshape(1, 3, 2)
    scores = np.array([[0.1, 0.2, 0.3]], np.float32)
    picked, picked_scores = pick(keypoints, scores, [2, None, 0])
    assert picked[0, [0, 2]].tolist() == [[4, 5], [0, 1]]
    assert np.isnan(picked[0, 1]).all()
    assert picked_scores[0] == pytest.approx([0.3, 0, 0.1])


@pytest.mark.parametrize("items", [[], [1], [1, {"a": "ü"}]])
def test_a_list_is_written_item_by_item(items: list[object]):
    stream = StringIO()
    writer = JsonList(stream)
    for item in items:
        writer.add(item)
    writer.end()
    assert json.loads(stream.getvalue()) == items


def test_what_json_does_not_have_is_never_written():
    with pytest.raises(ValueError, match="not JSON compliant"):
        to_json([float("nan")])
