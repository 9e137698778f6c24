"""Identity figures of sequences small enough to count by hand."""

import numpy as np
import pytest

from engine.errors import UsageError
from engine.metrics.mot import MotMeter
from engine.metrics.walking import Walker
from engine.skeleton import COCO17
from engine.structures import TrackedPerson

PAIR = [Walker((200.0, 500.0), speed=0.0), Walker((700.0, 500.0), speed=0.0)]
POSES = np.stack([walker.keypoints(0.0) for walker in PAIR])
BOXES = np.concatenate([POSES.min(axis=1), POSES.max(axis=1)], axis=1)
VALID = np.ones((2, 17), bool)


def tracked(track_id: int, place: int, shift: float = 0.0) -> TrackedPerson:
    keypoints = (POSES[place] + shift).astype(np.float32)
    nothing = np.zeros((17, 2), np.float32)
    return TrackedPerson(
        track_id, keypoints, keypoints, nothing, np.ones(17, np.float32), np.full(17, 2, np.int8),
        (BOXES[place] + shift).astype(np.float32), 0.9, 1.0,
    )  # fmt: skip


def measure(frames: list[list[TrackedPerson]], **options: object):
    meter = MotMeter(COCO17, **options)
    for people in frames:
        meter.add([1, 2], POSES, VALID, BOXES, people)
    return meter.figures()


@pytest.mark.parametrize("how", ["oks", "iou"])
def test_perfect_tracks_have_perfect_figures(how: str) -> None:
    figures = measure([[tracked(7, 0, 1.0), tracked(9, 1)]] * 10, measure=how)
    assert (figures.frames, figures.truths, figures.matches) == (10, 20, 20)
    assert (figures.switches, figures.misses, figures.false_positives) == (0, 0, 0)
    assert figures.mota == 1 and figures.idf1 == 1


def test_exchanged_ids_are_two_switches_and_cost_half_of_idf1() -> None:
    figures = measure([[tracked(7, 0), tracked(9, 1)]] * 5 + [[tracked(9, 0), tracked(7, 1)]] * 5)
    assert figures.switches == 2
    assert figures.mota == pytest.approx(1 - 2 / 20)
    assert figures.idf1 == pytest.approx(0.5)


def test_misses_and_strangers_are_counted() -> None:
    figures = measure([[tracked(7, 0)]] * 4 + [[tracked(7, 0), tracked(9, 1, 400.0)]])
    assert (figures.matches, figures.misses, figures.false_positives, figures.switches) == (5, 5, 1, 0)
    assert figures.mota == pytest.approx(1 - 6 / 10)


def test_a_pose_that_is_too_far_off_is_no_match() -> None:
    assert measure([[tracked(7, 0, 25.0), tracked(9, 1)]]).misses == 1
    assert measure([[tracked(7, 0, 25.0), tracked(9, 1)]], min_likeness=0.01).misses == 0


def test_frames_without_anybody_are_frames() -> None:
    meter = MotMeter(COCO17)
    meter.add([], np.zeros((0, 17, 2)), np.zeros((0, 17)), np.zeros((0, 4)), [])
    meter.add([1, 2], POSES, VALID, BOXES, [])
    assert (meter.figures().frames, meter.figures().misses) == (2, 2)


def test_without_the_library_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "motmetrics", None)
    with pytest.raises(UsageError, match="pip install"):
        MotMeter(COCO17)
