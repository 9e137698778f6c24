"""The top-down peak kernel, run on the CPU, against its NumPy twin and the engine's decoder."""

import csv
from dataclasses import dataclass

import numpy as np
import onnxruntime
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from assets import demo_clip, demo_truth, models_dir
from engine.cuda.device import DeviceTensor
from engine.cuda.peaks_topdown import TopDownPeaks
from engine.cuda.peaks_topdown_twin import topdown_peaks
from engine.decode.peaks import MAX_SHIFT, METHODS, decode_heatmaps, flip_back
from engine.errors import ModelFileError
from engine.estimator.flip import run_with_flip
from engine.model_file import ModelSpec, read_spec
from engine.prepare import crop_people
from engine.skeleton import Skeleton
from engine.sources import open_source
from tests.engine.cuda.shim_device import ShimDevice
from tests.engine.cuda.shim_library import compiler

pytestmark = pytest.mark.skipif(compiler() is None, reason="g++ is not installed")

TRIO = Skeleton(
    name="trio",
    keypoints=("nose", "left", "right"),
    limbs=(),
    flip_pairs=((1, 2),),
    oks_sigmas=(0.1, 0.1, 0.1),
)
UNTOUCHED = np.float32(-7.5)
BLURRED = ("dark", "udp")


def make_spec(**changes: object) -> ModelSpec:
    values: dict[str, object] = {
        "name": "test",
        "architecture": "none",
        "kind": "top-down",
        "input_size": (256, 192),
        "mean": (0, 0, 0),
        "std": (1, 1, 1),
        "heatmap_outputs": [{"name": "heatmaps", "stride": 4}],
        "skeleton": TRIO,
        "licence": "none",
        "training_data": "none",
    }
    return ModelSpec.model_validate(values | changes)


def run_kernel(
    maps: np.ndarray, spec: ModelSpec, *, count: int | None = None, mirrored: bool = False
) -> np.ndarray:
    """(capacity, K, 3) as the kernel leaves it, `UNTOUCHED` where it wrote nothing."""
    device = ShimDevice()
    peaks = TopDownPeaks(device, spec, maps.dtype)
    capacity = len(maps) // 2 if mirrored else len(maps)
    used = device.tensor(np.array([capacity if count is None else count], np.int32))
    target = device.tensor(np.full(peaks.result_shape(capacity), UNTOUCHED, np.float32))
    stream = device.stream()
    peaks.enqueue(
        stream, heatmaps=device.tensor(maps), count=used.address, mirrored=mirrored, target=target.address
    )
    stream.synchronize()
    result = device.view(target).copy()
    peaks.close()
    device.close()
    return result


def assert_same(
    got: np.ndarray, told: np.ndarray, maps: np.ndarray, spec: ModelSpec, *, mirrored: bool = False
) -> float:
    """Compare (N, K, 3) results; return the share of the maps on which rounding does not decide.

    Maxima are equal, and so are places without a blur. Steps of dark and udp divide by a curvature, which is
    nearly 0 on flat maps: there rounding decides, as steps in float32 and float64 show by differing, and only
    their length is held.
    """
    np.testing.assert_array_equal(got[..., 2], told[..., 2])
    if spec.decoder not in BLURRED:
        np.testing.assert_array_equal(got, told)
        return 1.0
    single = topdown_peaks(maps, spec, mirrored=mirrored)[..., :2]
    double = topdown_peaks(maps, spec, mirrored=mirrored, precision=np.float64)[..., :2]
    clear = (np.abs(single - double) < 1e-4).all(axis=-1)
    np.testing.assert_allclose(got[clear][:, :2], told[clear][:, :2], atol=1e-3, rtol=0)
    whole = topdown_peaks(maps, spec.model_copy(update={"decoder": "argmax"}), mirrored=mirrored)[..., :2]
    assert (np.abs(got[..., :2] - whole) <= MAX_SHIFT + 1e-5).all()
    return float(clear.mean())


