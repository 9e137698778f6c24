"""What a network expects its pictures to be: the mean and the deviation that its authors trained with.

The trainer and the export both ask here, so a model file says what its weights have seen.
"""

from collections.abc import Mapping
from typing import Any

Colour = tuple[float, float, float]

IMAGENET_MEAN: Colour = (0.485, 0.456, 0.406)
IMAGENET_STD: Colour = (0.229, 0.224, 0.225)
MPII_MEAN: Colour = (0.4404, 0.4440, 0.4327)
"""Mean colour of MPII's pictures, which bearpaw/pytorch-pose subtracts, without dividing by anything."""
NO_MEAN: Colour = (0.0, 0.0, 0.0)
UNIT_STD: Colour = (1.0, 1.0, 1.0)


def input_normalisation(architecture: str, options: Mapping[str, Any] | None = None) -> tuple[Colour, Colour]:
    """Return what is subtracted from RGB colours in [0, 1] and what then divides them.

    HRNet and HigherHRNet take ImageNet's figures; the princeton hourglass takes colours as they are; the
    bearpaw hourglass has the mean of MPII taken off.

    Args:
        architecture: name for `train.models.build_model`.
        options: its options; only `variant` of the hourglass matters.

    Returns:
        mean and std, three values each, in the order red, green, blue.
    """
    if architecture != "hourglass":
        return IMAGENET_MEAN, IMAGENET_STD
    if (options or {}).get("variant", "princeton") == "bearpaw":
        return MPII_MEAN, UNIT_STD
    return NO_MEAN, UNIT_STD
