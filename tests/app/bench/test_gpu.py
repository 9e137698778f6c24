import json
from collections.abc import Callable, Iterator
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from app.bench import device_stages, device_timing, gpu, gpu_networks, gpu_stages
from app.bench.timing import Timing, measure
from app.bench.whole import WholeTiming
from engine.cuda.driver import DriverState
from engine.errors import DeviceError, RuntimeUnavailableError, UsageError
from engine.model import Model
from engine.settings import EstimatorSettings
from tests.engine.cuda import shim_library
from tests.engine.cuda.shim_device import ShimDevice
from tests.engine.device.shim_network import shim_model

needs_compiler = pytest.mark.skipif(shim_library.compiler() is None, reason="needs g++")


@pytest.fixture(scope="module")
def device() -> Iterator[ShimDevice]:
    device = ShimDevice(memory_bytes=64 << 20)
    yield device
    device.close()
    assert device.left_open() == []


@pytest.fixture(scope="module")
def settings(
    write_marker_model: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory
) -> EstimatorSettings:
    folder = tmp_path_factory.mktemp("models")
    top_down = write_marker_model(folder / "td.onnx", "top-down", input_size=(32, 32))
    bottom_up = write_marker_model(folder / "bu.onnx", "bottom-up", input_size=(32, 32))
    return EstimatorSettings(top_down_model=str(top_down), bottom_up_model=str(bottom_up))


@pytest.fixture(scope="module")
def run(device: ShimDevice, settings: EstimatorSettings, clip: Path) -> Iterator[Callable[..., dict]]:
    """Function that runs the whole report on the stand-in and returns what it wrote as JSON."""

    def open_model(name: str, *, runtime: str, precision: str, on_progress: Callable) -> Model:
        if runtime == "onnxruntime-cuda" and precision == "int8":
            raise RuntimeUnavailableError("onnxruntime-cuda computes in fp32 or fp16")
        on_progress("building", 0.5)
        dtype = np.float32 if precision == "fp32" else np.float16
        model = shim_model(device, Path(name), dtype, capturable=runtime == "tensorrt")
        model.runtime.name, model.runtime.precision = runtime, precision
        return model

    def run_it(path: Path, **changes: object) -> dict:
        gpu.run_gpu_bench(settings.model_copy(update=changes), json_path=path, console=quiet())
        return json.loads(path.read_text("utf-8"))

    state = DriverState("13", "13", (13, 0), (device.info,), None)
    # The kernels of the stand-in are slow: few and small runs.
    small = {
        device_timing: {
            "BUDGET_S": 0.0, "MIN_SAMPLES": 1, "MAX_REPEATS": 2, "BALLAST_BYTES": 1 << 16, "WARM_UP_RUNS": 1
        },
        device_stages: {"CROWD": 2, "DEFAULT_PEOPLE": 2},
        gpu_stages: {
            "BATCHES": (1, 2), "FRAME_SIZE": (24, 40),
            "REFERENCE_CROP": (32, 16), "REFERENCE_FRAME": (32, 32),
            "LINK_BYTES": 4096, "measure": once,
        },
        gpu_networks: {"BATCHES": (1, 2), "measure": once},
        gpu: {
            "FRAME_SIZE": (24, 40), "driver_state": lambda: state, "open_device": lambda: device,
            "demo_clip": lambda: clip, "measure_whole": fake_whole, "open_model": open_model,
            "installed_runtimes": lambda: ("tensorrt", "openvino", "onnxruntime-cuda"),
        },
    }  # fmt: skip
    with pytest.MonkeyPatch.context() as patch:
        for module, values in small.items():
            for name, value in values.items():
                patch.setattr(module, name, value)
        yield run_it


@pytest.fixture(scope="module")
def report(run: Callable[..., dict], tmp_path_factory: pytest.TempPathFactory) -> tuple[dict, str]:
    """The numbers of a whole report, and what it printed."""
    with redirect_stdout(StringIO()) as printed:
        numbers = run(tmp_path_factory.mktemp("report") / "gpu.json")
    return numbers, printed.getvalue()


