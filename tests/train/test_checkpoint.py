import errno
import logging
import os
import pickle
import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from engine.errors import ModelFileError, SinkError
from train.checkpoint import backbone_state, load_weights, read_checkpoint, save_checkpoint
from train.models import build_model

State = dict[str, torch.Tensor]


def prefixed(prefix: str) -> Callable[[State], State]:
    return lambda state: {prefix + key: value for key, value in state.items()}


def mmpose(head: str) -> Callable[[State], State]:
    heads = ("final_layer", "deconv_layers")
    return lambda state: {
        (f"{head}.{key}" if key.startswith(heads) else f"backbone.{key}"): value
        for key, value in state.items()
    }


def imagenet(state: State) -> State:
    """A classifier as timm and the official ImageNet files have it, on the backbone of `state`."""
    extra = {
        "stage4.0.fuse_layers.1.0.0.0.weight": torch.zeros(32, 16, 3, 3),
        "stage4.0.fuse_layers.3.2.0.1.running_var": torch.ones(128),
        "incre_modules.0.0.conv1.weight": torch.zeros(32, 16, 1, 1),
        "downsamp_modules.0.0.bias": torch.zeros(256),
        "final_layer.0.weight": torch.zeros(2048, 1024, 1, 1),
        "final_layer.1.num_batches_tracked": torch.tensor(3),
        "classifier.weight": torch.zeros(1000, 8),
    }
    return {**backbone_state(state), **extra}


@pytest.fixture(scope="module")
def trained(fill):
    """Build a network with deterministic weights; `fresh` ones have others."""

    def build(name: str, **options: object) -> nn.Module:
        return fill.fill_module_torch(build_model(name, **options))

    return build


def assert_same_weights(model: nn.Module, expected: State) -> None:
    state = model.state_dict()
    assert state.keys() == expected.keys()
    assert [key for key in state if not torch.equal(state[key], expected[key])] == []


TOP_DOWN = ("hrnet_w16", {})
BOTTOM_UP = ("higherhrnet_w16", {})
PRINCETON = ("hourglass", {"stacks": 2, "keypoints": 16})
BEARPAW = ("hourglass", {"stacks": 2, "keypoints": 16, "variant": "bearpaw"})

DIALECTS = {
    "official, also simple-HRNet": (TOP_DOWN, lambda state: state, ""),
    "official HigherHRNet": (BOTTOM_UP, lambda state: state, ""),
    "official training checkpoint": (
        TOP_DOWN,
        lambda state: {
            "epoch": 210,
            "model": "pose_hrnet",
            "state_dict": prefixed("module.")({key: value + 1 for key, value in state.items()}),
            "best_state_dict": state,
            "perf": np.float64(0.744),
            "optimizer": {"state": {}, "param_groups": []},
        },
        "best_state_dict",
    ),
    "DataParallel": (TOP_DOWN, prefixed("module."), "module."),
    "HigherHRNet trained in half precision": (BOTTOM_UP, prefixed("1."), "1."),
    "the same under DataParallel": (BOTTOM_UP, prefixed("module.1."), "module.1."),
    "torch.compile": (TOP_DOWN, prefixed("_orig_mod."), "_orig_mod."),
    "mmpose 0.x": (
        TOP_DOWN,
        lambda state: {"meta": {"seed": 0}, "state_dict": mmpose("keypoint_head")(state)},
        "state_dict/backbone.",
    ),
    "mmpose 0.x HigherHRNet": (
        BOTTOM_UP,
        lambda state: {"state_dict": mmpose("keypoint_head")(state)},
        "state_dict/backbone.",
    ),
    "mmpose 1.x": (
        TOP_DOWN,
        lambda state: {
            "meta": {"dataset_meta": {"sigmas": np.array([0.026, 0.025], np.float32)}},
            "state_dict": mmpose("head")(state),
        },
        "state_dict/backbone.",
    ),
    "princeton": (
        PRINCETON,
        lambda state: {"state_dict": prefixed("model.module.")(state), "epoch": 184},
        "state_dict/model.module.",
    ),
    "bearpaw": (
        BEARPAW,
        lambda state: {"arch": "hg", "best_acc": 0.87, "state_dict": prefixed("module.")(state)},
        "state_dict/module.",
    ),
    "our training without an average": (
        TOP_DOWN,
        lambda state: {"step": 4, "model": state, "optimizer": {}},
        "model",
    ),
}


