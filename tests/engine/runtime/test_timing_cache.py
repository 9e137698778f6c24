import errno
import os
from pathlib import Path
from types import SimpleNamespace

import pytest

from engine.cache import cache_dir
from engine.cuda.device import DeviceInfo
from engine.runtime.tensorrt_package import ErrorLog, TensorRtPackage
from engine.runtime.timing_cache import load_timings, store_timings

GPU = DeviceInfo("NVIDIA H200", 0, (9, 0), 140 << 30, (13, 0))
PACKAGE = TensorRtPackage("tensorrt", SimpleNamespace(), "11.4.0", None, ErrorLog())


class Config:
    """An IBuilderConfig that takes measurements of this GPU only: those that begin with its name."""

    def __init__(self) -> None:
        self.measured = b""

    def create_timing_cache(self, data: bytes) -> bytes | None:
        return None if data == b"damaged" else data

    def set_timing_cache(self, cache: bytes, ignore_mismatch: bool) -> bool:
        assert not ignore_mismatch
        if cache and not cache.startswith(b"H200"):
            return False
        self.measured = cache
        return True

    def get_timing_cache(self) -> SimpleNamespace:
        return SimpleNamespace(serialize=lambda: bytearray(self.measured))


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def test_what_one_build_measured_the_next_one_knows() -> None:
    config = Config()
    path = load_timings(config, PACKAGE, GPU)
    assert path is not None and config.measured == b""
    config.measured = b"H200: 5 us"
    store_timings(config, path)
    later = Config()
    assert load_timings(later, PACKAGE, GPU) == path
    assert later.measured == b"H200: 5 us"
    assert [file.name for file in path.parent.iterdir()] == ["timings-11.4.0-NVIDIA-H200.cache"]


@pytest.mark.parametrize("left", [b"damaged", b"T4: 9 us"])
def test_measurements_that_do_not_fit_are_begun_anew(left: bytes) -> None:
    config = Config()
    path = load_timings(config, PACKAGE, GPU)
    assert path is not None
    path.write_bytes(left)
    config.measured = b"H200 of before"
    assert load_timings(config, PACKAGE, GPU) == path
    assert config.measured == b""


def test_a_full_disk_costs_the_measurements_only(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    config = Config()
    path = load_timings(config, PACKAGE, GPU)
    assert path is not None

    def fill_up(self: Path, data: bytes) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Path, "write_bytes", fill_up)
    store_timings(config, path)
    assert "No space left" in caplog.text
    assert not list(path.parent.iterdir())


def test_without_a_cache_folder_nothing_is_kept() -> None:
    cache_dir().parent.mkdir(parents=True, exist_ok=True)
    cache_dir().write_bytes(b"a file where the folder should be")
    assert load_timings(Config(), PACKAGE, GPU) is None