def once(action: Callable[[], object], *, budget_s: float) -> Timing:
    return measure(action, budget_s=0.0, min_runs=1)


def quiet() -> Console:
    return Console(file=StringIO())


def fake_whole(clip: Path, settings: EstimatorSettings) -> Iterator[WholeTiming]:
    yield WholeTiming("auto", "fp16", 10, 400.0, 410.0, 13.3, {"infer": 1.0}, {"mode": "top-down"})
    if settings.runtime == "onnxruntime-cuda":
        raise DeviceError("the GPU was lost")


@needs_compiler
@pytest.mark.slow
def test_the_report_is_complete(report: tuple[dict, str]):
    numbers, text = report
    assert numbers["device"]["name"] == "CPU behind a shim"
    assert numbers["limits"]["memory_nominal_gb_s"] == 16.0
    assert numbers["limits"]["multiply_adds_t_s"] == {"fp32": 0.256, "fp16": 1.024, "int8": 2.048}

    stages = {(row["stage"], row["on"], row["precision"]) for row in numbers["stages"]}
    crops = [f"{count} of {size}" for count in (1, 2) for size in ("32x16", "32x32")]
    frames = ["frame at 32x32", "frame at 32x64"]
    wanted = {("upload", "frame of 24x40", "uint8")}
    for precision in ("fp16", "fp32"):
        wanted |= {
            (name, on, precision)
            for on in crops
            for name in ("prepare", "peaks, top-down", "download peaks", "frame but network")
        }
        wanted |= {
            (name, on, precision)
            for on in frames
            for name in ("letterbox", "download peaks", "frame but network")
        }
        for maps in ("17x16x16", "6x16x32"):
            wanted.add(("peaks, bottom-up", f"{maps} and tags", precision))
    assert stages == wanted
    for row in numbers["stages"]:
        assert row["median_us"] >= row["min_us"] > 0 and row["samples"] == 1
        assert row["ratio"] > 0 and row["launch_ratio"] > 0

    for stage, on, _ in wanted:
        assert stage in text and on in text
    assert "bytes µs" in text and "operations µs" in text and "x floor" in text
    assert "16 GB/s" in text and "behind other work" in text
    assert "no figures" not in text and all(len(line) < 140 for line in text.splitlines()[1:14])


@needs_compiler
@pytest.mark.slow
def test_every_runtime_present_appears(report: tuple[dict, str]):
    numbers, text = report
    seen = {(row["runtime"], row["precision"], row["stage"]) for row in numbers["networks"]}
    forms = [("tensorrt", form) for form in ("fp16", "fp32", "int8")]
    forms += [("onnxruntime-cuda", form) for form in ("fp16", "fp32")]
    assert seen == {(*form, stage) for form in forms for stage in ("markers-td", "markers-bu", "end to end")}
    ons = [row["on"] for row in numbers["networks"] if (row["runtime"], row["precision"]) == forms[0]]
    assert ons == [
        "1 of 32x32", "2 of 32x32", "1 boxes, keypoints", "2 boxes, keypoints",
        "1 of 32x64", "2 of 32x64", "1 of 32x32", "2 of 32x32",
        "frame of 24x40 at 32x64, people", "frame of 24x24 at 32x32, people",
    ]  # fmt: skip
    for row in numbers["networks"]:
        assert row["per_second"] == pytest.approx(row["items"] * 1e6 / row["median_us"], rel=0.01)
        assert row["ratio"] > 0 and row["work"]["multiply_adds"][row["precision"]] > 0
    assert list(numbers["clip"]) == ["tensorrt", "onnxruntime-cuda"]
    assert "tensorrt-rtx" in text and "clip.mp4 to CSV, tensorrt" in text


