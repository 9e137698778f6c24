from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine.device import crops as crops_module
from engine.device.crops import CropPeaks, DeviceCrops
from engine.device.frames import FrameRing
from engine.errors import DeviceError, ModelFileError
from engine.estimator.crop_reader import DeviceCropReader, HostCropReader
from engine.estimator.heatmap_view import HeatmapView
from engine.model import Model
from engine.timing import Stopwatch
from tests.engine.cuda.shim_device import ShimDevice

Opened = Callable[..., Model]
Painted = Callable[..., np.ndarray]


@pytest.fixture
def make(ring: FrameRing, top_down_file: Path, on_device: Opened) -> Iterator[Callable[..., DeviceCrops]]:
    """Function (dtype, **options of the network) that opens the marker model; freed afterwards."""
    made: list[tuple[DeviceCrops, Model]] = []

    def open_crops(dtype: Any = np.float32, path: Path = top_down_file, **options: Any) -> DeviceCrops:
        model = on_device(path, dtype, **options)
        made.append((DeviceCrops(model.spec, model.runtime.device_network, ring), model))
        return made[-1][0]

    yield open_crops
    for crops, model in made:
        crops.close()
        model.close()


def estimate(crops: DeviceCrops, image: np.ndarray, boxes: np.ndarray, **options: bool) -> CropPeaks:
    return crops.estimate(image, boxes, Stopwatch(), **options)


@pytest.mark.parametrize("dtype", [np.float32, np.float16])
@pytest.mark.parametrize("flip_test", [False, True])
@pytest.mark.parametrize("convention", ["half-pixel", "hrnet", "udp"])
def test_keypoints_are_those_of_the_host(
    dtype: Any, flip_test: bool, convention: str, tmp_path: Path, write_marker_model: Callable[..., Path],
    ring: FrameRing, on_device: Opened, on_host: Opened, walking_image: Painted, boxes_of: Painted,
) -> None:  # fmt: skip
    path = write_marker_model(tmp_path / "net.onnx", "top-down", convention=convention)
    model, image, boxes = on_device(path, dtype), walking_image(), boxes_of(0, 3)
    reader = DeviceCropReader(model.spec, model.runtime.device_network, ring)
    views = [HeatmapView((360, 640)) for _ in range(2)]
    found, scores = reader.read(image, boxes, Stopwatch(), views[0], flip_test=flip_test)
    wanted, heights = HostCropReader(on_host(path)).read(
        image, boxes, Stopwatch(), views[1], flip_test=flip_test
    )
    seen = heights > 0.2
    assert found.shape == (3, 6, 2) and found.dtype == scores.dtype == np.float32 and seen.mean() > 0.9
    np.testing.assert_allclose(found[seen], wanted[seen], atol=0.05 if dtype == np.float32 else 0.25)
    np.testing.assert_allclose(scores, heights, atol=1e-5 if dtype == np.float32 else 2e-3)
    np.testing.assert_allclose(views[0].values, views[1].values, atol=1e-4 if dtype == np.float32 else 4e-3)
    assert views[0].values.max() > 0.5
    reader.release()
    model.close()


def test_a_graph_gives_what_the_first_run_gave(
    make: Callable[..., DeviceCrops], walking_image: Painted, boxes_of: Painted
) -> None:
    crops = make()
    images = [walking_image(index) for index in range(3)]
    plain = [estimate(make(capturable=False), image, boxes_of(n, 2)) for n, image in enumerate(images)]
    estimate(crops, images[0], boxes_of(0, 2))
    for number, image in enumerate(images):
        again = estimate(crops, image, boxes_of(number, 2))
        np.testing.assert_array_equal(again.points, plain[number].points)
        np.testing.assert_array_equal(again.scores, plain[number].scores)
    (job,) = crops.jobs.kept
    assert job.replay.captured


