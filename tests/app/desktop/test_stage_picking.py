import numpy as np

from app.desktop.stage_mapping import StageMap
from app.desktop.stage_picking import person_at
from engine.skeleton import Skeleton
from engine.structures import TrackedPerson

PAIR = Skeleton(name="pair", keypoints=("a", "b"), limbs=((0, 1),), flip_pairs=(), oks_sigmas=(0.1, 0.1))
PLACE = StageMap(1.0, 0.0, 0.0, 400, 300)


def person(track_id: int, x: float, box: tuple[float, float, float, float]) -> TrackedPerson:
    keypoints = np.array([[x, 100], [x, 200]], np.float32)
    return TrackedPerson(
        track_id, keypoints, keypoints, keypoints, np.ones(2, np.float32), np.full(2, 2, np.int8),
        np.array(box, np.float32), 1.0, 1.0,
    )  # fmt: skip


FAR, NEAR = person(1, 100, (20, 50, 240, 250)), person(2, 180, (150, 90, 210, 210))


def test_the_nearest_limb_decides_where_boxes_overlap():
    assert person_at([FAR, NEAR], PAIR, PLACE, 176, 150) == 2
    assert person_at([FAR, NEAR], PAIR, PLACE, 103, 150) == 1


def test_away_from_limbs_the_smallest_box_counts():
    assert person_at([FAR, NEAR], PAIR, PLACE, 160, 100) == 2
    assert person_at([FAR, NEAR], PAIR, PLACE, 40, 240) == 1


def test_beside_everybody_there_is_nobody():
    assert person_at([FAR, NEAR], PAIR, PLACE, 390, 20) is None
    assert person_at([], PAIR, PLACE, 10, 10) is None


def test_people_are_found_in_the_mirror_where_they_are_seen():
    mirror = StageMap(1.0, 0.0, 0.0, 400, 300, mirrored=True)
    assert person_at([FAR, NEAR], PAIR, mirror, 400 - 103, 150) == 1


def test_somebody_without_keypoints_is_found_by_the_box():
    lost = person(3, float("nan"), (20, 50, 240, 250))
    assert person_at([lost], PAIR, PLACE, 100, 100) == 3
