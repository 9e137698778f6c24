from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine.device import whole_frame as whole_frame_module
from engine.device.frames import FrameRing
from engine.device.whole_frame import DeviceWholeFrame, FramePeaks
from engine.errors import DeviceError, ModelFileError, UsageError
from engine.estimator.frame_reader import DeviceFrameReader, HostFrameReader, Look
from engine.estimator.heatmap_view import HeatmapView
from engine.model import Model
from engine.timing import Stopwatch
from tests.engine.cuda.shim_device import ShimDevice

Opened = Callable[..., Model]
Painted = Callable[..., np.ndarray]


@pytest.fixture
def make(
    ring: FrameRing, bottom_up_file: Path, on_device: Opened
) -> Iterator[Callable[..., DeviceWholeFrame]]:
    """Function (dtype, path, **options of the network) that opens the marker model; freed afterwards."""
    made: list[tuple[DeviceWholeFrame, Model]] = []

    def open_frames(dtype: Any = np.float32, path: Path = bottom_up_file, **options: Any) -> DeviceWholeFrame:
        model = on_device(path, dtype, **options)
        made.append((DeviceWholeFrame(model.spec, model.runtime.device_network, ring), model))
        return made[-1][0]

    yield open_frames
    for frames, model in made:
        frames.close()
        model.close()


def estimate(frames: DeviceWholeFrame, image: np.ndarray, **options: Any) -> FramePeaks:
    values = {"short_side": 128, "max_people": 10, "min_peak_score": 0.1} | options
    return frames.estimate(image, values.pop("short_side"), Stopwatch(), **values)


@pytest.mark.parametrize("dtype", [np.float32, np.float16])
@pytest.mark.parametrize("flip_test", [False, True])
@pytest.mark.parametrize("convention", ["half-pixel", "hrnet", "udp"])
def test_people_are_those_of_the_host(
    dtype: Any, flip_test: bool, convention: str, tmp_path: Path, write_marker_model: Callable[..., Path],
    ring: FrameRing, on_device: Opened, on_host: Opened, walking_image: Painted,
) -> None:  # fmt: skip
    path = write_marker_model(tmp_path / "net.onnx", "bottom-up", convention=convention)
    model, image, look = on_device(path, dtype), walking_image(), Look(128, 0.1, 30, flip_test)
    reader = DeviceFrameReader(model.spec, model.runtime.device_network, ring)
    views = [HeatmapView((360, 640)) for _ in range(2)]
    found = reader.read(image, look, Stopwatch(), views[0])
    wanted = HostFrameReader(on_host(path)).read(image, look, Stopwatch(), views[1])
    assert len(found) == len(wanted) == 2
    for person, same in zip(
        sorted(found, key=lambda person: float(person.bbox[0])),
        sorted(wanted, key=lambda person: float(person.bbox[0])),
        strict=True,
    ):
        seen = same.scores > 0.2
        assert seen.mean() > 0.9
        atol = 0.05 if dtype == np.float32 else 0.25
        np.testing.assert_allclose(person.keypoints[seen], same.keypoints[seen], atol=atol)
        np.testing.assert_allclose(person.scores, same.scores, atol=1e-5 if dtype == np.float32 else 2e-3)
        assert person.score == pytest.approx(same.score, abs=2e-3)
    np.testing.assert_allclose(views[0].values, views[1].values, atol=1e-4 if dtype == np.float32 else 4e-3)
    assert views[0].values.max() > 0.5
    reader.release()
    model.close()


