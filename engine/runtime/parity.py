"""Whether a plan computes what its float model computes: checked once, before a plan is ever used.

Compilers for GPUs fuse, reorder and round. Both networks see the same pictures of the demo clip, and their
outputs are compared value by value and, since that is what a user sees, keypoint by keypoint.
"""

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from assets import demo_clip, demo_truth
from engine.decode.bottom_up import merge_heatmaps
from engine.decode.grouping import find_peaks
from engine.decode.peaks import MAX_SHIFT, refine_peaks
from engine.errors import ModelFileError
from engine.model_file import ModelSpec
from engine.prepare import crop_people, letterbox
from engine.runtime import Arithmetic, Opening, Runtime, find_kind, open_first
from engine.sources import open_source
from engine.structures import Image

Float = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Tolerance:
    """What a plan may differ from its float model.

    maximum, mean: of the absolute differences of all values of heatmaps and tags, in units of the output's
    largest value where that is above 1. keypoint_px: how far 19 of 20 keypoints scored above `SURE_SCORE` may
    lie from where they were, input px. Not all 20: on a ridge, or between two maxima of nearly one height,
    the smallest change of a value moves a peak by pixels.
    """

    maximum: float
    mean: float
    keypoint_px: float


TOLERANCES: dict[Arithmetic, Tolerance] = {
    "fp32": Tolerance(1e-3, 1e-4, 0.05),
    "fp16": Tolerance(2e-2, 1e-3, 0.25),
    "int8": Tolerance(0.25, 1e-2, 2.0),
}
"""A wrong layout, flag or fused layer shows as differences of 0.1 and more everywhere. What rounding costs
was measured on the bundled networks, top-down / bottom-up, typed and run by ONNX Runtime on a CPU.

fp32 (another runtime): 1e-6 at most, 3e-8 on average, 2e-5 px; GPUs sum in another order, hence more.
fp16: 1.3e-3 / 9e-4 at most, 1.3e-5 / 6.3e-5 on average, 0.008 / 0.006 px; ten times as much is allowed since
deeper networks round more often. int8: 0.055 / 0.024 at most, 5e-4 / 9e-4 on average, 0.6 / 0.4 px; it is
chosen for speed, and half a heatmap px at stride 4 is what may be lost at it.
"""
SURE_SCORE = 0.3
"""Lower keypoints are no keypoints yet; where they lie says nothing."""
KEYPOINT_SHARE = 95
"""Percent of the keypoints that `Tolerance.keypoint_px` holds for."""
SAME_PEAK_REACH = 2
"""Heatmap px around a peak of the float model in which the plan's maximum is the same peak."""
TIMES_S = (0.5, 3.5)
"""Where in the demo clip the pictures are taken."""
CROPS = 8
REFERENCES = ("onnxruntime", "openvino")


class Runnable(Protocol):
    """A network that runs on host arrays."""

    def run(self, inputs: Float) -> dict[str, Float]:
        """Return the outputs of (N, 3, h, w) float32 inputs."""
        ...


@dataclass(frozen=True, slots=True)
class Parity:
    """How far a plan is from its float model.

    maximum, mean, keypoint_px: as in `Tolerance`; not finite where the plan's outputs are not. keypoints: how
    many were compared. tolerance: what is allowed.
    """

    maximum: float
    mean: float
    keypoint_px: float
    keypoints: int
    tolerance: Tolerance

    @property
    def passed(self) -> bool:
        """Whether all is within tolerance."""
        allowed = self.tolerance
        return (
            self.maximum <= allowed.maximum
            and self.mean <= allowed.mean
            and self.keypoint_px <= allowed.keypoint_px
        )

    def __str__(self) -> str:
        """Say it in one line."""
        allowed = self.tolerance
        return (
            f"values differ by {self.maximum:.2g} at most (allowed {allowed.maximum:g}) and by "
            f"{self.mean:.2g} on average ({allowed.mean:g}), {KEYPOINT_SHARE} % of {self.keypoints} "
            f"keypoints by {self.keypoint_px:.2g} px at most ({allowed.keypoint_px:g})"
        )


def check_parity(network: Runnable, path: Path, spec: ModelSpec, precision: Arithmetic) -> Parity:
    """Compare a network with the float model on a CPU.

    Args:
        network: what is to be checked, such as an opened TensorRT runtime.
        path: the float ONNX file that it was made from.
        spec: its spec.
        precision: arithmetic of `network`; sets the tolerance.

    Raises:
        ModelFileError: `network` is beyond the tolerance, or its outputs have other names or shapes.
        RuntimeUnavailableError: no CPU runtime is installed.
    """
    parity = measure_parity(network, path, spec, precision)
    if not parity.passed:
        raise ModelFileError(
            f"the {precision} plan of {path.name} does not compute what the model does: {parity}; "
            + ("choose precision fp32" if precision != "fp32" else "choose runtime openvino or onnxruntime")
        )
    return parity


