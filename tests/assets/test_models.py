"""The bundled networks: they describe themselves, and every runtime and precision computes the same."""

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from assets import demo_clip, models_dir
from engine.model import open_model
from engine.model_file import read_spec
from engine.prepare import crop_people, letterbox
from engine.settings import Precision, RuntimeName

NAMES = sorted(
    path.name.removesuffix(".onnx") for path in models_dir().glob("*.onnx") if ".int8" not in path.name
)


@pytest.fixture(scope="module")
def frame() -> NDArray[np.uint8]:
    with av.open(str(demo_clip())) as container:
        return next(container.decode(video=0)).to_ndarray(format="bgr24")


def outputs(
    name: str, frame: NDArray[np.uint8], runtime: RuntimeName, precision: Precision
) -> dict[str, NDArray[np.float32]]:
    model = open_model(name, runtime=runtime, precision=precision)
    if model.spec.kind == "top-down":
        inputs, _ = crop_people(frame, [[90, 180, 350, 660]], model.spec)
    else:
        inputs, _ = letterbox(frame, model.spec)
    result = model.run(inputs)
    model.close()
    return result


def test_both_kinds_are_bundled_in_both_precisions() -> None:
    kinds = {read_spec(models_dir() / f"{name}.onnx").kind for name in NAMES}
    assert kinds == {"top-down", "bottom-up"}
    for name in NAMES:
        exact, quantised = (read_spec(models_dir() / f"{name}{end}.onnx") for end in ("", ".int8"))
        assert quantised == exact.model_copy(update={"precision": "int8"})
        assert exact.accuracy["mean_oks"] > 0


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_runtimes_agree(name: str, precision: Precision, frame: NDArray[np.uint8]) -> None:
    first = outputs(name, frame, "openvino", precision)
    second = outputs(name, frame, "onnxruntime", precision)
    limit = 1e-4 if precision == "fp32" else 5e-3
    for output, values in first.items():
        scale = 1.0 if "tags" not in output else 10.0
        assert np.abs(values - second[output]).mean() < limit * scale


@pytest.mark.parametrize("name", NAMES)
def test_quantisation_keeps_the_heatmaps(name: str, frame: NDArray[np.uint8]) -> None:
    exact, quantised = (outputs(name, frame, "openvino", precision) for precision in ("fp32", "int8"))
    for output in exact:
        if "heatmaps" in output:
            difference = np.sqrt(np.square(exact[output] - quantised[output]).mean())
            assert difference < 0.15 * np.sqrt(np.square(exact[output]).mean())
