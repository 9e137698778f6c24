"""The table of smoothing: what each row must say of walkers whose truth is known."""

import json
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from app.bench import smoothing
from app.bench.smoothing import (
    SmoothingRow,
    choices,
    find_people,
    measure_choices,
    simulate_walkers,
    smoothing_table,
)
from engine.settings import EstimatorSettings, SmoothingSettings
from engine.skeleton import COCO17

CLIPS = Path(__file__).parents[4] / "shared/data/clips"
FRAMES = 200


def named(name: str) -> list[smoothing.Choice]:
    """Raw keypoints and one choice."""
    return [choice for choice in choices(SmoothingSettings()) if choice.name in ("none", name)]


@pytest.fixture(scope="module")
def rows() -> dict[str, SmoothingRow]:
    people, truth = simulate_walkers()
    people, truth = people[:FRAMES], {index: truth[index] for index in range(FRAMES)}
    return {row.choice: row for row in measure_choices(people, choices(SmoothingSettings()), COCO17, truth)}


@pytest.mark.slow
def test_raw_keypoints_have_all_the_jitter_and_no_lag(rows) -> None:
    assert rows["none"].jitter_share == 1.0 and rows["none"].lag_frames == 0.0


@pytest.mark.slow
def test_kalman_leaves_a_third_of_the_jitter_at_rest_and_lags_less_than_a_frame(rows) -> None:
    assert rows["kalman"].jitter_share <= 0.35 and rows["kalman"].median_share <= 0.35
    assert 0 <= rows["kalman"].lag_frames <= 1.0
    assert rows["kalman"].error_px < rows["none"].error_px


@pytest.mark.slow
def test_offline_leaves_less_has_no_lag_and_is_nearer_to_the_truth(rows) -> None:
    assert rows["kalman, offline"].jitter_share <= 0.25
    assert abs(rows["kalman, offline"].lag_frames) < 0.15
    assert rows["kalman, offline"].error_px < rows["kalman"].error_px
    assert rows["kalman, offline"].median_px < rows["none"].median_px


@pytest.mark.slow
@pytest.mark.parametrize("method", ["kalman", "one-euro"])
def test_the_ends_of_the_scale_lie_on_either_side(rows, method: str) -> None:
    steady, middle, fast = (rows[name] for name in (f"{method}, steady", method, f"{method}, fast"))
    assert steady.rest_jitter_px < middle.rest_jitter_px < fast.rest_jitter_px
    assert steady.lag_frames > middle.lag_frames > fast.lag_frames


def test_without_a_truth_only_jitter_is_told() -> None:
    people, _ = simulate_walkers()
    raw, smoothed = measure_choices(people[:90], named("kalman"), COCO17)
    assert smoothed.rest_jitter_px < 0.5 * raw.rest_jitter_px
    assert np.isnan([smoothed.error_px, smoothed.lag_frames]).all()
    assert smoothing_table([smoothed]).splitlines()[-1].split()[0] == "kalman"


def test_the_bench_prints_both_tables_and_writes_its_numbers(tmp_path, monkeypatch, capsys) -> None:
    people, truth = simulate_walkers()
    short = people[:30], {index: truth[index] for index in range(30)}
    monkeypatch.setattr(smoothing, "simulate_walkers", lambda: short)
    monkeypatch.setattr(smoothing, "find_people", lambda clip, settings: short[0])
    monkeypatch.setattr(smoothing, "read_truth", lambda path, skeleton: short[1])
    path = tmp_path / "numbers.json"
    smoothing.run_smoothing_bench(EstimatorSettings(), json_path=path, console=Console(quiet=True))
    printed = capsys.readouterr().out
    assert "simulated walkers" in printed and "demo clip" in printed
    numbers = json.loads(path.read_text())
    assert [row["choice"] for row in numbers["demo"]] == [row["choice"] for row in numbers["simulated"]]
    assert numbers["demo"][0]["jitter_share"] == 1.0


@pytest.mark.shared_data
@pytest.mark.parametrize("clip", ["sports2d_demo.mp4", "intel_one_by_one_person_detection.mp4"])
def test_on_real_clips_kalman_and_offline_take_most_of_the_jitter(clip: str) -> None:
    path = CLIPS / clip
    if not path.is_file():
        pytest.skip(f"{path} is absent")
    people = find_people(path, EstimatorSettings(mode="top-down", threads=1))
    raw, live, offline = (row.jitter_px for row in measure_choices(people, _three(), COCO17))
    assert live < 0.6 * raw and offline < 0.4 * raw and offline < live


def _three() -> list[smoothing.Choice]:
    return [
        choice
        for choice in choices(SmoothingSettings())
        if choice.name in ("none", "kalman", "kalman, offline")
    ]
