from collections.abc import Callable
from functools import cache

import numpy as np
import pytest

from assets import models_dir
from engine.errors import ModelFileError
from engine.model_file import ModelSpec, read_spec
from engine.runtime import open_runtime, output_strides
from engine.runtime import parity as module
from engine.runtime.parity import TOLERANCES, check_parity, measure_parity, parity_inputs

TOP_DOWN = models_dir() / "steadypose-td-w16.onnx"
BOTTOM_UP = models_dir() / "steadypose-bu-w16.onnx"
PATHS = [TOP_DOWN, BOTTOM_UP]
Change = Callable[[str, np.ndarray], np.ndarray]


class Answering:
    """A network that gives what the model gives, changed."""

    def __init__(self, path, change: Change) -> None:
        self._answers = answers(path)
        self._change = change

    def run(self, inputs: np.ndarray) -> dict[str, np.ndarray]:
        found = next(outputs for asked, outputs in self._answers if np.array_equal(asked, inputs))
        return {name: self._change(name, value) for name, value in found.items()}

    def close(self) -> None:
        pass


@cache
def answers(path, runtime_name: str = "openvino") -> list[tuple[np.ndarray, dict[str, np.ndarray]]]:
    spec = read_spec(path)
    runtime = open_runtime(path, spec, name=runtime_name)
    inputs = parity_inputs(spec)
    outputs = [runtime.run(batch) for batch in inputs]
    runtime.close()
    return list(zip(inputs, outputs, strict=True))


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Decode the clip and run the float model once for all tests."""
    inputs = {path: [batch for batch, _ in answers(path)] for path in PATHS}
    paths = {read_spec(path).name: path for path in PATHS}
    monkeypatch.setattr(module, "parity_inputs", lambda spec: inputs[paths[spec.name]])
    monkeypatch.setattr(
        module, "_open_reference", lambda _, path, __: Answering(path, lambda _, value: value)
    )


def measure(path, precision, change: Change):
    return measure_parity(Answering(path, change), path, read_spec(path), precision)


@pytest.mark.parametrize("path", PATHS)
def test_the_same_network_on_another_runtime_passes_in_fp32(path) -> None:
    parity = measure(path, "fp32", lambda _, value: value)
    assert parity.passed and parity.maximum < 1e-4 and parity.keypoint_px < 0.01
    assert parity.keypoints > 50, "too few keypoints of the demo clip are sure"


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.usefixtures("quick")
def test_rounding_to_float16_passes_as_fp16_and_not_as_fp32(path) -> None:
    def rounded(_: str, value: np.ndarray) -> np.ndarray:
        return (value * 16).astype(np.float16).astype(np.float32) / 16 + np.float32(2e-4)

    assert measure(path, "fp16", rounded).passed
    assert not measure(path, "fp32", rounded).passed


@pytest.mark.parametrize("precision", ["fp32", "fp16", "int8"])
@pytest.mark.parametrize("path", PATHS)
@pytest.mark.usefixtures("quick")
def test_maps_moved_by_one_px_fail_at_every_precision(path, precision) -> None:
    def moved(name: str, value: np.ndarray) -> np.ndarray:
        return np.roll(value, 1, axis=3) if name.startswith("heatmaps") else value

    parity = measure(path, precision, moved)
    assert not parity.passed
    # Of two outputs of which the coarser weighs less at the finer one's peaks, either may lead.
    assert parity.keypoint_px > 1.9


@pytest.mark.parametrize(
    "broken",
    [
        lambda _, value: np.zeros_like(value),
        lambda _, value: np.full_like(value, np.nan),
        lambda _, value: np.where(value > 0.5, np.inf, value),
        lambda _, value: value[:, ::-1],
        lambda _, value: value.transpose(0, 1, 2, 3)[..., ::-1],
        lambda name, value: -value if name == "tags_0" else np.where(value < 0.3, 0.6, value),
    ],
    ids=["nothing", "NaN", "infinity", "keypoints in another order", "mirrored", "background lit"],
)
@pytest.mark.parametrize("path", PATHS)
@pytest.mark.usefixtures("quick")
def test_what_is_plainly_wrong_fails_at_every_precision(path, broken: Change) -> None:
    with np.errstate(invalid="ignore"):
        assert not any(measure(path, precision, broken).passed for precision in TOLERANCES)


@pytest.mark.usefixtures("quick")
def test_wrong_tags_alone_fail() -> None:
    parity = measure(BOTTOM_UP, "int8", lambda name, value: -value if name.startswith("tags") else value)
    assert not parity.passed


@pytest.mark.usefixtures("quick")
def test_the_error_names_numbers_and_the_way_out() -> None:
    spec = read_spec(TOP_DOWN)
    network = Answering(TOP_DOWN, lambda _, value: value + np.float32(0.4))
    with pytest.raises(
        ModelFileError,
        match=r"fp16 plan of steadypose-td-w16.onnx .* by 0\.4 at most \(allowed 0.02\).*precision fp32",
    ):
        check_parity(network, TOP_DOWN, spec, "fp16")
    with pytest.raises(ModelFileError, match="choose runtime openvino or onnxruntime"):
        check_parity(network, TOP_DOWN, spec, "fp32")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda _, value: value[:, :, 1:], r"must have shape \(6, 17, 48, 32\), got \(6, 17, 47, 32\)"),
        (lambda _, value: value[:, :3], r"got \(6, 3, 48, 32\)"),
    ],
)
@pytest.mark.usefixtures("quick")
def test_outputs_of_another_shape_are_named(change: Change, words: str) -> None:
    with pytest.raises(ModelFileError, match=words):
        measure(TOP_DOWN, "fp16", change)


def test_inputs_are_people_and_always_the_same() -> None:
    for path in PATHS:
        spec: ModelSpec = read_spec(path)
        first, second = parity_inputs(spec), parity_inputs(spec)
        for one, other in zip(first, second, strict=True):
            np.testing.assert_array_equal(one, other)
            assert one.dtype == np.float32 and one.std() > 0.1
        assert sum(len(batch) for batch in first) >= 2
        assert set(answers(path)[0][1]) == set(output_strides(spec))
