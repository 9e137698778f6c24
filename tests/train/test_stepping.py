from itertools import pairwise
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from engine.errors import TrainingError, UsageError
from train.losses import keypoint_mse
from train.settings import TrainSettings
from train.stepping import Batch, bottom_up_losses, take_step, top_down_losses, train_step

K = 3


class Dots(nn.Module):
    """One convolution at stride 4 and its batch norm; two outputs where it is to be bottom-up."""

    def __init__(self, bottom_up: bool) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(3)
        self.coarse = nn.Conv2d(3, 2 * K if bottom_up else K, 4, stride=4)
        self.fine = nn.Conv2d(3, K, 2, stride=2)
        self.bottom_up = bottom_up

    def forward(self, images: Tensor) -> Tensor | list[Tensor]:
        images = self.norm(images)
        return [self.coarse(images), self.fine(images)] if self.bottom_up else self.coarse(images)


def settings(kind: str = "top-down", loss: str = "mse", **changes: object) -> TrainSettings:
    values: dict = {
        "name": "x",
        "kind": kind,
        "architecture": "hrnet_w16",
        "data": [{"annotations": Path("people.json"), "images": Path("images")}],
        "stages": [{"steps": 1, "input_size": [32, 32], "batch": 6}],
        "loss": loss,
        "ohkm_top": 2,
        "precision": "fp32",
        "optimizer": "sgd",
        "momentum": 0,
        "weight_decay": 0,
        "learning_rate": 0.1,
        "clip_norm": None,
    }
    return TrainSettings.model_validate(values | changes)


def make_batch(kind: str, count: int = 6) -> Batch:
    torch.manual_seed(5)
    batch = {"image": torch.randint(0, 256, (count, 3, 32, 32), dtype=torch.uint8)}
    if kind == "top-down":
        weights = torch.rand(count, K) * (torch.rand(count, K) > 0.3)
        return batch | {
            "heatmaps": torch.rand(count, K, 8, 8) ** 4,
            "weights": weights,
            "absent": (weights == 0).float(),
        }
    for stride in (4, 2):
        size = 32 // stride
        batch[f"heatmaps_{stride}"] = torch.rand(count, K, size, size) ** 4
        batch[f"mask_{stride}"] = torch.rand(count, K, size, size)
        places = torch.randint(0, K * size * size, (count, 4, K))
        batch[f"indices_{stride}"] = torch.stack([places, (torch.rand(count, 4, K) > 0.4).long()], dim=-1)
    return batch


def split(batch: Batch, *ends: int) -> list[Batch]:
    borders = [0, *ends, len(batch["image"])]
    return [{name: value[a:b] for name, value in batch.items()} for a, b in pairwise(borders)]


@pytest.mark.parametrize(
    ("kind", "loss"),
    [
        ("top-down", "mse"),
        ("top-down", "ohkm"),
        ("top-down", "cross-entropy+focal"),
        ("bottom-up", "mse"),
        ("bottom-up", "cross-entropy+focal"),
    ],
)
@pytest.mark.parametrize("borders", [(3,), (1, 4)])
def test_the_parts_of_a_batch_have_the_losses_and_the_gradient_of_the_whole(
    kind: str, loss: str, borders: tuple[int, ...]
) -> None:
    run, batch = settings(kind, loss), make_batch(kind)
    reports, gradients = [], []
    for parts in ([batch], split(batch, *borders)):
        torch.manual_seed(1)
        # Batch norm sees a part at a time; in evaluation mode it does not look.
        network = Dots(kind == "bottom-up").eval()
        reports.append(take_step(network, torch.optim.SGD(network.parameters(), lr=0.1), parts, run))
        gradients.append([p.grad for p in network.parameters() if p.grad is not None])
    assert reports[1].losses == pytest.approx(reports[0].losses, rel=1e-5)
    assert reports[1].gradient_norm == pytest.approx(reports[0].gradient_norm, rel=1e-5)
    for whole, in_parts in zip(*gradients, strict=True):
        torch.testing.assert_close(in_parts, whole, rtol=1e-4, atol=1e-6)


def test_the_loss_of_an_hourglass_is_the_mean_over_its_stacks() -> None:
    batch, run = make_batch("top-down"), settings()
    maps = torch.randn(6, 2, K, 8, 8)
    each = [float(keypoint_mse(maps[:, stack], batch["heatmaps"], batch["weights"])) for stack in (0, 1)]
    losses = top_down_losses(maps, batch, run)
    assert float(losses["mse"]) == pytest.approx(sum(each) / 2, rel=1e-6)


