"""`steadypose bench gpu`: what the GPU reaches, stage by stage and end to end, beside what it could reach.

Each figure has two floors: bytes over bandwidth and operations over rate. The ratio is to the higher one;
small kernels are to be judged by the latency of their launches instead.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import asdict
from functools import partial
from pathlib import Path
from textwrap import fill

import cv2
import numpy as np
from rich.console import Console

from app.bench.device_timing import METHOD, DeviceClock
from app.bench.files import check_writable, write_json
from app.bench.floors import Limits
from app.bench.gpu_networks import Failure, measure_gpu_networks
from app.bench.gpu_stages import (
    FRAME_SIZE,
    StageFigure,
    measure_crop_stages,
    measure_frame_stages,
    measure_limits,
    measure_upload,
)
from app.bench.report import whole_table
from app.bench.stages import LOOK_AT_S, frame_at
from app.bench.whole import WholeTiming, measure_whole
from app.compile import CompileProgress
from app.console import say
from app.machine import describe_machine, machine_line
from app.tables import field_lines, text_table
from assets import demo_clip
from engine.cuda.device import DeviceInfo
from engine.cuda.driver import driver_state, open_device
from engine.errors import RuntimeUnavailableError, SourceError, SteadyPoseError, UsageError
from engine.model import Model, open_model
from engine.model_file import read_spec
from engine.packages import installed_versions
from engine.runtime import RUNTIMES, find_kind, installed_runtimes
from engine.settings import EstimatorSettings, Precision, RuntimeName
from engine.structures import Image
from engine.zoo import model_path

GPU_RUNTIMES: tuple[RuntimeName, ...] = ("tensorrt", "tensorrt-rtx", "onnxruntime-cuda")
PRECISIONS: tuple[Precision, ...] = ("fp16", "fp32", "int8")
UNKNOWN = "?"
TEXT_WIDTH = 100
READING = (
    "bytes and operations: what the work takes at least at the bandwidths and the rate above; x floor: the "
    "median over the higher of them; x launches: the median over the latency of as many launches."
)


def run_gpu_bench(settings: EstimatorSettings, *, json_path: Path | None, console: Console) -> None:
    """Measure everything on the first GPU and print tables; takes some minutes, building plans more.

    Args:
        settings: which models; runtime and precision where these are not `auto`, else all are measured.
        json_path: also write the numbers there.
        console: where it says what is being measured.

    Raises:
        RuntimeUnavailableError: there is no GPU that serves; says why.
        SourceError: the demo clip is missing.
        ModelFileError: a model is missing.
        UsageError: the JSON file cannot be written, or the settings name a runtime of CPUs.
        DeviceError: the GPU failed before anything could be measured.
    """
    runtimes = wanted_runtimes(settings)
    state = driver_state()
    if state.problem is not None:
        raise RuntimeUnavailableError(f"there is no GPU to be measured: {state.problem}")
    clip = demo_clip()
    if not clip.is_file():
        raise SourceError(f"the bundled demo clip {clip} is missing; install the package again")
    top_down, bottom_up = (
        read_spec(model_path(name)) for name in (settings.top_down_model, settings.bottom_up_model)
    )
    if json_path:
        check_writable(json_path)
    device = open_device()
    say(machine_line())
    with closing(DeviceClock(device)) as clock:
        console.print("measuring what the GPU can do …")
        limits = measure_limits(clock)
        say(f"\n{device_text(device.info, limits)}\n\n{runtime_text(runtimes)}")
        say("\n" + fill(f"{METHOD} {READING}", TEXT_WIDTH))
        failures: list[Failure] = []
        console.print("measuring stages …")
        stages = _attempt_all(
            (
                ("upload", partial(measure_upload, clock, limits)),
                (f"stages of {top_down.name}", partial(measure_crop_stages, clock, limits, top_down)),
                (f"stages of {bottom_up.name}", partial(measure_frame_stages, clock, limits, bottom_up)),
            ),
            failures,
        )
        say("\n" + figure_table(stages))
        console.print("measuring networks …")
        networks: list[StageFigure] = []
        if not runtimes:
            failures.append(Failure("networks", "no runtime for NVIDIA GPUs is installed, see above"))
        rows = measure_gpu_networks(
            clock, limits, settings, full_frame(clip), runtimes, wanted_precisions(settings),
            partial(_open, console),
        )  # fmt: skip
        for row in rows:
            if isinstance(row, Failure):
                failures.append(row)
            else:
                networks.append(row)
        say("\n" + network_table(networks))
    console.print("measuring the whole path …")
    clips = _measure_clip(clip, settings, runtimes, failures)
    for name, timings in clips.items():
        say(f"\n{clip.name} to CSV, {name}\n{whole_table(timings)}")
    if failures:
        say("\n" + failure_text(failures))
    if json_path:
        write_json(
            json_path,
            {
                "machine": describe_machine(),
                "device": asdict(device.info),
                "runtimes": {name: runtime_version(name) for name in GPU_RUNTIMES},
                "limits": limits.as_dict(),
                "method": METHOD,
                "stages": [row.as_dict() for row in stages],
                "networks": [row.as_dict() for row in networks],
                "clip": {name: [row.as_dict() for row in timings] for name, timings in clips.items()},
                "failures": [row.as_dict() for row in failures],
            },
        )


def wanted_runtimes(settings: EstimatorSettings) -> tuple[RuntimeName, ...]:
    """Return the runtimes of GPUs that are installed, or the one that the settings name.

    Raises:
        UsageError: the settings name a runtime of CPUs.
    """
    if settings.runtime == "auto":
        installed = installed_runtimes()
        return tuple(name for name in GPU_RUNTIMES if name in installed)
    if settings.runtime not in GPU_RUNTIMES:
        raise UsageError(
            f"`bench gpu` measures {', '.join(GPU_RUNTIMES)}, got runtime {settings.runtime}; `bench` "
            "measures those of CPUs"
        )
    return (settings.runtime,)


def wanted_precisions(settings: EstimatorSettings) -> tuple[Precision, ...]:
    """Return what is measured: all that GPUs do, or what the settings name."""
    return PRECISIONS if settings.precision == "auto" else (settings.precision,)


def runtime_version(name: str) -> str | None:
    """Return the version of the package behind a runtime, None where it is not installed."""
    return next(iter(installed_versions(find_kind(name).packages).values()), None)


def full_frame(clip: Path) -> Image:
    """Return a frame of a clip with people in it, scaled to `FRAME_SIZE`."""
    height, width = FRAME_SIZE
    return np.asarray(cv2.resize(frame_at(clip, LOOK_AT_S), (width, height)), np.uint8)


def device_text(info: DeviceInfo, limits: Limits) -> str:
    """Return what the GPU is and can do."""
    clock = UNKNOWN if info.clock_khz is None else f"{info.clock_khz / 1e6:.3f} GHz"
    nominal = limits.memory_nominal
    rates = ", ".join(f"{name} {rate / 1e12:.1f}" for name, rate in limits.rates.items())
    unlisted = f"{UNKNOWN} (no figures for this compute capability)"
    return field_lines(
        [
            ("GPU", f"{info.name}, compute capability {'.'.join(map(str, info.compute_capability))}"),
            ("multiprocessors", f"{info.multiprocessors or UNKNOWN} at {clock}"),
            ("memory", f"{info.memory_bytes / 2**30:.1f} GiB"),
            ("driver", f"CUDA {'.'.join(map(str, info.driver))}"),
            ("memory, nominal", UNKNOWN if nominal is None else f"{nominal / 1e9:.0f} GB/s"),
            ("memory, measured", f"{limits.memory_measured / 1e9:.0f} GB/s, clearing"),
            ("link, measured", f"{limits.upload / 1e9:.2f} GB/s up, {limits.download / 1e9:.2f} GB/s down"),
            ("multiply-adds", f"{rates} T/s, dense, nominal" if rates else unlisted),
            ("launch in a graph", f"{limits.launch_ms * 1e3:.2f} µs"),
            ("host to GPU and back", f"{limits.round_trip_ms * 1e3:.1f} µs"),
        ]
    )


def runtime_text(measured: Sequence[str]) -> str:
    """Return a line for each runtime of GPUs: its version, or how to get it."""
    fields = []
    for name in GPU_RUNTIMES:
        number = runtime_version(name)
        what = f"absent: {RUNTIMES[name].install}" if number is None else number
        fields.append((name, what if name in measured or number is None else f"{what}, not asked for"))
    return field_lines(fields)


def figure_table(rows: Sequence[StageFigure]) -> str:
    """Return the table of stages."""
    headers = ("stage", "on", "precision", "median µs", "min µs", *FLOOR_HEADERS)
    cells = [
        (row.stage, row.on, row.precision, *_times(row), *_floor_cells(row), _number(row.launch_ratio))
        for row in rows
    ]
    return text_table((*headers, "x launches"), cells)


def network_table(rows: Sequence[StageFigure]) -> str:
    """Return the table of networks alone and of everything from the host's memory to people."""
    headers = ("network", "on", "runtime", "precision", "median µs", "min µs", "per s", *FLOOR_HEADERS)
    cells = [
        (row.stage, row.on, row.runtime, row.precision, *_times(row), _number(row.per_second, 0))
        + _floor_cells(row)
        for row in rows
    ]
    return text_table(headers, cells)


