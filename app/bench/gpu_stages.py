"""Figures of a device: what it can do, and how long each stage takes on it, with the floors of each."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from app.bench.device_stages import CropStages, WholeFrameStages, make_frame
from app.bench.device_timing import DeviceClock, DeviceRoom
from app.bench.floors import Floor, Limits, Work, floor_of, nominal_memory_rate, nominal_rates
from app.bench.timing import Timing, measure
from engine.cuda.self_check import check_spec
from engine.geometry import Size
from engine.model_file import ModelSpec
from engine.prepare import input_size

BATCHES = (1, 2, 4, 8, 16, 32, 64)
FRAME_SIZE: Size = (1080, 1920)
REFERENCE_CROP: Size = (256, 192)
REFERENCE_FRAME: Size = (512, 512)
"""Inputs of the published HRNet and HigherHRNet; their finest heatmaps are 17x64x48 and 17x256x256."""
MAP_TYPES: dict[str, np.dtype[Any]] = {"fp16": np.dtype(np.float16), "fp32": np.dtype(np.float32)}
LINK_BYTES = 64 << 20
TINY: Size = (32, 32)
TRIP_BUDGET_S = 0.1


@dataclass(frozen=True, slots=True)
class StageFigure:
    """A stage on a device, and its floors.

    runtime: of a network, else "". precision: of network or maps. items: pictures or crops in one run.
    """

    stage: str
    on: str
    precision: str
    timing: Timing
    work: Work
    floor: Floor
    runtime: str = ""
    items: int = 1

    @property
    def per_second(self) -> float | None:
        """Items per second at the median; None where no time was seen to pass."""
        return self.items * 1e3 / self.timing.median_ms if self.timing.median_ms > 0 else None

    @property
    def ratio(self) -> float | None:
        """Median over the higher floor."""
        return self.floor.ratio(self.timing.median_ms)

    @property
    def launch_ratio(self) -> float | None:
        """Median over the latency of its launches."""
        return self.floor.launch_ratio(self.timing.median_ms)

    def as_dict(self) -> dict[str, object]:
        """Return the row, ready for JSON."""
        return {
            "stage": self.stage,
            "on": self.on,
            "runtime": self.runtime or None,
            "precision": self.precision,
            "median_us": _rounded(self.timing.median_ms, 1e3),
            "min_us": _rounded(self.timing.min_ms, 1e3),
            "samples": self.timing.runs,
            "items": self.items,
            "per_second": _rounded(self.per_second),
            "work": self.work.as_dict(),
            "bytes_floor_us": _rounded(self.floor.bytes_ms, 1e3),
            "operations_floor_us": _rounded(self.floor.operations_ms, 1e3),
            "launches_us": _rounded(self.floor.launches_ms, 1e3),
            "ratio": _rounded(self.ratio),
            "launch_ratio": _rounded(self.launch_ratio),
        }


def measure_limits(clock: DeviceClock) -> Limits:
    """Return what the device can do, as its driver tells and as large clears and copies show.

    Raises:
        DeviceError: the device failed.
    """
    stream, info = clock.stream, clock.device.info
    with DeviceRoom(clock) as room:
        host = room.pinned(LINK_BYTES)
        target = room.empty((LINK_BYTES,), np.uint8).address
        cleared = clock.measure(clock.clear_ballast)
        up = clock.measure(lambda: stream.upload(target, host))
        down = clock.measure(lambda: stream.download(host, target))
        frame = make_frame(room, TINY)
        stages = CropStages(clock, room, check_spec("top-down"), TINY, MAP_TYPES["fp16"], frame, 1)
        tiny = stages.parts()[0].enqueue
        launch = clock.measure(tiny)
        graph = stream.capture(tiny)

        def round_trip() -> None:
            graph.launch(stream)
            stream.synchronize()

        trip = measure(round_trip, budget_s=TRIP_BUDGET_S)
        graph.close()
        stages.close()
    return Limits(
        memory_nominal=nominal_memory_rate(info),
        memory_measured=_rate(clock.ballast.nbytes, cleared),
        upload=_rate(LINK_BYTES, up),
        download=_rate(LINK_BYTES, down),
        rates=nominal_rates(info),
        launch_ms=launch.median_ms,
        round_trip_ms=trip.median_ms,
    )


def measure_upload(clock: DeviceClock, limits: Limits) -> Iterator[StageFigure]:
    """Measure the upload of a frame from page-locked memory.

    Raises:
        DeviceError: the device failed.
    """
    with DeviceRoom(clock) as room:
        frame = make_frame(room, FRAME_SIZE)
        work = Work(upload_bytes=frame.host.nbytes, launches=1)
        timing = clock.measure(lambda: clock.stream.upload(frame.tensor.address, frame.host))
    on = f"frame of {FRAME_SIZE[0]}x{FRAME_SIZE[1]}"
    yield StageFigure("upload", on, "uint8", timing, work, floor_of(work, limits))


def measure_crop_stages(clock: DeviceClock, limits: Limits, own: ModelSpec) -> Iterator[StageFigure]:
    """Measure the stages of top-down: in the published size, and for a model in its own.

    Args:
        clock: of the device. limits: what it can do. own: spec of the model.

    Raises:
        ModelFileError: the kernels cannot decode this model.
        DeviceError: the device failed.
    """
    variants = [(check_spec("top-down"), REFERENCE_CROP)]
    if own.input_size != REFERENCE_CROP:
        variants.append((own, own.input_size))
    for spec, size in variants:
        for precision, dtype in MAP_TYPES.items():
            for count in BATCHES:
                with DeviceRoom(clock) as room:
                    frame = make_frame(room, FRAME_SIZE)
                    stages = CropStages(clock, room, spec, size, dtype, frame, count)
                    yield from _figures(clock, limits, stages, precision, count)


def measure_frame_stages(clock: DeviceClock, limits: Limits, own: ModelSpec) -> Iterator[StageFigure]:
    """Measure the stages of bottom-up: in the published size, and for a model as it sees a frame.

    Args:
        clock: of the device. limits: what it can do. own: spec of the model.

    Raises:
        ModelFileError: the kernels cannot decode this model.
        DeviceError: the device failed.
    """
    variants = [(check_spec("bottom-up"), REFERENCE_FRAME)]
    size = input_size(FRAME_SIZE, own)
    if size != REFERENCE_FRAME:
        variants.append((own, size))
    for spec, size in variants:
        for precision, dtype in MAP_TYPES.items():
            with DeviceRoom(clock) as room:
                stages = WholeFrameStages(clock, room, spec, size, dtype, make_frame(room, FRAME_SIZE))
                yield from _figures(clock, limits, stages, precision, 1)


def _figures(
    clock: DeviceClock, limits: Limits, stages: CropStages | WholeFrameStages, precision: str, items: int
) -> Iterator[StageFigure]:
    """Measure every part of some stages, and close them."""
    try:
        for part in stages.parts():
            floor = floor_of(part.work, limits)
            timing = clock.measure(part.enqueue)
            yield StageFigure(part.stage, part.on, precision, timing, part.work, floor, items=items)
    finally:
        stages.close()


def _rate(nbytes: int, timing: Timing) -> float:
    """Return bytes/s of the fastest run."""
    return nbytes * 1e3 / timing.min_ms if timing.min_ms > 0 else 0.0


def _rounded(value: float | None, factor: float = 1.0) -> float | None:
    return None if value is None else round(value * factor, 3)