def test_fractional_weights_multiply_the_squared_error_once() -> None:
    batch, run = make_batch("bottom-up"), settings("bottom-up")
    outputs = Dots(bottom_up=True).eval()(batch["image"].float() / 255)
    value = bottom_up_losses(outputs, batch, run)["mse_2"]
    expected = ((outputs[1] - batch["heatmaps_2"]) ** 2 * batch["mask_2"]).mean()
    assert float(value.detach()) == pytest.approx(float(expected.detach()), rel=1e-6)


def test_each_output_has_the_losses_that_are_asked_for() -> None:
    batch = make_batch("bottom-up")
    outputs = [torch.randn(6, K, 8, 8), torch.randn(6, 2 * K, 16, 16)]
    run = settings("bottom-up", heatmap_losses=[True, False], tag_losses=[False, True])
    assert set(bottom_up_losses(outputs, batch, run)) == {"mse_4", "push_2", "pull_2"}
    assert set(bottom_up_losses(outputs[:1], batch, settings(
        "bottom-up", heatmap_losses=[True], tag_losses=[False]
    ))) == {"mse_4"}  # fmt: skip


def test_one_tag_map_for_all_keypoints_is_read_at_the_place_whatever_the_keypoint() -> None:
    run = settings(
        "bottom-up", heatmap_losses=[True], tag_losses=[True], tag_per_keypoint=False, pull_weight=1.0
    )
    batch = make_batch("bottom-up", 1)
    places = torch.tensor([3, 64 + 3, 2 * 64 + 3])
    batch["indices_4"] = torch.stack([places, torch.ones(3, dtype=torch.long)], dim=-1)[None, None]
    output = torch.randn(1, K + 1, 8, 8)
    assert float(bottom_up_losses([output], batch, run)["pull_4"]) == pytest.approx(0, abs=1e-12)


def test_the_kind_of_push_follows_the_settings() -> None:
    batch = make_batch("bottom-up")
    outputs = Dots(bottom_up=True).eval()(batch["image"].float() / 255)
    values = {
        push: float(bottom_up_losses(outputs, batch, settings("bottom-up", push=push))["push_4"].detach())
        for push in ("exp", "max")
    }
    assert values["exp"] != values["max"]


def test_a_network_with_other_outputs_than_the_settings_is_refused() -> None:
    batch = make_batch("bottom-up")
    outputs = [torch.randn(6, K, 8, 8), torch.randn(6, K, 16, 16)]
    with pytest.raises(UsageError, match=r"have \[6, 3\] maps, those of hrnet_w16 have \[3, 3\]"):
        bottom_up_losses(outputs, batch, settings("bottom-up"))


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_step_lowers_the_loss(precision: str) -> None:
    torch.manual_seed(0)
    network, batch = Dots(bottom_up=False), make_batch("top-down")
    run = settings(precision=precision)
    optimiser = torch.optim.SGD(network.parameters(), lr=0.5)
    first = train_step(network, optimiser, batch, run)["mse"]
    assert train_step(network, optimiser, batch, run)["mse"] < first


def test_clipping_bounds_the_gradient_and_reports_its_length_before() -> None:
    network, batch = Dots(bottom_up=False).eval(), make_batch("top-down")
    optimiser = torch.optim.SGD(network.parameters(), lr=0.0)
    free = take_step(network, optimiser, [batch], settings()).gradient_norm
    clipped = take_step(network, optimiser, [batch], settings(clip_norm=free / 10)).gradient_norm
    left = torch.cat([p.grad.flatten() for p in network.parameters() if p.grad is not None]).norm()
    assert clipped == pytest.approx(free, rel=1e-6)
    assert float(left) == pytest.approx(free / 10, rel=1e-3)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_loss_that_is_not_finite_is_named_and_changes_no_weight(value: float) -> None:
    network, batch = Dots(bottom_up=True), make_batch("bottom-up")
    with torch.no_grad():
        network.fine.weight[0, 0, 0, 0] = value
    before = {name: tensor.clone() for name, tensor in network.named_parameters()}
    optimiser = torch.optim.SGD(network.parameters(), lr=0.1)
    with pytest.raises(TrainingError, match=r"the loss mse_2 of step 8 is (nan|inf); lower learning_rate"):
        take_step(network, optimiser, [batch], settings("bottom-up"), step=7)
    for name, tensor in network.named_parameters():
        assert torch.equal(tensor.nan_to_num(), before[name].nan_to_num())
