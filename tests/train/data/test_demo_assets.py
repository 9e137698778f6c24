"""The demo clip that comes with the program, and its truth."""

import csv
from pathlib import Path

import av
import numpy as np
import pytest

from engine.skeleton import COCO17
from train.data.synthetic_demo import truth_header

ASSETS = Path(__file__).parents[3] / "assets"


@pytest.fixture(scope="module")
def rows():
    with open(ASSETS / "demo_truth.csv", newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def keypoints(rows):
    """(frames, people, 17, 3) x, y, visibility."""
    values = [
        [float(row[f"{n}_{p}"]) for n in COCO17.keypoints for p in ("x", "y", "visibility")] for row in rows
    ]
    return np.array(values).reshape(-1, 3, 17, 3)


def test_the_clip_has_as_many_frames_as_its_truth(rows):
    with av.open(str(ASSETS / "demo.mp4")) as container:
        stream = container.streams.video[0]
        times = sorted(
            float(packet.pts * stream.time_base)
            for packet in container.demux(stream)
            if packet.pts is not None
        )
        assert (stream.height, stream.width, float(stream.average_rate)) == (720, 1280, 30.0)
        assert stream.codec_context.name == "h264"
    truth_times = sorted({float(row["time_s"]) for row in rows})
    assert len(times) == len(truth_times) == 360
    np.testing.assert_allclose(times, truth_times, atol=1e-3)


def test_the_truth_has_three_people_in_every_frame(rows):
    assert list(rows[0]) == truth_header()
    assert [(int(row["frame"]), int(row["track_id"])) for row in rows] == [
        (frame, person) for frame in range(360) for person in (1, 2, 3)
    ]


def test_people_are_large_enough_stay_in_the_frame_and_hide_each_other(rows, keypoints):
    boxes = np.array([[float(row[f"bbox_{e}"]) for e in ("x1", "y1", "x2", "y2")] for row in rows])
    height = boxes[:, 3] - boxes[:, 1]
    assert height.min() > 200
    assert height.max() < 560
    assert (boxes[:, :2] > -0.5).all() and (boxes[:, 2] < 1279.5).all() and (boxes[:, 3] < 719.5).all()
    visibility = keypoints[..., 2]
    assert set(np.unique(visibility)) <= {1.0, 2.0}
    assert (visibility[0] == 2).sum(1).min() >= 11
    # At some moment hardly anything of a person can be seen.
    assert (visibility == 2).sum(2).min() <= 4


def test_keypoints_lie_in_their_boxes_and_move_smoothly(rows, keypoints):
    boxes = np.array([[float(row[f"bbox_{e}"]) for e in ("x1", "y1", "x2", "y2")] for row in rows]).reshape(
        -1, 3, 1, 4
    )
    points = keypoints[..., :2]
    assert (points >= boxes[..., :2] - 1).all()
    assert (points <= boxes[..., 2:] + 1).all()
    assert np.linalg.norm(np.diff(points, axis=0), axis=-1).max() < 45


def test_the_clip_is_small_and_says_what_it_was_made_from():
    assert (ASSETS / "demo.mp4").stat().st_size < 6_000_000
    note = (ASSETS / "README.md").read_text(encoding="utf-8")
    for word in ("CC0", "MakeHuman", "mocap.cs.cmu.edu", "Poly Haven", "demo_truth.csv"):
        assert word in note