@pytest.mark.parametrize("dialect", DIALECTS)
def test_every_dialect_is_loaded_whole(dialect, trained, tmp_path):
    (name, options), written, source = DIALECTS[dialect]
    expected = trained(name, **options).state_dict()
    torch.save(written(expected), tmp_path / "weights.pth")
    model = build_model(name, **options)
    report = load_weights(tmp_path / "weights.pth", model)
    assert_same_weights(model, expected)
    assert report.source == source
    assert report.complete
    assert report.loaded == len(expected)


def test_the_averaged_weights_of_our_training_are_preferred(trained, tmp_path):
    average = trained("hrnet_w16").state_dict()
    save_checkpoint(
        tmp_path / "last.pt",
        {"model": build_model("hrnet_w16").state_dict(), "ema": average, "optimizer": {}, "step": 7},
    )
    model = build_model("hrnet_w16")
    assert load_weights(tmp_path / "last.pt", model).source == "ema"
    assert_same_weights(model, average)


def test_safetensors_are_loaded_with_every_prefix_too(trained, tmp_path):
    expected = trained("hrnet_w16").state_dict()
    save_file(mmpose("head")(expected), tmp_path / "weights.safetensors")
    model = build_model("hrnet_w16")
    load_weights(tmp_path / "weights.safetensors", model)
    assert_same_weights(model, expected)


def test_files_of_the_old_torch_format_are_loaded(trained, tmp_path):
    expected = trained("hrnet_w16").state_dict()
    torch.save(
        {"state_dict": expected, "perf": np.float32(0.7)},
        tmp_path / "checkpoint.pth.tar",
        _use_new_zipfile_serialization=False,
    )
    model = build_model("hrnet_w16")
    load_weights(tmp_path / "checkpoint.pth.tar", model)
    assert_same_weights(model, expected)


def test_half_precision_weights_become_the_models_precision(trained, tmp_path):
    expected = trained("hrnet_w16").state_dict()
    halved = {key: value.half() if value.is_floating_point() else value for key, value in expected.items()}
    torch.save(prefixed("1.")(halved), tmp_path / "half.pth")
    model = build_model("hrnet_w16")
    load_weights(tmp_path / "half.pth", model)
    assert model.conv1.weight.dtype == torch.float32
    assert torch.equal(model.conv1.weight.detach(), expected["conv1.weight"].half().float())


def test_files_older_than_the_batch_counter_of_batch_norm_are_loaded(trained, tmp_path):
    expected = trained("hrnet_w16").state_dict()
    torch.save(
        {key: value for key, value in expected.items() if not key.endswith("num_batches_tracked")},
        tmp_path / "old.pth",
    )
    model = build_model("hrnet_w16")
    load_weights(tmp_path / "old.pth", model)
    assert torch.equal(model.final_layer.weight, expected["final_layer.weight"])
    assert int(model.bn1.num_batches_tracked) == 0


def test_an_imagenet_classifier_gives_its_whole_backbone_and_says_that_the_head_is_left(
    trained, tmp_path, caplog
):
    expected = trained("hrnet_w16").state_dict()
    torch.save(imagenet(expected), tmp_path / "timm.pth")
    model = build_model("hrnet_w16")
    head = model.final_layer.weight.detach().clone()
    with caplog.at_level(logging.WARNING):
        report = load_weights(tmp_path / "timm.pth", model)
    assert "its backbone is loaded, the pose head is not" in caplog.text
    assert not report.complete
    assert report.initial == ("final_layer.weight", "final_layer.bias")
    assert len(report.ignored) == 7
    assert torch.equal(model.final_layer.weight, head)
    assert_same_weights(model, {**model.state_dict(), **backbone_state(expected)})


