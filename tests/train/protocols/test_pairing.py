import pickle

import numpy as np
import pytest

from engine.skeleton import COCO17
from train.protocols.pairing import Selection, drop_labels, judge, pair_people


def test_predictions_are_paired_with_the_people_they_lie_on(stand, respond) -> None:
    people = [stand(200), stand(500), stand(800)]
    pairs = pair_people(respond(people, answers=[2, 0]), COCO17)
    assert set(pairs) == {0, 2}
    np.testing.assert_array_equal(pairs[2].keypoints, people[2].keypoints)


def test_predictions_in_order_are_not_moved(stand, respond) -> None:
    crossed = respond([stand(200), stand(500)], answers=[1, 0], in_order=True)
    assert [item.oks for item in judge([crossed], COCO17, Selection())] == pytest.approx([0, 0], abs=1e-3)


def test_only_people_of_the_selection_are_judged_and_nobody_answers_with_zero(stand, respond) -> None:
    judged = list(judge([respond([stand(200), stand(500, 80)], answers=[])], COCO17, Selection(1, 96)))
    assert [(item.place, item.oks, item.found) for item in judged] == [(0, 0.0, None)]


def test_labels_below_a_visibility_are_dropped(stand, respond) -> None:
    person = stand(200)
    person.visibility[:5] = 1
    (label,) = drop_labels([respond([person]).label], 2)
    assert (label.people[0].visibility > 0).tolist() == [False] * 5 + [True] * 12
    assert person.visibility.all()


def test_predictions_can_be_sent_between_processes(stand, respond) -> None:
    sent = pickle.loads(pickle.dumps(respond([stand(200)])))
    assert [item.oks for item in judge([sent], COCO17, Selection())] == pytest.approx([1])
