"""One training step of each network, in float64, against checks that know nothing of autograd."""

import copy
import json
from dataclasses import dataclass
from types import ModuleType

import numpy as np
import pytest
import torch
from torch import nn

from train.losses import associative_embedding, keypoint_mse, masked_heatmap_mse
from train.models import build_model

KEYPOINTS, SIDE, SAMPLES = 3, 128, 2
MOMENTUM = 0.1
STEP = 1e-9
SLOPE_TOLERANCE = 1e-2
"""Of the slope, relative to the norm of the layers' shares in it: some ReLU or maximum always lies so near
its kink that a step crosses it, above all where a map of 2x2 px is normalised."""
NETWORKS = {
    "hrnet": ("hrnet_w16", {}),
    "higherhrnet": ("higherhrnet_w16", {}),
    "higherhrnet with two deconvolutions": (
        "higherhrnet_w16",
        {"deconvolutions": 2, "tag_outputs": (True, True, False)},
    ),
    "hourglass, princeton": ("hourglass", {"stacks": 2, "variant": "princeton"}),
    "hourglass, bearpaw": ("hourglass", {"stacks": 2, "variant": "bearpaw"}),
}


@pytest.fixture(scope="module", params=NETWORKS)
def network(request: pytest.FixtureRequest, fill: ModuleType) -> nn.Module:
    """A float64 network with the reference's weights, whose batch norms are not the identity."""
    name, options = NETWORKS[request.param]
    return fill.fill_module_torch(build_model(name, keypoints=KEYPOINTS, **options).double()).train()


@pytest.fixture(scope="module")
def images(fill: ModuleType) -> torch.Tensor:
    shape = (SAMPLES, 3, SIDE, SIDE)
    return torch.from_numpy(fill.model_input("training step", shape, "normal")).double()


def loss_of(model: nn.Module, images: torch.Tensor) -> torch.Tensor:
    """The papers' losses of a network's kind, on targets drawn from a fixed seed."""
    generator = torch.Generator().manual_seed(2)

    def draw(*shape: int) -> torch.Tensor:
        return torch.rand(*shape, generator=generator, dtype=torch.float64).to(images.dtype)

    outputs = model(images)
    if isinstance(outputs, torch.Tensor):
        stacks = outputs.unbind(1) if outputs.ndim == 5 else [outputs]
        target, weight = draw(*stacks[0].shape), draw(SAMPLES, KEYPOINTS)
        return torch.stack([keypoint_mse(maps, target, weight) for maps in stacks]).mean()
    total = torch.zeros((), dtype=images.dtype)
    for maps in outputs:
        heatmaps, tags = maps[:, :KEYPOINTS], maps[:, KEYPOINTS:]
        mask = (draw(SAMPLES, *maps.shape[2:]) > 0.1).to(images.dtype)
        total = total + masked_heatmap_mse(heatmaps, draw(*heatmaps.shape), mask).mean()
        if tags.shape[1]:
            size = tags[0].numel()
            flat = torch.randint(0, size, (SAMPLES, 2, KEYPOINTS), generator=generator)
            indices = torch.stack([flat, torch.ones_like(flat)], dim=-1)
            push, pull = associative_embedding(tags.flatten(1)[..., None], indices)
            total = total + push.mean() + pull.mean()
    return total


@dataclass(frozen=True, slots=True)
class Step:
    """What a forward and backward pass did: the loss, gradients by parameter, buffers before and after."""

    loss: float
    gradients: dict[str, torch.Tensor]
    before: dict[str, torch.Tensor]
    after: dict[str, torch.Tensor]
    normalised: dict[str, np.ndarray]


def take_step(model: nn.Module, images: torch.Tensor) -> Step:
    """Run a copy of the model once, watching what goes into its batch norms."""
    model = copy.deepcopy(model)
    before = {name: value.clone() for name, value in model.named_buffers()}
    normalised: dict[str, np.ndarray] = {}

    def watch(name: str, module: nn.Module) -> None:
        def note(_: nn.Module, given: tuple[torch.Tensor, ...]) -> None:
            normalised[name] = given[0].detach().clone().numpy()

        module.register_forward_pre_hook(note)

    for name, module in model.named_modules():
        if isinstance(module, nn.BatchNorm2d):
            watch(name, module)
    loss = loss_of(model, images)
    loss.backward()
    gradients = {name: p.grad for name, p in model.named_parameters() if p.grad is not None}
    return Step(float(loss.detach()), gradients, before, dict(model.named_buffers()), normalised)


@pytest.fixture(scope="module")
def exact(network: nn.Module, images: torch.Tensor) -> Step:
    return take_step(network, images)


def test_the_gradient_is_the_slope_of_the_loss_along_a_random_direction(network, images, exact):
    generator = torch.Generator().manual_seed(3)
    direction = {
        name: torch.randn(p.shape, generator=generator, dtype=p.dtype) * p.detach().std()
        for name, p in network.named_parameters()
        if name in exact.gradients and p.numel() > 1
    }
    shares = torch.stack([(exact.gradients[name] * direction[name]).sum() for name in direction])
    values = []
    for sign in (1, -1):
        moved = copy.deepcopy(network)
        with torch.no_grad():
            for name, parameter in moved.named_parameters():
                if name in direction:
                    parameter.add_(sign * STEP * direction[name])
            values.append(float(loss_of(moved, images)))
    slope = (values[0] - values[1]) / (2 * STEP)
    assert slope == pytest.approx(float(shares.sum()), abs=SLOPE_TOLERANCE * float(shares.norm()))


def test_running_statistics_move_as_a_numpy_twin_says(network, exact):
    norms = {name for name, module in network.named_modules() if isinstance(module, nn.BatchNorm2d)}
    assert exact.normalised.keys() == norms
    for name, values in exact.normalised.items():
        count = values.size // values.shape[1]
        mean = values.mean(axis=(0, 2, 3))
        variance = ((values - mean[:, None, None]) ** 2).sum(axis=(0, 2, 3)) / (count - 1)
        for key, now in (("running_mean", mean), ("running_var", variance)):
            expected = (1 - MOMENTUM) * exact.before[f"{name}.{key}"].numpy() + MOMENTUM * now
            np.testing.assert_allclose(exact.after[f"{name}.{key}"].numpy(), expected, rtol=1e-9, atol=1e-12)
        counter = f"{name}.num_batches_tracked"
        assert exact.after[counter] == exact.before[counter] + 1


def test_the_same_step_in_float32_deviates_no_more_than_the_reference(network, images, exact, reference):
    golden = json.loads((reference / "models" / "train_step_hrnet_w32_coco_256x192.json").read_text())
    limits = golden["float32_deviation"]
    single = take_step(copy.deepcopy(network).float(), images.float())
    assert single.loss == pytest.approx(exact.loss, rel=10 * limits["loss"])  # the loss of fewer pixels
    assert single.gradients.keys() == exact.gradients.keys()
    total, total_single = (
        torch.cat([value.double().flatten() for value in step.gradients.values()]).norm()
        for step in (exact, single)
    )
    assert float(total_single) == pytest.approx(float(total), rel=limits["grad_norm_total"])
    for name, value in exact.after.items():
        if name.endswith(("running_mean", "running_var")):
            difference = (single.after[name].double() - value).abs().max() / value.abs().max().clamp(min=1)
            assert difference < limits["buffer_worst_abs"], name
