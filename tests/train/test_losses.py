from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from train.losses import (
    associative_embedding,
    keypoint_mse,
    keypoint_ohkm_mse,
    masked_heatmap_mse,
    place_tags,
    quality_focal,
    spatial_cross_entropy,
)

Vectors = dict[str, Tensor]


def read(path: Path) -> Vectors:
    with np.load(path) as content:
        return {name: torch.from_numpy(np.asarray(content[name])) for name in content.files}


@pytest.fixture(scope="module")
def hrnet(reference) -> Vectors:
    return read(reference / "vectors" / "hrnet_losses.npz")


@pytest.fixture(scope="module")
def higher(reference) -> Vectors:
    return read(reference / "vectors" / "higher_losses.npz")


def assert_close(value: Tensor, expected: Tensor, relative: float = 1e-6) -> None:
    scale = max(float(expected.abs().max()), 1e-12)
    assert value.shape == expected.shape
    assert float((value.detach().double() - expected.double()).abs().max()) <= relative * scale


@pytest.mark.parametrize(
    ("case", "loss", "weighted", "options"),
    [
        ("mse_weighted", keypoint_mse, True, {}),
        ("mse_plain", keypoint_mse, False, {}),
        ("ohkm_weighted", keypoint_ohkm_mse, True, {}),
        ("ohkm_plain", keypoint_ohkm_mse, False, {}),
        ("ohkm_top3", keypoint_ohkm_mse, True, {"top": 3}),
    ],
)
def test_keypoint_losses_and_their_gradients_are_the_reference_ones(case, loss, weighted, options, hrnet):
    output = hrnet["output"].clone().requires_grad_()
    value = loss(output, hrnet["target"], hrnet["weight"] if weighted else None, **options)
    value.backward()
    assert_close(value, hrnet[case])
    assert_close(output.grad, hrnet[f"{case}_grad"])


def test_a_weight_of_one_and_a_half_acts_as_its_square(hrnet):
    weight = torch.full((3, 17), 1.5)
    heavy = keypoint_mse(hrnet["output"], hrnet["target"], weight)
    assert float(heavy) == pytest.approx(2.25 * float(keypoint_mse(hrnet["output"], hrnet["target"])))


@pytest.mark.parametrize("push", ["exp", "max"])
def test_tags_are_pushed_and_pulled_as_in_the_reference(push, higher):
    tags = higher["tags"].clone().requires_grad_()
    pushes, pulls = associative_embedding(tags, higher["joints"], push=push)
    (pushes.sum() + 2 * pulls.sum()).backward()
    assert_close(pushes, higher[f"{push}_push"])
    assert_close(pulls, higher[f"{push}_pull"])
    assert_close(tags.grad, higher[f"{push}_grad_push_plus_2pull"])


def test_nobody_gives_no_tag_loss_and_one_person_no_push(higher):
    people = higher["people"].tolist()
    pushes, pulls = associative_embedding(higher["tags"], higher["joints"])
    assert float(pushes[people.index(0)]) == float(pulls[people.index(0)]) == 0
    assert float(pushes[people.index(1)]) == 0
    assert float(pulls[people.index(1)]) > 0


def test_an_image_of_nobody_can_still_be_trained_on():
    tags = torch.randn(1, 20, 1, requires_grad=True)
    pushes, pulls = associative_embedding(tags, torch.zeros(1, 4, 5, 2, dtype=torch.int64))
    (pushes.mean() + pulls.mean()).backward()
    assert not tags.grad.any()


def test_an_unknown_push_is_refused(higher):
    with pytest.raises(ValueError, match="'exp' or 'max', got 'min'"):
        associative_embedding(higher["tags"], higher["joints"], push="min")


def test_masked_heatmaps_have_the_loss_of_the_reference(higher):
    value = masked_heatmap_mse(higher["heat_pred"], higher["heat_gt"], higher["heat_mask"])
    assert_close(value, higher["heat_loss"])


def test_what_is_masked_has_no_influence(higher):
    prediction, mask = higher["heat_pred"].clone(), higher["heat_mask"]
    before = masked_heatmap_mse(prediction, higher["heat_gt"], mask)
    prediction += 5 * (1 - mask[:, None])
    assert (mask == 0).any()
    assert torch.allclose(masked_heatmap_mse(prediction, higher["heat_gt"], mask), before)


