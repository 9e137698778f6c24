import errno
import json
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from assets import models_dir
from engine.cache import cache_dir
from engine.cuda.device import DeviceInfo
from engine.errors import ModelFileError
from engine.model_file import read_spec
from engine.runtime.plan_cache import PORTABLE, PORTABLE_TURING, PlanKey, find_plan, plan_key, store_plan
from engine.runtime.plan_shapes import plan_shapes
from engine.runtime.tensorrt_package import ErrorLog, PackageName, TensorRtPackage

DATA = bytes(range(256)) * 40
ADA = DeviceInfo("NVIDIA RTX 4090", 0, (8, 9), 24 << 30, (13, 0))


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def package(name: PackageName = "tensorrt", version: str = "11.4.0") -> TensorRtPackage:
    return TensorRtPackage(name, SimpleNamespace(), version, None, ErrorLog())


def make_key(**changes: object) -> PlanKey:
    spec = read_spec(models_dir() / "steadypose-td-w16.onnx")
    key = plan_key(spec, "0" * 64, package(), "fp16", plan_shapes(spec), gpu=ADA)
    return replace(key, **changes)  # type: ignore[arg-type]


@pytest.fixture
def read_only_cache(tmp_path: Path) -> Iterator[None]:
    """A file stands where the folder should be: also root cannot write there."""
    cache_dir().parent.mkdir(parents=True, exist_ok=True)
    cache_dir().write_bytes(b"")
    yield
    cache_dir().unlink()


def test_a_stored_plan_is_found_with_what_was_noted() -> None:
    assert find_plan(make_key()) is None
    stored = store_plan(make_key(), DATA, {"seconds": 1.5})
    found = find_plan(make_key())
    assert found is not None and found.path == stored.path
    assert found.read() == stored.read() == DATA
    assert (found.nbytes, found.about, found.parity) == (len(DATA), {"seconds": 1.5}, None)
    assert sorted(file.suffix for file in (cache_dir() / "plans").iterdir()) == [".json", ".plan"]


def test_a_plan_is_only_found_for_the_very_same_key() -> None:
    key = make_key()
    store_plan(key, DATA, {})
    others = [
        replace(key, model_sha256="1" * 64),
        replace(key, package="tensorrt-rtx"),
        replace(key, package_version="11.5.0"),
        replace(key, gpu="NVIDIA H200, sm_90, driver 13.0"),
        replace(key, precision="int8"),
        replace(key, shapes=replace(key.shapes, max_batch=32)),
        replace(key, calibration="ab"),
        replace(key, recipe=key.recipe + 1),
    ]
    assert len({other.digest() for other in [*others, key]}) == 9
    assert [find_plan(other) for other in others] == [None] * 8
    assert find_plan(key) is not None


def test_a_tensorrt_plan_belongs_to_gpu_and_driver_but_one_of_rtx_to_all_but_turing() -> None:
    spec = read_spec(models_dir() / "steadypose-td-w16.onnx")
    shapes = plan_shapes(spec)
    turing = DeviceInfo("RTX 2080", 0, (7, 5), 8 << 30, (13, 0))
    updated = replace(ADA, driver=(13, 1))

    def where(name: PackageName, gpu: DeviceInfo | None) -> str:
        return plan_key(spec, "", package(name), "fp16", shapes, gpu=gpu).gpu

    assert where("tensorrt", ADA) == "NVIDIA RTX 4090, sm_89, driver 13.0"
    assert where("tensorrt", ADA) != where("tensorrt", updated)
    assert where("tensorrt-rtx", ADA) == where("tensorrt-rtx", None) == PORTABLE
    assert where("tensorrt-rtx", turing) == PORTABLE_TURING
    with pytest.raises(ValueError, match="one GPU"):
        where("tensorrt", None)


def test_parity_is_noted_beside_the_plan_and_kept() -> None:
    store_plan(make_key(), DATA, {}).mark_parity({"keypoint_px": 0.1, "gpu": "a"})
    found = find_plan(make_key())
    assert found is not None and found.parity == {"keypoint_px": 0.1, "gpu": "a"}
    assert found.read() == DATA


