"""Tracks of walkers whose truth is known."""

from dataclasses import replace
from functools import partial

import numpy as np
import pytest

from engine.errors import UsageError
from engine.metrics.walking import Walker
from engine.skeleton import COCO17
from train.data.masks import fill_polygons
from train.protocols.posetrack import posetrack_figures, tracking_figures

pytest.importorskip("motmetrics")
FRAMES = 30
WALKERS = [Walker((100.0, 600.0), speed=200.0), Walker((900.0, 600.0), speed=-30.0)]


def walk(stand, respond, *, noise: float = 0.0, absent: range = range(0)):
    rng = np.random.default_rng(0)
    predictions = []
    for frame in range(FRAMES):
        people = []
        for number, walker in enumerate(WALKERS):
            points = walker.keypoints(frame / 25).astype(np.float32)
            box = np.concatenate([points.min(axis=0), points.max(axis=0)])
            person = stand(number, track_id=number, head_size=20.0)
            people.append(replace(person, keypoints=points, bbox=box))
        answered = respond(people, frame=frame, answers=[0] if frame in absent else None)
        moved = tuple(
            replace(p, keypoints=p.keypoints + rng.normal(0, noise, (17, 2)).astype(np.float32))
            for p in answered.people
        )
        predictions.append(replace(answered, people=moved))
    return predictions


def test_walkers_are_followed(stand, respond) -> None:
    figures = tracking_figures(walk(stand, respond, noise=2.0)[::-1], COCO17)
    total = figures["total"]
    assert total["frames"] == FRAMES and total["truths"] == 2 * FRAMES
    assert total["switches"] == 0 and total["false_positives"] == 0
    assert total["mota"] > 0.85 and total["idf1"] > 0.85
    assert 0.5 < total["hota"] < 1 and total["hota"] ** 2 == pytest.approx(
        total["deta"] * total["assa"], rel=0.05
    )
    assert figures["sequences"]["walk"]["mota"] == total["mota"]
    assert figures["keypoint_mota"] > 0.8
    assert figures["jitter_px"] < figures["raw_jitter_px"] == pytest.approx(2 * np.sqrt(2), rel=0.1)
    assert abs(figures["lag_ms"]) < 80


def test_somebody_unseen_is_missed(stand, respond) -> None:
    seen, unseen = walk(stand, respond), walk(stand, respond, absent=range(FRAMES))
    assert tracking_figures(unseen, COCO17)["total"]["misses"] > FRAMES
    assert posetrack_figures(seen, COCO17)["map"] == pytest.approx(1)
    figures = posetrack_figures(unseen, COCO17)
    assert figures["map"] == pytest.approx(0.5)
    assert figures["tracking"]["total"]["mota"] < 0.5
    assert set(figures["ap_by_keypoint"]) == set(COCO17.keypoints)


def test_nothing_is_judged_inside_an_ignore_region(stand, respond) -> None:
    unseen = walk(stand, respond, absent=range(FRAMES))
    region = [[(700, 0), (1279, 0), (1279, 719), (700, 719)]]
    mask = partial(fill_polygons, region)
    covered = [replace(p, label=replace(p.label, ignore_mask=mask)) for p in unseen]
    assert posetrack_figures(covered, COCO17)["map"] == pytest.approx(1)


def test_labels_without_heads_or_tracks_are_refused(stand, respond) -> None:
    with pytest.raises(UsageError, match="head size"):
        posetrack_figures([respond([stand(300)])], COCO17)
    with pytest.raises(UsageError, match="track ids"):
        tracking_figures([respond([stand(300, head_size=20.0)])], COCO17)
