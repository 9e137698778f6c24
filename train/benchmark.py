"""How fast networks are on the present device: forward, and forward with backward, per batch.

Each network is built with fresh weights, warmed up and timed; speed does not depend on the weights. What a
training step takes beside this, the optimiser and the data, is in the log of a run as samples per second.
"""

import ctypes
import gc
import json
import platform
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean, stdev
from typing import Any, Literal

import torch
import yaml
from torch import Tensor

from engine.doctor import cpu_name, usable_cores
from engine.errors import UsageError
from engine.geometry import Size
from train.models import BUILDERS, build_model
from train.models.counting import count_macs, count_parameters
from train.text_tables import text_table

Precision = Literal["fp32", "bf16", "fp16"]
Device = Literal["auto", "cpu", "cuda"]

DEFAULT_NETWORKS = (
    *(name for name in BUILDERS if name != "hourglass"),
    "hourglass:stacks=2",
    "hourglass:stacks=8",
)
WARM_UP_RUNS = 3
DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}
RESET_PEAK, PROCESS_STATUS = Path("/proc/self/clear_refs"), Path("/proc/self/status")


@dataclass(frozen=True, slots=True)
class Spread:
    """Milliseconds of one batch over some runs: their mean and their standard deviation."""

    mean_ms: float
    deviation_ms: float
    runs: int

    def samples_per_s(self, batch: int) -> float:
        """Return how many samples that is in a second."""
        return 1e3 * batch / self.mean_ms


@dataclass(frozen=True, slots=True)
class NetworkSpeed:
    """One network on one device.

    Attributes:
        name: as it was asked for.
        input_size: (height, width).
        batch: samples of a batch.
        parameters: weights and biases.
        macs: multiply-adds for one sample.
        forward: in evaluation mode, without gradients.
        forward_backward: in training mode, with the gradients of all weights.
        peak_mib: memory that the network and its largest batch took in MiB: allocated on a GPU, resident on
            a CPU; None where the system does not tell.
    """

    name: str
    input_size: Size
    batch: int
    parameters: int
    macs: int
    forward: Spread
    forward_backward: Spread
    peak_mib: float | None


def benchmark(
    networks: Sequence[str] = (),
    *,
    batch: int | None = None,
    input_size: Size | None = None,
    device: Device = "auto",
    precision: Precision = "fp32",
    steps: int = 10,
) -> Iterator[NetworkSpeed]:
    """Time networks one after the other.

    Args:
        networks: names for `train.models.build_model`, with options after a colon, such as
            `hourglass:stacks=2,variant=bearpaw`; none for `DEFAULT_NETWORKS`.
        batch: samples per batch; None for 4 crops or 1 whole picture.
        input_size: (height, width); None for 256x192 (HRNet), 512x512 (HigherHRNet), 256x256 (hourglass).
        device: auto takes a GPU where there is one.
        precision: of the forward pass; fp16 needs a GPU.
        steps: timed runs, after `WARM_UP_RUNS` that do not count.

    Yields:
        The figures of one network at a time.

    Raises:
        UsageError: a network, an option, a size or a device that there is not.
    """
    place = choose_device(device)
    if precision == "fp16" and place.type == "cpu":
        raise UsageError("precision fp16 needs a GPU; take bf16 or fp32 on a CPU")
    if steps < 2:
        raise UsageError(f"a deviation needs at least 2 steps, got {steps}")
    wanted = [(name, *_parse(name)) for name in networks or DEFAULT_NETWORKS]
    for text, name, options in wanted:
        size = input_size or _default_size(name)
        count = batch or (1 if name.startswith("higherhrnet_") else 4)
        yield _measure(text, name, options, size, count, place, precision, steps)


def choose_device(device: Device) -> torch.device:
    """Return the device of that name.

    Raises:
        UsageError: cuda was asked for, but torch sees no GPU.
    """
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if device == "cuda" and not torch.cuda.is_available():
        raise UsageError("device cuda was asked for, but torch sees no NVIDIA GPU; take --device cpu")
    return torch.device(device)


def describe_device(device: torch.device) -> str:
    """Return the device, its threads and the version of torch in one line."""
    if device.type == "cuda":
        return f"{torch.cuda.get_device_name(device)}, CUDA {torch.version.cuda}, torch {torch.__version__}"
    return (
        f"{cpu_name()}, {usable_cores()} cores, {torch.get_num_threads()} threads, "
        f"{platform.system()} {platform.machine()}, torch {torch.__version__}"
    )