def test_an_imagenet_classifier_is_no_whole_network(trained, tmp_path):
    torch.save(imagenet(trained("hrnet_w16").state_dict()), tmp_path / "timm.pth")
    with pytest.raises(ModelFileError, match=r"2 missing.*load it with part='backbone'"):
        load_weights(tmp_path / "timm.pth", build_model("hrnet_w16"), part="all")


def test_a_classifier_that_lacks_a_part_of_the_backbone_is_refused(trained, tmp_path):
    state = imagenet(trained("hrnet_w16").state_dict())
    del state["stage3.0.branches.1.0.conv1.weight"]
    torch.save(state, tmp_path / "timm.pth")
    with pytest.raises(ModelFileError, match=r"1 missing \(stage3\.0\.branches\.1\.0\.conv1\.weight\)"):
        load_weights(tmp_path / "timm.pth", build_model("hrnet_w16"))


def test_a_backbone_with_a_pose_head_and_the_leftovers_of_a_classifier_is_a_whole_network(trained, tmp_path):
    expected = trained("hrnet_w16").state_dict()
    head = {key: expected[key] for key in ("final_layer.weight", "final_layer.bias")}
    torch.save({**imagenet(expected), **head}, tmp_path / "timm_with_head.pth")
    model = build_model("hrnet_w16")
    assert load_weights(tmp_path / "timm_with_head.pth", model).complete
    assert_same_weights(model, expected)


def test_a_top_down_checkpoint_starts_a_bottom_up_network(trained, tmp_path):
    expected = trained("hrnet_w16").state_dict()
    torch.save(expected, tmp_path / "top_down.pth")
    model = build_model("higherhrnet_w16")
    report = load_weights(tmp_path / "top_down.pth", model, part="backbone")
    assert report.ignored == ("final_layer.weight", "final_layer.bias")
    assert all(key.startswith(("final_layers.", "deconv_layers.")) for key in report.initial)
    assert_same_weights(model, {**model.state_dict(), **backbone_state(expected)})


@pytest.mark.parametrize(("name", "options"), [TOP_DOWN, BOTTOM_UP, PRINCETON, BEARPAW])
def test_a_network_for_other_keypoints_starts_from_the_backbone(name, options, trained, tmp_path):
    expected = trained(name, **options).state_dict()
    torch.save(expected, tmp_path / "weights.pth")
    model = build_model(name, **{**options, "keypoints": 5})
    report = load_weights(tmp_path / "weights.pth", model, part="backbone")
    assert report.loaded == len(backbone_state(expected))
    assert_same_weights(model, {**model.state_dict(), **backbone_state(expected)})


def test_a_file_for_other_keypoints_is_refused_with_both_shapes(trained, tmp_path):
    torch.save(trained("hrnet_w16", keypoints=14).state_dict(), tmp_path / "crowd.pth")
    expected = r"2 of another shape \(final_layer.weight is 14x16x1x1 instead of 17x16x1x1, .*keypoints"
    with pytest.raises(ModelFileError, match=expected):
        load_weights(tmp_path / "crowd.pth", build_model("hrnet_w16"))


def test_a_file_of_another_network_is_refused_with_counts_and_the_first_keys(trained, tmp_path):
    torch.save(trained("hrnet_w16").state_dict(), tmp_path / "w16.pth")
    with pytest.raises(ModelFileError) as caught:
        load_weights(tmp_path / "w16.pth", build_model("hourglass", stacks=1))
    message = str(caught.value)
    assert "does not fit PrincetonStackedHourglass, nothing was loaded" in message
    assert re.search(r"\d+ missing \(pre\.0\.conv\.weight, .*, .*, \.\.\.\)", message)
    assert re.search(r"\d+ unexpected \(conv1\.weight, .*, .*, \.\.\.\)", message)
    assert len(message) < 700


