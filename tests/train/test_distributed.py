"""Several processes are started as torchrun starts them: by environment variables, each on its own."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

import train.distributed as distributed
from engine.errors import TrainingError, UsageError
from train.distributed import Processes, choose_device, join_processes
from train.settings import AugmentSettings, DataSource, Stage, TrainSettings
from train.trainer import fit, has_unused_parameters

ROOT = Path(__file__).parents[2]
CALM = AugmentSettings(half_body=0, rotation_probability=0, any_rotation=0, cut=0, cover=0, lose_detail=0)

FIT = """
import sys, warnings
from pathlib import Path
warnings.simplefilter("error")
from train.settings import TrainSettings
from train.trainer import fit
fit(TrainSettings.model_validate_json(Path(sys.argv[1]).read_text()))
"""

NORM = """
import copy, sys, warnings
from pathlib import Path
import torch
from torch import nn
from train.distributed import join_processes, share_statistics
from train.settings import TrainSettings
torch.manual_seed(0)
whole = nn.Sequential(nn.Conv2d(3, 5, 1), nn.BatchNorm2d(5)).double()
shared = copy.deepcopy(whole)
images = torch.randn(7, 3, 4, 4, dtype=torch.float64) * 3 + 10
wanted = torch.randn(7, 5, 4, 4, dtype=torch.float64)
with join_processes(TrainSettings.model_validate_json(Path(sys.argv[1]).read_text())) as processes:
    shared = share_statistics(shared, processes)
    own = slice(0, 3) if processes.first else slice(3, 7)
    (whole(images) * wanted).sum().backward()
    (shared(images[own]) * wanted[own]).sum().backward()
    for mine, full in zip(shared.parameters(), whole.parameters(), strict=True):
        torch.testing.assert_close(processes.total(mine.grad), full.grad, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(shared.state_dict(), whole.state_dict(), rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(shared.eval()(images), whole.eval()(images), rtol=1e-12, atol=1e-12)
"""


def make_settings(stick_people: Path, out: Path, **changes: object) -> TrainSettings:
    """SGD, since Adam's first steps turn the last digit of a tiny gradient into a full step."""
    values: dict = {
        "name": "run",
        "kind": "top-down",
        "architecture": "hrnet_w16",
        "data": [DataSource(annotations=stick_people / "people.json", images=stick_people / "images")],
        "augment": CALM,
        "stages": [Stage(steps=3, input_size=(64, 64), batch=6)],
        "warmup_steps": 0,
        "optimizer": "sgd",
        "learning_rate": 0.01,
        "threads": 1,
        "workers": 0,
        "precision": "fp32",
        "device": "cpu",
        "log_every": 1,
        "tensorboard": False,
        "out": out,
    }
    return TrainSettings.model_validate(values | changes)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def fit_in_processes(settings: TrainSettings, world: int, script: str = FIT) -> list[str]:
    """Run a script, training, in `world` processes; return what each said where it failed."""
    settings.out.mkdir(parents=True, exist_ok=True)
    path = settings.out / "settings.json"
    path.write_text(settings.model_dump_json())
    shared = os.environ | {
        "WORLD_SIZE": str(world),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(free_port()),
        "GLOO_SOCKET_IFNAME": "lo",
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": str(ROOT),
    }
    children = [
        subprocess.Popen(
            [sys.executable, "-c", script, str(path)],
            env=shared | {"RANK": str(rank), "LOCAL_RANK": str(rank)},
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(world)
    ]
    said = [child.communicate(timeout=240)[1] for child in children]
    return [
        f"{child.returncode}: {text}" for child, text in zip(children, said, strict=True) if child.returncode
    ]


def figures(folder: Path) -> list[dict[str, float]]:
    rows = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    return [{k: v for k, v in row.items() if k not in {"samples_per_s", "busy"}} for row in rows]


def assert_same_run(found: Path, expected: Path) -> None:
    """The first step's figures to a hundred-thousandth; after it rounding grows from step to step."""
    assert len(figures(found)) == len(figures(expected)) > 0
    for row, wanted in zip(figures(found), figures(expected), strict=True):
        first = row["step"] == 1
        if "validation" in row:
            assert row["validation"] == pytest.approx(wanted["validation"], abs=5e-3)
            continue
        assert row == pytest.approx(wanted, rel=2e-5 if first else 2e-3, abs=1e-6)
    weights, wanted_weights = (
        torch.load(folder / "final.pt", weights_only=True)["model"] for folder in (found, expected)
    )
    assert list(weights) == list(wanted_weights)
    for name, value in weights.items():
        torch.testing.assert_close(value, wanted_weights[name], rtol=5e-3, atol=1e-4, msg=name)


@pytest.mark.slow
def test_two_processes_train_as_one_with_the_same_batch(stick_people: Path, tmp_path: Path) -> None:
    one = fit(make_settings(stick_people, tmp_path / "one"))
    settings = make_settings(stick_people, tmp_path / "two")
    assert fit_in_processes(settings, 2) == []
    assert_same_run(tmp_path / "two" / "run", one)


@pytest.mark.slow
def test_batch_norm_sees_the_batch_of_all_processes(stick_people: Path, tmp_path: Path) -> None:
    assert fit_in_processes(make_settings(stick_people, tmp_path), 2, NORM) == []


@pytest.mark.slow
def test_two_processes_train_bottom_up_in_parts_and_judge_together(
    stick_people: Path, tmp_path: Path
) -> None:
    source = DataSource(annotations=stick_people / "people.json", images=stick_people / "images")
    changes = {
        "kind": "bottom-up",
        "architecture": "higherhrnet_w16",
        "validation": source,
        "validation_min_height": 10,
        "evaluate_every": 2,
        "workers": 1,
        "accumulate": 2,
    }
    one = fit(make_settings(stick_people, tmp_path / "one", **changes))
    assert fit_in_processes(make_settings(stick_people, tmp_path / "two", **changes), 2) == []
    rows, expected = figures(tmp_path / "two" / "run"), figures(one)
    assert [row["step"] for row in rows] == [row["step"] for row in expected] == [1, 2, 2, 3, 3]
    assert_same_run(tmp_path / "two" / "run", one)


@pytest.mark.slow
@pytest.mark.parametrize(("first", "second"), [(2, 1), (1, 2)])
def test_a_run_goes_on_in_another_number_of_processes(
    stick_people: Path, tmp_path: Path, first: int, second: int
) -> None:
    steady = {"final_learning_rate": 1.0}  # the rate does not depend on the length of the run
    whole = fit(make_settings(stick_people, tmp_path / "whole", **steady))
    half = [Stage(steps=2, input_size=(64, 64), batch=6)]
    assert (
        fit_in_processes(make_settings(stick_people, tmp_path / "parts", stages=half, **steady), first) == []
    )
    (tmp_path / "parts" / "run" / "final.pt").unlink()
    assert fit_in_processes(make_settings(stick_people, tmp_path / "parts", **steady), second) == []
    assert_same_run(tmp_path / "parts" / "run", whole)


@pytest.mark.slow
def test_a_picture_that_one_process_cannot_read_ends_all_and_progress_is_saved(
    stick_people: Path, tmp_path: Path
) -> None:
    content = json.loads((stick_people / "people.json").read_text())
    for image in content["images"]:
        image["file_name"] = str(stick_people / "images" / image["file_name"])
    content["images"][5]["file_name"] = "nowhere.png"
    (tmp_path / "people.json").write_text(json.dumps(content))
    source = DataSource(annotations=tmp_path / "people.json", images=tmp_path)
    long = [Stage(steps=200, input_size=(64, 64), batch=2)]
    settings = make_settings(stick_people, tmp_path, data=[source], stages=long)
    said = fit_in_processes(settings, 2)
    assert len(said) == 2
    assert sum("nowhere.png" in text for text in said) >= 1
    assert all("SourceError" in text or "see its message" in text for text in said)


@pytest.mark.slow
def test_torchrun_trains_from_the_command_line(stick_people: Path, tmp_path: Path) -> None:
    settings = make_settings(stick_people, tmp_path)
    (tmp_path / "run.yaml").write_text(settings.model_dump_json())
    command = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "train", "fit"]
    subprocess.run(
        [sys.executable, *command, str(tmp_path / "run.yaml")],
        check=True,
        cwd=ROOT,
        env=os.environ | {"OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo"},
        timeout=240,
    )
    assert (tmp_path / "run" / "final.pt").is_file()


def test_one_process_keeps_everything_to_itself(stick_people: Path, tmp_path: Path) -> None:
    with join_processes(make_settings(stick_people, tmp_path)) as processes:
        assert (processes.rank, processes.world, processes.first) == (0, 1, True)
        assert processes.gather(processes.take([1, 2, 3])) == [1, 2, 3]
        assert processes.largest(0, 15) == [0, 15]
        assert processes.share("a") == "a"
        assert torch.equal(processes.total(torch.ones(2)), torch.ones(2))


def test_items_that_are_taken_in_turn_come_back_in_their_order(monkeypatch: pytest.MonkeyPatch) -> None:
    items = list(range(7))
    taken = [Processes(rank, 3).take(items) for rank in range(3)]

    def gather(boxes: list, _: object) -> None:
        boxes[:] = [list(share) for share in taken]

    monkeypatch.setattr(distributed.dist, "all_gather_object", gather)
    assert Processes(1, 3).gather(taken[1]) == items


def test_a_lost_process_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("Connection closed by peer")

    monkeypatch.setattr(distributed.dist, "all_reduce", fail)
    with pytest.raises(TrainingError, match=r"process 1 of 2 lost the others \(Connection closed by peer\)"):
        Processes(1, 2).total(torch.ones(1))


def test_a_part_of_torchruns_environment_is_refused(
    stick_people: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("RANK", "0")
    with (
        pytest.raises(UsageError, match="LOCAL_RANK, MASTER_ADDR, MASTER_PORT is not set; start several"),
        join_processes(make_settings(stick_people, tmp_path)),
    ):
        pass


def test_a_gpu_that_is_not_there_is_an_error(
    stick_people: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    settings = make_settings(stick_people, tmp_path, device="cuda")
    assert choose_device(settings, 0) == torch.device("cuda", 0)
    with pytest.raises(UsageError, match=r"process 1 of this machine needs GPU 1, torch .* sees 1"):
        choose_device(settings, 1)


def test_parameters_without_a_say_in_the_losses_are_found(stick_people: Path, tmp_path: Path) -> None:
    class Spare(nn.Module):
        def __init__(self, used: bool) -> None:
            super().__init__()
            self.last, self.spare, self.used = nn.Conv2d(3, 1, 1), nn.Conv2d(3, 1, 1), used

        def forward(self, images: Tensor) -> Tensor:
            return self.last(images) + self.spare(images) * self.used if self.used else self.last(images)

    settings = make_settings(stick_people, tmp_path)
    assert has_unused_parameters(Spare(False), settings)
    assert not has_unused_parameters(Spare(True), settings)
