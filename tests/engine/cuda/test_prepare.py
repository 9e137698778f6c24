import ctypes
import ctypes.util

import cv2
import numpy as np
import pytest

from engine import prepare as host
from engine.cuda.prepare import PrepareKernel, pack_matrices, pack_view
from engine.cuda.prepare_twin import fused_multiply_add, prepare_twin, warp_twin
from engine.geometry import crop_matrix, invert_matrix, letterbox_matrix
from engine.model_file import ModelSpec
from engine.skeleton import COCO17
from tests.engine.cuda.shim_device import ShimDevice
from tests.engine.cuda.shim_library import compiler

CPU_FMA3, CPU_NEON = 12, 100  # CV_CPU_ numbers, which cv2 has no names for
CPU_FUSES = cv2.checkHardwareSupport(CPU_FMA3) or cv2.checkHardwareSupport(CPU_NEON)
NEEDS_COMPILER = pytest.mark.skipif(compiler() is None, reason="g++ is not installed")
BOXES = {
    "inside": (300, 100, 420, 380),
    "over the left border": (-60, 50, 80, 300),
    "over the last corner": (560, 400, 700, 520),
    "beyond the frame": (2000, 2000, 2300, 2500),
    "before the frame": (-900, -900, -800, -700),
    "larger than the frame": (-500, -400, 1500, 1300),
    "the frame": (0, 0, 640, 480),
    "one pixel": (200, 200, 201, 201),
    "a hundredth of a pixel": (200, 200, 200.01, 200.01),
    "huge": (-1e7, -1e7, 1e7, 1e7),
    "a pixel at the border": (639, 479, 640, 480),
}


def make_spec(**changes: object) -> ModelSpec:
    values: dict[str, object] = {
        "name": "test",
        "architecture": "none",
        "kind": "top-down",
        "input_size": (64, 96),
        "mean": (0.485, 0.456, 0.406),
        "std": (0.229, 0.224, 0.225),
        "heatmap_outputs": [{"name": "heatmaps", "stride": 4}],
        "skeleton": COCO17,
        "licence": "Apache-2.0",
        "training_data": "none",
    }
    return ModelSpec.model_validate(values | changes)


