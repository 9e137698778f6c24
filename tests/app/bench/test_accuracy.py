import json
import sys
from pathlib import Path

import numpy as np
import pytest

from app.bench.accuracy import AccuracyMeter, accuracy_text
from app.truth import TruePerson
from app.truth_files import read_truth
from assets import demo_truth
from engine.skeleton import COCO17
from engine.structures import Frame, KeypointState, Result, TrackedPerson

IMAGE = np.zeros((2, 2, 3), np.uint8)
FRAMES = 90


@pytest.fixture(scope="module")
def truth() -> dict[int, list[TruePerson]]:
    return read_truth(demo_truth(), COCO17)


def meter_of(truth: dict[int, list[TruePerson]], noise_px: float, delay: int = 0) -> AccuracyMeter:
    """A meter that saw the truth with noise as raw keypoints, and late by `delay` frames as smoothed ones."""
    meter, rng = AccuracyMeter(demo_truth()), np.random.default_rng(0)
    for index in range(10, FRAMES):
        before = {person.track_id: person for person in truth[index - delay]}
        people = []
        for person in truth[index]:
            late = before[person.track_id].keypoints
            raw = person.keypoints + rng.normal(0, noise_px, (17, 2)).astype(np.float32)
            people.append(
                TrackedPerson(
                    person.track_id, late, raw, np.zeros((17, 2), np.float32), np.ones(17, np.float32),
                    np.full(17, KeypointState.MEASURED, np.int8), person.bbox, 1.0, 1.0,
                )
            )  # fmt: skip
        meter.add(Result(Frame(IMAGE, index, index / 30), tuple(people)))
    return meter


def test_the_truth_itself_is_perfect_and_noise_is_measured(truth: dict[int, list[TruePerson]]):
    accuracy = meter_of(truth, noise_px=2.0).measure()
    smoothness = accuracy.smoothness
    assert (accuracy.match.recall, accuracy.match.switches, accuracy.match.extra) == (1.0, 0, 0)
    assert smoothness.error_px == 0 and smoothness.jitter_px == 0
    assert smoothness.raw_jitter_px == pytest.approx(2.0 * np.sqrt(2), rel=0.05)
    assert smoothness.raw_error_px == pytest.approx(2.0 * np.sqrt(2), rel=0.05)
    assert smoothness.lag_frames == pytest.approx(0.0, abs=0.05)


def test_lag_is_counted_in_frames(truth: dict[int, list[TruePerson]]):
    assert meter_of(truth, noise_px=0.2, delay=2).measure().smoothness.lag_frames == pytest.approx(
        2.0, abs=0.1
    )


def test_identities_are_counted_by_motmetrics(truth: dict[int, list[TruePerson]]):
    pytest.importorskip("motmetrics")
    identities = meter_of(truth, noise_px=0.0).measure().identities
    assert identities is not None
    assert (identities.mota, identities.idf1, identities.switches) == (1.0, 1.0, 0)


def test_without_motmetrics_the_rest_is_told_and_how_to_get_it(
    truth: dict[int, list[TruePerson]], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setitem(sys.modules, "motmetrics", None)
    accuracy = meter_of(truth, noise_px=1.0).measure()
    assert accuracy.identities is None and accuracy.match.recall == 1.0
    assert "pip install motmetrics" in accuracy_text(accuracy)


def test_figures_go_into_json_and_words(truth: dict[int, list[TruePerson]], tmp_path: Path):
    accuracy = meter_of(truth, noise_px=1.0, delay=1).measure()
    numbers = json.loads(json.dumps(accuracy.as_dict(), allow_nan=False))
    assert numbers["match"]["recall"] == 1.0 and numbers["smoothness"]["lag_frames"] == pytest.approx(
        1, abs=0.1
    )
    text = accuracy_text(accuracy)
    assert "100.0 %" in text and "jitter: raw" in text and "lag:" in text
