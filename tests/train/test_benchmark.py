import json
from pathlib import Path

import pytest
import torch

from engine.errors import UsageError
from train import benchmark as benchmark_module
from train.benchmark import (
    DEFAULT_NETWORKS,
    NetworkSpeed,
    Spread,
    benchmark,
    choose_device,
    describe_device,
    format_table,
    write_json,
)
from train.models import BUILDERS

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def speed() -> NetworkSpeed:
    return next(benchmark(["hrnet_w16"], batch=2, input_size=(64, 64), device="cpu", steps=2))


def test_a_network_is_timed_forward_and_backward(speed: NetworkSpeed) -> None:
    assert (speed.name, speed.batch, speed.input_size) == ("hrnet_w16", 2, (64, 64))
    assert speed.parameters == 1_284_961
    assert speed.macs == pytest.approx(0.571e9 * 64 * 64 / (256 * 192), rel=0.01)
    assert speed.forward.runs == speed.forward_backward.runs == 2
    assert 0 < speed.forward.mean_ms < speed.forward_backward.mean_ms
    assert speed.peak_mib is None or speed.peak_mib > 0


def test_runs_that_warm_up_do_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([0.0, 9.0, 20.0, 30.0, 30.010, 40.0, 40.030])
    monkeypatch.setattr(benchmark_module.time, "perf_counter", lambda: next(clock))
    spread = benchmark_module._time(lambda: None, CPU, steps=2)
    assert spread.mean_ms == pytest.approx(20)
    assert spread.deviation_ms == pytest.approx(14.142, abs=1e-3)
    assert spread.runs == 2
    assert spread.samples_per_s(4) == pytest.approx(200)


def test_by_default_every_network_there_is_takes_part() -> None:
    assert {name.split(":")[0] for name in DEFAULT_NETWORKS} == set(BUILDERS)
    assert {"hourglass:stacks=2", "hourglass:stacks=8"} <= set(DEFAULT_NETWORKS)


def test_options_of_a_network_follow_its_name() -> None:
    name = "hourglass:stacks=1,variant=bearpaw"
    (speed,) = benchmark([name], batch=2, input_size=(128, 128), device="cpu", steps=2, precision="bf16")
    assert speed.name == name
    assert speed.parameters == pytest.approx(3.587e6, rel=0.01)


def test_the_table_and_the_file_hold_every_figure(speed: NetworkSpeed, tmp_path: Path) -> None:
    steady = Spread(12.34, 0.56, 10)
    speeds = [speed, NetworkSpeed("hourglass:stacks=8", (256, 256), 4, 26, 10**10, steady, steady, None)]
    lines = format_table(speeds).splitlines()
    assert lines[0].split()[:4] == ["network", "input", "batch", "M"]
    assert "12.3 ± 0.6" in lines[3]
    write_json(speeds, CPU, "fp32", tmp_path / "speed.json")
    content = json.loads((tmp_path / "speed.json").read_text())
    assert [network["name"] for network in content["networks"]] == ["hrnet_w16", "hourglass:stacks=8"]
    assert content["networks"][1]["forward"] == {"mean_ms": 12.34, "deviation_ms": 0.56, "runs": 10}
    assert torch.__version__ in content["device"]


def test_the_device_is_told_with_threads_and_version() -> None:
    assert f"{torch.get_num_threads()} threads" in describe_device(CPU)
    assert choose_device("cpu") == CPU


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_gpu_that_is_not_there_is_an_error_and_auto_takes_the_cpu() -> None:
    assert choose_device("auto") == CPU
    with pytest.raises(UsageError, match="torch sees no NVIDIA GPU"):
        choose_device("cuda")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"networks": ["hrnet_w33"]}, "did you mean"),
        ({"networks": ["hourglass:stacks"]}, "name:option=value"),
        ({"networks": ["hourglass:stacks=9"]}, "1 to 8 stacks"),
        ({"networks": ["hrnet_w16"], "steps": 1}, "at least 2 steps"),
        ({"networks": ["hrnet_w16"], "precision": "fp16", "device": "cpu"}, "needs a GPU"),
        ({"networks": ["hrnet_w16"], "input_size": (100, 64), "device": "cpu"}, "multiples of 32"),
    ],
)
def test_what_cannot_be_measured_is_refused(arguments: dict, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        list(benchmark(**arguments))
