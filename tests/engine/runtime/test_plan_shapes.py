from collections.abc import Callable
from pathlib import Path

import pytest

from assets import models_dir
from engine.errors import ModelFileError
from engine.model_file import ModelSpec, read_spec
from engine.prepare import input_size
from engine.runtime.plan_shapes import BOTTOM_UP_BATCH, TOP_DOWN_BATCH, plan_shapes

FRAMES = [(1080, 1920), (1920, 1080), (480, 640), (100, 4000), (4000, 100), (64, 64)]


@pytest.fixture
def bottom_up() -> ModelSpec:
    return read_spec(models_dir() / "steadypose-bu-w16.onnx")


def test_crops_have_one_size_and_come_up_to_64_at_a_time() -> None:
    spec = read_spec(models_dir() / "steadypose-td-w16.onnx")
    shapes = plan_shapes(spec)
    assert shapes.min_size == shapes.typical_size == shapes.max_size == spec.input_size
    assert (shapes.typical_batch, shapes.max_batch) == (8, TOP_DOWN_BATCH)
    assert plan_shapes(spec, max_batch=4).typical_batch == 4
    assert str(shapes) == "1 to 64 inputs of 192 x 128 px"


@pytest.mark.parametrize("frame", FRAMES)
@pytest.mark.parametrize("scale", [0.5, 1.0, 2.0])
def test_whatever_the_letterbox_makes_of_a_frame_the_plan_takes(
    bottom_up: ModelSpec, frame: tuple[int, int], scale: float
) -> None:
    short = round(min(bottom_up.input_size) * scale)
    size = input_size(frame, bottom_up, short)
    if scale == 2.0 and max(frame) > 4 * min(frame):
        pytest.skip("a strip at twice the short side is longer than any plan")
    plan_shapes(bottom_up).check(BOTTOM_UP_BATCH, size)


def test_a_whole_frame_plan_is_tuned_for_16_to_9(bottom_up: ModelSpec) -> None:
    shapes = plan_shapes(bottom_up)
    assert shapes.typical_size == input_size((1080, 1920), bottom_up)
    assert (shapes.typical_batch, shapes.max_batch) == (1, BOTTOM_UP_BATCH)


@pytest.mark.parametrize(
    ("batch", "size", "told"),
    [
        (0, (256, 256), "1 to 2"),
        (3, (256, 256), "got 3"),
        (1, (16, 256), "16 x 256"),
        (1, (256, 4096), "4096"),
    ],
)
def test_other_inputs_are_refused_in_words(
    bottom_up: ModelSpec, batch: int, size: tuple[int, int], told: str
) -> None:
    with pytest.raises(ModelFileError, match=told):
        plan_shapes(bottom_up).check(batch, size)


def test_a_bottom_up_model_of_fixed_size_has_a_plan_of_fixed_size(
    tmp_path: Path, write_marker_model: Callable[..., Path]
) -> None:
    spec = read_spec(write_marker_model(tmp_path / "m.onnx", "bottom-up")).model_copy(
        update={"dynamic_size": False}
    )
    shapes = plan_shapes(spec)
    assert shapes.min_size == shapes.max_size == spec.input_size
