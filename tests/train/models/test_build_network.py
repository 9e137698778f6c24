from pathlib import Path

import pytest
import torch
from torch import nn

from engine.errors import UsageError
from train.models import IMAGENET_MEAN, IMAGENET_STD, build_network, input_normalisation
from train.settings import TrainSettings


def build(**changes: object) -> nn.Module:
    values: dict[str, object] = {
        "name": "x",
        "kind": "bottom-up",
        "architecture": "higherhrnet_w16",
        "data": [{"annotations": "people.json", "images": "images"}],
        "stages": [{"steps": 1, "input_size": [64, 64], "batch": 1}],
    }
    with torch.device("meta"):
        return build_network(TrainSettings.model_validate(values | changes))


def head_channels(network: nn.Module) -> list[int]:
    return [layer.out_channels for layer in network.final_layers]


def test_heads_follow_skeleton_and_tag_losses() -> None:
    assert head_channels(build()) == [34, 17]
    assert head_channels(build(skeleton="crowdpose14", tag_losses=[True, True])) == [28, 28]
    assert head_channels(build(tag_per_keypoint=False)) == [18, 17]


def test_a_skeleton_of_ones_own_gives_its_number_of_maps(tmp_path: Path) -> None:
    (tmp_path / "hand.yaml").write_text("keypoints: [wrist, thumb_tip, index_tip]\n")
    network = build(kind="top-down", architecture="hrnet_w16", skeleton=str(tmp_path / "hand.yaml"))
    assert network.final_layer.out_channels == 3


def test_deconvolutions_have_an_output_each() -> None:
    options = {"deconvolutions": 2}
    losses = {"tag_losses": [True, False, False], "heatmap_losses": [True, True, True]}
    assert head_channels(build(architecture_options=options, **losses)) == [34, 17, 17]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"architecture_options": {"deconvolutions": 2}},
            "with 2 deconvolutions has 3 outputs, tag_losses has 2 values",
        ),
        ({"tag_losses": [True], "heatmap_losses": [True]}, "has 2 outputs, tag_losses has 1 values"),
        ({"tag_losses": [False, False]}, "tells people apart by tags"),
        ({"architecture_options": {"tag_outputs": [True, True]}}, "follows from the setting tag_losses"),
        ({"kind": "top-down"}, "is a bottom-up network, but kind is top-down"),
        ({"architecture": "hourglass"}, "is a top-down network, but kind is bottom-up"),
        ({"architecture": "higherhrnet_w17"}, "did you mean"),
        ({"skeleton": "coco18"}, "no skeleton is called 'coco18'"),
        (
            {
                "kind": "top-down",
                "architecture": "hourglass",
                "stages": [{"steps": 1, "input_size": [96, 64], "batch": 1}],
            },
            r"multiples of 64, got \[96, 64\]",
        ),
    ],
)
def test_settings_that_no_network_fits_are_refused(changes: dict, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        build(**changes)


def test_each_architecture_has_the_normalisation_of_its_authors() -> None:
    assert input_normalisation("hrnet_w32") == (IMAGENET_MEAN, IMAGENET_STD)
    assert input_normalisation("higherhrnet_w16", {"deconvolutions": 2}) == (IMAGENET_MEAN, IMAGENET_STD)
    assert input_normalisation("hourglass", {"stacks": 2}) == ((0.0,) * 3, (1.0,) * 3)
    mean, std = input_normalisation("hourglass", {"variant": "bearpaw"})
    assert mean == pytest.approx((0.4404, 0.4440, 0.4327))
    assert std == (1.0, 1.0, 1.0)
