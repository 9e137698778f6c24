import os
import shutil
import sys

import pytest

from engine.cuda import nvrtc
from engine.errors import DeviceError, RuntimeUnavailableError

FILES = sorted(path.stem for path in nvrtc.KERNELS.glob("*.cu"))
TEXT = '#include "pose.cuh"\nextern "C" __global__ void trial(float* place) { *place = FACTOR; }\n'


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    pytest.importorskip("cuda.bindings.nvrtc")
    try:
        nvrtc.nvrtc_version()
    except RuntimeUnavailableError as error:
        pytest.skip(str(error))
    monkeypatch.setattr("engine.cache.cache_dir", lambda: tmp_path / "cache")
    return tmp_path / "cache" / "cuda"


@pytest.fixture
def trial(tmp_path, monkeypatch):
    (tmp_path / "trial.cu").write_text(TEXT)
    (tmp_path / "pose.cuh").write_text("#define FACTOR 2.0f\n")
    monkeypatch.setattr(nvrtc, "KERNELS", tmp_path)
    return tmp_path


@pytest.fixture
def compiled(monkeypatch):
    """Targets that were compiled, not read."""
    real, asked = nvrtc._compile, []

    def compile_it(library, name, source, headers, target):
        asked.append(target)
        return real(library, name, source, headers, target)

    monkeypatch.setattr(nvrtc, "_compile", compile_it)
    return asked


@pytest.mark.parametrize("name", FILES)
def test_each_kernel_file_is_compiled_once(name, compiled, cache):
    image = nvrtc.compile_kernel_file(name, "sm_86")
    assert image.startswith(b"\x7fELF")
    assert nvrtc.compile_kernel_file(name, "sm_86") == image
    assert compiled == ["sm_86"]
    (kept,) = cache.iterdir()
    assert kept.name.startswith(f"{name}-sm_86-") and kept.read_bytes()[nvrtc.DIGEST_BYTES :] == image


@pytest.mark.parametrize("change", ["text", "header", "new header", "arch", "version", "flags"])
def test_anything_that_changes_the_code_compiles_anew(trial, compiled, monkeypatch, change):
    nvrtc.compile_kernel_file("trial", "sm_86")
    arch = "sm_90" if change == "arch" else "sm_86"
    if change == "text":
        (trial / "trial.cu").write_text(TEXT + "// more\n")
    elif change == "header":
        (trial / "pose.cuh").write_text("#define FACTOR 3.0f\n")
    elif change == "new header":
        (trial / "other.cuh").write_text("\n")
    elif change == "version":
        monkeypatch.setattr(nvrtc, "nvrtc_version", lambda: (99, 0))
    elif change == "flags":
        monkeypatch.setattr(nvrtc, "FLAGS", ("--std=c++17",))
    nvrtc.compile_kernel_file("trial", arch)
    assert len(compiled) == 2


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: b"",
        lambda data: data[: nvrtc.DIGEST_BYTES],
        lambda data: data[:-1],
        lambda data: data[:-9] + bytes([data[-9] ^ 1]) + data[-8:],
        lambda data: b"something else altogether, and long enough",
    ],
)
def test_a_damaged_file_is_known_and_made_anew(trial, compiled, cache, caplog, damage):
    image = nvrtc.compile_kernel_file("trial", "sm_86")
    (kept,) = cache.iterdir()
    whole = kept.read_bytes()
    kept.write_bytes(damage(whole))
    assert nvrtc.compile_kernel_file("trial", "sm_86") == image
    assert "is damaged: compiled anew" in caplog.text
    assert len(compiled) == 2 and kept.read_bytes() == whole


def test_where_nothing_can_be_kept_it_still_compiles(trial, monkeypatch, compiled):
    monkeypatch.setattr(nvrtc, "writable_cache_dir", lambda name: None)
    assert nvrtc.compile_kernel_file("trial", "sm_86") == nvrtc.compile_kernel_file("trial", "sm_86")
    assert len(compiled) == 2


def test_a_write_that_fails_leaves_nothing_behind(trial, cache, monkeypatch, caplog):
    def refuse(*paths):
        raise OSError("disk full")

    monkeypatch.setattr(os, "replace", refuse)
    assert nvrtc.compile_kernel_file("trial", "sm_86").startswith(b"\x7fELF")
    assert "disk full" in caplog.text and list(cache.iterdir()) == []


def test_a_cache_that_vanishes_is_no_error(trial, cache, compiled):
    nvrtc.compile_kernel_file("trial", "sm_86")
    shutil.rmtree(cache)
    nvrtc.compile_kernel_file("trial", "sm_86")
    assert len(compiled) == 2


def test_text_that_does_not_compile_is_told_with_its_line(trial, cache):
    (trial / "trial.cu").write_text('extern "C" __global__ void trial() {\n  nonsense;\n}\n')
    with pytest.raises(
        DeviceError, match=r'trial\.cu does not compile for sm_86 .*trial\.cu\(2\).*"nonsense"'
    ):
        nvrtc.compile_kernel_file("trial", "sm_86")
    assert list(cache.iterdir()) == []


def test_a_gpu_newer_than_nvrtc_gets_what_runs_on_it(trial, compiled, monkeypatch):
    monkeypatch.setattr(nvrtc, "_supported", lambda: (75, 80, 86, 90, 120))
    assert nvrtc.compile_kernel_file("trial", "sm_121").startswith(b"\x7fELF")
    text = nvrtc.compile_kernel_file("trial", "sm_130")
    assert b".target sm_120" in text and text.endswith(b"\0")
    assert compiled == ["sm_120", "compute_120"]


def test_a_gpu_too_old_for_nvrtc_is_refused(trial):
    with pytest.raises(RuntimeUnavailableError, match=r"from compute capability 7\.5 on, this one has 7\.0"):
        nvrtc.compile_kernel_file("trial", "sm_70")


def test_missing_bindings_are_said_with_the_line_that_installs_them(trial, monkeypatch):
    monkeypatch.setitem(sys.modules, "cuda.bindings", None)
    with pytest.raises(
        RuntimeUnavailableError, match=r'package is missing .*pip install "steadypose\[cuda\]"'
    ):
        nvrtc.compile_kernel_file("trial", "sm_86")


def test_a_missing_library_is_said_with_the_line_that_installs_it(trial, monkeypatch):
    from cuda.bindings import nvrtc as library

    def absent():
        raise RuntimeError("libnvrtc.so.13 not found")

    monkeypatch.setattr(library, "nvrtcVersion", absent)
    nvrtc.nvrtc_version.cache_clear()
    with pytest.raises(RuntimeUnavailableError, match=r'libnvrtc.so.13 not found.*"steadypose\[cuda\]"'):
        nvrtc.nvrtc_version()
