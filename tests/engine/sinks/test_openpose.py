import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from engine.errors import SinkError, UsageError
from engine.sinks.openpose import BODY_25, OpenPoseSink, describe_people, match_body25, write_openpose
from engine.sinks.results_file import ResultsFile
from engine.skeleton import COCO17, CROWDPOSE14, Skeleton
from engine.structures import Result, TrackedPerson

Walker, MakeResult = Callable[..., TrackedPerson], Callable[..., Result]


def read_folder(folder: Path) -> list[list[dict[str, Any]]]:
    """The people of each frame, as OpenPose's readers go about it: files by name, 75 numbers per person."""
    frames = []
    for file in sorted(folder.glob("*_keypoints.json")):
        people = json.loads(file.read_text(encoding="utf-8"))["people"]
        assert all(len(person["pose_keypoints_2d"]) == 75 for person in people)
        frames.append(people)
    return frames


def place(person: dict[str, Any], name: str) -> list[float]:
    index = BODY_25.index(name)
    values: list[float] = person["pose_keypoints_2d"][3 * index : 3 * index + 3]
    return values


@pytest.fixture
def folder(walkers: Path, tmp_path: Path) -> Path:
    (folder,) = write_openpose(ResultsFile.open(walkers), tmp_path / "clip")
    return folder


def test_every_frame_has_a_file_named_as_openpose_does(folder: Path):
    names = sorted(file.name for file in folder.iterdir())
    assert names == [f"clip_{index:012d}_keypoints.json" for index in range(6)]
    assert json.loads((folder / names[0]).read_text())["version"] == 1.3


def test_frames_with_people_keep_their_times(folder: Path):
    contents = [json.loads(file.read_text()) for file in sorted(folder.iterdir())]
    assert [content.get("time_s") for content in contents] == [0, 0.04, None, None, 0.16, None]


def test_people_keep_their_ids(folder: Path):
    ids = [[person["person_id"] for person in people] for people in read_folder(folder)]
    assert ids == [[[3], [7]], [[3]], [], [], [[3], [7]], []]


def test_keypoints_stand_where_body_25_has_them(folder: Path):
    person = read_folder(folder)[0][0]
    assert place(person, "nose") == [50.25, 0.5, 0.5]
    assert place(person, "right_shoulder") == [56.25, 12.5, 0.65]
    assert place(person, "left_ankle") == [65.25, 30.5, 0.875]
    assert place(person, "right_ear") == [54.25, 8.5, 0.6]


def test_neck_and_mid_hip_are_middles_with_the_lower_score(folder: Path):
    person = read_folder(folder)[0][0]
    assert place(person, "neck") == [55.75, 11.5, 0.625]
    assert place(person, "mid_hip") == [61.75, 23.5, 0.775]


def test_what_is_missing_is_three_zeros(folder: Path):
    second = read_folder(folder)[0][1]
    assert place(second, "nose") == [0, 0, 0]
    assert place(second, "right_ankle") == [0, 0, 0]
    assert second["pose_keypoints_2d"][19 * 3 :] == [0] * 18
    assert second["hand_left_keypoints_2d"] == []


def test_a_middle_needs_both_sides(make_walker: Walker):
    (person,) = describe_people([make_walker(1, 0, missing=(5, 11))], match_body25(COCO17))
    assert place(person, "neck") == place(person, "mid_hip") == [0, 0, 0]
    assert place(person, "right_hip")[0] > 0


def test_written_as_frames_arrive_it_is_the_same(
    tmp_path: Path, folder: Path, make_walker: Walker, make_result: MakeResult
):
    first, second = make_walker(3, 0.5), make_walker(7, 2, missing=(0, 16))
    (tmp_path / "live").mkdir()
    sink = OpenPoseSink(tmp_path / "live" / "clip.openpose", COCO17)
    sink.write(make_result(0, first, second))
    sink.write(make_result(1, first))
    sink.write(make_result(2))
    sink.write(make_result(4, make_walker(3, 0.5, shift=4), make_walker(7, 2, shift=4)))
    sink.write(make_result(5))
    sink.close()
    for file in folder.iterdir():
        assert (sink.path / file.name).read_bytes() == file.read_bytes()
    assert len(list(sink.path.iterdir())) == 6


def test_a_live_recording_begins_with_its_first_frame(
    tmp_path: Path, make_walker: Walker, make_result: MakeResult
):
    sink = OpenPoseSink(tmp_path / "take.openpose", COCO17, live=True)
    sink.write(make_result(900, make_walker(1, 0)))
    sink.write(make_result(902, make_walker(1, 0)))
    sink.close()
    names = sorted(file.name for file in sink.path.iterdir())
    assert names == [f"take_{index:012d}_keypoints.json" for index in (900, 901, 902)]


def test_a_live_recording_converts_alike(
    tmp_path: Path, write_run: Callable[..., Path], make_walker: Walker, make_result: MakeResult
):
    results = [make_result(index, make_walker(1, 0), wall_time=1.7e9) for index in (900, 902)]
    csv = write_run(tmp_path, *results, skeleton=COCO17, live=True)
    (folder,) = write_openpose(ResultsFile.open(csv), tmp_path / "clip")
    assert len(list(folder.iterdir())) == 3


def test_an_earlier_run_is_replaced_without_leftovers(
    tmp_path: Path, make_walker: Walker, make_result: MakeResult
):
    for count in (3, 1):
        sink = OpenPoseSink(tmp_path / "clip.openpose", COCO17, overwrite=True)
        for index in range(count):
            sink.write(make_result(index, make_walker(1, 0)))
        sink.close()
    assert len(list(sink.path.iterdir())) == 1


def test_a_folder_that_exists_is_kept(folder: Path):
    before = sorted(folder.iterdir())
    with pytest.raises(SinkError, match="exists already"):
        OpenPoseSink(folder, COCO17)
    assert sorted(folder.iterdir()) == before


def test_writing_to_a_closed_sink_is_a_mistake(tmp_path: Path, make_result: MakeResult):
    sink = OpenPoseSink(tmp_path / "clip.openpose", COCO17)
    sink.close()
    sink.close()
    with pytest.raises(ValueError, match="closed"):
        sink.write(make_result(0))


def test_files_of_others_are_not_deleted(walkers: Path, folder: Path, tmp_path: Path):
    (folder / "notes.txt").write_text("dear to someone")
    with pytest.raises(SinkError, match=r"it has files of others, such as notes\.txt"):
        write_openpose(ResultsFile.open(walkers), tmp_path / "clip")
    with pytest.raises(SinkError, match=r"such as notes\.txt"):
        OpenPoseSink(folder, COCO17, overwrite=True)
    assert len(list(folder.iterdir())) == 7


def test_a_skeleton_of_something_else_is_refused_before_anything_is_made(tmp_path: Path, stick: Skeleton):
    with pytest.raises(UsageError, match="skeleton 'stick3' has hardly a keypoint of OpenPose's BODY_25"):
        OpenPoseSink(tmp_path / "clip.openpose", stick)
    assert list(tmp_path.iterdir()) == []


def test_crowdpose_has_limbs_and_middles_but_no_face():
    places = match_body25(CROWDPOSE14)
    assert sum(index is not None for index in places) == 12
    assert places[0] is None