def test_nothing_in_a_graph_waits_or_takes_memory(
    make: Callable[..., DeviceCrops], walking_image: Painted, boxes_of: Painted,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    crops = make(np.float16)
    for _ in range(3):
        estimate(crops, walking_image(), boxes_of(0, 3), mirrored=True)
    assert all(job.replay.captured for job in crops.jobs.kept)
    assert not caplog.records  # the device refuses both, and that would be told


def test_any_number_of_people_is_run_in_few_shapes(
    make: Callable[..., DeviceCrops], walking_image: Painted, boxes_of: Painted
) -> None:
    crops, image = make(max_batch=6), walking_image()
    everybody = estimate(crops, image, boxes_of(0, 14))
    for count in (1, 2, 3, 4, 5, 6, 7, 13):
        some = estimate(crops, image, boxes_of(0, count))
        assert some.points.shape == (count, 6, 2) and some.matrices.shape == (count, 2, 3)
        np.testing.assert_allclose(some.points, everybody.points[:count], atol=1e-4)
        np.testing.assert_allclose(some.scores, everybody.scores[:count], atol=1e-5)
    assert {job.shape.capacity for job in crops.jobs.kept} == {1, 2, 3, 4, 6}


def test_the_flip_test_takes_half_as_many_people_at_once(
    make: Callable[..., DeviceCrops], walking_image: Painted, boxes_of: Painted
) -> None:
    crops = make(max_batch=5)
    peaks = estimate(crops, walking_image(), boxes_of(0, 5), mirrored=True, heatmaps=True)
    assert peaks.points.shape == (5, 6, 2) and peaks.heatmaps is not None
    assert peaks.heatmaps.shape == (5, 6, 32, 24)
    assert max(job.shape.batch for job in crops.jobs.kept) == 4


def test_only_the_shapes_used_last_are_kept(
    make: Callable[..., DeviceCrops], walking_image: Painted, boxes_of: Painted, device: ShimDevice,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(crops_module, "KEPT_JOBS", 2)
    crops, image = make(), walking_image()
    for count in (1, 2, 1, 3):
        for _ in range(2):
            estimate(crops, image, boxes_of(0, count))
    assert [job.shape.capacity for job in crops.jobs.kept] == [1, 3]
    assert len(device.graphs) == 2


def test_frames_of_changing_size_are_served_by_one_graph(
    make: Callable[..., DeviceCrops], walking_image: Painted, boxes_of: Painted, ring: FrameRing
) -> None:
    crops = make()
    small, large = walking_image(), walking_image(0, (500, 900))
    first = [estimate(crops, image, boxes_of()) for image in (small, large)]
    again = [estimate(crops, image, boxes_of()) for image in (small.copy(), large.copy())]
    for before, after in zip(first, again, strict=True):
        np.testing.assert_array_equal(before.points, after.points)
    assert len(crops.jobs.kept) == 1 and ring.uploads == 4


def test_all_that_the_device_does_counts_as_inference(
    make: Callable[..., DeviceCrops], walking_image: Painted, boxes_of: Painted
) -> None:
    watch = Stopwatch()
    make().estimate(walking_image(), boxes_of(), watch)
    assert set(watch.take()) == {"prepare", "infer"}


def test_a_network_that_overflowed_is_refused(
    make: Callable[..., DeviceCrops], walking_image: Painted, boxes_of: Painted, tmp_path: Path,
    write_marker_model: Callable[..., Path],
) -> None:  # fmt: skip
    crops = make(path=write_marker_model(tmp_path / "net.onnx", "top-down", gain=float("nan")))
    with pytest.raises(ModelFileError, match="holds NaN or infinity"):
        estimate(crops, walking_image(), boxes_of())


def test_outputs_of_another_shape_than_the_spec_says_are_refused(
    make: Callable[..., DeviceCrops], walking_image: Painted, boxes_of: Painted, device: ShimDevice
) -> None:
    crops = make()
    right = crops.network.bind

    def bind(batch: int, size: tuple[int, int]) -> Any:
        binding = right(batch, size)
        binding.outputs = {}
        return binding

    crops.network.bind = bind
    with pytest.raises(ModelFileError, match="must have shape"):
        estimate(crops, walking_image(), boxes_of())


@pytest.mark.parametrize("boxes", [[[50, 10, 50, 90]], [[0, 0, np.nan, 5]]])
def test_a_box_that_is_none_is_refused(boxes: list, make: Callable[..., DeviceCrops]) -> None:
    with pytest.raises(ValueError, match="boxes must be"):
        estimate(make(), np.zeros((100, 100, 3), np.uint8), np.array(boxes))


def test_memory_that_does_not_suffice_is_an_error_and_fewer_people_still_fit(
    top_down_file: Path, on_device: Opened, walking_image: Painted, boxes_of: Painted, device: ShimDevice,
    make: Callable[..., DeviceCrops],
) -> None:  # fmt: skip
    crops, image = make(), walking_image()
    estimate(crops, image, boxes_of(0, 1))
    device.allocate, whole = _limit(device.allocate, 200_000), device.allocate
    with pytest.raises(DeviceError, match="out of memory"):
        estimate(crops, image, boxes_of(0, 12))
    assert len(estimate(crops, image, boxes_of(0, 1)).points) == 1
    device.allocate = whole


def _limit(allocate: Callable[[int], Any], most: int) -> Callable[[int], Any]:
    def limited(nbytes: int) -> Any:
        if nbytes > most:
            raise DeviceError("out of memory")
        return allocate(nbytes)

    return limited


@pytest.mark.parametrize("runs", [0, 1, 2])
def test_a_device_lost_in_the_middle_is_an_error_and_all_can_be_freed(
    runs: int, make: Callable[..., DeviceCrops], walking_image: Painted, boxes_of: Painted,
    device: ShimDevice,
) -> None:  # fmt: skip
    crops = make()
    for _ in range(runs):
        estimate(crops, walking_image(), boxes_of())
    device.lose()
    with pytest.raises(DeviceError, match="lost"):
        estimate(crops, walking_image(), boxes_of())


def test_a_network_that_fails_on_the_device_is_an_error_and_all_can_be_freed(
    make: Callable[..., DeviceCrops], walking_image: Painted, boxes_of: Painted
) -> None:
    crops = make()
    estimate(crops, walking_image(), boxes_of())

    def fail(inputs: np.ndarray) -> dict[str, np.ndarray]:
        raise DeviceError("a kernel went wrong on the GPU")

    crops.network.compute = fail
    with pytest.raises(DeviceError, match="went wrong"):
        estimate(crops, walking_image(), boxes_of())
