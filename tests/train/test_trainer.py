import json
import logging
import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

import train.trainer as trainer
from engine.errors import SinkError, SourceError, TrainingError, UsageError
from engine.stopping import RunStopped
from train.settings import AugmentSettings, DataSource, Stage, TrainSettings
from train.trainer import fit

CALM = AugmentSettings(half_body=0, rotation_probability=0, any_rotation=0, cut=0, cover=0, lose_detail=0)


class Dots(nn.Module):
    """The least that can be trained: one convolution at stride 4, batch norm, and the last layer."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Sequential(nn.Conv2d(3, 8, 4, stride=4), nn.BatchNorm2d(8), nn.ReLU())
        self.final_layer = nn.Conv2d(8, 17, 1)

    def forward(self, images: Tensor) -> Tensor:
        return self.final_layer(self.first(images))


@pytest.fixture
def dots(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trainer, "build_network", lambda settings: Dots())


def make_settings(stick_people: Path, out: Path, **changes: object) -> TrainSettings:
    values: dict = {
        "name": "tiny",
        "kind": "top-down",
        "architecture": "hrnet_w16",
        "data": [DataSource(annotations=stick_people / "people.json", images=stick_people / "images")],
        "augment": CALM,
        "stages": [
            Stage(steps=4, input_size=(64, 64), batch=4),
            Stage(steps=2, input_size=(96, 64), batch=2),
        ],
        "warmup_steps": 2,
        "threads": 1,
        "workers": 0,
        "precision": "fp32",
        "log_every": 1,
        "save_every": 2,
        "tensorboard": False,
        "out": out,
    }
    return TrainSettings.model_validate(values | changes)


def read(path: Path) -> dict:
    return torch.load(path, weights_only=True)


def rows(folder: Path) -> list[dict]:
    """The log without what depends on the clock."""
    lines = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    return [{k: v for k, v in row.items() if k not in {"samples_per_s", "busy"}} for row in lines]


def interrupt_after(monkeypatch: pytest.MonkeyPatch, steps: int, number: signal.Signals) -> None:
    """Let a signal arrive during a step."""
    take_step = trainer.take_step

    def take(*arguments: object, **options: object) -> object:
        if options["step"] == steps - 1:
            os.kill(os.getpid(), number)
        return take_step(*arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(trainer, "take_step", take)


@pytest.mark.usefixtures("dots")
@pytest.mark.parametrize(
    "changes",
    [
        {"save_every": 100},
        {"ema": 0.0, "accumulate": 2, "log_every": 2},
        {"schedule": "multi-step", "milestones": [2, 5], "optimizer": "sgd", "nesterov": True, "workers": 1},
    ],
    ids=["adamw", "accumulated", "sgd"],
)
def test_a_run_that_was_stopped_goes_on_to_the_same_numbers(
    stick_people: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changes: dict
) -> None:
    whole = fit(make_settings(stick_people, tmp_path / "whole", **changes))
    halves = make_settings(stick_people, tmp_path / "halves", **changes)
    with monkeypatch.context() as patch:
        interrupt_after(patch, 3, signal.SIGTERM)
        with pytest.raises(RunStopped, match="stopped at step 3 of 6; the same command goes on") as caught:
            fit(halves)
    assert caught.value.exit_code == 143
    folder = tmp_path / "halves" / "tiny"
    assert read(folder / "last.pt")["step"] == 3
    torch.manual_seed(99)
    assert fit(halves) == folder
    first, second = read(whole / "final.pt"), read(folder / "final.pt")
    assert rows(folder) == rows(whole)
    for part in ("model", "ema"):
        torch.testing.assert_close(second[part], first[part], rtol=0, atol=0)
    torch.testing.assert_close(second["optimizer"]["state"], first["optimizer"]["state"], rtol=0, atol=0)
    assert torch.equal(second["random"], first["random"])


@pytest.mark.slow
def test_a_run_of_hrnet_that_was_stopped_goes_on_to_the_same_weights(
    stick_people: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = fit(make_settings(stick_people, tmp_path / "whole", precision="bf16"))
    halves = make_settings(stick_people, tmp_path / "halves", precision="bf16")
    with monkeypatch.context() as patch:
        interrupt_after(patch, 5, signal.SIGINT)
        with pytest.raises(RunStopped) as caught:
            fit(halves)
    assert caught.value.exit_code == 130
    assert rows(fit(halves)) == rows(whole)
    first, second = read(whole / "final.pt"), read(tmp_path / "halves" / "tiny" / "final.pt")
    torch.testing.assert_close(second["ema"], first["ema"], rtol=0, atol=0)


@pytest.mark.usefixtures("dots")
def test_the_log_says_how_busy_the_network_was(stick_people: Path, tmp_path: Path) -> None:
    folder = fit(make_settings(stick_people, tmp_path))
    logged = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    assert [row["step"] for row in logged] == [1, 2, 3, 4, 5, 6]
    for row in logged:
        assert {"lr", "cross_entropy", "focal", "gradient_norm", "samples_per_s", "busy"} <= row.keys()
        assert 0 < row["busy"] <= 1


@pytest.mark.usefixtures("dots")
def test_a_complete_run_is_left_alone(
    stick_people: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    settings = make_settings(stick_people, tmp_path)
    folder = fit(settings)
    before = {path.name: path.stat().st_mtime_ns for path in folder.iterdir()}
    with caplog.at_level(logging.INFO):
        assert fit(settings) == folder
    assert {path.name: path.stat().st_mtime_ns for path in folder.iterdir()} == before
    assert "tiny is complete" in caplog.text and "holds step 6" in caplog.text


@pytest.mark.usefixtures("dots")
def test_the_best_weights_on_the_validation_pictures_are_kept(stick_people: Path, tmp_path: Path) -> None:
    source = DataSource(annotations=stick_people / "people.json", images=stick_people / "images")
    folder = fit(
        make_settings(stick_people, tmp_path, validation=source, validation_min_height=10, evaluate_every=3)
    )
    judged = {row["step"]: row["validation"] for row in rows(folder) if "validation" in row}
    assert set(judged) == {3, 6}
    best = read(folder / "best.pt")
    assert best["best"] == max(figures["mean_oks"] for figures in judged.values())
    assert judged[best["step"]]["mean_oks"] == best["best"]


@pytest.mark.usefixtures("dots")
def test_numbers_that_overflow_end_the_run_with_the_last_good_state_named(
    stick_people: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = make_settings(stick_people, tmp_path, optimizer="sgd", clip_norm=None, loss="mse")
    rate = trainer.learning_rate
    monkeypatch.setattr(
        trainer, "learning_rate", lambda s, plan, step: rate(s, plan, step) if step != 2 else 1e38
    )
    with pytest.raises(
        TrainingError, match=r"the loss mse of step 4 is (inf|nan); .*last\.pt holds the good state of step 2"
    ):
        fit(settings)
    kept = read(tmp_path / "tiny" / "last.pt")
    assert kept["step"] == 2
    assert all(value.isfinite().all() for value in kept["model"].values())


def _lose_samples_from(
    monkeypatch: pytest.MonkeyPatch, number: int, make_error: Callable[[], Exception]
) -> None:
    import train.feeding as feeding

    make_dataset = feeding.make_dataset

    def make(*arguments: object) -> object:
        samples = make_dataset(*arguments)  # type: ignore[arg-type]

        class Samples:
            def __getitem__(self, index: int) -> object:
                if index >= number:
                    raise make_error()
                return samples[index]

        return Samples()

    monkeypatch.setattr(feeding, "make_dataset", make)


@pytest.mark.usefixtures("dots")
@pytest.mark.parametrize("workers", [0, 1])
def test_progress_is_saved_before_a_picture_that_cannot_be_read_ends_the_run(
    stick_people: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, workers: int
) -> None:
    _lose_samples_from(monkeypatch, 12, lambda: SourceError("image 7.png is missing"))
    with pytest.raises(SourceError, match=r"^image 7\.png is missing$"):
        fit(make_settings(stick_people, tmp_path, workers=workers, save_every=100))
    assert read(tmp_path / "tiny" / "last.pt")["step"] == 3


@pytest.mark.usefixtures("dots")
def test_data_without_people_are_refused_before_anything_is_trained(
    stick_people: Path, tmp_path: Path
) -> None:
    content = json.loads((stick_people / "people.json").read_text())
    (tmp_path / "people.json").write_text(json.dumps(content | {"annotations": []}))
    source = DataSource(annotations=tmp_path / "people.json", images=stick_people / "images")
    with pytest.raises(UsageError, match="no labelled person in the training data"):
        fit(make_settings(stick_people, tmp_path, data=[source]))
    assert not (tmp_path / "tiny" / "last.pt").exists()


@pytest.mark.usefixtures("dots")
def test_a_full_disk_ends_the_run_and_leaves_the_older_checkpoint(
    stick_people: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import train.checkpoint as checkpoint

    calls: list[int] = []

    def sync(number: int) -> None:
        calls.append(number)
        if len(calls) > 1:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(checkpoint.os, "fsync", sync)
    with pytest.raises(SinkError, match=r"last\.pt cannot be written: No space left on device; the older"):
        fit(make_settings(stick_people, tmp_path))
    folder = tmp_path / "tiny"
    assert read(folder / "last.pt")["step"] == 2
    assert not list(folder.glob(".*.tmp"))


@pytest.mark.usefixtures("dots")
def test_ohkm_cannot_keep_more_keypoints_than_there_are(stick_people: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="ohkm_top is 18, but skeleton coco17 has 17 keypoints"):
        fit(make_settings(stick_people, tmp_path, loss="ohkm", ohkm_top=18))


def test_half_precision_needs_a_gpu(stick_people: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="precision fp16 needs a GPU; on the CPU take bf16 or fp32"):
        fit(make_settings(stick_people, tmp_path, precision="fp16", device="cpu"))


@pytest.mark.usefixtures("dots")
def test_a_deterministic_run_tells_torch_so_and_the_next_run_takes_it_back(
    stick_people: Path, tmp_path: Path
) -> None:
    fit(make_settings(stick_people, tmp_path / "a", deterministic=True))
    assert torch.are_deterministic_algorithms_enabled()
    fit(make_settings(stick_people, tmp_path / "b"))
    assert not torch.are_deterministic_algorithms_enabled()


@pytest.mark.usefixtures("dots")
def test_a_run_starts_from_the_weights_of_another(stick_people: Path, tmp_path: Path) -> None:
    one = [Stage(steps=1, input_size=(64, 64), batch=4)]
    first = fit(make_settings(stick_people, tmp_path, stages=one))
    copied = shutil.copy(first / "final.pt", tmp_path / "init.pt")
    changes = {"stages": one, "learning_rate": 1e-12, "weight_decay": 0, "ema": 0}
    started = make_settings(
        stick_people, tmp_path, name="second", init_weights=copied, init_part="all", **changes
    )
    before, after = read(copied)["ema"], read(fit(started) / "final.pt")["model"]
    torch.testing.assert_close(after["final_layer.weight"], before["final_layer.weight"])


@pytest.mark.parametrize(
    ("kind", "architecture", "loss"),
    [
        ("top-down", "hrnet_w16", "ohkm"),
        ("bottom-up", "higherhrnet_w16", "cross-entropy+focal"),
    ],
)
def test_the_networks_of_the_papers_take_steps(
    stick_people: Path, tmp_path: Path, kind: str, architecture: str, loss: str
) -> None:
    stages = [Stage(steps=1, input_size=(64, 64), batch=2)]
    settings = make_settings(
        stick_people, tmp_path, kind=kind, architecture=architecture, loss=loss, stages=stages
    )
    assert (fit(settings) / "final.pt").is_file()


@pytest.mark.slow
def test_a_network_learns_a_few_stick_people_by_heart(stick_people: Path, tmp_path: Path) -> None:
    settings = make_settings(
        stick_people,
        tmp_path,
        stages=[Stage(steps=150, input_size=(128, 96), batch=8, heatmap_sigma=1.2)],
        warmup_steps=20,
        ema=0.9,
        precision="bf16",
        augment=CALM.model_copy(update={"colour_probability": 0.0}),
        validation=DataSource(annotations=stick_people / "people.json", images=stick_people / "images"),
        evaluate_every=150,
    )
    figures = [row["validation"] for row in rows(fit(settings)) if "validation" in row][-1]
    assert figures["mean_oks"] > 0.8
