import contextlib
import json
from collections.abc import Callable
from io import StringIO
from pathlib import Path

import pytest

from engine.sinks.coco import write_coco
from engine.sinks.results_file import ResultsFile
from engine.skeleton import COCO17
from engine.structures import Result, TrackedPerson

COCO = pytest.importorskip("pycocotools.coco").COCO
COCOeval = pytest.importorskip("pycocotools.cocoeval").COCOeval


@pytest.fixture
def files(walkers: Path, tmp_path: Path) -> list[Path]:
    return write_coco(ResultsFile.open(walkers), tmp_path / "clip")


def quietly(function: Callable[..., object], *arguments: object) -> object:
    """What a function returns; pycocotools talks on stdout."""
    with contextlib.redirect_stdout(StringIO()):
        return function(*arguments)


def test_pycocotools_reads_people_with_their_tracks_and_times(files: list[Path]):
    assert [path.name for path in files] == ["clip.coco.json", "clip.coco-results.json"]
    coco = quietly(COCO, str(files[0]))
    assert coco.getImgIds() == [0, 1, 2, 3, 4, 5]
    assert [image.get("time_s") for image in coco.loadImgs([0, 1, 2, 4])] == [0, 0.04, None, 0.16]
    first, second = coco.loadAnns(coco.getAnnIds(imgIds=[0]))
    assert (first["track_id"], second["track_id"]) == (3, 7)
    assert first["bbox"] == [50, 0, 20, 40]
    assert first["keypoints"][:6] == [50.25, 0.5, 2, 51.25, 2.5, 2]
    assert (first["num_keypoints"], second["num_keypoints"]) == (17, 15)
    assert second["keypoints"][:3] == [0, 0, 0]
    assert second["keypoint_scores"][:2] == [0, 0.525]
    assert coco.getAnnIds(imgIds=[2]) == []
    (category,) = coco.loadCats(coco.getCatIds())
    assert category["keypoints"] == list(COCO17.keypoints)
    assert category["skeleton"][0] == [1, 2]


def test_ids_of_annotations_begin_with_1_which_the_evaluation_needs(files: list[Path]):
    annotations = json.loads(files[0].read_text(encoding="utf-8"))["annotations"]
    assert [annotation["id"] for annotation in annotations] == [1, 2, 3, 4, 5]


def test_the_evaluation_finds_the_results_equal_to_the_annotations(files: list[Path]):
    truth = quietly(COCO, str(files[0]))
    found = quietly(truth.loadRes, str(files[1]))
    evaluation = COCOeval(truth, found, "keypoints")
    for step in (evaluation.evaluate, evaluation.accumulate, evaluation.summarize):
        quietly(step)
    assert evaluation.stats[0] == pytest.approx(1)


def test_results_have_scores_of_people_and_of_keypoints(files: list[Path]):
    first, *_ = json.loads(files[1].read_text(encoding="utf-8"))
    assert (first["image_id"], first["category_id"], first["track_id"], first["score"]) == (0, 1, 3, 0.75)
    assert first["keypoints"][:3] == [50.25, 0.5, 0.5]
    assert first["keypoints"][-1] == 0.9


def test_keypoints_that_were_not_seen_are_not_visible(
    tmp_path: Path,
    write_run: Callable[..., Path],
    make_result: Callable[..., Result],
    make_person: Callable[..., TrackedPerson],
):
    people = (make_person(1, states=(2, 1, 0)), make_person(2, states=(3, 4, 5)))
    files = write_coco(ResultsFile.open(write_run(tmp_path, make_result(0, *people))), tmp_path / "clip")
    annotations = json.loads(files[0].read_text(encoding="utf-8"))["annotations"]
    assert [annotation["keypoints"][2::3] for annotation in annotations] == [[2, 1, 0], [1, 2, 1]]


def test_a_live_recording_tells_when_frames_were_captured(
    tmp_path: Path,
    write_run: Callable[..., Path],
    make_result: Callable[..., Result],
    make_person: Callable[..., TrackedPerson],
):
    results = (
        make_result(40, make_person(), wall_time=1.75e9),
        make_result(42, make_person(), wall_time=1.75e9),
    )
    path, _ = write_coco(ResultsFile.open(write_run(tmp_path, *results, live=True)), tmp_path / "clip")
    images = json.loads(path.read_text(encoding="utf-8"))["images"]
    assert [image["id"] for image in images] == [40, 41, 42]
    assert images[0]["date_captured"] == "2025-06-15T15:06:40.000+00:00"


def test_a_recording_of_nobody_has_images_and_no_people(
    tmp_path: Path, write_run: Callable[..., Path], make_result: Callable[..., Result]
):
    files = write_coco(ResultsFile.open(write_run(tmp_path, make_result(2))), tmp_path / "clip")
    coco = quietly(COCO, str(files[0]))
    assert (len(coco.getImgIds()), coco.getAnnIds()) == (3, [])
    assert json.loads(files[1].read_text(encoding="utf-8")) == []
