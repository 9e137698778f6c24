from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from engine.errors import SinkError
from engine.sinks.atomic import whole_file, whole_folder
from engine.sinks.sink import write_failure


def fill(
    open_whole: Callable[[Path], AbstractContextManager[Path]], path: Path, error: BaseException
) -> None:
    """Write half of something and fail."""
    with open_whole(path) as part:
        (part / "new" if part.is_dir() else part).write_text("half")
        raise error


def test_a_file_appears_when_it_is_whole(tmp_path: Path):
    path = tmp_path / "clip.c3d"
    with whole_file(path) as part:
        assert part.suffix == ".c3d"
        part.write_text("new")
        assert not path.exists()
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]


def test_a_failure_leaves_the_old_file_and_nothing_else(tmp_path: Path):
    path = tmp_path / "clip.json"
    path.write_text("old")
    with pytest.raises(ZeroDivisionError):
        fill(whole_file, path, ZeroDivisionError())
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_refusal_of_the_system_is_put_into_words(tmp_path: Path):
    with (
        pytest.raises(SinkError, match="its folder does not exist"),
        whole_file(tmp_path / "no" / "a") as part,
    ):
        part.write_text("new")
    with pytest.raises(SinkError, match="the disk is full"):
        fill(whole_file, tmp_path / "a", OSError(28, "No space left on device"))
    assert list(tmp_path.iterdir()) == []


def test_a_refusal_that_a_writer_put_into_words_names_the_file_that_was_wanted(tmp_path: Path):
    def write_and_fail(part: Path) -> None:
        refusal = OSError(28, "No space left on device")
        raise write_failure(part, refusal) from refusal

    with pytest.raises(SinkError) as caught, whole_file(tmp_path / "clip.csv") as part:
        write_and_fail(part)
    assert str(caught.value).startswith(f"{tmp_path / 'clip.csv'} cannot be written: the disk is full")
    with pytest.raises(SinkError, match=r"other\.json cannot be written"), whole_file(tmp_path / "clip.csv"):
        write_and_fail(tmp_path / "other.json")


def test_a_stop_between_two_folders_leaves_the_old_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = tmp_path / "clip.openpose"
    path.mkdir()
    (path / "old").write_text("")
    rename = Path.rename

    def stop_at_the_new_one(self: Path, target: Path) -> Path:
        if "part" in self.name:
            raise KeyboardInterrupt
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", stop_at_the_new_one)
    with pytest.raises(KeyboardInterrupt), whole_folder(path):
        pass
    assert [entry.name for entry in path.iterdir()] == ["old"]
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_takes_the_place_of_the_old_one(tmp_path: Path):
    path = tmp_path / "clip.openpose"
    path.mkdir()
    (path / "old").write_text("")
    with whole_folder(path) as part:
        (part / "new").write_text("")
        assert [entry.name for entry in path.iterdir()] == ["old"]
    assert [entry.name for entry in path.iterdir()] == ["new"]
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_that_failed_leaves_the_old_one(tmp_path: Path):
    path = tmp_path / "clip.openpose"
    path.mkdir()
    (path / "old").write_text("")
    with pytest.raises(SinkError, match="not permitted"):
        fill(whole_folder, path, PermissionError(13, "Permission denied"))
    assert [entry.name for entry in path.iterdir()] == ["old"]
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_is_no_folder(tmp_path: Path):
    (tmp_path / "clip.openpose").write_text("dear to someone")
    with pytest.raises(SinkError), whole_folder(tmp_path / "clip.openpose"):
        pass
    assert (tmp_path / "clip.openpose").read_text() == "dear to someone"
    assert len(list(tmp_path.iterdir())) == 1
