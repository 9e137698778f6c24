"""The kernels behind the shim, against their twin and against the path on the CPU."""

import ctypes
import re
from collections.abc import Iterator

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

import engine.cuda.peaks_bottomup as launch_side
from assets import demo_clip
from engine.cuda.peaks_bottomup import BottomUpPeaks, DevicePeaks
from engine.cuda.peaks_bottomup_twin import find_peaks_twin
from engine.decode.bottom_up import merge_heatmaps, stack_tags
from engine.decode.grouping import find_peaks
from engine.decode.peaks import MAX_SHIFT, flip_back, refine_peaks
from engine.decode.published import quarter_shift
from engine.errors import ModelFileError, UsageError
from engine.model_file import ModelSpec
from engine.skeleton import Skeleton
from tests.engine.cuda.shim_device import ShimDevice
from tests.engine.cuda.shim_library import KERNELS, compiler

pytestmark = pytest.mark.skipif(compiler() is None, reason="no g++ to run the kernels on the CPU")

Outputs = dict[str, np.ndarray]

THREE = Skeleton(
    name="three",
    keypoints=("nose", "left_hand", "right_hand"),
    limbs=((0, 1), (0, 2)),
    flip_pairs=((1, 2),),
    oks_sigmas=(0.05, 0.05, 0.05),
)


@pytest.fixture
def device() -> Iterator[ShimDevice]:
    shim = ShimDevice()
    yield shim
    shim.close()


def make_spec(heatmaps: int = 1, tags: int = 1, **changes: object) -> ModelSpec:
    values: dict[str, object] = {
        "name": "test",
        "architecture": "none",
        "kind": "bottom-up",
        "input_size": (128, 128),
        "mean": (0, 0, 0),
        "std": (1, 1, 1),
        "heatmap_outputs": [{"name": f"heatmaps_{i}", "stride": 8 >> i} for i in range(heatmaps)],
        "tag_outputs": [{"name": f"tags_{i}", "stride": 4} for i in range(tags)],
        "heatmap_sigma": 1.5,
        "skeleton": THREE,
        "licence": "none",
        "training_data": "none",
    }
    return ModelSpec.model_validate(values | changes)


def run(
    device: ShimDevice,
    outputs: Outputs,
    spec: ModelSpec,
    *,
    max_people: int = 30,
    mirrored: bool = False,
    captured: bool = False,
) -> DevicePeaks:
    """What the kernels make of host arrays; memory is poisoned before, so that nothing rests on zeros."""
    finest = max(
        (outputs[output.name].shape[2:] for output in spec.heatmap_outputs), key=lambda size: size[0]
    )
    peaks = BottomUpPeaks(device, spec, outputs["heatmaps_0"].dtype, max_people=max_people)
    scratch = device.allocate(peaks.scratch_bytes(finest))
    target = device.allocate(peaks.result_bytes())
    tensors = {name: device.tensor(array) for name, array in outputs.items()}
    stream = device.stream()

    def enqueue() -> None:
        peaks.enqueue(
            stream, outputs=tensors, mirrored=mirrored, scratch=scratch.address, target=target.address
        )

    if captured:
        graph = stream.capture(enqueue)
        graph.launch(stream)
        graph.launch(stream)
    else:
        enqueue()
    result = np.zeros(peaks.result_bytes(), np.uint8)
    stream.download(result, target.address)
    stream.synchronize()
    peaks.close()
    return peaks.read(result)


