import pytest
import torch

from engine.errors import UsageError
from train.models import BUILDERS, build_model

OFFICIAL = {
    "hrnet_w32_coco": ("hrnet_w32", {"keypoints": 17}),
    "hrnet_w48_coco": ("hrnet_w48", {"keypoints": 17}),
    "hrnet_w32_mpii": ("hrnet_w32", {"keypoints": 16}),
    "hrnet_w48_mpii": ("hrnet_w48", {"keypoints": 16}),
    "higherhrnet_w32_coco": ("higherhrnet_w32", {"keypoints": 17}),
    "higherhrnet_w48_coco": ("higherhrnet_w48", {"keypoints": 17}),
    "higherhrnet_w32_crowdpose": ("higherhrnet_w32", {"keypoints": 14}),
    "hourglass2_princeton": ("hourglass", {"keypoints": 16, "stacks": 2}),
    "hourglass8_princeton": ("hourglass", {"keypoints": 16}),
    "hourglass2_bearpaw": ("hourglass", {"keypoints": 16, "stacks": 2, "variant": "bearpaw"}),
    "hourglass8_bearpaw": ("hourglass", {"keypoints": 16, "stacks": 8, "variant": "bearpaw"}),
}


@pytest.mark.parametrize("official", OFFICIAL)
def test_keys_their_order_and_shapes_are_the_official_ones(official, official_entries, entries_of):
    name, options = OFFICIAL[official]
    with torch.device("meta"):
        model = build_model(name, **options)
    assert entries_of(model) == official_entries(official)


@pytest.mark.parametrize(
    ("name", "millions"),
    [
        ("hrnet_w16", 1.284961),
        ("hrnet_w18s", 3.616675),
        ("hrnet_w24", 5.482105),
        ("higherhrnet_w16", 1.303043),
        ("higherhrnet_w18s", 3.638237),
        ("higherhrnet_w24", 5.515739),
    ],
)
def test_narrow_networks_have_the_size_they_were_measured_with(name, millions):
    with torch.device("meta"):
        model = build_model(name)
    assert sum(parameter.numel() for parameter in model.parameters()) == round(millions * 1e6)


@pytest.mark.parametrize("name", ["w16", "w18s", "w24"])
def test_the_backbone_of_both_hrnets_has_the_same_keys(name, entries_of):
    with torch.device("meta"):
        top_down, bottom_up = build_model(f"hrnet_{name}"), build_model(f"higherhrnet_{name}")
    backbone = [entry for entry in entries_of(top_down) if not entry[0].startswith("final_layer.")]
    assert entries_of(bottom_up)[: len(backbone)] == backbone


def test_a_misspelt_name_is_answered_with_the_near_ones():
    with pytest.raises(UsageError, match=r"'hrnet_w30'; did you mean .*hrnet_w32"):
        build_model("hrnet_w30")


def test_a_name_like_no_other_is_answered_with_all():
    with pytest.raises(UsageError, match=", ".join(BUILDERS)):
        build_model("zzz")


def test_an_option_that_the_network_does_not_have_is_refused():
    with pytest.raises(UsageError, match="hrnet_w16 has no option stacks; it has init"):
        build_model("hrnet_w16", stacks=2)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("hrnet_w16", {"keypoints": 0}),
        ("hrnet_w16", {"init": "xavier"}),
        ("higherhrnet_w16", {"deconv_blocks": -1}),
        ("hourglass", {"stacks": 9}),
        ("hourglass", {"stacks": 0}),
        ("hourglass", {"variant": "mmpose"}),
    ],
)
def test_a_value_that_an_option_cannot_take_is_refused(name, options):
    with pytest.raises(UsageError):
        build_model(name, **options)
