from pathlib import Path

import pytest
import torch

from train.config_file import load_settings
from train.models import build_model, side_multiple
from train.models.counting import count_macs, count_parameters, count_parts
from train.settings import TrainSettings
from train.summary import format_summary, summarise

CONFIGS = Path(__file__).parents[2] / "train" / "configs"


@pytest.mark.parametrize(
    ("config", "millions", "published"),
    [
        ("hrnet-w32-coco-256x192", 28.5, 7.1),
        ("hrnet-w48-coco-384x288", 63.6, 32.9),
        ("higherhrnet-w32-coco-512", 28.6, 47.9),
        ("higherhrnet-w48-coco-640", 63.8, 154.3),
    ],
)
def test_parameters_and_multiply_adds_are_those_of_the_papers_tables(
    config: str, millions: float, published: float
) -> None:
    summary = summarise(load_settings(CONFIGS / f"{config}.yaml"))
    assert round(summary.parameters / 1e6, 1) == millions
    assert summary.published_gmacs is not None
    assert round(summary.published_gmacs, 1) == published


def test_w32_has_the_multiply_adds_that_were_measured_with_it() -> None:
    summary = summarise(load_settings(CONFIGS / "hrnet-w32-coco-256x192.yaml"))
    assert summary.macs == 7_645_003_776
    assert summary.parameters == 28_536_113


def test_the_parts_are_those_of_the_papers_figure_with_the_shapes_that_leave_them() -> None:
    summary = summarise(load_settings(CONFIGS / "higherhrnet-w32-coco-512.yaml"))
    shapes = {part.name: part.outputs for part in summary.parts}
    assert list(shapes) == [
        "stem", "layer1", "transition1", "stage2", "transition2", "stage3", "transition3", "stage4",
        "deconvolution 1", "heads",
    ]  # fmt: skip
    assert shapes["stem"] == ((64, 128, 128),)
    assert shapes["transition3"] == ((32, 128, 128), (64, 64, 64), (128, 32, 32), (256, 16, 16))
    assert shapes["deconvolution 1"] == ((32, 256, 256),)
    assert shapes["heads"] == ((34, 128, 128), (17, 256, 256))


@pytest.mark.parametrize("options", [{"variant": "princeton"}, {"variant": "bearpaw"}])
def test_an_hourglass_has_a_part_for_each_stack(options: dict) -> None:
    with torch.device("meta"):
        network = build_model("hourglass", stacks=2, keypoints=16, **options)
    parts = count_parts(network, (128, 128))
    assert [part.name for part in parts] == ["stem", "stack 1", "stack 2"]
    assert parts[1].outputs == ((16, 32, 32),)


@pytest.mark.parametrize(
    ("name", "options"),
    [("hrnet_w16", {}), ("higherhrnet_w24", {"deconvolutions": 2}), ("hourglass", {"stacks": 1})],
)
def test_the_parts_sum_up_to_the_whole_network(name: str, options: dict) -> None:
    side = side_multiple(name)
    with torch.device("meta"):
        network = build_model(name, **options)
    parts = count_parts(network, (side, side))
    assert sum(part.macs for part in parts) == count_macs(network, (side, side))
    assert sum(part.parameters for part in parts) == count_parameters(network)


def test_counting_leaves_the_network_as_it_was() -> None:
    network = build_model("hrnet_w16").train()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    count_parts(network, (64, 64))
    assert network.training
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    assert not any(module._forward_hooks for module in network.modules())


@pytest.mark.parametrize("stride", [1, 2])
def test_a_convolution_multiplies_once_per_weight_and_output_pixel(stride: int) -> None:
    convolution = torch.nn.Conv2d(3, 5, 3, stride, padding=1)
    assert count_macs(convolution, (8, 12)) == 3 * 5 * 9 * (8 // stride) * (12 // stride)


def test_a_transposed_convolution_multiplies_once_per_weight_and_input_pixel() -> None:
    convolution = torch.nn.ConvTranspose2d(3, 5, 4, 2, padding=1)
    assert count_macs(convolution, (8, 12)) == 3 * 5 * 16 * 8 * 12
    assert count_macs(convolution, (8, 12), kernel_per_output=True) == 3 * 5 * 16 * 16 * 24


def test_the_text_tells_parts_plan_and_schedule() -> None:
    text = format_summary(summarise(load_settings(CONFIGS / "hrnet-w32-coco-256x192.yaml")))
    for words in (
        "hrnet_w32 at 256x192, 17 keypoints of coco17",
        "28.54 M parameters, 7.645 G multiply-adds (7.1 as the papers count)",
        "210 epochs of batches of 128 at 256x192, heatmap sigma 2",
        "adam at 0.001, times 0.1 at 170, 200 epochs; loss mse",
    ):
        assert words in text
    assert max(len(line) for line in text.splitlines()) < 110


def test_steps_warm_up_and_cosine_are_told_too() -> None:
    settings = load_settings(CONFIGS / "steadypose-td-w16.yaml")
    values = settings.model_dump() | {"architecture": "hourglass", "architecture_options": {"stacks": 1}}
    values["stages"] = [{"steps": 7, "input_size": [64, 64], "batch": 2}]
    text = format_summary(summarise(TrainSettings.model_validate(values)))
    assert "hourglass(stacks=1) at 64x64" in text
    assert "7 steps of batches of 2 at 64x64" in text
    assert "a cosine down to 0.01 of it, 300 steps of warm-up" in text
    assert "as the papers count" not in text
