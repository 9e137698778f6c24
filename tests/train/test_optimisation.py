from pathlib import Path

import pytest
import torch
from torch import nn

from engine.errors import UsageError
from train.optimisation import average_decay, learning_rate, make_optimiser, make_plan, update_average
from train.settings import TrainSettings

SOURCE = {"annotations": Path("people.json"), "images": Path("images")}


def settings(**changes: object) -> TrainSettings:
    values: dict = {
        "name": "x",
        "kind": "top-down",
        "architecture": "hrnet_w16",
        "data": [SOURCE],
        "stages": [{"steps": 10, "input_size": [64, 64], "batch": 8}],
        "warmup_steps": 0,
        "learning_rate": 1.0,
    }
    return TrainSettings.model_validate(values | changes)


def epochs(*lengths: tuple[int, int]) -> list[dict]:
    return [{"epochs": count, "input_size": [64, 64], "batch": batch} for count, batch in lengths]


def test_stages_of_steps_follow_one_another_and_their_samples_too() -> None:
    two = [
        {"steps": 3, "input_size": [64, 64], "batch": 4},
        {"steps": 2, "input_size": [96, 64], "batch": 10},
    ]
    plan = make_plan(settings(stages=two), epoch_length=1000)
    assert plan.total_steps == 5
    assert [plan.stage_index(step) for step in range(6)] == [0, 0, 0, 1, 1, 1]
    assert [plan.sample_at(step) for step in range(5)] == [0, 4, 8, 12, 22]


def test_stages_of_epochs_have_as_many_steps_as_hold_their_samples() -> None:
    plan = make_plan(settings(stages=epochs((3, 16), (1, 8))), epoch_length=100)
    assert plan.first_steps == (0, 19, 32)
    assert plan.first_samples == (0, 304, 408)


def test_milestones_in_epochs_lie_where_their_epoch_begins_in_the_batches_of_their_stage() -> None:
    multi_step = {"schedule": "multi-step", "milestones": [2, 4]}
    plan = make_plan(settings(stages=epochs((3, 10), (2, 5)), **multi_step), epoch_length=100)
    assert plan.milestones == (20, 30 + 20)


def test_a_milestone_after_the_end_is_refused() -> None:
    with pytest.raises(UsageError, match="milestone 10 lies after the end of the run, which has 10 steps"):
        make_plan(settings(schedule="multi-step", milestones=[10]), epoch_length=1)


def test_the_multi_step_rate_warms_up_and_falls_at_each_milestone() -> None:
    run = settings(schedule="multi-step", milestones=[4, 8], decay=0.1, warmup_steps=2)
    plan = make_plan(run, epoch_length=1)
    rates = [learning_rate(run, plan, step) for step in range(10)]
    assert rates == pytest.approx([0.5, 1, 1, 1, 0.1, 0.1, 0.1, 0.1, 0.01, 0.01])


def test_the_cosine_rate_warms_up_and_ends_at_its_share() -> None:
    run = settings(warmup_steps=2, final_learning_rate=0.2)
    plan = make_plan(run, epoch_length=1)
    rates = [learning_rate(run, plan, step) for step in range(11)]
    assert rates[:3] == pytest.approx([0.5, 1, 1])
    assert rates[2:] == sorted(rates[2:], reverse=True)
    assert rates[6] == pytest.approx(0.6)
    assert rates[10] == pytest.approx(0.2)


def test_adamw_decays_matrices_only_and_adam_and_sgd_everything() -> None:
    network = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4))
    groups = make_optimiser(network, settings(weight_decay=0.1)).param_groups
    assert [group["weight_decay"] for group in groups] == [0.1, 0.0]
    assert [[p.ndim for p in group["params"]] for group in groups] == [[4], [1, 1, 1]]
    for name in ("adam", "sgd"):
        (group,) = make_optimiser(network, settings(optimizer=name, weight_decay=0.1)).param_groups
        assert group["weight_decay"] == 0.1 and len(group["params"]) == 4


def test_sgd_has_the_momentum_that_is_set() -> None:
    optimiser = make_optimiser(nn.Linear(2, 2), settings(optimizer="sgd", momentum=0.8, nesterov=True))
    assert optimiser.param_groups[0]["momentum"] == 0.8
    assert optimiser.param_groups[0]["nesterov"] is True


def test_an_average_without_decay_is_the_network_itself() -> None:
    torch.manual_seed(0)
    network, average = nn.BatchNorm2d(3), nn.BatchNorm2d(3)
    network(torch.randn(4, 3, 2, 2))
    update_average(average, network, average_decay(settings(ema=0), 5))
    for name, value in network.state_dict().items():
        assert torch.equal(average.state_dict()[name], value)


def test_an_average_moves_by_its_decay_and_faster_at_the_start() -> None:
    network, average = nn.Linear(1, 1, bias=False), nn.Linear(1, 1, bias=False)
    nn.init.constant_(network.weight, 1.0)
    nn.init.constant_(average.weight, 0.0)
    update_average(average, network, 0.75)
    assert average.weight.item() == pytest.approx(0.25)
    run = settings(ema=0.999)
    assert average_decay(run, 0) == pytest.approx(0.1)
    assert average_decay(run, 10**6) == 0.999