def test_a_graph_gives_what_the_first_run_gave(
    make: Callable[..., DeviceWholeFrame], walking_image: Painted, caplog: pytest.LogCaptureFixture
) -> None:
    frames, images = make(np.float16), [walking_image(index) for index in (0, 8)]
    plain = [estimate(make(np.float16, capturable=False), image, mirrored=True) for image in images]
    estimate(frames, images[0], mirrored=True)
    for image, before in zip(images, plain, strict=True):
        after = estimate(frames, image, mirrored=True)
        np.testing.assert_array_equal(after.peaks.positions, before.peaks.positions)
        np.testing.assert_array_equal(after.peaks.tags, before.peaks.tags)
        np.testing.assert_array_equal(after.refined, before.refined)
    (job,) = frames.jobs.kept
    assert job.replay.captured and not caplog.records


def test_every_size_has_a_shape_of_its_own_and_only_the_last_are_kept(
    make: Callable[..., DeviceWholeFrame], walking_image: Painted, device: ShimDevice,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(whole_frame_module, "KEPT_JOBS", 2)
    frames, image = make(), walking_image()
    for short_side in (64, 128, 64, 96):
        for _ in range(2):
            peaks = estimate(frames, image, short_side=short_side)
            assert min(peaks.input_size) == short_side and min(peaks.heatmap_size) == short_side // 2
    assert [min(job.shape.size) for job in frames.jobs.kept] == [64, 96]
    assert len(device.graphs) == 2


def test_upright_and_wide_pictures_follow_each_other(
    make: Callable[..., DeviceWholeFrame], walking_image: Painted
) -> None:
    frames = make()
    wide, upright = walking_image(), walking_image(0, (600, 400))
    sizes = [estimate(frames, image).input_size for image in (wide, upright, wide, upright)]
    assert sizes == [(128, 256), (192, 128)] * 2


def test_other_limits_are_followed_from_the_next_frame_on(
    make: Callable[..., DeviceWholeFrame], walking_image: Painted
) -> None:
    frames, image = make(), walking_image()
    many = estimate(frames, image, max_people=10).peaks
    assert 2 <= many.scores.shape[1] <= 10
    assert estimate(frames, image, max_people=1).peaks.scores.shape == (6, 1)
    np.testing.assert_array_equal(estimate(frames, image, max_people=10).peaks.scores, many.scores)
    image = image.copy()
    image[300:304, 600:604] = (24, 24, 60)  # a faint trace of a head
    weakest = [
        float(scores[scores > 0].min())
        for least in (0.1, 0.0)
        for scores in [estimate(frames, image, max_people=100_000, min_peak_score=least).peaks.scores]
    ]
    assert weakest[1] < 0.01 < weakest[0]


def test_an_empty_picture_has_no_peaks(make: Callable[..., DeviceWholeFrame], marker_image: Any) -> None:
    assert estimate(make(), marker_image((360, 640), [])).peaks.scores.max(initial=0) < 0.1


def test_a_network_that_overflowed_is_refused(
    make: Callable[..., DeviceWholeFrame], walking_image: Painted, tmp_path: Path,
    write_marker_model: Callable[..., Path],
) -> None:  # fmt: skip
    frames = make(path=write_marker_model(tmp_path / "net.onnx", "bottom-up", gain=float("nan")))
    with pytest.raises(ModelFileError, match="holds NaN or infinity"):
        estimate(frames, walking_image())


def test_another_size_of_a_network_of_fixed_size_is_refused(
    make: Callable[..., DeviceWholeFrame], walking_image: Painted, tmp_path: Path,
    write_marker_model: Callable[..., Path],
) -> None:  # fmt: skip
    frames = make(path=write_marker_model(tmp_path / "net.onnx", "bottom-up", dynamic_size=False))
    with pytest.raises(UsageError, match="fixed input size"):
        estimate(frames, walking_image())
    assert estimate(frames, walking_image(), short_side=None).input_size == (192, 192)


def test_a_device_lost_in_the_middle_is_an_error_and_all_can_be_freed(
    make: Callable[..., DeviceWholeFrame], walking_image: Painted, device: ShimDevice
) -> None:
    frames = make()
    estimate(frames, walking_image())
    device.lose()
    with pytest.raises(DeviceError, match="lost"):
        estimate(frames, walking_image())
