import pytest
import torch

from engine.errors import UsageError
from train.models import build_model


@pytest.mark.slow
def test_the_princeton_one_computes_what_the_official_implementation_computes(assert_fingerprint):
    model = build_model("hourglass", stacks=2, keypoints=16)
    assert_fingerprint(model, "hourglass2_princeton_mpii", (2, 256, 256, 3))


@pytest.mark.parametrize("variant", ["princeton", "bearpaw"])
@pytest.mark.parametrize("stacks", [1, 3])
def test_it_gives_one_set_of_maps_per_stack_for_any_number_of_keypoints(variant, stacks):
    with torch.device("meta"):
        model = build_model("hourglass", stacks=stacks, variant=variant, keypoints=68)
        assert model(torch.zeros(2, 3, 128, 64)).shape == (2, stacks, 68, 32, 16)


@pytest.mark.parametrize("variant", ["princeton", "bearpaw"])
def test_both_layouts_of_an_image_give_the_same_maps(variant):
    model = build_model("hourglass", stacks=1, variant=variant, keypoints=3).eval()
    images = torch.rand(1, 3, 64, 128)
    with torch.no_grad():
        assert torch.allclose(model(images), model(images.permute(0, 2, 3, 1)), atol=1e-5)


def test_the_unused_shortcuts_of_the_princeton_one_get_no_gradient_and_all_else_does():
    model = build_model("hourglass", stacks=2, keypoints=16).train()
    model(torch.rand(2, 3, 64, 64)).square().mean().backward()
    idle = [name for name, parameter in model.named_parameters() if parameter.grad is None]
    assert len(idle) == 58
    assert all(".skip_layer." in name for name in idle)


def test_every_parameter_of_the_bearpaw_one_gets_a_gradient():
    model = build_model("hourglass", stacks=2, variant="bearpaw", keypoints=16).train()
    model(torch.rand(2, 3, 64, 64)).square().mean().backward()
    assert [name for name, parameter in model.named_parameters() if parameter.grad is None] == []


@pytest.mark.parametrize("variant", ["princeton", "bearpaw"])
def test_a_later_stack_sees_what_the_earlier_one_predicted(variant):
    model = build_model("hourglass", stacks=2, variant=variant, keypoints=3).eval()
    merge = model.merge_preds[0].conv.conv if variant == "princeton" else model.score_[0]
    images = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        before = model(images)
        merge.weight.mul_(2)
        after = model(images)
    assert torch.equal(before[:, 0], after[:, 0])
    assert not torch.allclose(before[:, 1], after[:, 1])


def test_a_side_that_is_no_multiple_of_64_is_refused():
    with pytest.raises(UsageError, match="multiples of 64, got 96x64"):
        build_model("hourglass", stacks=1, keypoints=3)(torch.zeros(1, 3, 96, 64))
