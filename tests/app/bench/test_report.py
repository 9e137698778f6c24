import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from typer.testing import Result

from app.bench import report
from app.bench.networks import NetworkTiming
from app.bench.stages import StageTiming
from app.bench.timing import Timing
from app.bench.whole import WholeTiming
from app.truth_files import read_truth
from assets import demo_truth
from engine.skeleton import COCO17
from engine.structures import Frame, KeypointState, TrackedPerson
from engine.structures import Result as Tracked

IMAGE = np.zeros((2, 2, 3), np.uint8)


def track_truth(on_result: Callable[[Tracked], None]) -> None:
    for frame, people in read_truth(demo_truth(), COCO17).items():
        if frame >= 60:
            return
        found = tuple(
            TrackedPerson(
                person.track_id, person.keypoints, person.keypoints, np.zeros((17, 2), np.float32),
                np.ones(17, np.float32), np.full(17, KeypointState.MEASURED, np.int8), person.bbox, 1.0, 1.0,
            )
            for person in people
            if person.countable
        )  # fmt: skip
        on_result(Tracked(Frame(IMAGE, frame, frame / 30), found))


@pytest.fixture
def _measured(monkeypatch: pytest.MonkeyPatch) -> None:
    """Put given numbers in the place of measurements."""

    def measure_whole(clip, settings, *, on_result):
        track_truth(on_result)
        stages_ms = {"infer": 5.0, "write": 0.1}
        yield WholeTiming("auto", "int8", 60, 61.7, 64.2, 2.06, stages_ms, {"mode": "top-down"})

    timing = Timing(1.25, 1.0, 9)
    monkeypatch.setattr(report, "measure_stages", lambda *_: [StageTiming("crop", "2 people", timing)])
    monkeypatch.setattr(
        report, "measure_networks", lambda *_: [NetworkTiming("net", "1 x 8x8", "openvino", "int8", timing)]
    )
    monkeypatch.setattr(report, "measure_whole", measure_whole)


@pytest.mark.usefixtures("_measured")
def test_the_report_has_machine_tables_and_accuracy(invoke: Callable[..., Result], tmp_path: Path):
    result = invoke("bench", "--json", tmp_path / "bench.json")
    assert result.exit_code == 0, result.output
    assert "cores" in result.stdout.splitlines()[0]
    for words in ("crop", "1.25", "openvino", "61.7", "2.06", "0 identity switches", "lag:"):
        assert words in result.stdout
    numbers = json.loads((tmp_path / "bench.json").read_text("utf-8"))
    assert set(numbers) == {"machine", "stages", "networks", "end_to_end", "accuracy"}
    assert numbers["end_to_end"][0]["frame_rate"] == 61.7
    assert numbers["accuracy"]["match"]["recall"] == 1.0


def test_without_the_clip_it_says_what_to_do(
    invoke: Callable[..., Result], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(report, "demo_clip", lambda: tmp_path / "none.mp4")
    result = invoke("bench")
    assert result.exit_code == 2 and "install the package again" in result.stderr