def test_a_truncated_plan_is_forgotten_and_the_log_says_so(caplog: pytest.LogCaptureFixture) -> None:
    stored = store_plan(make_key(), DATA, {})
    assert stored.path is not None
    stored.path.write_bytes(DATA[:1000])
    assert find_plan(make_key()) is None
    assert "1000 bytes of 10240" in caplog.text and "built again" in caplog.text
    assert not list((cache_dir() / "plans").iterdir())


def test_a_plan_with_other_bytes_is_refused_when_it_is_read() -> None:
    stored = store_plan(make_key(), DATA, {})
    assert stored.path is not None
    stored.path.write_bytes(DATA[::-1])
    found = find_plan(make_key())
    assert found is not None
    with pytest.raises(ModelFileError, match="build it again"):
        found.read()
    found.discard()
    assert find_plan(make_key()) is None
    found.discard()  # gone already
    with pytest.raises(ModelFileError, match="cannot be read"):
        found.read()


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"key": 1}', "\udcff"])
def test_a_damaged_note_counts_as_no_plan(text: str, caplog: pytest.LogCaptureFixture) -> None:
    stored = store_plan(make_key(), DATA, {})
    assert stored.path is not None
    stored.path.with_suffix(".json").write_bytes(text.encode("utf-8", "surrogateescape"))
    assert find_plan(make_key()) is None
    assert "built again" in caplog.text


def test_the_plan_of_another_key_under_this_name_is_not_used() -> None:
    stored = store_plan(make_key(), DATA, {})
    assert stored.path is not None
    sidecar = stored.path.with_suffix(".json")
    noted = json.loads(sidecar.read_text())
    noted["key"]["gpu"] = "NVIDIA H200, sm_90, driver 13.0"
    sidecar.write_text(json.dumps(noted))
    assert find_plan(make_key()) is None


def test_plans_of_older_packages_and_drivers_go_and_others_stay() -> None:
    kept = [
        make_key(precision="fp32"),
        make_key(model_sha256="1" * 64),
        make_key(gpu="Other, sm_90, driver 13.0"),
    ]
    gone = [
        make_key(package_version="11.3.0"),
        make_key(gpu="NVIDIA RTX 4090, sm_89, driver 12.9"),
        make_key(recipe=0),
    ]
    for key in [*kept, *gone]:
        store_plan(key, DATA, {})
    (cache_dir() / "plans" / "foreign.json").write_text("no plan")
    store_plan(make_key(), DATA, {})
    assert all(find_plan(key) is not None for key in [*kept, make_key()])
    assert all(find_plan(key) is None for key in gone)
    assert (cache_dir() / "plans" / "foreign.json").exists()


@pytest.mark.usefixtures("read_only_cache")
def test_where_the_cache_cannot_be_written_the_plan_is_in_memory(caplog: pytest.LogCaptureFixture) -> None:
    stored = store_plan(make_key(), DATA, {})
    assert stored.path is None and stored.read() == DATA
    stored.mark_parity({"keypoint_px": 0.1})
    stored.discard()
    assert "cannot be written" in caplog.text
    assert find_plan(make_key()) is None


@pytest.mark.parametrize("failing", [1, 2])
def test_a_disk_that_fills_up_in_the_middle_leaves_nothing_behind(
    failing: int, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    store_plan(make_key(), b"older", {})
    written = []
    real = Path.write_bytes

    def fill_up(self: Path, data: bytes) -> int:
        if not self.name.endswith(".part"):
            return real(self, data)
        written.append(self)
        if len(written) == failing:
            real(self, data[: len(data) // 2])
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return real(self, data)

    monkeypatch.setattr(Path, "write_bytes", fill_up)
    stored = store_plan(make_key(), DATA, {})
    assert stored.path is None and stored.read() == DATA
    assert "No space left" in caplog.text
    assert find_plan(make_key()) is None
    assert not list((cache_dir() / "plans").iterdir())


def test_names_of_models_cannot_lead_out_of_the_cache() -> None:
    stored = store_plan(make_key(model="../../x y"), DATA, {})
    assert stored.path is not None and stored.path.parent == cache_dir() / "plans"
