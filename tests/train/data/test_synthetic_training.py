import json

import numpy as np
import pytest

from engine.skeleton import COCO17
from train.data.synthetic_scene import PersonTruth
from train.data.synthetic_training import annotation, close_camera, random_camera, random_places, table


def truth(visibility, *, fraction=1.0):
    points = np.stack([np.arange(17) * 10.0, np.arange(17) * 5.0], 1)
    return PersonTruth(points, np.asarray(visibility), np.array([-0.5, 2.0, 99.5, 82.0]), 4000.0, fraction)


def test_labels_follow_the_conventions_of_the_training_data():
    record = annotation(truth([2] * 10 + [1] * 4 + [0] * 3), 7, 3)
    assert record is not None
    assert record["keypoints"][3:6] == [10.0, 5.0, 2]
    assert record["keypoints"][-3:] == [0.0, 0.0, 0]
    assert record["kp_weight"] == [1.0] * 10 + [0.3] * 4 + [0.0] * 3
    assert record["num_keypoints"] == 14
    assert record["bbox"] == [-0.5, 2.0, 100.0, 80.0]
    assert (record["id"], record["image_id"], record["category_id"], record["iscrowd"]) == (7, 3, 1, 0)
    assert record["source"] == "synthetic"
    json.dumps(record)


def test_people_of_whom_nothing_can_be_seen_are_not_labelled():
    assert annotation(truth([1] * 17), 1, 1) is None
    assert annotation(truth([2] * 17, fraction=0.02), 1, 1) is None
    assert annotation(PersonTruth(np.zeros((17, 2)), np.zeros(17, int), None, 0.0, 0.0), 1, 1) is None


def test_cameras_see_whoever_is_placed_before_them():
    rng = np.random.default_rng(0)
    for _ in range(50):
        camera, distance = random_camera(rng)
        places = random_places(rng, camera, distance, 4)
        assert len(places) == 4
        between = [np.hypot(a - c, b - d) for i, (a, b) in enumerate(places) for c, d in places[:i]]
        assert min(between) > 0.4
        points, depth = camera.project(np.array([[x, 1.0, z] for x, z in places]))
        assert (depth > 0.5).all()
        inside = (points > -100).all(1) & (points < np.array(camera.size[::-1]) + 100).all(1)
        assert inside.any()


def test_the_renderer_draws_in_the_order_of_the_skeleton():
    assert COCO17.keypoints[5:7] == ("left_shoulder", "right_shoulder")
    assert annotation(truth([2] * 17), 1, 1)["num_keypoints"] == pytest.approx(COCO17.count)


def test_close_cameras_see_upper_bodies_rather_than_whole_people():
    rng = np.random.default_rng(1)
    heads, feet = 0, 0
    for _ in range(60):
        camera, distance = close_camera(rng)
        points, depth = camera.project(np.array([[0.0, 1.55, distance], [0.0, 0.05, distance]]))
        assert depth[0] > 0.4
        inside = (depth > 0) & (points > 0).all(1) & (points < np.array(camera.size[::-1])).all(1)
        heads, feet = heads + inside[0], feet + inside[1]
    assert heads > 35
    assert feet < heads / 4


def test_a_table_stands_between_the_camera_and_the_person():
    rng = np.random.default_rng(2)
    for _ in range(20):
        assert 0.5 < table(rng, 1.0).vertices[:, 2].mean() < 0.9
