"""What no implementation can beat: bytes over bandwidth and operations over rate, on the device at hand.

A floor counts what a stage has to move and to multiply whoever writes it, not what ours does.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from engine.cuda.device import DeviceInfo

PER_CLOCK: Mapping[tuple[int, int], Mapping[str, int]] = {
    (7, 5): {"fp32": 64, "fp16": 512, "int8": 1024},
    (8, 0): {"fp32": 64, "fp16": 1024, "int8": 2048},
    (8, 6): {"fp32": 128, "fp16": 512, "int8": 1024},
    (8, 9): {"fp32": 128, "fp16": 512, "int8": 1024},
    (9, 0): {"fp32": 128, "fp16": 2048, "int8": 4096},
    (10, 0): {"fp32": 128, "fp16": 4096, "int8": 8192},
    (12, 0): {"fp32": 128, "fp16": 512, "int8": 1024},
}
"""Multiply-adds per clock of one multiprocessor by compute capability and arithmetic, without sparsity.

From NVIDIA's descriptions of the architectures (Turing TU102, A100, GA102, Ada, H100, HGX B200, RTX
Blackwell), each checked against the peak of one GPU = multiprocessors x clock x 2 x this: T4 65, A100 312,
A10 125, L4 121, H100 SXM 989, B200 2,250, RTX 5090 419 TFLOPS in fp16. fp32 is without TF32, as our networks
run. fp16 and int8 are tensor cores; GeForce cards have half the fp16 rate where sums are kept in fp32.
"""
BUS_TRANSFERS = 2
"""Per cycle of the memory clock as the driver tells it, whatever the kind of memory."""


@dataclass(frozen=True, slots=True)
class Work:
    """What a stage has to do at least.

    memory_bytes: to and from device memory; upload_bytes, download_bytes: over the link to the host;
    operations: multiply-adds by arithmetic; launches: kernels and copies that are put on the stream.
    """

    memory_bytes: int = 0
    upload_bytes: int = 0
    download_bytes: int = 0
    operations: Mapping[str, int] = field(default_factory=dict)
    launches: int = 0

    def __add__(self, other: "Work") -> "Work":
        """Return the work of both, one after the other."""
        names = {**self.operations, **other.operations}
        return Work(
            self.memory_bytes + other.memory_bytes,
            self.upload_bytes + other.upload_bytes,
            self.download_bytes + other.download_bytes,
            {name: self.operations.get(name, 0) + other.operations.get(name, 0) for name in names},
            self.launches + other.launches,
        )

    def as_dict(self) -> dict[str, object]:
        """Return the numbers, ready for JSON."""
        return {
            "memory_bytes": self.memory_bytes,
            "upload_bytes": self.upload_bytes,
            "download_bytes": self.download_bytes,
            "multiply_adds": dict(self.operations),
            "launches": self.launches,
        }


@dataclass(frozen=True, slots=True)
class Limits:
    """What a device can do.

    memory_nominal: bytes/s by clock and width, None where the driver does not tell these; memory_measured:
    bytes/s of clearing a large piece; upload, download: bytes/s of large copies from and to pinned memory;
    rates: multiply-adds/s by arithmetic, empty where not known; launch_ms: between the begins of two tiny
    kernels of a graph; round_trip_ms: from the host's launch of one such kernel until it knows of its end.
    """

    memory_nominal: float | None
    memory_measured: float
    upload: float
    download: float
    rates: Mapping[str, float]
    launch_ms: float
    round_trip_ms: float

    @property
    def memory(self) -> float:
        """Bytes/s of the floors: the higher of nominal and measured, since nothing may be below them."""
        return max(self.memory_nominal or 0.0, self.memory_measured)

    def as_dict(self) -> dict[str, object]:
        """Return the numbers, ready for JSON."""
        nominal = self.memory_nominal
        return {
            "memory_nominal_gb_s": None if nominal is None else round(nominal / 1e9, 2),
            "memory_measured_gb_s": round(self.memory_measured / 1e9, 2),
            "upload_gb_s": round(self.upload / 1e9, 3),
            "download_gb_s": round(self.download / 1e9, 3),
            "multiply_adds_t_s": {name: round(rate / 1e12, 3) for name, rate in self.rates.items()},
            "launch_us": round(self.launch_ms * 1e3, 3),
            "round_trip_us": round(self.round_trip_ms * 1e3, 3),
        }


@dataclass(frozen=True, slots=True)
class Floor:
    """The two floors of a stage in ms, None where what they need is not known; launches: of its launches."""

    bytes_ms: float | None
    operations_ms: float | None
    launches_ms: float

    def ratio(self, median_ms: float) -> float | None:
        """Return how many times the higher of the known floors a figure is; None without a floor."""
        return _quotient(median_ms, max(self.bytes_ms or 0.0, self.operations_ms or 0.0))

    def launch_ratio(self, median_ms: float) -> float | None:
        """Return how many times the latency of its launches a figure is; None where that is not known."""
        return _quotient(median_ms, self.launches_ms)


def floor_of(work: Work, limits: Limits) -> Floor:
    """Return the floors of some work on a device; what goes over memory and link goes one after the other."""
    moved = (
        (work.memory_bytes, limits.memory),
        (work.upload_bytes, limits.upload),
        (work.download_bytes, limits.download),
    )
    counted = tuple((count, limits.rates.get(name, 0.0)) for name, count in work.operations.items())
    return Floor(_sum_ms(moved), _sum_ms(counted), work.launches * limits.launch_ms)


def nominal_memory_rate(info: DeviceInfo) -> float | None:
    """Return the bandwidth of the memory in bytes/s, None where the driver does not tell clock or width."""
    if info.memory_clock_khz is None or info.memory_bus_bits is None:
        return None
    return BUS_TRANSFERS * info.memory_clock_khz * 1e3 * info.memory_bus_bits / 8


def nominal_rates(info: DeviceInfo) -> dict[str, float]:
    """Return multiply-adds per second by arithmetic; empty for a GPU or clock that is not known."""
    if info.multiprocessors is None or info.clock_khz is None:
        return {}
    clocks = info.multiprocessors * info.clock_khz * 1e3
    return {name: clocks * count for name, count in PER_CLOCK.get(info.compute_capability, {}).items()}


def _sum_ms(parts: tuple[tuple[int, float], ...]) -> float | None:
    """Return ms of amounts over rates per second; None where one that is needed is not known."""
    needed = [(amount, rate) for amount, rate in parts if amount]
    if any(rate <= 0 for _, rate in needed):
        return None
    return sum((1e3 * amount / rate for amount, rate in needed), 0.0)


def _quotient(value: float, base: float) -> float | None:
    return value / base if base > 0 else None
