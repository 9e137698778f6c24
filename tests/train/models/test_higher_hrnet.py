import pytest
import torch

from engine.errors import UsageError
from train.models import build_model
from train.models.higher_hrnet import HigherHRNet
from train.models.hrnet import HRNetShape

SMALL = HRNetShape(4, stem=8, bottlenecks=1, bottleneck_width=4, modules=(1, 1, 1), blocks=1)


def small(deconv_blocks: int = 1) -> HigherHRNet:
    torch.manual_seed(0)
    return HigherHRNet(SMALL, 5, "he", deconv_blocks)


def test_w32_computes_what_the_official_implementation_computes(assert_fingerprint):
    assert_fingerprint(build_model("higherhrnet_w32"), "higherhrnet_w32_coco_512", (1, 3, 512, 512))


def test_the_first_output_has_heatmaps_and_tags_and_the_second_finer_heatmaps():
    coarse, fine = small().eval()(torch.zeros(2, 3, 64, 96))
    assert coarse.shape == (2, 10, 16, 24)
    assert fine.shape == (2, 5, 32, 48)


def test_the_finer_heatmaps_are_computed_from_the_features_and_the_coarse_maps_in_that_order():
    model = small().eval()
    images = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        features = model.features(images)
        joined = torch.cat((features, model.final_layers[0](features)), dim=1)
        expected = model.final_layers[1](model.deconv_layers[0](joined))
        assert torch.equal(model(images)[1], expected)


def test_the_number_of_blocks_after_the_deconvolution_is_an_option():
    for options, blocks in (({}, 1), ({"deconv_blocks": 3}, 3), ({"deconv_blocks": 0}, 0)):
        assert len(build_model("higherhrnet_w16", **options).deconv_layers[0]) == 1 + blocks


def test_every_parameter_gets_a_gradient():
    model = small().train()
    coarse, fine = model(torch.rand(2, 3, 64, 64))
    (coarse.square().mean() + fine.square().mean()).backward()
    assert [name for name, parameter in model.named_parameters() if parameter.grad is None] == []


def test_a_side_that_is_no_multiple_of_32_is_refused():
    with pytest.raises(UsageError, match="multiples of 32, got 100x64"):
        small()(torch.zeros(1, 3, 100, 64))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.isinstance.treespec, LeafSpec:FutureWarning")  # torch's own
def test_it_exports_to_onnx_with_a_free_batch_size(assert_exports):
    assert_exports(small(), ["coarse", "fine"])
