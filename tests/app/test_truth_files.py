import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from app.truth_files import open_truth, read_truth
from app.truth_sequence import find_skeleton, sequence_name
from assets import demo_truth
from engine.errors import SourceError
from engine.sinks.coco import write_coco
from engine.sinks.posetrack import write_posetrack
from engine.sinks.results_file import ResultsFile
from engine.skeleton import COCO17, DEFAULT_OKS_SIGMA, POSETRACK17

Write = Callable[..., Path]
FRAMES = [{1: 300.0, 2: 700.0}, {1: 310.0}, {}, {1: 320.0, 2: 700.0}]


def labels(**changes: Any) -> dict[str, Any]:
    """Two frames of COCO labels with three keypoints of one person."""
    entry = {"image_id": 1, "track_id": 4, "keypoints": [10, 20, 2, 30, 40, 1, 0, 0, 0]}
    value = {
        "categories": [{"id": 1, "name": "person", "keypoints": ["nose", "left_hip", "tail"]}],
        "images": [{"id": 1, "file_name": "cam/img_0007.jpg"}, {"id": 2, "file_name": "cam/img_0008.jpg"}],
        "annotations": [entry],
    }
    return value | changes


def write_json(path: Path, value: object) -> Path:
    path.write_text(json.dumps(value))
    return path


def test_a_rendered_truth_has_its_skeleton_from_its_columns():
    (truth,) = open_truth(demo_truth())
    assert (truth.name, truth.skeleton) == ("demo", COCO17)
    assert truth.judged == truth.extent == range(len(read_truth(demo_truth(), COCO17)))
    somebody = truth.people[0][0]
    assert truth.must_be_found(somebody) == somebody.countable


@pytest.mark.parametrize("long", [False, True])
def test_a_recording_can_be_the_truth(tmp_path: Path, write_stands: Write, long: bool):
    (truth,) = open_truth(write_stands(tmp_path / "walk_truth.csv", FRAMES, long=long, frames_read=6))
    assert (truth.name, truth.extent, sorted(truth.people)) == ("walk", range(6), [0, 1, 3])
    first = truth.people[3][0]
    assert first.track_id == 1 and np.isfinite(first.bbox).all() and (first.visibility == 2).all()
    assert truth.must_be_found(first)


def test_our_coco_and_posetrack_files_are_read_back(tmp_path: Path, write_stands: Write):
    results = ResultsFile.open(write_stands(tmp_path / "walk.csv", FRAMES))
    files = [write_coco(results, tmp_path / "walk")[0], *write_posetrack(results, tmp_path / "walk")]
    for path, skeleton in zip(files, (COCO17, POSETRACK17), strict=True):
        (truth,) = open_truth(path)
        assert (truth.name, truth.skeleton, truth.extent) == ("walk", skeleton, range(4))
        assert [[p.track_id for p in truth.people.get(frame, ())] for frame in range(4)] == [
            [1, 2],
            [1],
            [],
            [1, 2],
        ]
        nose = next(iter(results.frames())).people[0].keypoints[0]
        np.testing.assert_allclose(truth.people[0][0].keypoints[0], nose, atol=1e-3)


def test_coco_labels_are_numbered_by_their_files_where_they_have_no_numbers(tmp_path: Path):
    (truth,) = open_truth(write_json(tmp_path / "clip.json", labels()))
    assert (truth.name, truth.extent, truth.judged) == ("clip", range(7, 9), {7, 8})
    (person,) = truth.people[7]
    assert person.visibility.tolist() == [2, 1, 0]
    assert person.bbox.tolist() == [10, 20, 30, 40]
    assert np.isnan(person.keypoints[2]).all()


