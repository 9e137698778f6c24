import errno
import io
import os
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
from rich.console import Console
from typer.testing import Result

import app.compile
from app.compile import CompileProgress
from assets import models_dir
from engine.cache import cache_dir
from engine.cuda.device import DeviceInfo
from engine.errors import RuntimeUnavailableError
from engine.runtime.tensorrt_package import ErrorLog, PackageName, TensorRtPackage

pytest.importorskip("tensorrt_rtx")

Invoke = Callable[..., Result]
RTX = ("--runtime", "tensorrt-rtx")


@pytest.fixture(autouse=True)
def _own_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty cache, and no GPU whatever this machine has."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(app.compile, "driver_state", lambda: SimpleNamespace(devices=()))


def test_a_model_is_compiled_once_and_what_was_made_is_told(invoke: Invoke, top_down_file: Path) -> None:
    first = invoke("models", "compile", top_down_file, *RTX)
    assert first.exit_code == 0
    assert "markers-td, tensorrt-rtx 1." in first.stdout and "fp16: built in" in first.stdout
    assert "sm_80 and later" in first.stdout and "1 to 64 inputs of 128 x 96 px" in first.stdout
    (plan,) = (cache_dir() / "plans").glob("*.plan")
    assert f"{plan}, {plan.stat().st_size / 1e6:.1f} MB" in first.stdout
    made_ns = plan.stat().st_mtime_ns
    second = invoke("models", "compile", top_down_file, *RTX)
    assert second.exit_code == 0 and "there already" in second.stdout
    assert plan.stat().st_mtime_ns == made_ns
    third = invoke("models", "compile", top_down_file, *RTX, "--force")
    assert "built in" in third.stdout and "already" not in third.stdout


def test_int8_takes_the_pictures_of_the_user(
    invoke: Invoke, bottom_up_file: Path, marker_folder: Path
) -> None:
    result = invoke(
        "models", "compile", bottom_up_file, *RTX, "--precision", "int8",
        "--calibration", marker_folder,
    )  # fmt: skip
    assert result.exit_code == 0
    assert f"from the pictures in {marker_folder}" in result.stdout


def test_quiet_says_nothing(invoke: Invoke, top_down_file: Path) -> None:
    result = invoke("models", "compile", top_down_file, *RTX, "--quiet")
    assert (result.exit_code, result.stdout, result.stderr) == (0, "", "")


def test_the_quantised_file_of_a_bundled_model_leads_to_its_float_file(invoke: Invoke) -> None:
    result = invoke("models", "compile", models_dir() / "steadypose-td-w16.int8.onnx", *RTX)
    assert result.exit_code == 0 and "steadypose-td-w16, tensorrt-rtx" in result.stdout


def test_a_quantised_file_without_its_float_file_is_refused(invoke: Invoke, tmp_path: Path) -> None:
    alone = tmp_path / "alone.int8.onnx"
    alone.write_bytes((models_dir() / "steadypose-td-w16.int8.onnx").read_bytes())
    result = invoke("models", "compile", alone)
    assert result.exit_code == 2 and "built from the float file" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("no-such-model",), "no-such-model"),
        (("default-top-down", "--precision", "fp16", "--calibration", "."), "for precision int8"),
        (("default-top-down", "--precision", "int8", "--calibration", "no-such-folder"), "does not exist"),
    ],
)
def test_what_makes_no_sense_is_refused_in_a_line(
    invoke: Invoke, arguments: tuple[str, ...], told: str
) -> None:
    result = invoke("models", "compile", *arguments, *RTX)
    assert result.exit_code == 2
    assert told in result.stderr and "Traceback" not in result.stderr


def test_where_no_package_is_installed_both_lines_are_told(
    invoke: Invoke, top_down_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def absent(name: PackageName) -> TensorRtPackage:
        raise RuntimeUnavailableError(f"{name} is not here")

    monkeypatch.setattr(app.compile, "load_package", absent)
    result = invoke("models", "compile", top_down_file)
    assert result.exit_code == 2
    assert "tensorrt is not here; tensorrt-rtx is not here" in result.stderr


def test_tensorrt_needs_the_gpu_that_the_plan_is_for(
    invoke: Invoke, top_down_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_gpu() -> DeviceInfo:
        raise RuntimeUnavailableError("there is no NVIDIA driver")

    package = TensorRtPackage("tensorrt", SimpleNamespace(), "11.4.0", None, ErrorLog())
    monkeypatch.setattr(app.compile, "load_package", lambda name: package)
    monkeypatch.setattr(app.compile, "open_device", no_gpu)
    result = invoke("models", "compile", top_down_file, "--runtime", "tensorrt")
    assert result.exit_code == 2 and "there is no NVIDIA driver" in result.stderr


def test_a_turing_at_hand_gets_its_own_plan(
    invoke: Invoke, top_down_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    turing = DeviceInfo("RTX 2080", 0, (7, 5), 8 << 30, (13, 0))
    monkeypatch.setattr(app.compile, "driver_state", lambda: SimpleNamespace(devices=(turing,)))
    result = invoke("models", "compile", top_down_file, *RTX)
    assert result.exit_code == 0 and "portable, sm_75" in result.stdout


def test_a_plan_that_cannot_be_kept_is_an_error_here(
    invoke: Invoke, top_down_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = Path.write_bytes

    def fill_up(self: Path, data: bytes) -> int:
        if self.name.endswith(".part"):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return real(self, data)

    monkeypatch.setattr(Path, "write_bytes", fill_up)
    result = invoke("models", "compile", top_down_file, *RTX)
    assert result.exit_code == 2
    assert "No space left" in result.stderr and "cannot be kept" in result.stderr


def test_ctrl_c_ends_with_130_and_nothing_is_left(
    invoke: Invoke, top_down_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(self: CompileProgress, share: float, what: str) -> None:
        if share > 0:
            raise KeyboardInterrupt

    monkeypatch.setattr(CompileProgress, "show", interrupt)
    result = invoke("models", "compile", top_down_file, *RTX)
    assert result.exit_code == 130 and "stopped; nothing was written" in result.stderr
    assert not list(cache_dir().rglob("*.plan"))


def test_the_bar_shows_what_is_done_and_goes_away() -> None:
    terminal = io.StringIO()
    console = Console(file=terminal, force_terminal=True, width=100)
    with CompileProgress("m", console, quiet=False) as shown:
        shown.show(0.0, "calibrating")
        shown.show(0.42, "building engine")
        assert shown._bar is not None
        shown._bar.refresh()
    assert "m: building engine" in terminal.getvalue() and "42 %" in terminal.getvalue()
    assert shown._bar is None


def test_without_a_terminal_a_plain_line_comes_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    text = io.StringIO()
    monkeypatch.setattr(app.compile, "PLAIN_INTERVAL_S", 0.0)
    with CompileProgress("m", Console(file=text), quiet=False) as shown:
        shown.show(0.42, "building engine")
    assert text.getvalue() == "m: building engine, 42%\n"
