"""People who cross and hide each other."""

import pytest

from engine.metrics.walking import Walker
from engine.settings import TrackerSettings
from engine.skeleton import COCO17
from engine.tracking.tracker import Tracker


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("fps", [15.0, 30.0])
def test_two_people_cross_and_keep_their_ids(scene_of, watch, seed: int, fps: float, times) -> None:
    near, far = Walker((200.0, 620.0), 150.0), Walker((800.0, 600.0), -140.0, 285.0, phase=seed)
    ids = watch(
        Tracker(TrackerSettings(), COCO17), scene_of(near, far, seed=seed, hide_iou=0.25), times(0, 4, fps)
    )
    assert ids == {0: {1}, 1: {2}}


@pytest.mark.parametrize("speeds", [(120.0, -100.0), (90.0, -60.0), (200.0, 40.0)])
def test_someone_fully_hidden_while_crossing_keeps_the_id(
    scene_of, watch, speeds: tuple[float, float], times
) -> None:
    first, second = speeds
    meet = 2.5
    near = Walker((600.0 - first * meet, 620.0), first)
    far = Walker((600.0 - second * meet, 605.0), second, 285.0, phase=1.0)
    scene = scene_of(near, far, hide_iou=0.2)
    hidden_s = sum(len(scene.people(float(t))) == 1 for t in times(0, 5)) / 30.0
    assert hidden_s >= 0.5
    assert watch(Tracker(TrackerSettings(), COCO17), scene, times(0, 5)) == {0: {1}, 1: {2}}


def test_three_people_cross_and_keep_their_ids(scene_of, watch, times) -> None:
    scene = scene_of(
        Walker((200.0, 640.0), 150.0, 310.0),
        Walker((1000.0, 620.0), -170.0, 300.0, phase=1.0),
        Walker((560.0, 600.0), 0.0, 290.0),
        hide_iou=0.25,
    )
    ids = watch(Tracker(TrackerSettings(), COCO17), scene, times(0, 5))
    assert {walker: len(found) for walker, found in ids.items()} == {0: 1, 1: 1, 2: 1}
    assert len(set.union(*ids.values())) == 3