def test_crowds_and_outlines_and_frames_without_labels_are_left_out(tmp_path: Path):
    images = [
        {
            "id": 1,
            "vid_id": "5",
            "file_name": "a/000000.jpg",
            "ignore_regions_x": [[0, 9, 9]],
            "ignore_regions_y": [[0, 0, 9]],
        },
        {"id": 2, "vid_id": "5", "file_name": "a/000001.jpg", "is_labeled": False},
    ]
    crowd = {"image_id": 1, "track_id": 2, "iscrowd": 1, "bbox": [5, 6, 10, 20], "keypoints": [0] * 9}
    value = labels(images=images, annotations=[*labels()["annotations"], crowd])
    (truth,) = open_truth(write_json(tmp_path / "x.json", value))
    assert (truth.name, truth.judged, truth.extent) == ("a", {0}, range(2))
    assert [outline.tolist() for outline in truth.ignored[0]] == [
        [[0, 0], [9, 0], [9, 9]],
        [[5, 6], [15, 6], [15, 26], [5, 26]],
    ]
    assert truth.people[0][0].visibility.tolist() == [2, 2, 0]


def test_videos_of_one_file_are_sequences_of_their_own(tmp_path: Path):
    images = [{"id": 1, "video_id": 1, "frame_id": 0}, {"id": 2, "video_id": 2, "frame_id": 0}]
    value = labels(images=images, videos=[{"id": 1, "name": "a.mp4"}, {"id": 2, "name": "b.mp4"}])
    assert [truth.name for truth in open_truth(write_json(tmp_path / "x.json", value))] == ["a", "b"]


def test_a_folder_holds_the_truth_of_many(tmp_path: Path, write_stands: Write):
    write_stands(tmp_path / "walk.csv", FRAMES)
    write_json(tmp_path / "clip.json", labels())
    assert [truth.name for truth in open_truth(tmp_path)] == ["walk", "clip"]
    write_json(tmp_path / "clip_truth.json", labels())
    with pytest.raises(SourceError, match="both hold the truth of 'clip'"):
        open_truth(tmp_path)


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ([], "neither COCO nor PoseTrack18"),
        ({"format": "steadypose-track"}, "give its CSV"),
        (labels(categories=[{"id": 1, "name": "person"}]), "no category with the names"),
        (labels(annotations=[{"image_id": 1, "keypoints": [1, 2, 2] * 3}]), "no track_id"),
        (labels(annotations=[{"image_id": 1, "track_id": 1, "keypoints": [1, 2, 2]}]), "is damaged"),
        (labels(images=[]), "no images"),
        (labels(annotations=labels()["annotations"] * 2), "track 4 of 'x' more than once in frame 7"),
        (labels(images=[{"id": 1, "frame_id": 3}, {"id": 2, "frame_id": 3}]), "frame 3 of 'x' twice"),
    ],
)
def test_label_files_that_cannot_be_used_are_told(tmp_path: Path, value: object, words: str):
    with pytest.raises(SourceError, match=words):
        open_truth(write_json(tmp_path / "x.json", value))


def test_other_files_are_no_truth(tmp_path: Path):
    for name, words in (("none.csv", "does not exist"), ("x.txt", "must be a CSV"), ("x.json", "as JSON")):
        if name != "none.csv":
            (tmp_path / name).write_text("{")
        with pytest.raises(SourceError, match=words):
            open_truth(tmp_path / name)
    (tmp_path / "folder").mkdir()
    with pytest.raises(SourceError, match="holds no truth"):
        open_truth(tmp_path / "folder")


def test_a_damaged_line_of_a_rendered_truth_is_named(tmp_path: Path):
    lines = demo_truth().read_text().splitlines()
    lines[2] = lines[2].replace("0,0.000000,2", "0,0.000000,two")
    path = tmp_path / "demo_truth.csv"
    path.write_text("\n".join(lines[:5]))
    with pytest.raises(SourceError, match="line 3 is damaged"):
        open_truth(path)


def test_keypoints_that_coco_does_not_know_have_the_mean_sigma():
    skeleton = find_skeleton(("nose", "tail"), "mouse")
    assert skeleton.oks_sigmas == (COCO17.oks_sigmas[0], DEFAULT_OKS_SIGMA)
    assert find_skeleton(COCO17.keypoints, "x") is COCO17


@pytest.mark.parametrize(
    ("stem", "name"), [("demo_truth", "demo"), ("a.gt", "a"), ("a.posetrack", "a"), ("truth", "truth")]
)
def test_a_truth_is_named_after_its_source(stem: str, name: str):
    assert sequence_name(stem) == name
