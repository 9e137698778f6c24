from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

from engine.errors import ModelFileError
from engine.model_file import ModelSpec, read_spec
from engine.skeleton import SKELETONS
from train import export
from train.checkpoint import save_checkpoint
from train.export import (
    TrainedNetwork,
    export_network,
    export_onnx,
    load_trained,
    make_published_spec,
    make_spec,
    torch_difference,
    wrap_network,
    wrap_published,
)
from train.models import build_model, build_network
from train.settings import DataSource, Stage, TrainSettings

# torch's exporter warns of deprecations inside torch itself.
pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")


def make_settings(kind: str) -> TrainSettings:
    return TrainSettings(
        name=f"tiny-{kind}",
        kind=kind,
        architecture="hrnet_w16" if kind == "top-down" else "higherhrnet_w16",
        data=(DataSource(annotations=Path("people.json"), images=Path("images")),),
        stages=(Stage(steps=1, input_size=(64, 64), batch=1, heatmap_sigma=1.5),),
    )


def make_trained(kind: str) -> TrainedNetwork:
    torch.manual_seed(0)
    settings = make_settings(kind)
    return wrap_network(build_model(settings.architecture).eval(), settings)


@pytest.mark.parametrize("kind", ["top-down", pytest.param("bottom-up", marks=pytest.mark.slow)])
def test_an_exported_file_describes_itself_and_equals_torch(kind: str, tmp_path: Path) -> None:
    trained = make_trained(kind)
    path = tmp_path / "model.onnx"
    spec = trained.spec.model_copy(update={"accuracy": {"mean_oks": 0.5}})
    assert export_onnx(trained, path, spec) < 1e-4
    assert read_spec(path) == spec
    assert torch_difference(trained, path) < 1e-4
    assert not list(tmp_path.glob("*.part"))
    assert b"train/models" not in path.read_bytes()  # no path of the machine that exported


def hourglass_settings(variant: str) -> TrainSettings:
    return make_settings("top-down").model_copy(
        update={
            "architecture": "hourglass",
            "architecture_options": {"stacks": 2, "variant": variant},
            "skeleton": "mpii16",
            "loss": "mse",
            "targets": "gaussian",
        }
    )


@pytest.mark.parametrize(
    ("variant", "mean"), [("princeton", (0.0, 0.0, 0.0)), ("bearpaw", (0.4404, 0.4440, 0.4327))]
)
def test_of_an_hourglass_the_last_stack_is_exported_with_its_own_normalisation(
    variant: str, mean: tuple[float, ...]
) -> None:
    settings = hourglass_settings(variant)
    network = build_network(settings).eval()
    trained = wrap_network(network, settings)
    assert trained.spec.mean == mean
    assert trained.spec.std == (1.0, 1.0, 1.0)
    noise = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        expected = network(noise)[:, -1]
    np.testing.assert_allclose(trained.run(noise.numpy())["heatmaps"], expected.numpy(), atol=1e-5)


@pytest.mark.slow
def test_an_hourglass_file_equals_torch(tmp_path: Path) -> None:
    settings = hourglass_settings("princeton")
    trained = wrap_network(build_network(settings).eval(), settings)
    assert export_onnx(trained, tmp_path / "model.onnx") < 1e-4


def test_every_output_of_several_deconvolutions_has_its_name_and_stride() -> None:
    settings = make_settings("bottom-up").model_copy(
        update={
            "architecture_options": {"deconvolutions": 2},
            "tag_losses": (True, True, False),
            "heatmap_losses": (True, False, True),
            "tag_per_keypoint": False,
            "tag_unit_px": 24.0,
        }
    )
    trained = wrap_network(build_network(settings).eval(), settings)
    shapes = {name: maps.shape for name, maps in trained.run(np.zeros((1, 3, 64, 64), np.float32)).items()}
    assert shapes == {
        "heatmaps_0": (1, 17, 16, 16),
        "tags_0": (1, 1, 16, 16),
        "tags_1": (1, 1, 32, 32),
        "heatmaps_2": (1, 17, 64, 64),
    }
    assert [(output.name, output.stride) for output in trained.spec.heatmap_outputs] == [
        ("heatmaps_0", 4),
        ("heatmaps_2", 1),
    ]
    assert [(output.name, output.stride) for output in trained.spec.tag_outputs] == [
        ("tags_0", 4),
        ("tags_1", 2),
    ]


@pytest.mark.parametrize(
    ("targets", "convention", "decoder"),
    [("unbiased", "half-pixel", "dark"), ("gaussian", "hrnet", "quarter"), ("udp", "udp", "udp")],
)
def test_coordinates_and_decoder_are_those_of_the_targets(
    targets: str, convention: str, decoder: str
) -> None:
    settings = make_settings("top-down").model_copy(update={"targets": targets})
    spec = make_spec(settings)
    assert (spec.convention, spec.decoder) == (convention, decoder)
    chosen = make_spec(settings.model_copy(update={"convention": "udp", "decoder": "argmax"}))
    assert (chosen.convention, chosen.decoder) == ("udp", "argmax")


