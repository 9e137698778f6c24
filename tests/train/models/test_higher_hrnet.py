import pytest
import torch

from engine.errors import UsageError
from train.models import build_model
from train.models.higher_hrnet import HigherHead, HigherHRNet
from train.models.hrnet import HRNetShape

SMALL = HRNetShape(4, stem=8, bottlenecks=1, bottleneck_width=4, modules=(1, 1, 1), blocks=1)


def small(deconv_blocks: int = 1) -> HigherHRNet:
    torch.manual_seed(0)
    return HigherHRNet(SMALL, 5, "he", HigherHead(blocks=deconv_blocks))


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


def test_without_a_deconvolution_there_is_one_output_with_tags():
    model = build_model("higherhrnet_w16", keypoints=5, deconvolutions=0).eval()
    (only,) = model(torch.zeros(1, 3, 64, 64))
    assert only.shape == (1, 10, 16, 16)
    assert not model.deconv_layers


def test_each_of_two_deconvolutions_doubles_the_maps_and_sees_the_output_before_it():
    options = {"deconvolutions": 2, "tag_outputs": (True, True, False), "keypoints": 5}
    model = build_model("higherhrnet_w16", **options).eval()
    outputs = model(torch.zeros(1, 3, 64, 96))
    assert [tuple(output.shape) for output in outputs] == [
        (1, 10, 16, 24), (1, 10, 32, 48), (1, 5, 64, 96)
    ]  # fmt: skip
    assert [layer[0][0].in_channels for layer in model.deconv_layers] == [16 + 10, 16 + 10]


def test_one_tag_map_for_all_keypoints_narrows_the_heads_and_what_follows_them():
    model = build_model("higherhrnet_w16", keypoints=5, tag_per_keypoint=False).eval()
    assert [layer.out_channels for layer in model.final_layers] == [6, 5]
    assert model.deconv_layers[0][0][0].in_channels == 16 + 6


def test_a_deconvolution_may_see_the_features_alone():
    model = build_model("higherhrnet_w16", keypoints=5, cat_output=False).eval()
    assert model.deconv_layers[0][0][0].in_channels == 16
    assert [output.shape[1] for output in model(torch.zeros(1, 3, 64, 64))] == [10, 5]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"deconvolutions": 3}, "deconvolutions must be 0 to 2"),
        ({"deconvolutions": 2, "tag_outputs": (True, False)}, "each of the 3 outputs"),
        ({"cat_output": (True, True)}, "each of the 1 deconvolutions, got 2"),
    ],
)
def test_options_that_contradict_each_other_are_refused(options, message):
    with pytest.raises(UsageError, match=message):
        build_model("higherhrnet_w16", **options)


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
