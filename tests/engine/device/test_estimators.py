"""The estimators with networks on a device, from a picture to tracks."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine.device.frames import FrameRing
from engine.errors import DeviceError, RuntimeUnavailableError
from engine.estimator import BottomUpEstimator, TopDownEstimator
from engine.estimator import frame as frame_module
from engine.estimator.device_path import device_network, shared_ring
from engine.estimator.frame import FrameEstimator, open_estimator
from engine.frame_tracker import FrameTracker, SequenceKind, close_estimator
from engine.model import Model, open_model
from engine.pipeline import Pipeline
from engine.settings import EstimatorSettings, TrackSettings
from engine.sources import open_source
from engine.structures import Frame, Result
from tests.engine.cuda.shim_device import ShimDevice
from tests.engine.device.shim_network import shim_model

Opened = Callable[..., Model]
Painted = Callable[..., np.ndarray]


class InTraining:
    """A network that is no file and has no runtime."""

    def __init__(self, model: Model) -> None:
        self.spec, self.run = model.spec, model.run


def test_networks_on_the_host_and_in_training_have_no_device(top_down_file: Path, on_host: Opened) -> None:
    model = on_host(top_down_file)
    assert device_network(model) is None and device_network(InTraining(model)) is None
    assert shared_ring([model]) is None


def test_models_on_one_device_share_a_ring_and_others_do_not(
    top_down_file: Path, bottom_up_file: Path, on_device: Opened, on_host: Opened
) -> None:
    models = [on_device(top_down_file), on_device(bottom_up_file)]
    ring = shared_ring(models)
    assert ring is not None
    ring.close()
    assert shared_ring([*models, on_host(top_down_file)]) is None
    assert shared_ring([models[0], shim_model(ShimDevice(), bottom_up_file)]) is None


def test_a_network_on_a_device_is_not_run_from_the_host(
    top_down_file: Path, on_device: Opened, walking_image: Painted, boxes_of: Painted
) -> None:
    model = on_device(top_down_file)
    model.runtime.run = None
    estimator = TopDownEstimator(model)
    assert len(estimator.estimate(walking_image(), boxes_of())) == 2
    assert estimator.estimate(walking_image(), np.zeros((0, 4))) == []
    estimator.release()


def test_an_array_that_is_written_anew_is_seen_anew(
    top_down_file: Path, bottom_up_file: Path, on_device: Opened, walking_image: Painted, boxes_of: Painted
) -> None:
    top_down, bottom_up = (
        TopDownEstimator(on_device(top_down_file)),
        BottomUpEstimator(on_device(bottom_up_file)),
    )
    image = walking_image()
    assert top_down.estimate(image, boxes_of())[0].score > 0.4 and len(bottom_up.estimate(image)) == 2
    image[:] = 24
    assert top_down.estimate(image, boxes_of())[0].score < 0.1 and bottom_up.estimate(image) == []
    top_down.release()
    bottom_up.release()


def test_looking_twice_at_a_frame_uploads_it_once(
    bottom_up_file: Path, on_device: Opened, walking_image: Painted, monkeypatch: pytest.MonkeyPatch
) -> None:
    loads: list[object] = []
    load = FrameRing._load
    monkeypatch.setattr(FrameRing, "_load", lambda ring, image: (loads.append(image), load(ring, image))[1])
    estimator = BottomUpEstimator(
        on_device(bottom_up_file), EstimatorSettings(finder_short_side=192), scales=(1.0, 0.5)
    )
    assert len(estimator.estimate(walking_image())) == 2
    assert len(loads) == 1
    estimator.release()


def test_a_released_estimator_may_be_used_again(
    top_down_file: Path, on_device: Opened, walking_image: Painted, boxes_of: Painted, device: ShimDevice
) -> None:
    estimator = TopDownEstimator(on_device(top_down_file))
    for _ in range(2):
        assert estimator.estimate(walking_image(), boxes_of())[0].score > 0.4
        estimator.release()
        assert device.left_open() == []
    estimator.release()


def test_a_network_for_one_picture_makes_the_flip_test_on_the_host_and_says_so(
    bottom_up_file: Path, on_device: Opened, walking_image: Painted, caplog: pytest.LogCaptureFixture
) -> None:
    estimator = BottomUpEstimator(on_device(bottom_up_file, max_batch=1), EstimatorSettings(flip_test=True))
    for _ in range(2):
        assert len(estimator.estimate(walking_image())) == 2
    assert caplog.text.count("prepared and decoded on the CPU: it takes one picture at a time") == 1
    estimator.release()


def test_what_the_kernels_cannot_decode_is_decoded_on_the_host_and_told_once(
    tmp_path: Path, write_marker_model: Callable[..., Path], on_device: Opened, walking_image: Painted,
    boxes_of: Painted, caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    path = write_marker_model(tmp_path / "net.onnx", "top-down", heatmap_sigma=9.0)
    estimator = TopDownEstimator(on_device(path))
    for _ in range(2):
        assert len(estimator.estimate(walking_image(), boxes_of())) == 2
    assert caplog.text.count("prepared and decoded on the CPU: heatmap_sigma of model") == 1
    estimator.release()


def test_without_a_compiler_for_kernels_the_host_decodes_and_says_what_to_install(
    top_down_file: Path, on_device: Opened, walking_image: Painted, boxes_of: Painted, device: ShimDevice,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    def kernel(file: str, entry: str) -> Any:
        raise RuntimeUnavailableError('NVRTC is not installed; `pip install "steadypose[cuda]"`')

    device.kernel = kernel
    estimator = TopDownEstimator(on_device(top_down_file))
    assert estimator.estimate(walking_image(), boxes_of())[0].score > 0.4
    assert 'pip install "steadypose[cuda]"' in caplog.text
    estimator.release()


@pytest.fixture
def settings(top_down_file: Path, bottom_up_file: Path) -> TrackSettings:
    return TrackSettings(
        estimator=EstimatorSettings(
            mode="top-down",
            top_down_model=str(top_down_file),
            bottom_up_model=str(bottom_up_file),
            threads=1,
            find_interval_s=0.5,
            finder_short_side=128,
            finder_scales=(1.0,),
        )
    )


@pytest.fixture
def open_there(
    device: ShimDevice, settings: TrackSettings, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., FrameEstimator]:
    """Function (dtype, **changes of the settings) that opens an estimator on the device."""

    def make(dtype: Any = np.float32, **changes: Any) -> FrameEstimator:
        def on_shim(path: str, **options: object) -> Model:
            return shim_model(device, Path(path), dtype)

        monkeypatch.setattr(frame_module, "open_model", on_shim)
        # Named, so that nothing stands between the failure of the device and the test.
        chosen = {"runtime": "tensorrt", **changes}
        opened = open_estimator(settings.estimator.model_copy(update=chosen))
        monkeypatch.undo()
        return opened

    return make


def follow(estimator: FrameEstimator, settings: TrackSettings, frames: list[Frame]) -> list[Result]:
    tracker = FrameTracker(estimator, settings, SequenceKind(30.0))
    results = []
    for frame, following in zip(frames, [*frames[1:], None], strict=True):
        if following is not None:
            tracker.announce(following)
        results.append(tracker.update(frame))
    return results


@pytest.mark.parametrize("dtype", [np.float32, np.float16])
def test_thirty_frames_give_the_same_tracks_as_on_the_host(
    dtype: Any, open_there: Callable[..., FrameEstimator], settings: TrackSettings, walking_image: Painted
) -> None:
    frames = [Frame(walking_image(index), index, index / 30) for index in range(30)]
    there, here = open_there(dtype), open_estimator(settings.estimator)
    found, wanted = follow(there, settings, frames), follow(here, settings, frames)
    assert there._ring is not None and there._ring.uploads == len(frames)
    for result, same in zip(found, wanted, strict=True):
        assert [person.track_id for person in result.people] == [person.track_id for person in same.people]
        assert set(result.timings_ms) == set(same.timings_ms)
        for person, twin in zip(result.people, same.people, strict=True):
            np.testing.assert_array_equal(person.state, twin.state)
            seen = twin.scores > 0.2
            atol = 0.05 if dtype == np.float32 else 0.25
            np.testing.assert_allclose(person.keypoints[seen], twin.keypoints[seen], atol=atol)
    assert len(wanted[-1].people) == 2
    close_estimator(there)
    close_estimator(here)


@pytest.mark.parametrize("mode", ["top-down", "bottom-up"])
def test_the_heatmap_view_is_the_hosts(
    mode: str, open_there: Callable[..., FrameEstimator], settings: TrackSettings, walking_image: Painted
) -> None:
    maps = []
    for estimator in (
        open_there(mode=mode),
        open_estimator(settings.estimator.model_copy(update={"mode": mode})),
    ):
        estimator.heatmap_wanted = True
        tracker = FrameTracker(estimator, settings, SequenceKind(30.0))
        tracker.heatmap_wanted = True
        maps.append(tracker.update(Frame(walking_image(), 0, 0.0)).heatmap)
        close_estimator(estimator)
    np.testing.assert_allclose(maps[0], maps[1], atol=1e-4)
    assert maps[0].max() > 0.5


def test_auto_measures_and_settings_change_on_the_device_too(
    open_there: Callable[..., FrameEstimator], settings: TrackSettings, walking_image: Painted
) -> None:
    estimator = open_there(mode="auto", find_interval_s=None)
    estimator.warm_up((360, 640))
    tracker = FrameTracker(estimator, settings, SequenceKind(30.0))
    assert len(tracker.update(Frame(walking_image(0), 0, 0.0)).people) <= 2
    assert "finder_ms" in tracker.choice
    changed = settings.estimator.model_copy(update={"flip_test": True, "max_people": 1})
    tracker.change_settings(settings.model_copy(update={"estimator": changed}))
    for index in range(1, 8):
        result = tracker.update(Frame(walking_image(index), index, index / 30))
    assert len(result.people) == 1
    close_estimator(estimator)


def test_a_run_uploads_each_frame_of_a_file_once(
    open_there: Callable[..., FrameEstimator], settings: TrackSettings, marker_folder: Path
) -> None:
    estimator = open_there(np.float16)
    pipeline = Pipeline(settings, estimator=estimator)
    announced: list[Frame] = []
    announce = estimator.announce
    estimator.announce = lambda frame: (announced.append(frame), announce(frame))[1]
    with open_source(marker_folder) as source:
        results = list(pipeline.run(source))
    assert len(results) == 24 and len(results[-1].people) == 2
    assert estimator._ring is not None and estimator._ring.uploads == 24
    assert len(announced) > 6 and announced[0].index > 0  # those that were read by then
    pipeline.close()


def test_a_device_lost_in_the_middle_of_a_video_is_an_error_and_all_is_freed(
    open_there: Callable[..., FrameEstimator], settings: TrackSettings, walking_image: Painted,
    device: ShimDevice,
) -> None:  # fmt: skip
    estimator = open_there()
    tracker = FrameTracker(estimator, settings, SequenceKind(30.0))
    tracker.update(Frame(walking_image(0), 0, 0.0))
    tracker.announce(Frame(walking_image(2), 2, 2 / 30))
    device.lose()
    with pytest.raises(DeviceError, match="lost"):
        tracker.update(Frame(walking_image(1), 1, 1 / 30))
    close_estimator(estimator)


def test_where_auto_chose_the_device_the_cpu_goes_on_in_the_middle_of_a_video(
    open_there: Callable[..., FrameEstimator], settings: TrackSettings, walking_image: Painted,
    device: ShimDevice,
) -> None:  # fmt: skip
    estimator = open_there(runtime="auto")
    tracker = FrameTracker(estimator, settings, SequenceKind(30.0))
    for index in range(8):
        if index == 4:
            device.lose()
        result = tracker.update(Frame(walking_image(index), index, index / 30))
    assert len(result.people) == 2 and "lost" in str(tracker.choice["moved_to_cpu"])
    assert device.left_open() == []
    close_estimator(estimator)


def test_models_are_closed_where_the_second_cannot_be_opened(
    settings: TrackSettings, monkeypatch: pytest.MonkeyPatch, bottom_up_file: Path, device: ShimDevice
) -> None:
    closed = []

    def open_model(path: str, **options: Any) -> Model:
        if options["expect_kind"] == "top-down":
            raise DeviceError("GPU memory does not suffice")
        model = shim_model(device, bottom_up_file)
        model.runtime.close = lambda: closed.append(path)
        return model

    monkeypatch.setattr(frame_module, "open_model", open_model)
    with pytest.raises(DeviceError, match="does not suffice"):
        open_estimator(settings.estimator.model_copy(update={"runtime": "tensorrt"}))
    assert closed == [str(bottom_up_file)]


def test_where_auto_chose_a_device_that_fails_at_the_start_the_cpu_takes_over(
    settings: TrackSettings,
    monkeypatch: pytest.MonkeyPatch,
    device: ShimDevice,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def lose_the_device(models: list[Model]) -> None:
        if models[0].runtime.name == "shim":
            raise DeviceError("GPU memory does not suffice")

    def open_model_there(path: str, **options: Any) -> Model:
        return shim_model(device, Path(path)) if options["runtime"] == "auto" else open_model(path, **options)

    monkeypatch.setattr(frame_module, "open_model", open_model_there)
    monkeypatch.setattr(frame_module, "shared_ring", lose_the_device)
    estimator = open_estimator(settings.estimator)
    assert {model.runtime.name for model in estimator.models} <= {"openvino", "onnxruntime"}
    assert "the CPU takes over: GPU memory does not suffice" in caplog.text
    close_estimator(estimator)