def test_a_skeleton_of_ones_own_is_in_the_spec(tmp_path: Path) -> None:
    (tmp_path / "hand.yaml").write_text("keypoints: [wrist, thumb_tip]\nlimbs: [[wrist, thumb_tip]]\n")
    settings = make_settings("top-down").model_copy(update={"skeleton": str(tmp_path / "hand.yaml")})
    assert make_spec(settings).skeleton.keypoints == ("wrist", "thumb_tip")


def test_maps_of_a_network_trained_by_mse_are_heatmaps_as_they_are() -> None:
    settings = make_settings("top-down").model_copy(update={"loss": "mse"})
    network = build_network(settings).eval()
    noise = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        expected = network(noise).numpy()
    got = wrap_network(network, settings).run(noise.numpy())["heatmaps"]
    np.testing.assert_allclose(got, expected, atol=1e-5)
    assert make_spec(settings).min_peak_score == 0.1


def published_spec() -> ModelSpec:
    return make_published_spec(
        "published",
        "higherhrnet_w16",
        skeleton=SKELETONS["crowdpose14"],
        input_size=(64, 64),
        licence="MIT",
        training_data="CrowdPose",
        accuracy={"ap": 0.655},
    )


def test_a_published_network_is_described_and_run_as_it_is() -> None:
    network, spec = build_model("higherhrnet_w16", keypoints=14), published_spec()
    assert (spec.kind, spec.convention, spec.decoder) == ("bottom-up", "hrnet", "quarter")
    trained = wrap_published(network, spec)
    noise = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        coarse, fine = network(noise)
    got = trained.run(noise.numpy())
    np.testing.assert_allclose(got["tags_0"], coarse[:, 14:].numpy(), atol=1e-5)
    np.testing.assert_allclose(got["heatmaps_1"], fine.numpy(), atol=1e-5)


@pytest.mark.slow
def test_the_file_of_a_published_network_describes_itself_and_equals_torch(tmp_path: Path) -> None:
    spec = published_spec()
    out = tmp_path / "model.onnx"
    assert export_network(build_model("higherhrnet_w16", keypoints=14), spec, out) < 1e-4
    assert read_spec(out) == spec


def test_a_checkpoint_of_another_network_than_the_config_is_refused(tmp_path: Path) -> None:
    settings = make_settings("top-down")
    path = tmp_path / "last.pt"
    save_checkpoint(
        path, {"ema": build_model("hrnet_w24").state_dict(), "config": settings.model_dump_json()}
    )
    with pytest.raises(ModelFileError, match="holds another network than hrnet_w16"):
        load_trained(path)


@pytest.mark.slow
def test_batch_norm_is_folded_into_the_convolutions(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    export_onnx(make_trained("top-down"), path)
    assert "BatchNormalization" not in {node.op_type for node in onnx.load(path).graph.node}


@pytest.mark.slow
def test_a_file_that_differs_from_torch_is_not_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(export, "torch_difference", lambda *_: 0.1)
    with pytest.raises(ModelFileError, match=r"differs from torch by 0\.1"):
        export_onnx(make_trained("top-down"), tmp_path / "model.onnx")
    assert not list(tmp_path.iterdir())


def test_heatmaps_of_a_sigmoid_network_are_in_the_unit_range() -> None:
    outputs = make_trained("bottom-up").run(
        np.random.default_rng(0).standard_normal((1, 3, 64, 96), np.float32)
    )
    assert list(outputs) == ["heatmaps_0", "tags_0", "heatmaps_1"]
    assert outputs["heatmaps_0"].shape == outputs["tags_0"].shape == (1, 17, 16, 24)
    assert outputs["heatmaps_1"].shape == (1, 17, 32, 48)
    assert 0 <= outputs["heatmaps_1"].min() <= outputs["heatmaps_1"].max() <= 1


def test_a_checkpoint_opens_with_its_averaged_weights(tmp_path: Path) -> None:
    settings = make_settings("top-down")
    model, average = build_model("hrnet_w16"), build_model("hrnet_w16")
    path = tmp_path / "last.pt"
    save_checkpoint(
        path, {"model": model.state_dict(), "ema": average.state_dict(), "config": settings.model_dump_json()}
    )
    trained, read = load_trained(path)
    assert read == settings
    assert trained.spec.checkpoint_sha256
    noise = torch.randn(1, 3, 64, 64)
    expected = average.eval()(noise).sigmoid().detach().numpy()
    np.testing.assert_allclose(trained.run(noise.numpy())["heatmaps"], expected, atol=1e-5)


@pytest.mark.parametrize("content", [b"", b"no checkpoint", b"PK\x03\x04cut"])
def test_a_file_that_is_no_checkpoint_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x.pt"
    path.write_bytes(content)
    with pytest.raises(ModelFileError, match=r"x\.pt"):
        load_trained(path)
