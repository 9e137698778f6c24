import numpy as np
import pytest

from app.desktop.trails import MAX_POINTS, Trails
from engine.skeleton import COCO17
from engine.structures import TrackedPerson


def person_at(x: float, y: float, track_id: int = 1, *, hips: bool = True) -> TrackedPerson:
    keypoints = np.full((17, 2), (x, y), np.float32)
    keypoints[9] += 50
    if not hips:
        keypoints[11:13] = np.nan
    return TrackedPerson(
        track_id=track_id,
        keypoints=keypoints,
        raw_keypoints=keypoints,
        velocity=np.zeros((17, 2), np.float32),
        scores=np.ones(17, np.float32),
        state=np.full(17, 2, np.int8),
        bbox=np.array([x - 10, y - 30, x + 30, y + 30], np.float32),
        score=1.0,
        age_s=1.0,
    )


def walk(trails: Trails, times: list[float], **options: bool) -> None:
    for time_s in times:
        trails.add([person_at(100 * time_s, 20, **options)], COCO17, time_s)


def test_a_trail_goes_from_the_oldest_to_the_newest_point_with_ages_in_shares_of_the_time():
    trails = Trails(seconds=2.0)
    walk(trails, [0.0, 0.25, 0.5])
    ((points, ages),) = trails.paths()[1]
    assert points.tolist() == [[0, 20], [25, 20], [50, 20]]
    assert ages == pytest.approx([0.25, 0.125, 0.0])


def test_what_is_older_than_the_time_remembered_is_forgotten():
    trails = Trails(seconds=1.0)
    walk(trails, [0.1 * step for step in range(31)])
    ((points, _),) = trails.paths()[1]
    assert len(points) == 11
    assert points[0, 0] == pytest.approx(200)


def test_who_left_is_forgotten_after_that_time_too():
    trails = Trails(seconds=1.0)
    walk(trails, [0.0, 0.1, 0.2])
    trails.add([], COCO17, 0.9)
    assert 1 in trails.paths()
    trails.add([], COCO17, 1.3)
    assert not trails.paths()


def test_time_that_goes_back_starts_anew():
    trails = Trails(seconds=5.0)
    walk(trails, [3.0, 3.1, 3.2])
    walk(trails, [1.0])
    assert not trails.paths()
    walk(trails, [1.1])
    ((points, _),) = trails.paths()[1]
    assert points[:, 0] == pytest.approx([100, 110])


def test_the_same_frame_counts_once():
    trails = Trails()
    walk(trails, [0.0, 0.1, 0.1, 0.1])
    assert len(trails.paths()[1][0][0]) == 2


def test_a_gap_breaks_a_trail():
    trails = Trails(seconds=5.0)
    walk(trails, [0.0, 0.1, 1.0, 1.1])
    assert [points[:, 0].tolist() for points, _ in trails.paths()[1]] == [[0, 10], [100, 110]]


def test_a_jump_from_hips_to_the_middle_of_the_box_breaks_a_trail():
    trails = Trails()
    walk(trails, [0.0, 0.1])
    walk(trails, [0.2, 0.3], hips=False)
    assert [points[:, 0].tolist() for points, _ in trails.paths()[1]] == [[0, 10], [30, 40]]


def test_a_keypoint_by_name_is_followed_and_another_one_starts_anew():
    trails = Trails(keypoint="left_wrist")
    walk(trails, [0.0, 0.1])
    assert trails.paths()[1][0][0].tolist() == [[50, 70], [60, 70]]
    trails.change(2.0, "right_wrist")
    assert not trails.paths()


def test_a_shorter_time_forgets_at_once():
    trails = Trails(seconds=5.0)
    walk(trails, [0.1 * step for step in range(21)])
    trails.change(0.55, "")
    assert len(trails.paths()[1][0][0]) == 6


def test_a_missing_keypoint_leaves_no_point():
    trails = Trails(keypoint="left_hip")
    walk(trails, [0.0, 0.1], hips=False)
    assert not trails.paths()


def test_a_trail_is_bounded_whatever_the_frame_rate():
    trails = Trails(seconds=1e6)
    walk(trails, [0.01 * step for step in range(MAX_POINTS + 50)])
    assert len(trails.paths()[1][0][0]) == MAX_POINTS
