import subprocess
import sys
from pathlib import Path
from typing import get_args

import numpy as np
import pytest

from engine.errors import DeviceError, ModelFileError, RuntimeUnavailableError
from engine.model import open_model
from engine.model_file import read_spec
from engine.runtime import AUTO, RUNTIMES, auto_runtimes, check_arithmetic, open_first, open_runtime
from engine.settings import RuntimeName

ALL = ("onnxruntime", "openvino")
"""Runtimes for CPUs, which run everywhere."""


def random_inputs(count: int, size: tuple[int, int], seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).random((count, 3, *size), np.float32)


@pytest.mark.parametrize("name", ALL)
def test_a_runtime_returns_named_float32_outputs_one_row_per_picture(name: str, top_down_file: Path) -> None:
    runtime = open_runtime(top_down_file, read_spec(top_down_file), name=name)
    outputs = runtime.run(random_inputs(3, (128, 96)))
    assert set(outputs) == {"heatmaps"}
    assert outputs["heatmaps"].shape == (3, 6, 32, 24) and outputs["heatmaps"].dtype == np.float32
    assert runtime.name == name and runtime.precision == "fp32" and runtime.device
    runtime.close()


@pytest.mark.parametrize("name", ALL)
def test_a_batch_gives_what_its_pictures_give_alone(name: str, top_down_file: Path) -> None:
    runtime = open_runtime(top_down_file, read_spec(top_down_file), name=name)
    inputs = random_inputs(3, (128, 96))
    together = runtime.run(inputs)["heatmaps"]
    alone = [runtime.run(inputs[index : index + 1])["heatmaps"][0] for index in range(3)]
    np.testing.assert_allclose(together, np.stack(alone), atol=1e-6)


@pytest.mark.parametrize("name", ALL)
def test_outputs_belong_to_the_caller_and_survive_the_next_run(name: str, bottom_up_file: Path) -> None:
    runtime = open_runtime(bottom_up_file, read_spec(bottom_up_file), name=name)
    first = runtime.run(random_inputs(1, (192, 192), seed=1))
    kept = {key: value.copy() for key, value in first.items()}
    runtime.run(random_inputs(1, (192, 192), seed=2))
    for key, value in first.items():
        np.testing.assert_array_equal(value, kept[key])


@pytest.mark.parametrize("name", ALL)
def test_inputs_may_be_read_only_and_in_any_order_of_memory(name: str, top_down_file: Path) -> None:
    runtime = open_runtime(top_down_file, read_spec(top_down_file), name=name)
    inputs = random_inputs(2, (128, 96))
    wanted = runtime.run(inputs)["heatmaps"]
    frozen = inputs.copy()
    frozen.flags.writeable = False
    for other in (frozen, np.asfortranarray(inputs)):
        np.testing.assert_array_equal(runtime.run(other)["heatmaps"], wanted)


