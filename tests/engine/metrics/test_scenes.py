"""The scenes on which trackers are measured: exact, repeatable, and hard in the way that they say."""

import numpy as np
import pytest

from engine.metrics.scenes import SCENES, border_scene, camera_scene, occlusion_scene, play
from engine.metrics.simulated_estimator import SimulatedEstimator
from engine.metrics.stage import Actor, Camera, Leg, Scene, Wall, dress
from engine.metrics.walking import Walker
from engine.settings import TrackerSettings


def standing(x: float, nearness: float, clothes: tuple[int, int] = (1, 2)) -> Actor:
    return Actor((Leg(Walker((x, 600.0), 0.0)),), clothes, nearness)


def test_the_nearer_of_two_in_one_place_hides_the_other() -> None:
    truth = Scene("two", (standing(400, 1.0), standing(400, 2.0)), (0.0,)).truth(0.0)
    assert truth.visible[1].all() and not truth.countable[0]
    assert truth.hiders.tolist() == [1, -1]


def test_a_wall_hides_who_is_behind_it_and_nobody_before_it() -> None:
    wall = Wall((300.0, 0.0, 500.0, 720.0), 1.5)
    truth = Scene("wall", (standing(400, 1.0), standing(400, 2.0)), (0.0,), (wall,)).truth(0.0)
    assert not truth.visible[0].any() and truth.visible[1].all()


def test_who_is_outside_the_frame_is_no_part_of_the_truth() -> None:
    truth = Scene("far", (standing(3000, 1.0), standing(400, 1.0)), (0.0,)).truth(0.0)
    assert truth.ids.tolist() == [2] and len(truth.keypoints) == len(truth.boxes) == 1


def test_the_cameras_motion_takes_what_rests_from_frame_to_frame() -> None:
    camera = Camera(pan=(50.0, 10.0), sway_px=30.0)
    scene = Scene("pan", (standing(400, 1.0),), (0.0, 0.5), camera=camera)
    before, now = scene.truth(0.1).keypoints[0], scene.truth(0.4).keypoints[0]
    moved = camera.moved(0.1, 0.4)
    np.testing.assert_allclose(before @ moved[:, :2].T + moved[:, 2], now, atol=1e-9)


def test_clothes_are_told_by_their_garments() -> None:
    one, half, other = dress((1, 2)), dress((1, 3)), dress((4, 5))
    np.testing.assert_allclose(np.linalg.norm(one, axis=1), 1)
    np.testing.assert_array_equal(one[0], half[0])
    assert (one * other).sum() < (one * half).sum() < (one * one).sum()


@pytest.mark.parametrize("name", SCENES)
def test_a_scene_is_the_same_each_time_and_its_reports_too(name: str) -> None:
    def reports() -> list[bytes]:
        scene = SCENES[name](3)
        source = SimulatedEstimator(scene)
        return [
            person.keypoints.tobytes()
            for time_s in scene.times_s[:40]
            for person in source.report(scene.truth(time_s), time_s, [])
        ]

    assert reports() == reports() != []


def test_everybody_in_the_occlusion_is_out_of_sight_for_two_seconds() -> None:
    scene = occlusion_scene()
    sight: dict[int, list[bool]] = {number: [] for number in range(1, 6)}
    for time_s in scene.times_s:
        truth = scene.truth(time_s)
        for number, seen in zip(truth.ids.tolist(), truth.countable.tolist(), strict=True):
            sight[number].append(seen)
    for seen in sight.values():
        first, last = seen.index(True), len(seen) - seen[::-1].index(True)
        assert 1.7 < seen[first:last].count(False) / 30 < 3.0


@pytest.mark.slow
def test_ids_hold_through_two_seconds_out_of_sight_only_while_people_are_remembered() -> None:
    scene = occlusion_scene()
    known, forgotten = play(scene), play(scene, TrackerSettings(keep_reid_s=0.0))
    assert known.idf1 >= 0.9 > 0.75 > forgotten.idf1


@pytest.mark.slow
def test_ids_hold_before_a_panning_camera_only_if_its_motion_is_known() -> None:
    scene = camera_scene()
    told, alone = play(scene), play(scene, TrackerSettings(camera_motion=False))
    assert told.idf1 >= 0.95 and told.switches == 0
    assert alone.idf1 < told.idf1


def test_who_leaves_and_comes_back_is_the_same_and_who_comes_instead_is_not() -> None:
    figures = play(border_scene())
    assert figures.idf1 >= 0.95 and figures.switches == 0


@pytest.mark.slow
@pytest.mark.parametrize(("name", "least"), [("crossing", 0.85), ("slow", 0.9), ("dropped", 0.9)])
@pytest.mark.parametrize("seed", range(3))
def test_ids_hold_where_people_cross(name: str, least: float, seed: int) -> None:
    assert play(SCENES[name](seed)).idf1 >= least
