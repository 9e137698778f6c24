import json
from pathlib import Path

import pytest
import torch

from train.settings import AugmentSettings, DataSource, Stage, TrainSettings
from train.trainer import fit, learning_rate

CALM = AugmentSettings(half_body=0, rotation_probability=0, any_rotation=0, cut=0, cover=0, lose_detail=0)


def make_settings(stick_people: Path, out: Path, **changes: object) -> TrainSettings:
    values: dict = {
        "name": "tiny",
        "kind": "top-down",
        "architecture": "hrnet_w16",
        "data": [DataSource(annotations=stick_people / "people.json", images=stick_people / "images")],
        "augment": CALM,
        "stages": [
            Stage(steps=3, input_size=(64, 64), batch=4),
            Stage(steps=3, input_size=(96, 64), batch=2),
        ],
        "warmup_steps": 2,
        "threads": 1,
        "workers": 0,
        "precision": "bf16",
        "save_every": 2,
        "out": out,
    }
    return TrainSettings.model_validate(values | changes)


def weights(path: Path) -> dict[str, torch.Tensor]:
    return torch.load(path, weights_only=True)["ema"]


def test_a_run_that_was_stopped_goes_on_to_the_same_weights(stick_people: Path, tmp_path: Path) -> None:
    whole = fit(make_settings(stick_people, tmp_path / "whole"))
    settings = make_settings(stick_people, tmp_path / "halves")
    folder = fit(settings)
    # Put the state after step 4 in place of the last one and go on from there.
    partial = make_settings(stick_people, tmp_path / "partial")
    torch.manual_seed(99)
    stopped = _stop_after(partial, 4)
    resumed = fit(partial)
    assert stopped == 4
    expected = weights(whole / "final.pt")
    torch.testing.assert_close(weights(folder / "final.pt"), expected, rtol=0, atol=0)
    torch.testing.assert_close(weights(resumed / "final.pt"), expected, rtol=0, atol=0)


def _stop_after(settings: TrainSettings, steps: int) -> int:
    """Run until a checkpoint of `steps` is written, as if the process was killed right after it."""
    import train.trainer as trainer

    class Killed(Exception):
        pass

    original = trainer._save

    def save(path: Path, *arguments: object) -> None:
        original(path, *arguments)
        if arguments[3] == steps:
            raise Killed

    trainer._save = save
    try:
        with pytest.raises(Killed):
            fit(settings)
    finally:
        trainer._save = original
    return int(torch.load(settings.out / settings.name / "last.pt", weights_only=True)["step"])


@pytest.mark.parametrize(
    ("kind", "architecture", "loss"),
    [
        ("top-down", "hrnet_w16", "mse"),
        ("top-down", "hrnet_w16", "ohkm"),
        ("bottom-up", "higherhrnet_w16", "cross-entropy+focal"),
        ("bottom-up", "higherhrnet_w16", "mse"),
    ],
)
def test_every_loss_takes_steps(
    stick_people: Path, tmp_path: Path, kind: str, architecture: str, loss: str
) -> None:
    stages = [Stage(steps=2, input_size=(64, 64), batch=2)]
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
        threads=0,
        augment=CALM.model_copy(update={"colour_probability": 0.0}),
        validation=DataSource(annotations=stick_people / "people.json", images=stick_people / "images"),
        evaluate_every=150,
    )
    folder = fit(settings)
    rows = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    figures = [row["validation"] for row in rows if "validation" in row][-1]
    assert figures["mean_oks"] > 0.8


def test_the_learning_rate_warms_up_and_falls(stick_people: Path, tmp_path: Path) -> None:
    settings = make_settings(stick_people, tmp_path)
    rates = [learning_rate(settings, step) for step in range(7)]
    assert rates[0] == pytest.approx(settings.learning_rate / 2)
    assert rates[1] == rates[2] == pytest.approx(settings.learning_rate)
    assert rates[2:] == sorted(rates[2:], reverse=True)
    assert rates[6] == pytest.approx(settings.learning_rate * settings.final_learning_rate)