def format_table(speeds: Sequence[NetworkSpeed]) -> str:
    """Return an aligned table, one line per network."""
    headers = [
        "network", "input", "batch", "M param", "GMAC",
        "forward ms", "samples/s", "forward+backward ms", "samples/s", "peak MiB",
    ]  # fmt: skip
    rows = [
        [
            speed.name,
            f"{speed.input_size[0]}x{speed.input_size[1]}",
            str(speed.batch),
            f"{speed.parameters / 1e6:.2f}",
            f"{speed.macs / 1e9:.3f}",
            *_cells(speed.forward, speed.batch),
            *_cells(speed.forward_backward, speed.batch),
            "" if speed.peak_mib is None else f"{speed.peak_mib:.0f}",
        ]
        for speed in speeds
    ]
    return text_table(headers, rows)


def write_json(speeds: Sequence[NetworkSpeed], device: torch.device, precision: Precision, out: Path) -> None:
    """Write all figures and what they were measured on."""
    content = {
        "device": describe_device(device),
        "precision": precision,
        "networks": [asdict(speed) for speed in speeds],
    }
    out.write_text(json.dumps(content, indent=1), encoding="utf-8")


def _cells(spread: Spread, batch: int) -> list[str]:
    return [f"{spread.mean_ms:.1f} ± {spread.deviation_ms:.1f}", f"{spread.samples_per_s(batch):.1f}"]


def _parse(text: str) -> tuple[str, dict[str, Any]]:
    name, _, rest = text.partition(":")
    options: dict[str, Any] = {}
    for item in filter(None, rest.split(",")):
        option, equals, value = item.partition("=")
        if not equals:
            raise UsageError(f"options of a network are name:option=value,option=value, got {text!r}")
        options[option] = yaml.safe_load(value)
    with torch.device("meta"):
        build_model(name, **options)
    return name, options


def _default_size(name: str) -> Size:
    if name == "hourglass":
        return 256, 256
    return (512, 512) if name.startswith("higherhrnet_") else (256, 192)


def _measure(
    text: str,
    name: str,
    options: dict[str, Any],
    size: Size,
    batch: int,
    device: torch.device,
    precision: Precision,
    steps: int,
) -> NetworkSpeed:
    before = _start_peak(device)
    network = build_model(name, **options)
    macs, parameters = count_macs(network, size), count_parameters(network)
    network = network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    images = torch.rand(batch, 3, *size, device=device).contiguous(memory_format=torch.channels_last)

    def forward() -> None:
        with torch.inference_mode(), _autocast(device, precision):
            network(images)

    def forward_backward() -> None:
        network.zero_grad(set_to_none=True)
        with _autocast(device, precision):
            outputs = network(images)
        _loss(outputs).backward()

    network.eval()
    forward_spread = _time(forward, device, steps)
    network.train()
    backward_spread = _time(forward_backward, device, steps)
    peak = _read_peak(device, before)
    return NetworkSpeed(text, size, batch, parameters, macs, forward_spread, backward_spread, peak)


def _autocast(device: torch.device, precision: Precision) -> AbstractContextManager[None]:
    return torch.autocast(device.type, DTYPES.get(precision, torch.bfloat16), enabled=precision != "fp32")


def _loss(outputs: Tensor | list[Tensor]) -> Tensor:
    tensors = outputs if isinstance(outputs, list) else [outputs]
    return torch.stack([maps.float().square().mean() for maps in tensors]).sum()


def _time(action: Callable[[], None], device: torch.device, steps: int) -> Spread:
    times_ms = []
    for run in range(WARM_UP_RUNS + steps):
        start = time.perf_counter()
        action()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        if run >= WARM_UP_RUNS:
            times_ms.append((time.perf_counter() - start) * 1e3)
    return Spread(fmean(times_ms), stdev(times_ms), len(times_ms))


def _start_peak(device: torch.device) -> float | None:
    """Give back what the last network held, start a new peak, and return the memory held now in MiB."""
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(device)
        return torch.cuda.memory_allocated(device) / 2**20
    if not RESET_PEAK.exists() or platform.libc_ver()[0] != "glibc":
        return None
    ctypes.CDLL(None).malloc_trim(0)
    try:
        RESET_PEAK.write_text("5", encoding="ascii")
    except PermissionError:
        return None
    return _status_mib("VmRSS")


def _read_peak(device: torch.device, before: float | None) -> float | None:
    if before is None:
        return None
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**20 - before
    return _status_mib("VmHWM") - before


def _status_mib(name: str) -> float:
    for line in PROCESS_STATUS.read_text("ascii").splitlines():
        if line.startswith(f"{name}:"):
            return float(line.split()[1]) / 2**10
    raise UsageError(f"{PROCESS_STATUS} does not tell {name}")
