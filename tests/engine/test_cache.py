from pathlib import Path

import pytest

from engine import cache
from engine.cache import cache_dir, writable_cache_dir


@pytest.mark.parametrize(
    ("system", "variable", "folder"),
    [("linux", "XDG_CACHE_HOME", "/var/cache/me"), ("win32", "LOCALAPPDATA", "/users/me/local")],
)
def test_the_cache_follows_the_systems_variable(
    system: str, variable: str, folder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cache.sys, "platform", system)
    monkeypatch.setenv(variable, folder)
    assert cache_dir() == Path(folder) / "steadypose"


@pytest.mark.parametrize(
    ("system", "below"),
    [("linux", ".cache"), ("darwin", "Library/Caches"), ("win32", "AppData/Local")],
)
def test_without_the_variable_it_lies_where_the_system_keeps_caches(
    system: str, below: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cache.sys, "platform", system)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.delenv("LOCALAPPDATA", raising=False)
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    assert cache_dir() == tmp_path / below / "steadypose"


def test_the_folder_is_made_and_left_clean(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    folder = writable_cache_dir("openvino")
    assert folder == tmp_path / "steadypose" / "openvino"
    assert list(folder.iterdir()) == []