def on_cpu(maps: np.ndarray, spec: ModelSpec) -> np.ndarray:
    """(N, K, 3) of the engine's decoder."""
    points, scores = decode_heatmaps(
        maps, spec.decoder, heatmap_sigma=spec.heatmap_sigma, max_shift=MAX_SHIFT
    )
    return np.concatenate([points, scores[..., None]], axis=-1)


def noisy_gaussians(seed: int, count: int, size: tuple[int, int], noise: float = 0.02) -> np.ndarray:
    """(count, 3, H, W) maps with centres up to one px outside, of heights down to 0.02."""
    rng = np.random.default_rng(seed)
    centres = rng.uniform(-1, [size[1], size[0]], (count, 3, 2))
    rows, columns = np.mgrid[: size[0], : size[1]]
    squared = (columns - centres[..., 0, None, None]) ** 2 + (rows - centres[..., 1, None, None]) ** 2
    maps = np.exp(-squared / 8) * rng.uniform(0.02, 1.1, (count, 3, 1, 1))
    return (maps + rng.normal(0, noise, maps.shape)).astype(np.float32)


def border_maps(size: tuple[int, int]) -> np.ndarray:
    """Maps whose maximum lies on a corner, or at most two px from a side or a corner."""
    height, width = size
    rows, columns = np.mgrid[:height, :width]
    places = [
        (x, y)
        for y in {0, 1, 2, height // 2, height - 3, height - 2, height - 1}
        for x in {0, 1, 2, width // 2, width - 3, width - 2, width - 1}
    ]
    painted = [
        np.exp(-((columns - x - 0.2) ** 2 + (rows - y + 0.3) ** 2) / 8) + 0.3 * ((columns == x) & (rows == y))
        for x, y in places
    ]
    painted += painted[: -len(painted) % 3]
    return np.array(painted, np.float32).reshape(-1, 3, height, width)


def nasty_maps(size: tuple[int, int]) -> np.ndarray:
    """(N, 3, H, W) that hold what no network should give."""
    rng = np.random.default_rng(3)
    soft = noisy_gaussians(4, 1, size)[0, 0]
    plateau = np.where(soft > 0.5 * soft.max(), np.float32(0.5), soft)
    last = (size[0] - 1, size[1] - 1)

    def spoilt(*values: tuple[tuple[int, int], float]) -> np.ndarray:
        other = soft.copy()
        for place, value in values:
            other[place] = value
        return other

    maps = [
        np.zeros(size),
        np.full(size, -0.0),
        np.full(size, -0.25),
        np.full(size, 0.75),
        np.full(size, 100.0),
        np.full(size, np.nan),
        np.full(size, -np.inf),
        -soft,
        plateau,
        soft > 0.5 * soft.max(),
        spoilt(((0, 0), 2.0), (last, 2.0)),
        spoilt(((size[0] // 2, 0), 1.5), ((size[0] // 2, size[1] - 1), 1.5)),
        spoilt((last, np.nan)),
        spoilt(((0, 0), np.inf), (last, np.nan)),
        spoilt((last, np.inf)),
        spoilt(((0, 0), -np.inf), (last, -np.inf)),
        soft * 1e-38,
        soft * 6e-8,
        np.minimum(soft * 6e4, 65504),
        np.where(rng.uniform(size=size) < 0.5, -1.0, 0.001),
        np.where(rng.uniform(size=size) < 0.01, 1.0, -1e-3),
        rng.integers(-1, 2, size),
        rng.choice([-0.0, 0.0], size),
        rng.choice([-np.inf, 1.0, 3.0], size),
    ]
    return np.array(maps, np.float32).reshape(-1, 3, *size)


@pytest.mark.parametrize("dtype", [np.float32, np.float16])
@pytest.mark.parametrize("size", [(64, 48), (33, 21), (12, 40)])
@pytest.mark.parametrize("method", METHODS)
def test_the_kernel_is_its_twin_and_the_decoder_on_noisy_maps(method, size, dtype):
    maps = noisy_gaussians(1, 6, size).astype(dtype)
    spec = make_spec(decoder=method)
    got = run_kernel(maps, spec)
    clear = assert_same(got, topdown_peaks(maps, spec), maps, spec)
    assert_same(got, on_cpu(maps, spec), maps, spec)
    assert clear > 0.9


@pytest.mark.parametrize("size", [(24, 32), (7, 5), (9, 16)])
@pytest.mark.parametrize("method", METHODS)
def test_maxima_on_every_border_and_corner_are_refined_as_by_the_decoder(method, size):
    maps = border_maps(size)
    spec = make_spec(decoder=method)
    got = run_kernel(maps, spec)
    clear = assert_same(got, topdown_peaks(maps, spec), maps, spec)
    assert_same(got, on_cpu(maps, spec), maps, spec)
    assert clear > 0.9


@pytest.mark.parametrize("dtype", [np.float32, np.float16])
@pytest.mark.parametrize("size", [(40, 36), (5, 5), (1, 7)])
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.filterwarnings("ignore:overflow:RuntimeWarning")
def test_the_kernel_is_its_twin_on_nasty_maps(method, size, dtype):
    maps = nasty_maps(size).astype(dtype)
    spec = make_spec(decoder=method)
    got = run_kernel(maps, spec)
    assert_same(got, topdown_peaks(maps, spec), maps, spec)
    finite = np.isfinite(maps).all(axis=(1, 2, 3))
    assert_same(got[finite], on_cpu(maps[finite], spec), maps[finite], spec)


@pytest.mark.parametrize("size", [(1, 1), (1, 2), (2, 1), (3, 5), (4, 4), (6, 6)])
@pytest.mark.parametrize("method", METHODS)
def test_tiny_maps_are_decoded(method, size):
    maps = np.random.default_rng(2).normal(0.3, 0.5, (4, 3, *size)).astype(np.float32)
    spec = make_spec(decoder=method)
    got = run_kernel(maps, spec)
    assert_same(got, topdown_peaks(maps, spec), maps, spec)
    assert_same(got, on_cpu(maps, spec), maps, spec)


def test_the_first_of_equal_maxima_wins_wherever_the_others_lie():
    maps = np.zeros((1, 3, 64, 48), np.float32)
    for keypoint, places in enumerate([(700, 701, 2900), (127, 128), (5, 6, 7, 8)]):
        maps[0, keypoint].flat[list(places)] = 0.5
    got = run_kernel(maps, make_spec(decoder="argmax"))
    np.testing.assert_array_equal(got[0, :, 1] * 48 + got[0, :, 0], [700, 127, 5])


def test_nan_wins_over_infinity_and_the_first_nan_is_shown_as_score():
    maps = np.ones((1, 3, 8, 8), np.float32)
    maps[0, 0, 2, 3], maps[0, 0, 4, 4] = np.inf, np.nan
    maps[0, 1, 7, 7] = -np.nan
    got = run_kernel(maps, make_spec(decoder="dark"))
    np.testing.assert_array_equal(got[0, :2], [[0, 0, np.nan], [0, 0, np.nan]])


@pytest.mark.parametrize("sigma", [0.5, 1.0, 3.0, 5.8])
@pytest.mark.parametrize("method", BLURRED)
def test_every_width_of_the_blur_is_the_decoders(method, sigma):
    maps = noisy_gaussians(6, 4, (40, 48), noise=0.005)
    spec = make_spec(decoder=method, heatmap_sigma=sigma)
    got = run_kernel(maps, spec)
    assert assert_same(got, on_cpu(maps, spec), maps, spec) > 0.8


@pytest.mark.parametrize("size", [(64, 48), (17, 33), (5, 6)])
@pytest.mark.parametrize(
    ("method", "scale"), [("udp", 3e-3), ("udp", 60.0), ("udp", 300.0), ("dark", 1e-9), ("dark", 1.0)]
)
def test_windows_that_meet_the_clip_are_scaled_as_the_whole_map_asks(method, scale, size):
    """A second, broader hill makes the blurred maximum of the map another than that at the peak."""
    rows, columns = np.mgrid[: size[0], : size[1]]
    maps = noisy_gaussians(8, 4, size, noise=0.0)
    hill = np.exp(-((columns - size[1] * 0.7) ** 2 + (rows - size[0] * 0.7) ** 2) / 50)
    maps = np.maximum(maps, 0.7 * maps.max(axis=(2, 3), keepdims=True) * hill).astype(np.float32)
    maps = maps * np.float32(scale) - np.float32(0.1 * (scale == 1.0))  # below every floor around the peak
    spec = make_spec(decoder=method)
    got = run_kernel(maps, spec)
    clear = assert_same(got, topdown_peaks(maps, spec), maps, spec)
    assert_same(got, on_cpu(maps, spec), maps, spec)
    assert clear > 0.5


def test_scaling_is_seen_in_the_step_so_that_leaving_it_out_would_fail():
    """Where the window meets udp's floor, a map and its double are refined differently."""
    maps = noisy_gaussians(8, 4, (32, 32), noise=0.0) * np.float32(3e-3)
    spec = make_spec(decoder="udp")
    steps = run_kernel(maps, spec)[..., :2] - run_kernel(maps * np.float32(2), spec)[..., :2]
    assert np.abs(steps).max() > 0.05


@pytest.mark.parametrize("dtype", [np.float32, np.float16])
@pytest.mark.parametrize("convention", ["hrnet", "half-pixel", "udp"])
@pytest.mark.parametrize("method", METHODS)
def test_mirrored_maps_are_averaged_as_by_the_flip_test(method, convention, dtype):
    maps = noisy_gaussians(9, 6, (24, 20)).astype(dtype)
    spec = make_spec(decoder=method, convention=convention)
    plain, mirrored = maps.astype(np.float32)[:3], maps.astype(np.float32)[3:]
    turned = flip_back(mirrored, TRIO.flip_index, shift=convention == "hrnet")
    mean = (plain + turned) * np.float32(0.5)
    got = run_kernel(maps, spec, mirrored=True)
    assert_same(got, topdown_peaks(maps, spec, mirrored=True), maps, spec, mirrored=True)
    assert_same(got, on_cpu(mean, spec), mean, spec)


def test_mirroring_reaches_every_column_and_only_its_own_map():
    rng = np.random.default_rng(1)
    for convention in ("hrnet", "udp"):
        maps = rng.permutation(2 * 2 * 3 * 5 * 7).reshape(4, 3, 5, 7).astype(np.float32)
        spec = make_spec(decoder="argmax", convention=convention)
        turned = flip_back(maps[2:], TRIO.flip_index, shift=convention == "hrnet")
        expected = on_cpu((maps[:2] + turned) * np.float32(0.5), spec)
        np.testing.assert_array_equal(run_kernel(maps, spec, mirrored=True), expected)


@pytest.mark.parametrize("count", [0, 1, 3, 4, -1])
@pytest.mark.parametrize("mirrored", [False, True])
def test_crops_beyond_the_count_are_left_alone(count, mirrored):
    maps = noisy_gaussians(10, 8 if mirrored else 4, (16, 12))
    spec = make_spec(decoder="dark")
    got = run_kernel(maps, spec, count=count, mirrored=mirrored)
    used = max(count, 0)
    assert (got[used:] == UNTOUCHED).all()
    told = topdown_peaks(maps, spec, count=used, mirrored=mirrored)
    np.testing.assert_allclose(got[:used], told, atol=1e-3)


def test_a_captured_launch_follows_the_count_and_the_maps_of_each_replay():
    device, spec = ShimDevice(), make_spec(decoder="quarter")
    first, second = noisy_gaussians(11, 2, (16, 12)), noisy_gaussians(12, 2, (16, 12))
    peaks = TopDownPeaks(device, spec, np.dtype(np.float32))
    heatmaps, used = device.tensor(first), device.tensor(np.array([2], np.int32))
    target = device.tensor(np.full((2, 3, 3), UNTOUCHED, np.float32))
    stream = device.stream()
    graph = stream.capture(
        lambda: peaks.enqueue(
            stream, heatmaps=heatmaps, count=used.address, mirrored=False, target=target.address
        )
    )
    graph.launch(stream)
    stream.synchronize()
    np.testing.assert_array_equal(device.view(target), topdown_peaks(first, spec))
    device.view(heatmaps)[...], device.view(used)[...] = second, 1
    device.view(target)[...] = UNTOUCHED
    graph.launch(stream)
    stream.synchronize()
    np.testing.assert_array_equal(device.view(target)[:1], topdown_peaks(second, spec, count=1))
    assert (device.view(target)[1:] == UNTOUCHED).all()


def test_nothing_is_left_open_on_the_device():
    device = ShimDevice()
    TopDownPeaks(device, make_spec(), np.dtype(np.float16)).close()
    assert device.left_open() == []


def test_what_came_back_is_split_and_an_overflow_named():
    peaks = TopDownPeaks(ShimDevice(), make_spec(), np.dtype(np.float32))
    result = np.arange(18, dtype=np.float32).reshape(2, 3, 3)
    points, scores = peaks.read(result, 1)
    np.testing.assert_array_equal(points, result[:1, :, :2])
    np.testing.assert_array_equal(scores, result[:1, :, 2])
    assert not np.shares_memory(points, result) and not np.shares_memory(scores, result)
    result[0, 1, 2] = np.nan
    with pytest.raises(ModelFileError, match="keypoint 1 holds NaN"):
        peaks.read(result, 2)
    assert peaks.read(result, 0)[0].shape == (0, 3, 2)


def test_heatmaps_of_another_skeleton_type_or_shape_are_refused():
    device = ShimDevice()
    peaks = TopDownPeaks(device, make_spec(), np.dtype(np.float32))

    def enqueue(shape: tuple[int, ...], dtype: type = np.float32, *, mirrored: bool = False) -> None:
        tensor = DeviceTensor(256, shape, np.dtype(dtype))
        peaks.enqueue(device.stream(), heatmaps=tensor, count=256, mirrored=mirrored, target=256)

    with pytest.raises(ModelFileError, match=r"for skeleton 'trio', got \(1, 17, 8, 8\)"):
        enqueue((1, 17, 8, 8))
    with pytest.raises(ModelFileError, match=r"got \(3, 8, 8\)"):
        enqueue((3, 8, 8))
    with pytest.raises(ValueError, match=r"must be float32.*got float16"):
        enqueue((1, 3, 8, 8), np.float16)
    with pytest.raises(ValueError, match="even number of rows"):
        enqueue((3, 3, 8, 8), mirrored=True)
    with pytest.raises(ValueError, match="no side of them 0"):
        enqueue((0, 3, 8, 8))


def test_models_that_the_kernel_cannot_serve_are_refused():
    with pytest.raises(ModelFileError, match="float32 or float16, got float64"):
        TopDownPeaks(ShimDevice(), make_spec(), np.dtype(np.float64))
    with pytest.raises(ModelFileError, match=r"at most 5\.7 heatmap px .* got 9"):
        TopDownPeaks(ShimDevice(), make_spec(heatmap_sigma=9), np.dtype(np.float32))
    TopDownPeaks(ShimDevice(), make_spec(heatmap_sigma=9, decoder="quarter"), np.dtype(np.float32))


LEVELS = [-np.inf, -1.0, -0.0, 0.0, 1e-4, 0.25, 0.5, 0.75, 1.0, 60.0, np.inf, np.nan]


@settings(max_examples=150, deadline=None, derandomize=True)
@given(
    maps=arrays(
        st.sampled_from([np.float32, np.float16]),
        st.tuples(st.just(2), st.just(3), st.integers(1, 9), st.integers(1, 9)),
        elements=st.one_of(st.sampled_from(LEVELS), st.floats(-1, 2, width=16)),
    ),
    method=st.sampled_from(METHODS),
    convention=st.sampled_from(["hrnet", "half-pixel"]),
    mirrored=st.booleans(),
)
def test_the_kernel_is_its_twin_on_whatever_comes(maps, method, convention, mirrored):
    spec = make_spec(decoder=method, convention=convention)
    got = run_kernel(maps, spec, mirrored=mirrored)
    assert_same(got, topdown_peaks(maps, spec, mirrored=mirrored), maps, spec, mirrored=mirrored)


@dataclass(frozen=True)
class BundledModel:
    """The bundled top-down model, as `engine.estimator.flip` takes it."""

    spec: ModelSpec
    session: onnxruntime.InferenceSession

    def run(self, inputs: np.ndarray) -> dict[str, np.ndarray]:
        names = [output.name for output in self.spec.heatmap_outputs]
        return dict(zip(names, self.session.run(names, {self.spec.input_name: inputs}), strict=True))


@pytest.fixture(scope="module")
def bundled() -> tuple[BundledModel, np.ndarray]:
    """The model and the crops of all people in a few frames of the demo clip."""
    path = models_dir() / "steadypose-td-w16.onnx"
    with demo_truth().open(newline="", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    spec, inputs = read_spec(path), []
    with open_source(demo_clip()) as source:
        for frame in source:
            boxes = [
                [float(row[f"bbox_{side}"]) for side in ("x1", "y1", "x2", "y2")]
                for row in rows
                if int(row["frame"]) == frame.index
            ]
            if frame.index % 20 == 0 and boxes:
                inputs.append(crop_people(frame.image, boxes, spec)[0])
            if len(inputs) == 4:
                break
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return BundledModel(spec, session), np.concatenate(inputs)


@pytest.mark.parametrize("flip_test", [False, True])
@pytest.mark.parametrize("method", METHODS)
def test_keypoints_of_the_demo_clip_are_those_of_the_decoder(
    method, flip_test, bundled: tuple[BundledModel, np.ndarray]
):
    """Within 0.05 px in float32; with maps rounded to float16 within 0.25 px where a keypoint is seen at all.

    Rounding can make equals of the two highest px of a map. Methods that follow the slope of the blurred map
    end at the same place from either; whole and quarter px do not, and are held to the decoder of the same
    rounded maps.
    """
    model, inputs = bundled
    name = model.spec.heatmap_outputs[0].name
    spec = model.spec.model_copy(update={"decoder": method})
    maps = model.run(inputs)[name]
    merged = maps
    if flip_test:
        merged = run_with_flip(model, inputs)[name]
        maps = np.concatenate([maps, model.run(np.ascontiguousarray(inputs[..., ::-1]))[name]])
    expected = on_cpu(merged, spec)
    got = run_kernel(maps, spec, mirrored=flip_test)
    np.testing.assert_array_equal(got[..., 2], expected[..., 2])
    np.testing.assert_allclose(got[..., :2], expected[..., :2], atol=0.05)
    rounded = maps.astype(np.float16)
    got = run_kernel(rounded, spec, mirrored=flip_test)
    if method in BLURRED:
        seen = expected[..., 2] > 0.2
        assert seen.sum() > 50
        np.testing.assert_allclose(got[seen], expected[seen], atol=0.25)
    else:
        np.testing.assert_array_equal(got, topdown_peaks(rounded, spec, mirrored=flip_test))
