from pathlib import Path

import cv2
import numpy as np
import pytest

from app.inputs import DEMO, expand_inputs, set_apart
from assets import demo_clip
from engine.errors import UsageError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("b10.mp4", "b2.MOV", "notes.txt", "done.tracked.mp4", "._b2.mov", "poster.jpg"):
        (tmp_path / name).write_bytes(b"x")
    return tmp_path


def write_images(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("1.png", "2.png"):
        cv2.imwrite(str(folder / name), np.zeros((8, 8, 3), np.uint8))
    return folder


def names(texts: list[str]) -> list[str]:
    inputs, failures = expand_inputs(texts)
    assert failures == []
    return [item.path.name for item in inputs]


def test_a_folder_stands_for_its_videos_in_natural_order_without_our_own_results(folder: Path):
    assert names([str(folder)]) == ["b2.MOV", "b10.mp4"]


def test_a_folder_of_images_is_one_input_named_after_it(tmp_path: Path):
    inputs, failures = expand_inputs([str(write_images(tmp_path / "walk.1"))])
    assert failures == []
    assert [(item.path, item.stem) for item in inputs] == [(tmp_path / "walk.1", "walk.1")]


def test_the_present_folder_has_a_name_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(write_images(tmp_path / "walk"))
    assert expand_inputs(["."])[0][0].stem == "walk"


def test_a_file_is_taken_whatever_it_is_called_and_keeps_the_dots_in_its_stem(folder: Path):
    (folder / "session.2.strange").write_bytes(b"x")
    inputs, _ = expand_inputs([str(folder / "session.2.strange"), str(folder / "done.tracked.mp4")])
    assert [item.stem for item in inputs] == ["session.2", "done.tracked"]


def test_patterns_that_the_shell_left_alone_are_expanded(folder: Path):
    assert names([str(folder / "b*.[mM]*")]) == ["b2.MOV", "b10.mp4"]


def test_two_stars_look_into_folders(tmp_path: Path):
    for day in ("day1", "day2"):
        (tmp_path / day / "cam").mkdir(parents=True)
        (tmp_path / day / "cam" / f"{day}.mp4").write_bytes(b"x")
    assert names([str(tmp_path / "**" / "*.mp4")]) == ["day1.mp4", "day2.mp4"]


def test_a_pattern_takes_folders_that_hold_something_and_passes_over_others(tmp_path: Path):
    write_images(tmp_path / "take1")
    (tmp_path / "take2").mkdir()
    assert names([str(tmp_path / "take*")]) == ["take1"]


def test_a_file_whose_name_looks_like_a_pattern_is_that_file(tmp_path: Path):
    (tmp_path / "clip[1].mp4").write_bytes(b"x")
    (tmp_path / "clip1.mp4").write_bytes(b"x")
    assert names([str(tmp_path / "clip[1].mp4")]) == ["clip[1].mp4"]


def test_an_input_named_twice_is_taken_once(folder: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(folder)
    assert names(["b10.mp4", str(folder / "b10.mp4"), "."]) == ["b10.mp4", "b2.MOV"]


def test_what_names_nothing_is_told_and_the_rest_is_kept(folder: Path):
    (folder / "empty").mkdir()
    missing, nothing = str(folder / "missing.mp4"), str(folder / "*.avi")
    inputs, failures = expand_inputs([missing, str(folder / "b10.mp4"), nothing, str(folder / "empty")])
    assert [item.path.name for item in inputs] == ["b10.mp4"]
    assert failures == [
        f"{missing}: no such file or folder",
        f"{nothing}: the pattern matches nothing",
        f"{folder / 'empty'}: the folder holds no video and no image; folders in it are not looked into",
    ]


@pytest.mark.parametrize("text", ["rtsp://camera/1", "http://host/clip.mp4", "0", "/dev/video3"])
def test_cameras_and_addresses_are_refused(text: str):
    with pytest.raises(UsageError, match="camera or a network address"):
        expand_inputs([text])


def test_demo_is_the_bundled_clip(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    clip = tmp_path / "any.mp4"
    monkeypatch.setattr("app.inputs.demo_clip", lambda: clip)
    assert expand_inputs([DEMO])[1] == [f"the bundled demo clip {clip} is missing; install the package again"]
    clip.write_bytes(b"x")
    (item,) = expand_inputs([DEMO])[0]
    assert (item.path, item.stem, item.label) == (clip, "demo", "demo")
    assert demo_clip().name == "demo.mp4"


@pytest.mark.parametrize(
    ("first", "second"),
    [("a/clip.mp4", "b/clip.mp4"), ("a/clip.mp4", "a/clip.mov"), ("a/clip.mp4", "a/Clip.mov")],
)
def test_two_inputs_of_one_stem_are_taken_out_each_with_what_to_do(tmp_path: Path, first: str, second: str):
    for name in (first, second, "other.mp4"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    inputs, _ = expand_inputs([str(tmp_path / name) for name in (first, "other.mp4", second)])
    distinct, refused = set_apart(inputs)
    assert [item.stem for item in distinct] == ["other"]
    assert list(refused) == [tmp_path / first, tmp_path / second]
    for line in refused.values():
        assert first in line and second in line and "--out" in line


def test_an_input_whose_results_would_be_the_summary_of_the_batch_is_refused(tmp_path: Path):
    (tmp_path / "SteadyPose-Batch.mp4").write_bytes(b"x")
    distinct, refused = set_apart(expand_inputs([str(tmp_path / "SteadyPose-Batch.mp4")])[0])
    assert distinct == [] and "rename it" in next(iter(refused.values()))
