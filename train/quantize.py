"""Post-training quantisation of a model file to INT8 for CPUs: unsigned QDQ, per-channel weights.

The last layers stay float: their values are the heatmap itself, and they cost little. TensorRT wants another
form (symmetric, no quantised bias) and makes it from calibration images when it compiles.
"""

import logging
import os
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnxruntime.quantization import (
    CalibrationDataReader,
    CalibrationMethod,
    QuantFormat,
    QuantType,
    quantize_static,
)
from onnxruntime.quantization.shape_inference import quant_pre_process

from engine.errors import ModelFileError, UsageError
from engine.model_file import ModelSpec, read_spec, write_spec
from engine.prepare import crop_people, letterbox
from engine.runtime import open_runtime
from engine.runtime.quantized_network import float_nodes
from train.data.labels import ImageLabel, read_image

log = logging.getLogger(__name__)


class _Samples(CalibrationDataReader):
    """Hand network inputs to the calibrator one at a time."""

    def __init__(self, name: str, inputs: Sequence[NDArray[np.float32]]) -> None:
        self.name, self.inputs = name, inputs
        self.rest: Iterator[NDArray[np.float32]] = iter(inputs)

    def get_next(self) -> dict[str, NDArray[np.float32]] | None:
        """Return the next feed, or None at the end."""
        item = next(self.rest, None)
        return None if item is None else {self.name: item}

    def rewind(self) -> None:
        """Start again."""
        self.rest = iter(self.inputs)


def calibration_inputs(
    images: Sequence[ImageLabel], spec: ModelSpec, *, count: int = 200, seed: int = 0
) -> list[NDArray[np.float32]]:
    """Return `count` inputs as the model meets them: a person's crop, or a whole picture in the input size.

    Raises:
        UsageError: the images hold nobody to crop.
    """
    rng = np.random.default_rng(seed)
    inputs = []
    peopled = [label for label in images if label.people]
    if not peopled:
        raise UsageError("calibration needs images with labelled people; give --annotations with some")
    for index in rng.choice(len(peopled), size=min(count, len(peopled)), replace=False):
        label = peopled[int(index)]
        image = read_image(label.path)
        if spec.kind == "top-down":
            person = label.people[int(rng.integers(len(label.people)))]
            inputs.append(crop_people(image, person.bbox[None], spec)[0])
        else:
            canvas, _ = letterbox(image, spec.model_copy(update={"dynamic_size": False}))
            inputs.append(canvas)
    return inputs


def quantize_model(
    path: Path, out: Path, inputs: Sequence[NDArray[np.float32]], *, accuracy: dict[str, float] | None = None
) -> float:
    """Write the INT8 form of a float model file.

    Args:
        path: float model file. out: INT8 model file, written atomically.
        inputs: (n, 3, h, w) float32 calibration inputs.
        accuracy: replaces that of the spec.

    Returns:
        Root mean square difference of the heatmaps from the float model over the inputs, in units of the
        heatmaps' own root mean square.

    Raises:
        ModelFileError: the file is no model file, or is quantised already.
    """
    spec = read_spec(path)
    if spec.precision != "fp32":
        raise ModelFileError(f"{path} is {spec.precision} already; quantise the float model")
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out.parent) as folder:
        clean, quantised = Path(folder) / "clean.onnx", Path(folder) / "int8.onnx"
        quant_pre_process(str(path), str(clean), skip_symbolic_shape=True)
        graph = onnx.load(str(clean)).graph
        kept = float_nodes(graph)
        quantize_static(
            str(clean),
            str(quantised),
            _Samples(spec.input_name, inputs),
            quant_format=QuantFormat.QDQ,
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            calibrate_method=CalibrationMethod.MinMax,
            nodes_to_exclude=[node.name for node in graph.node if node.output[0] in kept],
        )
        model = onnx.load(str(quantised))
        write_spec(
            model, spec.model_copy(update={"precision": "int8", "accuracy": accuracy or spec.accuracy})
        )
        onnx.save(model, str(quantised))
        difference = quantisation_error(path, quantised, inputs[:32])
        os.replace(quantised, out)
    read_spec(out)
    log.info("%s: %.3f from the float model, %d bytes", out, difference, out.stat().st_size)
    return difference


def quantisation_error(first: Path, second: Path, inputs: Sequence[NDArray[np.float32]]) -> float:
    """Return the relative root mean square difference of the heatmaps of two model files."""
    spec = read_spec(first)
    one = open_runtime(first, spec, name="onnxruntime")
    two = open_runtime(second, read_spec(second), name="onnxruntime", arithmetic="int8")
    names = [output.name for output in spec.heatmap_outputs]
    squared, power = 0.0, 0.0
    for item in inputs:
        expected, got = one.run(item), two.run(item)
        for name in names:
            squared += float(np.square(expected[name] - got[name]).sum())
            power += float(np.square(expected[name]).sum())
    return float(np.sqrt(squared / max(power, 1e-12)))
