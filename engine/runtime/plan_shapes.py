"""Which inputs a plan takes: batches and sizes, from the smallest to the largest."""

from dataclasses import dataclass

from engine.errors import ModelFileError
from engine.geometry import Size, letterbox_size
from engine.model_file import ModelSpec
from engine.prepare import MAX_ASPECT, SIZE_MULTIPLE

TOP_DOWN_BATCH = 64
"""Crops in one run, mirrored ones among them; more people are run in several."""
TOP_DOWN_TYPICAL = 8
BOTTOM_UP_BATCH = 2
"""The frame, and its mirror image where that is asked for."""


@dataclass(frozen=True, slots=True)
class PlanShapes:
    """The inputs of a plan.

    typical_batch, max_batch: pictures in one run; what the plan is tuned for, and the most. min_size,
    typical_size, max_size: (height, width) in px, likewise; all the same where the size is fixed.
    """

    typical_batch: int
    max_batch: int
    min_size: Size
    typical_size: Size
    max_size: Size

    def __str__(self) -> str:
        sizes = _text(self.min_size)
        if self.max_size != self.min_size:
            sizes += f" to {_text(self.max_size)}"
        return f"1 to {self.max_batch} inputs of {sizes} px"

    def check(self, batch: int, size: Size) -> None:
        """Refuse inputs that the plan does not take.

        Raises:
            ModelFileError: too many pictures, or their size is out of range.
        """
        if not 1 <= batch <= self.max_batch:
            raise ModelFileError(f"the plan takes 1 to {self.max_batch} inputs in one run, got {batch}")
        if not all(
            low <= side <= high for low, side, high in zip(self.min_size, size, self.max_size, strict=True)
        ):
            raise ModelFileError(
                f"the plan takes inputs of {_text(self.min_size)} to {_text(self.max_size)} px, got "
                f"{_text(size)}; choose another short side"
            )


def plan_shapes(spec: ModelSpec, max_batch: int | None = None) -> PlanShapes:
    """Return what the plan of a model has to take.

    A network of dynamic size is tuned for a 16:9 frame at its own short side and takes frames up to
    `MAX_ASPECT` long, upright or not, hence short sides up to `MAX_ASPECT` times its own as well.

    Args:
        spec: the model's description.
        max_batch: None takes `TOP_DOWN_BATCH` or `BOTTOM_UP_BATCH`.
    """
    if spec.kind == "top-down":
        most = max_batch or TOP_DOWN_BATCH
        typical = min(TOP_DOWN_TYPICAL, most)
    else:
        most, typical = max_batch or BOTTOM_UP_BATCH, 1
    if not spec.dynamic_size:
        return PlanShapes(typical, most, spec.input_size, spec.input_size, spec.input_size)
    wide = letterbox_size((9, 16), min(spec.input_size), SIZE_MULTIPLE)
    longest = MAX_ASPECT * wide[0]
    return PlanShapes(typical, most, (SIZE_MULTIPLE, SIZE_MULTIPLE), wide, (longest, longest))


def _text(size: Size) -> str:
    return f"{size[0]} x {size[1]}"