def test_the_two_hourglass_variants_are_told_apart(trained, tmp_path):
    torch.save(trained("hourglass", stacks=1, variant="bearpaw").state_dict(), tmp_path / "hg.pth")
    with pytest.raises(ModelFileError, match="another variant"):
        load_weights(tmp_path / "hg.pth", build_model("hourglass", stacks=1))


@pytest.mark.parametrize("flaw", ["missing", "unexpected", "reshaped"])
def test_a_single_wrong_key_is_named_and_leaves_the_model_untouched(flaw, trained, tmp_path):
    state = trained("hrnet_w16").state_dict()
    key = "stage2.0.branches.0.1.bn2.weight"
    if flaw == "missing":
        del state[key]
    elif flaw == "unexpected":
        key = "stage5.0.weight"
        state[key] = torch.zeros(1)
    else:
        state[key] = torch.zeros(3)
    torch.save(state, tmp_path / "wrong.pth")
    model = build_model("hrnet_w16")
    before = {name: value.clone() for name, value in model.state_dict().items()}
    with pytest.raises(ModelFileError, match=re.escape(key)):
        load_weights(tmp_path / "wrong.pth", model)
    assert_same_weights(model, before)


def test_a_prefix_that_only_some_keys_have_is_not_taken_off(trained, tmp_path):
    state = prefixed("module.")(trained("hrnet_w16").state_dict())
    state["conv1.weight"] = state.pop("module.conv1.weight")
    torch.save(state, tmp_path / "mixed.pth")
    with pytest.raises(ModelFileError, match="unexpected"):
        load_weights(tmp_path / "mixed.pth", build_model("hrnet_w16"))


