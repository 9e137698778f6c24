from pathlib import Path

import pytest

from engine.runtime.jit_cache import JitCache, jit_cache_file


class Kernels:
    def __init__(self) -> None:
        self.data = b"one"

    def deserialize(self, blob: bytes) -> bool:
        self.data = blob
        return True

    def serialize(self) -> bytes:
        return self.data


def test_kernels_are_written_only_when_some_were_compiled(tmp_path: Path) -> None:
    path = tmp_path / "a.kernels"
    handle = Kernels()
    cache = JitCache(handle, path)
    cache.save()
    first = path.stat().st_mtime_ns
    cache.save()
    assert path.read_bytes() == b"one" and path.stat().st_mtime_ns == first
    handle.data = b"one and two"
    cache.save()
    assert path.read_bytes() == b"one and two"
    later = Kernels()
    JitCache(later, path)
    assert later.data == b"one and two" and [file.name for file in tmp_path.iterdir()] == ["a.kernels"]


def test_old_kernels_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.runtime.jit_cache.KEPT_FILES", 2)
    for index in range(4):
        handle = Kernels()
        handle.data = bytes([index])
        JitCache(handle, tmp_path / f"{index}.kernels").save()
    assert len(list(tmp_path.iterdir())) == 2 and (tmp_path / "3.kernels").exists()


def test_without_a_folder_kernels_are_not_kept() -> None:
    JitCache(Kernels(), None).save()


def test_each_plan_and_gpu_has_its_own_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    files = {
        jit_cache_file(plan, gpu) for plan in ("a", "b") for gpu in ("RTX 2080, sm_75", "RTX 4090, sm_89")
    }
    assert len(files) == 4 and None not in files
    (tmp_path / "steadypose").rename(tmp_path / "old")
    (tmp_path / "steadypose").write_text("in the way")
    assert jit_cache_file("a", "RTX 2080, sm_75") is None


def test_a_file_that_cannot_be_written_is_told_and_harmless(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    cache = JitCache(Kernels(), tmp_path / "missing" / "a.kernels")
    cache.save()
    assert "cannot be kept" in caplog.text