FLOOR_HEADERS = ("bytes µs", "operations µs", "x floor")


def failure_text(failures: Sequence[Failure]) -> str:
    """Return what was not measured, a line each."""
    return "\n".join(f"not measured: {failure.what}: {failure.reason}" for failure in failures)


def _attempt_all(
    sections: Iterable[tuple[str, Callable[[], Iterator[StageFigure]]]], failures: list[Failure]
) -> list[StageFigure]:
    """Return the figures of all sections; one that fails is named, and the others go on."""
    rows: list[StageFigure] = []
    for what, section in sections:
        try:
            for row in section():
                rows.append(row)
        except SteadyPoseError as error:
            failures.append(Failure(what, str(error)))
    return rows


def _measure_clip(
    clip: Path, settings: EstimatorSettings, runtimes: Sequence[RuntimeName], failures: list[Failure]
) -> dict[str, list[WholeTiming]]:
    """Track the clip into a CSV file on every runtime, in the precision that it takes by itself."""
    found: dict[str, list[WholeTiming]] = {}
    for runtime in runtimes:
        timings: list[WholeTiming] = []
        try:
            for timing in measure_whole(clip, settings.model_copy(update={"runtime": runtime})):
                timings.append(timing)
        except SteadyPoseError as error:
            failures.append(Failure(f"{clip.name} to CSV on {runtime}", str(error)))
        if timings:
            found[runtime] = timings
    return found


def _open(console: Console, name: str, runtime: RuntimeName, precision: Precision) -> Model:
    """Open a model, showing how far its compilation is."""
    console.print(f"{name} on {runtime} in {precision} …")
    with CompileProgress(name, console, quiet=False) as shown:
        return open_model(
            name,
            runtime=runtime,
            precision=precision,
            on_progress=lambda what, share: shown.show(share, what),
        )


def _times(row: StageFigure) -> tuple[str | None, ...]:
    return _number(row.timing.median_ms * 1e3), _number(row.timing.min_ms * 1e3)


def _floor_cells(row: StageFigure) -> tuple[str | None, ...]:
    bytes_ms, operations_ms = row.floor.bytes_ms, row.floor.operations_ms
    return _number(_micro(bytes_ms)), _number(_micro(operations_ms)), _number(row.ratio)


def _micro(value_ms: float | None) -> float | None:
    return None if value_ms is None else value_ms * 1e3


def _number(value: float | None, digits: int = 1) -> str | None:
    """Return a number for a table; small ones keep three digits that count."""
    if value is None:
        return None
    return f"{value:.{digits}f}" if value >= 10 or value == 0 else f"{value:.3g}"
