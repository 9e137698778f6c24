import json
import logging
from pathlib import Path

import numpy as np
import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch import Tensor, nn

from engine.errors import SinkError
from engine.skeleton import COCO17
from train.data.samples import load_sources, make_collate, make_dataset
from train.models import build_network
from train.settings import DataSource, TrainSettings
from train.watching import Clock, Watch, draw_sheet


def settings(folder: Path, kind: str = "top-down", **changes: object) -> TrainSettings:
    values: dict = {
        "name": "x",
        "kind": kind,
        "architecture": "hrnet_w16" if kind == "top-down" else "higherhrnet_w16",
        "data": [DataSource(annotations=folder / "people.json", images=folder / "images")],
        "stages": [{"steps": 1, "input_size": [96, 64], "batch": 2}],
    }
    return TrainSettings.model_validate(values | changes)


def read_curves(folder: Path) -> EventAccumulator:
    events = EventAccumulator(str(folder / "tensorboard"), size_guidance={"images": 0, "scalars": 0})
    events.Reload()
    return events


def test_the_clock_tells_steps_from_waiting_and_leaves_pauses_out(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr("train.watching.time.monotonic", lambda: now[0])
    clock = Clock()
    now[0] += 1.0
    with clock.step(8):
        now[0] += 3.0
    with clock.pause():
        now[0] += 50.0
    assert clock.read() == pytest.approx({"samples_per_s": 2.0, "busy": 0.75})
    now[0] += 2.0
    assert clock.read()["busy"] == 0


def test_the_same_numbers_go_to_the_log_and_to_the_curves(stick_people: Path, tmp_path: Path) -> None:
    with Watch(settings(stick_people), tmp_path, 0) as watch:
        watch.figures(5, {"lr": 0.00123456789, "focal": 1.5})
        watch.validation(5, {"mean_oks": 0.25})
    lines = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert lines == [
        {"step": 5, "lr": 0.00123457, "focal": 1.5},
        {"step": 5, "validation": {"mean_oks": 0.25}},
    ]
    curves = read_curves(tmp_path)
    assert {"train/lr", "train/focal", "validation/mean_oks"} == set(curves.Tags()["scalars"])
    (point,) = curves.Scalars("train/focal")
    assert (point.step, point.value) == (5, 1.5)


def test_a_run_that_goes_on_draws_over_the_curves_it_repeats(stick_people: Path, tmp_path: Path) -> None:
    with Watch(settings(stick_people), tmp_path, 0) as watch:
        watch.figures(1, {"focal": 1.0})
        watch.figures(2, {"focal": 2.0})
    with Watch(settings(stick_people), tmp_path, 1) as watch:
        watch.figures(2, {"focal": 3.0})
    points = [(point.step, point.value) for point in read_curves(tmp_path).Scalars("train/focal")]
    assert points == [(1, 1.0), (2, 3.0)]


def test_without_tensorboard_there_is_a_log_alone(stick_people: Path, tmp_path: Path) -> None:
    with Watch(settings(stick_people, tensorboard=False), tmp_path, 0) as watch:
        watch.figures(1, {"focal": 1.0})
        watch.graph(nn.Conv2d(3, 1, 1), settings(stick_people).stages[0])
    assert [path.name for path in tmp_path.iterdir()] == ["log.jsonl"]


def test_curves_that_cannot_be_written_are_said(stick_people: Path, tmp_path: Path) -> None:
    (tmp_path / "tensorboard").write_text("in the way")
    with pytest.raises(SinkError, match=r"tensorboard cannot be written: .*set tensorboard: false"):
        Watch(settings(stick_people), tmp_path, 0)


@pytest.mark.parametrize("kind", ["top-down", "bottom-up"])
def test_the_graph_and_a_sheet_of_pictures_are_written(stick_people: Path, tmp_path: Path, kind: str) -> None:
    run = settings(stick_people, kind)
    samples = make_dataset(run, run.stages[0], load_sources(run.data, COCO17))
    batch = make_collate(run, run.stages[0])([samples[0], samples[1]])
    torch.manual_seed(0)
    network = build_network(run).eval()
    sheet = draw_sheet(network, run, run.stages[0], batch)
    assert sheet.shape == (2 * 96, 4 * 64, 3) and sheet.dtype == np.uint8
    rows = sheet.reshape(2, 96, 4, 64, 3)
    picture = batch["image"].permute(0, 2, 3, 1).numpy()
    for panel in (0, 2):  # what is asked for is drawn on the picture
        assert (rows[:, :, panel] != picture).any()
    with Watch(run, tmp_path, 0) as watch:
        watch.graph(network, run.stages[0])
        watch.pictures(3, network, run.stages[0], batch)
    tags = read_curves(tmp_path).Tags()
    assert tags["graph"] and tags["images"] == ["samples"]


class Untraceable(nn.Module):
    def forward(self, images: Tensor) -> Tensor:
        raise RuntimeError("no tracing here")


def test_a_network_that_cannot_be_traced_is_logged_with_the_reason(
    stick_people: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING), Watch(settings(stick_people), tmp_path, 0) as watch:
        watch.graph(Untraceable(), settings(stick_people).stages[0])
    assert "the graph of hrnet_w16 cannot be traced: no tracing here" in caplog.text
