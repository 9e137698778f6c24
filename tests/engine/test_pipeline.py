import json
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import av
import numpy as np
import pytest

import engine
from engine.errors import SourceError, UsageError
from engine.pipeline import Pipeline, build_settings
from engine.settings import EstimatorSettings, TrackerSettings
from engine.structures import Frame, Result

People = Callable[[int], list[np.ndarray]]


class FakeSource:
    """Frames from memory that knows whether it was closed."""

    def __init__(self, images: list[np.ndarray], *, stills: bool = False) -> None:
        self.info = SimpleNamespace(fps=None if stills else 30.0, stills=stills)
        self._images, self.closed = images, False

    def __iter__(self) -> Iterator[Frame]:
        for index, image in enumerate(self._images):
            yield Frame(image, index, index / 30)

    def close(self) -> None:
        self.closed = True


@pytest.fixture
def models(top_down_file: Path, bottom_up_file: Path) -> dict[str, Any]:
    return {"top_down_model": str(top_down_file), "bottom_up_model": str(bottom_up_file), "threads": 1}


@pytest.fixture(scope="module")
def images(walking_pair: People, marker_image: Callable[..., np.ndarray]) -> list[np.ndarray]:
    return [marker_image((360, 640), walking_pair(index)) for index in range(24)]


def assert_followed(results: list[Result], walking_pair: People) -> None:
    """Two people, each with one id from the confirmation to the end, within 5 px of the truth."""
    assert [result.frame.index for result in results] == list(range(24))
    shown = [result for result in results if result.people]
    assert len(shown) >= 18 and all(len(result.people) == 2 for result in shown)
    owners: dict[int, int] = {}
    for result in shown:
        truth = walking_pair(result.frame.index)
        for person in result.people:
            errors = [float(np.abs(person.keypoints - keypoints).max()) for keypoints in truth]
            nearest = int(np.argmin(errors))
            assert errors[nearest] < 5.0
            assert owners.setdefault(person.track_id, nearest) == nearest
    assert sorted(owners.values()) == [0, 1]


@pytest.mark.parametrize("mode", ["auto", "top-down", "bottom-up"])
def test_two_people_are_followed_through_a_folder_of_pictures(
    mode: str, models: dict[str, Any], marker_folder: Path, walking_pair: People
) -> None:
    results = list(engine.track(marker_folder, mode=mode, **models))
    assert_followed(results, walking_pair)
    stages = {"decode_source", "prepare", "infer", "decode", "track"}
    assert set(results[-1].timings_ms) >= stages
    assert ("find" in results[0].timings_ms) == (mode != "bottom-up")


def test_two_people_are_followed_through_a_video(
    models: dict[str, Any], images: list[np.ndarray], walking_pair: People, tmp_path: Path
) -> None:
    with av.open(str(tmp_path / "clip.mp4"), "w") as container:
        stream = container.add_stream("libx264", rate=30, options={"crf": "10", "preset": "ultrafast"})
        stream.height, stream.width, stream.pix_fmt = 360, 640, "yuv444p"
        for image in images:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="bgr24")))
        container.mux(stream.encode())
    results = list(engine.track(tmp_path / "clip.mp4", **models))
    assert_followed(results, walking_pair)
    times = [result.frame.time_s for result in results]
    np.testing.assert_allclose(np.diff(times), 1 / 30, atol=1e-4)


def test_no_frame_is_kept_longer_than_it_is_needed(models: dict[str, Any], images: list[np.ndarray]) -> None:
    seen: list[weakref.ref] = []

    class Watched(FakeSource):
        def __iter__(self) -> Iterator[Frame]:
            for frame in super().__iter__():
                image = frame.image.copy()
                seen.append(weakref.ref(image))
                yield Frame(image, frame.index, frame.time_s)

    for _ in engine.track(Watched(images), mode="top-down", **models):
        assert sum(image() is not None for image in seen) <= 3
    assert len(seen) == 24


