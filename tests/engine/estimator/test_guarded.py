"""A GPU that fails in the middle of a video."""

import numpy as np
import pytest

from engine.errors import DeviceError, UsageError
from engine.estimator.guarded import GuardedEstimator
from engine.settings import EstimatorSettings
from engine.skeleton import COCO17
from engine.structures import Frame
from engine.timing import Stopwatch


class FakeModel:
    def __init__(self, *, lost: bool = False) -> None:
        self.closed, self.lost = False, lost

    def close(self) -> None:
        if self.lost:
            raise DeviceError("the GPU is lost")
        self.closed = True


class FakeEstimator:
    """Finds nobody, and notes what it is asked; fails at the frames it is told to."""

    def __init__(self, name: str, fails_at: tuple[int, ...] = (), **model: bool) -> None:
        self.choice: dict[str, object] = {"mode": name}
        self.heatmap_wanted, self.heatmap = False, None
        self.models, self.skeleton = (FakeModel(**model),), COCO17
        self.seen: list[int] = []
        self.announced: list[int] = []
        self.released = False
        self.rates: list[float] = []
        self.fails_at = fails_at

    def start(self, frame_rate: float) -> None:
        self.rates.append(frame_rate)

    def warm_up(self, size: tuple[int, int]) -> None:
        if -1 in self.fails_at:
            raise DeviceError("the GPU has no memory left")

    def change_settings(self, settings: EstimatorSettings) -> None:
        if settings.finder_short_side == 7:
            raise UsageError("no network takes 7 px")

    def estimate_frame(self, frame: Frame, tracks: object, watch: Stopwatch) -> list:
        if frame.index in self.fails_at:
            raise DeviceError("the GPU was lost")
        self.seen.append(frame.index)
        return []

    def announce(self, frame: Frame) -> None:
        self.announced.append(frame.index)

    def release(self) -> None:
        self.released = True


def frames(count: int) -> list[Frame]:
    return [Frame(np.zeros((8, 8, 3), np.uint8), index, index / 30) for index in range(count)]


def guard(gpu: FakeEstimator, cpu: FakeEstimator) -> tuple[GuardedEstimator, list[EstimatorSettings]]:
    opened: list[EstimatorSettings] = []

    def open_for_cpu(settings: EstimatorSettings) -> FakeEstimator:
        opened.append(settings)
        return cpu

    return GuardedEstimator(gpu, open_for_cpu, EstimatorSettings()), opened


def run(estimator: GuardedEstimator, count: int) -> None:
    for frame in frames(count):
        estimator.estimate_frame(frame, (), Stopwatch())


def test_the_cpu_takes_over_at_the_frame_the_gpu_failed_at_and_says_so(
    caplog: pytest.LogCaptureFixture,
) -> None:
    gpu, cpu = FakeEstimator("gpu", fails_at=(3,)), FakeEstimator("cpu")
    estimator, opened = guard(gpu, cpu)
    estimator.start(60.0)
    estimator.heatmap_wanted = True
    run(estimator, 6)
    assert gpu.seen == [0, 1, 2] and cpu.seen == [3, 4, 5] and len(opened) == 1
    assert estimator.choice == {"mode": "cpu", "moved_to_cpu": "the GPU was lost"}
    assert cpu.rates == [60.0] and cpu.heatmap_wanted and estimator.models == cpu.models
    assert gpu.released and gpu.models[0].closed and not cpu.released
    assert "the GPU failed, the CPU goes on: the GPU was lost" in caplog.text


def test_a_gpu_that_works_is_left_alone() -> None:
    estimator, opened = guard(FakeEstimator("gpu"), FakeEstimator("cpu"))
    run(estimator, 3)
    assert estimator.choice == {"mode": "gpu"} and not opened


def test_the_cpu_gets_the_settings_of_that_moment() -> None:
    estimator, opened = guard(FakeEstimator("gpu", fails_at=(0,)), FakeEstimator("cpu"))
    with pytest.raises(UsageError):
        estimator.change_settings(EstimatorSettings(finder_short_side=7))
    estimator.change_settings(EstimatorSettings(max_people=3))
    run(estimator, 1)
    assert opened == [EstimatorSettings(max_people=3)]


def test_memory_that_does_not_suffice_is_met_in_the_warm_up_already() -> None:
    estimator, opened = guard(FakeEstimator("gpu", fails_at=(-1,)), FakeEstimator("cpu"))
    estimator.warm_up((8, 8))
    assert len(opened) == 1 and "no memory left" in str(estimator.choice["moved_to_cpu"])


def test_a_lost_gpu_that_cannot_be_freed_stops_nobody(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    cpu = FakeEstimator("cpu")
    estimator, _ = guard(FakeEstimator("gpu", fails_at=(0,), lost=True), cpu)
    run(estimator, 2)
    assert cpu.seen == [0, 1] and "could not be freed" in caplog.text


def test_a_second_failure_is_the_end() -> None:
    estimator, _ = guard(FakeEstimator("gpu", fails_at=(0,)), FakeEstimator("cpu", fails_at=(1,)))
    with pytest.raises(DeviceError):
        run(estimator, 3)


def test_the_next_frame_is_announced_to_whoever_is_at_work() -> None:
    gpu, cpu = FakeEstimator("gpu", fails_at=(1,)), FakeEstimator("cpu")
    estimator, _ = guard(gpu, cpu)
    for frame, following in zip(frames(3), frames(4)[1:]):
        estimator.announce(following)
        estimator.estimate_frame(frame, (), Stopwatch())
    estimator.release()
    assert gpu.announced == [1, 2] and cpu.announced == [3] and cpu.released
