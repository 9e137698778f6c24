import pytest
import torch
from torch import nn

from train.models import build_model
from train.models.blocks import BasicBlock, Bottleneck, residual_layer


def test_a_layer_puts_a_shortcut_convolution_only_where_channels_change():
    layer = residual_layer(Bottleneck, 32, 16, 3)
    assert [block.downsample is not None for block in layer] == [True, False, False]
    assert all(block.downsample is None for block in residual_layer(BasicBlock, 16, 16, 2))


@pytest.mark.parametrize("block", [BasicBlock, Bottleneck])
def test_a_block_with_silent_weights_passes_its_input_on(block):
    channels = 8
    module = block(channels * block.expansion, channels).eval()
    for parameter in module.parameters():
        nn.init.zeros_(parameter)
    x = torch.rand(2, channels * block.expansion, 5, 7)
    assert torch.equal(module(x), x)


def test_normal_initialisation_has_the_deviation_of_the_papers():
    model = build_model("hrnet_w16", init="normal")
    weights = torch.cat([m.weight.detach().flatten() for m in model.modules() if isinstance(m, nn.Conv2d)])
    assert weights.std() == pytest.approx(0.001, rel=0.01)


def test_he_initialisation_keeps_the_scale_of_activations_without_batch_norm():
    torch.manual_seed(0)
    convolution = build_model("hrnet_w16").stage4[0].branches[3][0].conv1
    x = torch.randn(4, 128, 16, 16)
    with torch.no_grad():
        ratio = convolution(torch.relu(x)).var() / x.var()
    assert ratio == pytest.approx(1.0, abs=0.2)


@pytest.mark.parametrize("name", ["hrnet_w16", "higherhrnet_w16"])
def test_heads_start_flat_under_either_initialisation(name):
    for init in ("normal", "he"):
        for key, module in build_model(name, init=init).named_modules():
            if key.startswith("final_layer") and isinstance(module, nn.Conv2d):
                assert module.weight.detach().std() < 0.002
                assert not module.bias.any()


def test_narrow_networks_start_by_he_and_the_papers_by_normal():
    def deviation(name: str) -> float:
        return float(build_model(name).conv2.weight.detach().std())

    assert deviation("hrnet_w32") == pytest.approx(0.001, rel=0.05)
    assert deviation("hrnet_w16") > 0.02