def test_both_runtimes_follow_the_same_people(
    models: dict[str, Any], images: list[np.ndarray], walking_pair: People
) -> None:
    for runtime in ("openvino", "onnxruntime"):
        results = list(engine.track(FakeSource(images), mode="top-down", runtime=runtime, **models))
        assert_followed(results, walking_pair)


def test_closing_the_iterator_closes_the_source(models: dict[str, Any], images: list[np.ndarray]) -> None:
    source = FakeSource(images)
    results = engine.track(source, mode="bottom-up", **models)
    next(results)
    assert not source.closed
    results.close()
    assert source.closed


def test_an_error_closes_the_source_too(images: list[np.ndarray], tmp_path: Path) -> None:
    source = FakeSource(images)
    with pytest.raises(engine.errors.ModelFileError):
        next(engine.track(source, bottom_up_model=str(tmp_path / "gone.onnx")))
    assert source.closed


def test_a_missing_video_is_a_source_error(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="gone"):
        next(engine.track(tmp_path / "gone.mp4"))


def test_a_pipeline_goes_from_one_source_to_the_next(
    models: dict[str, Any], images: list[np.ndarray]
) -> None:
    pipeline = Pipeline(build_settings({"mode": "top-down", **models}))
    for _ in range(2):
        results = list(pipeline.run(FakeSource(images[:10])))
        assert "find" in results[0].timings_ms
        assert {person.track_id for person in results[-1].people} == {1, 2}
    pipeline.close()


def test_stills_show_everybody_at_once_and_follow_nobody(
    models: dict[str, Any], images: list[np.ndarray], walking_pair: People
) -> None:
    pipeline = Pipeline(build_settings({"mode": "top-down", **models}))
    results = list(pipeline.run(FakeSource([images[0], images[-1]], stills=True)))
    for result, index in zip(results, (0, 23), strict=True):
        assert "find" in result.timings_ms and len(result.people) == 2
        found = min(result.people, key=lambda person: float(person.keypoints[:, 0].mean()))
        np.testing.assert_allclose(found.keypoints, walking_pair(index)[0], atol=3.0)


def test_a_pipeline_describes_itself_for_the_sidecar(
    models: dict[str, Any], images: list[np.ndarray]
) -> None:
    pipeline = Pipeline(build_settings(models))
    next(pipeline.run(FakeSource(images)))
    about = json.loads(json.dumps(pipeline.describe()))
    assert [model["name"] for model in about["models"]] == ["markers-td", "markers-bu"]
    assert len(about["models"][0]["sha256"]) == 64
    assert about["choice"]["frame_rate"] == 30.0 and about["choice"]["person_ms"] > 0
    assert about["settings"]["tracker"]["keep_alive_s"] == 1.5


def test_settings_go_where_they_belong() -> None:
    settings = build_settings({"mode": "bottom-up", "keep_alive_s": 3.0, "smoothing": {"method": "none"}})
    assert settings.estimator.mode == "bottom-up"
    assert settings.tracker.keep_alive_s == 3.0 and settings.tracker.smoothing.method == "none"


def test_a_setting_of_both_parts_goes_to_both() -> None:
    settings = build_settings({"max_people": 4})
    assert settings.estimator.max_people == settings.tracker.max_people == 4


def test_whole_parts_can_be_given_and_amended() -> None:
    settings = build_settings(
        {
            "estimator": EstimatorSettings(threads=3),
            "tracker": TrackerSettings(confirm_s=0.5),
            "flip_test": True,
        }
    )
    assert settings.estimator.threads == 3 and settings.estimator.flip_test
    assert settings.tracker.confirm_s == 0.5


def test_an_unknown_setting_gets_the_nearest_name() -> None:
    with pytest.raises(UsageError, match="no setting 'keep_alive'; did you mean 'keep_alive_s'"):
        engine.track("clip.mp4", keep_alive=2.0)


def test_an_impossible_value_is_named() -> None:
    with pytest.raises(UsageError, match=r"setting estimator\.threads is impossible: .*got -1"):
        engine.track("clip.mp4", threads=-1)
