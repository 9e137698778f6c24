from pathlib import Path

import pytest
import torch

from app.bench.network_cost import network_cost
from engine.model_file import read_spec
from engine.zoo import model_path
from engine.zoo_catalogue import CATALOGUE
from train.config_file import load_settings
from train.convert import convert
from train.models import build_model
from train.models.counting import count_macs
from train.summary import summarise

CONFIGS = Path(__file__).parents[2] / "train" / "configs"

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")


@pytest.mark.parametrize("name", ["steadypose-td-w16", "steadypose-bu-w16"])
def test_a_bundled_network_costs_what_the_summary_of_its_run_says(name: str) -> None:
    summary, path = summarise(load_settings(CONFIGS / f"{name}.yaml")), model_path(name)
    cost = network_cost(path, read_spec(path), summary.input_size)
    assert cost.macs == summary.macs
    # Batch norm is folded: its weights go, a bias comes for each.
    assert cost.weights == pytest.approx(summary.parameters, rel=0.02)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "size", "giga"),
    [("hrnet-w32-coco-256x192", (256, 192), 7.645), ("higherhrnet-w32-coco-512x512", (512, 512), 46.203)],
)
def test_an_exported_network_costs_what_torch_counts(
    name: str, size: tuple[int, int], giga: float, tmp_path: Path
) -> None:
    """The same way makes model files of random weights, for timing networks whose weights are not at hand."""
    entry = CATALOGUE[name]
    network = build_model(entry.architecture)
    torch.save(network.state_dict(), tmp_path / "random.pth")
    convert(tmp_path / "random.pth", tmp_path / "random.onnx", entry)
    cost = network_cost(tmp_path / "random.onnx", entry.spec(""), size)
    assert cost.macs == count_macs(network, size)
    assert cost.macs / 1e9 == pytest.approx(giga, abs=1e-3)
