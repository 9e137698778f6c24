import copy

import pytest
import torch

from engine.errors import UsageError
from train.models import build_model
from train.models.hrnet import HRNet, HRNetShape

SMALL = HRNetShape(4, stem=8, bottlenecks=1, bottleneck_width=4, modules=(1, 1, 2), blocks=1)


def small(keypoints: int = 5) -> HRNet:
    torch.manual_seed(0)
    return HRNet(SMALL, keypoints, "he")


def test_w32_computes_what_the_official_implementation_computes(assert_fingerprint):
    assert_fingerprint(build_model("hrnet_w32"), "hrnet_w32_coco_256x192", (2, 3, 256, 192))


@pytest.mark.parametrize("name", ["hrnet_w16", "hrnet_w18s", "hrnet_w24"])
def test_maps_have_a_quarter_of_the_sides(name):
    with torch.device("meta"):
        assert build_model(name, keypoints=7)(torch.zeros(2, 3, 128, 96)).shape == (2, 7, 32, 24)


def test_a_side_that_is_no_multiple_of_32_is_refused_with_the_nearest_that_is():
    with pytest.raises(UsageError, match="multiples of 32, got 192x144; the nearest it takes is 192x128"):
        small()(torch.zeros(1, 3, 192, 144))


def test_every_parameter_gets_a_gradient():
    model = small().train()
    model(torch.rand(2, 3, 64, 64)).square().mean().backward()
    assert [name for name, parameter in model.named_parameters() if parameter.grad is None] == []


def test_input_and_intermediate_features_survive_the_forward_pass():
    model = small().eval()
    images = torch.rand(1, 3, 64, 64)
    before = images.clone()
    with torch.no_grad():
        first = model(images)
        assert torch.equal(images, before)
        assert torch.equal(model(images), first)


def test_channels_last_changes_nothing_but_the_memory_order():
    model = small().eval()
    images = torch.rand(2, 3, 64, 96)
    with torch.no_grad():
        plain = model(images)
        last = copy.deepcopy(model).to(memory_format=torch.channels_last)(
            images.contiguous(memory_format=torch.channels_last)
        )
    assert last.is_contiguous(memory_format=torch.channels_last)
    assert torch.allclose(plain, last, atol=1e-6)


def test_it_trains_under_bf16_autocast():
    model = small().train()
    with torch.autocast("cpu", torch.bfloat16):
        loss = model(torch.rand(2, 3, 64, 64)).float().square().mean()
    loss.backward()
    assert torch.isfinite(loss)
    assert model.conv1.weight.grad is not None


def test_a_small_one_learns_to_point_at_a_bright_square():
    model = small(keypoints=1).train()
    optimiser = torch.optim.Adam(model.parameters(), lr=0.01)
    images, target = torch.zeros(8, 3, 32, 32), torch.zeros(8, 1, 8, 8)
    for sample in range(8):
        row, column = divmod(sample * 7, 8)
        images[sample, :, row * 4 : row * 4 + 4, column * 4 : column * 4 + 4] = 1
        target[sample, 0, row, column] = 1
    for _ in range(40):
        optimiser.zero_grad()
        loss = (model(images) - target).square().mean()
        loss.backward()
        optimiser.step()
    with torch.no_grad():
        peaks = model(images).flatten(1).argmax(dim=1)
    assert (peaks == target.flatten(1).argmax(dim=1)).sum() >= 7


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.isinstance.treespec, LeafSpec:FutureWarning")  # torch's own
def test_it_exports_to_onnx_with_a_free_batch_size(assert_exports):
    assert_exports(small(), ["heatmaps"])