@pytest.mark.parametrize("name", ALL)
def test_a_network_of_dynamic_size_takes_several_sizes_in_turn(name: str, bottom_up_file: Path) -> None:
    runtime = open_runtime(bottom_up_file, read_spec(bottom_up_file), name=name)
    for height, width in ((192, 192), (192, 352), (96, 64), (192, 192)):
        outputs = runtime.run(random_inputs(1, (height, width)))
        assert outputs["heatmaps_0"].shape == (1, 6, height // 4, width // 4)
        assert outputs["heatmaps_1"].shape == (1, 6, height // 2, width // 2)


@pytest.mark.parametrize(("kind", "size"), [("top_down_file", (128, 96)), ("bottom_up_file", (192, 352))])
def test_all_runtimes_agree(kind: str, size: tuple[int, int], request: pytest.FixtureRequest) -> None:
    path = request.getfixturevalue(kind)
    inputs = random_inputs(2 if kind == "top_down_file" else 1, size)
    results = [open_runtime(path, read_spec(path), name=name).run(inputs) for name in ALL]
    for key, value in results[0].items():
        np.testing.assert_allclose(results[1][key], value, atol=1e-4)


@pytest.mark.parametrize("name", ALL)
def test_a_graph_a_runtime_cannot_build_is_a_model_file_error(
    name: str, top_down_file: Path, tmp_path: Path
) -> None:
    import onnx

    network = onnx.load(str(top_down_file))
    network.graph.node[0].op_type = "NoSuchOperator"
    onnx.save(network, str(tmp_path / "odd.onnx"))
    with pytest.raises(ModelFileError, match=f"{name} cannot load .*odd.onnx"):
        open_runtime(tmp_path / "odd.onnx", read_spec(top_down_file), name=name)


@pytest.mark.parametrize("name", ALL)
def test_inputs_the_graph_does_not_take_are_a_model_file_error(name: str, top_down_file: Path) -> None:
    runtime = open_runtime(top_down_file, read_spec(top_down_file), name=name)
    with pytest.raises(ModelFileError, match=r"inputs of shape \(1, 5, 128, 96\)"):
        runtime.run(np.zeros((1, 5, 128, 96), np.float32))


@pytest.mark.parametrize("name", ALL)
def test_a_runtime_that_is_not_installed_names_the_install_line(
    name: str, top_down_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(RuntimeUnavailableError, match=f"pip install {name}"):
        open_runtime(top_down_file, read_spec(top_down_file), name=name)


@pytest.fixture
def no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "engine.runtime._is_installed", lambda package: package in ("openvino", "onnxruntime")
    )


def test_every_runtime_that_can_be_named_is_known_and_no_other() -> None:
    assert ("auto", *RUNTIMES) == get_args(RuntimeName)
    assert set(AUTO) <= set(RUNTIMES)


@pytest.mark.usefixtures("no_gpu")
def test_auto_takes_openvino_first() -> None:
    assert auto_runtimes() == ("openvino", "onnxruntime")


def test_auto_says_why_it_passes_over_a_runtime(caplog: pytest.LogCaptureFixture) -> None:
    def attempt(name: str) -> str:
        if name == "openvino":
            raise RuntimeUnavailableError("it cannot be loaded")
        return name

    assert open_first(("openvino", "onnxruntime"), attempt) == "onnxruntime"
    assert "auto passes over openvino: it cannot be loaded" in caplog.text


@pytest.mark.parametrize("error", [DeviceError, ModelFileError])
def test_what_fails_on_a_gpu_is_tried_on_the_cpu(
    error: type[Exception], caplog: pytest.LogCaptureFixture
) -> None:
    def attempt(name: str) -> str:
        if name == "tensorrt":
            raise error("the GPU has no memory left")
        return name

    assert open_first(("tensorrt", "openvino"), attempt) == "openvino"
    assert "auto passes over tensorrt: the GPU has no memory left" in caplog.text


def test_a_file_that_a_cpu_refuses_is_not_tried_any_further() -> None:
    def attempt(name: str) -> str:
        raise ModelFileError(f"{name} cannot load it")

    with pytest.raises(ModelFileError, match="openvino cannot load it"):
        open_first(("openvino", "onnxruntime"), attempt)


def test_without_any_runtime_the_error_names_every_reason(
    top_down_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ALL:
        monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.setattr("engine.runtime._is_installed", lambda package: False)
    with pytest.raises(RuntimeUnavailableError, match=r"pip install openvino.*pip install onnxruntime"):
        open_model(top_down_file)


def test_an_unknown_runtime_is_refused(top_down_file: Path) -> None:
    with pytest.raises(
        RuntimeUnavailableError, match="no runtime 'tensorflow'; choose one of auto, tensorrt"
    ):
        open_runtime(top_down_file, read_spec(top_down_file), name="tensorflow")


def test_onnxruntime_refuses_bf16(top_down_file: Path) -> None:
    with pytest.raises(RuntimeUnavailableError, match="choose the runtime openvino"):
        open_runtime(top_down_file, read_spec(top_down_file), name="onnxruntime", arithmetic="bf16")


@pytest.mark.skipif(sys.platform == "win32", reason="there are no signal stacks")
@pytest.mark.parametrize("order", ["as opened", "last first"])
def test_a_signal_is_handled_after_models_were_closed_in_any_order(order: str, top_down_file: Path) -> None:
    # In a process of its own: where this fails, the process crashes.
    code = f"""
import os, signal
from pathlib import Path
from engine.model_file import read_spec
from engine.runtime import open_runtime

path = Path({str(top_down_file)!r})
opened = [open_runtime(path, read_spec(path), name="openvino", threads=1) for _ in range(2)]
while opened:
    opened.pop({0 if order == "as opened" else -1}).close()
signal.signal(signal.SIGINT, lambda *_: print("handled"))
os.kill(os.getpid(), signal.SIGINT)
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stdout) == (0, "handled\n"), done.stderr


def test_openvino_keeps_its_compiled_network_in_the_cache(
    top_down_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    open_runtime(top_down_file, read_spec(top_down_file), name="openvino")
    assert list((tmp_path / "steadypose" / "openvino").iterdir())


def test_an_unwritable_cache_is_reported_and_harmless(
    top_down_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    runtime = open_runtime(top_down_file, read_spec(top_down_file), name="openvino")
    assert runtime.run(random_inputs(1, (128, 96)))["heatmaps"].shape == (1, 6, 32, 24)
    assert "cannot be written" in caplog.text


def test_choosing_a_runtime_loads_no_runtime_package() -> None:
    code = "import sys, engine.runtime; print(sorted({'openvino', 'onnxruntime'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_what_a_runtime_refuses_is_known_without_a_model() -> None:
    for name in ALL:
        check_arithmetic(name, "fp32")
        check_arithmetic(name, "int8")
        with pytest.raises(RuntimeUnavailableError, match=r"fp32.* and int8"):
            check_arithmetic(name, "fp16")
    with pytest.raises(RuntimeUnavailableError, match="fp32 and int8 only"):
        check_arithmetic("onnxruntime", "bf16")


def test_openvino_is_loaded_without_its_telemetry():
    code = (
        "import sys, threading; from engine.runtime.openvino import openvino_devices; openvino_devices(); "
        "print(sys.modules.get('openvino_telemetry'), threading.active_count())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["None", "1"]
