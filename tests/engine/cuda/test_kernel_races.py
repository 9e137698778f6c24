"""Every kernel on real threads under ThreadSanitizer, and in memory that AddressSanitizer watches.

A kernel file without a case fails here: write one, small, that reaches its barriers and its borders.
"""

import subprocess
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from engine.cuda.peaks_bottomup import BottomUpPeaks
from engine.cuda.peaks_topdown import TopDownPeaks
from engine.cuda.prepare import PrepareKernel, pack_matrices, pack_view
from engine.geometry import crop_matrix
from engine.model_file import ModelSpec
from engine.skeleton import Skeleton
from tests.engine.cuda.kernel_resources import kernel_files
from tests.engine.cuda.launch_recorder import SANITIZERS, LaunchRecorder, build, replay
from tests.engine.cuda.shim_device import ShimDevice
from tests.engine.cuda.shim_library import KERNELS, compiler

SKELETON = Skeleton(
    name="two", keypoints=("left", "right"), limbs=(), flip_pairs=((0, 1),), oks_sigmas=(0.1, 0.1)
)


@cache
def missing(sanitizer: str) -> str:
    """Return why a sanitizer cannot be used here, empty where it can."""
    program = compiler()
    if program is None:
        return "g++ is not installed"
    command = [program, "-x", "c++", *SANITIZERS[sanitizer], "-o", "/dev/null", "-"]
    done = subprocess.run(command, input="int main() {}", capture_output=True, text=True)
    return f"g++ lacks {SANITIZERS[sanitizer][0]}" if done.returncode else ""


NEEDS_THREAD = pytest.mark.skipif(bool(missing("thread")), reason=missing("thread") or "-")
NEEDS_ADDRESS = pytest.mark.skipif(bool(missing("address")), reason=missing("address") or "-")


def make_spec(**changes: object) -> ModelSpec:
    values: dict[str, object] = {
        "name": "test",
        "architecture": "none",
        "kind": "top-down",
        "input_size": (64, 64),
        "mean": (0.5, 0.5, 0.5),
        "std": (0.25, 0.25, 0.25),
        "heatmap_outputs": [{"name": "heatmaps", "stride": 4}],
        "skeleton": SKELETON,
        "licence": "Apache-2.0",
        "training_data": "none",
    }
    return ModelSpec.model_validate(values | changes)


def bumps(*shape: int) -> np.ndarray:
    """Return maps of faint noise with a few peaks, some at borders."""
    random = np.random.default_rng(5)
    maps = random.uniform(0, 0.02, shape).astype(np.float32)
    height, width = shape[-2:]
    for y, x in ((0, 0), (height - 1, width - 1), (height // 2, width // 3)):
        maps[..., y, x] = random.uniform(0.5, 1, shape[:-2])
    return maps


def prepare_case(device: ShimDevice, stream: LaunchRecorder) -> int:
    kernel = PrepareKernel(device, make_spec(), np.dtype(np.float16))
    image = np.random.default_rng(2).integers(0, 256, (13, 11, 3), dtype=np.uint8)
    frame = device.tensor(image)
    view = device.tensor(pack_view(frame.address, (13, 11), 33).view(np.uint8))
    matrices = [crop_matrix((5, 6), (side, side), (9, 18), rotation_deg=side) for side in (4, 14, 40)]
    packed = device.tensor(pack_matrices(matrices, 4))
    count = device.tensor(np.array([3], np.int32))
    inputs = device.tensor(np.zeros((8, 3, 9, 18), np.float16))
    stream.pointers.append(view.address)
    kernel.enqueue(
        stream,
        view=view.address,
        matrices=packed.address,
        count=count.address,
        inputs=inputs,
        mirrored=True,
    )
    return inputs.address


def topdown_case(device: ShimDevice, stream: LaunchRecorder) -> int:
    maps = bumps(4, 2, 20, 37)
    maps[1, 1] *= -1
    heatmaps, count = device.tensor(maps), device.tensor(np.array([2], np.int32))
    specs = [make_spec(decoder=decoder) for decoder in ("quarter", "dark", "udp")]
    kernels = [TopDownPeaks(device, spec, np.dtype(np.float32)) for spec in specs]
    size = 4 * int(np.prod(kernels[0].result_shape(2)))
    target = device.allocate(size * len(kernels))
    for index, kernel in enumerate(kernels):
        place = target.address + index * size
        kernel.enqueue(stream, heatmaps=heatmaps, count=count.address, mirrored=True, target=place)
    return target.address


def bottomup_case(device: ShimDevice, stream: LaunchRecorder) -> int:
    spec = make_spec(
        kind="bottom-up",
        heatmap_outputs=[{"name": "coarse", "stride": 4}, {"name": "fine", "stride": 2}],
        tag_outputs=[{"name": "tags", "stride": 4}],
    )
    kernel = BottomUpPeaks(device, spec, np.float16, max_people=3)
    shapes = {"coarse": (20, 18), "fine": (40, 36), "tags": (20, 18)}
    outputs = {name: device.tensor(bumps(2, 2, *size).astype(np.float16)) for name, size in shapes.items()}
    scratch = device.allocate(kernel.scratch_bytes((40, 36)))
    target = device.allocate(kernel.result_bytes())
    kernel.enqueue(stream, outputs=outputs, mirrored=True, scratch=scratch.address, target=target.address)
    return target.address


CASES: dict[str, Callable[[ShimDevice, LaunchRecorder], int]] = {
    "prepare": prepare_case,
    "peaks_topdown": topdown_case,
    "peaks_bottomup": bottomup_case,
}


def record(name: str) -> tuple[LaunchRecorder, int]:
    """Return a recording and the address of its result."""
    recorder = LaunchRecorder(ShimDevice(lazy=False))
    return recorder, CASES[name](recorder.device, recorder)


def report_of(name: str, sanitizer: str, folder: Path, old: str, new: str) -> str:
    """Return what a sanitizer says of a kernel in whose text the first `old` is replaced."""
    text = (KERNELS / f"{name}.cu").read_text()
    assert old in text
    recorder, _ = record(name)
    program = build(name, recorder.entries(), sanitizer, text.replace(old, new, 1))
    return replay(program, recorder, folder)[0]


@pytest.mark.parametrize("name", kernel_files())
def test_every_kernel_has_a_case(name):
    assert name in CASES


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize(
    "sanitizer", [pytest.param("thread", marks=NEEDS_THREAD), pytest.param("address", marks=NEEDS_ADDRESS)]
)
def test_real_threads_do_no_harm_and_compute_what_fibres_do(sanitizer, name, tmp_path):
    recorder, result = record(name)
    report, buffers = replay(build(name, recorder.entries(), sanitizer), recorder, tmp_path)
    assert not report
    expected = recorder.device.place(result, 1).array
    np.testing.assert_array_equal(buffers[result], expected)
    assert buffers[result].tobytes() != recorder.before[result]


@pytest.mark.slow
@NEEDS_THREAD
def test_a_missing_barrier_is_reported(tmp_path):
    report = report_of("peaks_topdown", "thread", tmp_path, "__syncthreads();", "")
    assert "data race" in report and "peaks_topdown.cu" in report


@pytest.mark.slow
@NEEDS_ADDRESS
def test_a_read_beyond_the_frame_is_reported(tmp_path):
    report = report_of("prepare", "address", tmp_path, "x < frame.width - 2", "x < frame.width - 1")
    assert "heap-buffer-overflow" in report and "read_pair" in report