@needs_compiler
@pytest.mark.slow
def test_a_runtime_that_fails_is_named_and_the_rest_goes_on(report: tuple[dict, str]):
    numbers, text = report
    failed = {row["what"]: row["reason"] for row in numbers["failures"]}
    assert len(failed) == 3
    for what in ("td.onnx on onnxruntime-cuda in int8", "bu.onnx on onnxruntime-cuda in int8"):
        (reason,) = (reason for name, reason in failed.items() if name.endswith(what))
        assert reason == "onnxruntime-cuda computes in fp32 or fp16"
    assert failed["clip.mp4 to CSV on onnxruntime-cuda"] == "the GPU was lost"
    assert "not measured: clip.mp4 to CSV on onnxruntime-cuda: the GPU was lost" in text
    assert len(numbers["clip"]["onnxruntime-cuda"]) == 1


@needs_compiler
@pytest.mark.slow
def test_a_model_that_the_kernels_cannot_decode_leaves_the_rest(
    run: Callable[..., dict], tmp_path: Path, write_marker_model: Callable[..., Path],
    monkeypatch: pytest.MonkeyPatch,
):  # fmt: skip
    monkeypatch.setattr(gpu_stages, "BATCHES", (1,))
    wide = write_marker_model(tmp_path / "wide.onnx", "bottom-up", input_size=(32, 32), heatmap_sigma=9.0)
    numbers = run(tmp_path / "gpu.json", bottom_up_model=str(wide), runtime="tensorrt", precision="fp16")
    reasons = {row["what"]: row["reason"] for row in numbers["failures"]}
    assert "blurred by at most" in reasons["stages of markers-bu"]
    stages = {row["stage"] for row in numbers["stages"]}
    assert {"upload", "prepare", "peaks, top-down", "peaks, bottom-up"} <= stages
    assert {row["precision"] for row in numbers["networks"]} == {"fp16"}
    assert {"markers-td", "markers-bu"} <= {row["stage"] for row in numbers["networks"]}


@needs_compiler
@pytest.mark.slow
def test_without_a_runtime_the_stages_are_measured(
    run: Callable[..., dict], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(gpu, "installed_runtimes", lambda: ("openvino",))
    monkeypatch.setattr(gpu_stages, "BATCHES", (1,))
    numbers = run(tmp_path / "gpu.json")
    assert len(numbers["stages"]) == 33 and numbers["networks"] == [] and numbers["clip"] == {}
    assert [row["what"] for row in numbers["failures"]] == ["networks"]


def test_numbers_that_cannot_be_written_are_not_measured(
    settings: EstimatorSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(gpu, "driver_state", lambda: DriverState("13", "13", (13, 0), (), None))
    with pytest.raises(UsageError, match="--json"):
        gpu.run_gpu_bench(settings, json_path=tmp_path / "none" / "gpu.json", console=quiet())


def test_without_a_gpu_it_says_why(settings: EstimatorSettings, monkeypatch: pytest.MonkeyPatch):
    state = DriverState("13", "13", None, (), "no NVIDIA driver was found; install release 580")
    monkeypatch.setattr(gpu, "driver_state", lambda: state)
    with pytest.raises(RuntimeUnavailableError, match="no GPU to be measured: no NVIDIA driver was found"):
        gpu.run_gpu_bench(settings, json_path=None, console=quiet())


def test_a_runtime_of_cpus_is_refused(settings: EstimatorSettings):
    with pytest.raises(UsageError, match="got runtime openvino"):
        gpu.run_gpu_bench(
            settings.model_copy(update={"runtime": "openvino"}), json_path=None, console=quiet()
        )


def test_the_runtimes_that_are_measured_are_those_that_there_are():
    names = {name for name, kind in gpu.RUNTIMES.items() if kind.on_nvidia}
    assert set(gpu.GPU_RUNTIMES) == names
    assert "absent" in gpu.runtime_text(("tensorrt",)) or gpu.runtime_version("tensorrt")


def test_numbers_in_tables_keep_what_counts():
    assert [gpu._number(value) for value in (None, 0.0, 0.01234, 3.456, 1234.56)] == [
        None, "0.0", "0.0123", "3.46", "1234.6",
    ]  # fmt: skip
