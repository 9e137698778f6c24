import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from engine.errors import UsageError
from engine.metrics.posetrack import PoseFrame, keypoint_average_precision, keypoint_mota
from engine.sinks.posetrack import image_id, match_posetrack, write_posetrack
from engine.sinks.results_file import ResultsFile
from engine.skeleton import COCO17, CROWDPOSE14, MPII16, POSETRACK17, Skeleton
from train.data.posetrack import load_posetrack


@pytest.fixture
def path(walkers: Path, tmp_path: Path) -> Path:
    (path,) = write_posetrack(ResultsFile.open(walkers), tmp_path / "clip")
    return path


def test_it_is_called_after_the_recording(path: Path):
    assert path.name == "clip.posetrack.json"


def test_a_reader_of_the_data_set_reads_people_frames_and_tracks(path: Path, tmp_path: Path):
    labels = load_posetrack(path, tmp_path, POSETRACK17)
    assert [label.frame for label in labels] == [0, 1, 2, 3, 4, 5]
    assert {label.sequence for label in labels} == {"clip"}
    assert [len(label.people) for label in labels] == [2, 1, 0, 0, 2, 0]
    person = labels[0].people[0]
    hip = POSETRACK17.keypoints.index("left_hip")
    assert person.keypoints[hip].tolist() == [50.25 + 11, 22.5]
    assert [other.track_id for other in labels[0].people] == [3, 7]


def test_ids_of_annotations_begin_with_1_which_the_evaluation_of_coco_needs(path: Path):
    annotations = json.loads(path.read_text(encoding="utf-8"))["annotations"]
    assert [annotation["id"] for annotation in annotations] == [1, 2, 3, 4, 5]


def test_times_of_frames_are_kept(path: Path):
    images = json.loads(path.read_text(encoding="utf-8"))["images"]
    assert [image.get("time_s") for image in images] == [0, 0.04, None, None, 0.16, None]
    assert {image["nframes"] for image in images} == {6}


def test_what_coco_does_not_have_is_not_made_up(path: Path):
    first, *_ = json.loads(path.read_text(encoding="utf-8"))["annotations"]
    assert len(first["keypoints"]) == 51
    assert first["keypoints"][3:9] == [0] * 6
    assert first["scores"][:3] == [0.5, 0, 0]
    assert first["keypoints"][:3] == [50.25, 0.5, 1]


def test_judged_against_itself_by_the_measures_of_posetrack_it_is_perfect(path: Path):
    content = json.loads(path.read_text(encoding="utf-8"))
    frames = []
    for image in content["images"]:
        people = [entry for entry in content["annotations"] if entry["image_id"] == image["id"]]
        if not people:
            continue
        values = np.array([entry["keypoints"] for entry in people]).reshape(-1, 17, 3)
        ids = tuple(entry["track_id"] for entry in people)
        keypoints = np.where(values[..., 2:] > 0, values[..., :2], np.nan)
        scores = np.array([entry["scores"] for entry in people])
        frames.append(
            PoseFrame(
                values[..., :2], values[..., 2] > 0, np.full(len(people), 10.0), keypoints, scores, ids, ids
            )
        )
    known = [place is not None for place in match_posetrack(COCO17)]
    assert keypoint_average_precision(frames)[known] == pytest.approx(1)
    assert keypoint_mota(frames)[known] == pytest.approx(1)


@pytest.mark.parametrize(
    ("skeleton", "missing"),
    [
        (COCO17, {"head_bottom", "head_top"}),
        (POSETRACK17, set()),
        (CROWDPOSE14, {"nose", "left_ear", "right_ear"}),
        (MPII16, {"nose", "left_ear", "right_ear"}),
    ],
)
def test_skeletons_are_matched_by_name(skeleton: Skeleton, missing: set[str]):
    places = match_posetrack(skeleton)
    unknown = {name for name, place in zip(POSETRACK17.keypoints, places) if place is None}
    assert unknown == missing


def test_a_skeleton_of_something_else_is_refused(stick: Skeleton):
    with pytest.raises(UsageError, match=r"skeleton 'stick3' has hardly a keypoint.*choose another format"):
        match_posetrack(stick)


def test_videos_of_the_data_set_have_its_ids():
    assert image_id("000342_mpii_test", 12) == 10003420012
    assert image_id("001001_mpiinew_test", 3) == 30010010003
    assert image_id("clip", 12) == 12


def test_a_folder_that_is_missing_is_named(walkers: Path, tmp_path: Path, write_run: Callable[..., Path]):
    with pytest.raises(Exception, match="its folder does not exist"):
        write_posetrack(ResultsFile.open(walkers), tmp_path / "missing" / "clip")
