import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import get_args

import pytest
from typer.testing import Result

from engine import __version__
from engine.settings import SmoothingMethod

Invoke = Callable[..., Result]


def test_the_version_is_told(invoke: Invoke):
    result = invoke("--version")
    assert (result.exit_code, result.stdout) == (0, f"steadypose {__version__}\n")


def test_the_version_needs_no_heavy_package():
    code = (
        "import sys\nfrom app.cli import cli\n"
        "try:\n    cli(['--version'])\nexcept SystemExit as leave:\n    assert not leave.code\n"
        "heavy = {'numpy', 'cv2', 'av', 'openvino', 'onnx', 'onnxruntime', 'torch'} & set(sys.modules)\n"
        "sys.exit(f'loaded {heavy}' if heavy else 0)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_it_shows_what_it_can_do(invoke: Invoke):
    result = invoke("--help")
    assert result.exit_code == 0
    for command in ("app", "live", "track", "demo", "models", "doctor", "bench", "Exit codes"):
        assert command in result.stdout


@pytest.mark.parametrize(
    "command",
    [
        "app",
        "live",
        "track",
        "demo",
        "doctor",
        "bench",
        "models list",
        "models info",
        "models download",
        "models remove",
    ],
)
def test_every_command_explains_itself(invoke: Invoke, command: str):
    result = invoke(*command.split(), "--help")
    assert result.exit_code == 0 and "Usage: steadypose" in result.stdout


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("fly",), "No such command"),
        (("track", "clip.mp4"), "--out"),
        (("track", "--out", "out"), "INPUT"),
        (("track", "clip.mp4", "--out", "out", "--mode", "sideways"), "sideways"),
        (("track", "clip.mp4", "--out", "out", "--threads", "-1"), "--threads"),
        (("track", "clip.mp4", "--out", "out", "--max-people", "0"), "--max-people"),
        (("track", "clip.mp4", "--out", "out", "--find-interval", "-1"), "--find-interval"),
        (("track", "clip.mp4", "--out", "out", "--fps", "0"), "--fps must be a number above 0"),
        (("track", "clip.mp4", "--out", "out", "--fps", "nan"), "--fps must be a number above 0"),
        (("track", "clip.mp4", "--out", "out", "-q", "-v"), "--quiet and --verbose exclude each other"),
        (("bench", "--soak", "0"), "--soak must be above 0"),
        (("bench", "gpu", "--window"), "gpu, smoothing, --window and --soak exclude each other"),
        (("bench", "--runtime", "tensorrt"), "--runtime and --precision are for gpu and smoothing"),
        (("bench", "gpu", "--runtime", "openvino"), "openvino"),
        (
            ("models", "compile", "default-top-down", "--calibration", "."),
            "calibration pictures are for precision int8",
        ),
        (("models", "info", "no-such-model"), "no model called 'no-such-model'"),
    ],
)
def test_wrong_usage_leaves_with_2_and_says_what_is_wrong(
    invoke: Invoke, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], says: str
):
    monkeypatch.chdir(tmp_path)
    result = invoke(*arguments)
    assert result.exit_code == 2
    assert says in result.stderr and result.stdout == ""
    assert list(tmp_path.iterdir()) == []


def test_every_smoothing_can_be_chosen(invoke: Invoke):
    text = invoke("track", "--help").stdout
    assert all(method in "".join(text.split()) for method in get_args(SmoothingMethod)[:2])


def test_neither_torch_nor_training_comes_with_the_command_line():
    code = (
        "import sys, pkgutil, importlib, app\n"
        "names = [module.name for module in pkgutil.walk_packages(app.__path__, 'app.')]\n"
        "for name in names: name.endswith('__main__') or importlib.import_module(name)\n"
        "assert len(names) > 10\n"
        "sys.exit(bool({'torch', 'train'} & set(sys.modules)))\n"
    )
    assert subprocess.run([sys.executable, "-c", code], timeout=60, check=False).returncode == 0


def test_bench_smoothing_is_given_what_was_asked_for(
    invoke: Invoke, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    asked = []
    monkeypatch.setattr(
        "app.bench.smoothing.run_smoothing_bench",
        lambda settings, *, json_path, console: asked.append((settings.runtime, json_path)),
    )
    result = invoke("bench", "smoothing", "--runtime", "onnxruntime", "--json", tmp_path / "smoothing.json")
    assert result.exit_code == 0 and asked == [("onnxruntime", tmp_path / "smoothing.json")]