class Intruder:
    """An object whose unpickling would make a folder."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("write", ["zip", "old format", "plain pickle"])
def test_code_in_a_file_is_named_and_never_run(write, tmp_path):
    trace, path = tmp_path / "ran", tmp_path / "evil.pth"
    payload = {"state_dict": {"conv1.weight": torch.ones(1)}, "meta": Intruder(trace)}
    if write == "plain pickle":
        path.write_bytes(pickle.dumps(Intruder(trace), protocol=2))
    else:
        torch.save(payload, path, _use_new_zipfile_serialization=write == "zip")
    with pytest.raises(ModelFileError, match=r"holds more than weights \((posix|nt)\.mkdir\)"):
        load_weights(path, build_model("hrnet_w16"))
    assert not trace.exists()


def test_a_whole_pickled_network_is_refused_with_what_to_do(tmp_path):
    torch.save(nn.Linear(2, 2), tmp_path / "module.pth")
    with pytest.raises(ModelFileError, match=r"torch\.nn\.modules\.linear\.Linear.*save its state_dict"):
        load_weights(tmp_path / "module.pth", build_model("hrnet_w16"))


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("part", [0.001, 0.3, 0.9, 0.999])
def test_a_truncated_file_gets_one_clear_sentence(zipped, part, trained, tmp_path):
    path = tmp_path / "cut.pth"
    torch.save(trained("hrnet_w16").state_dict(), path, _use_new_zipfile_serialization=zipped)
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * part)])
    with pytest.raises(ModelFileError, match=r"cut\.pth cannot be read .* cut short \(\d+ bytes\)"):
        load_weights(path, build_model("hrnet_w16"))


@pytest.mark.parametrize("name", ["weights.pth", "weights.safetensors"])
@pytest.mark.parametrize("content", [b"hello, I am a text", b"<html>not found</html>", bytes(range(256)) * 4])
def test_a_file_that_is_no_checkpoint_gets_one_clear_sentence(name, content, tmp_path):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ModelFileError, match="cannot be read as a checkpoint"):
        load_weights(tmp_path / name, build_model("hrnet_w16"))


def test_a_missing_and_an_empty_file_are_told_apart(tmp_path):
    with pytest.raises(ModelFileError, match="does not exist"):
        read_checkpoint(tmp_path / "none.pth")
    (tmp_path / "empty.pth").touch()
    with pytest.raises(ModelFileError, match="is empty"):
        read_checkpoint(tmp_path / "empty.pth")


@pytest.mark.parametrize("content", [{}, {"epoch": 3, "optimizer": {}}, [1, 2], torch.ones(2)])
def test_a_checkpoint_without_weights_is_refused(content, tmp_path):
    torch.save(content, tmp_path / "other.pth")
    with pytest.raises(ModelFileError, match="holds no weights"):
        load_weights(tmp_path / "other.pth", build_model("hrnet_w16"))


def test_what_was_saved_is_read_back_and_its_folder_made(tmp_path):
    path = tmp_path / "runs" / "a" / "last.pt"
    save_checkpoint(path, {"model": {"weight": torch.arange(3.0)}, "step": 5, "config": "{}"})
    content = read_checkpoint(path)
    assert content["step"] == 5
    assert torch.equal(content["model"]["weight"], torch.arange(3.0))
    assert os.listdir(path.parent) == ["last.pt"]


def test_a_full_disk_leaves_the_older_checkpoint_and_no_litter(tmp_path, monkeypatch):
    def fail(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    save_checkpoint(tmp_path / "last.pt", {"step": 1})
    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(SinkError, match=r"last\.pt cannot be written: No space left on device"):
        save_checkpoint(tmp_path / "last.pt", {"step": 2})
    assert read_checkpoint(tmp_path / "last.pt") == {"step": 1}
    assert os.listdir(tmp_path) == ["last.pt"]


def test_what_cannot_be_pickled_leaves_the_older_checkpoint_and_no_litter(tmp_path):
    save_checkpoint(tmp_path / "last.pt", {"step": 1})
    with pytest.raises((AttributeError, pickle.PicklingError)):
        save_checkpoint(tmp_path / "last.pt", {"step": lambda: 2})
    assert read_checkpoint(tmp_path / "last.pt") == {"step": 1}
    assert os.listdir(tmp_path) == ["last.pt"]


def test_a_device_without_room_leaves_the_older_checkpoint(tmp_path: Path) -> None:
    path = tmp_path / "last.pt"
    save_checkpoint(path, {"step": 1})
    (tmp_path / f".last.pt.{os.getpid()}.tmp").symlink_to("/dev/full")
    with pytest.raises(
        SinkError, match=r"last\.pt cannot be written: No space left on device; the older one"
    ):
        save_checkpoint(path, {"step": 2, "model": torch.zeros(1_000_000)})
    assert read_checkpoint(path)["step"] == 1
    assert list(tmp_path.iterdir()) == [path]


SAVE_FOR_EVER = """
import itertools, sys, torch
from train.checkpoint import save_checkpoint
for step in itertools.count():
    save_checkpoint(sys.argv[1], {"step": step, "model": torch.full((2_000_000,), float(step))})
    print(step, flush=True)
"""


@pytest.mark.slow
def test_a_process_killed_while_saving_leaves_a_whole_checkpoint(tmp_path: Path) -> None:
    path = tmp_path / "last.pt"
    for delay_s in (0.003, 0.011, 0.027):
        child = subprocess.Popen(
            [sys.executable, "-c", SAVE_FOR_EVER, str(path)],
            stdout=subprocess.PIPE,
            cwd=Path(__file__).parents[2],
        )
        assert child.stdout is not None
        saved = [child.stdout.readline() for _ in range(3)][-1]
        time.sleep(delay_s)
        child.kill()
        child.wait()
        child.stdout.close()
        state = read_checkpoint(path)
        assert state["step"] >= int(saved)
        assert torch.equal(state["model"], torch.full((2_000_000,), float(state["step"])))
