import numpy as np
import pytest

from train.data.sampling import SampleOrder


def draws(order: SampleOrder, numbers: range) -> list[int]:
    return [order.index(number, np.random.default_rng([0, number])) for number in numbers]


def test_an_epoch_shows_every_element_once_and_the_next_in_another_order() -> None:
    order = SampleOrder([1.0, 5.0, 1.0, 2.0, 1.0, 1.0, 1.0], "epochs", seed=3)
    first, second = draws(order, range(7)), draws(order, range(7, 14))
    assert sorted(first) == sorted(second) == list(range(7))
    assert first != second


def test_an_epoch_leaves_out_what_has_no_weight() -> None:
    order = SampleOrder([1.0, 0.0, 1.0, 0.0], "epochs", seed=0)
    assert len(order) == 2
    assert sorted(draws(order, range(2))) == [0, 2]


def test_the_order_depends_on_the_seed_and_the_epoch_alone() -> None:
    weights = [1.0] * 30
    forward = draws(SampleOrder(weights, "epochs", 1), range(90))
    backward = draws(SampleOrder(weights, "epochs", 1), range(89, -1, -1))[::-1]
    assert forward == backward
    assert forward != draws(SampleOrder(weights, "epochs", 2), range(90))


def test_weighted_draws_follow_the_weights() -> None:
    drawn = draws(SampleOrder([1.0, 0.0, 3.0], "weighted", 0), range(2000))
    assert drawn.count(1) == 0
    assert drawn.count(2) / len(drawn) == pytest.approx(0.75, abs=0.04)