def picture(height: int, width: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def matrices_of(boxes: object, size: tuple[int, int], rotation_deg: float = 0.0) -> np.ndarray:
    boxes = np.asarray(boxes, np.float64).reshape(-1, 4)
    return np.array(
        [
            crop_matrix((box[:2] + box[2:]) / 2, box[2:] - box[:2], size, rotation_deg=rotation_deg)
            for box in boxes
        ]
    ).reshape(-1, 2, 3)


class Bench:
    """The kernel on the stand-in for a device, with all that one run needs."""

    def __init__(
        self, spec: ModelSpec, dtype: object, rows: int, size: tuple[int, int], mirrored: bool
    ) -> None:
        self.device = ShimDevice()
        self.stream = self.device.stream()
        self.kernel = PrepareKernel(self.device, spec, np.dtype(dtype))
        self.capacity, self.mirrored = rows, mirrored
        self.inputs = self.device.tensor(
            np.full((rows * (2 if mirrored else 1), 3, *size), 777, np.dtype(dtype))
        )
        self.view = self.device.tensor(np.zeros(24, np.uint8))
        self.matrices = self.device.tensor(np.zeros((rows, 6), np.float32))
        self.count = self.device.tensor(np.zeros(1, np.int32))

    def show(
        self, image: np.ndarray, packed: np.ndarray, count: int, pitch: int | None = None, offset: int = 0
    ) -> None:
        height, width = image.shape[:2]
        pitch = pitch or 3 * width
        store = np.full(offset + (height - 1) * pitch + 3 * width, 255, np.uint8)
        for row in range(height):
            store[offset + row * pitch :][: 3 * width] = image[row].reshape(-1)
        frame = self.device.tensor(store)
        for tensor, values in (
            (self.view, pack_view(frame.address + offset, (height, width), pitch).view(np.uint8)),
            (self.matrices, packed),
            (self.count, np.array([count], np.int32)),
        ):
            self.stream.upload(tensor.address, np.ascontiguousarray(values))

    def enqueue(self) -> None:
        self.kernel.enqueue(
            self.stream,
            view=self.view.address,
            matrices=self.matrices.address,
            count=self.count.address,
            inputs=self.inputs,
            mirrored=self.mirrored,
        )

    def result(self) -> np.ndarray:
        self.stream.synchronize()
        self.device.check()
        return self.device.view(self.inputs).copy()


def run(
    image: np.ndarray, matrices: np.ndarray, size: tuple[int, int], *, spec: ModelSpec | None = None,
    dtype: object = np.float32, rows: int | None = None, count: int | None = None, mirrored: bool = False,
    pitch: int | None = None, offset: int = 0,
) -> tuple[np.ndarray, np.ndarray]:  # fmt: skip
    spec = spec or make_spec()
    packed = pack_matrices(matrices, rows or len(matrices))
    count = len(matrices) if count is None else count
    bench = Bench(spec, dtype, len(packed), size, mirrored)
    bench.show(image, packed, count, pitch, offset)
    bench.enqueue()
    return bench.result(), prepare_twin(image, packed, count, size, spec, np.dtype(dtype), mirrored=mirrored)


def assert_same_bits(first: np.ndarray, second: np.ndarray) -> None:
    assert first.shape == second.shape and first.dtype == second.dtype
    np.testing.assert_array_equal(first.view(np.uint8), second.view(np.uint8))


@NEEDS_COMPILER
@pytest.mark.parametrize("rotation_deg", [0, 33])
@pytest.mark.parametrize("dtype", [np.float32, np.float16])
def test_the_kernel_equals_its_twin_wherever_a_box_lies(dtype, rotation_deg):
    matrices = matrices_of(list(BOXES.values()), (64, 96), rotation_deg)
    result, expected = run(picture(480, 640), matrices, (64, 96), dtype=dtype)
    for name, ours, theirs in zip(BOXES, result, expected, strict=True):
        np.testing.assert_array_equal(ours, theirs, err_msg=name)
    assert_same_bits(result, expected)


@NEEDS_COMPILER
@pytest.mark.parametrize("order", ["rgb", "bgr"])
@pytest.mark.parametrize("dtype", [np.float32, np.float16])
@pytest.mark.parametrize("size", [(64, 96), (33, 17), (1, 1), (2, 1), (1, 300), (7, 2)])
def test_the_kernel_equals_its_twin_in_every_size_mirrored_and_in_either_order(size, dtype, order):
    matrices = matrices_of([(10, 5, 60, 70), (-20, -20, 90, 90)], size, 12)
    spec = make_spec(colour_order=order)
    result, expected = run(picture(81, 77), matrices, size, dtype=dtype, mirrored=True, spec=spec)
    assert_same_bits(result, expected)
    np.testing.assert_array_equal(result[2:], result[:2, ..., ::-1])


@NEEDS_COMPILER
@pytest.mark.parametrize("frame", [(1, 1), (1, 2), (2, 1), (3, 3), (1, 50), (50, 1), (2, 3), (4, 5)])
@pytest.mark.parametrize(("padding", "offset"), [(0, 0), (1, 2), (2, 1), (3, 3), (64, 0)])
def test_the_kernel_equals_its_twin_on_tiny_frames_padded_rows_and_any_address(frame, padding, offset):
    height, width = frame
    matrices = matrices_of([(-1, -1, width, height), (0, 0, 1, 1)], (16, 32))
    result, expected = run(
        picture(height, width), matrices, (16, 32), pitch=3 * width + padding, offset=offset
    )
    assert_same_bits(result, expected)


@NEEDS_COMPILER
@pytest.mark.parametrize(("count", "used"), [(0, 0), (1, 1), (3, 3), (4, 4), (-5, 0), (1000, 4)])
def test_rows_beyond_the_count_are_zero(count, used):
    matrices = matrices_of([(10, 5, 60, 70)] * 4, (16, 32))
    result, expected = run(picture(81, 77), matrices, (16, 32), count=count, mirrored=True)
    assert_same_bits(result, expected)
    for half in (result[:4], result[4:]):
        assert not half[used:].any() and half[:used].any(axis=(1, 2, 3)).all()


@NEEDS_COMPILER
def test_what_fp16_cannot_hold_becomes_infinite():
    spec = make_spec(mean=(0, 0, 0), std=(1e-6, 1e-9, 1.0), colour_order="bgr")
    image = np.full((20, 20, 3), 200, np.uint8)
    result, expected = run(
        image, matrices_of([(5, 5, 15, 15)], (16, 32)), (16, 32), spec=spec, dtype=np.float16
    )
    assert_same_bits(result, expected)
    assert np.isposinf(result[0, :2, 8, 16]).all() and np.isfinite(result[0, 2]).all()


@NEEDS_COMPILER
def test_matrices_that_are_no_numbers_or_have_no_inverse_do_no_harm():
    matrices = np.full((6, 2, 3), np.nan)
    matrices[1] = np.inf
    matrices[2] = 0
    matrices[3] = [[1e-40, 0, 5], [0, 1e-40, 5]]
    matrices[4] = [[1e300, 0, 0], [0, 1e300, 0]]
    matrices[5] = [[1, 0, 1e30], [0, 1, -1e30]]
    result, expected = run(picture(20, 20), matrices, (8, 32))
    assert_same_bits(result, expected)
    assert np.isfinite(result).all()


@NEEDS_COMPILER
def test_random_boxes_on_random_frames_equal_the_twin():
    random = np.random.default_rng(7)
    for _ in range(12):
        height, width = random.integers(1, 200, 2)
        corner = random.uniform(-100, 200, (5, 2))
        boxes = np.concatenate([corner, corner + np.exp(random.uniform(-2, 6, (5, 2)))], axis=1)
        size = (int(random.integers(1, 40)), int(random.integers(1, 70)))
        matrices = matrices_of(boxes, size, float(random.uniform(-180, 180)))
        result, expected = run(picture(height, width), matrices, size, rows=7, mirrored=True)
        assert_same_bits(result, expected)


@NEEDS_COMPILER
def test_a_captured_launch_serves_the_next_frame():
    matrices = matrices_of([(10, 5, 60, 70)], (16, 32))
    bench = Bench(make_spec(), np.float32, 2, (16, 32), False)
    first, second = picture(81, 77), picture(120, 50, seed=1)
    bench.show(first, pack_matrices(matrices, 2), 1)
    bench.enqueue()
    bench.stream.synchronize()
    graph = bench.stream.capture(bench.enqueue)
    packed = pack_matrices(np.concatenate([matrices, matrices * 0.7]), 2)
    bench.show(second, packed, 2, pitch=192)
    graph.launch(bench.stream)
    expected = prepare_twin(second, packed, 2, (16, 32), make_spec(), np.dtype(np.float32))
    assert_same_bits(bench.result(), expected)


@NEEDS_COMPILER
@pytest.mark.parametrize("convention", ["hrnet", "half-pixel", "udp"])
def test_crops_on_the_device_equal_those_of_the_host(convention):
    image = picture(480, 640)
    spec = make_spec(input_size=(128, 96), convention=convention)
    boxes = [box for box in BOXES.values() if box[0] > -1e6]
    expected, matrices = host.crop_people(image, boxes, spec)
    result, _ = run(image, matrices, (128, 96), spec=spec, rows=len(boxes) + 1)
    assert_equal_to_the_host(result[:-1], expected, spec)
    assert not result[-1].any()


@NEEDS_COMPILER
def test_a_letterboxed_frame_on_the_device_equals_that_of_the_host():
    image = picture(270, 481)
    spec = make_spec(kind="bottom-up", input_size=(128, 128), dynamic_size=True)
    expected, matrix = host.letterbox(image, spec)
    result, _ = run(image, matrix[None], expected.shape[2:], spec=spec)
    assert_equal_to_the_host(result, expected, spec)


def assert_equal_to_the_host(result: np.ndarray, expected: np.ndarray, spec: ModelSpec) -> None:
    """Require equal bits where OpenCV fuses, else at most a grey level on one value in a thousand."""
    if CPU_FUSES:
        assert_same_bits(result, expected)
        return
    step = 1.001 / (255 * np.array(spec.std)[:, None, None])
    assert (np.abs(result - expected) <= step).all() and (result != expected).mean() < 1e-3


@pytest.mark.parametrize("size", [(256, 192), (64, 96), (48, 32), (33, 17), (75, 100), (1, 1)])
def test_the_twin_warps_as_opencv_does(size):
    """To the grey level in widths that are multiples of 32, which OpenCV treats in whole vectors."""
    random = np.random.default_rng(3)
    image = picture(331, 453)
    differing = values = 0
    for index in range(8):
        box = np.array([*random.uniform(-50, 400, 2), 0, 0])
        box[2:] = box[:2] + np.exp(random.uniform(1, 6.5))
        matrix = matrices_of(box, size, 0 if index % 2 else float(random.uniform(-90, 90)))[0]
        ours = warp_twin(image, pack_matrices(matrix[None], 1)[0], size)
        theirs = cv2.warpAffine(image, matrix, size[::-1], flags=cv2.INTER_LINEAR)
        assert np.abs(ours.astype(int) - theirs).max() <= 1
        differing, values = differing + int((ours != theirs).sum()), values + ours.size
    if CPU_FUSES and size[1] % 32 == 0:
        assert differing == 0
    assert differing <= 1e-3 * values


def test_a_full_hd_letterbox_warps_as_opencv_does():
    image = picture(1080, 1920)
    matrix = letterbox_matrix((1080, 1920), (256, 480))
    ours = warp_twin(image, pack_matrices(matrix[None], 1)[0], (256, 480))
    theirs = cv2.warpAffine(image, matrix, (480, 256), flags=cv2.INTER_LINEAR)
    assert np.abs(ours.astype(int) - theirs).max() <= (0 if CPU_FUSES else 1)


def test_packed_matrices_are_inverses_with_zeros_after_them():
    matrices = matrices_of([(3, 4, 60, 90), (-5, 6, 700, 80)], (64, 48), 25)
    packed = pack_matrices(matrices, 4)
    assert packed.shape == (4, 6) and packed.dtype == np.float32 and packed.flags.c_contiguous
    for matrix, row in zip(matrices, packed):
        np.testing.assert_allclose(row.reshape(2, 3), invert_matrix(matrix), rtol=1e-6, atol=1e-4)
    assert not packed[2:].any()
    assert not pack_matrices(np.empty((0, 2, 3)), 3).any()


def test_more_matrices_than_fit_are_refused():
    with pytest.raises(ValueError, match="at most 1 matrices fit, got 2"):
        pack_matrices(np.zeros((2, 2, 3)), 1)


@NEEDS_COMPILER
@pytest.mark.parametrize(
    ("shape", "dtype", "mirrored"),
    [
        ((2, 3, 8), np.float32, False),
        ((2, 4, 8, 8), np.float32, False),
        ((3, 3, 8, 8), np.float32, True),
        ((0, 3, 8, 8), np.float32, False),
        ((2, 3, 8, 8), np.float16, False),
    ],
)
def test_inputs_of_another_shape_or_type_are_refused(shape, dtype, mirrored):
    bench = Bench(make_spec(), np.float32, 2, (8, 8), mirrored)
    bench.inputs = type(bench.inputs)(bench.inputs.address, shape, np.dtype(dtype))
    with pytest.raises(ValueError, match="inputs must be"):
        bench.enqueue()


def test_another_number_format_is_refused():
    with pytest.raises(ValueError, match="float16 or float32, got float64"):
        PrepareKernel(ShimDevice(), make_spec(), np.dtype(np.float64))


@pytest.mark.skipif(ctypes.util.find_library("m") is None, reason="there is no C library to compare with")
def test_the_twins_fused_multiply_add_rounds_as_that_of_c():
    fmaf = ctypes.CDLL(ctypes.util.find_library("m")).fmaf
    fmaf.restype, fmaf.argtypes = ctypes.c_float, [ctypes.c_float] * 3
    random = np.random.default_rng(11)
    scale = np.exp2(random.integers(-40, 41, (3, 4000)))
    first, second, third = (random.uniform(-1, 1, (3, 4000)) * scale).astype(np.float32)
    near = (-first.astype(np.float64) * second).astype(np.float32)
    third = np.where(random.random(4000) < 0.3, near, third)
    expected = np.array([fmaf(*values) for values in zip(first, second, third)], np.float32)
    np.testing.assert_array_equal(fused_multiply_add(first, second, third), expected)