def on_cpu(outputs: Outputs, spec: ModelSpec, *, max_people: int = 30, mirrored: bool = False) -> DevicePeaks:
    """The same by the functions that decode on the CPU."""
    outputs = {name: array.astype(np.float32) for name, array in outputs.items()}
    if mirrored:
        for output in spec.heatmap_outputs:
            maps = outputs[output.name]
            turned_back = flip_back(maps[1:], spec.skeleton.flip_index)
            outputs[output.name] = (maps[:1] + turned_back) * np.float32(0.5)
    merged = merge_heatmaps(outputs, spec)[0]
    peaks = find_peaks(
        merged,
        stack_tags(outputs, spec),
        max_people=max_people,
        min_peak_score=0.01,
        keep_plateaus=False,
    )
    channel, rank = np.nonzero(peaks.scores > 0)
    places = peaks.positions[channel, rank].astype(np.intp)
    if spec.convention == "hrnet" and spec.decoder == "quarter":
        points = places.astype(np.float32) + quarter_shift(merged, channel, places)
    else:
        points = refine_peaks(
            merged, channel, places, spec.decoder, heatmap_sigma=spec.heatmap_sigma, max_shift=MAX_SHIFT
        )
        points = points + np.float32(0.5) if spec.convention == "hrnet" else points
    refined = np.zeros((*peaks.scores.shape, 2), np.float32)
    refined[channel, rank] = points
    return DevicePeaks(peaks, refined)


def check_equal(
    found: DevicePeaks, wanted: DevicePeaks, *, refined: float = 1e-3, rounding: float = 0
) -> None:
    """Places must be equal; float order may move sub-pixel places.

    rounding: of scores and tags, 0 against the twin. OpenCV fuses the steps of interpolation as the kernels
    do, where the CPU can.
    """
    np.testing.assert_array_equal(found.peaks.positions, wanted.peaks.positions)
    np.testing.assert_allclose(found.peaks.scores, wanted.peaks.scores, rtol=rounding, atol=rounding)
    np.testing.assert_allclose(found.peaks.tags, wanted.peaks.tags, rtol=rounding, atol=rounding)
    np.testing.assert_allclose(found.refined, wanted.refined, rtol=0, atol=refined)


def smooth(rng: np.random.Generator, shape: tuple[int, ...], sigma: float = 1.5) -> np.ndarray:
    """Blobs of a few px, -0.1 to 0.9."""
    noise = gaussian_filter(rng.random(shape), (0, 0, sigma, sigma))
    return ((noise - noise.min()) / np.ptp(noise) - 0.1).astype(np.float32)


