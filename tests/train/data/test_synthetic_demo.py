from pathlib import Path

import numpy as np
import pytest

from train.data.synthetic_bodies import Library
from train.data.synthetic_demo import FRAMES, camera_at, cast, oval, truth_header, truth_row
from train.data.synthetic_scene import PersonTruth

BODIES = Path(__file__).parents[4] / "shared" / "data" / "synthetic"
needs_bodies = pytest.mark.skipif(
    not BODIES.is_dir(), reason="the folder of bodies is not beside the checkout"
)


def test_the_oval_is_walked_at_the_speed_of_the_walk_and_closes():
    around = 2 * 3.0 + np.pi * 2.0
    travelled = np.linspace(0, around, 2001)
    path = oval(3.0, 2.0, travelled)
    steps = np.linalg.norm(np.diff(path, axis=0), axis=1)
    np.testing.assert_allclose(steps, around / 2000, rtol=1e-3)
    np.testing.assert_allclose(path[0], [0, -1], atol=1e-9)
    np.testing.assert_allclose(path[-1], path[0], atol=1e-9)
    assert path[1, 0] < path[0, 0]
    np.testing.assert_allclose(np.abs(path).max(0), [2.5, 1.0], atol=1e-3)


def test_a_truth_row_has_a_value_for_every_column():
    truth = PersonTruth(np.arange(34.0).reshape(17, 2), np.full(17, 2), np.array([1.0, 2, 3, 4]), 4.0, 1.0)
    row = dict(zip(truth_header(), truth_row(15, 2, truth), strict=True))
    assert (row["frame"], row["time_s"], row["track_id"]) == ("15", "0.500000", "2")
    assert (row["left_eye_x"], row["left_eye_y"], row["left_eye_visibility"]) == ("2.00", "3.00", "2")
    assert row["bbox_y2"] == "4.00"


def test_a_person_outside_the_frame_has_an_empty_box():
    truth = PersonTruth(np.zeros((17, 2)), np.zeros(17, int), None, 0.0, 0.0)
    assert truth_row(0, 1, truth)[3:7] == [""] * 4


@needs_bodies
@pytest.mark.shared_data
def test_the_people_keep_apart_and_in_view():
    actors = cast(Library(BODIES), 0)
    assert [actor.track_id for actor in actors] == [1, 2, 3]
    for first in actors:
        assert len(first.position) == FRAMES <= len(first.motion)
        for second in actors:
            if first is not second:
                assert np.linalg.norm(first.position - second.position, axis=1).min() > 0.5
        for frame in range(0, FRAMES, 20):
            x, z = first.position[frame]
            points, _ = camera_at(frame).project(np.array([[x, 0.0, z], [x, 1.7, z]]))
            assert (points[:, 0] > 50).all() and (points[:, 0] < 1230).all()
            assert (points[:, 1] > 0).all() and (points[:, 1] < 720).all()


@needs_bodies
@pytest.mark.shared_data
def test_nothing_in_the_clip_comes_under_a_licence_that_asks_for_notices():
    for actor in cast(Library(BODIES), 0):
        assert "mit_" not in actor.motion.name


@needs_bodies
@pytest.mark.shared_data
def test_standing_feet_do_not_slide_on_the_straights():
    library = Library(BODIES)
    walker = cast(library, 0)[0]
    ankles = []
    for frame in range(25, 45):
        pose = walker.figure.pose_in_clip(
            walker.motion, frame, walker.position[frame].tolist(), walker.yaw[frame]
        )
        ankles.append([pose.heads[library.bones.index(f"foot.{side}")] for side in "LR"])
    track = np.array(ankles)
    speed = np.linalg.norm(np.diff(track[..., [0, 2]], axis=0), axis=2) * 30
    # One foot stands while the other swings at more than 2 m/s.
    assert np.median(speed.min(1)) < 0.35
    assert speed.max() > 2