def measure_parity(network: Runnable, path: Path, spec: ModelSpec, precision: Arithmetic) -> Parity:
    """Return how far a network is from the float model, whatever comes out; see `check_parity`."""
    reference = open_first(REFERENCES, lambda name: _open_reference(name, path, spec))
    try:
        differences = [
            _compare(spec, inputs, reference.run(inputs), network.run(inputs))
            for inputs in parity_inputs(spec)
        ]
    finally:
        reference.close()
    maxima, means, distances = zip(*differences, strict=True)
    moved = np.concatenate(distances)
    return Parity(
        # max() of Python passes over NaN, NumPy's does not.
        float(np.max(maxima)),
        float(np.mean(means)),
        float(np.percentile(moved, KEYPOINT_SHARE)) if len(moved) else 0.0,
        len(moved),
        TOLERANCES[precision],
    )


def parity_inputs(spec: ModelSpec) -> list[Float]:
    """Return the inputs of the comparison: (N, 3, h, w) float32 each, of the demo clip.

    Top-down: one batch of the crops of its people. Bottom-up: its frames, one by one.

    Raises:
        SourceError: the demo clip is missing.
    """
    frames = [_frame_at(time_s) for time_s in TIMES_S]
    if spec.kind == "bottom-up":
        return [letterbox(image, spec)[0] for _, image in frames]
    crops = [crop_people(image, _true_boxes(index), spec)[0] for index, image in frames]
    return [np.concatenate(crops)[:CROPS]]


def _open_reference(name: str, path: Path, spec: ModelSpec) -> Runtime:
    # Not by `open_runtime`, which would tell the user that the model runs there.
    return find_kind(name).open(Opening(path, spec, "fp32"))


def _frame_at(time_s: float) -> tuple[int, Image]:
    with open_source(demo_clip(), start_s=time_s) as source:
        frame = next(iter(source))
        return frame.index, frame.image


def _true_boxes(frame: int) -> NDArray[np.float64]:
    """Return the (N, 4) boxes of the people in a frame of the demo clip, xyxy frame px."""
    with demo_truth().open(newline="", encoding="utf-8") as stream:
        rows = [row for row in csv.DictReader(stream) if int(row["frame"]) == frame]
    return np.array([[float(row[f"bbox_{side}"]) for side in ("x1", "y1", "x2", "y2")] for row in rows])


def _compare(
    spec: ModelSpec, inputs: Float, wanted: Mapping[str, Float], got: Mapping[str, Float]
) -> tuple[float, float, Float]:
    """Return the largest and the mean difference, and how far each sure keypoint moved, input px."""
    maxima, means = [], []
    for name, values in wanted.items():
        if name not in got or got[name].shape != values.shape:
            came = got[name].shape if name in got else f"only {', '.join(got)}"
            raise ModelFileError(
                f"output {name!r} of the plan must have shape {values.shape}, got {came}; "
                "compile the model again"
            )
        difference = np.abs(got[name] - values) / max(1.0, float(np.abs(values).max()))
        maxima.append(float(difference.max()))
        means.append(float(difference.mean()))
    before, after = merge_heatmaps(wanted, spec), merge_heatmaps(got, spec)
    stride = inputs.shape[2] / before.shape[2]
    moved = [_moved(*pair, spec) * stride for pair in zip(before, after, strict=True)]
    return float(np.max(maxima)), float(np.mean(means)), np.concatenate(moved)


def _moved(wanted: Float, got: Float, spec: ModelSpec) -> Float:
    """Return how far each sure peak of (K, H, W) maps lies from the same peak of others, heatmap px.

    Each peak is looked for where it was: of two peaks of nearly the same height either may be the maximum of
    the whole map.
    """
    if not np.isfinite(got).all():
        return np.full(1, np.nan, np.float32)
    peaks = find_peaks(wanted, np.zeros_like(wanted[:1]), min_peak_score=SURE_SCORE, keep_plateaus=False)
    keypoint, place = np.nonzero(peaks.scores > 0)
    start = peaks.positions[keypoint, place].astype(np.intp)
    height, width = wanted.shape[1:]
    there = np.empty_like(start)
    for index, (channel, (x, y)) in enumerate(zip(keypoint, start, strict=True)):
        left, top = max(x - SAME_PEAK_REACH, 0), max(y - SAME_PEAK_REACH, 0)
        window = got[channel, top : y + SAME_PEAK_REACH + 1, left : x + SAME_PEAK_REACH + 1]
        row, column = np.unravel_index(window.argmax(), window.shape)
        there[index] = min(left + column, width - 1), min(top + row, height - 1)
    options = {"heatmap_sigma": spec.heatmap_sigma, "max_shift": MAX_SHIFT}
    first = refine_peaks(wanted, keypoint, start, spec.decoder, **options)
    second = refine_peaks(got, keypoint, there, spec.decoder, **options)
    return np.linalg.norm(first - second, axis=1).astype(np.float32)
