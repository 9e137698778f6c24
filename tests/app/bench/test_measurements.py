import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from typer.testing import Result

from app.bench import stages, timing, whole
from app.bench.networks import NetworkTiming, measure_networks, with_ratios
from app.bench.report import network_table, stage_table, whole_table
from app.bench.soak import MemorySample, RepeatedSource, growth_mib
from app.bench.stages import frame_at, measure_stages
from app.bench.synthetic import crop_heatmaps, crowd_outputs, walking_people
from app.bench.timing import Timing
from app.bench.whole import measure_whole
from engine.decode.bottom_up import decode_bottom_up
from engine.model_file import HeatmapOutput, ModelSpec, TagOutput
from engine.settings import EstimatorSettings
from engine.skeleton import COCO17

FRAMES = 24


@pytest.fixture
def settings(top_down_file: Path, bottom_up_file: Path, monkeypatch: pytest.MonkeyPatch) -> EstimatorSettings:
    monkeypatch.setattr(timing, "BUDGET_S", 0.0)
    return EstimatorSettings(
        top_down_model=str(top_down_file), bottom_up_model=str(bottom_up_file), threads=1
    )


def test_every_stage_is_measured(settings: EstimatorSettings, clip: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(stages, "CROWD_MAP", 64)
    rows = list(measure_stages(clip, settings))
    assert [row.stage for row in rows] == [
        "read a frame", "crop", "decode crops", "letterbox", "decode frame", "decode frame",
        "of it, peaks and grouping", "track and smooth", "track and smooth", "write CSV",
    ]  # fmt: skip
    assert all(0 < row.timing.min_ms <= row.timing.median_ms for row in rows)
    table = stage_table(rows)
    assert "10 people, 6x64x64" in table and len(table.splitlines()) == 2 + len(rows)
    assert json.loads(json.dumps([row.as_dict() for row in rows]))[0]["runs"] == FRAMES


def test_networks_are_measured_on_all_runtimes_and_compared(settings: EstimatorSettings, clip: Path):
    rows = list(measure_networks(frame_at(clip, 0.5), settings))
    assert {row.runtime for row in rows} == {"openvino", "onnxruntime"}
    assert {row.inputs for row in rows if row.model == "markers-td"} == {
        "1 x 128x96", "2 x 128x96", "4 x 128x96",
    }  # fmt: skip
    assert {row.model for row in rows} == {"markers-td", "markers-bu"}
    assert all(row.ratio >= 1.0 for row in rows)
    assert len(network_table(rows).splitlines()) == 2 + len(rows)


def test_ratios_are_to_the_fastest_which_comes_first():
    slow, fast = (
        NetworkTiming("net", "1 x 8x8", runtime, "fp32", Timing(ms, ms, 5))
        for runtime, ms in (("a", 30.0), ("b", 10.0))
    )
    assert [(row.runtime, row.ratio) for row in with_ratios([slow, fast])] == [("b", 1.0), ("a", 3.0)]


def test_the_whole_path_is_measured_in_every_mode(
    settings: EstimatorSettings, clip: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(whole, "RUNS", 1)
    seen = []
    rows = list(measure_whole(clip, settings, on_result=seen.append))
    assert [(row.mode, row.frames) for row in rows] == [(mode, FRAMES) for mode in whole.MODES]
    assert [row.choice["mode"] for row in rows] == ["top-down", "top-down", "bottom-up"]
    assert [result.frame.index for result in seen] == list(range(FRAMES))
    assert all(row.precision == "fp32" and row.frame_rate > 0 for row in rows)
    assert {"decode_source", "infer", "track", "write"} <= set(rows[0].stages_ms)
    assert "bottom-up" in whole_table(rows) and "infer ms" in whole_table(rows)
    json.dumps([row.as_dict() for row in rows])


def test_a_repeated_clip_is_one_long_source(clip: Path):
    frames = list(RepeatedSource(clip, duration_s=2.0))
    assert [frame.index for frame in frames] == list(range(60))
    np.testing.assert_allclose([frame.time_s for frame in frames], np.arange(60) / 30, atol=1e-6)


def test_growth_is_told_from_where_memory_has_settled():
    samples = [MemorySample(time_s, mib) for time_s, mib in ((0, 100), (10, 190), (30, 200), (60, 203.5))]
    assert growth_mib(samples) == pytest.approx(3.5)


def test_a_soak_watches_memory_and_writes_its_numbers(
    invoke: Callable[..., Result], clip: Path, models: tuple[object, ...], tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
):  # fmt: skip
    monkeypatch.setattr("app.bench.soak.demo_clip", lambda: clip)
    result = invoke("bench", "--soak", 0.05, "--json", tmp_path / "soak.json", *models)
    assert result.exit_code == 0, result.output
    assert "90 frames" in result.stdout and "MiB" in result.stdout
    numbers = json.loads((tmp_path / "soak.json").read_text("utf-8"))
    assert numbers["frames"] == 90 and len(numbers["samples"]) == 11


def test_numbers_that_could_not_be_written_are_not_measured(
    invoke: Callable[..., Result], tmp_path: Path, models: tuple[object, ...]
):
    for extra in ((), ("--soak", 1)):
        result = invoke("bench", "--json", tmp_path / "none" / "bench.json", *extra, *models)
        assert result.exit_code == 2 and "--json" in result.stderr


def test_the_crowd_made_of_numbers_is_grouped_into_as_many_people():
    spec = ModelSpec(
        name="crowd", architecture="none", kind="bottom-up", input_size=(512, 512),
        mean=(0, 0, 0), std=(1, 1, 1),
        heatmap_outputs=(HeatmapOutput(name="a", stride=4), HeatmapOutput(name="b", stride=2)),
        tag_outputs=(TagOutput(name="t", stride=4),), skeleton=COCO17, licence="none", training_data="none",
    )  # fmt: skip
    outputs = crowd_outputs(spec, count=10, size=256)
    assert {name: value.shape[-1] for name, value in outputs.items()} == {"a": 128, "b": 256, "t": 128}
    people = decode_bottom_up(outputs, np.eye(2, 3), (512, 512), spec, min_peak_score=0.1, max_people=30)
    assert len(people) == 10


def test_walkers_made_of_numbers_move_and_keep_their_shape():
    frames = list(walking_people(COCO17, count=3, frames=30))
    assert all(len(people) == 3 for people in frames)
    first, last = frames[0][1].keypoints, frames[-1][1].keypoints
    step = (last - first).mean(axis=0)
    assert abs(step[0]) > 5
    np.testing.assert_allclose(last - step, first, atol=8.0)


def test_maps_made_of_numbers_follow_the_strides_and_are_not_square():
    spec = ModelSpec(
        name="wide", architecture="none", kind="bottom-up", input_size=(64, 128),
        mean=(0, 0, 0), std=(1, 1, 1),
        heatmap_outputs=(HeatmapOutput(name="a", stride=4), HeatmapOutput(name="b", stride=2)),
        tag_outputs=(TagOutput(name="t", stride=4),), skeleton=COCO17, licence="none", training_data="none",
    )  # fmt: skip
    outputs = crowd_outputs(spec, count=2, size=(32, 64))
    assert {name: value.shape for name, value in outputs.items()} == {
        "a": (1, 17, 16, 32), "b": (1, 17, 32, 64), "t": (1, 17, 16, 32),
    }  # fmt: skip
    maps = crop_heatmaps(spec, 3, (24, 16))
    assert maps.shape == (3, 17, 24, 16) and maps.dtype == np.float32
    peaks = maps.reshape(3, 17, -1).max(axis=2)
    assert peaks.min() > 0.4 and peaks.max() <= 0.95
