import hashlib
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from torch import nn

from engine.errors import ModelFileError, UsageError
from engine.model_file import read_spec
from engine.zoo_catalogue import CATALOGUE, PublishedModel
from train import convert as module
from train.convert import convert, convert_like, demo_input, find_published, main
from train.models import build_model

# torch's exporter warns of deprecations inside torch itself.
pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")


class Dots(nn.Module):
    """The smallest network with the shape of a top-down one."""

    def __init__(self, keypoints: int) -> None:
        super().__init__()
        self.final_layer = nn.Conv2d(3, keypoints, 4, stride=4)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return self.final_layer(image)


@pytest.fixture
def entry() -> PublishedModel:
    return CATALOGUE["hrnet-w32-mpii-256x256"].model_copy(update={"name": "dots", "input_size": (64, 64)})


@pytest.fixture
def checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Weights of `Dots` as MMPose 0.x keeps them; `build_model` builds that network instead of an HRNet."""
    torch.manual_seed(0)
    monkeypatch.setattr(module, "build_model", lambda name, *, keypoints: Dots(keypoints))
    weights = {f"module.{key}": value for key, value in Dots(16).state_dict().items()}
    path = tmp_path / "dots.pth"
    torch.save({"meta": {"epoch": 210}, "state_dict": weights}, path)
    return path


def test_a_checkpoint_becomes_a_file_that_says_what_it_is(
    checkpoint: Path, entry: PublishedModel, tmp_path: Path
) -> None:
    out = tmp_path / "models" / "dots.onnx"
    assert convert(checkpoint, out, entry) < 1e-5
    spec = read_spec(out)
    assert spec == entry.spec(hashlib.sha256(checkpoint.read_bytes()).hexdigest())
    assert spec.accuracy == {"pckh": 0.9, "pckh@0.1": 0.334} and "MPII" in spec.training_data
    assert [path.name for path in out.parent.iterdir()] == ["dots.onnx"]
    image = np.zeros((2, 3, 64, 64), np.float32)
    (heatmaps,) = onnxruntime.InferenceSession(str(out)).run(None, {"image": image})
    assert heatmaps.shape == (2, 16, 16, 16)


@pytest.mark.parametrize("published", [False, True])
def test_other_weights_do_not_take_on_published_figures(
    checkpoint: Path,
    entry: PublishedModel,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    published: bool,
) -> None:
    given: list[PublishedModel] = []
    monkeypatch.setattr(module, "convert", lambda _, __, row: given.append(row) or 0.0)
    prefix = hashlib.sha256(checkpoint.read_bytes()).hexdigest()[:8] if published else "00000000"
    row = entry.model_copy(update={"sha256_prefix": prefix})
    monkeypatch.setitem(CATALOGUE, "dots", row)
    convert_like(checkpoint, tmp_path / "mine.onnx", "dots", licence="mine")
    spec = given[0].spec("")
    if published:
        assert given == [row] and "as published" in spec.training_data
    else:
        assert (spec.name, spec.licence, spec.training_data, spec.accuracy) == ("mine", "mine", "unknown", {})
    assert spec.input_size == (64, 64)


def test_a_file_that_differs_on_a_picture_is_not_put_in_place(
    checkpoint: Path, entry: PublishedModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "dots.onnx"
    out.write_bytes(b"the old one")
    monkeypatch.setattr(module, "picture_difference", lambda *_: 0.5)
    with pytest.raises(ModelFileError, match=r"differs from torch by 0\.5 on a picture of the demo clip"):
        convert(checkpoint, out, entry)
    assert out.read_bytes() == b"the old one"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["dots.onnx", "dots.pth"]


def test_weights_of_another_network_are_refused(
    checkpoint: Path, entry: PublishedModel, tmp_path: Path
) -> None:
    other = entry.model_copy(update={"skeleton": "coco17"})
    with pytest.raises(ModelFileError, match="does not fit Dots, nothing was loaded"):
        convert(checkpoint, tmp_path / "dots.onnx", other)
    assert not (tmp_path / "dots.onnx").exists()


def test_an_imagenet_backbone_is_not_taken_for_a_pose_network(
    checkpoint: Path, entry: PublishedModel, tmp_path: Path
) -> None:
    torch.save({"classifier.weight": torch.zeros(2)}, checkpoint)
    with pytest.raises(ModelFileError, match="does not fit"):
        convert(checkpoint, tmp_path / "dots.onnx", entry)


def test_the_file_must_be_called_onnx(checkpoint: Path, entry: PublishedModel, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"must end in \.onnx"):
        convert(checkpoint, tmp_path / "dots.pt", entry)


def test_an_unknown_name_gets_the_nearest() -> None:
    assert find_published("hrnet-w32-coco-256x192").architecture == "hrnet_w32"
    with pytest.raises(UsageError, match="did you mean hrnet-w32-coco-256x192"):
        find_published("hrnet-w32-coco-256x19")


def test_the_process_tells_the_user_s_errors_in_one_line(
    entry: PublishedModel, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = [str(tmp_path / "none.pth"), str(tmp_path / "x.onnx"), "--entry", entry.model_dump_json()]
    assert main(arguments) == 1
    assert capsys.readouterr().err.startswith(f"error: checkpoint {tmp_path / 'none.pth'} does not exist")


def test_the_picture_fills_the_input_of_either_kind() -> None:
    top_down = demo_input(CATALOGUE["hrnet-w32-coco-256x192"].spec(""))
    assert top_down.shape == (1, 3, 256, 192) and top_down.std() > 0.3
    bottom_up = demo_input(CATALOGUE["higherhrnet-w32-coco-512x512"].spec(""))
    assert bottom_up.shape[2] == 512 and bottom_up.shape[3] > 512


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "input_size"),
    [
        ("hrnet-w32-coco-256x192", (256, 192)),
        ("higherhrnet-w32-crowdpose-512x512", (128, 128)),
        ("hourglass-2-mpii-256x256-princeton", (256, 256)),
    ],
)
def test_networks_of_the_published_width_convert(
    name: str, input_size: tuple[int, int], tmp_path: Path
) -> None:
    torch.manual_seed(0)
    entry = find_published(name).model_copy(update={"input_size": input_size})
    network = build_model(
        entry.architecture, keypoints=entry.spec("").skeleton.count, **entry.architecture_options
    )
    path = tmp_path / "published.pth"
    torch.save({"state_dict": network.state_dict()}, path)
    assert convert(path, tmp_path / "published.onnx", entry) < module.PARITY_TOLERANCE
    assert read_spec(tmp_path / "published.onnx").name == name
