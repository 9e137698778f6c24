"""Networks on the runtimes of a GPU: by themselves on the device, and end to end as the host sees it."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from functools import partial

import numpy as np

from app.bench.device_stages import CropStages, WholeFrameStages, make_frame
from app.bench.device_timing import DeviceClock, DeviceRoom
from app.bench.floors import Limits, Work, floor_of
from app.bench.gpu_stages import BATCHES, StageFigure
from app.bench.network_cost import NetworkCost, network_cost
from app.bench.stages import person_boxes
from app.bench.timing import measure
from engine.errors import DeviceError, ModelFileError, RuntimeUnavailableError, SteadyPoseError
from engine.estimator import BottomUpEstimator, TopDownEstimator
from engine.geometry import Size
from engine.model import Model
from engine.prepare import input_size
from engine.runtime.device_network import DeviceNetwork
from engine.settings import EstimatorSettings, Precision, RuntimeName
from engine.structures import Image

END_TO_END_BUDGET_S = 0.5

Opener = Callable[[str, RuntimeName, Precision], Model]


@dataclass(frozen=True, slots=True)
class Failure:
    """What was not measured, and why."""

    what: str
    reason: str

    def as_dict(self) -> dict[str, object]:
        """Return the row, ready for JSON."""
        return {"what": self.what, "reason": self.reason}


@dataclass(frozen=True, slots=True, eq=False)
class _Bench:
    """A model in hand, and what it is measured with. cost: of one picture of a size, None if not known."""

    clock: DeviceClock
    limits: Limits
    model: Model
    network: DeviceNetwork
    cost: Callable[[Size], NetworkCost | None]

    def network_work(self, batch: int, size: Size) -> Work:
        """Return what a run of the network has to do; nothing where that is not known."""
        cost = self.cost(size)
        if cost is None:
            return Work(launches=1)
        return cost.work(batch, self.model.runtime.precision, self.network.dtype.itemsize)

    def failure(self, what: str, error: SteadyPoseError) -> Failure:
        """Name what failed with this model."""
        runtime = self.model.runtime
        return Failure(f"{what}, {self.model.spec.name} on {runtime.name} in {runtime.precision}", str(error))


def measure_gpu_networks(
    clock: DeviceClock,
    limits: Limits,
    settings: EstimatorSettings,
    image: Image,
    runtimes: Sequence[RuntimeName],
    precisions: Sequence[Precision],
    opener: Opener,
) -> Iterator[StageFigure | Failure]:
    """Measure both models on each runtime in each precision; what fails is named, and the rest goes on.

    Args:
        clock: of the device. limits: what it can do. settings: which models.
        image: (H, W, 3) uint8 BGR frame with people in it, for end to end.
        runtimes, precisions: in this order. opener: opens a model by its name.
    """
    for runtime in runtimes:
        for precision in precisions:
            for name in (settings.top_down_model, settings.bottom_up_model):
                try:
                    model = opener(name, runtime, precision)
                    with closing(model):
                        yield from _measure_model(clock, limits, model, image)
                except SteadyPoseError as error:
                    yield Failure(f"{name} on {runtime} in {precision}", str(error))


def _measure_model(
    clock: DeviceClock, limits: Limits, model: Model, image: Image
) -> Iterator[StageFigure | Failure]:
    network, spec = model.runtime.device_network, model.spec
    if network is None:
        raise RuntimeUnavailableError(
            f"runtime {model.runtime.name} does not work in the memory of the GPU; see `steadypose doctor`"
        )
    costs: dict[Size, NetworkCost | None] = {}
    pictures = _pictures(image, model)
    sizes = [spec.input_size] if spec.kind == "top-down" else list(pictures)
    for size in sizes:
        try:
            costs[size] = network_cost(model.path, spec, size)
        except ModelFileError as error:
            costs[size] = None
            yield Failure(f"floors of {spec.name}", str(error))
    bench = _Bench(clock, limits, model, network, costs.__getitem__)
    yield from _network_figures(bench, sizes)
    if spec.kind == "top-down":
        yield from _crop_figures(bench, image)
    else:
        yield from _frame_figures(bench, pictures)


def _network_figures(bench: _Bench, sizes: Sequence[Size]) -> Iterator[StageFigure | Failure]:
    """Measure the network alone, in all batches that it takes in one run."""
    network, runtime, stream = bench.network, bench.model.runtime, bench.clock.stream
    for size in sizes:
        for batch in BATCHES:
            if batch > network.max_batch:
                break
            on = f"{batch} of {size[0]}x{size[1]}"
            work = bench.network_work(batch, size)
            try:
                binding = network.bind(batch, size)
                try:
                    stream.clear(binding.inputs.address, binding.inputs.nbytes)
                    timing = bench.clock.measure(
                        partial(binding.enqueue, stream),
                        capturable=network.capturable,
                    )
                finally:
                    # Memory can be freed once nothing uses it; the first error says more than a second one.
                    with suppress(DeviceError):
                        stream.synchronize()
                    binding.close()
            except SteadyPoseError as error:
                yield bench.failure(f"network, {on}", error)
                continue
            floor = floor_of(work, bench.limits)
            yield StageFigure(
                bench.model.spec.name, on, runtime.precision, timing, work, floor, runtime.name, batch
            )


def _crop_figures(bench: _Bench, image: Image) -> Iterator[StageFigure | Failure]:
    """Measure boxes in host memory to keypoints in host memory, a new frame each time."""
    spec, size = bench.model.spec, bench.model.spec.input_size
    estimator = TopDownEstimator(bench.model)
    try:
        for count in BATCHES:
            on, boxes = f"{count} boxes, keypoints", person_boxes(image, count)
            try:
                with DeviceRoom(bench.clock) as room:
                    frame = make_frame(room, (image.shape[0], image.shape[1]))
                    stages = CropStages(bench.clock, room, spec, size, bench.network.dtype, frame, count)
                    work = stages.parts()[-1].work + bench.network_work(count, size)
                    stages.close()
                action = partial(estimator.estimate, image, boxes)
                yield _end_to_end(bench, on, action, work, count)
            except SteadyPoseError as error:
                yield bench.failure(on, error)
    finally:
        estimator.release()


def _frame_figures(bench: _Bench, pictures: dict[Size, Image]) -> Iterator[StageFigure | Failure]:
    """Measure a frame in host memory to people in host memory, a new frame each time."""
    estimator = BottomUpEstimator(bench.model)
    try:
        for size, picture in pictures.items():
            on = f"frame of {picture.shape[0]}x{picture.shape[1]} at {size[0]}x{size[1]}, people"
            try:
                with DeviceRoom(bench.clock) as room:
                    frame = make_frame(room, (picture.shape[0], picture.shape[1]))
                    stages = WholeFrameStages(
                        bench.clock, room, bench.model.spec, size, bench.network.dtype, frame
                    )
                    work = stages.parts()[-1].work + bench.network_work(1, size)
                    stages.close()
                yield _end_to_end(bench, on, partial(estimator.estimate, picture), work, 1)
            except SteadyPoseError as error:
                yield bench.failure(on, error)
    finally:
        estimator.release()


def _end_to_end(bench: _Bench, on: str, action: Callable[[], object], work: Work, items: int) -> StageFigure:
    """Return the host's time for everything from memory to memory."""
    runtime = bench.model.runtime
    timing = measure(action, budget_s=END_TO_END_BUDGET_S)
    floor = floor_of(work, bench.limits)
    return StageFigure("end to end", on, runtime.precision, timing, work, floor, runtime.name, items)


def _pictures(image: Image, model: Model) -> dict[Size, Image]:
    """Return a frame and the square in its middle by the size of the input that a model makes of them."""
    height, width = image.shape[:2]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    square = np.ascontiguousarray(image[top : top + side, left : left + side])
    return {input_size((each.shape[0], each.shape[1]), model.spec): each for each in (image, square)}