def test_the_whole_loss_of_higherhrnet_and_its_gradient_are_the_reference_ones(higher):
    first, second = (higher[f"multi_out{i}"].clone().requires_grad_() for i in (0, 1))
    coarse = masked_heatmap_mse(first[:, :17], higher["multi_heat0"], higher["multi_mask0"])
    fine = masked_heatmap_mse(second, higher["multi_heat1"], higher["multi_mask1"])
    push, pull = associative_embedding(first[:, 17:].flatten(1)[..., None], higher["multi_joints"])
    total = (coarse + fine + 1e-3 * (push + pull)).mean()
    total.backward()
    assert_close(total, higher["multi_total"])
    assert_close(first.grad, higher["multi_grad0"])
    assert_close(second.grad, higher["multi_grad1"])


def peaked(place: int, height: float = 1.0) -> Tensor:
    """One map (1, 1, 4, 4) with a single value."""
    maps = torch.zeros(1, 1, 16)
    maps[..., place] = height
    return maps.reshape(1, 1, 4, 4)


def test_cross_entropy_of_flat_logits_is_the_logarithm_of_the_map_size():
    value = spatial_cross_entropy(torch.zeros(1, 1, 4, 4), peaked(5, 0.3), torch.ones(1, 1))
    assert float(value) == pytest.approx(np.log(16), rel=1e-6)


def test_cross_entropy_is_least_for_logits_that_are_the_logarithm_of_the_target():
    torch.manual_seed(0)
    target = torch.rand(1, 1, 4, 4) + 0.1
    logits = target.log().requires_grad_()
    spatial_cross_entropy(logits, target, torch.ones(1, 1)).backward()
    assert float(logits.grad.abs().max()) < 1e-6


def test_cross_entropy_leaves_out_maps_of_weight_zero():
    logits = torch.randn(1, 2, 4, 4)
    target = torch.cat((peaked(3), peaked(9)), dim=1)
    alone = spatial_cross_entropy(logits[:, :1], target[:, :1], torch.ones(1, 1))
    assert torch.equal(spatial_cross_entropy(logits, target, torch.tensor([[1.0, 0.0]])), alone)
    assert float(spatial_cross_entropy(logits, target, torch.zeros(1, 2))) == 0


def test_focal_loss_follows_its_formula():
    logits, target = torch.tensor([[[[1.5, -2.0]]]]), torch.tensor([[[[0.8, 0.0]]]])
    likelihood = torch.sigmoid(logits)
    entropy = -(target * likelihood.log() + (1 - target) * (1 - likelihood).log())
    expected = ((target - likelihood) ** 2 * entropy).sum() / 4
    value = quality_focal(logits, target, torch.ones_like(target), norm=4)
    assert float(value) == pytest.approx(float(expected), rel=1e-6)


def test_focal_loss_and_its_gradient_vanish_at_the_target():
    target = torch.tensor([[[[0.2, 0.7]]]])
    logits = torch.logit(target).requires_grad_()
    value = quality_focal(logits, target, torch.ones_like(target), norm=1)
    value.backward()
    assert float(value.detach()) == pytest.approx(0, abs=1e-9)
    assert float(logits.grad.abs().max()) < 1e-6


def test_focal_loss_leaves_out_what_has_weight_zero():
    logits, target = torch.randn(1, 2, 4, 4), torch.rand(1, 2, 4, 4)
    weight = torch.tensor([1.0, 0.0]).reshape(1, 2, 1, 1)
    alone = quality_focal(logits[:, :1], target[:, :1], torch.ones(1), norm=3)
    assert float(quality_focal(logits, target, weight, norm=3)) == pytest.approx(float(alone), rel=1e-6)


def test_placed_tags_differ_where_people_stand_apart() -> None:
    tags = place_tags(torch.zeros(1, 2, 8, 16), unit_px=32, stride=4)
    assert tags.shape == (1, 2, 8, 16)
    torch.testing.assert_close(tags[0, 0, 0, 8] - tags[0, 0, 0, 0], torch.tensor(1.0))
    torch.testing.assert_close(tags[0, 1, 4, 0] - tags[0, 1, 0, 0], torch.tensor(0.25))
