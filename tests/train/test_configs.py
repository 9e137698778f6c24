"""Every YAML file that is shipped: it loads, builds its network, and its network takes a training step."""

import math
import re
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn

from engine.skeleton import open_skeleton
from train.config_file import load_settings
from train.models import BUILDERS, build_network, side_multiple
from train.optimisation import make_optimiser
from train.settings import TrainSettings
from train.stepping import train_step

PATHS = sorted((Path(__file__).parents[2] / "train" / "configs").glob("*.yaml"))
PUBLISHED = [path for path in PATHS if not path.stem.startswith(("steadypose-", "folder-"))]
PEOPLE = 2


HEADS = {"final_layer", "final_layers.0", "outs.0.conv", "score.0"}


def recipe(path: Path) -> tuple[object, ...]:
    """What a network and its training step depend on, so that no step is taken twice."""
    settings = load_settings(path)
    options = tuple(sorted(settings.architecture_options.items()))
    return settings.architecture, options, settings.loss, settings.optimizer, settings.tag_losses


RECIPES = {recipe(path): path for path in PATHS}


@pytest.fixture(scope="module")
def build_once() -> Callable[[TrainSettings], nn.Module]:
    """Build networks without memory for their weights, those that are alike only once."""
    built: dict[str, nn.Module] = {}

    def build(settings: TrainSettings) -> nn.Module:
        key = str((settings.architecture, settings.architecture_options, settings.skeleton))
        if key not in built:
            with torch.device("meta"):
                built[key] = build_network(settings)
        return built[key]

    return build


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_every_shipped_config_loads_and_builds_its_network(
    path: Path, build_once: Callable[[TrainSettings], nn.Module]
) -> None:
    settings = load_settings(path)
    assert settings.name == path.stem
    (head,) = (layer for name, layer in build_once(settings).named_modules() if name in HEADS)
    count = open_skeleton(settings.skeleton).count
    assert head.out_channels == (2 * count if settings.kind == "bottom-up" else count)
    for stage in settings.stages:
        assert len(stage.sigmas(len(settings.tag_losses))) == len(settings.tag_losses)
        assert all(side % side_multiple(settings.architecture) == 0 for side in stage.input_size)


@pytest.mark.slow
@pytest.mark.parametrize("path", RECIPES.values(), ids=lambda path: path.stem)
def test_the_network_of_every_shipped_config_takes_a_training_step(path: Path) -> None:
    torch.manual_seed(0)
    settings = load_settings(path, ("precision=fp32", "device=cpu"))
    network = build_network(settings).train()
    before = first_weights(network)
    losses = train_step(network, make_optimiser(network, settings), make_batch(settings), settings)
    assert losses
    assert all(math.isfinite(value) for value in losses.values())
    assert not torch.equal(first_weights(network), before)


def first_weights(network: nn.Module) -> torch.Tensor:
    return next(network.parameters()).detach().flatten()[:100].clone()


def make_batch(settings: TrainSettings) -> dict[str, torch.Tensor]:
    """Two samples of noise, the smallest whose lowest maps still have a deviation, with targets."""
    input_side, samples = 2 * side_multiple(settings.architecture), 2
    keypoints = open_skeleton(settings.skeleton).count
    image = torch.randint(0, 256, (samples, 3, input_side, input_side), dtype=torch.uint8)
    if settings.kind == "top-down":
        ones = torch.ones(samples, keypoints)
        heatmaps = torch.rand(samples, keypoints, input_side // 4, input_side // 4)
        return {"image": image, "heatmaps": heatmaps, "weights": ones, "absent": torch.zeros_like(ones)}
    batch = {"image": image}
    for place, tagged in enumerate(settings.tag_losses):
        stride = 4 // 2**place
        side = input_side // stride
        batch[f"heatmaps_{stride}"] = torch.rand(samples, keypoints, side, side)
        batch[f"mask_{stride}"] = torch.ones(samples, keypoints, side, side)
        if tagged:
            pixels = torch.randint(0, side * side, (samples, PEOPLE, keypoints))
            flat = pixels + torch.arange(keypoints) * side * side
            batch[f"indices_{stride}"] = torch.stack([flat, torch.ones_like(flat)], dim=-1)
    return batch


@pytest.mark.parametrize("path", PUBLISHED, ids=lambda path: path.stem)
def test_a_published_config_says_its_paper_its_figure_its_model_and_what_differs(path: Path) -> None:
    comment = path.read_text().split("\nname:")[0].replace("\n# ", " ")
    assert re.search(r"(19|20)\d\d", comment)
    for word in ("Published:", "Mirrors ", "Differs:"):
        assert word in comment
    assert str(max(load_settings(path).stages[-1].input_size)) in path.stem


@pytest.mark.parametrize("path", PUBLISHED, ids=lambda path: path.stem)
def test_a_published_config_trains_as_its_authors_did(path: Path) -> None:
    settings = load_settings(path)
    assert settings.loss == "mse" and not settings.sigmoid
    assert settings.optimizer == "adam" and settings.schedule == "multi-step"
    assert settings.weight_decay == 0 and settings.clip_norm is None and settings.ema == 0
    augment = settings.augment
    assert augment.shift == augment.any_rotation == augment.lose_detail == augment.cover == 0 or (
        settings.kind == "bottom-up" and augment.view == "published"
    )
    kind = next((name for name in ("dark", "udp") if f"-{name}-" in path.stem), None)
    decoder = {"dark": "dark", "udp": "udp", None: "quarter"}[kind]
    assert settings.decode_method == decoder
    assert settings.coordinates == ("udp" if kind else "hrnet")


def test_the_published_rows_are_all_there() -> None:
    built = {load_settings(path).architecture for path in PUBLISHED}
    assert (
        {"hrnet_w32", "hrnet_w48", "higherhrnet_w32", "higherhrnet_w48", "hourglass"}
        <= built
        <= set(BUILDERS)
    )
    skeletons = {load_settings(path).skeleton for path in PUBLISHED}
    assert {"coco17", "mpii16", "crowdpose14", "posetrack17"} <= skeletons
