from pathlib import Path

import pytest

from app.inputs import TrackInput
from app.outputs import check_absent, check_inputs_kept, clear_parts, output_paths, prepare_folder
from engine.errors import SinkError, UsageError


def item(path: Path) -> TrackInput:
    return TrackInput(path, str(path), path.stem)


def test_outputs_are_named_after_the_input():
    paths = output_paths(item(Path("in/clip.mp4")), Path("out"), video=True)
    assert [path.name for path in paths.all] == ["clip.csv", "clip.json", "clip.tracked.mp4"]
    assert {path.parent for path in paths.all} == {Path("out")}


def test_dots_in_a_name_stay():
    paths = output_paths(item(Path("session.2.mp4")), Path("out"), video=False)
    assert [path.name for path in paths.all] == ["session.2.csv", "session.2.json"]


def test_the_folder_is_made_and_left_empty(tmp_path: Path):
    prepare_folder(tmp_path / "new" / "out")
    assert list((tmp_path / "new" / "out").iterdir()) == []


@pytest.mark.parametrize("below", ["", "out"])
def test_a_folder_that_cannot_be_is_a_usage_error(tmp_path: Path, below: str):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(UsageError, match=r"cannot be written.*--out"):
        prepare_folder(tmp_path / "file" / below)


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs a folder that nobody can write to")
def test_a_folder_that_is_there_but_not_writable_is_a_usage_error():
    with pytest.raises(UsageError, match="/proc/self cannot be written"):
        prepare_folder(Path("/proc/self"))


def test_an_input_is_never_written_over(tmp_path: Path):
    inputs = [item(tmp_path / "clip.mp4"), item(tmp_path / "clip.tracked.mp4")]
    outputs = [output_paths(one, tmp_path, video=True) for one in inputs]
    with pytest.raises(UsageError, match=r"clip\.tracked\.mp4 is an input"):
        check_inputs_kept(inputs, outputs)
    check_inputs_kept(inputs, [output_paths(one, tmp_path, video=False) for one in inputs])


@pytest.mark.parametrize("existing", ["clip.csv", "clip.json", "clip.tracked.mp4"])
def test_results_of_an_earlier_run_are_kept(tmp_path: Path, existing: str):
    paths = output_paths(item(Path("clip.mp4")), tmp_path, video=True)
    check_absent(paths)
    (tmp_path / existing).write_bytes(b"")
    with pytest.raises(SinkError, match="--overwrite"):
        check_absent(paths)


def test_parts_of_one_process_can_be_cleared_alone(tmp_path: Path):
    parts = [".clip.12.part.csv", ".clip.json.12.part", ".clip.112.part.csv", ".clip.b.13.part.csv"]
    for name in parts:
        (tmp_path / name).touch()
    clear_parts([tmp_path / "clip.csv"], writer=12)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(parts[2:])


def test_parts_that_a_killed_run_left_are_cleared_and_nothing_else(tmp_path: Path):
    for name in (".clip.json.12.part", ".clip.12.part.csv", ".other.json.12.part", "clip.csv", ".clip.notes"):
        (tmp_path / name).write_bytes(b"")
    (tmp_path / ".clip.12.part.openpose").mkdir()
    (tmp_path / ".clip.12.part.openpose" / "clip_0.json").write_bytes(b"")
    clear_parts([tmp_path / "clip.csv"])
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        ".clip.notes",
        ".other.json.12.part",
        "clip.csv",
    ]