def make_outputs(
    rng: np.random.Generator,
    size: tuple[int, int] = (36, 44),
    heatmaps: int = 1,
    tags: int = 1,
    batch: int = 1,
) -> Outputs:
    """Smooth heatmaps, the last of `size` px and each before of half as much, and tags of half the size."""
    outputs = {}
    for index in range(heatmaps):
        scale = 2 ** (heatmaps - 1 - index)
        shape = (batch, 3, -(-size[0] // scale), -(-size[1] // scale))
        outputs[f"heatmaps_{index}"] = smooth(rng, shape, 2 / scale)
    for index in range(tags):
        shape = (batch, 3, -(-size[0] // 2), -(-size[1] // 2))
        outputs[f"tags_{index}"] = rng.standard_normal(shape, np.float32)
    return outputs


def spikes(size: tuple[int, int], places: list[tuple[int, int]]) -> Outputs:
    """A single px of height 0.5 at each y, x."""
    heatmaps = np.zeros((1, 3, *size), np.float32)
    for y, x in places:
        heatmaps[:, :, y, x] = 0.5
    return {
        "heatmaps_0": heatmaps,
        "tags_0": np.arange(heatmaps.size, dtype=np.float32).reshape(heatmaps.shape),
    }


@pytest.mark.parametrize("dtype", [np.float32, np.float16])
@pytest.mark.parametrize("decoder", ["argmax", "quarter", "dark", "udp"])
@pytest.mark.parametrize("convention", ["half-pixel", "hrnet", "udp"])
def test_kernels_equal_the_twin_and_the_cpu(
    device: ShimDevice, decoder: str, convention: str, dtype: type
) -> None:
    spec = make_spec(heatmaps=2, decoder=decoder, convention=convention)
    rng = np.random.default_rng(1)
    outputs = {name: array.astype(dtype) for name, array in make_outputs(rng, heatmaps=2).items()}
    found = run(device, outputs, spec)
    assert found.peaks.scores.shape[1] > 8
    check_equal(found, find_peaks_twin(outputs, spec, max_people=30))
    check_equal(found, on_cpu(outputs, spec), rounding=1e-5)


@pytest.mark.parametrize("heatmaps", [1, 2, 3])
def test_maps_of_one_to_three_outputs_are_averaged(device: ShimDevice, heatmaps: int) -> None:
    spec = make_spec(heatmaps=heatmaps)
    outputs = make_outputs(np.random.default_rng(2), (40, 48), heatmaps=heatmaps)
    found = run(device, outputs, spec)
    check_equal(found, find_peaks_twin(outputs, spec, max_people=30))
    check_equal(found, on_cpu(outputs, spec), rounding=1e-5)


@pytest.mark.parametrize("convention", ["half-pixel", "udp"])
def test_maps_of_odd_sizes_that_are_no_multiples_are_averaged(device: ShimDevice, convention: str) -> None:
    spec = make_spec(heatmaps=2, convention=convention, decoder="quarter")
    outputs = make_outputs(np.random.default_rng(3), (33, 47), heatmaps=2)
    found = run(device, outputs, spec)
    check_equal(found, find_peaks_twin(outputs, spec, max_people=30))
    near = on_cpu(outputs, spec)
    np.testing.assert_array_equal(found.peaks.positions, near.peaks.positions)
    np.testing.assert_allclose(found.peaks.scores, near.peaks.scores, atol=1e-5)


@pytest.mark.parametrize("size", [(5, 3), (1, 40), (32, 32), (31, 65)])
@pytest.mark.parametrize("decoder", ["quarter", "dark", "udp"])
def test_noise_on_maps_of_any_size_has_the_peaks_of_the_twin(
    device: ShimDevice, size: tuple[int, int], decoder: str
) -> None:
    spec = make_spec(decoder=decoder)
    rng = np.random.default_rng(4)
    outputs = {
        "heatmaps_0": rng.uniform(-0.5, 1, (1, 3, *size)).astype(np.float32),
        "tags_0": rng.standard_normal((1, 3, *size), np.float32),
    }
    found, wanted = run(device, outputs, spec), find_peaks_twin(outputs, spec, max_people=30)
    check_equal(found, wanted, refined=0.02)


def test_of_equal_px_the_first_of_a_square_is_the_peak(device: ShimDevice) -> None:
    spec = make_spec(decoder="quarter")
    rng = np.random.default_rng(5)
    outputs = make_outputs(rng, (40, 40)) | {"heatmaps_0": rng.integers(0, 4, (1, 3, 40, 40)) / np.float32(4)}
    outputs["heatmaps_0"] = outputs["heatmaps_0"].astype(np.float32)
    check_equal(run(device, outputs, spec), find_peaks_twin(outputs, spec, max_people=30))


def test_a_plateau_as_large_as_the_map_has_one_peak(device: ShimDevice) -> None:
    spec = make_spec(heatmaps=2, decoder="dark")
    outputs = make_outputs(np.random.default_rng(6), heatmaps=2)
    for name in ("heatmaps_0", "heatmaps_1"):
        outputs[name][...] = 0.3
    found = run(device, outputs, spec)
    assert found.peaks.scores.shape == (3, 1)
    assert (found.peaks.positions == 0).all()
    check_equal(found, on_cpu(outputs, spec), rounding=1e-5)


@pytest.mark.parametrize("decoder", ["quarter", "dark", "udp"])
def test_peaks_on_borders_and_corners_are_found(device: ShimDevice, decoder: str) -> None:
    places = [(0, 0), (0, 20), (0, 39), (17, 0), (17, 39), (34, 0), (34, 20), (34, 39), (31, 31), (31, 34)]
    outputs, spec = spikes((35, 40), places), make_spec(decoder=decoder)
    found = run(device, outputs, spec)
    assert {(int(y), int(x)) for x, y in found.peaks.positions[0]} == set(places)
    check_equal(found, on_cpu(outputs, spec))


@pytest.mark.parametrize("value", [0.0, -0.0, -1.0, 0.01])
def test_maps_without_a_px_above_the_threshold_have_no_peaks(device: ShimDevice, value: float) -> None:
    outputs, spec = spikes((20, 33), []), make_spec()
    outputs["heatmaps_0"][...] = value
    found = run(device, outputs, spec)
    assert found.peaks.positions.shape == (3, 0, 2)
    assert found.peaks.tags.shape == (3, 0, 1)
    assert found.refined.shape == (3, 0, 2)


def test_keypoints_with_few_peaks_have_zeros_in_the_places_left_over(device: ShimDevice) -> None:
    outputs, spec = spikes((20, 33), [(5, 5), (5, 15)]), make_spec()
    outputs["heatmaps_0"][:, 1] = 0
    found = run(device, outputs, spec)
    assert (found.peaks.scores > 0).sum(axis=1).tolist() == [2, 0, 2]
    assert not found.peaks.tags[1].any()
    assert not found.refined[1].any()


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("name", ["heatmaps_0", "heatmaps_1"])
def test_overflown_heatmaps_are_refused(device: ShimDevice, name: str, value: float) -> None:
    spec = make_spec(heatmaps=2)
    outputs = make_outputs(np.random.default_rng(7), heatmaps=2)
    outputs[name][0, 1, 2, 3] = value
    for look in (lambda: run(device, outputs, spec), lambda: find_peaks_twin(outputs, spec, max_people=30)):
        with pytest.raises(ModelFileError, match="keypoint 1 holds NaN or infinity"):
            look()


def test_a_map_of_minus_infinity_is_refused_and_a_px_of_it_is_not(device: ShimDevice) -> None:
    outputs, spec = spikes((12, 12), [(4, 4)]), make_spec(decoder="quarter")
    outputs["heatmaps_0"][0, 2, 9, 9] = -np.inf
    check_equal(run(device, outputs, spec), on_cpu(outputs, spec))
    outputs["heatmaps_0"][0, 2] = -np.inf
    with pytest.raises(ModelFileError, match="keypoint 2"):
        run(device, outputs, spec)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_overflown_tags_are_refused_where_a_peak_reads_them(device: ShimDevice, value: float) -> None:
    outputs, spec = spikes((12, 12), [(4, 4)]), make_spec()
    outputs["tags_0"][0, 1, 8, 8] = value
    run(device, outputs, spec)
    outputs["tags_0"][0, 1, 4, 4] = value
    with pytest.raises(ModelFileError, match="the tags hold NaN or infinity"):
        run(device, outputs, spec)


@pytest.mark.parametrize("max_people", [1, 7, 256])
def test_the_highest_of_more_candidates_than_the_pool_holds_are_kept(
    device: ShimDevice, max_people: int
) -> None:
    places = [(y, x) for y in range(0, 94, 3) for x in range(0, 94, 3)]
    outputs, spec = spikes((94, 94), places), make_spec(decoder="argmax")
    heights = np.random.default_rng(8).permutation(len(places)).astype(np.float32) + 1
    for (y, x), height in zip(places, heights, strict=True):
        outputs["heatmaps_0"][:, :, y, x] = height
    outputs["heatmaps_0"][:, 1] = np.sort(outputs["heatmaps_0"][:, 1], axis=None).reshape(1, 94, 94)
    found = run(device, outputs, spec, max_people=max_people)
    check_equal(found, find_peaks_twin(outputs, spec, max_people=max_people))
    assert found.peaks.scores[0].tolist() == sorted(heights, reverse=True)[:max_people]


def test_the_order_of_candidates_does_not_matter(device: ShimDevice) -> None:
    rng = np.random.default_rng(9)
    keys = rng.choice(1 << 40, 3000, replace=False).astype(np.uint64) + np.uint64(1)
    select, most = device.kernel("peaks_bottomup", "bottom_up_select"), 40
    state = device.tensor(np.array([len(keys), 0, 0], np.uint32))
    for order in (np.arange(len(keys)), np.argsort(keys), np.argsort(keys)[::-1]):
        candidates, selected = device.tensor(keys[order]), device.tensor(np.zeros(most, np.uint64))
        stream = device.stream()
        stream.launch(
            select,
            (1, 1, 1),
            (256, 1, 1),
            (
                ctypes.c_void_p(state.address),
                ctypes.c_void_p(candidates.address),
                ctypes.c_int(len(keys)),
                ctypes.c_int(most),
                ctypes.c_void_p(selected.address),
            ),
        )
        stream.synchronize()
        np.testing.assert_array_equal(device.view(selected), np.sort(keys)[::-1][:most])


@pytest.mark.parametrize("decoder", ["dark", "udp"])
@pytest.mark.parametrize("heatmap_sigma", [0.5, 2.0, 3.0, 4.4])
def test_windows_that_meet_the_limits_are_scaled_by_the_whole_map(
    device: ShimDevice, decoder: str, heatmap_sigma: float
) -> None:
    spec = make_spec(decoder=decoder, heatmap_sigma=heatmap_sigma)
    outputs = make_outputs(np.random.default_rng(10), (36, 68))
    heatmaps = outputs["heatmaps_0"]
    heatmaps -= np.float32(0.3)
    heatmaps[:, 1] *= 0.05
    heatmaps[:, 2] *= 200
    found = run(device, outputs, spec)
    assert found.peaks.scores[2].max() > 50
    check_equal(found, on_cpu(outputs, spec), refined=5e-3, rounding=1e-5)


@pytest.mark.parametrize("convention", ["half-pixel", "hrnet", "udp"])
def test_maps_of_the_mirrored_picture_are_averaged_in(device: ShimDevice, convention: str) -> None:
    spec = make_spec(heatmaps=2, convention=convention)
    outputs = make_outputs(np.random.default_rng(11), heatmaps=2, batch=2)
    found = run(device, outputs, spec, mirrored=True)
    check_equal(found, find_peaks_twin(outputs, spec, max_people=30, mirrored=True))
    check_equal(found, on_cpu(outputs, spec, mirrored=True), rounding=1e-5)


@pytest.mark.parametrize(
    "shapes",
    [
        [(3, 36, 44)],
        [(1, 36, 44)],
        [(3, 9, 11)],
        [(1, 18, 22), (3, 36, 44)],
        [(3, 18, 22), (1, 9, 11), (3, 18, 22)],
    ],
)
def test_tags_are_read_at_any_size(device: ShimDevice, shapes: list[tuple[int, int, int]]) -> None:
    rng = np.random.default_rng(12)
    spec = make_spec(tags=len(shapes))
    outputs = make_outputs(rng, tags=0)
    for index, shape in enumerate(shapes):
        outputs[f"tags_{index}"] = rng.standard_normal((1, *shape), np.float32)
    found = run(device, outputs, spec)
    check_equal(found, find_peaks_twin(outputs, spec, max_people=30))
    check_equal(found, on_cpu(outputs, spec), rounding=1e-5)


def test_tags_of_half_the_size_are_those_of_the_cpu_to_the_last_bit(device: ShimDevice) -> None:
    outputs, spec = make_outputs(np.random.default_rng(15)), make_spec()
    np.testing.assert_array_equal(run(device, outputs, spec).peaks.tags, on_cpu(outputs, spec).peaks.tags)


def test_a_captured_run_can_be_repeated(device: ShimDevice) -> None:
    spec = make_spec(heatmaps=2)
    outputs = make_outputs(np.random.default_rng(13), heatmaps=2)
    check_equal(run(device, outputs, spec, captured=True), run(device, outputs, spec), refined=0)


@pytest.fixture(scope="module")
def demo_outputs() -> list[tuple[ModelSpec, Outputs]]:
    """What the bundled bottom-up model makes of two frames of the demo clip, one of them made small."""
    av = pytest.importorskip("av")
    from engine.model import open_model
    from engine.prepare import letterbox

    model = open_model("default-bottom-up")
    with av.open(str(demo_clip())) as clip:
        frames = (frame for index, frame in enumerate(clip.decode(video=0)) if index in (5, 20))
        pictures = [next(frames).to_ndarray(format="bgr24") for _ in range(2)]
    inputs = [
        letterbox(picture, model.spec, side)[0] for picture, side in zip(pictures, (None, 128), strict=True)
    ]
    return [(model.spec, model.run(array)) for array in inputs]


@pytest.mark.slow
def test_frames_of_the_demo_have_the_peaks_of_the_cpu(
    device: ShimDevice, demo_outputs: list[tuple[ModelSpec, Outputs]]
) -> None:
    for spec, outputs in demo_outputs:
        found = run(device, outputs, spec)
        assert (found.peaks.scores > spec.min_peak_score).sum() > 2 * spec.skeleton.count
        check_equal(found, on_cpu(outputs, spec), refined=0.05, rounding=1e-5)


@pytest.mark.slow
def test_frames_of_the_demo_rounded_to_half_precision_keep_their_keypoints(
    device: ShimDevice, demo_outputs: list[tuple[ModelSpec, Outputs]]
) -> None:
    spec, outputs = demo_outputs[1]
    found = run(device, {name: array.astype(np.float16) for name, array in outputs.items()}, spec)
    wanted = on_cpu(outputs, spec)
    for keypoint in range(spec.skeleton.count):
        sure = wanted.peaks.scores[keypoint] > spec.min_peak_score
        gaps = np.abs(found.refined[keypoint][None] - wanted.refined[keypoint][sure][:, None])
        assert gaps.max(axis=2).min(axis=1).max(initial=0) < 0.25


def test_what_the_kernels_cannot_do_is_refused(device: ShimDevice) -> None:
    with pytest.raises(UsageError, match="max_people must be 1 to 256"):
        BottomUpPeaks(device, make_spec(), np.float32, max_people=257)
    with pytest.raises(ModelFileError, match="names no tag outputs"):
        BottomUpPeaks(device, make_spec(tags=0), np.float32, max_people=30)
    with pytest.raises(ModelFileError, match="at most 3 heatmap and tag outputs"):
        BottomUpPeaks(device, make_spec(tags=4), np.float32, max_people=30)
    with pytest.raises(ModelFileError, match="blurred by at most 12 px"):
        BottomUpPeaks(device, make_spec(heatmap_sigma=5), np.float32, max_people=30)
    BottomUpPeaks(device, make_spec(heatmap_sigma=5, decoder="quarter"), np.float32, max_people=30).close()
    with pytest.raises(ValueError, match="float16 or float32"):
        BottomUpPeaks(device, make_spec(), np.float64, max_people=30)


def test_outputs_that_do_not_fit_the_model_are_refused(device: ShimDevice) -> None:
    spec = make_spec()
    outputs = make_outputs(np.random.default_rng(14))
    with pytest.raises(ModelFileError, match="heatmaps must have 3 channels"):
        run(device, outputs | {"heatmaps_0": np.zeros((1, 4, 36, 44), np.float32)}, spec)
    with pytest.raises(ModelFileError, match="tags must have 3 or 1 channels"):
        run(device, outputs | {"tags_0": np.zeros((1, 2, 18, 22), np.float32)}, spec)
    with pytest.raises(ModelFileError, match="float32"):
        run(device, outputs | {"tags_0": np.zeros((1, 3, 18, 22), np.float16)}, spec)
    with pytest.raises(ValueError, match="one frame at a time"):
        run(device, outputs, spec, mirrored=True)


def test_what_is_allocated_is_freed() -> None:
    device = ShimDevice()
    BottomUpPeaks(device, make_spec(), np.float32, max_people=30).close()
    assert device.left_open() == []


def test_launch_and_kernels_agree_on_sizes() -> None:
    text = (KERNELS / "peaks_bottomup.cu").read_text()
    constants = {name: int(value) for name, value in re.findall(r"constexpr int (\w+) = (\d+);", text)}
    for name in ("TILE", "THREADS", "REFINE_THREADS", "MAX_RADIUS", "MAX_PEOPLE", "FLOORED_QUARTER"):
        assert constants[name] == getattr(launch_side, name)
    assert constants["MAX_TAGS"] == launch_side.MAX_OUTPUTS
    methods = {name: number for name, number in launch_side.METHODS.items() if number}
    assert methods == {name: constants[name.upper()] for name in methods}
