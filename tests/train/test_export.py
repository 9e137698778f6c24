from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

from engine.errors import ModelFileError
from engine.model_file import read_spec
from train import export
from train.checkpoint import save_checkpoint
from train.export import TrainedNetwork, export_onnx, load_trained, torch_difference, wrap_network
from train.models import build_model
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


@pytest.mark.parametrize("kind", ["top-down", "bottom-up"])
def test_an_exported_file_describes_itself_and_equals_torch(kind: str, tmp_path: Path) -> None:
    trained = make_trained(kind)
    path = tmp_path / "model.onnx"
    spec = trained.spec.model_copy(update={"accuracy": {"mean_oks": 0.5}})
    assert export_onnx(trained, path, spec) < 1e-4
    assert read_spec(path) == spec
    assert torch_difference(trained, path) < 1e-4
    assert not list(tmp_path.glob("*.part"))


def test_batch_norm_is_folded_into_the_convolutions(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    export_onnx(make_trained("top-down"), path)
    assert "BatchNormalization" not in {node.op_type for node in onnx.load(path).graph.node}


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
