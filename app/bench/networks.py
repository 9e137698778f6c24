"""The networks on every runtime and in every precision that are at hand."""

import logging
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from app.bench.timing import Timing, measure
from engine.errors import RuntimeUnavailableError
from engine.model import Model, open_model
from engine.model_file import ModelSpec, read_spec
from engine.prepare import letterbox
from engine.settings import EstimatorSettings, Precision, RuntimeName
from engine.structures import Image
from engine.zoo import model_path, variants

LOGGER = logging.getLogger(__name__)

BATCHES = (1, 2, 4)
PRECISIONS: tuple[Precision, ...] = ("int8", "bf16", "fp32")
RUNTIME_NAMES: tuple[RuntimeName, ...] = ("openvino", "onnxruntime")


@dataclass(frozen=True, slots=True)
class NetworkTiming:
    """One network on one runtime. ratio: to the fastest on the same inputs, which has 1."""

    model: str
    inputs: str
    runtime: str
    precision: str
    timing: Timing
    ratio: float = 1.0

    def as_dict(self) -> dict[str, object]:
        """Return the row, ready for JSON."""
        row = {
            "model": self.model,
            "inputs": self.inputs,
            "runtime": self.runtime,
            "precision": self.precision,
        }
        return {**row, **self.timing.as_dict(), "ratio": round(self.ratio, 2)}


def measure_networks(image: Image, settings: EstimatorSettings) -> Iterator[NetworkTiming]:
    """Measure both networks, one row at a time, those on the same inputs together.

    Args:
        image: (H, W, 3) uint8 BGR frame, for the size of the bottom-up network's input.
        settings: which models, and the threads of their runtimes.

    Raises:
        ModelFileError: a model is missing.
    """
    for name in (settings.top_down_model, settings.bottom_up_model):
        path = model_path(name)
        spec = read_spec(path)
        with ExitStack() as stack:
            models = [stack.enter_context(closing(model)) for model in _open_all(path, settings.threads)]
            for shape in input_shapes(spec, image):
                inputs = np.zeros(shape, np.float32)
                yield from with_ratios([_measure(model, inputs) for model in models])


def input_shapes(spec: ModelSpec, image: Image) -> list[tuple[int, ...]]:
    """Return the (N, 3, h, w) shapes that matter: batches of crops; the whole frame at full and half size."""
    if spec.kind == "top-down":
        return [(count, 3, *spec.input_size) for count in BATCHES]
    full = min(spec.input_size)
    sides = (full, full // 2) if spec.dynamic_size else (full,)
    return [letterbox(image, spec, side)[0].shape for side in sides]


def with_ratios(rows: Sequence[NetworkTiming]) -> list[NetworkTiming]:
    """Return the rows with their ratio to the fastest of them, fastest first."""
    fastest = min((row.timing.median_ms for row in rows), default=1.0)
    rated = [replace(row, ratio=row.timing.median_ms / fastest) for row in rows]
    return sorted(rated, key=lambda row: row.ratio)


def _open_all(path: Path, threads: int) -> Iterator[Model]:
    forms = variants(path)
    at_hand = [form for form in PRECISIONS if ("int8" if form == "int8" else "fp32") in forms]
    for runtime in RUNTIME_NAMES:
        for precision in at_hand:
            try:
                yield open_model(path, runtime=runtime, precision=precision, threads=threads)
            except RuntimeUnavailableError as error:
                LOGGER.info("not measured: %s in %s on %s: %s", path.name, precision, runtime, error)


def _measure(model: Model, inputs: np.ndarray) -> NetworkTiming:
    count, _, height, width = inputs.shape
    return NetworkTiming(
        model=model.spec.name,
        inputs=f"{count} x {height}x{width}",
        runtime=model.runtime.name,
        precision=model.runtime.precision,
        timing=measure(lambda: model.run(inputs)),
    )
